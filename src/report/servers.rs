//! Servers, and the exporter itself, in a report.

use serde::{Deserialize, Serialize};

use super::numbers::{UnixClock, seconds};
use crate::model::{Span, Timestamp};
use crate::monitor::{FleetSnapshot, ServerSnapshot};

/// A snapshot may always be this old.
const OLD_SNAPSHOT: Span = Span::from_secs(30);

/// A snapshot may be this many polling intervals old, because snapshots are made when polls end.
const OLD_POLLS: f64 = 3.0;

/// One server and whether it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Its datacenter.
    pub dc: String,
    /// Its address, `host:port`.
    pub server: String,
    /// Whether its last poll was answered; `null` before its first poll has ended.
    pub up: Option<bool>,
    /// The role that it reported last: `master` or `replica`.
    pub role: Option<String>,
    /// The program that it runs.
    pub engine: Option<String>,
    /// The program's version.
    pub version: Option<String>,
    /// Why its last poll failed, as the metric's `reason`; `null` while it answers.
    pub last_error: Option<String>,
    /// The same as a sentence.
    pub reason: Option<String>,
    /// For how long it has not answered; 0 while it answers, also by refusing this exporter's
    /// login. `null` while that is not known, because this exporter cannot send its polls.
    pub unreachable_seconds: Option<f64>,
    /// When its last answer arrived.
    pub last_answer_timestamp: Option<f64>,
    /// Polls since the start, answered or not.
    pub polls_total: u64,
    /// Polls that were not sent because the one before was unanswered.
    pub polls_skipped_total: u64,
}

/// The exporter that made a report, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExporterReport {
    /// Its version.
    pub version: String,
    /// Whether every server was polled once, with whatever result.
    pub ready: bool,
    /// The instant that the report is about.
    pub now_timestamp: f64,
    /// When the state that it was made from was recorded.
    pub snapshot_timestamp: f64,
    /// For how long the monitor has published no snapshot, where that is too long: it is stuck.
    pub stuck_seconds: Option<f64>,
    /// Why the new configuration was refused, while the old one stays in force; `null` when the
    /// last load succeeded.
    #[serde(default)]
    pub reload_failed: Option<String>,
    /// When it was first refused.
    #[serde(default)]
    pub reload_failed_timestamp: Option<f64>,
    /// The average time between two rounds of polls within the last half minute; `null` while no
    /// round begins.
    #[serde(default)]
    pub effective_interval_seconds: Option<f64>,
    /// Since when the exporter has not kept its polling intervals, because its machine is too small
    /// or too busy; `null` while it keeps them.
    #[serde(default)]
    pub overloaded_timestamp: Option<f64>,
    /// What it manages then, as a sentence; `null` while it keeps its intervals.
    #[serde(default)]
    pub overloaded: Option<String>,
}

impl ServerReport {
    /// The server at `now`.
    pub fn new(fleet: &FleetSnapshot, server: &ServerSnapshot, now: Timestamp) -> Self {
        let facts = &server.facts;
        let error = facts.last_error.as_ref();
        let clock = UnixClock::new(fleet.anchor);
        Self {
            dc: server.meta.dc.to_string(),
            server: server.meta.addr.to_string(),
            up: facts.up(),
            role: facts.role.map(|role| role.label().to_owned()),
            engine: facts.engine.map(|engine| engine.label().to_owned()),
            version: facts.version.as_deref().map(str::to_owned),
            last_error: error.map(|error| error.reason.label().to_owned()),
            reason: error.map(|error| error.sentence("the server")),
            unreachable_seconds: seconds(facts.unreachable_for(now)),
            last_answer_timestamp: facts.last_answer.map(|(_, received)| clock.unix(received)),
            polls_total: server.polls,
            polls_skipped_total: server.skipped,
        }
    }
}

impl ExporterReport {
    /// The exporter at `now`.
    pub fn new(fleet: &FleetSnapshot, now: Timestamp) -> Self {
        let clock = UnixClock::new(fleet.anchor);
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: fleet.ready,
            now_timestamp: clock.unix(now),
            snapshot_timestamp: fleet.anchor.wall.as_secs_f64(),
            stuck_seconds: seconds(stuck_for(fleet, now)),
            reload_failed: None,
            reload_failed_timestamp: None,
            effective_interval_seconds: None,
            overloaded_timestamp: None,
            overloaded: None,
        };
        if let Some(load) = fleet.load {
            report.effective_interval_seconds = seconds(load.effective_interval);
            if let Some(since) = load.overloaded_since {
                report.overloaded_timestamp = Some(clock.unix(since));
                report.overloaded = Some(load.sentence());
            }
        }
        if let Some(failure) = &fleet.reload.failure {
            report.reload_failed = Some(failure.sentence.to_string());
            report.reload_failed_timestamp = Some(clock.unix(failure.since));
        }
        report
    }
}

/// For how long the monitor has published no snapshot, where that is so long that it must be stuck.
/// Where nothing is polled, no snapshot is due.
pub fn stuck_for(fleet: &FleetSnapshot, now: Timestamp) -> Option<Span> {
    let interval = fleet.pairs.iter().map(|pair| pair.facts.interval).max()?;
    let age = now - fleet.anchor.mono;
    let oldest_healthy = OLD_SNAPSHOT.max(interval.mul_f64(OLD_POLLS));
    if age <= oldest_healthy {
        return None;
    }
    Some(age)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::{Scene, fleet, large_fleet};
    use super::*;

    #[test]
    fn a_monitor_is_stuck_only_when_polls_should_have_ended_meanwhile() {
        let (mut fleet, now) = fleet(Scene::Streaming);
        let after = |secs| now + Span::from_secs(secs);
        assert_eq!(stuck_for(&fleet, after(30)), None);
        assert_eq!(stuck_for(&fleet, after(31)), Some(Span::from_secs(31)));
        Arc::make_mut(&mut fleet.pairs[0]).facts.interval = Span::from_secs(60);
        assert_eq!(stuck_for(&fleet, after(180)), None, "polls are rare");
        assert_eq!(stuck_for(&fleet, after(181)), Some(Span::from_secs(181)));
        assert_eq!(
            stuck_for(&large_fleet(0).0, after(1_000_000)),
            None,
            "nothing is polled"
        );
    }
}
