//! Pairs in a report: their state, lag and alerts, and everything else of `/api/v1/pairs`.

mod forecast;
mod ranking;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert_brief::{AlertBrief, OpenAlerts};
use super::clusters::ClusterReport;
use super::discovery::DiscoveryReport;
use super::failovers::FailoversReport;
use super::last_known::LastKnownReport;
use super::lost_writes::LostWritesReport;
use super::numbers::{UnixClock, bytes, seconds};
use super::sentinels::SentinelsReport;
use super::servers::{ExporterReport, ServerReport};
use super::thresholds::Thresholds;
use crate::model::{ServerAddr, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::replication::{AckEvidence, Assessment, Diverged, LinkFacts, PairState, ServerFacts};
pub use forecast::{
    CatchUpReport, EvidenceReport, ForecastReport, FullSyncReport, HeadroomReport,
    OutputBufferReport,
};
use ranking::write_pairs;

/// Every pair and every server: the answer of `/api/v1/pairs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairsReport {
    /// Every pair, in the configuration's order; written with its level.
    #[serde(serialize_with = "write_pairs")]
    pub pairs: Vec<PairReport>,
    /// Every server, by address.
    pub servers: Vec<ServerReport>,
    /// The Sentinels, by the pairs that they watch. Absent from reports of older exporters.
    #[serde(default)]
    pub sentinels: Vec<SentinelsReport>,
    /// The Redis Clusters, by name. Absent from reports of older exporters.
    #[serde(default)]
    pub clusters: Vec<ClusterReport>,
    /// The pair files and DNS names. Absent from reports of older exporters.
    #[serde(default)]
    pub discovery: DiscoveryReport,
    /// The failovers so far, by the entries' names. Absent from reports of older exporters.
    #[serde(default)]
    pub failovers: Vec<FailoversReport>,
    /// The captures of lost writes, and the files that wait for a person. Absent from reports of
    /// older exporters.
    #[serde(default)]
    pub lost_writes: Vec<LostWritesReport>,
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
}

/// One pair. What is not known is `None`; `reason` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairReport {
    /// The name of the configuration's entry.
    pub pair: String,
    /// The master's datacenter.
    pub source_dc: String,
    /// The replica's datacenter.
    pub target_dc: String,
    /// The configured master, `host:port`.
    pub master: String,
    /// The replica, `host:port`.
    pub replica: String,
    /// The configured labels.
    pub labels: BTreeMap<String, String>,
    /// The state.
    pub state: PairState,
    /// Why it is in that state, as a sentence.
    pub reason: String,
    /// One line: the state and since when, and what would be lost if the master's datacenter failed
    /// now. Empty in reports of older exporters.
    #[serde(default)]
    pub summary: String,
    /// Whether the lag rests on the assumption that a silent replica applies nothing but what it
    /// ACKs.
    pub stale: bool,
    /// Age of the oldest write that the replica lacks; 0 when it lacks none. The best estimate.
    pub lag_seconds: Option<f64>,
    /// The lag is certainly at least this.
    pub lag_lower_seconds: Option<f64>,
    /// The lag is certainly at most this.
    pub lag_upper_seconds: Option<f64>,
    /// The highest estimate of the last minute.
    pub lag_max_seconds: Option<f64>,
    /// Bytes that the master has written and the replica has not applied. The best estimate.
    pub lag_bytes: Option<u64>,
    /// It was certainly at least this when the replica was last asked.
    pub lag_lower_bytes: Option<u64>,
    /// It was certainly at most this when the replica was last asked.
    pub lag_upper_bytes: Option<u64>,
    /// When the replica's position was last learned.
    pub sample_timestamp: Option<f64>,
    /// The last certified statement; stays when the master is lost: this much may be gone.
    pub last_known: Option<LastKnownReport>,
    /// Whether the state is `streaming`.
    pub link_up: bool,
    /// For how long the link has been down or stalled; `null` in every other state.
    pub link_down_seconds: Option<f64>,
    /// `master_last_io_seconds_ago` of the replica. `null` while the replica is silent, like
    /// everything that only the replica reports.
    pub last_io_seconds: Option<f64>,
    /// Age of the last ACK. `null` while the master is silent, like everything that only the master
    /// reports.
    pub ack_age_seconds: Option<f64>,
    /// Bytes that the master has written and the replica has not ACKed.
    pub ack_lag_bytes: Option<u64>,
    /// Bytes that the replica has received and not yet applied.
    pub unapplied_bytes: Option<u64>,
    /// Unshared history, while diverged: the end of the older history, which a server that was
    /// promoted does not have.
    pub diverged_bytes: Option<u64>,
    /// What only the pair's master has, while both are masters. Absent from reports of older
    /// exporters.
    #[serde(default)]
    pub diverged_master_bytes: Option<u64>,
    /// What only the replica has, while diverged. Absent from reports of older exporters.
    #[serde(default)]
    pub diverged_replica_bytes: Option<u64>,
    /// How many bytes the master may write during a cut before the replica needs a full resync.
    pub backlog_headroom_bytes: Option<u64>,
    /// What is expected of the pair. Empty in reports of older exporters.
    #[serde(default)]
    pub forecast: ForecastReport,
    /// Bytes of the stream that the replica has applied since the exporter first saw it.
    pub applied_bytes_total: Option<u64>,
    /// The configured thresholds.
    pub thresholds: Thresholds,
    /// Alerts about the pair or one of its servers that are pending or firing.
    pub alerts: Vec<AlertBrief>,
}

