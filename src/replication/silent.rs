//! The lag of a replica that does not answer: by what it answered last, and by what it still ACKs
//! to its master.
//!
//! Everything here rests on an assumption: that it is still the same process with the same data.
//! Where the master shows that it may not be (it synced somebody since), only what was ACKed after
//! that counts. docs/lag.md, "A silent replica".

use super::history::{Bracket, Point};
use super::lag::{LagBytes, LagInterval};
use super::pair::{ACK_PERIOD, AckArrival, Acked, Located, PairFacts};
use crate::model::{Bytes, Span, Timestamp};

/// Which part of what it may have gone on applying for it did. The middle would be right on
/// average; a bit less, because an alarm that comes late costs more than one that comes early.
const WENT_ON: f64 = 0.4;

/// What is known of where a silent replica stands.
#[derive(Clone, Copy, Debug)]
struct SilentPosition {
    bracket: Bracket,
    point: Option<Point>,
    /// Whether it stood still already when it answered last.
    was_frozen: bool,
    /// Whether it certainly has all that: not when it may have begun anew since.
    is_certain: bool,
}

/// The lag at `now` of a replica that has not answered since `unanswered`.
///
/// Where the master's line for it cannot be told apart, "stopped" and "I cannot reach it" look
/// alike: no estimate then, only the bound.
pub(super) fn silent_lag(
    pair: &PairFacts,
    located: &Located,
    unanswered: Timestamp,
    now: Timestamp,
) -> LagInterval {
    let lower = Some(Span::ZERO);
    let acked = pair.ack.located.as_ref().filter(|_| located.is_current());
    let standing = standing(pair, located, acked);
    let upper = standing
        .bracket
        .lo
        .filter(|_| standing.is_certain)
        .map(|lo| now - lo);
    let estimate = match (standing.bracket.hi, standing.point) {
        _ if !pair.ack.seen => None,
        (None, _) => standing
            .bracket
            .lo
            .filter(|_| located.is_current())
            .map(|_| Span::ZERO),
        (Some(_), Some(point)) => Some(match alive(pair, acked, unanswered, now) {
            Some(lag) => lag.min(now - point.at),
            None => stopped(pair, located, standing.was_frozen, point, unanswered, now),
        }),
        (Some(_), None) => None,
    };
    LagInterval {
        lower,
        estimate,
        upper,
    }
    .ordered()
}

/// The furthest position that it is known to have: by its last answer or by its ACKs; by the latter
/// when it may have begun anew. Until it ACKs then, its last answer is all that is known: as in a
/// full sync, what it serves is no newer than that, and nothing proves that it is no older.
fn standing(pair: &PairFacts, located: &Located, acked: Option<&Acked>) -> SilentPosition {
    let further = acked.filter(|acked| pair.ack.synced_since || acked.offset > located.applied());
    if let Some(acked) = further {
        return SilentPosition {
            bracket: acked.bracket,
            point: acked.point,
            was_frozen: false,
            is_certain: true,
        };
    }
    let is_certain = !(pair.ack.synced_since && pair.ack.seen);
    let Located { bracket, point, .. } = *located;
    SilentPosition {
        bracket,
        point,
        was_frozen: located.is_frozen(),
        is_certain,
    }
}

/// The lag of a replica that is alive: it ACKed after the request that it does not answer, and its
/// next ACK is not due yet. It is what it was at that ACK, then, for a replica that nothing is
/// wrong with goes on applying.
fn alive(
    pair: &PairFacts,
    acked: Option<&Acked>,
    unanswered: Timestamp,
    now: Timestamp,
) -> Option<Span> {
    let heard = pair.ack.heard.filter(|heard| heard.after > unanswered)?;
    let lag = acked?.lag?;
    (now <= next_ack(heard)).then_some(lag)
}

/// When the ACK after this one has come, if the replica goes on.
fn next_ack(heard: AckArrival) -> Timestamp {
    heard.before + ACK_PERIOD
}

/// The lag of a replica that stopped at some time after it was last heard of: a bit less than half
/// of what it may have applied since. One that stood still before went on standing still.
fn stopped(
    pair: &PairFacts,
    located: &Located,
    was_frozen: bool,
    point: Point,
    unanswered: Timestamp,
    now: Timestamp,
) -> Span {
    let since = stopped_by(pair, unanswered);
    let last = located.at_sample.estimate.unwrap_or(Span::ZERO);
    let went_on = if was_frozen {
        Span::ZERO
    } else {
        ((since - point.at) - last).or_zero()
    };
    now - point.at - went_on.mul_f64(WENT_ON)
}

/// When it had stopped for certain: by the request that it left unanswered, or by the ACK that its
/// master did not get, as far as the master was asked after that one was due.
fn stopped_by(pair: &PairFacts, unanswered: Timestamp) -> Timestamp {
    match pair.ack.heard {
        Some(heard) if heard.after > unanswered => next_ack(heard),
        Some(heard) if pair.master_at.is_some_and(|asked| asked > next_ack(heard)) => {
            unanswered.min(next_ack(heard))
        }
        _ => unanswered,
    }
}

/// The bytes that a silent replica lacks: from what it is known to have applied, by its own answer
/// or by its ACKs.
pub(super) fn silent_bytes(pair: &PairFacts, located: &Located) -> LagBytes {
    let acked = pair.ack.located.map(|acked| acked.offset);
    let is_certain = acked.is_some() || !(pair.ack.synced_since && pair.ack.seen);
    let applied = match acked {
        Some(acked) if pair.ack.synced_since => acked,
        acked => acked.map_or(located.applied(), |acked| acked.max(located.applied())),
    };
    let lacks = pair.master_offset.map(|newest| newest.since(applied));
    LagBytes {
        lower: Some(Bytes::default()),
        estimate: lacks.filter(|_| pair.ack.seen),
        upper: lacks.filter(|_| is_certain),
    }
}
