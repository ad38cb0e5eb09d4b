//! Which commands of a failover the users may call, as `ACL DRYRUN` says.

use std::collections::BTreeMap;

/// The commands of `failover`, `failback` and `lost-writes`, as words that any server of 7.0 and
/// later takes, and the rule of an ACL that permits each. They are tried by `ACL DRYRUN`, which
/// runs nothing.
pub const FAILOVER_RIGHTS: [(&str, &[&str]); 12] = [
    ("+info", &["INFO"]),
    ("+client|setname", &["CLIENT", "SETNAME", "x"]),
    ("+client|list", &["CLIENT", "LIST"]),
    ("+client|pause", &["CLIENT", "PAUSE", "1", "WRITE"]),
    ("+client|unpause", &["CLIENT", "UNPAUSE"]),
    ("+replicaof", &["REPLICAOF", "NO", "ONE"]),
    ("+multi", &["MULTI"]),
    ("+exec", &["EXEC"]),
    ("+config|get", &["CONFIG", "GET", "save"]),
    ("+config|rewrite", &["CONFIG", "REWRITE"]),
    ("+psync", &["PSYNC", "?", "-1"]),
    ("+replconf", &["REPLCONF", "capa", "eof"]),
];

/// What the user that failovers log in as may not do on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorRights {
    /// The user.
    pub user: String,
    /// Whether the configuration names it (`operator`), so that it has to be there.
    pub is_configured: bool,
    /// The rules that it lacks; `None` where the server has no such user.
    pub missing: Option<Vec<&'static str>>,
}

/// The users that Sentinels are logged in as, and whether each may call FAILOVER.
pub type SentinelUsers = BTreeMap<String, bool>;
