//! The round trip between two servers, as far as the round trips from this program to each of them
//! bound it.

use crate::model::Span;

/// Bounds of a round trip. They hold where the way from one to the other is not longer than by way
/// of this program, and not shorter than their distances from it differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoundTripBounds {
    /// It takes at least this long.
    pub(super) at_least: Span,
    /// And at most this long.
    pub(super) at_most: Span,
}

impl RoundTripBounds {
    /// The bounds between two servers, `one` and `other` being the round trips to them from here.
    pub(super) fn between(one: Span, other: Span) -> Self {
        Self {
            at_least: one.max(other) - one.min(other),
            at_most: one + other,
        }
    }

    /// How `limit`, which has to be above so many round trips, compares.
    pub(super) fn compare(self, limit: Span, round_trips: f64) -> Enough {
        if limit <= self.at_least.mul_f64(round_trips) {
            Enough::No
        } else if limit > self.at_most.mul_f64(round_trips) {
            Enough::Yes
        } else {
            Enough::Unknown
        }
    }
}

/// Whether a time is long enough for so many round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enough {
    /// For the longest that is possible.
    Yes,
    /// Not even for the shortest.
    No,
    /// For some.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_beside_one_of_them_knows_the_way_and_one_between_them_does_not() {
        let millis = Span::from_millis;
        let beside = RoundTripBounds::between(millis(1), millis(100));
        assert_eq!((beside.at_least, beside.at_most), (millis(99), millis(101)));
        assert_eq!(beside.compare(millis(990), 10.0), Enough::No);
        assert_eq!(beside.compare(millis(1000), 10.0), Enough::Unknown);
        assert_eq!(beside.compare(millis(1011), 10.0), Enough::Yes);
        let between = RoundTripBounds::between(millis(50), millis(50));
        assert_eq!(between.compare(millis(500), 10.0), Enough::Unknown);
    }
}
