//! One step of a chart: what was true of a pair during some seconds or minutes.

use super::rough::Rough;
use crate::model::{Bytes, Span};
use crate::replication::{Assessment, PairState};

/// What was true of a pair during one step, in twelve bytes. What was not known is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChartPoint {
    least: Rough,
    most: Rough,
    lower: Rough,
    upper: Rough,
    bytes: Rough,
    state: Option<PairState>,
}

impl ChartPoint {
    /// Nobody looked.
    pub const NOTHING: Self = Self {
        least: Rough::NONE,
        most: Rough::NONE,
        lower: Rough::NONE,
        upper: Rough::NONE,
        bytes: Rough::NONE,
        state: None,
    };

    /// Its numbers as they are stored, and its state.
    pub(super) fn parts(self) -> ([u16; 5], Option<PairState>) {
        let numbers = [self.least, self.most, self.lower, self.upper, self.bytes];
        (numbers.map(Rough::code), self.state)
    }

    /// The point of which these were the parts.
    pub(super) fn from_parts(numbers: [u16; 5], state: Option<PairState>) -> Self {
        let [least, most, lower, upper, bytes] = numbers.map(Rough::from_code);
        Self {
            least,
            most,
            lower,
            upper,
            bytes,
            state,
        }
    }

    /// What is true at one instant.
    pub(super) fn of(seen: &Assessment) -> Self {
        let estimate = micros(seen.lag.estimate);
        Self {
            least: Rough::down(estimate),
            most: Rough::up(estimate),
            lower: Rough::down(micros(seen.lag.lower)),
            upper: Rough::up(micros(seen.lag.upper)),
            bytes: Rough::up(seen.bytes.estimate.map(Bytes::get)),
            state: Some(seen.state),
        }
    }

    /// What was true during both.
    pub(super) fn and(self, other: Self) -> Self {
        if self.state.is_none() {
            return other;
        }
        if other.state.is_none() {
            return self;
        }
        Self {
            least: self.least.min(other.least),
            most: highest(self.most, other.most),
            // What is certain of a step was certain at each of its instants.
            lower: both(self.lower, other.lower, Ord::min),
            upper: both(self.upper, other.upper, Ord::max),
            bytes: highest(self.bytes, other.bytes),
            state: self
                .state
                .into_iter()
                .chain(other.state)
                .min_by_key(|state| attention(*state)),
        }
    }

    /// The lowest estimate of the lag, where there was one.
    pub fn lag_min(&self) -> Option<Span> {
        span(self.least)
    }

    /// The highest estimate of the lag, where there was one.
    pub fn lag_max(&self) -> Option<Span> {
        span(self.most)
    }

    /// The lag was certainly at least this, all the time; `None` when nothing bounded it at some
    /// instant.
    pub fn lag_lower(&self) -> Option<Span> {
        span(self.lower)
    }

    /// The lag was certainly at most this, all the time; `None` when nothing bounded it at some
    /// instant.
    pub fn lag_upper(&self) -> Option<Span> {
        span(self.upper)
    }

    /// The highest estimate of the bytes behind, where there was one.
    pub fn bytes_max(&self) -> Option<Bytes> {
        self.bytes.get().map(Bytes::new)
    }

    /// The state that most deserves to be seen; `None` when nobody looked.
    pub const fn state(&self) -> Option<PairState> {
        self.state
    }
}

/// Every state hides those after it. "Unknown" stands last among states, and must not hide behind
/// "streaming".
fn attention(state: PairState) -> (bool, PairState) {
    (state == PairState::Streaming, state)
}

fn highest(a: Rough, b: Rough) -> Rough {
    if a == Rough::NONE || b == Rough::NONE {
        a.min(b)
    } else {
        a.max(b)
    }
}

fn both(a: Rough, b: Rough, of: fn(Rough, Rough) -> Rough) -> Rough {
    if a == Rough::NONE || b == Rough::NONE {
        Rough::NONE
    } else {
        of(a, b)
    }
}

/// In microseconds: a lag is not known any better.
fn micros(span: Option<Span>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_nanos() / 1000).unwrap_or(0))
}

fn span(rough: Rough) -> Option<Span> {
    rough.get().map(|micros| {
        Span::from_nanos(
            i64::try_from(micros)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000),
        )
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point whose lag is that many milliseconds for sure, in that state.
    pub(in crate::monitor::chart) fn point(millis: Option<u64>, state: PairState) -> ChartPoint {
        let micros = millis.map(|millis| millis * 1000);
        ChartPoint {
            least: Rough::down(micros),
            most: Rough::up(micros),
            lower: Rough::down(micros),
            upper: Rough::up(micros),
            bytes: Rough::up(millis),
            state: Some(state),
        }
    }

    #[test]
    fn two_instants_keep_the_extremes_and_what_was_certain_at_both() {
        let (low, high) = (
            point(Some(1), PairState::Streaming),
            point(Some(1000), PairState::Stalled),
        );
        let all = low.and(high);
        assert_eq!(
            (all.lag_min(), all.lag_max()),
            (Some(Span::from_millis(1)), high.lag_max())
        );
        assert_eq!(
            (all.lag_lower(), all.lag_upper()),
            (low.lag_lower(), high.lag_upper())
        );
        assert_eq!(
            (all.bytes_max(), all.state()),
            (Some(Bytes::new(1000)), Some(PairState::Stalled))
        );
        assert_eq!(all, high.and(low));
    }

    #[test]
    fn what_was_unknown_at_one_instant_is_not_certain_of_both_and_hides_no_estimate() {
        let (known, unknown) = (
            point(Some(5), PairState::Streaming),
            point(None, PairState::Unknown),
        );
        let both = known.and(unknown);
        assert_eq!((both.lag_lower(), both.lag_upper()), (None, None));
        assert_eq!(
            (both.lag_max(), both.lag_min(), both.bytes_max()),
            (known.lag_max(), known.lag_min(), known.bytes_max())
        );
        assert_eq!(both.state(), Some(PairState::Unknown));
        assert_eq!(
            (
                ChartPoint::NOTHING.and(known),
                known.and(ChartPoint::NOTHING)
            ),
            (known, known)
        );
    }

    #[test]
    fn a_point_is_as_small_as_the_limits_say() {
        assert_eq!(size_of::<ChartPoint>(), 12);
    }
}
