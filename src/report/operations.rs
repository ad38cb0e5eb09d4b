//! Operations in a report, and the answer to their controllers.

use serde::{Deserialize, Serialize};

use super::servers::ExporterReport;
use crate::model::Timestamp;
use crate::monitor::{FleetSnapshot, OperationPhase, OperationSnapshot};
use crate::operation::{NOTICE_LEASE, OperationKind};

/// The operations that are under way, or were recently: the answer of `/api/v1/operations`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationsReport {
    /// The newest of each pair, by pair.
    pub operations: Vec<OperationStatus>,
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
}

/// One operation, as its controller reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// Its name.
    pub id: String,
    /// The pair.
    pub pair: String,
    /// What is done.
    pub kind: OperationKind,
    /// The master that is replaced, or that returns, `host:port`.
    pub old: String,
    /// The server that becomes, or is, the master, `host:port`.
    pub target: String,
    /// Where it is.
    pub phase: OperationPhase,
    /// How it ended and what is open; `null` while it runs.
    pub reason: Option<String>,
    /// When it was first reported.
    pub began_timestamp: f64,
    /// When it was last reported.
    pub heard_timestamp: f64,
    /// Until when the alerts that it causes are not notified, unless it is reported again; `null`
    /// where they are.
    pub quiet_until_timestamp: Option<f64>,
}

/// The answer to a controller.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationNoted {
    /// For how long alerts are quiet now; the controller reports again before that.
    pub lease_seconds: f64,
}

impl Default for OperationNoted {
    fn default() -> Self {
        Self {
            lease_seconds: NOTICE_LEASE.as_secs_f64(),
        }
    }
}

impl OperationsReport {
    /// The operations at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let all = fleet.operations.iter();
        Self {
            operations: all
                .map(|operation| OperationStatus::new(fleet, operation))
                .collect(),
            exporter: ExporterReport::new(fleet, now),
        }
    }
}

impl OperationStatus {
    fn new(fleet: &FleetSnapshot, operation: &OperationSnapshot) -> Self {
        let unix = |at| fleet.anchor.wall(at).as_secs_f64();
        let notice = &operation.notice;
        let reason = notice.sentence.clone();
        Self {
            id: notice.id.clone(),
            pair: notice.pair.clone(),
            kind: notice.kind,
            old: notice.old.clone(),
            target: notice.target.clone(),
            phase: operation.phase,
            reason: Some(reason).filter(|reason| !reason.is_empty()),
            began_timestamp: unix(operation.began),
            heard_timestamp: unix(operation.heard),
            quiet_until_timestamp: operation.quiet_until().map(unix),
        }
    }
}
