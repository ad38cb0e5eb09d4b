//! What one evaluation knows about a value, and what that says about a level.

use super::{Measured, Quantity};
use crate::config::{LevelThreshold, Severity};

/// A value with its certified interval, as far as one evaluation knows it.
///
/// Warning looks at the estimate, critical at the lower bound, clearing at the upper bound. A bound
/// that is absent is unknown, not zero and not infinite; when all three are absent there is no
/// data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// The best estimate.
    pub estimate: Option<T>,
    /// The value is certainly at least this.
    pub lower: Option<T>,
    /// The value is certainly at most this. Without it nothing is ever clear.
    pub upper: Option<T>,
}

/// What a reading says about one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At or past the threshold.
    Past,
    /// Below the threshold, but not certainly below the clear threshold.
    Below,
    /// Certainly below the clear threshold.
    Clear,
    /// The reading cannot say.
    Unknown,
}

impl<T: Copy + PartialOrd> Reading<T> {
    /// Nothing is known.
    pub const NO_DATA: Self = Self {
        estimate: None,
        lower: None,
        upper: None,
    };

    /// A value that is known exactly, such as how long a server has not answered.
    pub const fn exact(value: T) -> Self {
        Self {
            estimate: Some(value),
            lower: Some(value),
            upper: Some(value),
        }
    }

    /// Whether nothing is known.
    pub const fn is_no_data(&self) -> bool {
        self.estimate.is_none() && self.lower.is_none() && self.upper.is_none()
    }

    /// What the reading says about a level of this severity. A level that is off never holds, and
    /// keeps nothing from being clear.
    pub fn judge(&self, severity: Severity, level: Option<&LevelThreshold<T>>) -> Verdict {
        let Some(level) = level else {
            return Verdict::Clear;
        };
        match self.is_past(severity, level.at) {
            Some(true) => Verdict::Past,
            _ if self.upper.is_some_and(|upper| upper < level.clear_below) => Verdict::Clear,
            Some(false) => Verdict::Below,
            None => Verdict::Unknown,
        }
    }

    /// Whether a level's condition holds; `None` when the reading cannot say.
    ///
    /// Without an estimate a lower bound past the warning threshold still is a certain warning.
    /// Below it, the lower bound says nothing about where the estimate would be. For critical it
    /// does: critical is what is certain.
    fn is_past(&self, severity: Severity, at: T) -> Option<bool> {
        let certainly_below = self.upper.is_some_and(|upper| upper < at).then_some(false);
        let certainly_past = self.lower.map(|lower| lower >= at);
        match severity {
            Severity::Critical => certainly_past.or(certainly_below),
            Severity::Warning => match self.estimate {
                Some(estimate) => Some(estimate >= at),
                None => certainly_past.filter(|past| *past).or(certainly_below),
            },
        }
    }
}

impl<T: Into<Quantity>> From<Reading<T>> for Measured {
    fn from(reading: Reading<T>) -> Self {
        Self {
            estimate: reading.estimate.map(Into::into),
            lower: reading.lower.map(Into::into),
            upper: reading.upper.map(Into::into),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{Critical, Warning};
    use Verdict::{Below, Clear, Past, Unknown};

    type Value = Option<u64>;

    /// `interval` is (lower, estimate, upper); the level is at 10 and clear below 8.
    fn check(severity: Severity, interval: (Value, Value, Value), verdict: Verdict) {
        let (lower, estimate, upper) = interval;
        let level = LevelThreshold {
            at: 10,
            clear_below: 8,
        };
        let reading = Reading {
            estimate,
            lower,
            upper,
        };
        assert_eq!(
            reading.judge(severity, Some(&level)),
            verdict,
            "{severity:?} {interval:?}"
        );
    }

    #[test]
    fn warning_looks_at_the_estimate() {
        check(Warning, (Some(0), Some(10), Some(99)), Past);
        check(Warning, (Some(0), Some(9), Some(99)), Below);
        check(Warning, (Some(0), Some(0), Some(8)), Below);
        check(Warning, (Some(0), Some(0), Some(7)), Clear);
        check(Warning, (Some(0), Some(0), None), Below);
    }

    #[test]
    fn without_an_estimate_a_lower_bound_proves_a_warning_but_never_disproves_it() {
        check(Warning, (Some(10), None, None), Past);
        check(Warning, (Some(9), None, None), Unknown);
        check(Warning, (Some(9), None, Some(10)), Unknown);
        check(Warning, (Some(9), None, Some(9)), Below);
        check(Warning, (None, None, Some(9)), Below);
        check(Warning, (None, None, Some(7)), Clear);
    }

    #[test]
    fn critical_looks_at_the_lower_bound() {
        check(Critical, (Some(10), Some(50), Some(99)), Past);
        check(Critical, (Some(9), Some(50), Some(99)), Below);
        check(Critical, (None, Some(50), Some(99)), Unknown);
        check(Critical, (None, Some(50), None), Unknown);
        check(Critical, (None, None, Some(9)), Below);
        check(Critical, (Some(0), Some(1), Some(7)), Clear);
        check(Critical, (Some(10), None, None), Past);
    }

    #[test]
    fn a_level_that_is_off_is_always_clear() {
        assert_eq!(Reading::exact(u64::MAX).judge(Warning, None), Clear);
        assert_eq!(
            Reading {
                upper: None,
                ..Reading::exact(1_u64)
            }
            .judge(Critical, None),
            Clear
        );
    }

    #[test]
    fn what_holds_is_never_clear_even_when_the_interval_contradicts_itself() {
        check(Warning, (Some(20), Some(20), Some(1)), Past);
        check(Critical, (Some(20), Some(20), Some(1)), Past);
    }
}
