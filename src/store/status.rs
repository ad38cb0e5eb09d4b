//! The status of the store, for metrics: whether the state is being kept.

use super::error::StoreOperation;
use crate::model::WallTime;

/// Whether and when the state was written, and what failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Whether the last attempt to open or write the file succeeded.
    pub up: bool,
    /// When something was last written.
    pub last_commit: Option<WallTime>,
    /// Bytes of all rows written since the start.
    pub written: u64,
    /// Failures by operation, in the order of [`StoreOperation::ALL`].
    errors: [u64; StoreOperation::ALL.len()],
}

impl StoreStatus {
    /// Failures of an operation since the start.
    pub fn errors(&self, operation: StoreOperation) -> u64 {
        self.errors.get(operation as usize).copied().unwrap_or(0)
    }

    pub(super) fn count(&mut self, operation: StoreOperation, failures: u64) {
        if let Some(count) = self.errors.get_mut(operation as usize) {
            *count += failures;
        }
    }
}
