//! `check` without a running exporter: polls every server for two rounds, and a bit longer where a
//! pair's state is undecided, and returns a snapshot.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::config::{PairSettings, PollSettings, Settings};
use crate::model::{ServerAddr, Span, Timestamp};
use crate::monitor::{FleetSnapshot, Monitor, PollEvent, PollEventKind};
use crate::poll::{EVENT_QUEUE, Poller};
use crate::replication::StateReason;
use crate::topology::{Discovered, ObservedMasters, Topology};
use crate::{clock, discovery};

/// Rounds of a probe: the first locates every replica, the second shows which offsets advance.
const ROUNDS: u64 = 2;

/// The longest time between the rounds: a person waits for the answer.
const SHORTENED_INTERVAL: Span = Span::from_secs(1);

/// How much longer a probe may take where a pair is still undecided after two rounds: as long as
/// polls need to distinguish a stalled link from a slow one, and one more round.
const EXTENSION: Span = Span::from_secs(4);

/// How often a probe may start over because servers have other roles than configured. One failover
/// since the configuration was written needs one.
const RESTARTS: u32 = 3;

/// Why there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The poller ended, which it never should.
    #[error("polling ended before every server was polled; this is a bug: please report it")]
    Ended,
}

/// Polls every server of `settings` for two rounds, or until each has timed out as often; and for
/// some seconds more where a pair may be healthy and nothing bounds its lag yet.
///
/// # Errors
/// [`ProbeError`] when polling ended early.
pub async fn probe_once(settings: &Settings) -> Result<FleetSnapshot, ProbeError> {
    let mut probe = Probe::begin(probe_settings(settings)).await;
    let result = probe.run().await;
    probe.poller.stop().await;
    result
}

/// The settings of a probe: no heartbeats, alerts without delay, and short intervals, because a
/// person waits for it.
fn probe_settings(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    for pair in &mut settings.pairs {
        pair.heartbeat.enabled = false;
        pair.alerts.fire_at_once();
    }
    for entry in &mut settings.sentinels {
        entry.heartbeat.enabled = false;
        entry.alerts.fire_at_once();
    }
    for entry in &mut settings.clusters {
        entry.alerts.fire_at_once();
    }
    settings.alerts.fire_at_once();
    settings.poll.interval = settings.poll.interval.min(SHORTENED_INTERVAL);
    settings.poll.min_interval = settings.poll.min_interval.min(settings.poll.interval);
    settings
}

/// A probe in progress.
struct Probe {
    settings: Settings,
    entries: Vec<PairSettings>,
    masters: ObservedMasters,
    topology: Topology,
    monitor: Monitor,
    poller: Poller,
    polls: mpsc::Receiver<PollEvent>,
    /// How often it has started over.
    restarts: u32,
}

impl Probe {
    async fn begin(settings: Settings) -> Self {
        let discovered = discover(&settings).await;
        let configured = settings.pairs.iter().cloned();
        let mut found = discovered.entries();
        for entry in &mut found {
            // Those of pair files have the rules as they are written.
            entry.heartbeat.enabled = false;
            entry.alerts.fire_at_once();
        }
        let entries: Vec<_> = configured.chain(found).collect();
        let masters = ObservedMasters::default();
        let topology = Topology::observed(&entries, &settings.datacenters, &masters);
        let mut monitor = Monitor::new(&settings, &topology, clock::anchor());
        monitor.note_sources(discovered.health(), clock::now());
        let (events, polls) = mpsc::channel(EVENT_QUEUE);
        let poller = Poller::start(&topology, settings.poll, events);
        Self {
            settings,
            entries,
            masters,
            topology,
            monitor,
            poller,
            polls,
            restarts: 0,
        }
    }

    async fn run(&mut self) -> Result<FleetSnapshot, ProbeError> {
        self.poll_all().await?;
        self.poll_undecided().await?;
        // Evaluates the alerts of the snapshot; its actions are not performed.
        self.monitor.tick(clock::now());
        Ok(self.monitor.snapshot(clock::anchor()))
    }

