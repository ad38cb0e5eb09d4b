//! What is known of one direction: from a source to a target that may lack what the source has.

use std::collections::BTreeMap;

use super::class::CheckedClass;
use crate::model::{Span, Timestamp};

/// What is known of a direction after its latest look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectionStatus {
    /// Registers that differ for good.
    pub keys: Counted,
    /// Counters that differ for good.
    pub counters: Counted,
    /// Those of both that differ for good, by how they differ.
    pub settled: BTreeMap<CheckedClass, u64>,
    /// Keys that differed at their first look and wait for the second.
    pub in_flight: u64,
    /// Counters of which the target has less in a field of its own. Exact.
    pub regressed: u64,
    /// How old the oldest version is that the source has and the target had not when it was last
    /// looked at. `None` while none is known and no pass has ended.
    pub unpropagated: Option<Span>,
    /// How far the source's versions are ahead of its clock, at most. `None` while none is and no
    /// pass has ended.
    pub ahead: Option<Span>,
    /// Looks since the start, by what came of them.
    pub checked: BTreeMap<CheckedClass, u64>,
    /// The pass under way.
    pub pass: PassProgress,
    /// The last one that ended.
    pub last_pass: Option<LastPass>,
    /// Some of the keys that differ for good.
    pub examples: Vec<DifferingKey>,
    /// Whether the sites are asked less, because they answer slowly.
    pub is_slow: bool,
}

/// How many keys of a kind differ for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// So many are known: at least these.
    pub seen: u64,
    /// The number, if the last pass has looked at every key.
    pub counted: Option<u64>,
    /// At most this many, with 95 % confidence while keys are still to be looked at; `None` while
    /// too few were.
    pub upper: Option<u64>,
}

/// How far a pass is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassProgress {
    /// When it began; `None` before the first look.
    pub began: Option<Timestamp>,
    /// Keys that were looked at.
    pub looked: u64,
    /// Keys that there are, as far as that can be estimated.
    pub expected: Option<u64>,
}

/// A pass that has looked at every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastPass {
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took.
    pub took: Span,
    /// Keys that were looked at. One that SCAN returns twice may count twice.
    pub keys: u64,
    /// How many passes have ended.
    pub passes: u64,
}

/// A key that differs for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingKey {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// How it differs.
    pub class: CheckedClass,
}
