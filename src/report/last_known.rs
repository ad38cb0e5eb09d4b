//! The last certified statement about a pair, in a report.

use serde::{Deserialize, Serialize};

use super::numbers::bytes;
use crate::monitor::FleetSnapshot;
use crate::replication::LastKnown;

/// The last certified statement about a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastKnownReport {
    /// The lag was at most this.
    pub lag_upper_seconds: f64,
    /// It was at most this in bytes.
    pub lag_upper_bytes: Option<u64>,
    /// When that was.
    pub timestamp: f64,
}

impl LastKnownReport {
    /// `None` where nothing was certified yet.
    pub(super) fn new(fleet: &FleetSnapshot, known: Option<LastKnown>) -> Option<Self> {
        let known = known?;
        Some(Self {
            lag_upper_seconds: known.upper.as_secs_f64(),
            lag_upper_bytes: bytes(known.upper_bytes),
            timestamp: fleet.anchor.wall(known.at).as_secs_f64(),
        })
    }
}
