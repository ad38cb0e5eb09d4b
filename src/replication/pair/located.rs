//! A replica's position, and the position located in its master's history, with the lag at that
//! sample.

use super::super::drain::{BEHIND_FROM, DrainPosition};
use super::super::epochs::Comparison;
use super::super::history::{Bracket, Point};
use super::super::lag::{LagBytes, LagInterval};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};

/// A lower bound of this much proves that the replica really lacks data, rather than that data is
/// on its way: the links between datacenters take less.
pub(super) const PROVEN_LACK: Span = Span::from_millis(100);

/// The standard deviation of an instant that is anywhere in a gap, as a part of the gap: `1 /
/// sqrt(12)`.
pub(super) const ANYWHERE: f64 = 0.288_675;

/// A link that claims to be up is stalled when nothing arrived for this long, or for three polls if
/// that is longer.
const STALLED_AFTER: Span = Span::from_secs(3);

/// A replica's position and when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) replid: ReplicationId,
    pub(super) applied: ReplicationOffset,
    /// It certainly has not applied more than this; `None` until the master's next answer says.
    /// Differs from `applied` only while the replica hides its offset: between its last answer and
    /// the loss of its link it continued to apply.
    pub(super) at_most: Option<ReplicationOffset>,
    /// When the poll was sent whose answer showed `applied`; `sent`, unless the replica hides its
    /// offset.
    pub(super) shown: Timestamp,
    /// When its link was lost, while it hides its offset and may have applied more before that.
    pub(super) lost: Option<LinkLoss>,
    /// Whether a full sync was seen since the position before: what it brought did not come through
    /// the stream.
    pub(super) resynced: bool,
    /// Bytes received; equal to `applied` where the server does not report them (before 6.2).
    pub(super) read: ReplicationOffset,
    pub(super) sent: Timestamp,
    pub(super) received: Timestamp,
    /// The newest master offset that was known for certain before the replica was asked.
    pub(super) master_before: Option<(ReplicationOffset, Timestamp)>,
    /// Half the smallest round trip: the server read its offset at least this long before
    /// `received`.
    pub(super) half_rtt: Span,
}

/// When a link was lost, and the lag that the replica had then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkLoss {
    pub(super) after: Timestamp,
    pub(super) before: Timestamp,
    pub(super) lag: Span,
}

impl LinkLoss {
    /// What two polls prove together about one loss.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self {
            after: self.after.max(other.after),
            before: self.before.min(other.before),
            ..self
        }
    }

    /// When the master likely went beyond what the replica had applied when it lost its link. That
    /// is not before it went beyond what the replica had certainly applied.
    pub(super) fn point(&self, bracket: Bracket) -> Option<Point> {
        bracket.hi?;
        let earliest = bracket.lo?;
        let between = (self.before - self.after).or_zero();
        let likely_lost = self.after + between.half();
        Some(Point {
            at: (likely_lost - self.lag).max(earliest),
            spread: between.mul_f64(ANYWHERE),
        })
    }
}

impl Position {
    /// When the server read its offset, by the smallest round trip.
    pub(super) fn read_at(&self) -> Timestamp {
        self.received - self.half_rtt
    }

    /// Whether the answer took longer than a polling interval: the server stood still, or the
    /// network held the answer back, so it may be as old as the request.
    pub(super) fn is_late(&self, interval: Span) -> bool {
        self.received - self.sent > interval + self.half_rtt + self.half_rtt
    }
}

/// A replica's position, located in its master's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    pub(super) position: Position,
    pub(super) comparison: Comparison,
    /// Which history of the master was current then: brackets of two histories cannot be compared.
    pub(super) generation: u64,
    /// Holds the instant at which the master went beyond the position.
    pub bracket: Bracket,
    /// The likeliest such instant.
    pub point: Option<Point>,
    /// The lag when the replica answered.
    pub at_sample: LagInterval,
    /// The bytes it lacked then.
    pub bytes: LagBytes,
    /// How many polls in a row, this one included, showed the same applied offset.
    pub same_applied: u32,
    /// How many of them also showed the same received offset, over a link that was up: a long
    /// transaction or script stops only the applied one.
    pub same_received: u32,
    /// The estimate of the poll before this one, and when it was answered.
    pub previous: Option<(Timestamp, Span)>,
    /// Whether the lag is what the link usually shows.
    pub is_usual: bool,
    /// Whether the lag may well be more than usual.
    pub is_doubtful: bool,
}

impl Located {
    /// When the replica was asked.
    pub fn sent(&self) -> Timestamp {
        self.position.sent
    }

    /// When it answered.
    pub fn received(&self) -> Timestamp {
        self.position.received
    }

    /// Bytes that it had applied.
    pub fn applied(&self) -> ReplicationOffset {
        self.position.applied
    }

    /// Whether the answer took longer than a polling interval, so that it shows little about the
    /// moment at which it arrived.
    pub fn is_late(&self, interval: Span) -> bool {
        self.position.is_late(interval)
    }

