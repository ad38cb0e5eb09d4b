//! A look without a running exporter: polls everything for two rounds, and a bit longer where they
//! leave open how a pair is, and says what it saw.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::{PairSettings, PollSettings, Settings};
use crate::model::{ServerAddr, Span, Timestamp};
use crate::monitor::{FleetSnapshot, Monitor, PollEvent, PollEventKind, Promotion};
use crate::poll::{EVENT_QUEUE, Poller};
use crate::replication::StateReason;
use crate::topology::{Discovered, ObservedMasters, Topology, Tree};
use crate::{clock, discovery};

/// Rounds that a look takes: one places every replica, the second shows what moves.
const ROUNDS: u64 = 2;

/// The longest period between the rounds: a person waits for the answer.
const MAX_INTERVAL: Span = Span::from_secs(1);

/// How much longer a look takes where two rounds leave open whether a pair is well: for as long as
/// it takes to tell a stalled link from a slow one by polls alone, and one more round.
const EXTENSION: Span = Span::from_secs(4);

/// How often a look begins anew because the servers' roles are not as told. Once is what a failover
/// before it takes.
const TURNS: u32 = 3;

/// Why a look came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The polls ended by themselves, which they never should.
    #[error("polling ended before every server was asked; this is a bug: please report it")]
    Ended,
}

/// Polls every server of `settings` for two rounds, or until each has timed out as often. Goes on
/// for some seconds more where a pair may be well and nothing bounds its lag yet.
pub async fn probe_once(settings: &Settings) -> Result<FleetSnapshot, ProbeError> {
    let mut probe = Probe::begin(probe_settings(settings)).await;
    let rounds = probe.poll_all().await;
    let seen = match rounds {
        Ok(()) => probe.settle().await,
        Err(error) => Err(error),
    };
    probe.monitor.tick(clock::now()); // alerts on what was seen; nothing of it is sent
    let snapshot = probe.monitor.snapshot(clock::anchor());
    probe.poller.stop().await;
    seen.map(|()| snapshot)
}

/// The settings of a look: it only asks, and a person waits for the answer.
fn probe_settings(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    for pair in &mut settings.pairs {
        pair.heartbeat.enabled = false;
    }
    for entry in &mut settings.sentinels {
        entry.heartbeat.enabled = false;
    }
    let of_sentinels = settings.sentinels.iter_mut().map(|entry| &mut entry.alerts);
    let of_pairs = settings.pairs.iter_mut().map(|pair| &mut pair.alerts);
    for rules in of_pairs.chain(of_sentinels).chain([&mut settings.alerts]) {
        rules.fire_at_once(); // nobody waits for as long as `for` says
    }
    settings.poll.interval = settings.poll.interval.min(MAX_INTERVAL);
    settings.poll.min_interval = settings.poll.min_interval.min(settings.poll.interval);
    settings
}

/// A look that is under way.
struct Probe {
    settings: Settings,
    entries: Vec<PairSettings>,
    masters: ObservedMasters,
    topology: Topology,
    monitor: Monitor,
    poller: Poller,
    polls: mpsc::Receiver<PollEvent>,
    /// How often the topology followed what the servers said.
    turns: u32,
}

impl Probe {
    async fn begin(settings: Settings) -> Self {
        let discovered = discover(&settings).await;
        let configured = settings.pairs.iter().cloned();
        let entries: Vec<_> = configured.chain(discovered.entries()).collect();
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
            turns: 0,
        }
    }

    /// Takes in every poll of the rounds, and begins anew where the roles are not as told.
    async fn poll_all(&mut self) -> Result<(), ProbeError> {
        let mut deadline = clock::now() + longest(self.settings.poll);
        let mut waiting = owed(&self.topology);
        while !waiting.is_empty() {
            let Some(event) = self.next_poll(deadline).await? else {
                return Ok(());
            };
            note(&mut waiting, &event);
            self.monitor.handle_poll(event);
            if self.turn() {
                deadline = clock::now() + longest(self.settings.poll);
                waiting = owed(&self.topology);
            }
        }
        Ok(())
    }

    /// Goes on while a pair may be well and that is not certain yet.
    async fn settle(&mut self) -> Result<(), ProbeError> {
        let deadline = clock::now() + EXTENSION;
        while self.is_open() {
            let Some(event) = self.next_poll(deadline).await? else {
                return Ok(());
            };
            self.monitor.handle_poll(event);
            // A look at a large fleet takes longer than a poll of one server.
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

    /// Whether some pair may be well, and nothing bounds its lag yet.
    fn is_open(&self) -> bool {
        let now = clock::now();
        let snapshot = self.monitor.snapshot(clock::anchor());
        snapshot.pairs.iter().any(|pair| {
            let reason = pair.assess(now).reason;
            matches!(reason, StateReason::NotYetReached { .. })
        })
    }

    /// Follows who took over from whom; whether that changed anything.
    fn turn(&mut self) -> bool {
        for Promotion { pair, to, .. } in self.monitor.promotions(clock::now()) {
            self.masters.follow(&self.entries, &pair, &to);
        }
        let datacenters = &self.settings.datacenters;
        let turned = Topology::observed(&self.entries, datacenters, &self.masters);
        if turned == self.topology || self.turns >= TURNS {
            return false;
        }
        self.topology = turned;
        self.turns += 1;
        self.poller.reload(&self.topology, self.settings.poll);
        let now = clock::now();
        self.monitor.retarget(&self.settings, &self.topology, now);
        true
    }
}

/// What the Sentinels know, each asked once.
async fn discover(settings: &Settings) -> Discovered {
    let mut discovered = Discovered::new(settings);
    for event in discovery::query_once(settings).await {
        discovered.handle(event, clock::now());
    }
    discovered
}

/// Every poll of the rounds, numbered for each server. A root is polled twice a round, before and
/// after its replicas, and once between two rounds.
fn owed(topology: &Topology) -> BTreeSet<(ServerAddr, u64)> {
    let of_tree = |tree: &Arc<Tree>| {
        let roots = tree
            .roots
            .iter()
            .map(|server| (server.clone(), 3 * ROUNDS - 1));
        let others = tree.others.iter().map(|server| (server.clone(), ROUNDS));
        roots.chain(others).collect::<Vec<_>>()
    };
    let polls = topology.trees.iter().flat_map(of_tree);
    polls
        .flat_map(|(server, count)| (1..=count).map(move |n| (server.clone(), n)))
        .collect()
}

/// A poll of the server is over: one less is owed.
fn note(waiting: &mut BTreeSet<(ServerAddr, u64)>, event: &PollEvent) {
    if matches!(
        event.kind,
        PollEventKind::Answered { .. } | PollEventKind::Failed { .. }
    ) {
        let owed = waiting
            .iter()
            .find(|(server, _)| *server == event.server)
            .cloned();
        owed.map(|owed| waiting.remove(&owed));
    }
}

/// Two rounds in which every server takes its whole timeout.
fn longest(poll: PollSettings) -> Span {
    (poll.timeout_local.max(poll.timeout_remote) + poll.interval).mul_f64(ROUNDS as f64 + 1.0)
}
