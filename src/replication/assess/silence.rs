//! The lag of a silent replica: by its last answer, and by what it still ACKs to its master.
//!
//! Everything here rests on one assumption: that it is still the same process with the same data.
//! Where the master shows that it may not be (it has synced a replica since), only what was ACKed
//! after that counts. docs/lag.md, "A silent replica".

use super::super::history::{Bracket, Point};
use super::super::lag::{LagBytes, LagInterval};
use super::super::pair::{ACK_PERIOD, AckArrival, Acked, Located, PairFacts};
use crate::model::{Bytes, Span, Timestamp};

/// How much of what a replica may have applied before it stopped it is assumed to have applied.
/// Half would be right on average. It is a little less, because a late alert costs more than an
/// early one.
const APPLIED_BEFORE_STOP: f64 = 0.4;

/// What is known of a silent replica's position.
#[derive(Clone, Copy, Debug)]
struct SilentPosition {
    bracket: Bracket,
    point: Option<Point>,
    /// Whether it already stood still at its last answer.
    was_frozen: bool,
    /// Whether it certainly has everything up to there: not if it may have been synced with other
    /// data since.
    is_certain: bool,
}

/// The lag at `now` of a replica that has not answered since `unanswered`.
///
/// Where the master's line for this replica cannot be identified, "stopped" and "unreachable from
/// here" look alike: then there is no estimate, only the upper bound.
pub(super) fn silent_lag(
    pair: &PairFacts,
    located: &Located,
    unanswered: Timestamp,
    now: Timestamp,
) -> LagInterval {
    let position = position(pair, located);
    let mut lag = LagInterval {
        lower: Some(Span::ZERO),
        estimate: None,
        upper: None,
    };
    if position.is_certain {
        lag.upper = position.bracket.lo.map(|lo| now - lo);
    }
    if pair.ack.seen {
        lag.estimate = if position.bracket.hi.is_some() {
            estimate_behind(pair, located, position, unanswered, now)
        } else {
            estimate_at_end(located, position)
        };
    }
    lag.ordered()
}

/// The ACKed position, where it can be compared with the replica's last answer.
fn comparable_ack<'a>(pair: &'a PairFacts, located: &Located) -> Option<&'a Acked> {
    if !located.is_current() {
        return None;
    }
    pair.ack.located.as_ref()
}

/// The estimate for a replica that has everything that the master has shown.
fn estimate_at_end(located: &Located, position: SilentPosition) -> Option<Span> {
    position.bracket.lo?;
    if !located.is_current() {
        return None;
    }
    Some(Span::ZERO)
}

/// The estimate for a replica that lacks something.
fn estimate_behind(
    pair: &PairFacts,
    located: &Located,
    position: SilentPosition,
    unanswered: Timestamp,
    now: Timestamp,
) -> Option<Span> {
    let point = position.point?;
    let acked = comparable_ack(pair, located);
    if let Some(lag) = lag_of_alive(pair, acked, unanswered, now) {
        return Some(lag.min(now - point.at));
    }
    if position.was_frozen {
        return Some(now - point.at);
    }
    let last_lag = located.at_sample.estimate.unwrap_or(Span::ZERO);
    let may_have_applied = (stopped_by(pair, unanswered) - point.at) - last_lag;
    let applied = may_have_applied.or_zero().mul_f64(APPLIED_BEFORE_STOP);
    Some(now - point.at - applied)
}

/// The furthest position that the replica is known to have reached, by its last answer or by its
/// ACKs; by its ACKs alone if it may have been synced since. Until it ACKs after a sync, only its
/// last answer is known: as in a full sync, what it serves is not newer than that, but it may be
/// older.
fn position(pair: &PairFacts, located: &Located) -> SilentPosition {
    if let Some(acked) = comparable_ack(pair, located)
        && (pair.ack.synced_since || acked.offset > located.applied())
    {
        return SilentPosition {
            bracket: acked.bracket,
            point: acked.point,
            was_frozen: false,
            is_certain: true,
        };
    }
    SilentPosition {
        bracket: located.bracket,
        point: located.point,
        was_frozen: located.is_frozen(),
        is_certain: !may_have_other_data(pair),
    }
}

/// Whether the master has synced a replica since this one last answered: it may be this one.
fn may_have_other_data(pair: &PairFacts) -> bool {
    pair.ack.synced_since && pair.ack.seen
}

/// The lag of a replica that is alive: it ACKed after the request that it does not answer, and its
/// next ACK is not due yet. It still has the lag that it had at that ACK, because a healthy replica
/// continues to apply.
fn lag_of_alive(
    pair: &PairFacts,
    acked: Option<&Acked>,
    unanswered: Timestamp,
    now: Timestamp,
) -> Option<Span> {
    let arrival = pair.ack.arrival?;
    let is_alive = arrival.after > unanswered && now <= next_ack_by(arrival);
    if is_alive { acked?.lag } else { None }
}

/// When the next ACK arrives at the latest, if the replica continues.
fn next_ack_by(arrival: AckArrival) -> Timestamp {
    arrival.before + ACK_PERIOD
}

/// When the replica had certainly stopped: at the request that it left unanswered, or when an ACK
/// was due that its master did not receive, if the master was polled after that.
fn stopped_by(pair: &PairFacts, unanswered: Timestamp) -> Timestamp {
    let Some(arrival) = pair.ack.arrival else {
        return unanswered;
    };
    let missed = next_ack_by(arrival);
    if arrival.after > unanswered {
        return missed;
    }
    match pair.master_at {
        Some(asked) if asked > missed => unanswered.min(missed),
        _ => unanswered,
    }
}

/// The bytes that a silent replica lacks: from what it is known to have applied, by its own answer
/// or by its ACKs.
pub(super) fn silent_bytes(pair: &PairFacts, located: &Located) -> LagBytes {
    let acked = pair.ack.located.map(|acked| acked.offset);
    let applied = match acked {
        Some(acked) if pair.ack.synced_since => acked,
        Some(acked) => acked.max(located.applied()),
        None => located.applied(),
    };
    let lacking = pair.master_offset.map(|newest| newest.since(applied));
    let is_certain = acked.is_some() || !may_have_other_data(pair);
    LagBytes {
        lower: Some(Bytes::ZERO),
        estimate: if pair.ack.seen { lacking } else { None },
        upper: if is_certain { lacking } else { None },
    }
}
