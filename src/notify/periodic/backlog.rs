//! Changes that the tasks of one receiver have not been able to send yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::delivery::QueueState;
use crate::model::Timestamp;

/// The unsent changes of all tasks of a receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Backlog(Arc<Mutex<UnsentByTask>>);

#[derive(Debug, Default)]
struct UnsentByTask {
    /// How many tasks there were; the newest has this number.
    tasks: u64,
    /// Since when each task has had a change to send.
    since: BTreeMap<u64, Timestamp>,
}

/// One task's part of the backlog, which is removed with the task.
#[derive(Debug)]
pub(super) struct BacklogGuard {
    backlog: Backlog,
    task: u64,
}

impl Backlog {
    /// The part of one more task.
    pub(super) fn guard(&self) -> BacklogGuard {
        let mut unsent = self.lock();
        unsent.tasks += 1;
        BacklogGuard {
            backlog: self.clone(),
            task: unsent.tasks,
        }
    }

    fn lock(&self) -> MutexGuard<'_, UnsentByTask> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BacklogGuard {
    /// Sets since when this task has had a change to send; `None` when everything was sent.
    pub(super) fn set(&self, since: Option<Timestamp>) {
        let mut unsent = self.backlog.lock();
        match since {
            Some(since) => unsent.since.insert(self.task, since),
            None => unsent.since.remove(&self.task),
        };
    }

    /// The backlog of all of the receiver's tasks, as its queue.
    pub(super) fn state(&self) -> QueueState {
        let unsent = self.backlog.lock();
        QueueState {
            depth: unsent.since.len(),
            oldest: unsent.since.values().min().copied(),
            ..QueueState::default()
        }
    }
}

impl Drop for BacklogGuard {
    fn drop(&mut self) {
        self.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receivers_backlog_includes_all_its_members() {
        let at = Timestamp::from_nanos;
        let backlog = Backlog::default();
        let one = backlog.guard();
        let other = backlog.guard();
        one.set(Some(at(5)));
        other.set(Some(at(3)));
        assert_eq!((one.state().depth, one.state().oldest), (2, Some(at(3))));
        drop(other);
        assert_eq!((one.state().depth, one.state().oldest), (1, Some(at(5))));
        one.set(None);
        assert_eq!(one.state(), QueueState::default());
    }
}
