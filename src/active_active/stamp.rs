//! When a version was written: seconds since the epoch, as the writer's clock had it.

use std::cmp::Ordering;
use std::fmt;

use super::python;

/// Stamps lie between minus this and this, both excluded: 31 million years, where a number still
/// has digits behind the point and every program writes it alike.
const LIMIT: f64 = 1e15;

/// When a version was written, in seconds since the epoch. Never infinite and never NaN, so stamps
/// have a total order.
#[derive(Clone, Copy, Debug)]
pub struct Stamp(f64);

impl Stamp {
    /// The stamp of `seconds` since the epoch; `None` outside of ±10^15, and for NaN.
    pub fn new(seconds: f64) -> Option<Self> {
        (seconds > -LIMIT && seconds < LIMIT).then_some(Self(seconds))
    }

    /// The stamp of a write at `now` on the site's clock, over a version that is stored already:
    /// `now`, or the next number after the stored stamp where that is not before `now`. So each
    /// write of a site is newer than everything that the site has seen of its key, and the low bits
    /// of the number serve as the counter of a hybrid logical clock.
    ///
    /// `None` where the next number is no stamp any more.
    pub fn of_write(now: Self, stored: Option<Self>) -> Option<Self> {
        match stored {
            Some(stored) if stored >= now => Self::new(stored.0.next_up()),
            _ => Some(now),
        }
    }

    /// Seconds since the epoch.
    pub const fn seconds(self) -> f64 {
        self.0
    }

    /// How many seconds this stamp is after `other`; negative if it is before.
    pub fn seconds_after(self, other: Self) -> f64 {
        self.0 - other.0
    }
}

impl Ord for Stamp {
    fn cmp(&self, other: &Self) -> Ordering {
        // Never NaN.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Stamp {}

impl fmt::Display for Stamp {
    /// As Python writes it: the fewest digits that read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python::float(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: f64) -> Stamp {
        Stamp::new(seconds).unwrap()
    }

    #[test]
    fn what_no_clock_shows_is_no_stamp() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e15, -1e15] {
            assert_eq!(Stamp::new(wrong), None);
        }
        assert!(Stamp::new(-5.0).is_some());
    }

    #[test]
    fn a_write_is_never_before_what_is_stored() {
        let now = stamp(1_732_262_769.5);
        assert_eq!(Stamp::of_write(now, None), Some(now));
        assert_eq!(Stamp::of_write(now, Some(stamp(-3.0))), Some(now));
        let ahead = stamp(9e9);
        let written = Stamp::of_write(now, Some(ahead)).unwrap();
        assert!(written > ahead);
        assert_eq!(written.to_string(), "9000000000.000002");
        assert!(Stamp::of_write(now, Some(now)).unwrap() > now);
        let last = stamp(1e15_f64.next_down());
        assert_eq!(Stamp::of_write(now, Some(last)), None);
    }
}
