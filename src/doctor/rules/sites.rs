//! Chapter G: sites that applications write to side by side.

use super::super::directive::Directive;
use super::super::facts::{Gap, optional, reported};
use super::super::finding::{Evidence, FindingSeverity, Fix, Problem};
use super::super::site_subject::SiteSubject;
use super::super::subject::{Subject, Verdict};
use super::reachable::certain_difference;
use crate::model::Span;

/// From this difference on the later clock wins over later writes.
const CLOCK_WARNING: Span = Span::from_millis(500);

/// From this difference on it does so all the time.
const CLOCK_CRITICAL: Span = Span::from_secs(5);

/// Of a pair there is nothing to check.
pub(in crate::doctor) fn of_no_pair(_: &Subject<'_>) -> Verdict {
    Err(Gap::NotApplicable)
}

/// G1: a full server evicts the queue, or tombstones.
pub(in crate::doctor) fn eviction(subject: &SiteSubject<'_>) -> Verdict {
    let facts = subject.facts;
    let policy = reported(&facts.details.eviction_policy, "maxmemory_policy")?.as_str();
    let limit = optional(&facts.details.max_memory, "maxmemory")?;
    let is_any = policy.starts_with("allkeys-");
    let is_volatile = policy.starts_with("volatile-");
    let (severity, what) = match (limit, subject.queue) {
        (Some(_), Some(queue)) if is_any => (
            FindingSeverity::Critical,
            format!("when its memory is full it may evict the whole queue {queue}, and tombstones"),
        ),
        (Some(_), None) if is_any => (
            FindingSeverity::Warning,
            "when its memory is full it may evict tombstones and values".to_owned(),
        ),
        (None, _) if is_any => (
            FindingSeverity::Advice,
            "it would evict the queue and tombstones if its memory had a limit".to_owned(),
        ),
        (Some(_), _) if is_volatile => (
            FindingSeverity::Advice,
            "when its memory is full it may evict tombstones: deleted keys can come back"
                .to_owned(),
        ),
        _ => return Ok(Vec::new()),
    };
    let shown = match limit {
        Some(limit) => format!("maxmemory-policy {policy}, maxmemory {}", limit.get()),
        None => format!("maxmemory-policy {policy}, no limit"),
    };
    Ok(vec![Problem::new(
        severity,
        what,
        Evidence::new(
            shown,
            "noeviction".to_owned(),
            subject.on_server("INFO memory"),
        ),
        Fix::set_named(
            &subject.server.addr,
            facts,
            "maxmemory-policy",
            "noeviction",
        )
        .noting("a cache beside it belongs on a server of its own"),
    )])
}

/// G2: a restart loses writes that the other site does not have yet.
pub(in crate::doctor) fn persistence(subject: &SiteSubject<'_>) -> Verdict {
    let facts = subject.facts;
    if facts.has_aof()? {
        return Ok(Vec::new());
    }
    let (severity, what) = if facts.saves()? {
        (
            FindingSeverity::Warning,
            "a restart loses what was written since the last snapshot, and its part of the queue",
        )
    } else {
        (
            FindingSeverity::Critical,
            "it keeps nothing on its disk: a restart loses all values, counters and the queue",
        )
    };
    let save = facts.setting(Directive::Save)?;
    Ok(vec![Problem::new(
        severity,
        what.to_owned(),
        Evidence::new(
            format!("appendonly no, save {save:?}"),
            "appendonly yes".to_owned(),
            subject.on_server("CONFIG GET save, INFO persistence"),
        ),
        Fix::set_named(&subject.server.addr, facts, "appendonly", "yes"),
    )])
}

/// G3: the clocks of two sites differ. Each is compared with those of the sites before it.
pub(in crate::doctor) fn clocks(subject: &SiteSubject<'_>) -> Verdict {
    let mut found = Vec::new();
    for other in subject.before {
        // That this one could not be asked is said of it.
        let Ok(Ok(reference)) = other.facts().map(|facts| facts.clock.clone()) else {
            continue;
        };
        let own = subject.facts.clock.clone()?;
        let (difference, is_ahead) = certain_difference(own, reference);
        if difference < CLOCK_WARNING {
            continue;
        }
        let severity = if difference < CLOCK_CRITICAL {
            FindingSeverity::Warning
        } else {
            FindingSeverity::Critical
        };
        let direction = if is_ahead { "ahead of" } else { "behind" };
        let dc = &other.dc;
        found.push(Problem::new(
            severity,
            format!("its clock is at least {difference} {direction} that of {dc}"),
            Evidence::new(
                format!(
                    "{difference} {direction} {}, the round trips subtracted",
                    other.addr
                ),
                format!("less than {CLOCK_WARNING}"),
                format!("TIME on {} and {}", subject.server.addr, other.addr),
            ),
            Fix::by_hand(
                &subject.server.addr,
                "synchronise the clocks of both machines (chrony or systemd-timesyncd)",
            ),
        ));
    }
    Ok(found)
}
