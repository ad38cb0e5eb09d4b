//! The result of a reload, for the log and for the client that requested it.

use std::fmt;

use crate::topology::TopologyDiff;

/// What a reload changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadReport {
    /// Pairs that are new.
    pub pairs_added: usize,
    /// Pairs that are gone.
    pub pairs_removed: usize,
    /// Pairs that stay, with or without changed rules or labels.
    pub pairs_kept: usize,
    /// Replication trees whose polling started again.
    pub trees_restarted: usize,
    /// Receivers that there are now.
    pub receivers: usize,
}

impl ReloadReport {
    /// What `diff` changes, with `receivers` in the new configuration.
    pub fn new(diff: &TopologyDiff, receivers: usize) -> Self {
        Self {
            pairs_added: diff.pairs_added,
            pairs_removed: diff.pairs_removed,
            pairs_kept: diff.pairs_kept,
            trees_restarted: diff.started.len(),
            receivers,
        }
    }
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pairs_added,
            pairs_removed,
            pairs_kept,
            trees_restarted,
            receivers,
        } = self;
        write!(
            f,
            "reloaded: pairs added {pairs_added}, removed {pairs_removed}, kept {pairs_kept}; replication trees whose \
             polling started again: {trees_restarted}; receivers: {receivers}"
        )
    }
}
