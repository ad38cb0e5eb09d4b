//! How far the clocks of two servers are apart: bounds that hold whatever the network does.
//!
//! A server that was asked for its time at `sent` and answered by `received` read its clock in
//! between, so its clock is ahead of ours by something from `server - received` to `server - sent`.
//! The truth lies in the intervals of all samples, so in their intersection (K. Marzullo, 1984).
//! Older intervals are widened by what clocks may drift. What two servers' intervals say of each
//! other follows by subtraction: our own clock cancels out.

use std::collections::VecDeque;

use crate::active_active::Stamp;
use crate::model::{Span, Timestamp};

/// Samples that are intersected.
const SAMPLES: usize = 20;

/// How far two clocks drift apart at most, per second: 200 ppm, twice what a bad quartz has.
const DRIFT: f64 = 200e-6;

/// Without a sample for so long the offset is unknown.
const SILENT_AFTER: Span = Span::from_secs(60);

/// One answer to TIME.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockSample {
    /// What the server's clock showed.
    pub server: Stamp,
    /// When it was asked.
    pub sent: Timestamp,
    /// When the answer was there.
    pub received: Timestamp,
}

impl ClockSample {
    fn interval(self, now: Timestamp) -> OffsetInterval {
        let drift = DRIFT * (now - self.received).or_zero().as_secs_f64();
        let server = self.server.seconds();
        OffsetInterval {
            low: server - seconds(self.received) - drift,
            high: server - seconds(self.sent) + drift,
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_nanos() as f64 / 1e9
}

/// By how many seconds a server's clock is ahead of this program's monotonic one: something in
/// between these two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OffsetInterval {
    low: f64,
    high: f64,
}

/// The latest samples of one server's clock.
#[derive(Clone, Debug, Default)]
pub struct ClockTracker {
    samples: VecDeque<ClockSample>,
    steps: u64,
}

impl ClockTracker {
    /// Adds a sample. One that contradicts the others shows that the clock was set: only it counts
    /// from then on. Returns whether it was.
    pub fn record(&mut self, sample: ClockSample) -> bool {
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let has_stepped = self.intersection(sample.received).is_none();
        if has_stepped {
            self.samples.clear();
            self.samples.push_back(sample);
            self.steps += 1;
        }
        has_stepped
    }

    /// How often the clock was set.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The offset at `now`; `None` before the first sample, and after a minute without one.
    pub fn offset(&self, now: Timestamp) -> Option<OffsetInterval> {
        let latest = self.samples.back()?;
        if now - latest.received > SILENT_AFTER {
            return None;
        }
        self.intersection(now)
    }

    fn intersection(&self, now: Timestamp) -> Option<OffsetInterval> {
        let mut found: Option<OffsetInterval> = None;
        for sample in &self.samples {
            let own = sample.interval(now);
            let all = found.unwrap_or(own);
            found = Some(OffsetInterval {
                low: all.low.max(own.low),
                high: all.high.min(own.high),
            });
        }
        found.filter(|interval| interval.low <= interval.high)
    }
}

/// By how much the target's clock is ahead of the source's: negative where it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// At least this.
    pub lower: Span,
    /// The middle of the two bounds: exact where the network is as fast in both directions.
    pub estimate: Span,
    /// At most this.
    pub upper: Span,
}

impl ClockSkew {
    /// What two servers' offsets say of each other.
    pub fn between(source: OffsetInterval, target: OffsetInterval) -> Self {
        let low = target.low - source.high;
        let high = target.high - source.low;
        Self {
            lower: Span::from_secs_f64(low),
            estimate: Span::from_secs_f64(f64::midpoint(low, high)),
            upper: Span::from_secs_f64(high),
        }
    }

    /// How far the clocks are apart for certain, whichever is ahead; zero where they may agree.
    pub fn certain(self) -> Span {
        let ahead = self.lower;
        let behind = Span::ZERO - self.upper;
        ahead.max(behind).or_zero()
    }

    /// How far the clocks are apart by the estimate, whichever is ahead.
    pub fn distance(self) -> Span {
        self.estimate.max(Span::ZERO - self.estimate)
    }

