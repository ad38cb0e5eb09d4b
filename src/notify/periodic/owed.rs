//! What the tasks of one receiver have not been able to tell yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Timestamp;
use crate::monitor::QueueState;

/// What all tasks of a receiver owe it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owed(Arc<Mutex<Debts>>);

#[derive(Debug, Default)]
struct Debts {
    places: u64,
    since: BTreeMap<u64, Timestamp>,
}

/// One task's part of it; gone with the task.
#[derive(Debug)]
pub(super) struct OwedHere {
    all: Owed,
    place: u64,
}

impl Owed {
    /// A part for one more task.
    pub(super) fn place(&self) -> OwedHere {
        let mut debts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        debts.places += 1;
        OwedHere {
            all: self.clone(),
            place: debts.places,
        }
    }
}

impl OwedHere {
    /// Since when something new waits here; `None` when all was told.
    pub(super) fn set(&self, since: Option<Timestamp>) {
        let mut debts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(since) => _ = debts.since.insert(self.place, since),
            None => _ = debts.since.remove(&self.place),
        }
    }

    /// What the receiver's tasks owe together, as its queue.
    pub(super) fn state(&self) -> QueueState {
        let debts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        QueueState {
            depth: debts.since.len(),
            oldest: debts.since.values().min().copied(),
            ..QueueState::default()
        }
    }
}

impl Drop for OwedHere {
    fn drop(&mut self) {
        self.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_owes_what_its_members_owe() {
        let at = Timestamp::from_nanos;
        let all = Owed::default();
        let (one, other) = (all.place(), all.place());
        one.set(Some(at(5)));
        other.set(Some(at(3)));
        assert_eq!((one.state().depth, one.state().oldest), (2, Some(at(3))));
        drop(other);
        assert_eq!((one.state().depth, one.state().oldest), (1, Some(at(5))));
        one.set(None);
        assert_eq!(one.state(), QueueState::default());
    }
}
