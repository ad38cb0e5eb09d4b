//! What each alert rule of a pair compares with its thresholds.

use std::sync::Arc;

use super::alert_keys::PairKeys;
use super::alerting::{ObservedPair, Since};
use super::context::PairFault;
use crate::alert::{AlertKey, Inhibitor, Reading, RuleInput, ServedPair, ServiceRole};
use crate::config::{AlertSettings, LevelRule};
use crate::model::{Bytes, Share, Span, TimeLeft, Timestamp};
use crate::replication::{
    Assessment, HistoryLoss, LONGEST_HEADROOM, LagBytes, LagInterval, NoForecast, OutputBuffer,
    PairState,
};

/// The rule about output buffers where masters are not asked for them: it is off.
const NOT_ASKED: LevelRule<Share> = LevelRule {
    warning: None,
    critical: None,
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// What one rule of a pair reads, and what its alert is about.
pub(super) struct PairReading<'a> {
    pub(super) key: &'a AlertKey,
    pub(super) input: RuleInput<'a>,
    pub(super) fault: PairFault,
    pub(super) inhibitors: &'a Arc<[Inhibitor]>,
}

/// The reading of each rule of a pair. `is_down`: whether the alert about its link fires;
/// `asks_buffers`: whether masters are asked for their output buffers.
pub(super) fn pair_readings<'a>(
    keys: &'a PairKeys,
    observed: &ObservedPair<'a>,
    is_down: bool,
    asks_buffers: bool,
    now: Timestamp,
) -> [PairReading<'a>; 7] {
    let seen = observed.seen;
    let rules: &AlertSettings = &observed.pair.alerts;
    let inhibitors = &keys.inhibitors;
    let unknown_for = (now - observed.since.known).or_zero();
    let buffer_rule = if asks_buffers {
        &rules.output_buffer
    } else {
        &NOT_ASKED
    };
    [
        PairReading {
            key: &keys.lag_seconds,
            input: seconds(&rules.lag_seconds, lag_reading(seen.lag)),
            fault: PairFault::Lag,
            inhibitors: &inhibitors.lag,
        },
        PairReading {
            key: &keys.lag_bytes,
            input: RuleInput::Bytes {
                rule: &rules.lag_bytes,
                reading: bytes_reading(seen.bytes),
            },
            fault: PairFault::Lag,
            inhibitors: &inhibitors.lag,
        },
        PairReading {
            key: &keys.link_down,
            input: seconds(&rules.link_down, link_reading(observed, is_down, now)),
            fault: PairFault::Link,
            inhibitors: &inhibitors.link,
        },
        PairReading {
            key: &keys.unknown,
            input: seconds(&rules.unknown, Reading::exact(unknown_for)),
            fault: PairFault::Unknown,
            inhibitors: &inhibitors.unknown,
        },
        PairReading {
            key: &keys.diverged,
            input: seconds(&rules.diverged, diverged_reading(seen, observed.since, now)),
            fault: PairFault::Diverged,
            inhibitors: &inhibitors.diverged,
        },
        PairReading {
            key: &keys.backlog_headroom,
            input: RuleInput::TimeLeft {
                rule: &rules.backlog_headroom,
                reading: headroom_reading(observed),
            },
            fault: PairFault::Headroom,
            inhibitors: &inhibitors.lag,
        },
        PairReading {
            key: &keys.output_buffer,
            input: RuleInput::Share {
                rule: buffer_rule,
                reading: buffer_reading(observed.output_buffer(now)),
            },
            fault: PairFault::OutputBuffer,
            inhibitors: &inhibitors.lag,
        },
    ]
}

const fn seconds(rule: &LevelRule<Span>, reading: Reading<Span>) -> RuleInput<'_> {
    RuleInput::Seconds { rule, reading }
}

const fn lag_reading(lag: LagInterval) -> Reading<Span> {
    Reading {
        estimate: lag.estimate,
        lower: lag.lower,
        upper: lag.upper,
    }
}

const fn bytes_reading(bytes: LagBytes) -> Reading<Bytes> {
    Reading {
        estimate: bytes.estimate,
        lower: bytes.lower,
        upper: bytes.upper,
    }
}

/// How long the link may be cut, as it is expected. Where the master writes next to nothing its
/// backlog lasts for longer than any level.
fn headroom_reading(observed: &ObservedPair<'_>) -> Reading<TimeLeft> {
    match observed.expected_headroom() {
        Ok(lasts) => Reading::exact(TimeLeft(lasts)),
        Err(NoForecast::NothingWritten) => Reading {
            upper: Some(TimeLeft(LONGEST_HEADROOM)),
            ..Reading::NO_DATA
        },
        Err(_) => Reading::NO_DATA,
    }
}

/// How full an output buffer is. One that is gone or has no limit is not full. Before the first
/// answer nothing is known: a restored alert stays until then.
fn buffer_reading(buffer: Result<OutputBuffer, NoForecast>) -> Reading<Share> {
    match buffer.and_then(|buffer| buffer.full) {
        Ok(full) => Reading::exact(full),
        Err(NoForecast::NoLimit | NoForecast::NoConnection) => Reading::exact(Share::default()),
        Err(_) => Reading::NO_DATA,
    }
}

/// How long the pair has been diverged: from the first moment on at least the smallest threshold.
/// Not known while a server does not answer.
fn diverged_reading(seen: &Assessment, since: Since, now: Timestamp) -> Reading<Span> {
    let Some(since) = since.diverged else {
        return Reading::exact(Span::ZERO);
    };
    if seen.state != PairState::Diverged {
        return Reading::NO_DATA;
    }
    Reading::exact((now - since).max(Span::from_millis(1)))
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
/// located in its master's history again: before that, its lag is still the lag of the outage. The
/// full sync that ends an outage counts as part of it, if the alert fires already. Every other
/// state has its own rule or none, and leaves the alert as it is.
fn link_reading(observed: &ObservedPair<'_>, is_down: bool, now: Timestamp) -> Reading<Span> {
    let seen = observed.seen;
    let outage = observed.link.outage();
    let outage_lasts = outage.and_then(|outage| outage.lasts(now));
    let is_back = outage.is_none_or(|outage| outage.is_located(seen));
    match seen.state {
        PairState::LinkDown | PairState::Stalled => match seen.link_down_for {
            Some(down_for) => Reading::exact(outage_lasts.unwrap_or(down_for).max(down_for)),
            None => Reading::NO_DATA,
        },
        PairState::FullSync if is_down => exact_if_known(outage_lasts),
        PairState::Streaming if is_back => Reading::exact(Span::ZERO),
        _ => Reading::NO_DATA,
    }
}

/// The reading of a value that is exact where it is known.
pub(super) fn exact_if_known<T: Copy + PartialOrd>(value: Option<T>) -> Reading<T> {
    match value {
        Some(value) => Reading::exact(value),
        None => Reading::NO_DATA,
    }
}

/// The reason of an alert about full syncs, followed by the syncs that are in progress.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_answer_it_is_not_known_how_full_a_buffer_is() {
        assert!(buffer_reading(Err(NoForecast::NotAsked)).is_no_data());
        let gone = buffer_reading(Err(NoForecast::NoConnection));
        assert_eq!(gone, Reading::exact(Share::default()));
    }
}
