//! Pairs in a report.

mod ranking;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert_brief::{AlertBrief, OpenAlerts};
use super::failovers::FailoversReport;
use super::last_known::LastKnownReport;
use super::numbers::{bytes, seconds};
use super::sentinels::SentinelsReport;
use super::servers::{ExporterReport, ServerReport};
use super::thresholds::Thresholds;
use crate::model::{ServerAddr, Timestamp};
use crate::monitor::{FleetSnapshot, PairSnapshot};
use crate::replication::{Assessment, Diverged, PairState, ServerFacts};
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
    /// The failovers so far, by the entries' names. Absent from reports of older exporters.
    #[serde(default)]
    pub failovers: Vec<FailoversReport>,
    /// Who says so, and when.
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
    /// `master_last_io_seconds_ago` of the replica. `null`, like all that only the replica tells,
    /// while it is silent.
    pub last_io_seconds: Option<f64>,
    /// Age of the last ACK, as the master tells. `null`, like all that only the master tells, while
    /// it is silent.
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
        Self {
            pairs: fleet
                .pairs
                .iter()
                .map(|pair| PairReport::new(fleet, pair, &alerts, now))
                .collect(),
            servers: fleet
                .servers
                .iter()
                .map(|server| ServerReport::new(fleet, server, now))
                .collect(),
            sentinels: SentinelsReport::new(fleet),
            failovers: FailoversReport::new(fleet),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl PairReport {
    /// The pair at a place of the configuration's order, at `now`.
    pub fn at(fleet: &FleetSnapshot, place: usize, now: Timestamp) -> Option<Self> {
        let pair = fleet.pairs.get(place)?;
        Some(Self::new(fleet, pair, &OpenAlerts::new(&fleet.alerts), now))
    }

    fn new(
        fleet: &FleetSnapshot,
        pair: &PairSnapshot,
        alerts: &OpenAlerts<'_>,
        now: Timestamp,
    ) -> Self {
        let (meta, facts) = (&pair.meta, &pair.facts);
        let seen = pair.assess(now);
        let replica_talks = pair.replica.facts.answers(now, facts.interval);
        let link = replica_talks.then_some(&facts.link);
        let master_talks =
            direct_master(fleet, &meta.master).is_some_and(|m| m.answers(now, facts.interval));
        let ack = master_talks.then_some(&facts.ack);
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
            sample_timestamp: seen
                .sampled_at
                .map(|at| fleet.anchor.wall(at).as_secs_f64()),
            last_known: seen
                .last_known
                .map(|known| LastKnownReport::new(fleet, known)),
            link_up: seen.state == PairState::Streaming,
            link_down_seconds: seconds(seen.link_down_for),
            last_io_seconds: seconds(link.and_then(|link| link.last_io)),
            ack_age_seconds: seconds(ack.and_then(|ack| ack.last).and_then(|last| last.age)),
            ack_lag_bytes: bytes(ack.and_then(|ack| ack.lag)),
            unapplied_bytes: bytes(link.and_then(|link| link.unapplied)),
            diverged_bytes: bytes(seen.diverged.map(Diverged::older)),
            diverged_master_bytes: bytes(seen.diverged.and_then(Diverged::master)),
            diverged_replica_bytes: bytes(seen.diverged.map(Diverged::replica)),
            backlog_headroom_bytes: bytes(seen.backlog_headroom),
            applied_bytes_total: facts.applied_total,
            thresholds: Thresholds::new(pair),
            alerts: alerts.about(pair),
        }
    }
}

/// Why the pair is in its state, after what is worse: a pair whose master lost its history may well
/// stream.
fn reason_of(pair: &PairSnapshot, seen: &Assessment, now: Timestamp) -> String {
    let loss = pair.facts.loss.as_ref();
    match loss.filter(|loss| !loss.is_over(now)) {
        Some(loss) => format!("{loss}; {}", seen.reason),
        None => seen.reason.to_string(),
    }
}

/// The facts of the master that a pair is configured with, which ACKs come from: in a chain it is
/// not the server that lag is measured against. Servers stand in the order of their addresses.
fn direct_master<'a>(fleet: &'a FleetSnapshot, addr: &ServerAddr) -> Option<&'a ServerFacts> {
    let index = fleet
        .servers
        .binary_search_by(|server| server.meta.addr.cmp(addr))
        .ok()?;
    fleet.servers.get(index).map(|server| &server.facts)
}
