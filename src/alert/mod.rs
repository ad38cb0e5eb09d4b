//! Alerts: which rule fires for which target at which level, what belongs together, and what is
//! said about it.
//!
//! [`Reading`] and a rule make an [`Instance`] step; [`AlertEngine`] owns the instances;
//! [`AlertGroups`] decides who is told what, and when. All of it is pure: `now` is an argument.

mod context;
mod engine;
#[cfg(test)]
mod flapping_tests;
mod group;
mod groups;
mod instance;
pub mod news;
mod notification;
mod outages;
#[cfg(test)]
mod properties;
mod quiet;
#[cfg(test)]
mod quiet_tests;
mod reading;
mod saved;
#[cfg(test)]
mod saved_tests;
#[cfg(test)]
mod testing;
mod types;

pub use context::*;
pub use engine::{AlertEngine, Evaluation, RESOLVED_KEPT_FOR, RuleInput};
pub use groups::{AlertGroups, Causes, Due, Outlook, Target, wants};
pub use instance::{Instance, Standing};
pub use notification::*;
pub use outages::Series;
pub use quiet::{
    MAX_SILENCES, Maintenance, Matchers, NewSilence, Quiet, Silence, SilenceError, SilenceRecord,
    SilenceState, Silences,
};
pub use reading::{Reading, Verdict};
pub use saved::{Restored, RestoredAlerts};
pub use types::*;
