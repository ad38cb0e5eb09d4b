//! The nouns of alerting. As they are here they also stand on the disk (`saved`): what is added
//! needs a default, and what is renamed or removed a step in `store/database/schema.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AlertContext, Series};
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
    /// `RedisCrossDcSentinelQuorumLost`: the Sentinels of a datacenter have seen no quorum for some
    /// seconds.
    SentinelQuorum,
    /// `RedisCrossDcFullSync`: a server gave so many full syncs within the rule's window.
    FullSync,
    /// `RedisCrossDcReceiverFailing`: a receiver has not taken its notifications for some seconds.
    ReceiverFailing,
    /// `RedisCrossDcMonitorIsolated`: no remote server of any datacenter has answered for some
    /// seconds.
    MonitorIsolated,
    /// `RedisCrossDcDiverged`: two histories for some seconds.
    Diverged,
    /// `RedisCrossDcFailover`: another server became a pair's master, so often in some time.
    Failover,
    /// `RedisCrossDcHistoryLost`: a pair's master came back without its replication history. Always
    /// critical.
    HistoryLost,
    /// `RedisCrossDcExporterFault`: this exporter has had no access to a server for some seconds,
    /// by a fault of its own or because the server refuses it.
    ExporterFault,
    /// `RedisCrossDcConfigReloadFailed`: the new configuration was refused; the old one goes on.
    ConfigReloadFailed,
}

/// What an alert of a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A master and one of its replicas.
    Pair,
    /// Whatever is called by one name: a master with its replicas.
    Tree,
    /// A server.
    Server,
    /// The Sentinels of a pair in one datacenter.
    Sentinels,
    /// A receiver of notifications.
    Receiver,
    /// This exporter.
    Monitor,
}

/// Labels, sorted by name.
pub type Labels = BTreeMap<String, String>;

/// What an alert is about: a rule and the labels of its target. Neither severity nor value is part
/// of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertIdentity {
    /// The rule.
    pub rule: Rule,
    /// The target's identity labels: `pair, source_dc, target_dc, replica`, or `dc, server`, or
    /// `pair, dc`, or `pair`, or `receiver`, or none.
    pub labels: Arc<Labels>,
}

/// An identity with its fingerprint: what evaluations, groups and look-ups name an alert by.
///
/// Made once per target and rule and kept by whoever evaluates it, so that no evaluation hashes
/// labels. Ordered by fingerprint, then by identity: a comparison of two keys is mostly that of two
/// numbers, and still exact when two fingerprints collide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// How many times something happened.
    Count(u64),
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
    /// Another server became the master: the replication that the alert is about runs in another
    /// direction now.
    Failover,
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
    /// What keeps it from being told now, if anything does.
    #[serde(rename = "hold")]
    pub muted_by: Option<MutedBy>,
    /// Whether it fires although its value is clear: not yet for long enough. Nobody is notified of
    /// it then who was not before.
    #[serde(default)]
    pub recovering: bool,
    /// The series of outages that it is one of, while the alert flaps.
    #[serde(default)]
    pub series: Option<Series>,
    /// What made it what it is.
    pub decision: Option<Decision>,
}

/// What keeps an alert from being told: somebody asked for quiet. What was told before is still
/// told to be over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutedBy {
    /// A silence.
    Silence(SilenceId),
    /// A maintenance window, by its name in the configuration.
    Maintenance(Arc<str>),
}

/// Why nobody was told of an alert, or not again: a closed set, which is also counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// A silence.
    Silenced,
    /// A maintenance window.
    Maintenance,
    /// Another alert explains it.
    #[serde(rename = "caused")]
    Inhibited,
    /// It flaps.
    Flapping,
}

impl From<&MutedBy> for Suppression {
    fn from(muted_by: &MutedBy) -> Self {
        match muted_by {
            MutedBy::Silence(_) => Self::Silenced,
            MutedBy::Maintenance(_) => Self::Maintenance,
        }
    }
}

/// The name of a silence: sixteen hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceId(pub Arc<str>);

/// The last change of an alert, and on what it rests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What changed.
    pub change: AlertChange,
    /// When.
    pub at: Timestamp,
    /// The value that the change rests on.
    pub value: Measured,
}

/// An alert that explains another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibitor {
    /// The alert.
    pub key: AlertKey,
    /// It explains alerts up to this severity: that a replica does not answer is no reason for a
    /// lag that its master proves.
    pub up_to: Severity,
}

