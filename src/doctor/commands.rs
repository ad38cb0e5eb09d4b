//! The commands that a server knows, by the names that it knows them under.

use std::collections::BTreeSet;

/// What a failover calls, and what `doctor` proposes.
pub(super) const FAILOVER_COMMANDS: [&str; 8] = [
    "client",
    "config",
    "exec",
    "info",
    "multi",
    "psync",
    "replconf",
    "replicaof",
];

/// What a master sends to its replicas: the commands that write, and those around them. Those of
/// modules are not in it; A9 compares the modules.
const STREAM_COMMANDS: [&str; 76] = [
    "append",
    "bitfield",
    "bitop",
    "copy",
    "decr",
    "decrby",
    "del",
    "eval",
    "evalsha",
    "expire",
    "expireat",
    "fcall",
    "flushall",
    "flushdb",
    "function",
    "geoadd",
    "getdel",
    "getset",
    "hdel",
    "hincrby",
    "hincrbyfloat",
    "hmset",
    "hset",
    "hsetnx",
    "incr",
    "incrby",
    "incrbyfloat",
    "linsert",
    "lmove",
    "lpop",
    "lpush",
    "lpushx",
    "lrem",
    "lset",
    "ltrim",
    "move",
    "mset",
    "msetnx",
    "persist",
    "pexpire",
    "pexpireat",
    "pfadd",
    "pfmerge",
    "psetex",
    "publish",
    "rename",
    "renamenx",
    "restore",
    "rpop",
    "rpoplpush",
    "rpush",
    "rpushx",
    "sadd",
    "script",
    "select",
    "set",
    "setbit",
    "setex",
    "setnx",
    "setrange",
    "smove",
    "spop",
    "srem",
    "swapdb",
    "unlink",
    "xadd",
    "xdel",
    "xgroup",
    "xsetid",
    "xtrim",
    "zadd",
    "zincrby",
    "zrem",
    "zremrangebyrank",
    "zremrangebyscore",
    "zunionstore",
];

/// Which of the commands that matter here a server does not know under their own names: they are
/// renamed or disabled, or of a later version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownCommands {
    missing: BTreeSet<&'static str>,
}

impl KnownCommands {
    /// The names that a server is asked for, in this order.
    pub fn asked() -> impl Iterator<Item = &'static str> {
        FAILOVER_COMMANDS.into_iter().chain(STREAM_COMMANDS)
    }

    /// From the server's answers, in the order of [`Self::asked`]: whether it knows the command.
    pub fn from_answers(answers: impl IntoIterator<Item = bool>) -> Self {
        let asked = Self::asked().zip(answers);
        let missing = asked.filter(|(_, is_known)| !is_known);
        Self {
            missing: missing.map(|(name, _)| name).collect(),
        }
    }

    /// What a failover calls and the server does not know.
    pub(super) fn missing_for_failover(&self) -> Vec<&'static str> {
        let names = FAILOVER_COMMANDS.into_iter();
        names.filter(|name| self.missing.contains(name)).collect()
    }

    /// What this server may send to its replicas and `other` does not know.
    pub(super) fn unknown_to(&self, other: &Self) -> Vec<&'static str> {
        let names = STREAM_COMMANDS.into_iter();
        let only_here = |name: &&str| !self.missing.contains(name) && other.missing.contains(name);
        names.filter(only_here).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_one_side_lacks_are_found() {
        let knows_all_but = |gone: &[&str]| {
            KnownCommands::from_answers(KnownCommands::asked().map(|name| !gone.contains(&name)))
        };
        let master = knows_all_but(&["config", "flushall"]);
        let replica = knows_all_but(&["flushall", "set"]);
        assert_eq!(master.missing_for_failover(), ["config"]);
        assert_eq!(replica.missing_for_failover(), Vec::<&str>::new());
        assert_eq!(master.unknown_to(&replica), ["set"]);
        assert_eq!(replica.unknown_to(&master), Vec::<&str>::new());
    }
}
