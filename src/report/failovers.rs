//! Failovers in a report: from which server to which, and what was lost.

use serde::{Deserialize, Serialize};

use super::last_known::LastKnownReport;
use super::numbers::{bytes, seconds};
use crate::monitor::{EntryFailovers, Failover, FleetSnapshot};

/// The failovers of one entry of the configuration, or of one master of Sentinels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoversReport {
    /// What its pairs are called.
    pub pair: String,
    /// How many there have been since the exporter has watched the entry.
    pub total: u64,
    /// The last one; `null` where there was none.
    pub last: Option<FailoverReport>,
}

/// One failover, as far as it is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverReport {
    /// The master before, `host:port`.
    pub from: String,
    /// Its datacenter.
    pub from_dc: String,
    /// The master afterwards, `host:port`.
    pub to: String,
    /// Its datacenter.
    pub to_dc: String,
    /// When it was noticed.
    pub timestamp: f64,
    /// Bytes of the old master's stream that the new one does not have; `null` until the old master
    /// has answered.
    pub lost_bytes: Option<u64>,
    /// It is certainly at least this; `null` where that is not known.
    pub lost_at_least_bytes: Option<u64>,
    /// All lost data was written within this many seconds, where nothing more precise will become
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
        let mut reports = Vec::new();
        for entry in &*fleet.failovers {
            reports.push(Self::from_entry(fleet, entry));
        }
        reports
    }

    fn from_entry(fleet: &FleetSnapshot, entry: &EntryFailovers) -> Self {
        let last = entry.last.as_ref();
        Self {
            pair: entry.pair.to_string(),
            total: entry.total,
            last: last.map(|last| FailoverReport::new(fleet, last)),
        }
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
            lost_bytes: bytes(failover.loss.exactly()),
            lost_at_least_bytes: bytes(failover.loss.at_least()),
            lost_within_seconds: seconds(failover.loss.within()),
            last_known: LastKnownReport::new(fleet, failover.last_known),
            reason: failover.to_string(),
        }
    }
}
