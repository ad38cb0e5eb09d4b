//! Polling: one task for each replication tree drives a pure schedule, one task for each server
//! owns its connection and outlives changes of its tree.
//!
//! **Invariants:** a server has at most one request outstanding; polls are skipped and counted,
//! never queued; no server waits for another one longer than its patience; nothing that the monitor
//! does can delay a poll. The schedule, the pace, the lead, the backoff and the budget are pure:
//! time and chance are their arguments.

mod backoff;
mod budget;
mod connections;
mod heartbeat;
mod lead;
mod pace;
mod refresh;
mod report;
mod schedule;
mod server;
mod timer;
mod tree;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use budget::{PollBudget, sustainable_interval};
use connections::Connections;
use heartbeat::Heartbeats;
use refresh::{Line, Lines};
use report::Reporter;
use tree::{Served, ServerWish, Shared, TreeTask, Wishes};

use crate::clock;
use crate::config::PollSettings;
use crate::model::{ServerAddr, Span, Timestamp, stable_hash};
use crate::monitor::PollEvent;
use crate::topology::{Server, Topology, TopologyDiff, Tree, TreeId};

pub use pace::{Intervals, Round};
pub use refresh::Refresher;
pub use schedule::{DuePoll, TreeSchedule};

/// A good capacity for the channel of poll events: a few rounds of a fleet of thousands of servers,
/// so that events are dropped only when the monitor has been stuck for seconds.
pub const EVENT_QUEUE: usize = 16_384;

/// All polling. Dropping it ends every task and closes every connection.
#[derive(Debug)]
pub struct Poller {
    topology: Topology,
    trees: BTreeMap<TreeId, RunningTree>,
    connections: Connections,
    heartbeats: Heartbeats,
    /// With the sustainable interval.
    settings: PollSettings,
    /// The trees that may be refreshed: all, or none where that is off.
    lines: watch::Sender<Lines>,
    shared: Shared,
    dropped_events: Arc<AtomicU64>,
}

#[derive(Debug)]
struct RunningTree {
    line: Arc<Line>,
    task: JoinHandle<()>,
}

impl Poller {
    /// Starts polling every tree of `topology`; what happens is sent to `events`, or dropped and
    /// counted when it is full. Must be called within a tokio runtime.
    pub fn start(
        topology: &Topology,
        settings: PollSettings,
        events: mpsc::Sender<PollEvent>,
    ) -> Self {
        let dropped_events = Arc::default();
        let shared = Shared {
            reporter: Reporter::new(events, Arc::clone(&dropped_events)),
            budget: Arc::new(Mutex::new(PollBudget::new(
                settings.max_polls_per_second,
                clock::now(),
            ))),
            missed_rounds: Arc::default(),
        };
        let topology_before = Topology {
            servers: BTreeMap::new(),
            trees: Vec::new(),
            pairs: Vec::new(),
        };
        let mut poller = Self {
            topology: topology_before,
            trees: BTreeMap::new(),
            connections: Connections::default(),
            heartbeats: Heartbeats::default(),
            settings,
            lines: watch::Sender::default(),
            shared,
            dropped_events,
        };
        poller.reload(topology, settings);
        poller
    }

    /// Goes over to another topology or other settings. Trees that do not change go on; servers
    /// that stay keep their connections, whatever becomes of their tree.
    pub fn reload(&mut self, topology: &Topology, settings: PollSettings) {
        let diff = TopologyDiff::between(&self.topology, topology);
        self.topology = topology.clone();
        self.settings = sustainable(topology, settings);
        let base = polls_per_round(topology) as f64 / self.settings.interval.as_secs_f64();
        self.shared
            .budget()
            .set_rate(settings.max_polls_per_second, base);
        for id in &diff.stopped {
            self.trees.remove(id);
        }
        for tree in self.trees.values() {
            tree.line
                .wishes
                .send_modify(|wishes| wishes.settings = self.settings);
        }
        self.connections.reload(topology, &self.shared.reporter);
        for tree in &diff.started {
            let running = self.start_tree(tree);
            self.trees.insert(tree.id.clone(), running);
        }
        self.heartbeats
            .reload(topology, &settings, &self.shared.reporter);
        let lines = self.trees.iter().filter(|_| settings.refresh_on_scrape);
        self.lines.send_replace(Arc::new(
            lines
                .map(|(id, tree)| (id.clone(), Arc::downgrade(&tree.line)))
                .collect(),
        ));
    }

