//! Chapter A: what makes a replica useless in the second after its promotion, although its link is
//! up and its offset is the master's.

use super::super::directive::Directive;
use super::super::facts::{Gap, ServerFacts, reported};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};
use crate::model::shell_quote;

/// How many connections the replica needs above those that the master has today.
const CLIENTS_MARGIN: f64 = 1.2;

/// A1: the replica refuses writes because too few replicas follow it.
pub(in crate::doctor) fn min_replicas(subject: &Subject<'_>) -> Verdict {
    let facts = subject.facts;
    let wanted = facts.number(Directive::MinReplicasToWrite)?;
    if wanted == 0 || facts.number(Directive::MinReplicasMaxLag)? == 0 {
        return Ok(Vec::new());
    }
    let connected = &facts.observation.replication.connected_replicas;
    let has = *reported(connected, "connected_slaves")?;
    if wanted <= has {
        return Ok(Vec::new());
    }
    let server = &subject.server.addr;
    let fix = Fix::set(server, facts, Directive::MinReplicasToWrite, "0")
        .noting("or give it that many replicas in its own datacenter");
    Ok(vec![Problem::new(
        FindingSeverity::Critical,
        format!(
            "it refuses every write once it is promoted: min-replicas-to-write is {wanted}, and {has} \
             replicas follow it"
        ),
        Evidence::new(
            format!("min-replicas-to-write {wanted}"),
            format!("at most {has}, the replicas that follow it now"),
            subject.on_server("CONFIG GET, INFO replication"),
        ),
        fix,
    )])
}

/// A3: the replica has fewer databases than the master.
pub(in crate::doctor) fn databases(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    let own = subject.facts.number(Directive::Databases)?;
    let wanted = master.number(Directive::Databases)?;
    if own >= wanted {
        return Ok(Vec::new());
    }
    let used = reported(&master.details.databases, "the section Keyspace")?;
    let highest = used.keys().next_back().copied();
    let lost = highest.filter(|database| *database >= own);
    let what = match lost {
        Some(database) => format!(
            "it has {own} databases, and the master has data in db{database}: writes to it land in \
             another database here"
        ),
        None => format!("it has {own} databases, the master has {wanted}"),
    };
    let severity = if lost.is_some() {
        FindingSeverity::Critical
    } else {
        FindingSeverity::Warning
    };
    Ok(vec![Problem::new(
        severity,
        what,
        Evidence::new(
            format!("databases {own}"),
            format!("at least {wanted}, the master's"),
            subject.on_both("CONFIG GET, INFO keyspace"),
        ),
        Fix::line(
            &subject.server.addr,
            format!("databases {wanted}"),
            "in the server's file, then restart it: it cannot be changed while it runs. Data that \
             went to another database comes right only with a full sync, which the restart without \
             its RDB file gives",
        ),
    )])
}

/// A4: the replica's disk refused writes, and a promoted master refuses them to its clients.
pub(in crate::doctor) fn disk(subject: &Subject<'_>) -> Verdict {
    let mut found = Vec::new();
    found.extend(failed_save(subject)?);
    found.extend(failed_aof_write(subject)?);
    Ok(found)
}

fn failed_save(subject: &Subject<'_>) -> Result<Option<Problem>, Gap> {
    let facts = subject.facts;
    if *reported(&facts.details.last_rdb_save_ok, "rdb_last_bgsave_status")? {
        return Ok(None);
    }
    let stops = facts.is_on(Directive::StopWritesOnBgsaveError)?;
    if !stops || !facts.saves()? {
        return Ok(None);
    }
    Ok(Some(disk_problem(
        subject,
        "its last save failed, so it answers every write with MISCONF once it is promoted",
        "rdb_last_bgsave_status err, save and stop-writes-on-bgsave-error are on",
        Directive::StopWritesOnBgsaveError,
        "no",
    )))
}

fn failed_aof_write(subject: &Subject<'_>) -> Result<Option<Problem>, Gap> {
    let facts = subject.facts;
    if *reported(&facts.details.last_aof_write_ok, "aof_last_write_status")? || !facts.has_aof()? {
        return Ok(None);
    }
    Ok(Some(disk_problem(
        subject,
        "its last write to the append-only file failed, so it answers every write with MISCONF once \
         it is promoted",
        "aof_last_write_status err, appendonly is on",
        Directive::ReplicaIgnoreDiskWriteErrors,
        "yes",
    )))
}

fn disk_problem(
    subject: &Subject<'_>,
    what: &str,
    value: &str,
    directive: Directive,
    setting: &str,
) -> Problem {
    let fix = Fix::set(&subject.server.addr, subject.facts, directive, setting)
        .noting("repair the disk first: this only keeps the server going without persistence");
    Problem::new(
        FindingSeverity::Critical,
        what.to_owned(),
        Evidence::new(
            value.to_owned(),
            "a disk that takes writes".to_owned(),
            subject.on_server("INFO persistence, CONFIG GET"),
        ),
        fix,
    )
}

