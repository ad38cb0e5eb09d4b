//! The fleet at one moment: what metrics, pages, JSON and `check` read. Immutable and shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::awake::pause_limit;
use super::context;
use super::failover::EntryFailovers;
use super::faults::ReloadFailure;
use super::isolation::Isolation;
use crate::alert::news::{Clock, PairNews, Sentence, pair_line};
use crate::alert::{ListedAlert, Rule, SilenceRecord, SilenceState};
use crate::chart::PairChart;
use crate::delivery::{Deliveries, DeliveryFailure, QueueState, SuppressReason};
use crate::journal::Journal;
use crate::model::{
    Bytes, ClockAnchor, Datacenter, HeartbeatError, Histogram, PollError, Span, Timestamp, WallTime,
};
use crate::replication::{
    Assessment, Evidence, Footprint, PairFacts, PairState, Pause, ServerFacts, assess,
};
use crate::topology::{Pair, Server, SourceHealth};

/// A snapshot is published at least this often, so that readers see that the monitor runs.
pub const PUBLISHED_EVERY: Span = Span::from_secs(1);

/// How many times the limit of a pause (`pause_limit`) a snapshot may be late: on a large fleet
/// snapshots take their time.
const PAUSES_UNSEEN: f64 = 2.0;

/// Everything that readers may know, frozen at one moment.
#[derive(Clone, Debug)]
pub struct FleetSnapshot {
    /// Both clocks at that moment.
    pub anchor: ClockAnchor,
    /// Every pair, in the configuration's order.
    pub pairs: Vec<PairSnapshot>,
    /// Every server, by address.
    pub servers: Vec<Arc<ServerSnapshot>>,
    /// How the discovery sources are.
    pub sources: Arc<[SourceHealth]>,
    /// The failovers of every entry, by name.
    pub failovers: Vec<EntryFailovers>,
    /// Lag, observed at a fixed tick, by source and target datacenter.
    pub lag_distribution: BTreeMap<(Datacenter, Datacenter), Histogram>,
    /// Round trips of the monitor, by operation and datacenter.
    pub latency: BTreeMap<(Operation, Datacenter), Histogram>,
    /// How late polls were sent, by datacenter.
    pub lateness: BTreeMap<Datacenter, Histogram>,
    /// Every alert that is pending, firing or recently resolved.
    pub alerts: Vec<ListedAlert>,
    /// Every silence: those in force, those to come, those that ended lately.
    pub silences: Vec<(SilenceState, SilenceRecord)>,
    /// The maintenance windows that are open.
    pub maintenance: Vec<Arc<str>>,
    /// Every receiver, in the configuration's order.
    pub receivers: Vec<ReceiverSnapshot>,
    /// What waits for receivers, what they took and what they refused.
    pub deliveries: Arc<Deliveries>,
    /// What polling lost.
    pub losses: PollLosses,
    /// What happened lately.
    pub journal: Journal,
    /// The configuration's fate.
    pub reload: ReloadStatus,
    /// Whether every server was polled once, with whatever result.
    pub ready: bool,
}

/// One pair with all the evidence that an assessment needs.
#[derive(Clone, Debug)]
pub struct PairSnapshot {
    /// Who it is.
    pub meta: Arc<Pair>,
    /// What is known of it.
    pub facts: PairFacts,
    /// The server at the top of its chain.
    pub master: Arc<ServerSnapshot>,
    /// Its replica.
    pub replica: Arc<ServerSnapshot>,
    /// The highest lag estimate of the last minute.
    pub lag_max: Option<Span>,
    /// Bytes that its master wrote in the last minutes, and over how long they were counted.
    pub recent_writes: Option<(Bytes, Span)>,
    /// What its charts show.
    pub chart: PairChart,
}

/// One server and what polling it came to.
#[derive(Clone, Debug)]
pub struct ServerSnapshot {
    /// Who it is.
    pub meta: Arc<Server>,
    /// What is known of it.
    pub facts: ServerFacts,
    /// Polls, answered or not.
    pub polls: u64,
    /// Polls that were not sent because the one before was still unanswered.
    pub skipped: u64,
    /// Failed polls, by reason.
    pub errors: BTreeMap<PollError, u64>,
    /// What is remembered of the stream that is measured against it.
    pub history: Option<Footprint>,
    /// Why it took no part in heartbeats, and how often.
    pub heartbeat_errors: BTreeMap<HeartbeatError, u64>,
}

/// What a round trip was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Making a connection, AUTH included.
    Connect,
    /// One INFO.
    Info,
}

