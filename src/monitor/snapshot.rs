//! A snapshot of the fleet: what metrics, pages, JSON and `check` read. Immutable and shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::awake::pause_limit;
use super::context;
use super::doctor::DoctorSnapshot;
use super::failover::EntryFailovers;
use super::faults::ReloadFailure;
use super::isolation::Isolation;
use super::operations::OperationSnapshot;
use super::overload::{PollCounts, PollingLoad};
use super::sites::ActiveActiveSnapshot;
use crate::alert::news::{Clock, PairNews, Sentence, pair_line};
use crate::alert::{ListedAlert, Rule, SilenceRecord, SilenceState};
use crate::chart::PairChart;
use crate::config::{AlertSettings, LevelRule};
use crate::delivery::{Deliveries, DeliveryFailure, QueueState, SuppressReason};
use crate::journal::Journal;
use crate::lost_writes::CaptureStatus;
use crate::model::{
    Bytes, ClockAnchor, Datacenter, FleetShard, HeartbeatError, Histogram, PairName, PollError,
    Share, Span, Timestamp, WallTime, closed_set,
};
use crate::replication::{
    Assessment, Evidence, Footprint, Forecast, PairFacts, PairState, Pause, ServerFacts, Writes,
    assess, forecast,
};
use crate::topology::{Pair, Server, SourceHealth};

/// A snapshot is published at least this often, so that readers see that the monitor runs.
pub const PUBLISHED_EVERY: Span = Span::from_secs(1);

/// A snapshot that is later than this many times `pause_limit` means a pause; less is an ordinary
/// delay, for snapshots of a large fleet take some time.
const PAUSES_UNSEEN: f64 = 2.0;

/// The state of the fleet at one instant: all that readers get.
#[derive(Clone, Debug)]
pub struct FleetSnapshot {
    /// Both clocks at that instant.
    pub anchor: ClockAnchor,
    /// Every pair, in the configuration's order.
    pub pairs: Vec<Arc<PairSnapshot>>,
    /// Every server, by address.
    pub servers: Vec<Arc<ServerSnapshot>>,
    /// The health of the discovery sources.
    pub sources: Arc<[SourceHealth]>,
    /// The failovers of every entry, by name.
    pub failovers: Arc<[EntryFailovers]>,
    /// Lag, observed at a fixed tick, by source and target datacenter.
    pub lag_distribution: BTreeMap<(Datacenter, Datacenter), Histogram>,
    /// Round trips of the monitor, by operation and datacenter.
    pub latency: BTreeMap<(Operation, Datacenter), Histogram>,
    /// How late polls were sent, by datacenter.
    pub lateness: BTreeMap<Datacenter, Histogram>,
    /// Every alert that is pending, firing or recently resolved.
    pub alerts: Arc<[ListedAlert]>,
    /// The labels by which messages group alerts (`notify.group_by`).
    pub group_by: Arc<[String]>,
    /// Every silence: active, pending or recently expired.
    pub silences: Vec<(SilenceState, SilenceRecord)>,
    /// The maintenance windows that are open.
    pub maintenance: Vec<Arc<str>>,
    /// Every receiver, in the configuration's order.
    pub receivers: Vec<ReceiverSnapshot>,
    /// The notifications that wait, and those that were recently delivered or given up.
    pub deliveries: Arc<Deliveries>,
    /// What polling has lost since the start.
    pub polls: PollCounts,
    /// How the exporter keeps its polling intervals; `None` before that can be judged.
    pub load: Option<PollingLoad>,
    /// The most recent changes of states and alerts.
    pub journal: Journal,
    /// Which share of the fleet this exporter watches; `None` for all of it.
    pub shard: Option<FleetShard>,
    /// The captures of lost writes, and the files that wait for a person.
    pub captures: Arc<[CaptureStatus]>,
    /// The operations that are under way, or were recently, by pair.
    pub operations: Arc<[OperationSnapshot]>,
    /// When the last drill of each pair passed, in Unix seconds, as far as this machine knows.
    pub drills: Arc<[(PairName, f64)]>,
    /// The audits of `doctor`.
    pub doctor: DoctorSnapshot,
    /// The active-active sites that are monitored.
    pub active_active: Arc<[ActiveActiveSnapshot]>,
    /// How the configuration was last loaded.
    pub reload: ReloadStatus,
    /// Whether every server was polled once, with whatever result.
    pub ready: bool,
}

