//! When the rules of each pair, or of each server, are evaluated next.

use crate::model::Timestamp;

/// Due in every tick.
const AT_ONCE: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Not due before something happens.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

/// When each of some pairs or servers is due, by its index.
///
/// A tick asks for each of them. That is a comparison in eight bytes that lie side by side: a
/// thousand take a microsecond, less than a heap of instants would.
#[derive(Debug, Default)]
pub(super) struct EvaluationPlan(Vec<Timestamp>);

impl EvaluationPlan {
    /// All of `count` are due, and stay so until [`Self::wait_until`].
    pub(super) fn evaluate_all(&mut self, count: usize) {
        self.0.clear();
        self.0.resize(count, AT_ONCE);
    }

    /// This one is due: something has happened to it.
    pub(super) fn evaluate(&mut self, index: usize) {
        self.set(index, AT_ONCE);
    }

    /// This one is not due before `until`, unless something happens to it.
    pub(super) fn wait_until(&mut self, index: usize, until: Timestamp) {
        self.set(index, until);
    }

    /// This one is not due before something happens to it.
    pub(super) fn wait(&mut self, index: usize) {
        self.set(index, NEVER);
    }

    /// When the first of them is due.
    pub(super) fn next(&self) -> Timestamp {
        let dues = self.0.iter().copied();
        dues.min().unwrap_or(NEVER)
    }

    /// Whether this one is due at `now`.
    pub(super) fn is_due(&self, index: usize, now: Timestamp) -> bool {
        self.0.get(index).is_none_or(|due| *due <= now)
    }

    fn set(&mut self, index: usize, due: Timestamp) {
        if let Some(known) = self.0.get_mut(index) {
            *known = due;
        }
    }
}