    /// Polls `server` of `tree`, and the tree's roots, at the minimal interval until `until`, as
    /// far as the budget goes. Never waits; what is not polled (any more) is none of its business.
    /// With `is_back`, its master says that it is there again: one connection to it is tried at
    /// once, however many failed.
    pub fn boost(&self, tree: &TreeId, server: &ServerAddr, until: Timestamp, is_back: bool) {
        self.wish(tree, server, |wish| {
            wish.boosted_until = wish.boosted_until.max(until);
            if is_back {
                wish.back_until = wish.back_until.max(until);
            }
        });
    }

    /// The link to `server` of `tree` takes `delay`, one way: it is asked accordingly later than
    /// its master.
    pub fn set_link_delay(&self, tree: &TreeId, server: &ServerAddr, delay: Span) {
        self.wish(tree, server, |wish| wish.delay = Some(delay));
    }

    /// Where rounds at once may be asked for; follows reloads.
    pub fn refresher(&self) -> Refresher {
        Refresher::new(self.lines.subscribe())
    }

    /// Ends every task and waits until all connections are closed.
    pub async fn stop(&mut self) {
        let trees = std::mem::take(&mut self.trees);
        let tasks: Vec<_> = trees.into_values().map(|tree| tree.task).collect();
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
        self.connections.stop().await;
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

    fn wish(&self, tree: &TreeId, server: &ServerAddr, wish: impl FnOnce(&mut ServerWish)) {
        let Some(tree) = self.trees.get(tree) else {
            return;
        };
        let index = tree.line.servers.iter().position(|member| member == server);
        tree.line.wishes.send_if_modified(|wishes| {
            let Some(known) = index.and_then(|index| wishes.servers.get_mut(index)) else {
                return false;
            };
            let before = *known;
            wish(known);
            *known != before
        });
    }

    fn start_tree(&self, tree: &Tree) -> RunningTree {
        let member = |addr| {
            Some((
                self.topology.servers.get(addr)?.clone(),
                self.connections.orders(addr)?,
            ))
        };
        let members: Vec<(Arc<Server>, _)> = tree.servers().filter_map(member).collect();
        let wishes = Wishes {
            settings: self.settings,
            servers: vec![ServerWish::default(); members.len()],
            refreshes: 0,
        };
        let (wishes, seen) = watch::channel(wishes);
        let (tell, served) = watch::channel(Served::default());
        let addrs = members
            .iter()
            .map(|(server, _)| server.addr.clone())
            .collect();
        let task = TreeTask::new(
            tree.roots.len(),
            members,
            seed_of(&tree.id),
            (seen, tell),
            self.shared.clone(),
        );
        RunningTree {
            line: Arc::new(Line {
                servers: addrs,
                wishes,
                served,
            }),
            task: tokio::spawn(task.run()),
        }
    }
}

/// How many polls one base round of every tree takes.
fn polls_per_round(topology: &Topology) -> usize {
    topology
        .trees
        .iter()
        .map(|t| schedule::polls_per_round(t.roots.len(), t.others.len()))
        .sum()
}

/// The settings with an interval that the budget can bear.
fn sustainable(topology: &Topology, settings: PollSettings) -> PollSettings {
    let polls = polls_per_round(topology);
    let interval = sustainable_interval(settings.interval, polls, settings.max_polls_per_second);
    if interval > settings.interval {
        tracing::warn!(
            polls_per_round = polls,
            max_polls_per_second = settings.max_polls_per_second,
            "poll.interval {} does not fit into poll.max_polls_per_second: polling every {interval} instead",
            settings.interval,
        );
    }
    PollSettings {
        interval,
        ..settings
    }
}

/// The seed of a tree's phase: different for each tree, the same after every restart.
fn seed_of(tree: &TreeId) -> u64 {
    stable_hash([tree.to_string().as_str()])
}

#[cfg(test)]
mod tests;
