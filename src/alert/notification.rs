//! One notification about one group of alerts, for one receiver.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AlertSnapshot, AlertStatus, Labels, TargetKind};
use crate::config::Severity;
use crate::model::{Timestamp, closed_set, serde_as_label};

closed_set! {
    /// Why a notification is sent.
    pub enum NotifyReason {
        /// The group began to fire.
        First => "first",
        /// An alert of the group became critical.
        Escalated => "escalated",
        /// The group's highest severity fell from critical to warning.
        Deescalated => "deescalated",
        /// Another alert joined the group.
        NewInGroup => "new_in_group",
        /// An alert of the group flaps and is clear for now: its short outages are not notified
        /// until it is stable.
        Flapping => "flapping",
        /// The event that an alert of the group counts happened once more: another full sync.
        HappenedAgain => "happened_again",
        /// Some of the group's alerts resolved; others still fire.
        PartlyResolved => "partly_resolved",
        /// Nothing changed for `repeat_interval`.
        Repeat => "repeat",
        /// All of the group's alerts resolved.
        Resolved => "resolved",
    }
}
serde_as_label!(NotifyReason);

/// One notification for one receiver about one group of alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// Which group, among those of this receiver.
    pub group: GroupKey,
    /// Firing as long as any alert of the group fires.
    pub status: AlertStatus,
    /// Why it is sent.
    pub reason: NotifyReason,
    /// The highest severity among the firing alerts; of a resolved group, the last one it had.
    pub severity: Severity,
    /// First the new alerts of the notification's severity, worst first; then the others that fire,
    /// worst first; then those that resolved since the last notification, or are clear for now.
    pub alerts: Vec<Arc<AlertSnapshot>>,
    /// How many of the alerts, from the first on, are new: they fire, and the receiver was not
    /// notified of that, or not of that severity.
    #[serde(default)]
    pub news: usize,
    /// How many targets of the group fire, and of how many: "500 of 500 pairs". `None` where they
    /// are of several kinds.
    pub affected: Option<Affected>,
    /// How many alerts of the group are left out because they are suppressed.
    pub held: usize,
    /// Which incident of the group this is, counted from 0: every new page (`repage_on`, or a
    /// flapping alert that is critical again) begins the next one. It is a part of `PagerDuty`'s
    /// dedup key; the first delivery of a newer incident ends the older one.
    pub generation: u32,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// How many of a group's targets fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// What kind of things the targets are.
    pub kind: TargetKind,
    /// How many of them fire.
    pub firing: usize,
    /// How many targets have the labels of the group and fit the receiver's matchers.
    pub of: usize,
}

/// The key of a group: those of the labels in `group_by` that its alerts have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(pub Arc<Labels>);

impl GroupKey {
    /// The group of an alert. By default that is the direction of a pair, or the datacenter of a
    /// server.
    pub fn new(alert: &AlertSnapshot, group_by: &[String]) -> Self {
        let mut labels = Labels::new();
        for name in group_by {
            let value = alert.label(name);
            if !value.is_empty() {
                labels.insert(name.clone(), value.to_owned());
            }
        }
        Self(Arc::new(labels))
    }

    /// A stable text: `alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2"`, values
    /// escaped as in Prometheus' text format.
    pub fn text(&self) -> String {
        let parts: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        parts.join(",")
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
