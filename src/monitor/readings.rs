//! What each rule reads of a pair.

use std::sync::Arc;

use super::alert_keys::PairKeys;
use super::alerting::{PairLook, Since};
use super::context::PairFault;
use super::outage::Outage;
use crate::alert::{AlertKey, Inhibitor, Reading, RuleInput, ServedPair, ServiceRole};
use crate::config::AlertSettings;
use crate::model::{Span, Timestamp};
use crate::replication::{Assessment, HistoryLoss, PairState};

pub(super) type PairInput<'a> = (&'a AlertKey, RuleInput<'a>, PairFault, &'a Arc<[Inhibitor]>);

/// What each rule of a pair reads. `is_down` says whether the alert about its link fires.
pub(super) fn pair_inputs<'a>(
    keys: &'a PairKeys,
    look: &PairLook<'a>,
    is_down: bool,
    now: Timestamp,
) -> [PairInput<'a>; 5] {
    let seen = look.seen;
    let rules: &AlertSettings = &look.pair.alerts;
    let seconds = |rule, reading| RuleInput::Seconds { rule, reading };
    let lag = Reading {
        estimate: seen.lag.estimate,
        lower: seen.lag.lower,
        upper: seen.lag.upper,
    };
    let bytes = RuleInput::Bytes {
        rule: &rules.lag_bytes,
        reading: Reading {
            estimate: seen.bytes.estimate,
            lower: seen.bytes.lower,
            upper: seen.bytes.upper,
        },
    };
    let lag = seconds(&rules.lag_seconds, lag);
    let link = seconds(&rules.link_down, link_reading(look, is_down, now));
    let unknown_for = Reading::exact((now - look.since.known).or_zero());
    let unknown = seconds(&rules.unknown, unknown_for);
    let diverged = diverged_reading(seen, look.since, now);
    let diverged = seconds(&rules.diverged, diverged);
    let inhibitors = &keys.inhibitors;
    [
        (&keys.lag_seconds, lag, PairFault::Lag, &inhibitors.lag),
        (&keys.lag_bytes, bytes, PairFault::Lag, &inhibitors.lag),
        (&keys.link_down, link, PairFault::Link, &inhibitors.link),
        (
            &keys.unknown,
            unknown,
            PairFault::Unknown,
            &inhibitors.unknown,
        ),
        (
            &keys.diverged,
            diverged,
            PairFault::Diverged,
            &inhibitors.diverged,
        ),
    ]
}

/// How long the pair has been diverged: from its first moment on at least the smallest level. While
/// a server is silent, nobody knows.
fn diverged_reading(seen: &Assessment, since: Since, now: Timestamp) -> Reading<Span> {
    match (seen.state, since.diverged) {
        (PairState::Diverged, Some(since)) => {
            Reading::exact((now - since).max(Span::from_millis(1)))
        }
        (_, Some(_)) => Reading::NO_DATA,
        (_, None) => Reading::exact(Span::ZERO),
    }
}

/// Whether the master lost its history: once.
pub(super) fn history_lost_reading(
    loss: Option<&Arc<HistoryLoss>>,
    now: Timestamp,
) -> Reading<u64> {
    let is_lost = loss.is_some_and(|loss| !loss.is_over(now));
    Reading::exact(u64::from(is_lost))
}

/// How long the link has been down or stalled. Streaming is zero, once the replica was placed in its
/// master's history again: before that its lag is the one of the outage. A full sync that makes up
/// for an outage which fires is a part of it. Every other state has its own rule or none, and leaves
/// an alert as it is.
fn link_reading(look: &PairLook<'_>, is_down: bool, now: Timestamp) -> Reading<Span> {
    let seen = look.seen;
    let lasts = look
        .link
        .outage()
        .and_then(Outage::lasts_since)
        .map(|since| now - since);
    let is_back = look
        .link
        .outage()
        .is_none_or(|outage| outage.is_placed(seen));
    match (seen.state, seen.link_down_for, lasts) {
        (PairState::LinkDown | PairState::Stalled, Some(down), lasts) => {
            Reading::exact(lasts.map_or(down, |lasts| lasts.max(down)))
        }
        (PairState::FullSync, _, Some(lasts)) if is_down => Reading::exact(lasts),
        (PairState::Streaming, ..) if is_back => Reading::exact(Span::ZERO),
        _ => Reading::NO_DATA,
    }
}

/// The reason of an alert about full syncs, with those that are under way.
pub(super) fn with_syncs(reason: String, services: &[ServedPair]) -> String {
    let given = services
        .iter()
        .filter(|service| service.role == ServiceRole::Master);
    let syncs = given.filter_map(|service| {
        let sync = service.sync?;
        Some(format!(
            "; {}, replica {}: {sync}",
            service.pair, service.peer
        ))
    });
    syncs.fold(reason, |reason, sync| reason + &sync)
}