/// A word of a closed set.
pub type Word = &'static str;

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
    /// What is known about it. While it is pending: the severity is the highest level whose
    /// condition holds, and the status is [`AlertStatus::Firing`], because the condition holds;
    /// nobody is told of it yet.
    pub alert: Arc<AlertSnapshot>,
    /// The alert that explains it, for whoever is told of that one.
    pub inhibited_by: Option<AlertKey>,
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
    /// Of older versions, which let a flapping alert fire on.
    Flapping,
    /// It flapped, and is stable again: it has been clear, or has fired, for long enough.
    Settled,
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
    pub change: AlertChange,
    /// The alert.
    pub alert: Arc<AlertSnapshot>,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 14] = [
        Self::LagSeconds,
        Self::LagBytes,
        Self::LinkDown,
        Self::Unreachable,
        Self::Unknown,
        Self::SentinelQuorum,
        Self::FullSync,
        Self::ReceiverFailing,
        Self::MonitorIsolated,
        Self::Diverged,
        Self::Failover,
        Self::HistoryLost,
        Self::ExporterFault,
        Self::ConfigReloadFailed,
    ];

    /// The alert's name.
    pub const fn alert_name(self) -> &'static str {
        match self {
            Self::LagSeconds => "RedisCrossDcLagHigh",
            Self::LagBytes => "RedisCrossDcLagBytesHigh",
            Self::LinkDown => "RedisCrossDcLinkDown",
            Self::Unreachable => "RedisCrossDcServerUnreachable",
            Self::Unknown => "RedisCrossDcLagUnknown",
            Self::SentinelQuorum => "RedisCrossDcSentinelQuorumLost",
            Self::FullSync => "RedisCrossDcFullSync",
            Self::ReceiverFailing => "RedisCrossDcReceiverFailing",
            Self::MonitorIsolated => "RedisCrossDcMonitorIsolated",
            Self::Diverged => "RedisCrossDcDiverged",
            Self::Failover => "RedisCrossDcFailover",
            Self::HistoryLost => "RedisCrossDcHistoryLost",
            Self::ExporterFault => "RedisCrossDcExporterFault",
            Self::ConfigReloadFailed => "RedisCrossDcConfigReloadFailed",
        }
    }

    /// The rule's key in the configuration and in the label `rule`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::LagSeconds => "lag_seconds",
            Self::LagBytes => "lag_bytes",
            Self::LinkDown => "link_down",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::SentinelQuorum => "sentinel_quorum",
            Self::FullSync => "full_sync",
            Self::ReceiverFailing => "receiver_failing",
            Self::MonitorIsolated => "monitor_isolated",
            Self::Diverged => "diverged",
            Self::Failover => "failover",
            Self::HistoryLost => "history_lost",
            Self::ExporterFault => "exporter_fault",
            Self::ConfigReloadFailed => "config_reload_failed",
        }
    }

    /// What the rule's alerts are about.
    pub const fn target(self) -> TargetKind {
        match self {
            Self::LagSeconds
            | Self::LagBytes
            | Self::LinkDown
            | Self::Unknown
            | Self::Diverged
            | Self::HistoryLost => TargetKind::Pair,
            Self::Unreachable | Self::FullSync | Self::ExporterFault => TargetKind::Server,
            Self::SentinelQuorum => TargetKind::Sentinels,
            Self::Failover => TargetKind::Tree,
            Self::ReceiverFailing => TargetKind::Receiver,
            Self::MonitorIsolated | Self::ConfigReloadFailed => TargetKind::Monitor,
        }
    }

    /// Whether the rule's alerts explain others.
    pub const fn can_inhibit(self) -> bool {
        matches!(
            self,
            Self::MonitorIsolated
                | Self::Unreachable
                | Self::ExporterFault
                | Self::LinkDown
                | Self::HistoryLost
        )
    }
}

impl TargetKind {
    /// The noun for `count` of them.
    pub const fn noun(self, count: usize) -> &'static str {
        match (self, count) {
            (Self::Pair, 1) => "pair",
            (Self::Pair, _) => "pairs",
            (Self::Tree, 1) => "master",
            (Self::Tree, _) => "masters",
            (Self::Server, 1) => "server",
            (Self::Server, _) => "servers",
            (Self::Sentinels, 1) => "group of Sentinels",
            (Self::Sentinels, _) => "groups of Sentinels",
            (Self::Receiver, 1) => "receiver",
            (Self::Receiver, _) => "receivers",
            (Self::Monitor, 1) => "exporter",
            (Self::Monitor, _) => "exporters",
        }
    }
}

impl AlertIdentity {
    /// The identity's stable hash: over the name and the sorted labels.
    pub fn fingerprint(&self) -> Fingerprint {
        let labels = self
            .labels
            .iter()
            .flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        Fingerprint(stable_hash(
            std::iter::once(self.rule.alert_name()).chain(labels),
        ))
    }
}

impl AlertKey {
    /// The key of what `rule` says about the target with these identity labels.
    pub fn new(rule: Rule, labels: Arc<Labels>) -> Self {
        let identity = AlertIdentity { rule, labels };
        Self {
            fingerprint: identity.fingerprint(),
            identity,
        }
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
    /// A label of what is sent about the alert. As everywhere in Prometheus' world, a label that is
    /// absent is empty.
    pub fn label(&self, name: &str) -> &str {
        match name {
            "alertname" => self.identity.rule.alert_name(),
            "severity" => self.severity.label(),
            _ => label_of(&self.identity.labels, &self.context.extra_labels, name),
        }
    }

    /// Whether nobody is notified of it, because it is a short outage of an alert that flaps.
    pub fn is_muted(&self) -> bool {
        self.series.is_some_and(|series| series.muted)
    }

    /// Whether it flaps and is clear now.
    pub fn is_up_for_now(&self) -> bool {
        self.status == AlertStatus::Resolved && self.series.is_some()
    }

    /// The alert's key.
    pub fn key(&self) -> AlertKey {
        AlertKey {
            fingerprint: self.fingerprint,
            identity: self.identity.clone(),
        }
    }
}

/// A label of a target: its own ones count before the configured ones.
pub(super) fn label_of<'a>(labels: &'a Labels, extra: &'a Labels, name: &str) -> &'a str {
    labels
        .get(name)
        .or_else(|| extra.get(name))
        .map_or("", String::as_str)
}

impl Measured {
    /// The estimate, or the lower bound where there is none.
    pub fn best(&self) -> Option<Quantity> {
        self.estimate.or(self.lower)
    }
}

impl Quantity {
    /// The bare number: seconds, bytes or how often.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Seconds(span) => span.as_secs_f64(),
            Self::Bytes(bytes) => bytes.as_f64(),
            Self::Count(count) => count as f64,
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

impl From<u64> for Quantity {
    fn from(count: u64) -> Self {
        Self::Count(count)
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

impl AlertChange {
    /// The change's word in logs.
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

impl AlertStatus {
    /// `firing` or `resolved`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Firing => "firing",
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
            Self::Failover => "failover",
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
            Self::Count(count) => count.fmt(f),
        }
    }
}
