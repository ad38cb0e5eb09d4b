//! The smallest round trip of the last minutes, in bounded memory. Pure.

use crate::model::{Span, Timestamp};

/// Buckets in the window: a sample is forgotten after nine to ten of them.
const BUCKETS: u8 = 10;

/// One bucket's length. Ten of them, five minutes, outlive a burst of slow answers and forget a changed route.
const BUCKET: Span = Span::from_secs(30);

/// The shortest time that an answer is waited for: above what a busy but healthy server takes.
const MIN_PATIENCE: Span = Span::from_millis(100);

/// How many times its smallest round trip a server may take before it counts as slow.
const PATIENCE_FACTOR: f64 = 4.0;

/// A sliding minimum over round trips.
#[derive(Clone, Debug, Default)]
pub(super) struct RttWindow {
    /// The number of a stretch of time (its start divided by [`BUCKET`]) and its smallest round trip.
    buckets: [Option<(i64, Span)>; BUCKETS as usize],
}

impl RttWindow {
    /// Takes note of a round trip that ended at `at`.
    pub(super) fn record(&mut self, at: Timestamp, rtt: Span) {
        let number = bucket_of(at);
        let slot = &mut self.buckets[slot_of(number)];
        match slot {
            Some((known, smallest)) if *known == number => *smallest = (*smallest).min(rtt),
            Some((known, _)) if *known > number => {}
            _ => *slot = Some((number, rtt)),
        }
    }

    /// The smallest round trip of the five minutes before `now`; `None` when there was none.
    pub(super) fn min(&self, now: Timestamp) -> Option<Span> {
        let oldest = bucket_of(now) - i64::from(BUCKETS);
        self.buckets.iter().flatten().filter(|(number, _)| *number > oldest).map(|(_, rtt)| *rtt).min()
    }

    /// How long an answer is waited for before the server counts as silent: 100 ms or four times its smallest round
    /// trip, whichever is more, and never more than `timeout`.
    pub(super) fn patience(&self, now: Timestamp, timeout: Span) -> Span {
        let usual = self.min(now).map_or(Span::ZERO, |rtt| rtt.mul_f64(PATIENCE_FACTOR));
        usual.max(MIN_PATIENCE).min(timeout)
    }
}

fn bucket_of(at: Timestamp) -> i64 {
    at.as_nanos().div_euclid(BUCKET.as_nanos())
}

fn slot_of(bucket: i64) -> usize {
    usize::try_from(bucket.rem_euclid(i64::from(BUCKETS))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::default() + Span::from_secs(secs)
    }

    #[test]
    fn the_smallest_is_kept_until_the_window_has_passed() {
        let mut window = RttWindow::default();
        window.record(at(5), Span::from_millis(3));
        window.record(at(10), Span::from_millis(9));
        window.record(at(100), Span::from_millis(7));
        assert_eq!(window.min(at(100)), Some(Span::from_millis(3)));
        assert_eq!(window.min(at(299)), Some(Span::from_millis(3)));
        assert_eq!(window.min(at(301)), Some(Span::from_millis(7)));
        assert_eq!(window.min(at(1000)), None);
    }

    #[test]
    fn patience_follows_the_round_trip_between_its_bounds() {
        let timeout = Span::from_millis(500);
        let mut window = RttWindow::default();
        assert_eq!(window.patience(at(0), timeout), MIN_PATIENCE, "nothing is known");
        for (rtt, expected) in [(400, 500), (80, 320), (1, 100)] {
            window.record(at(0), Span::from_millis(rtt));
            assert_eq!(window.patience(at(0), timeout), Span::from_millis(expected), "{rtt} ms");
        }
        assert_eq!(window.patience(at(0), Span::from_millis(20)), Span::from_millis(20));
    }

    proptest! {
        #[test]
        fn the_minimum_is_that_of_the_samples_in_the_window(
            samples in proptest::collection::vec((0_i64..40, 1_i64..1000), 1..60),
        ) {
            let mut window = RttWindow::default();
            let mut now = at(0);
            let mut all = Vec::new();
            for (step, rtt) in samples {
                now += Span::from_secs(step);
                window.record(now, Span::from_nanos(rtt));
                all.push((now, Span::from_nanos(rtt)));
            }
            let of = |length: i64| all.iter().filter(|(t, _)| now - *t <= Span::from_secs(length)).map(|(_, r)| *r).min();
            let found = window.min(now);
            prop_assert!(found <= of(270), "nothing of the last 4.5 minutes is forgotten");
            prop_assert!(found >= of(300), "nothing older than 5 minutes is kept");
        }
    }
}
