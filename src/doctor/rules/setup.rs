//! Chapters D and F: how the pair is set up, and what its history shows.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::directive::Directive;
use super::super::facts::{Gap, ServerAudit, reported};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{Subject, Verdict};
use crate::info::{ReplicaLine, UpstreamInfo};
use crate::model::ServerAddr;

/// D1: whether an isolated master stops taking writes.
pub(in crate::doctor) fn self_fence(subject: &Subject<'_>) -> Verdict {
    let facts = subject.facts;
    let wanted = facts.number(Directive::MinReplicasToWrite)?;
    let max_lag = facts.number(Directive::MinReplicasMaxLag)?;
    let dc = &subject.server.dc;
    let replicas = subject.entry.replicas.iter();
    let local = replicas.filter(|replica| replica.dc == *dc).count() as u64;
    let is_on = wanted > local && max_lag > 0;
    let what = if is_on {
        format!(
            "once it is cut from the other datacenter it stops taking writes, {} s later; a broken \
             line does the same",
            max_lag.saturating_add(1)
        )
    } else {
        format!(
            "once it is cut from the other datacenter it goes on taking writes, with {local} replicas in {dc}"
        )
    };
    let fence = local.saturating_add(1).to_string();
    let fix = if is_on {
        Fix::set(
            &subject.server.addr,
            facts,
            Directive::MinReplicasToWrite,
            "0",
        )
        .noting("only if writes matter more than a loss of them")
    } else {
        Fix::set(
            &subject.server.addr,
            facts,
            Directive::MinReplicasToWrite,
            &fence,
        )
        .noting("only if a loss of writes matters more than taking them: a cut line stops them all")
    };
    let consequence = if is_on {
        "A cut between the datacenters stops every write, and none of them is lost."
    } else {
        "Writes that it takes while it is cut off are lost once another server is promoted."
    };
    let problem = Problem::new(
        FindingSeverity::Advice,
        what,
        Evidence::new(
            format!("min-replicas-to-write {wanted}, min-replicas-max-lag {max_lag}"),
            format!("a choice: above {local} a cut stops its writes, up to {local} it does not"),
            subject.on_server("CONFIG GET"),
        ),
        fix,
    );
    Ok(vec![problem.then(consequence)])
}

/// D2: the Sentinels would promote the wrong replica, or none.
pub(in crate::doctor) fn priorities(subject: &Subject<'_>) -> Verdict {
    let mut priorities = Vec::new();
    for replica in &subject.entry.replicas {
        priorities.push((replica, priority(replica)?));
    }
    let evidence = |value: String, need: &str| {
        Evidence::new(
            value,
            need.to_owned(),
            "INFO replication of every replica (slave_priority)".to_owned(),
        )
    };
    if !priorities.is_empty() && priorities.iter().all(|(_, priority)| *priority == 0) {
        let (replica, _) = priorities.swap_remove(0);
        let fix = Fix::set_named(&replica.addr, replica.facts()?, "replica-priority", "100");
        let problem = Problem::new(
            FindingSeverity::Critical,
            "no replica may be promoted: in a disaster SENTINEL FAILOVER answers NOGOODSLAVE"
                .to_owned(),
            evidence(
                "replica-priority 0 on all".to_owned(),
                "at least one above 0",
            ),
            fix,
        );
        return Ok(vec![problem.on(&replica.addr)]);
    }
    let dc = &subject.server.dc;
    let local = priorities.iter().filter(|(replica, _)| replica.dc == *dc);
    let Some(last_local) = local
        .map(|(_, priority)| *priority)
        .filter(|p| *p > 0)
        .max()
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (replica, priority) in priorities {
        if replica.dc == *dc || priority == 0 || priority > last_local {
            continue;
        }
        let wanted = last_local.saturating_add(100).to_string();
        let fix = Fix::set_named(&replica.addr, replica.facts()?, "replica-priority", &wanted);
        let problem = Problem::new(
            FindingSeverity::Warning,
            format!(
                "Sentinels may prefer it to the replicas in {dc}, so a small fault there becomes a switch of the datacenter"
            ),
            evidence(
                format!("replica-priority {priority}"),
                &format!(
                    "above {last_local}, that of the replicas in {dc} (not 0: then it can never be promoted)"
                ),
            ),
            fix,
        );
        found.push(problem.on(&replica.addr));
    }
    Ok(found)
}

