//! The lag at one instant, extrapolated from the last polls.

use super::super::lag::{LagBytes, LagInterval};
use super::super::pair::{Located, PairFacts, Relation};
use super::Evidence;
use super::silence::{silent_bytes, silent_lag};
use crate::model::{Span, Timestamp};

/// While a position moves, its trend is extrapolated over at most this many polls.
const EXTRAPOLATED_POLLS: f64 = 1.5;

/// Where a position was learned more than this many polling intervals before the replica's last
/// answer, the replica was silent in between.
const PLACED_WITHIN_POLLS: f64 = 2.0;

/// A trend counts only where one of its two estimates is above this; smaller changes are noise.
const TREND_FLOOR: Span = Span::from_millis(50);

/// Seconds of lag at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct CurrentLag {
    pub(super) lag: LagInterval,
    /// Whether it rests on the assumption that a silent replica applies only what it ACKs.
    pub(super) stale: bool,
}

impl CurrentLag {
    const fn certain(lag: LagInterval) -> Self {
        Self { lag, stale: false }
    }
}

/// Seconds of lag at `now`.
pub(super) fn seconds_at(evidence: Evidence<'_>, now: Timestamp) -> CurrentLag {
    let pair = evidence.pair;
    if evidence.master_is_unpolled(now) {
        // It may have written anything, and the replica may have applied it.
        return CurrentLag::certain(LagInterval::UNKNOWN);
    }
    let Some(located) = pair.placed() else {
        return CurrentLag::certain(lag_during_handover(evidence, now));
    };
    if evidence.master_is_silent(now) {
        return CurrentLag::certain(LagInterval {
            lower: located.at_sample.lower,
            ..LagInterval::UNKNOWN
        });
    }
    if let Some(unanswered) = silent_since(evidence, located, now) {
        let mut lag = silent_lag(pair, located, unanswered, now);
        if !is_replica_at_fault(evidence, now) {
            lag.estimate = None;
        }
        return CurrentLag {
            lag: bounded_by_heartbeats(lag, pair, located, now),
            stale: true,
        };
    }
    let lag = lag_while_answering(pair, located, now);
    CurrentLag::certain(bounded_by_heartbeats(lag, pair, located, now))
}

/// The lag at `now` of a replica that answers.
fn lag_while_answering(pair: &PairFacts, located: &Located, now: Timestamp) -> LagInterval {
    let estimate = extrapolated(pair, located, now);
    // What was certain at the sample no longer is while the replica catches up.
    let mut lower = located.at_sample.lower;
    if let Some(estimate) = estimate {
        lower = lower.map(|lower| lower.min(estimate.or_zero()));
    }
    LagInterval {
        lower,
        estimate,
        upper: located.bracket.lo.map(|lo| now - lo),
    }
}

/// The estimate at `now` while the replica answers.
fn extrapolated(pair: &PairFacts, located: &Located, now: Timestamp) -> Option<Span> {
    if located.bracket.hi.is_none() {
        if located.is_caught_up() {
            return located.at_sample.estimate;
        }
        return None; // the end of a history that has ended proves nothing about what came after it
    }
    if located.is_frozen() {
        let passed = located.point?.at;
        return Some(now - passed);
    }
    let last = located.at_sample.estimate?;
    let slope = trend(located, last);
    let since = now - located.received();
    let ahead = since.min(pair.interval.mul_f64(EXTRAPOLATED_POLLS));
    Some(last + ahead.or_zero().mul_f64(slope))
}

/// Seconds of lag that come or go in a second, by the last two polls; 0 where they show no trend.
fn trend(located: &Located, last: Span) -> f64 {
    let Some((before_at, before)) = located.previous else {
        return 0.0;
    };
    if located.is_usual || last.max(before) <= TREND_FLOOR {
        return 0.0;
    }
    let between = located.received() - before_at;
    if between <= Span::ZERO {
        return 0.0;
    }
    // An answer that took long may be older than it seems: no reason to expect more.
    let steepest = if located.took_long() { 0.0 } else { 1.0 };
    let slope = (last - before).as_secs_f64() / between.as_secs_f64();
    slope.min(steepest)
}

/// The interval with the upper bound that heartbeats prove: the replica has everything up to some
/// instant. A heartbeat that has not arrived proves nothing, because its own way back may be slow.
/// docs/lag.md, "Heartbeats".
fn bounded_by_heartbeats(
    lag: LagInterval,
    pair: &PairFacts,
    located: &Located,
    now: Timestamp,
) -> LagInterval {
    let mut upper = lag.upper;
    if located.is_current()
        && let Some(proven) = pair.heartbeats.proven_up_to()
    {
        let by_heartbeat = now - proven;
        let by_polls = upper.unwrap_or(by_heartbeat);
        upper = Some(by_polls.min(by_heartbeat));
    }
    LagInterval { upper, ..lag }.ordered()
}

