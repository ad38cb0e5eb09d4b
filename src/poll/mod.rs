//! Polling: one task for each replication tree drives a pure schedule, one task for each server
//! owns its connection and outlives changes of its tree.
//!
//! **Invariants:** a server has at most one request outstanding; polls are skipped and counted,
//! never queued; no server waits for another one longer than its patience; nothing that the monitor
//! does can delay a poll. The schedule with its round timer and replica delay, the backoff and the
//! budget are pure: time and chance are their arguments.

mod backoff;
mod beat;
mod budget;
mod connections;
mod context;
mod heartbeat;
mod output_buffers;
mod own_delay;
mod pace;
mod refresher;
mod replica_delay;
mod report;
mod round_timer;
mod schedule;
mod server;
mod thread;
mod timer;
mod tree;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use budget::{PollBudget, sustainable_interval};
use connections::Connections;
use context::PollContext;
use heartbeat::Heartbeats;
use output_buffers::OutputBuffers;
use own_delay::DelayMeter;
use pace::Pace;
use refresher::{TreeHandle, TreeHandles};
use report::{BatchSender, Reporter};
use thread::PollThread;
use tree::{PollRequests, ServerRequest, TreeProgress, TreeServer, TreeTask};

use crate::clock;
use crate::config::PollSettings;
use crate::model::{ServerAddr, Span, Timestamp, stable_hash};
use crate::monitor::{PollCounts, PollEvent};
use crate::topology::{Topology, TopologyDiff, Tree, TreeId};

pub use refresher::Refresher;
pub use round_timer::{Intervals, Round};
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
    output_buffers: OutputBuffers,
    /// The settings in force, with the interval that the budget allows and the pace that this
    /// program keeps up with.
    settings: PollSettings,
    /// The interval that the budget allows.
    planned_interval: Span,
    pace: Pace,
    /// The trees that may be refreshed: all, or none if that is off.
    refreshable: watch::Sender<TreeHandles>,
    context: PollContext,
    delay_meter: DelayMeter,
    _batches: BatchSender,
    dropped_events: Arc<AtomicU64>,
    /// The thread that everything runs on; `None` where that is the caller's runtime.
    thread: Option<PollThread>,
}

#[derive(Debug)]
struct RunningTree {
    handle: Arc<TreeHandle>,
    task: JoinHandle<()>,
}

impl Poller {
    /// Starts to poll every tree of `topology` on the current tokio runtime. Results are sent to
    /// `events`, or dropped and counted when it is full.
    pub fn start(
        topology: &Topology,
        settings: PollSettings,
        events: mpsc::Sender<PollEvent>,
    ) -> Self {
        Self::start_on(&Handle::current(), topology, settings, events)
    }

    /// As [`Self::start`], on a thread that does nothing else. Where the system gives none, on the
    /// current runtime, with a line in the log.
    pub fn start_on_own_thread(
        topology: &Topology,
        settings: PollSettings,
        events: mpsc::Sender<PollEvent>,
    ) -> Self {
        match PollThread::start() {
            Ok(thread) => {
                let mut poller = Self::start_on(thread.handle(), topology, settings, events);
                poller.thread = Some(thread);
                poller
            }
            Err(error) => {
                tracing::warn!(%error, "there is no thread for polls alone: they share those of the rest");
                Self::start(topology, settings, events)
            }
        }
    }

    fn start_on(
        runtime: &Handle,
        topology: &Topology,
        settings: PollSettings,
        events: mpsc::Sender<PollEvent>,
    ) -> Self {
        let dropped_events = Arc::default();
        let budget = PollBudget::new(settings.max_polls_per_second, clock::now());
        let delay_meter = DelayMeter::start(runtime);
        let dropped = Arc::clone(&dropped_events);
        let (reporter, batches) = Reporter::with_batches(events, dropped, runtime);
        let context = PollContext {
            runtime: runtime.clone(),
            reporter,
            own_delay: delay_meter.delay().clone(),
            budget: Arc::new(Mutex::new(budget)),
            rounds: Arc::default(),
            missed_rounds: Arc::default(),
        };
        let nothing = Topology {
            servers: BTreeMap::new(),
            trees: Vec::new(),
            pairs: Vec::new(),
        };
        let mut poller = Self {
            topology: nothing,
            trees: BTreeMap::new(),
            connections: Connections::default(),
            heartbeats: Heartbeats::default(),
            output_buffers: OutputBuffers::default(),
            settings,
            planned_interval: settings.interval,
            pace: Pace::new(clock::now()),
            refreshable: watch::Sender::default(),
            context,
            delay_meter,
            _batches: batches,
            dropped_events,
            thread: None,
        };
        poller.reload(topology, settings);
        poller
    }

