//! The sentences that describe a lost history, for pages, alerts and logs.

use std::fmt;

use super::{HistoryLoss, HistoryRemnant, ReplicaCopy};
use crate::model::Bytes;

impl fmt::Display for HistoryLoss {
    /// What the master has lost, and what the replica still has of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, copy, .. } = self;
        let keys = Keys(self.keys_now, self.keys_before);
        match kept {
            HistoryRemnant::Until { lost, .. } if *lost == Bytes::ZERO => {
                return f.write_str("the master has its whole replication history again");
            }
            HistoryRemnant::Until { lost, .. } => write!(
                f,
                "the master came back with an older state{keys}: the last {lost} of its stream are missing"
            ),
            HistoryRemnant::Nothing if self.has_only_new_keys() => write!(
                f,
                "the master came back empty{keys}: everything that it had before is missing"
            ),
            HistoryRemnant::Nothing => write!(f, "the master came back without its data{keys}"),
            HistoryRemnant::SomeDataSet => write!(
                f,
                "the master came back with a new replication history{keys}: its last writes may be missing"
            ),
            HistoryRemnant::Unknown => f.write_str(
                "the master came back with a new replication history: its data may be missing",
            ),
        }?;
        write!(f, "; {copy}")
    }
}

/// The keys that a master has, and those that it had.
struct Keys(Option<u64>, Option<u64>);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(Some(now), Some(before)) => write!(f, " ({now} of {before} keys)"),
            Self(Some(now), None) => write!(f, " ({now} keys)"),
            Self(None, _) => Ok(()),
        }
    }
}

impl fmt::Display for ReplicaCopy {
    /// What the replica has of the lost history: half a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unseen => "the replica's next sync replaces its data with what the master has now",
            Self::Whole => {
                "the replica still has everything that it had applied, until a full sync replaces it"
            }
            Self::BeingReplaced => {
                "the replica still has everything that it had applied, until the full sync that is under way is loaded"
            }
            Self::Replaced => "the replica has replaced its data with what the master has now",
            Self::Promoted => {
                "the replica was made a master and has everything that it had applied"
            }
            Self::NoMore => "the replica had nothing of it either",
        })
    }
}
