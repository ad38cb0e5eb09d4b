//! The recent trend of a number of bytes: whether it grows, and how fast.

use crate::model::{Bytes, Span, Timestamp};

/// How many values are kept: three slopes, of which the median is not moved by one outlier.
const KEPT: usize = 4;

/// Values are at least this part of the polling interval apart: those of boosted polls are too
/// close to each other for a slope.
pub(super) const APART: f64 = 0.75;

/// After this many intervals without a value the ones before say nothing about the present.
pub(super) const STALE_AFTER: f64 = 8.0;

/// The last values of a number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trend {
    /// The oldest first; `None` comes before the values that are there.
    values: [Option<(Timestamp, Bytes)>; KEPT],
}

impl Trend {
    /// Records a value; the target is polled each `interval`.
    pub(super) fn observe(&mut self, at: Timestamp, value: Bytes, interval: Span) {
        if let Some((last, _)) = self.last() {
            let passed = at - last;
            if passed > interval.mul_f64(STALE_AFTER) {
                *self = Self::default();
            } else if passed < interval.mul_f64(APART) {
                return;
            }
        }
        self.values.rotate_left(1);
        if let Some(newest) = self.values.last_mut() {
            *newest = Some((at, value));
        }
    }

    /// Forgets every value.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes a second, negative while the number shrinks: the median of the last slopes. `None`
    /// with fewer than two of them.
    pub(super) fn per_second(&self) -> Option<f64> {
        let mut slopes = Vec::with_capacity(KEPT);
        for pair in self.values.windows(2) {
            if let [Some(before), Some(after)] = pair {
                slopes.extend(slope(*before, *after));
            }
        }
        slopes.sort_by(f64::total_cmp);
        match slopes[..] {
            [low, high] => Some(f64::midpoint(low, high)),
            [_, median, _] => Some(median),
            _ => None,
        }
    }

    fn last(&self) -> Option<(Timestamp, Bytes)> {
        *self.values.last()?
    }
}

fn slope(before: (Timestamp, Bytes), after: (Timestamp, Bytes)) -> Option<f64> {
    let passed = (after.0 - before.0).as_secs_f64();
    if passed <= 0.0 {
        return None;
    }
    Some((after.1.as_f64() - before.1.as_f64()) / passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span::from_secs(1);

    fn trend(values: &[(i64, u64)]) -> Option<f64> {
        let mut trend = Trend::default();
        for (millis, bytes) in values {
            let at = Timestamp::from_nanos(millis * 1_000_000);
            trend.observe(at, Bytes::new(*bytes), SECOND);
        }
        trend.per_second()
    }

    #[test]
    fn the_trend_is_the_median_of_three_slopes() {
        assert_eq!(trend(&[(0, 9), (1000, 8)]), None, "one slope is a chance");
        assert_eq!(trend(&[(0, 90), (1000, 80), (2000, 50)]), Some(-20.0));
        let outlier = [(0, 90), (1000, 80), (2000, 900), (3000, 890)];
        assert_eq!(trend(&outlier), Some(-10.0));
        let older = [(0, 0), (1000, 500), (2000, 400), (3000, 300), (4000, 200)];
        assert_eq!(trend(&older), Some(-100.0), "the rise is forgotten");
    }

    #[test]
    fn values_of_boosted_polls_and_those_before_a_silence_do_not_count() {
        let boosted = [(0, 100), (250, 0), (1000, 90), (1250, 0), (2000, 80)];
        assert_eq!(trend(&boosted), Some(-10.0));
        assert_eq!(trend(&[(0, 9), (1000, 8), (2000, 7), (60_000, 6)]), None);
    }
}
