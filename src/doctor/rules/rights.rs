//! E8 and F2: whether the users that act in a failover may do so.

use super::super::facts::{Gap, ServerAudit};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};
use crate::model::shell_quote;

/// E8: Sentinels may not ask the master for a coordinated failover.
pub(in crate::doctor) fn sentinel_rights(subject: &Subject<'_>) -> Verdict {
    let users = subject.facts.sentinel_users.clone()?;
    let mut found = Vec::new();
    for (user, may_fail_over) in users {
        if may_fail_over {
            continue;
        }
        let quoted = shell_quote(&user);
        found.push(Problem::new(
            FindingSeverity::Advice,
            format!(
                "Sentinels are logged in as {user}, which may not call FAILOVER: SENTINEL FAILOVER \
                 COORDINATED fails"
            ),
            Evidence::new(
                format!("{user} lacks +failover"),
                "+failover, on both sides".to_owned(),
                subject.on_server("CLIENT LIST, ACL DRYRUN"),
            ),
            Fix::commands(
                &subject.server.addr,
                vec![format!("ACL SETUSER {quoted} +failover")],
                "ACL SAVE keeps it where users are in an aclfile, else CONFIG REWRITE",
            ),
        ));
    }
    Ok(found)
}

/// F2: the user that failovers log in as lacks rights, or is missing on one side.
pub(in crate::doctor) fn operator_rights(subject: &Subject<'_>) -> Verdict {
    let rights = subject.facts.operator.clone()?;
    let server = &subject.server.addr;
    let user = &rights.user;
    let quoted = shell_quote(user);
    let note = "ACL SAVE keeps it where users are in an aclfile, else CONFIG REWRITE";
    let Some(missing) = rights.missing else {
        if !rights.is_configured && !is_elsewhere(subject) {
            return Err(Gap::NotApplicable);
        }
        return Ok(vec![Problem::new(
            FindingSeverity::Warning,
            format!("it has no user {user}, which failovers log in as"),
            Evidence::new(
                format!("no user {user}"),
                "the user on both sides, with one password".to_owned(),
                subject.on_server("ACL LIST"),
            ),
            Fix::by_hand(server, "docs/doctor.md has the ACL line of the operator"),
        )]);
    };
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let rules = missing.join(" ");
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!("its user {user} may not do what failovers and lost-writes do: {rules}"),
        Evidence::new(
            format!("{user} lacks {rules}"),
            "every command of failover, failback and lost-writes, on both sides".to_owned(),
            subject.on_server("ACL DRYRUN"),
        ),
        Fix::commands(server, vec![format!("ACL SETUSER {quoted} {rules}")], note),
    )])
}

/// Whether any server of the entry has the user.
fn is_elsewhere(subject: &Subject<'_>) -> bool {
    let entry = subject.entry;
    let has_user = |server: &ServerAudit| match &server.facts {
        Ok(facts) => matches!(&facts.operator, Ok(rights) if rights.missing.is_some()),
        Err(_) => false,
    };
    let mut servers = std::iter::once(&entry.master).chain(&entry.replicas);
    servers.any(has_user)
}