    /// Applies another topology or other settings. Trees that do not change keep running; servers
    /// that stay keep their connections, even if their tree is another one.
    pub fn reload(&mut self, topology: &Topology, settings: PollSettings) {
        let diff = TopologyDiff::between(&self.topology, topology);
        self.topology = topology.clone();
        self.settings = sustainable(topology, settings);
        self.planned_interval = self.settings.interval;
        self.apply_pace();
        self.connections.reload(topology, &self.context);
        self.reload_trees(&diff);
        let PollContext {
            reporter, runtime, ..
        } = &self.context;
        self.heartbeats
            .reload(topology, &settings, reporter, runtime);
        self.output_buffers
            .reload(topology, &settings, reporter, runtime);
        self.publish_refreshable();
    }

    /// Makes the intervals longer where this program does not keep up with them, and shorter again
    /// where it does. To be called once a second.
    pub fn keep_pace(&mut self, now: Timestamp) {
        let before = self.pace.stretch();
        if !self.pace.judge(self.counts(now), now) {
            return;
        }
        self.apply_pace();
        self.log_pace(before);
        for tree in self.trees.values() {
            let requests = &tree.handle.requests;
            requests.send_modify(|requests| requests.settings = self.settings);
        }
    }

    /// Once when the intervals become longer than planned, and once when they are as planned again.
    fn log_pace(&self, before: f64) {
        let interval = self.settings.interval;
        let planned = self.planned_interval;
        if before <= 1.0 {
            tracing::warn!(
                "the exporter does not keep up with its polls: it polls every {interval} now instead of every {planned}"
            );
        } else if self.pace.stretch() <= 1.0 {
            tracing::info!("the exporter keeps up with its polls again: it polls every {planned}");
        }
    }

    /// Sets the interval in force, the budget's rate, and what base rounds take of it.
    fn apply_pace(&mut self) {
        let stretch = self.pace.stretch();
        self.settings.interval = self.planned_interval.mul_f64(stretch);
        let polls = polls_per_round(&self.topology) as f64;
        let base = polls / self.settings.interval.as_secs_f64();
        let rate = f64::from(self.settings.max_polls_per_second) / stretch;
        self.context.budget().set_rate(rate, base);
    }

    /// Ends and starts trees as `diff` says, and passes the settings on to those that stay.
    fn reload_trees(&mut self, diff: &TopologyDiff) {
        for id in &diff.stopped {
            self.trees.remove(id);
        }
        for tree in self.trees.values() {
            let requests = &tree.handle.requests;
            requests.send_modify(|requests| requests.settings = self.settings);
        }
        for tree in &diff.started {
            let running = self.start_tree(tree);
            self.trees.insert(tree.id.clone(), running);
        }
    }

    fn publish_refreshable(&self) {
        let mut refreshable = BTreeMap::new();
        if self.settings.refresh_on_scrape {
            for (id, tree) in &self.trees {
                refreshable.insert(id.clone(), Arc::downgrade(&tree.handle));
            }
        }
        self.refreshable.send_replace(Arc::new(refreshable));
    }

    /// Polls `server` of `tree`, and the tree's roots, at the minimal interval until `until`, as
    /// far as the budget allows. Never waits. Ignores servers that are not polled (any more). With
    /// `is_back`, the server's master has reported it connected again: one connection is tried at
    /// once, however many have failed.
    pub fn boost(&self, tree: &TreeId, server: &ServerAddr, until: Timestamp, is_back: bool) {
        self.request(tree, server, |request| {
            request.boosted_until = request.boosted_until.max(until);
            if is_back {
                request.back_until = request.back_until.max(until);
            }
        });
    }

