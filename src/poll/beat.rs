//! The beat of polling: instants a few milliseconds apart, the same for all trees. What need not
//! happen at an exact instant happens at a beat, so that the program is woken once for all of it.
//! Pure.

use crate::model::{Span, Timestamp};

/// From one beat to the next. Far below every period of polls, and above the millisecond of
/// timers.
pub(super) const LENGTH: Span = Span::from_millis(5);

/// The longest beat, as a part of a period that it divides.
const LARGEST_PART: f64 = 0.01;

/// The beat at `at`, or the next one.
pub(super) fn at_or_after(at: Timestamp) -> Timestamp {
    let since = at.as_nanos().rem_euclid(LENGTH.as_nanos());
    if since == 0 {
        at
    } else {
        at + LENGTH - Span::from_nanos(since)
    }
}

/// The beat nearest to `at`, for rounds of this `period`; of short periods `at` itself, because a
/// beat would be a large part of them.
pub(super) fn nearest(at: Timestamp, period: Span) -> Timestamp {
    if fits(period) {
        at_or_after(at - LENGTH.half())
    } else {
        at
    }
}

/// As [`nearest`], but never before `at`.
pub(super) fn at_or_after_in(at: Timestamp, period: Span) -> Timestamp {
    if fits(period) { at_or_after(at) } else { at }
}

fn fits(period: Span) -> bool {
    LENGTH <= period.mul_f64(LARGEST_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_nanos(micros * 1000)
    }

    #[test]
    fn beats_are_multiples_of_their_length() {
        for (micros, expected) in [
            (0, 0),
            (1, 5000),
            (4999, 5000),
            (5000, 5000),
            (5001, 10_000),
        ] {
            assert_eq!(at_or_after(at(micros)), at(expected), "{micros}");
        }
        let second = Span::from_secs(1);
        for (micros, expected) in [
            (2500, 0),
            (2501, 5000),
            (7500, 5000),
            (1_002_501, 1_005_000),
        ] {
            assert_eq!(nearest(at(micros), second), at(expected), "{micros}");
        }
        assert_eq!(at_or_after_in(at(1), second), at(5000));
        let short = Span::from_millis(499);
        assert_eq!(nearest(at(2501), short), at(2501));
        assert_eq!(at_or_after_in(at(2501), short), at(2501));
    }
}
