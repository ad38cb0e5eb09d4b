//! One alert at one moment, and how it changes.
//!
//! These types are also written to the state file (`saved`). A new field needs a serde default; one
//! that is renamed keeps its old name for serde.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::identity::label_of;
use super::{
    AlertContext, AlertIdentity, AlertKey, Fingerprint, FlapSeries, Measured, MutedBy, Quantity,
};
use crate::config::Severity;
use crate::model::{ClockShift, Timestamp, closed_set, serde_as_label};

closed_set! {
    /// Whether an alert, or a group of alerts, is firing or resolved.
    pub enum AlertStatus {
        /// The condition holds.
        Firing => "firing",
        /// The condition no longer holds.
        Resolved => "resolved",
    }
}
serde_as_label!(AlertStatus);

closed_set! {
    /// Why an alert resolved.
    pub enum ResolveReason {
        /// The value went below the clear threshold.
        Cleared => "cleared",
        /// The target or the rule is no longer configured.
        Removed => "removed",
        /// Another server became the master: the replication that the alert is about now runs in
        /// another direction.
        Failover => "failover",
    }
}
serde_as_label!(ResolveReason);

closed_set! {
    /// The state of an alert as it is listed. Only firing and resolved alerts are notified.
    pub enum AlertState {
        /// A condition holds, but not yet for as long as the rule asks (`for`).
        Pending => "pending",
        /// It fires.
        Firing => "firing",
        /// It fires and its value is clear, but not yet for as long as the rule asks
        /// (`keep_firing_for`).
        Recovering => "recovering",
        /// It has ended, and is listed for a while.
        Resolved => "resolved",
    }
}

/// One alert at one moment, with everything that a message about it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertSnapshot {
    /// The rule and the target.
    pub identity: AlertIdentity,
    /// The identity's hash.
    pub fingerprint: Fingerprint,
    /// Its severity now, or the last one it had.
    pub severity: Severity,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// When its condition began to hold.
    pub started_at: Timestamp,
    /// When and why it resolved.
    pub resolved: Option<(Timestamp, ResolveReason)>,
    /// The value at its last evaluation that had data.
    pub value: Measured,
    /// The threshold of its severity.
    pub threshold: Quantity,
    /// The highest estimate (or lower bound, where there is no estimate) since it started.
    pub peak: Option<Quantity>,
    /// The facts that messages are made of; they change while it fires.
    pub context: Arc<AlertContext>,
    /// The silence, maintenance window or operation that mutes it now.
    #[serde(rename = "hold")]
    pub muted_by: Option<MutedBy>,
    /// Whether it fires although its value is clear, because that has not lasted long enough. A
    /// receiver that was not notified before is not notified now.
    #[serde(default)]
    pub recovering: bool,
    /// The series of outages that it belongs to while the alert flaps.
    #[serde(default)]
    pub series: Option<FlapSeries>,
    /// The last change, and the value that led to it.
    pub decision: Option<Decision>,
}

/// The last change of an alert, and the value that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What changed.
    pub change: AlertChange,
    /// When.
    pub at: Timestamp,
    /// The value that caused the change.
    pub value: Measured,
}

/// What one evaluation changed, as far as it may have to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertChange {
    /// It began to fire at this severity.
    Fired {
        /// The highest level whose condition had held for long enough.
        severity: Severity,
    },
    /// It fired as a warning and is critical now.
    Escalated,
    /// It was critical and is a warning now.
    Deescalated,
    /// Only in the state files of earlier versions, which let a flapping alert fire on.
    Flapping,
    /// It flapped and is stable again: it has been clear, or has fired, for long enough.
    Settled,
    /// It ended.
    Resolved {
        /// Why.
        reason: ResolveReason,
    },
}

/// A change of one alert, with the alert as it was right after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// What changed.
    pub change: AlertChange,
    /// The alert after the change.
    pub alert: Arc<AlertSnapshot>,
}

/// One alert in a list of alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedAlert {
    /// Its state, which includes pending.
    pub state: AlertState,
    /// What is known about it. While it is pending, the severity is the highest level whose
    /// condition holds, and the status is [`AlertStatus::Firing`] because the condition holds.
    pub alert: Arc<AlertSnapshot>,
    /// The alert that inhibits it, for receivers that are notified of that one.
    pub inhibited_by: Option<AlertKey>,
}

/// How many alerts there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Pending alerts.
    pub pending: usize,
    /// Firing alerts, recovering ones included.
    pub firing: usize,
    /// Recently resolved alerts.
    pub resolved: usize,
}

impl AlertSnapshot {
    /// A label of the alert as it is sent. As everywhere in Prometheus, a label that is absent is
    /// empty.
    pub fn label(&self, name: &str) -> &str {
        match name {
            "alertname" => self.identity.rule.alert_name(),
            "severity" => self.severity.label(),
            _ => label_of(&self.identity.labels, &self.context.extra_labels, name),
        }
    }

    /// Whether it is not notified because it is a short outage of an alert that flaps.
    pub fn is_short_flap(&self) -> bool {
        self.series.is_some_and(|series| series.muted)
    }

    /// Whether it flaps and is clear now.
    pub fn is_clear_for_now(&self) -> bool {
        self.status == AlertStatus::Resolved && self.series.is_some()
    }

    /// The alert's key.
    pub fn key(&self) -> AlertKey {
        AlertKey::from_parts(self.fingerprint, self.identity.clone())
    }

    /// Maps its instants from the clock of the process that saved it.
    pub fn shift(&mut self, shift: &ClockShift) {
        self.started_at = shift.past(self.started_at);
        if let Some((at, _)) = &mut self.resolved {
            *at = shift.past(*at);
        }
        if let Some(series) = &mut self.series {
            series.since = shift.past(series.since);
        }
        if let Some(decision) = &mut self.decision {
            decision.at = shift.past(decision.at);
        }
        Arc::make_mut(&mut self.context).shift(shift);
    }
}

impl AlertChange {
    /// The change's label in logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fired { .. } => "fired",
            Self::Escalated => "escalated",
            Self::Deescalated => "deescalated",
            Self::Flapping => "flapping",
            Self::Settled => "settled",
            Self::Resolved { .. } => "resolved",
        }
    }
}
