//! A8: whether the old master could connect to the new one, as seen from the old one's datacenter.

use super::super::facts::Gap;
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::subject::{SentinelAudit, Subject, Verdict};
use super::reachable::share_machine;
use super::setup::is_listed;
use crate::info::SentinelWatch;
use crate::model::Span;

/// A8: from the master's datacenter the replica's announced address leads nowhere.
pub(in crate::doctor) fn reverse_way(subject: &Subject<'_>) -> Verdict {
    let server = &subject.server.addr;
    let master = &subject.entry.master;
    // Servers of one machine reach each other, unless a Sentinel says otherwise.
    let mut is_reached = share_machine(server, &master.addr);
    for sentinel in &subject.entry.sentinels {
        match seen_from(subject, sentinel) {
            Some(Sight::Up) => is_reached = true,
            Some(Sight::Down(down_for)) => {
                return Ok(vec![unreachable(subject, sentinel, down_for)]);
            }
            None => {}
        }
    }
    if is_reached {
        return Ok(Vec::new());
    }
    // This program has reached the configured address: that is the announced one where the master
    // lists it.
    let runs_there = subject.entry.own_dc.as_ref() == Some(&master.dc);
    let is_announced = match master.facts() {
        Ok(facts) => is_listed(&facts.observation.replication.replicas, server),
        Err(_) => false,
    };
    if runs_there && is_announced {
        return Ok(Vec::new());
    }
    let dc = &master.dc;
    let why = if runs_there {
        format!("whether {dc} reaches it is not known: the master lists it under another address")
    } else {
        format!(
            "nobody in {dc} was asked whether it reaches {server}: run doctor there (with `local` at \
             that datacenter), or let a Sentinel there watch the pair"
        )
    };
    Err(Gap::because(why))
}

/// How a Sentinel sees the replica.
enum Sight {
    /// It answers.
    Up,
    /// It has not answered for this long.
    Down(Span),
}

/// How a Sentinel in the master's datacenter sees the replica. `None` where it is elsewhere, does
/// not know the replica, or does not see the master either.
fn seen_from(subject: &Subject<'_>, sentinel: &SentinelAudit) -> Option<Sight> {
    if sentinel.dc != subject.entry.master.dc {
        return None;
    }
    let watch: &SentinelWatch = sentinel.watch.as_ref().ok()?;
    if watch.master.down_for.is_some() {
        return None;
    }
    let own = subject.server.addr.to_string();
    let replica = watch.replicas.iter().find(|replica| replica.name == own)?;
    Some(replica.down_for.map_or(Sight::Up, Sight::Down))
}

fn unreachable(subject: &Subject<'_>, sentinel: &SentinelAudit, down_for: Span) -> Problem {
    let server = &subject.server.addr;
    let dc = &subject.entry.master.dc;
    let addr = &sentinel.addr;
    Problem::new(
        FindingSeverity::Critical,
        format!(
            "the Sentinel {addr} in {dc} has not reached it for {down_for}: after a switch the old \
             master could not follow it"
        ),
        Evidence::new(
            format!("s_down for {down_for} on {addr}, which sees the master"),
            format!("{server} answers in {dc}"),
            format!("SENTINEL REPLICAS on {addr}"),
        ),
        Fix::by_hand(
            server,
            "open the firewall in this direction, too, or correct replica-announce-ip and \
             replica-announce-port; `redis-cli -h REPLICA ping` on the master's machine shows it",
        ),
    )
}
