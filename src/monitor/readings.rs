//! The readings of each rule of a pair.

use std::sync::Arc;

use super::alert_keys::PairKeys;
use super::alerting::{PairLook, Since};
use super::context::PairFault;
use super::outage::Outage;
use crate::alert::{AlertKey, Inhibitor, Reading, RuleInput, ServedPair, ServiceRole};
use crate::config::AlertSettings;
use crate::model::{Span, Timestamp};
use crate::replication::{Assessment, HistoryLoss, PairState};

/// What one rule of a pair reads, and what its alert is about.
pub(super) struct PairReading<'a> {
    pub(super) key: &'a AlertKey,
    pub(super) input: RuleInput<'a>,
    pub(super) fault: PairFault,
    pub(super) inhibitors: &'a Arc<[Inhibitor]>,
}

/// What each rule of a pair reads. `is_down` says whether the alert about its link fires.
pub(super) fn pair_readings<'a>(
    keys: &'a PairKeys,
    look: &PairLook<'a>,
    is_down: bool,
    now: Timestamp,
) -> [PairReading<'a>; 5] {
    let lag = look.seen.lag;
    let bytes = look.seen.bytes;
    let rules: &AlertSettings = &look.pair.alerts;
    let inhibitors = &keys.inhibitors;
    let unknown_for = (now - look.since.known).or_zero();
    [
        PairReading {
            key: &keys.lag_seconds,
            input: RuleInput::Seconds {
                rule: &rules.lag_seconds,
                reading: Reading {
                    estimate: lag.estimate,
                    lower: lag.lower,
                    upper: lag.upper,
                },
            },
            fault: PairFault::Lag,
            inhibitors: &inhibitors.lag,
        },
        PairReading {
            key: &keys.lag_bytes,
            input: RuleInput::Bytes {
                rule: &rules.lag_bytes,
                reading: Reading {
                    estimate: bytes.estimate,
                    lower: bytes.lower,
                    upper: bytes.upper,
                },
            },
            fault: PairFault::Lag,
            inhibitors: &inhibitors.lag,
        },
        PairReading {
            key: &keys.link_down,
            input: RuleInput::Seconds {
                rule: &rules.link_down,
                reading: link_reading(look, is_down, now),
            },
            fault: PairFault::Link,
            inhibitors: &inhibitors.link,
        },
        PairReading {
            key: &keys.unknown,
            input: RuleInput::Seconds {
                rule: &rules.unknown,
                reading: Reading::exact(unknown_for),
            },
            fault: PairFault::Unknown,
            inhibitors: &inhibitors.unknown,
        },
        PairReading {
            key: &keys.diverged,
            input: RuleInput::Seconds {
                rule: &rules.diverged,
                reading: diverged_reading(look.seen, look.since, now),
            },
            fault: PairFault::Diverged,
            inhibitors: &inhibitors.diverged,
        },
    ]
}

/// How long the pair has been diverged: from the first moment on at least the smallest threshold.
/// Not known while a server does not answer.
fn diverged_reading(seen: &Assessment, since: Since, now: Timestamp) -> Reading<Span> {
    match (seen.state, since.diverged) {
        (PairState::Diverged, Some(since)) => {
            Reading::exact((now - since).max(Span::from_millis(1)))
        }
        (_, Some(_)) => Reading::NO_DATA,
        (_, None) => Reading::exact(Span::ZERO),
    }
}

/// Whether the master lost its history: 1 or 0.
pub(super) fn history_lost_reading(
    loss: Option<&Arc<HistoryLoss>>,
    now: Timestamp,
) -> Reading<u64> {
    let is_lost = loss.is_some_and(|loss| !loss.is_over(now));
    Reading::exact(u64::from(is_lost))
}

/// How long the link has been down or stalled. Zero while the pair streams, once the replica was
/// located in its master's history again: before that, its lag is the one of the outage. The full
/// sync that ends an outage is a part of it, if the alert fires already. Every other state has its
/// own rule or none, and leaves the alert as it is.
fn link_reading(look: &PairLook<'_>, is_down: bool, now: Timestamp) -> Reading<Span> {
    let seen = look.seen;
    let outage = look.link.outage();
    let lasts = outage
        .and_then(Outage::lasts_since)
        .map(|since| now - since);
    let is_back = outage.is_none_or(|outage| outage.is_located(seen));
    match (seen.state, seen.link_down_for, lasts) {
        (PairState::LinkDown | PairState::Stalled, Some(down), lasts) => {
            Reading::exact(lasts.unwrap_or(down).max(down))
        }
        (PairState::FullSync, _, Some(lasts)) if is_down => Reading::exact(lasts),
        (PairState::Streaming, ..) if is_back => Reading::exact(Span::ZERO),
        _ => Reading::NO_DATA,
    }
}

/// The reason of an alert about full syncs, followed by those that are in progress.
pub(super) fn with_syncs(reason: String, services: &[ServedPair]) -> String {
    let mut parts = vec![reason];
    for service in services {
        if service.role == ServiceRole::Master
            && let Some(sync) = service.sync
        {
            let ServedPair { pair, peer, .. } = service;
            parts.push(format!("; {pair}, replica {peer}: {sync}"));
        }
    }
    parts.concat()
}
