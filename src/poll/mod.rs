//! Polling: one task for each replication tree drives a pure schedule, one task for each server owns its connection.
//!
//! **Invariants:** a server has at most one request outstanding; polls are skipped and counted, never queued; no server
//! waits for another one longer than its patience; nothing that the monitor does can delay a poll. The schedule, the
//! pace, the round trips, the backoff and the budget are pure: time and chance are their arguments.

mod backoff;
mod budget;
mod heartbeat;
mod pace;
mod report;
mod schedule;
mod server;
mod timer;
mod tree;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use budget::{PollBudget, sustainable_interval};
use heartbeat::Heartbeats;
use report::Reporter;
use tree::{Shared, TreeTask, Wishes};

use crate::clock;
use crate::config::PollSettings;
use crate::model::Timestamp;
use crate::monitor::PollEvent;
use crate::topology::{Server, Topology, TopologyDiff, Tree, TreeId};

/// A good capacity for the channel of poll events: a few rounds of a fleet of thousands of servers, so that events are
/// dropped only when the monitor has been stuck for seconds.
pub const EVENT_QUEUE: usize = 16_384;

/// All polling. Dropping it ends every task and closes every connection.
#[derive(Debug)]
pub struct Poller {
    topology: Topology,
    trees: BTreeMap<TreeId, RunningTree>,
    heartbeats: Heartbeats,
    wishes: Wishes,
    shared: Shared,
    dropped_events: Arc<AtomicU64>,
}

#[derive(Debug)]
struct RunningTree {
    wishes: watch::Sender<Wishes>,
    task: JoinHandle<()>,
}

impl Poller {
    /// Starts polling every tree of `topology`; what happens is sent to `events`, or dropped and counted when it is
    /// full. Must be called within a tokio runtime.
    pub fn start(topology: &Topology, settings: PollSettings, events: mpsc::Sender<PollEvent>) -> Self {
        let dropped_events = Arc::default();
        let shared = Shared {
            reporter: Reporter::new(events, Arc::clone(&dropped_events)),
            budget: Arc::new(Mutex::new(PollBudget::new(settings.max_polls_per_second, clock::now()))),
            missed_rounds: Arc::default(),
        };
        let wishes = Wishes { settings, urgent_until: Timestamp::default(), refreshes: 0 };
        let nothing = Topology { servers: BTreeMap::new(), trees: Vec::new(), pairs: Vec::new() };
        let (trees, heartbeats) = (BTreeMap::new(), Heartbeats::default());
        let mut poller = Self { topology: nothing, trees, heartbeats, wishes, shared, dropped_events };
        poller.reload(topology, settings);
        poller
    }

    /// Goes over to another topology or other settings. Trees that do not change keep their connections.
    pub fn reload(&mut self, topology: &Topology, settings: PollSettings) {
        let diff = TopologyDiff::between(&self.topology, topology);
        self.topology = topology.clone();
        self.wishes.settings = sustainable(topology, settings);
        self.shared.budget.lock().unwrap_or_else(PoisonError::into_inner).set_rate(settings.max_polls_per_second);
        for id in &diff.stopped {
            self.trees.remove(id);
        }
        for tree in self.trees.values() {
            tree.wishes.send_modify(|wishes| wishes.settings = self.wishes.settings);
        }
        for tree in &diff.started {
            let running = self.start_tree(tree);
            self.trees.insert(tree.id.clone(), running);
        }
        self.heartbeats.reload(topology, &settings, &self.shared.reporter);
    }

    /// Polls `tree` at the minimal interval until `until`, as far as the budget goes. Never waits; a tree that is not
    /// polled (any more) is none of its business.
    pub fn set_urgent(&self, tree: &TreeId, until: Timestamp) {
        self.wish(tree, |wishes| wishes.urgent_until = wishes.urgent_until.max(until));
    }

    /// Polls `tree` at once, if the budget allows one more round. Never waits.
    pub fn refresh(&self, tree: &TreeId) {
        self.wish(tree, |wishes| wishes.refreshes = wishes.refreshes.wrapping_add(1));
    }

    /// Ends every task and waits until all connections are closed.
    pub async fn stop(mut self) {
        let trees = std::mem::take(&mut self.trees);
        let tasks: Vec<_> = trees.into_values().map(|tree| tree.task).collect();
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
        self.heartbeats.stop().await;
    }

    /// Events that found the channel full, since the start.
    pub fn dropped_events(&self) -> u64 {
        self.dropped_events.load(Ordering::Relaxed)
    }

    /// Rounds that were skipped because their time had passed, over all trees, since the start.
    pub fn missed_rounds(&self) -> u64 {
        self.shared.missed_rounds.load(Ordering::Relaxed)
    }

    fn wish(&self, tree: &TreeId, wish: impl FnOnce(&mut Wishes)) {
        if let Some(tree) = self.trees.get(tree) {
            tree.wishes.send_modify(wish);
        }
    }

    fn start_tree(&self, tree: &Tree) -> RunningTree {
        let (wishes, seen) = watch::channel(self.wishes);
        let servers: Vec<Arc<Server>> =
            tree.servers().filter_map(|addr| self.topology.servers.get(addr)).cloned().collect();
        let task = TreeTask::new(tree.roots.len(), servers, seed_of(&tree.id), seen, self.shared.clone());
        RunningTree { wishes, task: tokio::spawn(task.run()) }
    }
}

/// The settings with an interval that the budget can bear.
fn sustainable(topology: &Topology, settings: PollSettings) -> PollSettings {
    let polls = topology.trees.iter().map(|t| schedule::polls_per_round(t.roots.len(), t.others.len())).sum();
    let interval = sustainable_interval(settings.interval, polls, settings.max_polls_per_second);
    if interval > settings.interval {
        tracing::warn!(
            polls_per_round = polls,
            max_polls_per_second = settings.max_polls_per_second,
            "poll.interval {} does not fit into poll.max_polls_per_second: polling every {interval} instead",
            settings.interval,
        );
    }
    PollSettings { interval, ..settings }
}

/// The hash of a tree's identity (FNV-1a, 64 bits): the same at each start, so that restarts do not shift the load.
fn seed_of(tree: &TreeId) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    tree.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests;
