//! The nouns of alerting. As they are here they also stand on the disk (`saved`): what is added needs a default, and
//! what is renamed or removed a step in `store/database/schema.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::saved;
use crate::config::Severity;
use crate::model::{Bytes, Span, Timestamp, stable_hash};

/// A built-in rule. Its alert's name is part of the contract with users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `RedisCrossDcLagHigh`: seconds of lag.
    LagSeconds,
    /// `RedisCrossDcLagBytesHigh`: bytes of lag.
    LagBytes,
    /// `RedisCrossDcLinkDown`: the link is down or stalled for some seconds.
    LinkDown,
    /// `RedisCrossDcServerUnreachable`: a server has not answered for some seconds.
    Unreachable,
    /// `RedisCrossDcLagUnknown`: no comparable sample for some seconds.
    Unknown,
    /// `RedisCrossDcSentinelQuorumLost`: the Sentinels of a datacenter have seen no quorum for some seconds.
    SentinelQuorum,
}

/// Labels, sorted by name.
pub type Labels = BTreeMap<String, String>;

/// What an alert is about: a rule and the labels of its target. Neither severity nor value is part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertIdentity {
    /// The rule.
    pub rule: Rule,
    /// The target's identity labels: `pair, source_dc, target_dc, replica`, or `dc, server`, or `pair, dc`.
    pub labels: Arc<Labels>,
}

/// An identity with its fingerprint: what evaluations, groups and look-ups name an alert by.
///
/// Made once per target and rule and kept by whoever evaluates it, so that no evaluation hashes labels. Ordered by
/// fingerprint, then by identity: a comparison of two keys is mostly that of two numbers, and still exact when two
/// fingerprints collide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertKey {
    fingerprint: Fingerprint,
    identity: AlertIdentity,
}

/// A stable hash of an identity: equal over restarts and on every exporter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

/// A value that a rule looks at, with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Seconds.
    Seconds(Span),
    /// Bytes.
    Bytes(Bytes),
}

/// A value with its certified interval, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The best estimate; `None` when only a bound is known.
    pub estimate: Option<Quantity>,
    /// It is certainly at least this.
    pub lower: Option<Quantity>,
    /// It is certainly at most this; `None` when nothing bounds it.
    pub upper: Option<Quantity>,
}

/// Whether an alert, or a group of alerts, is firing or over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    /// The condition holds.
    Firing,
    /// The condition no longer holds.
    Resolved,
}

/// Why an alert is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolveReason {
    /// The value went below the clear threshold.
    Cleared,
    /// The target or the rule is no longer configured.
    Removed,
}

/// Everything that a message says about one alert, frozen at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertSnapshot {
    /// What it is about.
    pub identity: AlertIdentity,
    /// The identity's hash.
    pub fingerprint: Fingerprint,
    /// Its severity now, or the last one it had.
    pub severity: Severity,
    /// Firing or resolved.
    pub status: AlertStatus,
    /// When its condition began to hold.
    pub started_at: Timestamp,
    /// When it resolved, and why.
    pub resolved: Option<(Timestamp, ResolveReason)>,
    /// The value at its last evaluation that had data.
    pub value: Measured,
    /// The threshold of its severity.
    pub threshold: Quantity,
    /// The highest estimate (or lower bound, where there is no estimate) since it started.
    pub peak: Option<Quantity>,
    /// Where to look, which may change while it fires.
    pub context: Arc<AlertContext>,
}

/// A word of a closed set.
pub type Word = &'static str;

/// What the person who is told needs to know besides labels and values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertContext {
    /// The pair's configured labels; sent, but no part of the identity.
    pub extra_labels: Arc<Labels>,
    /// The pair's master, as `host:port`.
    pub master: Option<String>,
    /// The state (a pair's link state), in the contract's spelling.
    #[serde(with = "saved::state_label")]
    pub state: Option<Word>,
    /// One sentence: why the state is what it is.
    pub reason: Option<String>,
    /// When the last good sample was taken.
    pub last_sample: Option<Timestamp>,
}

/// Where an alert stands, as it is listed. Only what fires or is resolved is ever notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// A condition holds, but not yet for as long as the rule asks.
    Pending,
    /// It fires.
    Firing,
    /// It fires, and its value is clear, but not yet for as long as the rule asks.
    Recovering,
    /// It is over; listed for a while.
    Resolved,
}

/// One alert in a list of alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedAlert {
    /// Where it stands.
    pub state: AlertState,
    /// What is known about it. While it is pending: the severity is the highest level whose condition holds, and the
    /// status is [`AlertStatus::Firing`], because the condition holds; nobody is told of it yet.
    pub alert: Arc<AlertSnapshot>,
}

/// How many alerts there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Pending.
    pub pending: usize,
    /// Firing, recovering ones included.
    pub firing: usize,
    /// Recently resolved.
    pub resolved: usize,
}

