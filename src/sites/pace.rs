//! How fast the sites are asked: so many keys a second, and fewer while they answer slowly.

use crate::model::{Span, Timestamp};

/// A batch that takes so many times the fastest one shows that a site or the link is busy.
const SLOW: f64 = 4.0;

/// Less than this is never slow: the clocks of two sites' tasks have other reasons.
const NEVER_SLOW: Span = Span::from_millis(20);

/// By how much the fastest batch counts as slower with each other one.
const FORGETS: f64 = 1.001;

/// How much longer to wait while the sites answer slowly.
const HELD_BACK: f64 = 2.0;

/// When the next batch is due.
#[derive(Clone, Debug)]
pub struct Pace {
    keys_per_second: f64,
    next: Timestamp,
    fastest: Option<Span>,
    is_slow: bool,
}

impl Pace {
    /// At most `keys_per_second`, from `now` on.
    pub fn new(keys_per_second: u32, now: Timestamp) -> Self {
        Self {
            keys_per_second: f64::from(keys_per_second.max(1)),
            next: now,
            fastest: None,
            is_slow: false,
        }
    }

    /// When the next batch is due.
    pub const fn next(&self) -> Timestamp {
        self.next
    }

    /// Whether the sites are asked less, because they answer slowly.
    pub const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// A batch of `keys` began at `began` and took so long. A time that was missed is not made up
    /// for.
    pub fn spent(&mut self, keys: u64, began: Timestamp, took: Span) {
        // A link that has become slower for good counts as such after a while.
        let fastest = self
            .fastest
            .map_or(took, |fastest| fastest.mul_f64(FORGETS));
        let fastest = fastest.min(took);
        self.fastest = Some(fastest);
        self.is_slow = took > fastest.mul_f64(SLOW).max(NEVER_SLOW);
        let factor = if self.is_slow { HELD_BACK } else { 1.0 };
        let wait = Span::from_secs_f64(keys as f64 / self.keys_per_second * factor);
        self.next = began + wait;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_halved_while_the_sites_are_slow() {
        let start = Timestamp::from_nanos(0);
        let mut pace = Pace::new(200, start);
        pace.spent(100, start, Span::from_millis(10));
        assert_eq!(pace.next(), start + Span::from_millis(500));
        let began = pace.next();
        pace.spent(100, began, Span::from_millis(80));
        assert!(pace.is_slow());
        assert_eq!(pace.next(), began + Span::from_secs(1));
        // A batch that comes late does not let the next one come early.
        let late = began + Span::from_secs(60);
        pace.spent(100, late, Span::from_millis(15));
        assert!(!pace.is_slow());
        assert_eq!(pace.next(), late + Span::from_millis(500));
    }
}
