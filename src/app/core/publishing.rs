//! When a snapshot is published.

use crate::app::newest::RECENT;
use crate::model::{Span, Timestamp};
use crate::monitor::PUBLISHED_EVERY;

/// Snapshots take at most this part of the core's time, however large the fleet is.
const SHARE: f64 = 0.1;

/// When snapshots are published: soon after a change that somebody may wait for, at once for a
/// reader that asks, and [`PUBLISHED_EVERY`] otherwise, with the results of all polls until then.
pub(super) struct PublishSchedule {
    /// Not before this.
    next: Timestamp,
    /// At this, even if nothing else asks for it.
    overdue: Timestamp,
    /// Whether something has changed, or a reader waits.
    is_wanted: bool,
}

impl PublishSchedule {
    /// Of a core that has published nothing yet.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            next: now,
            overdue: now,
            is_wanted: true,
        }
    }

    /// A snapshot is wanted: something has changed, or a reader waits.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// When the next snapshot is published, as things are.
    pub(super) fn due(&self) -> Timestamp {
        if self.is_wanted {
            self.next
        } else {
            self.overdue.max(self.next)
        }
    }

    /// A snapshot was published at `now`, which took `cost`.
    pub(super) fn published(&mut self, now: Timestamp, cost: Span) {
        self.is_wanted = false;
        self.next = now + RECENT.max(cost.mul_f64(1.0 / SHARE));
        self.overdue = now + PUBLISHED_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_soon_after_what_wants_it_and_within_a_second_otherwise() {
        let start = Timestamp::default();
        let mut schedule = PublishSchedule::new(start);
        assert_eq!(schedule.due(), start);
        schedule.published(start, Span::from_millis(1));
        assert_eq!(schedule.due(), start + PUBLISHED_EVERY);
        schedule.want();
        assert_eq!(schedule.due(), start + RECENT);
    }

    #[test]
    fn a_large_fleet_takes_no_more_than_its_share() {
        let start = Timestamp::default();
        let mut schedule = PublishSchedule::new(start);
        schedule.published(start, Span::from_millis(50));
        schedule.want();
        assert_eq!(schedule.due(), start + Span::from_millis(500));
        schedule.published(start, Span::from_millis(200));
        assert_eq!(schedule.due(), start + Span::from_secs(2));
    }
}