/// What one evaluation changed that somebody may want to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It began to fire at this severity.
    Fired {
        /// The highest level whose condition had held for long enough.
        severity: Severity,
    },
    /// It fired as a warning and is critical now.
    Escalated,
    /// It was critical and is a warning now.
    Deescalated,
    /// It is over.
    Resolved {
        /// Why.
        reason: ResolveReason,
    },
}

/// A change of one alert, with the alert as it was right after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// What changed.
    pub change: Change,
    /// The alert.
    pub alert: Arc<AlertSnapshot>,
}

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
    /// The firing alerts, worst first, then those that resolved since the last notification.
    pub alerts: Vec<Arc<AlertSnapshot>>,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// What alerts are grouped by: `alertname`, `source_dc`, `target_dc` (those that the alerts have).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupKey(pub Arc<Labels>);

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 6] =
        [Self::LagSeconds, Self::LagBytes, Self::LinkDown, Self::Unreachable, Self::Unknown, Self::SentinelQuorum];

    /// The alert's name.
    pub const fn alert_name(self) -> &'static str {
        match self {
            Self::LagSeconds => "RedisCrossDcLagHigh",
            Self::LagBytes => "RedisCrossDcLagBytesHigh",
            Self::LinkDown => "RedisCrossDcLinkDown",
            Self::Unreachable => "RedisCrossDcServerUnreachable",
            Self::Unknown => "RedisCrossDcLagUnknown",
            Self::SentinelQuorum => "RedisCrossDcSentinelQuorumLost",
        }
    }

    /// The rule's key in the configuration and in the label `rule`.
    pub const fn config_key(self) -> &'static str {
        match self {
            Self::LagSeconds => "lag_seconds",
            Self::LagBytes => "lag_bytes",
            Self::LinkDown => "link_down",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::SentinelQuorum => "sentinel_quorum",
        }
    }
}

impl AlertIdentity {
    /// The identity's stable hash: over the name and the sorted labels.
    pub fn fingerprint(&self) -> Fingerprint {
        let labels = self.labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        Fingerprint(stable_hash(std::iter::once(self.rule.alert_name()).chain(labels)))
    }
}

impl AlertKey {
    /// The key of what `rule` says about the target with these identity labels.
    pub fn new(rule: Rule, labels: Arc<Labels>) -> Self {
        let identity = AlertIdentity { rule, labels };
        Self { fingerprint: identity.fingerprint(), identity }
    }

    /// The identity.
    pub const fn identity(&self) -> &AlertIdentity {
        &self.identity
    }

    /// The identity's fingerprint.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl AlertSnapshot {
    /// The alert's key.
    pub fn key(&self) -> AlertKey {
        AlertKey { fingerprint: self.fingerprint, identity: self.identity.clone() }
    }
}

impl Measured {
    /// The estimate, or the lower bound where there is none.
    pub fn best(&self) -> Option<Quantity> {
        self.estimate.or(self.lower)
    }
}

impl Quantity {
    /// The bare number, in seconds or bytes.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Seconds(span) => span.as_secs_f64(),
            Self::Bytes(bytes) => bytes.as_f64(),
        }
    }
}

impl From<Span> for Quantity {
    fn from(span: Span) -> Self {
        Self::Seconds(span)
    }
}

impl From<Bytes> for Quantity {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl AlertState {
    /// The state's word in the API and in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
            Self::Resolved => "resolved",
        }
    }
}

impl Change {
    /// The change's word in logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fired { .. } => "fired",
            Self::Escalated => "escalated",
            Self::Deescalated => "deescalated",
            Self::Resolved { .. } => "resolved",
        }
    }
}

impl AlertStatus {
    /// `firing` or `resolved`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl NotifyReason {
    /// The reason's word in logs, metrics and payloads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Escalated => "escalated",
            Self::Deescalated => "deescalated",
            Self::NewInGroup => "new_in_group",
            Self::PartlyResolved => "partly_resolved",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
        }
    }
}

impl ResolveReason {
    /// The reason's word in logs and payloads.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Removed => "removed",
        }
    }
}

impl GroupKey {
    /// The labels that alerts are grouped by, besides `alertname`.
    const GROUP_BY: [&str; 2] = ["source_dc", "target_dc"];

    /// The group of an alert. An alert about a server has neither label, so all servers share one group a rule.
    pub fn of(identity: &AlertIdentity) -> Self {
        let name = ("alertname".to_owned(), identity.rule.alert_name().to_owned());
        let own = Self::GROUP_BY.iter().filter_map(|label| identity.labels.get_key_value(*label));
        let labels = own.map(|(name, value)| (name.clone(), value.clone())).chain([name]).collect();
        Self(Arc::new(labels))
    }

    /// A stable text: `alertname="RedisCrossDcLagHigh",source_dc="dc1",target_dc="dc2"`, values escaped as in
    /// Prometheus' text format.
    pub fn text(&self) -> String {
        let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let parts: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        parts.join(",")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(span) => span.fmt(f),
            Self::Bytes(bytes) => bytes.fmt(f),
        }
    }
}
