//! Failovers in a report.

use serde::{Deserialize, Serialize};

use super::last_known::LastKnownReport;
use crate::model::{Bytes, Span};
use crate::monitor::{EntryFailovers, Failover, FleetSnapshot};

/// The failovers of one entry of the configuration, or of one master of Sentinels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoversReport {
    /// What its pairs are called.
    pub pair: String,
    /// How many there were since the exporter watches it.
    pub total: u64,
    /// The last one; `null` where there was none.
    pub last: Option<FailoverReport>,
}

/// One failover, as far as it is known by now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverReport {
    /// The master before, `host:port`.
    pub from: String,
    /// Its datacenter.
    pub from_dc: String,
    /// The master since, `host:port`.
    pub to: String,
    /// Its datacenter.
    pub to_dc: String,
    /// When it was noticed.
    pub timestamp: f64,
    /// Bytes of the old master's stream that the new one does not have; `null` until the old master
    /// has answered.
    pub lost_bytes: Option<u64>,
    /// It is certainly at least this; `null` where nobody can say.
    pub lost_at_least_bytes: Option<u64>,
    /// All that is lost was written within so many seconds, where that is all that will ever be
    /// known; `null` otherwise.
    pub lost_within_seconds: Option<f64>,
    /// The last certified statement about the new master while it was a replica.
    pub last_known: Option<LastKnownReport>,
    /// All of it as a sentence.
    pub reason: String,
}

impl FailoversReport {
    /// The failovers of every entry, by name.
    pub(super) fn new(fleet: &FleetSnapshot) -> Vec<Self> {
        let of_entry = |entry: &EntryFailovers| Self {
            pair: entry.pair.to_string(),
            total: entry.total,
            last: entry
                .last
                .as_ref()
                .map(|last| FailoverReport::new(fleet, last)),
        };
        fleet.failovers.iter().map(of_entry).collect()
    }
}

impl FailoverReport {
    fn new(fleet: &FleetSnapshot, failover: &Failover) -> Self {
        Self {
            from: failover.promotion.from.to_string(),
            from_dc: failover.from_dc.to_string(),
            to: failover.promotion.to.to_string(),
            to_dc: failover.to_dc.to_string(),
            timestamp: fleet.anchor.wall(failover.at).as_secs_f64(),
            lost_bytes: failover.loss.exactly().map(Bytes::get),
            lost_at_least_bytes: failover.loss.at_least().map(Bytes::get),
            lost_within_seconds: failover.loss.within().map(Span::as_secs_f64),
            last_known: failover
                .last_known
                .map(|known| LastKnownReport::new(fleet, known)),
            reason: failover.to_string(),
        }
    }
}