    /// The link to `server` of `tree` takes `delay`, one way: it is polled that much later than its
    /// master.
    pub fn set_link_delay(&self, tree: &TreeId, server: &ServerAddr, delay: Span) {
        self.request(tree, server, |request| request.link_delay = Some(delay));
    }

    /// The runtime of the polls' own thread, where there is one.
    pub fn own_runtime(&self) -> Option<Handle> {
        let thread = self.thread.as_ref()?;
        Some(thread.handle().clone())
    }

    /// Where refreshes may be requested; follows reloads.
    pub fn refresher(&self) -> Refresher {
        Refresher::new(self.refreshable.subscribe())
    }

    /// Ends every task and waits until all connections are closed.
    pub async fn stop(&mut self) {
        let trees = std::mem::take(&mut self.trees);
        // Dropping the handles ends all tasks, so that they end at the same time.
        let tasks: Vec<_> = trees.into_values().map(|tree| tree.task).collect();
        for task in tasks {
            // An error means that the task panicked; then it has ended too.
            drop(task.await);
        }
        self.connections.stop().await;
        self.heartbeats.stop().await;
        self.output_buffers.stop().await;
        self.context.reporter.flush();
    }

    /// What polling has done and lost since the start, as of `now`.
    pub fn counts(&self, now: Timestamp) -> PollCounts {
        PollCounts {
            dropped_events: self.dropped_events.load(Ordering::Relaxed),
            rounds: self.context.rounds.load(Ordering::Relaxed),
            missed_rounds: self.context.missed_rounds.load(Ordering::Relaxed),
            own_delay: self.delay_meter.delay().total(now),
            interval: self.planned_interval,
            paced: self.settings.interval,
        }
    }

    /// Changes what is requested for `server` of `tree`, if it is polled.
    fn request(&self, tree: &TreeId, server: &ServerAddr, change: impl FnOnce(&mut ServerRequest)) {
        let Some(tree) = self.trees.get(tree) else {
            return;
        };
        let mut members = tree.handle.servers.iter();
        let Some(index) = members.position(|member| member == server) else {
            return;
        };
        tree.handle.requests.send_if_modified(|requests| {
            let Some(request) = requests.servers.get_mut(index) else {
                return false;
            };
            let before = *request;
            change(request);
            *request != before
        });
    }

    fn start_tree(&self, tree: &Tree) -> RunningTree {
        let members = self.members(tree);
        let mut servers = Vec::with_capacity(members.len());
        for member in &members {
            servers.push(member.server.addr.clone());
        }
        let (requests, received) = watch::channel(PollRequests {
            settings: self.settings,
            servers: vec![ServerRequest::default(); servers.len()],
            refreshes: 0,
        });
        let (reported, progress) = watch::channel(TreeProgress::default());
        let task = TreeTask::new(
            tree.roots.len(),
            members,
            seed(&tree.id),
            received,
            reported,
            self.context.clone(),
        );
        RunningTree {
            handle: Arc::new(TreeHandle {
                servers,
                requests,
                progress,
            }),
            task: self.context.runtime.spawn(task.run()),
        }
    }

    /// The servers of `tree`, roots first. Every one of them is in the topology, and has a task.
    fn members(&self, tree: &Tree) -> Vec<TreeServer> {
        let mut members = Vec::new();
        for addr in tree.servers() {
            let server = self.topology.servers.get(addr);
            if let (Some(server), Some(commands)) = (server, self.connections.commands(addr)) {
                let server = Arc::clone(server);
                members.push(TreeServer { server, commands });
            }
        }
        members
    }
}

/// How many polls one base round of every tree takes.
fn polls_per_round(topology: &Topology) -> usize {
    let mut polls = 0;
    for tree in &topology.trees {
        polls += schedule::polls_per_round(tree.roots.len(), tree.others.len());
    }
    polls
}

/// The settings with an interval that the budget allows.
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

/// The hash of a tree's identity: the same at each start, so that a restart does not move the load.
fn seed(tree: &TreeId) -> u64 {
    stable_hash([tree.to_string().as_str()])
}

#[cfg(test)]
mod tests;
