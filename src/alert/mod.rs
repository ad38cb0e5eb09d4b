//! Alerts: evaluation of rules, suppression, grouping, and the sentences of notifications.
//!
//! A [`Reading`] moves the [`Instance`] of a rule and a target; [`AlertEngine`] owns the instances;
//! [`AlertGroups`] decides which receiver is notified of what, and when; [`news`] writes the
//! sentences. All of it is pure: `now` is an argument.

mod context;
mod engine;
mod facts;
mod groups;
mod identity;
mod instance;
mod mute;
pub mod news;
mod notification;
mod outages;
mod reading;
mod rule;
mod snapshot;
mod suppression;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod value;

pub use context::AlertContext;
pub use engine::{
    AlertEngine, Evaluation, RESOLVED_KEPT_FOR, RestoredAlert, RestoredAlerts, RuleInput,
};
pub use facts::{
    AtRisk, BacklogHeadroom, Bounds, Details, DivergedFacts, EvidenceUntil, FailoverFacts,
    MAX_SERVICES, OutputBufferFacts, Recovery, Resync, ServedPair, ServiceRole, Worst, WriteLoss,
};
pub use groups::{AlertGroups, AlertTarget, DueNotifications, EvalContext, Inhibitors, wants};
pub use identity::{AlertIdentity, AlertKey, Fingerprint, Labels};
pub use instance::{Instance, InstanceStatus};
pub use mute::{
    MAX_SILENCES, Maintenance, Matchers, Mutes, NewSilence, PlannedWork, Silence, SilenceError,
    SilenceRecord, SilenceState, Silences,
};
pub use notification::{Affected, GroupKey, Notification, NotifyReason};
pub use outages::FlapSeries;
pub use reading::{LevelVerdict, Reading};
pub use rule::{Rule, TargetKind};
pub use snapshot::{
    AlertChange, AlertCounts, AlertSnapshot, AlertState, AlertStatus, Decision, ListedAlert,
    ResolveReason, Transition,
};
pub use suppression::{Inhibitor, MutedBy, SilenceId, Suppression};
pub use value::{Measured, Quantity};
