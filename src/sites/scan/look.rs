//! What is read next, and what was read.

use super::plan::KeyKind;
use crate::active_active::{Counter, Page, Stamp, Stored};
use crate::model::{RunId, Span, Timestamp};
use crate::sites::class::CheckedClass;

/// What to read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A page of the source's keys, and how many keys the source has.
    Scan(ScanStep),
    /// What both sites hold under some keys: the source first.
    Look(LookStep),
    /// Nothing before then.
    Wait(Timestamp),
}

/// Which page to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanStep {
    /// Which keys.
    pub pattern: String,
    /// Where the page begins.
    pub cursor: u64,
    /// The pattern's place in the plan.
    pub(super) leg: usize,
}

/// A page, and which servers these are.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The page.
    pub page: Page,
    /// How many keys the source has, of all patterns and of none.
    pub database: u64,
    /// The run of the source that the page is from.
    pub source_run: RunId,
    /// The run of the target.
    pub target_run: RunId,
}

/// Which keys to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookStep {
    /// What they hold.
    pub kind: KeyKind,
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    pub(super) why: LookReason,
}

/// Why keys are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookReason {
    /// They are of the latest page.
    Page,
    /// They differed when they were last looked at.
    Again,
    /// They are counters, and a site may have lost increments.
    Urgent,
}

/// What both sites hold under the keys of a step, in their order.
#[derive(Clone, Debug)]
pub struct RegisterLook {
    /// At the source.
    pub source: Vec<Stored>,
    /// At the target, read afterwards.
    pub target: Vec<Stored>,
    /// What the source's clock showed.
    pub source_now: Stamp,
    /// What the target's clock showed.
    pub target_now: Stamp,
    /// How long it took to read the source.
    pub took: Span,
}

/// The counters of both sites under the keys of a step, in their order; where there is none, why.
#[derive(Clone, Debug)]
pub struct CounterLook {
    /// At the source.
    pub source: Vec<Result<Counter, CheckedClass>>,
    /// At the target, read afterwards.
    pub target: Vec<Result<Counter, CheckedClass>>,
}
