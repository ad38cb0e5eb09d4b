//! The built-in rules and what each of them watches.

use serde::{Deserialize, Serialize};

use crate::model::{closed_set, serde_as_label};

closed_set! {
    /// A built-in rule. Its label is its key in the configuration, the label `rule` of metrics and
    /// its name in the state file; [`Rule::alert_name`] is the name of its alerts.
    pub enum Rule {
        /// `RedisCrossDcLagHigh`: seconds of lag.
        LagSeconds => "lag_seconds",
        /// `RedisCrossDcLagBytesHigh`: bytes of lag.
        LagBytes => "lag_bytes",
        /// `RedisCrossDcLinkDown`: for how many seconds the link has been down or stalled.
        LinkDown => "link_down",
        /// `RedisCrossDcServerUnreachable`: for how many seconds a server has not answered.
        Unreachable => "unreachable",
        /// `RedisCrossDcLagUnknown`: for how many seconds there has been no comparable sample.
        Unknown => "unknown",
        /// `RedisCrossDcSentinelQuorumLost`: for how many seconds the Sentinels of a datacenter
        /// have seen no quorum.
        SentinelQuorum => "sentinel_quorum",
        /// `RedisCrossDcClusterDown`: for how many seconds no node of a Redis Cluster has answered,
        /// or it has served no queries, or slots have had no living master.
        ClusterDown => "cluster_down",
        /// `RedisCrossDcFullSync`: how many full syncs a server has started within the rule's
        /// window.
        FullSync => "full_sync",
        /// `RedisCrossDcReceiverFailing`: for how many seconds a receiver has not accepted its
        /// notifications.
        ReceiverFailing => "receiver_failing",
        /// `RedisCrossDcMonitorIsolated`: for how many seconds no remote server of any datacenter
        /// has answered.
        MonitorIsolated => "monitor_isolated",
        /// `RedisCrossDcDiverged`: for how many seconds a pair has had two histories.
        Diverged => "diverged",
        /// `RedisCrossDcFailover`: how often a pair's master has changed within the rule's window.
        Failover => "failover",
        /// `RedisCrossDcHistoryLost`: a pair's master came back without its replication history.
        /// Always critical.
        HistoryLost => "history_lost",
        /// `RedisCrossDcExporterFault`: for how many seconds this exporter has had no access to a
        /// server, by a fault of its own or because the server refuses it.
        ExporterFault => "exporter_fault",
        /// `RedisCrossDcConfigReloadFailed`: a new configuration was refused and the old one stays
        /// in force.
        ConfigReloadFailed => "config_reload_failed",
        /// `RedisCrossDcBacklogHeadroomLow`: how long the link may be cut before a full resync.
        BacklogHeadroom => "backlog_headroom",
        /// `RedisCrossDcOutputBufferHigh`: how full a master's output buffer for a replica is.
        OutputBuffer => "output_buffer",
        /// `RedisCrossDcExporterOverloaded`: for how many seconds this exporter has not kept its
        /// polling intervals, because its machine is too small or too busy.
        ExporterOverloaded => "exporter_overloaded",
        /// `RedisCrossDcSyncQueueHigh`: how many items wait in a site's queue.
        SyncQueue => "sync_queue",
        /// `RedisCrossDcActiveActiveDiverged`: how many keys of two sites differ for good.
        SitesDiverged => "sites_diverged",
        /// `RedisCrossDcClockSkew`: how many seconds the clocks of two sites are apart.
        ClockSkew => "clock_skew",
        /// `RedisCrossDcCounterRegressed`: how many counters a site has lost increments of.
        CounterRegressed => "counter_regressed",
        /// `RedisCrossDcActiveActiveUnknown`: for how many seconds nothing has been learned of two
        /// sites.
        SitesUnknown => "sites_unknown",
    }
}
serde_as_label!(Rule);

/// What kind of thing an alert of a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A master and one of its replicas.
    Pair,
    /// Everything that one entry of the configuration names: a master with its replicas.
    Tree,
    /// A server.
    Server,
    /// The Sentinels of a pair in one datacenter.
    Sentinels,
    /// A Redis Cluster.
    Cluster,
    /// A receiver of notifications.
    Receiver,
    /// A direction between two active-active sites.
    Sites,
    /// This exporter.
    Monitor,
}

impl Rule {
    /// The name of the rule's alerts. Users route and silence by it: it never changes.
    pub const fn alert_name(self) -> &'static str {
        match self {
            Self::LagSeconds => "RedisCrossDcLagHigh",
            Self::LagBytes => "RedisCrossDcLagBytesHigh",
            Self::LinkDown => "RedisCrossDcLinkDown",
            Self::Unreachable => "RedisCrossDcServerUnreachable",
            Self::Unknown => "RedisCrossDcLagUnknown",
            Self::SentinelQuorum => "RedisCrossDcSentinelQuorumLost",
            Self::ClusterDown => "RedisCrossDcClusterDown",
            Self::FullSync => "RedisCrossDcFullSync",
            Self::ReceiverFailing => "RedisCrossDcReceiverFailing",
            Self::MonitorIsolated => "RedisCrossDcMonitorIsolated",
            Self::Diverged => "RedisCrossDcDiverged",
            Self::Failover => "RedisCrossDcFailover",
            Self::HistoryLost => "RedisCrossDcHistoryLost",
            Self::ExporterFault => "RedisCrossDcExporterFault",
            Self::ConfigReloadFailed => "RedisCrossDcConfigReloadFailed",
            Self::BacklogHeadroom => "RedisCrossDcBacklogHeadroomLow",
            Self::OutputBuffer => "RedisCrossDcOutputBufferHigh",
            Self::ExporterOverloaded => "RedisCrossDcExporterOverloaded",
            Self::SyncQueue => "RedisCrossDcSyncQueueHigh",
            Self::SitesDiverged => "RedisCrossDcActiveActiveDiverged",
            Self::ClockSkew => "RedisCrossDcClockSkew",
            Self::CounterRegressed => "RedisCrossDcCounterRegressed",
            Self::SitesUnknown => "RedisCrossDcActiveActiveUnknown",
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
            | Self::HistoryLost
            | Self::BacklogHeadroom
            | Self::OutputBuffer => TargetKind::Pair,
            Self::Unreachable | Self::FullSync | Self::ExporterFault => TargetKind::Server,
            Self::SentinelQuorum => TargetKind::Sentinels,
            Self::ClusterDown => TargetKind::Cluster,
            Self::Failover => TargetKind::Tree,
            Self::ReceiverFailing => TargetKind::Receiver,
            Self::SyncQueue
            | Self::SitesDiverged
            | Self::ClockSkew
            | Self::CounterRegressed
            | Self::SitesUnknown => TargetKind::Sites,
            Self::MonitorIsolated | Self::ConfigReloadFailed | Self::ExporterOverloaded => {
                TargetKind::Monitor
            }
        }
    }

    /// Whether the rule's alerts may inhibit others.
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
            (Self::Cluster, 1) => "cluster",
            (Self::Cluster, _) => "clusters",
            (Self::Receiver, 1) => "receiver",
            (Self::Receiver, _) => "receivers",
            (Self::Sites, 1) => "direction between sites",
            (Self::Sites, _) => "directions between sites",
            (Self::Monitor, 1) => "exporter",
            (Self::Monitor, _) => "exporters",
        }
    }
}
