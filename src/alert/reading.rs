//! The value that one evaluation of a rule reads, and its verdict on a level.

use super::{Measured, Quantity};
use crate::config::{LevelThreshold, Severity};

/// A value with its certified interval, as far as it is known at one evaluation.
///
/// The warning level reads the estimate, the critical level the lower bound, and clearing the upper
/// bound. An absent bound is unknown, neither zero nor infinite; when all three are absent there is
/// no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// The best estimate.
    pub estimate: Option<T>,
    /// The value is certainly at least this.
    pub lower: Option<T>,
    /// The value is certainly at most this. Without it nothing is ever clear.
    pub upper: Option<T>,
}

/// The verdict of a reading on one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelVerdict {
    /// At or past the threshold.
    Past,
    /// Below the threshold, but not certainly below the clear threshold.
    Below,
    /// Certainly below the clear threshold.
    Clear,
    /// The reading does not decide.
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

    /// The verdict on a level of this severity. A level that is off is always clear.
    pub fn judge(&self, severity: Severity, level: Option<&LevelThreshold<T>>) -> LevelVerdict {
        let Some(level) = level else {
            return LevelVerdict::Clear;
        };
        let is_clear = self.upper.is_some_and(|upper| upper < level.clear_below);
        match self.is_past(severity, level.at) {
            Some(true) => LevelVerdict::Past,
            Some(false) | None if is_clear => LevelVerdict::Clear,
            Some(false) => LevelVerdict::Below,
            None => LevelVerdict::Unknown,
        }
    }

    /// Whether a level's condition holds; `None` when the reading does not decide.
    ///
    /// Without an estimate, a lower bound past the warning threshold is still a certain warning; a
    /// lower bound below it leaves open where the estimate would be. For the critical level the
    /// lower bound decides either way: critical is what is certain.
    fn is_past(&self, severity: Severity, at: T) -> Option<bool> {
        let lower_is_past = self.lower.map(|lower| lower >= at);
        let decided = match severity {
            Severity::Critical => lower_is_past,
            Severity::Warning => match self.estimate {
                Some(estimate) => Some(estimate >= at),
                None if lower_is_past == Some(true) => Some(true),
                None => None,
            },
        };
        let is_certainly_below = self.upper.is_some_and(|upper| upper < at);
        match decided {
            None if is_certainly_below => Some(false),
            decided => decided,
        }
    }
}

impl<T: Into<Quantity>> From<Reading<T>> for Measured {
    fn from(reading: Reading<T>) -> Self {
        let estimate = reading.estimate.map(Into::into);
        let lower: Option<Quantity> = reading.lower.map(Into::into);
        let upper: Option<Quantity> = reading.upper.map(Into::into);
        // A rule's levels go up as the quantity gets worse; here is the number itself.
        let goes_down = lower.or(upper).is_some_and(Quantity::is_worse_when_small);
        let (lower, upper) = if goes_down {
            (upper, lower)
        } else {
            (lower, upper)
        };
        Self {
            estimate,
            lower,
            upper,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LevelVerdict::{Below, Clear, Past, Unknown};
    use Severity::{Critical, Warning};

    /// `interval` is (lower, estimate, upper); the level is at 10 and clear below 8.
    fn check(
        severity: Severity,
        interval: (Option<u64>, Option<u64>, Option<u64>),
        verdict: LevelVerdict,
    ) {
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
    fn the_warning_level_reads_the_estimate() {
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
    fn the_critical_level_reads_the_lower_bound() {
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
    fn a_level_that_is_past_is_never_clear_even_with_a_contradictory_interval() {
        check(Warning, (Some(20), Some(20), Some(1)), Past);
        check(Critical, (Some(20), Some(20), Some(1)), Past);
    }
}
