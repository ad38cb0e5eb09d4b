//! How much a master wrote in each two seconds of the last minutes: the course of its load, which
//! is what its next minutes are likely to resemble.

use super::history::OffsetHistory;
use crate::model::{Bytes, Span};

/// How long a slot is: two polls at the usual interval.
pub(super) const SLOT: Span = Span::from_secs(2);

/// Slots of five minutes.
const SLOTS: usize = 150;

/// What was written in each slot, the oldest first; the last one ends with the newest poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteCourse {
    slots: Vec<Bytes>,
}

impl WriteCourse {
    /// The course of the last minutes of `history`, as far as that reaches back.
    pub(super) fn new(history: &OffsetHistory) -> Self {
        let mut slots = Vec::with_capacity(SLOTS);
        let Some((mut end, newest)) = history.newest() else {
            return Self::default();
        };
        let mut at = newest;
        while slots.len() < SLOTS {
            at = at - SLOT;
            let Some(begin) = history.likely_at(at) else {
                break;
            };
            slots.push(end.since(begin));
            end = begin;
        }
        slots.reverse();
        Self { slots }
    }

    /// What was written in each slot.
    pub(super) fn slots(&self) -> &[Bytes] {
        &self.slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ReplicationOffset, Timestamp};
    use crate::replication::history::HistoryLimits;

    fn course(polls: &[(i64, u64)]) -> Vec<u64> {
        let mut history = OffsetHistory::new(HistoryLimits::default());
        for (millis, offset) in polls {
            let at = Timestamp::from_nanos(millis * 1_000_000);
            history.insert(at, at, ReplicationOffset::new(*offset));
        }
        let course = WriteCourse::new(&history);
        course.slots().iter().map(|bytes| bytes.get()).collect()
    }

    #[test]
    fn each_slot_has_what_was_written_in_it() {
        assert!(course(&[]).is_empty());
        assert!(course(&[(0, 7)]).is_empty(), "a moment is no time");
        // Idle for two seconds, 30 bytes, and idle again.
        let polls = [(0, 100), (2000, 100), (4000, 130), (6000, 130)];
        assert_eq!(course(&polls), [0, 30, 0]);
        assert_eq!(course(&[(0, 100), (5000, 150)]), [20, 20], "as if even");
        assert_eq!(course(&polls[..3]), [0, 30], "the oldest first");
    }

    #[test]
    fn it_is_five_minutes_long_at_most_and_all_that_was_written_then() {
        let polls: Vec<_> = (0..1000_i64)
            .map(|second| (second * 1000, second.unsigned_abs() * 10))
            .collect();
        let course = course(&polls);
        assert_eq!(course.len(), SLOTS);
        assert_eq!(course.iter().sum::<u64>(), 300 * 10);
    }
}
