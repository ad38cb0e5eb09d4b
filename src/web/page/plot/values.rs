//! What a chart shows of one step of a history, or of several steps drawn as one.

use crate::model::Bytes;
use crate::report::PointReport;

/// The values of a step, in seconds or bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Values {
    /// The highest estimate.
    pub(super) estimate: Option<f64>,
    /// The lowest value that was certain at every instant of the step.
    pub(super) lower: Option<f64>,
    /// The highest value that was certain at every instant of the step.
    pub(super) upper: Option<f64>,
}

impl Values {
    /// The lag, in seconds.
    pub(super) const fn lag(point: &PointReport) -> Self {
        Self {
            estimate: point.lag_seconds,
            lower: point.lag_lower_seconds,
            upper: point.lag_upper_seconds,
        }
    }

    /// The bytes behind, which have no bounds in a history.
    pub(super) fn bytes(point: &PointReport) -> Self {
        Self {
            estimate: point.lag_bytes.map(|bytes| Bytes::new(bytes).as_f64()),
            lower: None,
            upper: None,
        }
    }

    /// What was left of the master's backlog, whose size is as it is now.
    pub(super) fn headroom(point: &PointReport, backlog: Option<Bytes>) -> Self {
        let left = super::headroom(point, backlog);
        Self {
            estimate: left.map(|bytes| Bytes::new(bytes).as_f64()),
            lower: None,
            upper: None,
        }
    }

    /// Two steps as one: what was certain of both, and the highest estimate of either.
    pub(super) fn joined(self, next: Self) -> Self {
        Self {
            estimate: of_either(self.estimate, next.estimate, f64::max),
            lower: of_both(self.lower, next.lower, f64::min),
            upper: of_both(self.upper, next.upper, f64::max),
        }
    }

    /// The highest of the values; 0 where nothing is known.
    pub(super) fn highest(self) -> f64 {
        let known = [self.estimate, self.lower, self.upper];
        known.into_iter().flatten().fold(0.0, f64::max)
    }
}

/// One of two values; `None` unless both are known.
fn of_both(a: Option<f64>, b: Option<f64>, choose: fn(f64, f64) -> f64) -> Option<f64> {
    Some(choose(a?, b?))
}

/// One of the values that are known; `None` where neither is.
fn of_either(a: Option<f64>, b: Option<f64>, choose: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(choose(a, b)),
        (known, None) | (None, known) => known,
    }
}
