//! Chapter C: what a restart of either side costs.

use super::super::directive::Directive;
use super::super::facts::Gap;
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};
use crate::model::Span;

/// From this age on the last save does not help much.
const OLD_SAVE: Span = Span::from_secs(24 * 3600);

/// C1: the master keeps nothing on its disk.
pub(in crate::doctor) fn master(subject: &Subject<'_>) -> Verdict {
    persistence(
        subject,
        FindingSeverity::Critical,
        "it keeps nothing on its disk: once it is restarted it is empty, and empties every replica",
    )
}

/// C2: the replica keeps nothing on its disk.
pub(in crate::doctor) fn replica(subject: &Subject<'_>) -> Verdict {
    persistence(
        subject,
        FindingSeverity::Warning,
        "it keeps nothing on its disk: when the master's datacenter is lost, its restart loses all",
    )
}

fn persistence(subject: &Subject<'_>, severity: FindingSeverity, what: &str) -> Verdict {
    let facts = subject.facts;
    if facts.has_aof()? || facts.saves()? {
        return Ok(Vec::new());
    }
    let server = &subject.server.addr;
    let fix = Fix::set_named(server, facts, "appendonly", "yes")
        .noting("for a cache whose loss does not matter, ignore this check and say so");
    Ok(vec![Problem::new(
        severity,
        what.to_owned(),
        Evidence::new(
            "save \"\", appendonly no".to_owned(),
            "one of the two".to_owned(),
            subject.on_server("CONFIG GET, INFO persistence"),
        ),
        fix,
    )])
}

/// C3: the append-only file does not hold the replication history.
pub(in crate::doctor) fn aof_history(subject: &Subject<'_>) -> Verdict {
    if !subject.facts.has_aof()? {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Advice,
        "a restart of it gives every replica a full sync: the append-only file does not hold the \
         replication history"
            .to_owned(),
        Evidence::new(
            "appendonly yes".to_owned(),
            "restarts as planned switch-overs".to_owned(),
            subject.on_server("INFO persistence"),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "nothing to set: promote a replica before a planned restart",
        ),
    )])
}

/// C4: the append-only file does not say when each command was written.
pub(in crate::doctor) fn aof_timestamps(subject: &Subject<'_>) -> Verdict {
    let facts = subject.facts;
    if !facts.has_aof()? || facts.is_on(Directive::AofTimestampEnabled)? {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Advice,
        "its append-only file has no times, so writes that are lost with it cannot be cut out of it"
            .to_owned(),
        Evidence::new(
            "aof-timestamp-enabled no".to_owned(),
            "yes, where no older program reads the file".to_owned(),
            subject.on_server("CONFIG GET"),
        ),
        Fix::set(
            &subject.server.addr,
            facts,
            Directive::AofTimestampEnabled,
            "yes",
        ),
    )])
}

/// C5: the last save is old although there are changes.
pub(in crate::doctor) fn last_save(subject: &Subject<'_>) -> Verdict {
    let facts = subject.facts;
    // An append-only file is complete without saves, and a server without either is C1 or C2.
    if facts.has_aof()? || !facts.saves()? {
        return Ok(Vec::new());
    }
    let now = match &facts.clock {
        Ok(clock) => clock.wall,
        Err(_) => subject.options.now,
    };
    let Some(changes) = facts.details.changes_since_save.value() else {
        return Err(Gap::because(
            "INFO does not have rdb_changes_since_last_save",
        ));
    };
    let Some(age) = facts.details.since_last_save(now.as_secs_f64()) else {
        return Err(Gap::because("INFO does not have rdb_last_save_time"));
    };
    if changes == 0 || age < OLD_SAVE {
        return Ok(Vec::new());
    }
    let save = facts.setting(Directive::Save)?;
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!("its last save is {age} old, and {changes} changes are not in it"),
        Evidence::new(
            format!("rdb_last_save_time {age} ago, save \"{save}\""),
            format!("a save within {OLD_SAVE}"),
            subject.on_server("INFO persistence, CONFIG GET"),
        ),
        Fix::commands(
            &subject.server.addr,
            vec!["BGSAVE".to_owned()],
            "then look at rdb_last_bgsave_status, and save more often",
        ),
    )])
}