/// One pair with all the evidence that an assessment needs.
#[derive(Clone, Debug)]
pub struct PairSnapshot {
    /// The pair as it is configured.
    pub meta: Arc<Pair>,
    /// What is known of it.
    pub facts: PairFacts,
    /// The server at the top of its chain.
    pub master: Arc<ServerSnapshot>,
    /// Its replica.
    pub replica: Arc<ServerSnapshot>,
    /// The highest lag estimate of the last minute, up to the last evaluation of its rules; the
    /// present one may be higher.
    pub lag_max: Option<Span>,
    /// What its master has written.
    pub writes: Writes,
    /// Its lag and states over the last day, up to the last evaluation of its rules:
    /// [`Self::chart_at`] continues it.
    pub chart: PairChart,
}

/// One server and the outcome of polling it.
#[derive(Clone, Debug)]
pub struct ServerSnapshot {
    /// The server as it is configured.
    pub meta: Arc<Server>,
    /// What is known of it.
    pub facts: ServerFacts,
    /// Polls, answered or not.
    pub polls: u64,
    /// Polls that were not sent because the one before was still unanswered.
    pub skipped: u64,
    /// Failed polls, by reason.
    pub errors: BTreeMap<PollError, u64>,
    /// The size of the offset history that is kept of it; `None` for a server that is at the top of
    /// no tree.
    pub history: Option<Footprint>,
    /// How often it took no part in heartbeats, by reason.
    pub heartbeat_errors: BTreeMap<HeartbeatError, u64>,
}

closed_set! {
    /// The kind of a round trip.
    pub enum Operation {
        /// A new connection, AUTH included.
        Connect => "connect",
        /// One INFO.
        Info => "info",
    }
}

impl ReceiverSnapshot {
    /// Attempts to deliver a notification, those that failed included.
    pub fn attempts(&self) -> u64 {
        self.accepted + self.failed.values().sum::<u64>()
    }
}

/// One receiver and the outcome of delivery to it.
#[derive(Clone, Debug)]
pub struct ReceiverSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Attempts that the receiver accepted.
    pub accepted: u64,
    /// Failed attempts, by reason.
    pub failed: BTreeMap<DeliveryFailure, u64>,
    /// Notifications that were suppressed, by reason.
    pub suppressed: BTreeMap<SuppressReason, u64>,
    /// From decision to delivery.
    pub latency: Histogram,
    /// When the receiver last accepted one.
    pub last_success: Option<Timestamp>,
    /// When the first of the failing attempts was, or of those for a notification that was recently
    /// given up; `None` while nothing is wrong.
    pub failing_since: Option<Timestamp>,
    /// What is wrong, as a sentence; `None` while nothing is.
    pub trouble: Option<Arc<str>>,
    /// Its queue.
    pub queue: QueueState,
}

/// How the configuration was last loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadStatus {
    /// Why the last attempt to load it failed; `None` when it succeeded.
    pub failure: Option<ReloadFailure>,
    /// When one last succeeded.
    pub last_success: WallTime,
}

/// A configured threshold, for panels and rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The rule.
    pub rule: Rule,
    /// The level's label.
    pub severity: &'static str,
    /// In the rule's unit.
    pub value: f64,
}

impl FleetSnapshot {
    /// The fleet as it is known at `now`. A snapshot is published every [`PUBLISHED_EVERY`]: if the
    /// last one is much older, the monitor has not run since, and the time until `now` is recorded
    /// as a pause.
    pub fn seen_at(known: &Arc<Self>, now: Timestamp) -> Arc<Self> {
        let interval = known.pairs.first().map(|pair| pair.facts.interval);
        let usual = pause_limit(interval.unwrap_or_default()).mul_f64(PAUSES_UNSEEN);
        let pause = Pause {
            from: known.anchor.mono,
            until: now,
        };
        if pause.length() <= PUBLISHED_EVERY + usual {
            return Arc::clone(known);
        }
        let mut fleet = Self::clone(known);
        fleet.note_pause(pause);
        Arc::new(fleet)
    }

    fn note_pause(&mut self, pause: Pause) {
        for server in &mut self.servers {
            Arc::make_mut(server).facts.note_pause(pause);
        }
        for pair in &mut self.pairs {
            let pair = Arc::make_mut(pair);
            Arc::make_mut(&mut pair.master).facts.note_pause(pause);
            Arc::make_mut(&mut pair.replica).facts.note_pause(pause);
        }
    }

    /// Whether it is this exporter that is cut off.
    pub fn isolation(&self) -> Isolation {
        Isolation::from_servers(
            self.servers
                .iter()
                .map(|server| (&*server.meta, &server.facts)),
            self.anchor.mono,
        )
    }
}