fn priority(replica: &ServerAudit) -> Result<u64, Gap> {
    let facts = replica.facts()?;
    let upstream = facts.observation.replication.upstream.as_ref();
    match upstream {
        Some(UpstreamInfo { priority, .. }) => reported(priority, "slave_priority").copied(),
        None => Err(Gap::because(format!(
            "{} claims to be a master",
            replica.addr
        ))),
    }
}

/// D3: Sentinels do not learn of the replica.
pub(in crate::doctor) fn announced(subject: &Subject<'_>) -> Verdict {
    if *reported(&subject.facts.details.announced, "replica_announced")? {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        "Sentinels do not know it, so they can never promote it".to_owned(),
        Evidence::new(
            "replica_announced 0".to_owned(),
            "1, unless it is a backup on purpose".to_owned(),
            subject.on_server("INFO replication"),
        ),
        Fix::set_named(
            &subject.server.addr,
            subject.facts,
            "replica-announced",
            "yes",
        ),
    )])
}

/// D4: the master knows the replica under another address than this program.
pub(in crate::doctor) fn announced_address(subject: &Subject<'_>) -> Verdict {
    let lines = &subject.master()?.observation.replication.replicas;
    let server = &subject.server.addr;
    let Some((host, _)) = server.tcp() else {
        return Err(Gap::because("a Unix socket has no address to compare"));
    };
    let mut found = Vec::new();
    found.extend(shared_address(subject, lines));
    if is_listed(lines, server) {
        return Ok(found);
    }
    let listed = listed(lines);
    if lines.is_empty() {
        return Err(Gap::because("the master lists no replica"));
    }
    found.push(Problem::new(
        FindingSeverity::Advice,
        format!("its master does not list it as {server}, but lists {listed}"),
        Evidence::new(
            format!("slaveN {listed}"),
            format!("{server}, as it is configured here"),
            format!("INFO replication on {}", subject.entry.master.addr),
        ),
        Fix::set_named(server, subject.facts, "replica-announce-ip", host)
            .noting("and replica-announce-port, where that differs; right as it is where a proxy is in front"),
    ));
    Ok(found)
}

/// The replica's own address, where two lines share it or it is none.
fn shared_address(subject: &Subject<'_>, lines: &[ReplicaLine]) -> Option<Problem> {
    let mut counts: BTreeMap<(&str, u16), usize> = BTreeMap::new();
    for line in lines {
        if let Some(port) = line.port.value() {
            *counts.entry((&line.ip, port)).or_default() += 1;
        }
    }
    let own = subject.server.addr.host()?;
    counts.retain(|(ip, port), count| *ip == own && (*count > 1 || *port == 0));
    let ((ip, port), count) = counts.pop_first()?;
    let what = if port == 0 {
        format!("its master lists {ip}:0, a replica without a port: Sentinels remember it forever")
    } else {
        format!("its master lists {ip}:{port} {count} times: two replicas behind one address")
    };
    Some(Problem::new(
        FindingSeverity::Warning,
        what,
        Evidence::new(
            format!("{ip}:{port}, {count} times"),
            "an address of its own for each replica".to_owned(),
            format!("INFO replication on {}", subject.entry.master.addr),
        ),
        Fix::line(
            &subject.server.addr,
            "replica-announce-ip ADDRESS".to_owned(),
            "with replica-announce-port, in the file of each replica; end a tool that reads the stream",
        ),
    ))
}

