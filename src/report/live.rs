//! The events of the live stream: the fleet in short form, and changes as they happen.

use serde::Serialize;

use super::links::{LinkReport, Summary};
use super::pairs::{PairReport, PairsReport};
use super::servers::ExporterReport;
use super::{AlertReport, Level};
use crate::alert::{AlertState, ListedAlert};
use crate::journal::{JournalEntry, JournalEvent};
use crate::monitor::FleetSnapshot;
use crate::replication::PairState;

/// Pairs in a [`LiveReport`]: more than fit a screen. `/api/v1/pairs` has all of them.
const MAX_LIVE_PAIRS: usize = 50;

/// The fleet in short: the event `snapshot`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveReport {
    /// The exporter that made the report, and when.
    pub exporter: ExporterReport,
    /// How many pairs there are at each level.
    pub summary: Summary,
    /// The links between datacenters.
    pub links: Vec<LinkReport>,
    /// The worst pairs, worst first.
    pub pairs: Vec<LivePair>,
    /// How many alerts fire.
    pub firing: usize,
    /// The number of the last journal entry.
    pub last_number: u64,
}

/// One pair in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LivePair {
    /// The name of the configuration's entry.
    pub pair: String,
    /// The replica, `host:port`.
    pub replica: String,
    /// The pair's level.
    pub level: Level,
    /// The state.
    pub state: PairState,
    /// The best estimate of the lag.
    pub lag_seconds: Option<f64>,
    /// It is certainly at least this.
    pub lag_lower_seconds: Option<f64>,
    /// It is certainly at most this.
    pub lag_upper_seconds: Option<f64>,
    /// The best estimate of the bytes behind.
    pub lag_bytes: Option<u64>,
}

/// A journal entry: the event `state`, `alert` or `operation`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum JournalEntryReport {
    /// A pair's state changed.
    State {
        /// When.
        timestamp: f64,
        /// The name of the configuration's entry.
        pair: String,
        /// The replica, `host:port`.
        replica: String,
        /// The state before.
        from: Option<PairState>,
        /// The state now.
        state: PairState,
        /// Why, as a sentence.
        reason: String,
    },
    /// An alert began, changed its severity or ended.
    Alert {
        /// When.
        timestamp: f64,
        /// `fired`, `escalated`, `deescalated` or `resolved`.
        change: &'static str,
        /// The alert right after it.
        alert: Box<AlertReport>,
    },
    /// An operation began, ended or is no longer reported.
    Operation {
        /// When.
        timestamp: f64,
        /// The pair.
        pair: String,
        /// The operation's name.
        operation: String,
        /// Where it is: `running`, `lapsed`, `done`, `as-before`, `refused` or `incomplete`.
        phase: String,
        /// What it does, or how it ended, as a sentence.
        reason: String,
    },
}

impl LiveReport {
    /// Shortens a whole report of the fleet.
    pub fn new(fleet: &FleetSnapshot, report: &PairsReport) -> Self {
        let firing = fleet
            .alerts
            .iter()
            .filter(|listed| is_firing(listed))
            .count();
        let worst = report.worst_first().into_iter().take(MAX_LIVE_PAIRS);
        Self {
            exporter: report.exporter.clone(),
            summary: report.summary(),
            links: report.links(),
            pairs: worst.map(LivePair::new).collect(),
            firing,
            last_number: fleet.journal.last(),
        }
    }
}

fn is_firing(listed: &ListedAlert) -> bool {
    matches!(listed.state, AlertState::Firing | AlertState::Recovering)
}

impl LivePair {
    fn new(pair: &PairReport) -> Self {
        Self {
            pair: pair.pair.clone(),
            replica: pair.replica.clone(),
            level: pair.level(),
            state: pair.state,
            lag_seconds: pair.lag_seconds,
            lag_lower_seconds: pair.lag_lower_seconds,
            lag_upper_seconds: pair.lag_upper_seconds,
            lag_bytes: pair.lag_bytes,
        }
    }
}

impl JournalEntryReport {
    /// Converts an entry, with the wall time of the snapshot's anchor.
    pub fn new(fleet: &FleetSnapshot, entry: &JournalEntry) -> Self {
        let timestamp = fleet.anchor.wall(entry.at).as_secs_f64();
        match &entry.event {
            JournalEvent::State(change) => Self::State {
                timestamp,
                pair: change.pair.name.to_string(),
                replica: change.pair.replica.to_string(),
                from: Some(change.from),
                state: change.to,
                reason: change.reason.to_string(),
            },
            JournalEvent::Alert(transition) => Self::Alert {
                timestamp,
                change: transition.change.label(),
                alert: Box::new(AlertReport::from_transition(fleet, transition, entry.at)),
            },
            JournalEvent::Operation(operation) => Self::Operation {
                timestamp,
                pair: operation.pair.to_string(),
                operation: operation.id.to_string(),
                phase: operation.phase.to_string(),
                reason: operation.what.to_string(),
            },
        }
    }

    /// The event's name.
    pub const fn event(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Alert { .. } => "alert",
            Self::Operation { .. } => "operation",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, fleet, large_fleet};
    use super::*;

    #[test]
    fn a_lost_master_is_sent_as_state_and_alert() {
        let (fleet, now) = fleet(Scene::MasterLost);
        let sent: Vec<_> = fleet
            .journal
            .after(0)
            .map(|entry| JournalEntryReport::new(&fleet, entry))
            .collect();
        let json = serde_json::to_value(&sent).unwrap();
        let events: Vec<_> = sent.iter().map(JournalEntryReport::event).collect();
        assert_eq!(events, ["state", "alert"], "{json}");
        assert_eq!(
            (&json[0]["from"], &json[0]["state"]),
            (&"streaming".into(), &"master_unreachable".into())
        );
        assert_eq!(
            (&json[1]["change"], &json[1]["alert"]["state"]),
            (&"fired".into(), &"firing".into())
        );
        let live = LiveReport::new(&fleet, &PairsReport::new(&fleet, now));
        let last = fleet.journal.after(0).last().unwrap().number;
        assert_eq!(
            (live.firing, live.last_number, live.summary.warning),
            (1, last, 1)
        );
        // As severe as its alert, which is a warning after 20 s.
        assert_eq!(live.links[0].level, Level::Warning);
    }

    #[test]
    fn of_a_large_fleet_only_the_worst_pairs_are_sent() {
        let (fleet, now) = large_fleet(500);
        let live = LiveReport::new(&fleet, &PairsReport::new(&fleet, now));
        assert_eq!(
            (live.pairs.len(), live.summary.unknown),
            (MAX_LIVE_PAIRS, 500)
        );
        assert!(serde_json::to_string(&live).unwrap().len() < 20_000);
    }
}
