//! How keeping the state goes, for metrics.

use super::error::StoreOperation;
use crate::model::WallTime;

/// How keeping the state goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Whether the last attempt to open or write the file succeeded.
    pub up: bool,
    /// When something was last written.
    pub last_commit: Option<WallTime>,
    /// Bytes of all rows written since the start.
    pub written: u64,
    errors: [u64; StoreOperation::ALL.len()],
}

impl StoreStatus {
    /// Failures of an operation since the start.
    pub fn errors(&self, operation: StoreOperation) -> u64 {
        self.errors[operation as usize]
    }

    pub(super) fn count(&mut self, operation: StoreOperation, failures: u64) {
        self.errors[operation as usize] += failures;
    }
}
