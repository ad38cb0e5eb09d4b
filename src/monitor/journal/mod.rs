//! What happened lately: changes of states and alerts, numbered, for who watches live and for who
//! comes in the morning.

mod saved;

use std::collections::VecDeque;
use std::sync::Arc;

use super::StateChange;
use crate::alert::Transition;
use crate::model::{PairKey, Timestamp, WallTime};
use crate::replication::PairState;

/// Happenings that are kept: what a person reads, and what a reader that was away for a moment has
/// missed. When a datacenter is cut, thousands of pairs change at once; the table of pairs has them
/// all.
const MAX_HAPPENINGS: usize = 500;

/// Something that happened, with its number. Numbers rise by one. They begin where the wall clock
/// stands at the start of the program, in milliseconds: above all that an earlier run has given, as
/// long as no clock was set back.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// Its number.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A pair came from one state into another.
    State(NotedChange),
    /// An alert began, changed its severity or ended.
    Alert(Transition),
}

/// A pair's change of state as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedChange {
    /// The pair.
    pub pair: PairKey,
    /// Its state before.
    pub from: PairState,
    /// Its state from then on.
    pub to: PairState,
    /// Why, as a sentence.
    pub reason: Arc<str>,
}

impl NotedChange {
    /// The first state of a pair is no news: `None`.
    pub fn of(change: &StateChange) -> Option<Self> {
        let StateChange {
            pair,
            from,
            to,
            reason,
        } = change;
        Some(Self {
            pair: pair.clone(),
            from: (*from)?,
            to: *to,
            reason: reason.to_string().into(),
        })
    }
}

/// The last happenings. A copy is cheap: it shares them.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    last: u64,
    /// The number of the last one that was handed over to be written.
    written: u64,
    kept: Arc<VecDeque<Arc<Happening>>>,
}

impl Journal {
    /// A journal that begins now.
    pub fn begin(now: WallTime) -> Self {
        let last = u64::try_from(now.as_nanos() / 1_000_000).unwrap_or(0);
        Self {
            last,
            written: last,
            ..Self::default()
        }
    }

    /// Takes in what happened at `at`.
    pub fn note(&mut self, what: What, at: Timestamp) {
        self.last += 1;
        let kept = Arc::make_mut(&mut self.kept);
        if kept.len() >= MAX_HAPPENINGS {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Happening {
            number: self.last,
            at,
            what,
        }));
    }

    /// The number of the last happening; before the first, a lower one than it will have.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Those after the one with this number that are still kept, oldest first. A number that was
    /// not given yet has none after it.
    pub fn after(
        &self,
        number: u64,
    ) -> impl DoubleEndedIterator<Item = &Arc<Happening>> + ExactSizeIterator {
        let begin = self
            .kept
            .partition_point(|happening| happening.number <= number);
        self.kept.range(begin..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PairName, ServerAddr};
    use crate::replication::StateReason;

    fn change() -> What {
        let pair = PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1));
        let (from, to) = (PairState::Stalled, PairState::Streaming);
        What::State(NotedChange {
            pair,
            from,
            to,
            reason: "it streams".into(),
        })
    }

    #[test]
    fn the_first_state_of_a_pair_is_no_news() {
        let pair = PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1));
        let first = StateChange {
            pair,
            from: None,
            to: PairState::Streaming,
            reason: StateReason::Streaming,
        };
        assert_eq!(NotedChange::of(&first), None);
        let then = NotedChange::of(&StateChange {
            from: Some(PairState::Stalled),
            ..first
        })
        .unwrap();
        assert_eq!(
            (then.from, then.to),
            (PairState::Stalled, PairState::Streaming)
        );
    }

    #[test]
    fn the_last_are_kept_and_who_was_away_is_told_what_it_missed() {
        let mut journal = Journal::default();
        assert_eq!((journal.last(), journal.after(0).len()), (0, 0));
        let total = MAX_HAPPENINGS as u64 + 7;
        for _ in 0..total {
            journal.note(change(), Timestamp::default());
        }
        let numbers = |after| {
            journal
                .after(after)
                .map(|happening| happening.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(0), (8..=total).collect::<Vec<_>>());
        assert_eq!(numbers(total - 2), [total - 1, total]);
        assert_eq!((numbers(total), numbers(u64::MAX)), (vec![], vec![]));
    }

    #[test]
    fn a_copy_does_not_change_with_the_original() {
        let mut journal = Journal::default();
        journal.note(change(), Timestamp::default());
        let copy = journal.clone();
        journal.note(change(), Timestamp::default());
        assert_eq!((copy.after(0).len(), journal.after(0).len()), (1, 2));
    }
}