/// Whether a master lists a replica of this address.
pub(super) fn is_listed(lines: &[ReplicaLine], server: &ServerAddr) -> bool {
    let Some((host, port)) = server.tcp() else {
        return false;
    };
    lines.iter().any(|line| is_same(line, host, port))
}

/// Whether a master's line may be about this address. A name cannot be compared with the address
/// that the line has, so its port alone counts.
fn is_same(line: &ReplicaLine, host: &str, port: u16) -> bool {
    let is_address = host.parse::<IpAddr>().is_ok();
    line.port.value() == Some(port) && (!is_address || line.ip == host)
}

fn listed(lines: &[ReplicaLine]) -> String {
    let shown = lines.iter().take(5).map(|line| match line.port.value() {
        Some(port) => format!("{}:{port}", line.ip),
        None => line.ip.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// D5: connections that are dead are kept.
pub(in crate::doctor) fn keepalive(subject: &Subject<'_>) -> Verdict {
    if subject.facts.number(Directive::TcpKeepalive)? > 0 {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        "it never notices clients that are gone: after a cut they count towards maxclients"
            .to_owned(),
        Evidence::new(
            "tcp-keepalive 0".to_owned(),
            "300, the default".to_owned(),
            subject.on_server("CONFIG GET"),
        ),
        Fix::set(
            &subject.server.addr,
            subject.facts,
            Directive::TcpKeepalive,
            "300",
        ),
    )])
}

/// The shortest time over which refusals are counted.
const DAY: f64 = 86_400.0;

/// F3: replicas ask for a partial resync and are refused, again and again.
pub(in crate::doctor) fn refused_resyncs(subject: &Subject<'_>) -> Verdict {
    let stats = &subject.facts.observation.stats;
    let refused = *reported(&stats.sync_partial_err, "sync_partial_err")?;
    let full = *reported(&stats.sync_full, "sync_full")?;
    let uptime = *reported(
        &subject.facts.observation.server.uptime,
        "uptime_in_seconds",
    )?;
    let days = (uptime.as_secs_f64() / DAY).max(1.0);
    if refused < 2 || (refused as f64) / days <= 1.0 {
        return Ok(Vec::new());
    }
    Ok(vec![Problem::new(
        FindingSeverity::Warning,
        format!(
            "it refused {refused} partial resyncs since its start {uptime} ago, so its replicas got full ones"
        ),
        Evidence::new(
            format!("sync_partial_err {refused}, sync_full {full}"),
            "at most one a day".to_owned(),
            format!(
                "{} (counters since its start, or since CONFIG RESETSTAT)",
                subject.on_server("INFO stats")
            ),
        ),
        Fix::by_hand(
            &subject.server.addr,
            "what B1 and B3 say of the backlog and the output buffers; restarts of a master with an \
             append-only file (C3) count, too",
        ),
    )])
}

/// After this many days without a drill one is advised.
const DRILL_DAYS: f64 = 35.0;

/// F1: whether the recovery was practised.
pub(in crate::doctor) fn drill(subject: &Subject<'_>) -> Verdict {
    let now = subject.options.now.as_secs_f64();
    let last = *subject.entry.last_drill.as_ref().map_err(Clone::clone)?;
    let days = last.map(|passed| (now - passed) / DAY);
    let value = match days {
        Some(days) if days <= DRILL_DAYS => return Ok(Vec::new()),
        Some(days) => format!("the last drill passed {days:.0} days ago"),
        None => "no drill has passed".to_owned(),
    };
    let pair = &subject.entry.name;
    Ok(vec![Problem::new(
        FindingSeverity::Advice,
        format!("{value}, as far as this machine knows"),
        Evidence::new(
            value,
            format!("one in {DRILL_DAYS:.0} days"),
            "the folder `drills` beside the state database".to_owned(),
        ),
        Fix::by_hand(
            &subject.server.addr,
            &format!("redis-cross-dc-exporter failover --drill --pair {pair}"),
        ),
    )])
}
