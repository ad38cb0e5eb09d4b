//! The lag of a replica that does not answer: by its last answer, and by what it still ACKs to its
//! master.
//!
//! Everything here rests on one assumption: that it is still the same process with the same data.
//! Where the master shows that it may not be (it has synced a replica since), only what was ACKed
//! after that counts. docs/lag.md, "A silent replica".

use super::super::history::{Bracket, Point};
use super::super::lag::{LagBytes, LagInterval};
use super::super::pair::{ACK_PERIOD, AckArrival, Acked, Located, PairFacts};
use crate::model::{Bytes, Span, Timestamp};

/// The part that a replica is taken to have applied of what it may have applied before it stopped.
/// The middle would be right on average; a bit less, because an alert that comes late costs more
/// than one that comes early.
const APPLIED_BEFORE_STOP: f64 = 0.4;

/// What is known of where a silent replica stands.
#[derive(Clone, Copy, Debug)]
struct SilentPosition {
    bracket: Bracket,
    point: Option<Point>,
    /// Whether it applied nothing at its last answer already.
    was_frozen: bool,
    /// Whether it certainly has all that; not when it may have been synced with other data since.
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
    let acked = pair.ack.located.as_ref().filter(|_| located.is_current());
    let position = position(pair, located, acked);
    let upper = if position.is_certain {
        position.bracket.lo.map(|lo| now - lo)
    } else {
        None
    };
    let estimate = if !pair.ack.seen {
        None
    } else if position.bracket.hi.is_some() {
        estimate_behind(pair, located, position, unanswered, now)
    } else {
        let is_caught_up = position.bracket.lo.is_some() && located.is_current();
        is_caught_up.then_some(Span::ZERO)
    };
    LagInterval {
        lower: Some(Span::ZERO),
        estimate,
        upper,
    }
    .ordered()
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
    let acked = pair.ack.located.as_ref().filter(|_| located.is_current());
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

/// The furthest position that the replica is known to have reached: by its last answer or by its
/// ACKs; by the latter alone when it may have been synced since. Until it ACKs after a sync, its
/// last answer is all that is known: what it serves is no newer than that, as in a full sync, and
/// nothing proves that it is no older.
fn position(pair: &PairFacts, located: &Located, acked: Option<&Acked>) -> SilentPosition {
    if let Some(acked) = acked
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

/// Whether the master has synced a replica since this one last answered, which may be this one.
fn may_have_other_data(pair: &PairFacts) -> bool {
    pair.ack.synced_since && pair.ack.seen
}

/// The lag of a replica that is alive: it ACKed after the request that it does not answer, and its
/// next ACK is not due yet. It has the lag that it had at that ACK, for a replica that nothing is
/// wrong with continues to apply.
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

/// When the next ACK has arrived at the latest, if the replica continues.
fn next_ack_by(arrival: AckArrival) -> Timestamp {
    arrival.before + ACK_PERIOD
}

/// When the replica had certainly stopped: by the request that it left unanswered, or by the ACK
/// that its master did not receive, if the master was polled after that one was due.
fn stopped_by(pair: &PairFacts, unanswered: Timestamp) -> Timestamp {
    let Some(arrival) = pair.ack.arrival else {
        return unanswered;
    };
    let missed = next_ack_by(arrival);
    if arrival.after > unanswered {
        return missed;
    }
    let is_missing = pair.master_at.is_some_and(|asked| asked > missed);
    if is_missing {
        unanswered.min(missed)
    } else {
        unanswered
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
    let lacks = pair.master_offset.map(|newest| newest.since(applied));
    let is_certain = acked.is_some() || !may_have_other_data(pair);
    LagBytes {
        lower: Some(Bytes::ZERO),
        estimate: lacks.filter(|_| pair.ack.seen),
        upper: lacks.filter(|_| is_certain),
    }
}
