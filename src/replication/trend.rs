//! The recent trend of a number of bytes: whether it grows, and how fast.

use crate::model::{Bytes, Span, Timestamp};

/// How many values are kept.
const KEPT: usize = 8;

/// How many of the last values make the trend: three slopes, of which the median is not moved by one
/// outlier.
const RECENT: usize = 4;

/// Values are at least this part of the polling interval apart: those of boosted polls are too close
/// to each other for a slope.
const APART: f64 = 0.75;

/// After this many intervals without a value the ones before say nothing about the present.
const STALE_AFTER: f64 = 8.0;

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

    /// Bytes a second, negative while the number shrinks: the median of the last slopes. `None` with
    /// fewer than two of them.
    pub(super) fn per_second(&self) -> Option<f64> {
        let mut slopes = Vec::with_capacity(RECENT);
        let (_, recent) = self.values.split_at(KEPT - RECENT);
        for pair in recent.windows(2) {
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

    /// By how many bytes a second the number has shrunk since the highest of its values: the median of
    /// the slopes between every two values since then, which chance moves less than the last three.
    /// `None` with fewer than three values, and where it does not shrink.
    pub(super) fn shrinks_by(&self) -> Option<f64> {
        let values: Vec<_> = self.values.iter().flatten().copied().collect();
        let highest = values.iter().map(|(_, bytes)| *bytes).max()?;
        let turn = values.iter().rposition(|(_, bytes)| *bytes == highest)?;
        let (_, since) = values.split_at(turn);
        if since.len() < 3 {
            return None;
        }
        let mut slopes = Vec::with_capacity(KEPT * KEPT / 2);
        for (index, before) in since.iter().enumerate() {
            for after in since.iter().skip(index + 1) {
                slopes.extend(slope(*before, *after));
            }
        }
        slopes.sort_by(f64::total_cmp);
        let median = *slopes.get(slopes.len() / 2)?;
        (median < 0.0).then_some(-median)
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

    fn of(values: &[(i64, u64)]) -> Trend {
        let mut trend = Trend::default();
        for (millis, bytes) in values {
            let at = Timestamp::from_nanos(millis * 1_000_000);
            trend.observe(at, Bytes::new(*bytes), SECOND);
        }
        trend
    }

    fn trend(values: &[(i64, u64)]) -> Option<f64> {
        of(values).per_second()
    }

    #[test]
    fn a_number_shrinks_from_its_highest_value_on() {
        let each_second = |values: &[u64]| {
            let millis = (0_i64..).map(|second| second * 1000);
            let values: Vec<_> = millis.zip(values.iter().copied()).collect();
            of(&values).shrinks_by()
        };
        assert_eq!(each_second(&[10, 50, 90, 100, 90]), None, "one slope");
        assert_eq!(each_second(&[10, 50, 90, 100, 90, 80]), Some(10.0));
        let uneven = each_second(&[100, 85, 82, 70, 58, 52]).unwrap();
        assert!((9.0..=11.0).contains(&uneven), "{uneven}");
        assert_eq!(each_second(&[70, 80, 90, 100]), None, "it grows");
        assert_eq!(each_second(&[70, 70, 70]), None);
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
