//! A13: commands that were renamed or disabled.

use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};

/// The most names in one sentence.
const MOST_NAMES: usize = 8;

/// What follows from a command that only one side knows.
const SKIPPED: &str =
    "A write that the replica does not know is skipped there without any sign on link or offset.";

/// A13: a failover would stop half way, or the replica does not know what its master sends.
pub(in crate::doctor) fn commands(subject: &Subject<'_>) -> Verdict {
    let own = subject.facts.commands.clone()?;
    let mut found = Vec::new();
    let missing = own.missing_for_failover();
    if !missing.is_empty() {
        let names = listed(&missing);
        let problem = problem(
            subject,
            FindingSeverity::Warning,
            format!("it does not know what a failover calls: {names}"),
            "every command of a failover, under its own name",
            &names,
        );
        found.push(problem.then("A failover stops half way."));
    }
    if subject.server.addr != subject.entry.master.addr {
        found.extend(differences(subject)?);
    }
    Ok(found)
}

/// What one side may send to the other, which does not know it.
fn differences(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    let own_version = subject.facts.redis_version()?;
    // Other releases have other commands; A9 speaks of those.
    if !own_version.is_same_line(master.redis_version()?) {
        return Ok(Vec::new());
    }
    let of_master = master.commands.clone()?;
    let own = subject.facts.commands.clone()?;
    let mut found = Vec::new();
    let for_replica = of_master.unknown_to(&own);
    if !for_replica.is_empty() {
        let names = listed(&for_replica);
        let problem = problem(
            subject,
            FindingSeverity::Critical,
            format!(
                "its master may send it commands that it does not know, and it skips them: {names}"
            ),
            "the same rename-command lines as on its master",
            &names,
        );
        found.push(problem.then(SKIPPED));
    }
    let for_master = own.unknown_to(&of_master);
    if !for_master.is_empty() {
        let names = listed(&for_master);
        let problem = problem(
            subject,
            FindingSeverity::Warning,
            format!(
                "once it is the master it takes commands that {} does not know, and would skip: \
                 {names}",
                subject.entry.master.addr
            ),
            "the same rename-command lines as on its master",
            &names,
        );
        found.push(problem.then(SKIPPED));
    }
    Ok(found)
}

fn problem(
    subject: &Subject<'_>,
    severity: FindingSeverity,
    what: String,
    need: &str,
    names: &str,
) -> Problem {
    Problem::new(
        severity,
        what,
        Evidence::new(
            format!("renamed or disabled: {names}"),
            need.to_owned(),
            subject.on_server("COMMAND INFO"),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "make the rename-command lines in the files of both sides the same, then restart; better \
             forbid commands to users by ACL than rename them",
        ),
    )
}

fn listed(names: &[&str]) -> String {
    let mut shown: Vec<&str> = names.iter().take(MOST_NAMES).copied().collect();
    if names.len() > MOST_NAMES {
        shown.push("...");
    }
    shown.join(", ")
}
