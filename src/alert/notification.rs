//! What is said to a receiver, and why.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AlertSnapshot, AlertStatus, Labels, TargetKind};
use crate::config::Severity;
use crate::model::Timestamp;

/// Why a notification is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyReason {
    /// The group began to fire.
    First,
    /// An alert of the group became critical.
    Escalated,
    /// The group's highest severity fell from critical to warning.
    Deescalated,
    /// Another alert joined the group.
    NewInGroup,
    /// An alert of the group is clear for now, and flaps: its short outages are not notified until it
    /// is stable.
    Flapping,
    /// What an alert of the group counts happened once more: another full sync.
    HappenedAgain,
    /// Some of the group's alerts resolved; others still fire.
    PartlyResolved,
    /// Nothing changed for `repeat_interval`.
    Repeat,
    /// All of the group's alerts resolved.
    Resolved,
}

/// One thing to say to one receiver about one group of alerts.
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
    /// The alerts that are news and of the notification's severity, worst first; then the others that
    /// fire, worst first; then those that resolved since the last notification, or are clear for now.
    pub alerts: Vec<Arc<AlertSnapshot>>,
    /// How many of them, from the first on, are such news: they fire, and the receiver was not told
    /// so, or not that they are so severe.
    #[serde(default)]
    pub news: usize,
    /// How many targets of the group fire, and of how many: "500 of 500 pairs". `None` where they
    /// are of several kinds.
    pub affected: Option<Affected>,
    /// How many alerts of the group fire and are not told, because of silences or maintenance.
    pub held: usize,
    /// Which incident of the group this is, beginning with 0: the next one wherever there is a new
    /// page (`repage_on`, or an alert that flaps is critical again). A part of `PagerDuty`'s dedup key; the incident of an older generation
    /// is over with the first delivery of a newer one.
    pub generation: u32,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// How many of a group's targets fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// What the targets are.
    pub kind: TargetKind,
    /// How many of them fire.
    pub firing: usize,
    /// How many there are, with the labels of the group, as far as the receiver's matchers fit.
    pub of: usize,
}

/// What alerts are grouped by: the labels of `group_by` that they have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(pub Arc<Labels>);

impl NotifyReason {
    /// The reason's word in logs, metrics and payloads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Escalated => "escalated",
            Self::Deescalated => "deescalated",
            Self::NewInGroup => "new_in_group",
            Self::HappenedAgain => "happened_again",
            Self::Flapping => "flapping",
            Self::PartlyResolved => "partly_resolved",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
        }
    }
}

impl GroupKey {
    /// The group of an alert: those of the labels `group_by` that it has. By default that is the
    /// direction of a pair, and the datacenter of a server.
    pub fn new(alert: &AlertSnapshot, group_by: &[String]) -> Self {
        let own = group_by
            .iter()
            .map(|name| (name.clone(), alert.label(name).to_owned()));
        Self(Arc::new(
            own.filter(|(_, value)| !value.is_empty()).collect(),
        ))
    }

    /// A stable text: `alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2"`, values
    /// escaped as in Prometheus' text format.
    pub fn text(&self) -> String {
        let escape = |v: &str| {
            v.replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
        };
        let parts: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect();
        parts.join(",")
    }
}
