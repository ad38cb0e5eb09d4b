//! The exporter's own audits in a report: the last findings and how old they are, and what masters
//! wrote.

use serde::{Deserialize, Serialize};

use crate::doctor::{DoctorReport, WriteHistory, WritePeak};
use crate::model::{Bytes, ServerAddr, Span, Timestamp};
use crate::monitor::FleetSnapshot;

/// Why there are no findings where no audit was ever asked for.
const NEVER_ASKED: &str = "no audit was made since the exporter's start: doctor.every is not set, and \
                           nobody asked for one";

/// Why there are none yet.
const NOT_YET: &str = "no audit has ended since the exporter's start";

/// The audits of a running exporter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorStatusReport {
    /// How often one begins by itself, in seconds; `null` where none does.
    pub every_seconds: Option<f64>,
    /// Whether one is running now.
    pub running: bool,
    /// How old the findings are, in seconds; `null` where there are none.
    pub age_seconds: Option<f64>,
    /// Why there are none, or why the latest audit brought no newer ones; `null` where it did.
    pub reason: Option<String>,
    /// What the last audit found; `null` where none has ended.
    pub last: Option<DoctorReport>,
    /// What masters wrote at their busiest, which `doctor` and this exporter judge buffers by.
    pub writes: Vec<MasterWritesReport>,
}

/// What one master wrote at its busiest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MasterWritesReport {
    /// The master, `host:port`.
    pub server: String,
    /// How long it was polled.
    pub history_seconds: f64,
    /// The most bytes within windows of several lengths, the shortest first.
    pub peaks: Vec<WritePeakReport>,
}

/// The most bytes within any window of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WritePeakReport {
    /// The length.
    pub window_seconds: f64,
    /// The bytes, at most this many.
    pub bytes: Bytes,
}

impl MasterWritesReport {
    /// What it says, for an audit; `None` where it is not understood or too short.
    pub fn history(&self) -> Option<(ServerAddr, WriteHistory)> {
        let server = ServerAddr::parse(&self.server).ok()?;
        let peaks = self.peaks.iter().map(|peak| WritePeak {
            window: Span::from_secs_f64(peak.window_seconds),
            bytes: peak.bytes,
        });
        let history = WriteHistory::new(Span::from_secs_f64(self.history_seconds), peaks)?;
        Some((server, history))
    }
}

impl DoctorStatusReport {
    /// The audits as of `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let doctor = &fleet.doctor;
        let last = doctor.last.as_ref();
        Self {
            every_seconds: doctor.every.map(Span::as_secs_f64),
            running: doctor.running_since.is_some(),
            age_seconds: last.map(|last| (now - last.ended).or_zero().as_secs_f64()),
            reason: Self::reason(fleet),
            last: last.map(|last| last.report.clone()),
            writes: writes(fleet),
        }
    }

    /// Why there are no findings, or no newer ones.
    pub fn reason(fleet: &FleetSnapshot) -> Option<String> {
        let doctor = &fleet.doctor;
        if let Some(failure) = &doctor.failure {
            return Some(failure.to_string());
        }
        let is_expected = doctor.every.is_some() || doctor.running_since.is_some();
        match (&doctor.last, is_expected) {
            (Some(_), _) => None,
            (None, true) => Some(NOT_YET.to_owned()),
            (None, false) => Some(NEVER_ASKED.to_owned()),
        }
    }
}

fn writes(fleet: &FleetSnapshot) -> Vec<MasterWritesReport> {
    let mut writes = Vec::with_capacity(fleet.doctor.writes.len());
    for (server, history) in fleet.doctor.writes.iter() {
        let peaks = history.peaks().map(|peak| WritePeakReport {
            window_seconds: peak.window.as_secs_f64(),
            bytes: peak.bytes,
        });
        writes.push(MasterWritesReport {
            server: server.to_string(),
            history_seconds: history.over().as_secs_f64(),
            peaks: peaks.collect(),
        });
    }
    writes
}

/// The answer to a request for an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorBegan {
    /// That it has begun.
    pub began: bool,
}
