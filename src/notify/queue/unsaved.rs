//! The parts of a queue that changed since they were last saved.

use std::collections::BTreeSet;

use crate::alert::GroupKey;
use crate::notify::attempt::DeliveryId;

/// The records that are to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsaved {
    pub(super) groups: BTreeSet<GroupKey>,
    pub(super) letters: BTreeSet<DeliveryId>,
    /// Whether the record of the receiver itself has to be written.
    pub(super) receiver: bool,
}

impl Unsaved {
    pub(super) fn touch(&mut self, group: GroupKey) {
        self.groups.insert(group);
    }

    pub(super) fn touch_letter(&mut self, letter: DeliveryId) {
        self.letters.insert(letter);
    }

    pub(super) fn touch_receiver(&mut self) {
        self.receiver = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.letters.is_empty() && !self.receiver
    }
}