impl PairSnapshot {
    /// One sentence about the pair as of `now`: its state and since when, and what would be lost.
    /// Alerts about it contain the same sentence.
    pub fn line(&self, seen: &Assessment, now: Timestamp, anchor: &ClockAnchor) -> Sentence {
        let meta = &self.meta;
        let reason = seen.reason.to_string();
        let at_risk = context::at_risk(seen);
        let backlog = context::backlog(seen, &self.writes, now);
        let loss = self.facts.loss.as_ref();
        let news = PairNews {
            pair: meta.key.name.as_str(),
            source_dc: &meta.source_dc.to_string(),
            target_dc: &meta.target_dc.to_string(),
            replica: &meta.key.replica.to_string(),
            names_replica: meta.shares_dc,
            state: seen.state,
            reason: Some(&reason),
            since: self.down_since(seen, now),
            at_risk: at_risk.as_ref(),
            backlog: backlog.as_ref(),
            history_lost: loss.is_some_and(|loss| !loss.is_over(now)),
        };
        pair_line(&news, Clock { now, anchor })
    }

    /// Since when the link is down or stalled, or was before the full sync that is in progress.
    fn down_since(&self, seen: &Assessment, now: Timestamp) -> Option<Timestamp> {
        if let Some(down_for) = seen.link_down_for {
            return Some(now - down_for);
        }
        match seen.state {
            PairState::FullSync => self.facts.link.down_since,
            _ => None,
        }
    }

    /// For how long the link has been down or stalled; the full sync that ends an outage is a part
    /// of it. `None` for a link that is up, that was never up, or of which that is not known.
    pub fn link_down_for(&self, seen: &Assessment, now: Timestamp) -> Option<Span> {
        if seen.state != PairState::FullSync {
            return seen.link_down_for;
        }
        let since = self.facts.link.outage_since()?;
        Some((now - since).or_zero())
    }

    /// What is true of the pair at `now`.
    pub fn assess(&self, now: Timestamp) -> Assessment {
        assess(
            Evidence {
                master: &self.master.facts,
                replica: &self.replica.facts,
                pair: &self.facts,
            },
            now,
        )
    }

    /// What is expected of the pair at `now`, at which `seen` is true of it.
    pub fn forecast(&self, seen: &Assessment, now: Timestamp) -> Forecast {
        let evidence = Evidence {
            master: &self.master.facts,
            replica: &self.replica.facts,
            pair: &self.facts,
        };
        forecast(evidence, seen, &self.writes, now)
    }

    /// Its lag and states over the last day, up to `now`; before its first poll there is none.
    pub fn chart_at(&self, now: Timestamp) -> PairChart {
        let mut chart = self.chart.clone();
        if chart.last_state().is_some() {
            chart.record(&self.assess(now), now);
        }
        chart
    }

    /// The thresholds of the pair's rules, in the rules' units; levels that are off have none.
    pub fn thresholds(&self) -> Vec<Threshold> {
        thresholds_of(&self.meta.alerts)
    }
}

/// The thresholds of the rules about pairs, in the rules' units; levels that are off have none.
pub fn thresholds_of(rules: &AlertSettings) -> Vec<Threshold> {
    let mut all = Vec::new();
    let in_seconds = [
        (Rule::LagSeconds, &rules.lag_seconds),
        (Rule::LinkDown, &rules.link_down),
        (Rule::Unknown, &rules.unknown),
        (Rule::Diverged, &rules.diverged),
    ];
    for (rule, levels) in in_seconds {
        add_thresholds(&mut all, rule, levels, Span::as_secs_f64);
    }
    let in_bytes = &rules.lag_bytes;
    add_thresholds(&mut all, Rule::LagBytes, in_bytes, Bytes::as_f64);
    let failovers = &rules.failover.levels;
    add_thresholds(&mut all, Rule::Failover, failovers, |count| count as f64);
    let headroom = &rules.backlog_headroom;
    add_thresholds(&mut all, Rule::BacklogHeadroom, headroom, |left| {
        left.0.as_secs_f64()
    });
    let buffer = &rules.output_buffer;
    add_thresholds(&mut all, Rule::OutputBuffer, buffer, Share::as_f64);
    all
}

fn add_thresholds<T: Copy>(
    thresholds: &mut Vec<Threshold>,
    rule: Rule,
    levels: &LevelRule<T>,
    value: impl Fn(T) -> f64,
) {
    for (severity, level) in [("warning", levels.warning), ("critical", levels.critical)] {
        if let Some(level) = level {
            thresholds.push(Threshold {
                rule,
                severity,
                value: value(level.at),
            });
        }
    }
}
