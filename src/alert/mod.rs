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
mod mute;
#[cfg(test)]
mod mute_tests;
pub mod news;
mod notification;
mod outages;
#[cfg(test)]
mod properties;
mod reading;
mod saved;
#[cfg(test)]
mod saved_tests;
#[cfg(test)]
mod testing;
mod types;

pub use context::*;
pub use engine::{AlertEngine, Evaluation, RESOLVED_KEPT_FOR, RuleInput};
pub use groups::{AlertGroups, AlertTarget, DueNotifications, EvalContext, Inhibitors, wants};
pub use instance::{Instance, InstanceStatus};
pub use mute::{
    MAX_SILENCES, Maintenance, Matchers, Mutes, NewSilence, Silence, SilenceError, SilenceRecord,
    SilenceState, Silences,
};
pub use notification::*;
pub use outages::Series;
pub use reading::{Reading, Verdict};
pub use saved::{RestoredAlert, RestoredAlerts};
pub use types::*;
