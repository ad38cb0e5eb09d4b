//! A point of a chart: what was true of a pair during one step of some seconds or minutes.

use super::compact::CompactValue;
use crate::model::{Bytes, Span};
use crate::replication::{Assessment, PairState};

/// What was true of a pair during one step, in twelve bytes. `None` is what was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChartPoint {
    /// Lags are in microseconds.
    lag_min: CompactValue,
    lag_max: CompactValue,
    lag_lower: CompactValue,
    lag_upper: CompactValue,
    bytes_max: CompactValue,
    state: Option<PairState>,
}

impl ChartPoint {
    /// The pair was not observed during the step.
    pub const UNOBSERVED: Self = Self {
        lag_min: CompactValue::NONE,
        lag_max: CompactValue::NONE,
        lag_lower: CompactValue::NONE,
        lag_upper: CompactValue::NONE,
        bytes_max: CompactValue::NONE,
        state: None,
    };

    /// Its numbers as they are saved, and its state.
    pub(super) fn parts(self) -> ([u16; 5], Option<PairState>) {
        let numbers = [
            self.lag_min,
            self.lag_max,
            self.lag_lower,
            self.lag_upper,
            self.bytes_max,
        ];
        (numbers.map(CompactValue::code), self.state)
    }

    /// The point with these [`ChartPoint::parts`].
    pub(super) fn from_parts(numbers: [u16; 5], state: Option<PairState>) -> Self {
        let [lag_min, lag_max, lag_lower, lag_upper, bytes_max] =
            numbers.map(CompactValue::from_code);
        Self {
            lag_min,
            lag_max,
            lag_lower,
            lag_upper,
            bytes_max,
            state,
        }
    }

    /// What is true at one instant.
    pub(super) fn from_assessment(assessment: &Assessment) -> Self {
        let lag = assessment.lag;
        let estimate = micros(lag.estimate);
        let bytes = assessment.bytes.estimate;
        Self {
            lag_min: CompactValue::down(estimate),
            lag_max: CompactValue::up(estimate),
            lag_lower: CompactValue::down(micros(lag.lower)),
            lag_upper: CompactValue::up(micros(lag.upper)),
            bytes_max: CompactValue::up(bytes.map(Bytes::get)),
            state: Some(assessment.state),
        }
    }

    /// What was true during both: extremes of the estimates, and bounds that held all the time.
    pub(super) fn merge(self, other: Self) -> Self {
        let (Some(state), Some(other_state)) = (self.state, other.state) else {
            return if self.state.is_none() { other } else { self };
        };
        Self {
            lag_min: self.lag_min.min(other.lag_min),
            lag_max: highest(self.lag_max, other.lag_max),
            lag_lower: if_both(self.lag_lower, other.lag_lower, Ord::min),
            lag_upper: if_both(self.lag_upper, other.lag_upper, Ord::max),
            bytes_max: highest(self.bytes_max, other.bytes_max),
            state: Some(more_urgent(state, other_state)),
        }
    }

    /// The lowest estimate of the lag; `None` when there was none.
    pub fn lag_min(&self) -> Option<Span> {
        span(self.lag_min)
    }

    /// The highest estimate of the lag; `None` when there was none.
    pub fn lag_max(&self) -> Option<Span> {
        span(self.lag_max)
    }

    /// The lag was certainly at least this, all the time; `None` when it had no lower bound at some
    /// instant.
    pub fn lag_lower(&self) -> Option<Span> {
        span(self.lag_lower)
    }

    /// The lag was certainly at most this, all the time; `None` when it had no upper bound at some
    /// instant.
    pub fn lag_upper(&self) -> Option<Span> {
        span(self.lag_upper)
    }

    /// The highest estimate of the bytes behind; `None` when there was none.
    pub fn bytes_max(&self) -> Option<Bytes> {
        let bytes = self.bytes_max.get()?;
        Some(Bytes::new(bytes))
    }

    /// The state that most deserves attention; `None` when the pair was not observed.
    pub const fn state(&self) -> Option<PairState> {
        self.state
    }
}

fn more_urgent(state: PairState, other: PairState) -> PairState {
    if attention(other) < attention(state) {
        other
    } else {
        state
    }
}

/// The order in which states deserve attention, the most urgent first: the order of their
/// declaration, but "streaming" comes after "unknown".
fn attention(state: PairState) -> (bool, PairState) {
    (state == PairState::Streaming, state)
}

/// The larger of two, where "none" counts as the smallest.
fn highest(a: CompactValue, b: CompactValue) -> CompactValue {
    if a == CompactValue::NONE || b == CompactValue::NONE {
        a.min(b)
    } else {
        a.max(b)
    }
}

/// What `select` makes of the two, or none unless both are known.
fn if_both(
    a: CompactValue,
    b: CompactValue,
    select: fn(CompactValue, CompactValue) -> CompactValue,
) -> CompactValue {
    if a == CompactValue::NONE || b == CompactValue::NONE {
        CompactValue::NONE
    } else {
        select(a, b)
    }
}

/// Microseconds: a lag is not known any better.
fn micros(span: Option<Span>) -> Option<u64> {
    let micros = span?.as_nanos() / 1000;
    Some(u64::try_from(micros).unwrap_or(0))
}

fn span(micros: CompactValue) -> Option<Span> {
    let micros = i64::try_from(micros.get()?).unwrap_or(i64::MAX);
    Some(Span::from_nanos(micros.saturating_mul(1000)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A point whose lag is that many milliseconds for sure, in that state.
    pub(in crate::chart) fn point(millis: Option<u64>, state: PairState) -> ChartPoint {
        let micros = millis.map(|millis| millis * 1000);
        ChartPoint {
            lag_min: CompactValue::down(micros),
            lag_max: CompactValue::up(micros),
            lag_lower: CompactValue::down(micros),
            lag_upper: CompactValue::up(micros),
            bytes_max: CompactValue::up(millis),
            state: Some(state),
        }
    }

    #[test]
    fn two_instants_keep_the_extremes_and_what_was_certain_at_both() {
        let low = point(Some(1), PairState::Streaming);
        let high = point(Some(1000), PairState::Stalled);
        let all = low.merge(high);
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
        assert_eq!(all, high.merge(low));
    }

    #[test]
    fn what_was_unknown_at_one_instant_is_not_certain_of_both_and_hides_no_estimate() {
        let known = point(Some(5), PairState::Streaming);
        let unknown = point(None, PairState::Unknown);
        let both = known.merge(unknown);
        assert_eq!((both.lag_lower(), both.lag_upper()), (None, None));
        assert_eq!(
            (both.lag_max(), both.lag_min(), both.bytes_max()),
            (known.lag_max(), known.lag_min(), known.bytes_max())
        );
        assert_eq!(both.state(), Some(PairState::Unknown));
        assert_eq!(
            (
                ChartPoint::UNOBSERVED.merge(known),
                known.merge(ChartPoint::UNOBSERVED)
            ),
            (known, known)
        );
    }

    #[test]
    fn a_point_takes_twelve_bytes() {
        assert_eq!(size_of::<ChartPoint>(), 12);
    }
}
