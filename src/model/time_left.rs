//! A time that remains until something breaks.

use std::cmp::{Ordering, Reverse};

use super::Span;

/// A time that remains until something breaks. The less remains, the greater it is, so that a
/// rule's level is reached at or above its threshold like that of any other quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeLeft(pub Span);

impl Ord for TimeLeft {
    fn cmp(&self, other: &Self) -> Ordering {
        Reverse(self.0).cmp(&Reverse(other.0))
    }
}

impl PartialOrd for TimeLeft {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_time_is_more() {
        let left = |secs| TimeLeft(Span::from_secs(secs));
        assert!(left(5) > left(10));
        assert!(left(10) >= left(10));
        assert_eq!([left(1), left(9)].into_iter().max(), Some(left(1)));
    }
}