    /// Whether the answer took noticeably longer than the shortest ones do.
    pub fn took_long(&self) -> bool {
        let Position {
            sent,
            received,
            half_rtt,
            ..
        } = self.position;
        received - sent - half_rtt - half_rtt > PROVEN_LACK
    }

    /// Whether the master had certainly gone beyond the position well before the replica was asked.
    pub fn lacks_for_certain(&self) -> bool {
        match self.bracket.hi {
            Some(passed) => self.position.sent - passed >= PROVEN_LACK,
            None => false,
        }
    }

    /// Whether its applied offset does not move although it certainly lacks something.
    pub fn is_frozen(&self) -> bool {
        self.same_applied >= 2 && self.lacks_for_certain()
    }

    /// Since when nothing has arrived although the master wrote; `None` when something arrives, or
    /// not for long yet.
    pub fn stalled_since(&self, now: Timestamp, interval: Span) -> Option<Timestamp> {
        let since = self.point?.at;
        if self.stands_still() && self.is_long_enough(now - since, interval) {
            return Some(since);
        }
        None
    }

    /// Whether it neither receives nor applies anything, although it certainly lacks something.
    pub fn stands_still(&self) -> bool {
        self.is_frozen() && self.same_received >= 2
    }

    /// Whether a link that brings nothing for this long is stalled, by the polls alone.
    pub fn is_long_enough(&self, lasts: Span, interval: Span) -> bool {
        lasts > STALLED_AFTER.max(interval.mul_f64(3.0))
    }

    /// Whether it has all that the master showed after it was asked.
    pub fn is_caught_up(&self) -> bool {
        self.bracket.hi.is_none() && self.is_current()
    }

    /// Where it was, if it was behind; `None` also while it is not known how much it lacked.
    pub(super) fn drain_position(&self) -> Option<DrainPosition> {
        if self.at_sample.estimate? < BEHIND_FROM {
            return None;
        }
        Some(DrainPosition {
            at: self.received(),
            applied: self.applied(),
            lacks: self.bytes.estimate?,
        })
    }

    /// Whether the position is in the history that the master writes now, and not in one that has
    /// ended.
    pub fn is_current(&self) -> bool {
        self.comparison == Comparison::Current
    }
}

/// The lag when the replica answered: docs/lag.md, "The certified interval". `passed` is when the
/// master had certainly gone beyond all that the replica can have applied.
pub(super) fn lag_at_sample(
    position: &Position,
    comparison: Comparison,
    bracket: Bracket,
    passed: Option<Timestamp>,
    point: Option<Timestamp>,
) -> LagInterval {
    let lower = match passed {
        Some(passed) => (position.sent - passed).or_zero(),
        None => Span::ZERO,
    };
    let is_caught_up = bracket.hi.is_none() && comparison == Comparison::Current;
    let estimate = match (bracket.hi, point) {
        _ if is_caught_up => bracket.lo.map(|_| Span::ZERO),
        (Some(_), Some(point)) => Some(position.read_at() - point),
        _ => None,
    };
    LagInterval {
        lower: Some(lower),
        estimate,
        upper: bracket.lo.map(|lo| position.received - lo),
    }
    .ordered()
}

/// An offset of the master, and when it had it.
type MasterOffset = (ReplicationOffset, Timestamp);

/// The bytes that the replica lacked when it answered: between what the master certainly had before
/// (`position.master_before`) and what it had `after`.
pub(super) fn bytes_at_sample(position: &Position, after: Option<MasterOffset>) -> LagBytes {
    let Some(after) = after else {
        return LagBytes::UNKNOWN;
    };
    let (newest, _) = after;
    let upper = newest.since(position.applied);
    let (Some(before), Some(at_most)) = (position.master_before, position.at_most) else {
        return LagBytes {
            lower: None,
            estimate: Some(upper),
            upper: Some(upper),
        };
    };
    let (known, _) = before;
    let lower = known.since(at_most);
    let estimate = if at_most == position.applied {
        let then = master_offset_at(position.read_at(), before, after);
        then.since(position.applied).clamp(lower.min(upper), upper)
    } else {
        // The replica hides its offset, which is anywhere between these two.
        Bytes::new(lower.get().midpoint(upper.get()))
    };
    LagBytes {
        lower: Some(lower),
        estimate: Some(estimate),
        upper: Some(upper),
    }
}

/// The master's likely offset at the instant `at`, if it wrote evenly between two polls.
fn master_offset_at(
    at: Timestamp,
    (before, before_at): MasterOffset,
    (after, after_at): MasterOffset,
) -> ReplicationOffset {
    let between = (after_at - before_at).as_secs_f64();
    let part = if between > 0.0 {
        ((at - before_at).as_secs_f64() / between).clamp(0.0, 1.0)
    } else {
        0.5
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a part of what was written
    let written = (after.since(before).get() as f64 * part) as u64;
    ReplicationOffset::new(before.get() + written)
}