    /// Handles every poll of the rounds, and starts over when a server has another role than
    /// configured.
    async fn poll_all(&mut self) -> Result<(), ProbeError> {
        let mut deadline = clock::now() + longest_duration(self.settings.poll);
        let mut waiting = planned_polls(&self.topology);
        while !waiting.is_empty() {
            let Some(event) = self.next_poll(deadline).await? else {
                return Ok(());
            };
            count_poll(&mut waiting, &event);
            self.monitor.handle_poll(event);
            if self.follow_promotions() {
                deadline = clock::now() + longest_duration(self.settings.poll);
                waiting = planned_polls(&self.topology);
            }
        }
        Ok(())
    }

    /// Continues to poll while a pair is undecided.
    async fn poll_undecided(&mut self) -> Result<(), ProbeError> {
        let deadline = clock::now() + EXTENSION;
        while self.has_undecided_pair() {
            let Some(event) = self.next_poll(deadline).await? else {
                return Ok(());
            };
            self.monitor.handle_poll(event);
            // Assessing a large fleet takes longer than a poll of one server.
            while let Ok(event) = self.polls.try_recv() {
                self.monitor.handle_poll(event);
            }
        }
        Ok(())
    }

    /// The next poll that ended; `None` at the deadline.
    async fn next_poll(&mut self, deadline: Timestamp) -> Result<Option<PollEvent>, ProbeError> {
        let left = (deadline - clock::now()).or_zero().to_duration();
        match tokio::time::timeout(left, self.polls.recv()).await {
            Ok(Some(event)) => Ok(Some(event)),
            Ok(None) => Err(ProbeError::Ended),
            Err(_) => Ok(None),
        }
    }

    /// Whether some pair may be healthy although nothing bounds its lag yet.
    fn has_undecided_pair(&self) -> bool {
        let now = clock::now();
        let snapshot = self.monitor.snapshot(clock::anchor());
        for pair in &snapshot.pairs {
            let reason = pair.assess(now).reason;
            if matches!(reason, StateReason::NotYetReached { .. }) {
                return true;
            }
        }
        false
    }

    /// Follows servers that have taken over from others. Returns whether that changed the topology.
    fn follow_promotions(&mut self) -> bool {
        let promotions = self.monitor.promotions(clock::now());
        if promotions.is_empty() {
            return false;
        }
        let taken = promotions.iter().map(|taken| (&taken.pair, &taken.to));
        self.masters.follow(&self.entries, taken);
        let datacenters = &self.settings.datacenters;
        let observed = Topology::observed(&self.entries, datacenters, &self.masters);
        if observed == self.topology || self.restarts >= RESTARTS {
            return false;
        }
        self.topology = observed;
        self.restarts += 1;
        self.poller.reload(&self.topology, self.settings.poll);
        let now = clock::now();
        self.monitor.retarget(&self.settings, &self.topology, now);
        true
    }
}

/// The entries of the discovery sources, each of whose reporters is queried once: first those that
/// the configuration names, then those that were learned from them.
pub(super) async fn discover(settings: &Settings) -> Discovered {
    let mut discovered = Discovered::new(settings);
    for event in discovery::query_once(settings).await {
        discovered.handle(event, clock::now());
    }
    let learned = discovered.learned();
    for event in discovery::query_learned(settings, &learned).await {
        discovered.handle(event, clock::now());
    }
    discovered
}

/// How many polls of each server the rounds have. A root is polled twice a round, before and after
/// its replicas, and once between two rounds.
fn planned_polls(topology: &Topology) -> BTreeMap<ServerAddr, u64> {
    let mut planned = BTreeMap::new();
    for tree in &topology.trees {
        for server in &tree.roots {
            planned.insert(server.clone(), 3 * ROUNDS - 1);
        }
        for server in &tree.others {
            planned.insert(server.clone(), ROUNDS);
        }
    }
    planned
}

/// Subtracts a poll that has ended from those that are `waiting`.
fn count_poll(waiting: &mut BTreeMap<ServerAddr, u64>, event: &PollEvent) {
    let ended = matches!(
        event.kind,
        PollEventKind::Answered { .. } | PollEventKind::Failed { .. }
    );
    if !ended {
        return;
    }
    if let Some(count) = waiting.get_mut(&event.server) {
        *count -= 1;
        if *count == 0 {
            waiting.remove(&event.server);
        }
    }
}

/// How long the rounds take at most: every server takes its whole timeout.
fn longest_duration(poll: PollSettings) -> Span {
    (poll.timeout_local.max(poll.timeout_remote) + poll.interval).mul_f64(ROUNDS as f64 + 1.0)
}
