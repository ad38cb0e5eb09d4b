//! The unshared history of two servers that both are masters of one history.

use crate::model::Bytes;

/// Two masters of one history: what each has that the other does not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Bytes that only the pair's master has.
    pub master: Bytes,
    /// Bytes that only its replica has, which is a master as well.
    pub replica: Bytes,
    /// Whether the master is the one that was promoted: the other one writes the older history.
    pub master_was_promoted: bool,
}

impl Split {
    /// The end of the older history: what the server that was promoted does not have.
    pub const fn older(&self) -> Bytes {
        if self.master_was_promoted {
            self.replica
        } else {
            self.master
        }
    }
}