/// The lag in the first seconds after the master reported that it is a replica; the next answers
/// show which server continues its history. As with a master that misses a poll, the estimate holds
/// until two answers are missing. But clients may have written to another server since before that
/// answer, so nothing bounds the lag.
fn lag_during_handover(evidence: Evidence<'_>, now: Timestamp) -> LagInterval {
    let Some(estimate) = estimate_during_handover(evidence, now) else {
        return LagInterval::UNKNOWN;
    };
    LagInterval {
        lower: Some(Span::ZERO),
        estimate: Some(estimate),
        upper: None,
    }
    .ordered()
}

fn estimate_during_handover(evidence: Evidence<'_>, now: Timestamp) -> Option<Span> {
    let pair = evidence.pair;
    let since_answer = now - pair.master_at?;
    if !matches!(pair.relation, Relation::MasterIsReplica { .. })
        || since_answer > pair.interval.mul_f64(PLACED_WITHIN_POLLS)
    {
        return None;
    }
    let located = pair.located.as_ref()?;
    if !located.is_current() {
        return None;
    }
    match silent_since(evidence, located, now) {
        Some(unanswered) => silent_lag(pair, located, unanswered, now).estimate,
        None => extrapolated(pair, located, now),
    }
}

/// Since when the replica's position is not known; `None` while its answers show it.
///
/// A replica that was frozen for an hour would otherwise show, when it continues, the lag that it
/// had before.
fn silent_since(evidence: Evidence<'_>, located: &Located, now: Timestamp) -> Option<Timestamp> {
    let Evidence { replica, pair, .. } = evidence;
    let interval = pair.interval;
    let is_restored = pair.relation == Relation::Restored;
    if is_restored && pair.silent_before.is_some() {
        return pair.silent_before;
    }
    if replica.unanswered_since.is_some() {
        return replica.unanswered_since;
    }
    let next_poll = located.received() + interval;
    if is_restored {
        return Some(next_poll);
    }
    if located.is_late(interval) {
        return Some(located.sent());
    }
    let is_unknown = answered_after_silence(evidence, located)
        || replica.is_silent(now, interval)
        || replica.gap(now, interval).is_some();
    if is_unknown { Some(next_poll) } else { None }
}

/// Whether the replica answers again after a silence, and the master has not been asked since. Two
/// answers of the replica are compared, and not an answer with `now`: a replica that is not polled
/// is not silent.
fn answered_after_silence(evidence: Evidence<'_>, located: &Located) -> bool {
    let Some((_, received)) = evidence.replica.last_answer else {
        return false;
    };
    received - located.received() > evidence.pair.interval.mul_f64(PLACED_WITHIN_POLLS)
}

/// Whether the replica itself is silent: this exporter has not just been restarted or paused
/// without polling it since. An estimate depends on that; bounds do not.
fn is_replica_at_fault(evidence: Evidence<'_>, now: Timestamp) -> bool {
    let Evidence { replica, pair, .. } = evidence;
    let is_confirmed = pair.relation != Relation::Restored || replica.failures > 0;
    is_confirmed && replica.gap(now, pair.interval).is_none()
}

/// Bytes of lag: as of the last poll, or up to the master's newest offset while the replica applies
/// nothing.
pub(super) fn bytes_at(evidence: Evidence<'_>, now: Timestamp) -> LagBytes {
    let pair = evidence.pair;
    let Some(located) = pair.placed() else {
        return LagBytes::UNKNOWN;
    };
    // After a history has ended the master counts in another one: a difference means nothing.
    if !located.is_current() || evidence.master_is_unpolled(now) {
        return LagBytes::UNKNOWN;
    }
    if evidence.master_is_silent(now) {
        return LagBytes {
            lower: located.bytes.lower,
            ..LagBytes::UNKNOWN
        };
    }
    if silent_since(evidence, located, now).is_some() {
        let mut bytes = silent_bytes(pair, located);
        if !is_replica_at_fault(evidence, now) {
            bytes.estimate = None;
        }
        return bytes;
    }
    if !located.is_frozen() {
        return located.bytes;
    }
    let mut bytes = located.bytes;
    if let Some(newest) = pair.master_offset {
        let lacking = newest.since(located.applied());
        bytes.estimate = Some(lacking);
        bytes.upper = bytes.upper.max(Some(lacking));
    }
    bytes
}