impl PairsReport {
    /// What is true of the fleet at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let alerts = OpenAlerts::new(&fleet.alerts);
        let mut pairs = Vec::with_capacity(fleet.pairs.len());
        for pair in &fleet.pairs {
            pairs.push(PairReport::new(fleet, pair, &alerts, now));
        }
        let mut servers = Vec::with_capacity(fleet.servers.len());
        for server in &fleet.servers {
            servers.push(ServerReport::new(fleet, server, now));
        }
        Self {
            pairs,
            servers,
            sentinels: SentinelsReport::new(fleet),
            clusters: ClusterReport::all(fleet),
            discovery: DiscoveryReport::new(fleet),
            failovers: FailoversReport::new(fleet),
            lost_writes: LostWritesReport::all(fleet),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl PairReport {
    /// The pair at a place of the configuration's order, at `now`.
    pub fn at(fleet: &FleetSnapshot, place: usize, now: Timestamp) -> Option<Self> {
        let pair = fleet.pairs.get(place)?;
        let alerts = OpenAlerts::new(&fleet.alerts);
        Some(Self::new(fleet, pair, &alerts, now))
    }

    fn new(
        fleet: &FleetSnapshot,
        pair: &PairSnapshot,
        alerts: &OpenAlerts<'_>,
        now: Timestamp,
    ) -> Self {
        let meta = &pair.meta;
        let seen = pair.assess(now);
        let link = current_link(pair, now);
        let ack = current_ack(fleet, pair, now);
        let clock = UnixClock::new(fleet.anchor);
        Self {
            pair: meta.key.name.to_string(),
            source_dc: meta.source_dc.to_string(),
            target_dc: meta.target_dc.to_string(),
            master: meta.master.to_string(),
            replica: meta.key.replica.to_string(),
            labels: (*meta.labels).clone(),
            state: seen.state,
            reason: reason_of(pair, &seen, now),
            summary: pair.line(&seen, now, &fleet.anchor).to_string(),
            stale: seen.stale,
            lag_seconds: seconds(seen.lag.estimate),
            lag_lower_seconds: seconds(seen.lag.lower),
            lag_upper_seconds: seconds(seen.lag.upper),
            lag_max_seconds: seconds(pair.lag_max.max(seen.lag.estimate)),
            lag_bytes: bytes(seen.bytes.estimate),
            lag_lower_bytes: bytes(seen.bytes.lower),
            lag_upper_bytes: bytes(seen.bytes.upper),
            sample_timestamp: clock.unix_if_known(seen.sampled_at),
            last_known: LastKnownReport::new(fleet, seen.last_known),
            link_up: seen.state == PairState::Streaming,
            link_down_seconds: seconds(seen.link_down_for),
            last_io_seconds: seconds(link.last_io),
            ack_age_seconds: seconds(ack.age()),
            ack_lag_bytes: bytes(ack.lag),
            unapplied_bytes: bytes(link.unapplied),
            diverged_bytes: bytes(seen.diverged.map(Diverged::older)),
            diverged_master_bytes: bytes(seen.diverged.and_then(Diverged::master)),
            diverged_replica_bytes: bytes(seen.diverged.map(Diverged::replica)),
            backlog_headroom_bytes: bytes(seen.backlog_headroom),
            forecast: ForecastReport::new(pair, &seen, now),
            applied_bytes_total: pair.facts.applied_total,
            thresholds: Thresholds::new(pair),
            alerts: alerts.about(pair),
        }
    }
}

/// What the replica reports of its link; nothing while it is silent.
fn current_link(pair: &PairSnapshot, now: Timestamp) -> LinkFacts {
    if pair.replica.facts.answers(now, pair.facts.interval) {
        return pair.facts.link.clone();
    }
    LinkFacts::default()
}

/// What the direct master reports of the replica's ACKs; nothing while it is silent.
fn current_ack(fleet: &FleetSnapshot, pair: &PairSnapshot, now: Timestamp) -> AckEvidence {
    match direct_master(fleet, &pair.meta.master) {
        Some(master) if master.answers(now, pair.facts.interval) => pair.facts.ack,
        _ => AckEvidence::default(),
    }
}

/// Why the pair is in its state. A loss of the master's history comes first: it is worse, and the
/// pair may stream in spite of it.
fn reason_of(pair: &PairSnapshot, seen: &Assessment, now: Timestamp) -> String {
    match &pair.facts.loss {
        Some(loss) if !loss.is_over(now) => format!("{loss}; {}", seen.reason),
        _ => seen.reason.to_string(),
    }
}

/// The facts of the pair's configured master, which reports the ACKs. In a chain this is not the
/// server that the lag is measured against. The servers are sorted by address.
fn direct_master<'a>(fleet: &'a FleetSnapshot, addr: &ServerAddr) -> Option<&'a ServerFacts> {
    let index = fleet
        .servers
        .binary_search_by(|server| server.meta.addr.cmp(addr))
        .ok()?;
    let server = fleet.servers.get(index)?;
    Some(&server.facts)
}
