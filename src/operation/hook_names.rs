//! The names of hooks, when they run, and how far a run has come with them.

use serde::{Deserialize, Serialize};

use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// When hooks run.
    pub enum HookStage {
        /// Before the first order that clients would notice.
        Before => "before",
        /// As soon as the new master takes writes, or once it is certain that the old one does.
        After => "after",
    }
}

serde_as_label!(HookStage);

/// The names of the hooks of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookNames {
    /// Those before it.
    pub before: Vec<String>,
    /// Those after it.
    pub after: Vec<String>,
}

/// How far a run has come with its hooks.
#[derive(Debug, Default)]
pub(super) struct HookProofs {
    /// Whether one before the operation has begun, in this run or an earlier one.
    pub(super) begun: bool,
    /// Whether all of those before the operation are through.
    pub(super) before_done: bool,
    /// Whether those after it have run.
    pub(super) after_done: bool,
}