    /// How far the clocks are apart at most.
    pub fn at_most(self) -> Span {
        self.upper.max(Span::ZERO - self.lower)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// A server whose clock is `ahead` of ours in seconds is asked at `sent`; the way there takes
    /// `there`, the way back `back` milliseconds.
    fn sample(ahead: f64, sent: i64, there: i64, back: i64) -> ClockSample {
        let read = f64::from(i32::try_from(sent + there).unwrap()) / 1e3;
        ClockSample {
            server: Stamp::new(read + ahead).unwrap(),
            sent: at(sent),
            received: at(sent + there + back),
        }
    }

    fn skew_of(source: &ClockTracker, target: &ClockTracker, now: Timestamp) -> ClockSkew {
        let source = source.offset(now).unwrap();
        ClockSkew::between(source, target.offset(now).unwrap())
    }

    #[test]
    fn several_samples_are_sharper_than_one() {
        let mut near = ClockTracker::default();
        near.record(sample(1_700_000_000.0, 0, 0, 0));
        let mut far = ClockTracker::default();
        far.record(sample(1_700_000_002.0, 0, 40, 60));
        let one = skew_of(&near, &far, at(100));
        far.record(sample(1_700_000_002.0, 1000, 20, 20));
        near.record(sample(1_700_000_000.0, 1000, 0, 0));
        let two = skew_of(&near, &far, at(1040));
        assert!(two.upper - two.lower < one.upper - one.lower);
        assert!(two.lower <= Span::from_secs(2) && Span::from_secs(2) <= two.upper);
        assert_eq!(two.certain(), two.lower);
        let back = skew_of(&far, &near, at(1040));
        assert_eq!(back.certain(), two.certain());
    }

    #[test]
    fn clocks_that_may_agree_are_not_apart() {
        let mut one = ClockTracker::default();
        one.record(sample(1_700_000_000.0, 0, 20, 20));
        let mut other = ClockTracker::default();
        other.record(sample(1_700_000_000.01, 0, 20, 20));
        assert_eq!(skew_of(&one, &other, at(40)).certain(), Span::ZERO);
    }

    #[test]
    fn a_clock_that_was_set_starts_again() {
        let mut clock = ClockTracker::default();
        for second in 0..5 {
            assert!(!clock.record(sample(100.0, second * 1000, 5, 5)));
        }
        assert!(clock.record(sample(103.0, 5000, 5, 5)));
        assert_eq!(clock.steps(), 1);
        let offset = clock.offset(at(5010)).unwrap();
        assert!(offset.low <= 103.0 && 103.0 <= offset.high && offset.low > 102.0);
    }

    #[test]
    fn a_silent_clock_is_unknown() {
        let mut clock = ClockTracker::default();
        clock.record(sample(100.0, 0, 5, 5));
        assert!(clock.offset(at(60_000)).is_some());
        assert!(clock.offset(at(60_011)).is_none());
    }

    proptest! {
        /// Whatever the network does, and as long as the clocks drift by less than is assumed.
        #[test]
        fn the_bounds_enclose_the_truth(
            ahead in -10.0..10.0_f64,
            drift in -90e-6..90e-6_f64,
            delays in prop::collection::vec((0_i64..300, 0_i64..300), 1..40),
        ) {
            let mut source = ClockTracker::default();
            let mut target = ClockTracker::default();
            let mut now = 0;
            let truth = |millis: i64| ahead + drift * (millis as f64 / 1e3);
            for (there, back) in delays {
                source.record(sample(1000.0, now, back, there));
                let read = truth(now + there);
                let stepped = target.record(sample(1000.0 + read, now, there, back));
                prop_assert!(!stepped);
                now += 2000;
                let skew = skew_of(&source, &target, at(now));
                let expected = Span::from_secs_f64(truth(now));
                prop_assert!(skew.lower <= expected && expected <= skew.upper);
                prop_assert!(skew.certain() <= skew.distance());
                prop_assert!(skew.distance() <= skew.at_most());
            }
        }
    }
}
