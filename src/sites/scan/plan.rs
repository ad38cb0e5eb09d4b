//! What is scanned.

use crate::model::{Datacenter, Span};

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// A register: an envelope.
    Register,
    /// A counter: a hash.
    Counter,
}

/// What is scanned, and how a difference is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanPlan {
    /// Patterns of the keys of registers, as SCAN takes them.
    pub keys: Vec<String>,
    /// Patterns of the keys of counters.
    pub counters: Vec<String>,
    /// How long after the first look the second one is taken.
    pub settle: Span,
    /// The datacenter of the target, which its own fields of counters have.
    pub target: Datacenter,
    /// How far ahead of the clocks a version may be.
    pub max_ahead: Span,
}

impl ScanPlan {
    /// The patterns, each with what its keys hold.
    pub(super) fn legs(&self) -> Vec<(KeyKind, String)> {
        let registers = self.keys.iter().map(|key| (KeyKind::Register, key.clone()));
        let counters = self
            .counters
            .iter()
            .map(|key| (KeyKind::Counter, key.clone()));
        registers.chain(counters).collect()
    }
}
