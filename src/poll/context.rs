//! What the tasks of all trees, servers and heartbeats share.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use super::budget::PollBudget;
use super::own_delay::OwnDelay;
use super::report::Reporter;

/// What all tasks share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct PollContext {
    /// Where they run.
    pub(super) runtime: Handle,
    pub(super) reporter: Reporter,
    pub(super) own_delay: OwnDelay,
    pub(super) budget: Arc<Mutex<PollBudget>>,
    /// Base rounds that have begun.
    pub(super) rounds: Arc<AtomicU64>,
    /// Base rounds whose time had passed before they could begin.
    pub(super) missed_rounds: Arc<AtomicU64>,
}

impl PollContext {
    /// The budget is consistent between any two of its operations, so a poisoned one is too.
    pub(super) fn budget(&self) -> MutexGuard<'_, PollBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