/// A5: the old master could not log in to the new one.
pub(in crate::doctor) fn reverse_login(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    if master.has_secret(Directive::Masterauth)? || !asks_for_login(subject.facts)? {
        return Ok(Vec::new());
    }
    let addr = &subject.entry.master.addr;
    let fix = Fix::set(addr, master, Directive::Masterauth, "PASSWORD").noting(&format!(
        "PASSWORD is that of {}; with a user of its own also masteruser",
        subject.server.addr
    ));
    let what = format!(
        "it has no masterauth, but {} asks for a password: after a switch it cannot follow",
        subject.server.addr
    );
    let problem = Problem::new(
        FindingSeverity::Critical,
        what,
        Evidence::new(
            "masterauth not set".to_owned(),
            format!("the password of {}", subject.server.addr),
            subject.on_both("CONFIG GET (passwords are only looked at for being empty)"),
        ),
        fix,
    );
    Ok(vec![problem.on(addr)])
}

/// Whether a client of the default user has to log in.
fn asks_for_login(facts: &ServerFacts) -> Result<bool, Gap> {
    if !facts.logged_in {
        return Ok(false);
    }
    if let Ok(users) = &facts.users
        && let Some(nopass) = users.default_needs_no_password()
    {
        return Ok(!nopass);
    }
    if facts.has_secret(Directive::Requirepass)? {
        return Ok(true);
    }
    Err(Gap::because(
        "whether its default user needs a password is not known: give the user +acl|list",
    ))
}

/// A6: users that applications log in with are missing on the replica, or are different there.
pub(in crate::doctor) fn users(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    let of_master = master.users.as_ref().map_err(Clone::clone)?;
    let own = subject.facts.users.as_ref().map_err(Clone::clone)?;
    let missing = of_master.missing_in(own);
    let same_words = master
        .redis_version()?
        .is_same_line(subject.facts.redis_version()?);
    // Other releases write the same rules in other words.
    let different = if same_words {
        of_master.different_in(own)
    } else {
        Vec::new()
    };
    if missing.is_empty() && different.is_empty() {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("it lacks {}", names(&missing)));
    }
    if !different.is_empty() {
        parts.push(format!(
            "it has other rights or passwords for {}",
            names(&different)
        ));
    }
    let count = missing.len() + different.len();
    let differ = if count == 1 {
        "user differs"
    } else {
        "users differ"
    };
    let mut commands = Vec::new();
    for name in missing.iter().chain(&different).take(MOST_NAMES) {
        commands.push(format!("ACL SETUSER {} RULES", shell_quote(name)));
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!("its users are not the master's: {}", parts.join("; ")),
        Evidence::new(
            format!("{count} {differ}"),
            "the users of the master".to_owned(),
            subject.on_both("ACL LIST (rights and hashes are compared, and not shown)"),
        ),
        Fix::commands(
            &subject.server.addr,
            commands,
            "RULES as ACL LIST on the master shows them; ACL SAVE keeps them where there is an \
             aclfile, CONFIG REWRITE where there is none",
        ),
    )])
}

/// The most names that a sentence lists.
const MOST_NAMES: usize = 5;

fn names(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(MOST_NAMES).copied().collect();
    let more = names.len() - shown.len();
    if more > 0 {
        return format!("{} and {more} more", shown.join(", "));
    }
    shown.join(", ")
}

/// A10: the replica takes fewer connections than the master has.
pub(in crate::doctor) fn max_clients(subject: &Subject<'_>) -> Verdict {
    let master = subject.master()?;
    let connected = *reported(&master.details.connected_clients, "connected_clients")?;
    let own = match subject.facts.details.max_clients.value() {
        Some(number) => number,
        None => subject.facts.number(Directive::Maxclients)?,
    };
    // `as` saturates, and neither has a sign.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let needed = (connected as f64 * CLIENTS_MARGIN).ceil() as u64;
    if own >= needed {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!("it takes {own} clients, and the master has {connected}"),
        Evidence::new(
            format!("maxclients {own}"),
            format!("at least {needed}, the master's clients and a fifth"),
            subject.on_both("INFO clients"),
        ),
        Fix::set(
            &subject.server.addr,
            subject.facts,
            Directive::Maxclients,
            &needed.to_string(),
        ),
    )])
}

/// A11: the replica takes writes of its own.
pub(in crate::doctor) fn read_only(subject: &Subject<'_>) -> Verdict {
    let Some(upstream) = &subject.facts.observation.replication.upstream else {
        return Err(Gap::because("it claims to be a master"));
    };
    if *reported(&upstream.read_only, "slave_read_only")? {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Critical,
        "it takes writes of its own, which no offset counts and no other server gets".to_owned(),
        Evidence::new(
            "replica-read-only no".to_owned(),
            "yes".to_owned(),
            subject.on_server("INFO replication"),
        ),
        Fix::set_named(
            &subject.server.addr,
            subject.facts,
            "replica-read-only",
            "yes",
        )
        .noting("what was written already stays until the next full sync"),
    )])
}

/// A12: the server has no file, so that its role is lost at a restart.
pub(in crate::doctor) fn config_file(subject: &Subject<'_>) -> Verdict {
    if subject.facts.config_file()?.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        "it was started without a configuration file: CONFIG REWRITE is impossible, and a restart \
         gives it back the role that it was started with"
            .to_owned(),
        Evidence::new(
            "config_file is empty".to_owned(),
            "a file that the server may write".to_owned(),
            subject.on_server("INFO server"),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "start it as redis-server /path/redis.conf; where an operator or orchestrator owns the \
             roles, ignore A12 and say so",
        ),
    )])
}
