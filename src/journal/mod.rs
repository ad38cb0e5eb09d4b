//! The journal: the most recent state changes of pairs and alerts, numbered.
//!
//! Live readers (`/api/v1/events`, the page) resume after the last number that they have seen;
//! people read in the morning what happened during the night.

mod saved;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::alert::Transition;
use crate::model::{PairKey, PairName, Timestamp, WallTime};
use crate::replication::PairState;

/// How many entries are kept: what a person reads, and what a live reader misses while it
/// reconnects. When a datacenter is cut off, thousands of pairs change at once; the list of pairs
/// has them all.
const MAX_ENTRIES: usize = 500;

/// One event, with its number. Numbers rise by one. The first of a process is the wall clock at its
/// start, in milliseconds: higher than every number of an earlier process, unless the clock was set
/// back.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// Its number: the `id` of the live stream.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: JournalEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalEvent {
    /// A pair went from one state to another.
    State(RecordedChange),
    /// An alert began, changed its severity or ended.
    Alert(Transition),
    /// An operation began, ended or is no longer reported.
    Operation(RecordedOperation),
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedOperation {
    /// Its pair.
    pub pair: PairName,
    /// Its name.
    pub id: Arc<str>,
    /// Where it is from then on: the label of a phase.
    pub phase: Arc<str>,
    /// What it does, or how it ended, as a sentence.
    pub what: Arc<str>,
}

/// A pair's change of state as it is recorded. The first state of a pair is not a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedChange {
    /// The pair.
    pub pair: PairKey,
    /// Its state before.
    pub from: PairState,
    /// Its state from then on.
    pub to: PairState,
    /// The reason for the new state, as a sentence.
    pub reason: Arc<str>,
}

/// The most recent entries. A clone is cheap: it shares them.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The number of the newest entry.
    last: u64,
    /// The number of the last entry that was handed over to be saved.
    last_saved: u64,
    /// Oldest first.
    entries: Arc<VecDeque<Arc<JournalEntry>>>,
}

impl Journal {
    /// An empty journal whose numbers begin at `now`.
    pub fn new(now: WallTime) -> Self {
        let last = u64::try_from(now.as_nanos() / 1_000_000).unwrap_or(0);
        Self {
            last,
            last_saved: last,
            entries: Arc::default(),
        }
    }

    /// Adds an event that happened at `at`; the oldest entry goes once `MAX_ENTRIES` are kept.
    pub fn record(&mut self, event: JournalEvent, at: Timestamp) {
        self.last += 1;
        let entry = JournalEntry {
            number: self.last,
            at,
            event,
        };
        let entries = Arc::make_mut(&mut self.entries);
        if entries.len() >= MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(Arc::new(entry));
    }

    /// The number of the newest entry; before the first, a number below the one it will have.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The entries after this number that are still kept, oldest first. Nothing comes after a
    /// number that was not given yet.
    pub fn after(
        &self,
        number: u64,
    ) -> impl DoubleEndedIterator<Item = &Arc<JournalEntry>> + ExactSizeIterator {
        let begin = self.entries.partition_point(|entry| entry.number <= number);
        self.entries.range(begin..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerAddr;

    fn change() -> JournalEvent {
        JournalEvent::State(RecordedChange {
            pair: PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1)),
            from: PairState::Stalled,
            to: PairState::Streaming,
            reason: "it streams".into(),
        })
    }

    #[test]
    fn a_reader_that_was_away_resumes_after_the_last_number_it_has_seen() {
        let mut journal = Journal::default();
        assert_eq!(journal.last(), 0);
        assert_eq!(journal.after(0).len(), 0);
        let total = MAX_ENTRIES as u64 + 7;
        for _ in 0..total {
            journal.record(change(), Timestamp::default());
        }
        let numbers =
            |after| -> Vec<_> { journal.after(after).map(|entry| entry.number).collect() };
        assert_eq!(numbers(0), (8..=total).collect::<Vec<_>>());
        assert_eq!(numbers(total - 2), [total - 1, total]);
        assert!(numbers(total).is_empty());
        assert!(numbers(u64::MAX).is_empty());
    }

    #[test]
    fn a_clone_does_not_change_with_the_original() {
        let mut journal = Journal::default();
        journal.record(change(), Timestamp::default());
        let copy = journal.clone();
        journal.record(change(), Timestamp::default());
        assert_eq!(copy.after(0).len(), 1);
        assert_eq!(journal.after(0).len(), 2);
    }
}
