//! Names that users give, and what is wrong with them.

use std::fmt;

/// Why a name cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The datacenter's name is empty.
    NoDatacenter,
    /// The datacenter's name has a `#`, which sets incarnations apart in the fields of counters.
    Hash,
    /// The queue's key is empty.
    NoQueue,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDatacenter => f.write_str("the datacenter needs a name"),
            Self::Hash => f.write_str("the datacenter's name must not contain '#'"),
            Self::NoQueue => f.write_str("the queue needs a key"),
        }
    }
}

impl std::error::Error for BuildError {}

/// Refuses a datacenter's name that envelopes and counters cannot have.
pub(super) fn check_dc(dc: &str) -> Result<(), BuildError> {
    if dc.is_empty() {
        return Err(BuildError::NoDatacenter);
    }
    if dc.contains('#') {
        return Err(BuildError::Hash);
    }
    Ok(())
}