impl ReceiverSnapshot {
    /// Attempts to deliver, those that failed included.
    pub fn attempts(&self) -> u64 {
        self.delivered + self.failed.values().sum::<u64>()
    }
}

/// One receiver and what delivery to it came to.
#[derive(Clone, Debug)]
pub struct ReceiverSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Notifications that it took.
    pub delivered: u64,
    /// Failed attempts, by reason.
    pub failed: BTreeMap<DeliveryFailure, u64>,
    /// Notifications that were not sent on purpose, by reason.
    pub suppressed: BTreeMap<SuppressReason, u64>,
    /// From decision to delivery.
    pub latency: Histogram,
    /// When it last took one.
    pub last_success: Option<Timestamp>,
    /// Since when its attempts fail, or since when it failed with one that was given up lately;
    /// `None` while nothing is wrong.
    pub failing_since: Option<Timestamp>,
    /// What is wrong, as a sentence; `None` while nothing is.
    pub trouble: Option<Arc<str>>,
    /// Its queue.
    pub queue: QueueState,
}

/// What polling lost because this program or its machine was overloaded, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PollLosses {
    /// Answers and failures that found the monitor's queue full.
    pub dropped_events: u64,
    /// Rounds of a tree whose time had passed before they could begin.
    pub missed_rounds: u64,
}

/// What became of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadStatus {
    /// Why the last attempt to load it failed; `None` when it succeeded.
    pub failure: Option<ReloadFailure>,
    /// When one last did.
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
    /// The fleet as it is seen at `now`. A snapshot is published each [`PUBLISHED_EVERY`]: where the
    /// last one is much older the monitor has not run since, and nothing that it says of servers is
    /// about `now`.
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
    /// One line about the pair as of `now`: its state and since when, and what would be lost. The
    /// alerts about it say the same.
    pub fn line(&self, seen: &Assessment, now: Timestamp, anchor: &ClockAnchor) -> Sentence {
        let meta = &self.meta;
        let [pair, source_dc, target_dc, replica] = [
            meta.key.name.to_string(),
            meta.source_dc.to_string(),
            meta.target_dc.to_string(),
            meta.key.replica.to_string(),
        ];
        let reason = seen.reason.to_string();
        let is_syncing = seen.state == PairState::FullSync;
        let down_since = self.facts.link.down_since.filter(|_| is_syncing);
        let at_risk = context::at_risk(seen);
        let backlog = context::backlog(seen, self.recent_writes);
        let news = PairNews {
            pair: &pair,
            source_dc: &source_dc,
            target_dc: &target_dc,
            replica: &replica,
            names_replica: meta.shares_dc,
            state: seen.state.label(),
            reason: Some(&reason),
            since: seen.link_down_for.map(|lasts| now - lasts).or(down_since),
            at_risk: at_risk.as_ref(),
            backlog: backlog.as_ref(),
        };
        pair_line(&news, Clock { now, anchor })
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

    /// The thresholds of the rules that look at the pair; levels that are off have none.
    pub fn thresholds(&self) -> Vec<Threshold> {
        let rules = &self.meta.alerts;
        let spans = [
            (Rule::LagSeconds, &rules.lag_seconds),
            (Rule::LinkDown, &rules.link_down),
            (Rule::Unknown, &rules.unknown),
            (Rule::Diverged, &rules.diverged),
        ];
        let seconds = spans.into_iter().flat_map(|(rule, levels)| {
            let value = |level: Span| level.as_secs_f64();
            levels_of(
                rule,
                levels.warning.map(|l| value(l.at)),
                levels.critical.map(|l| value(l.at)),
            )
        });
        let bytes = &rules.lag_bytes;
        let (warning, critical) = (
            bytes.warning.map(|l| l.at.as_f64()),
            bytes.critical.map(|l| l.at.as_f64()),
        );
        let counts = &rules.failover.levels;
        let failovers =
            [counts.warning, counts.critical].map(|level| level.map(|level| level.at as f64));
        let counts = levels_of(Rule::Failover, failovers[0], failovers[1]);
        seconds
            .chain(levels_of(Rule::LagBytes, warning, critical))
            .chain(counts)
            .collect()
    }
}

fn levels_of(
    rule: Rule,
    warning: Option<f64>,
    critical: Option<f64>,
) -> impl Iterator<Item = Threshold> {
    let level = move |severity, value: Option<f64>| {
        value.map(|value| Threshold {
            rule,
            severity,
            value,
        })
    };
    [level("warning", warning), level("critical", critical)]
        .into_iter()
        .flatten()
}

impl Operation {
    /// The operation's label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Info => "info",
        }
    }
}
