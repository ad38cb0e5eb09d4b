//! Discovery: queries the reporters of all discovery sources, every second and whenever they
//! announce an event; resolves DNS names; and watches the pair files.
//!
//! One task for each reporter of each entry, so that no reporter waits for another; one for the
//! names of each entry; one for all files. What they learn goes to the core as [`DiscoveryEvent`]s
//! on a bounded channel; [`Discovered`] turns it into entries, and says which reporters the answers
//! have added to the configured ones.

mod cluster;
mod files;
mod names;
mod query_pace;
mod reporter;
mod sentinel;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use cluster::ClusterPlan;
use files::FilesPlan;
use names::{NamesPlan, RolePlan};
use sentinel::SentinelPlan;

use crate::clock;
use crate::config::{ClusterSettings, PollSettings, ServerSettings, Settings};
use crate::model::{PairName, Span};
use crate::topology::{Discovered, DiscoveryEvent, FilesGroup, Server, SourceId, Topology};

/// A good capacity for the channel of events. A reporter's task that finds it full waits, and
/// queries the reporter again only afterwards.
pub const DISCOVERY_QUEUE: usize = 256;

/// All discovery. Dropping it ends every task and closes every connection.
#[derive(Debug)]
pub struct Discovery {
    running: BTreeMap<TaskId, (Plan, JoinSet<()>)>,
    events: mpsc::Sender<DiscoveryEvent>,
}

/// What a task is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TaskId {
    /// One reporter of an entry.
    Reporter(SourceId),
    /// The DNS names of an entry.
    Names(PairName),
    /// The pair files.
    Files,
}

/// What a task does, by the kind of its source. A task continues over a reload if its plan stays
/// equal.
#[derive(Clone, Debug, PartialEq)]
enum Plan {
    Sentinel(SourceId, SentinelPlan),
    Cluster(SourceId, ClusterPlan),
    Role(SourceId, RolePlan),
    Names(NamesPlan),
    Files(FilesPlan),
}

impl Discovery {
    /// Starts to query every reporter of `settings` and those that were `learned`; the answers are
    /// sent to `events`. Must be called within a tokio runtime.
    pub fn start(
        settings: &Settings,
        learned: &BTreeSet<SourceId>,
        events: mpsc::Sender<DiscoveryEvent>,
    ) -> Self {
        let mut discovery = Self {
            running: BTreeMap::new(),
            events,
        };
        discovery.reload(settings, learned);
        discovery
    }

    /// Applies other settings, and other reporters that were learned. Reporters whose settings do
    /// not change keep their connections.
    pub fn reload(&mut self, settings: &Settings, learned: &BTreeSet<SourceId>) {
        let plans = plans(settings, learned);
        self.running
            .retain(|id, (plan, _)| plans.get(id) == Some(plan));
        for (id, plan) in plans {
            if !self.running.contains_key(&id) {
                let mut task = JoinSet::new();
                task.spawn(plan.clone().run(self.events.clone()));
                self.running.insert(id, (plan, task));
            }
        }
    }

    /// Ends every task and waits until all connections are closed.
    pub async fn stop(&mut self) {
        for (_, task) in self.running.values_mut() {
            task.shutdown().await;
        }
    }
}

impl Plan {
    /// Does its work until the receiver of the events is dropped.
    async fn run(self, events: mpsc::Sender<DiscoveryEvent>) {
        match self {
            Self::Sentinel(source, plan) => plan.run(source, events).await,
            Self::Cluster(source, plan) => plan.run(source, events).await,
            Self::Role(source, plan) => plan.run(source, events).await,
            Self::Names(plan) => plan.run(events).await,
            Self::Files(plan) => plan.run(events).await,
        }
    }

    /// Does it once, on a new connection.
    async fn query_once(self) -> Vec<DiscoveryEvent> {
        match self {
            Self::Sentinel(source, plan) => vec![reporter::query_once(&plan, source).await],
            Self::Cluster(source, plan) => vec![reporter::query_once(&plan, source).await],
            Self::Role(source, plan) => vec![reporter::query_once(&plan, source).await],
            Self::Names(plan) => plan.query_once().await,
            Self::Files(plan) => plan.query_once().await.into_iter().collect(),
        }
    }
}

/// Queries every configured reporter of `settings` once, resolves every name and reads every file,
/// all at the same time. Then asks the servers that the names resolve to: without their roles there
/// is no pair, and a pair that is not known at the start loses its saved state.
pub async fn query_once(settings: &Settings) -> Vec<DiscoveryEvent> {
    let mut events = query_all(plans(settings, &BTreeSet::new())).await;
    let mut discovered = Discovered::new(settings);
    for event in &events {
        if let DiscoveryEvent::Name(_) = event {
            discovered.handle(event.clone(), clock::now());
        }
    }
    let found = discovered.learned();
    if !found.is_empty() {
        events.extend(query_learned(settings, &found).await);
    }
    events
}

/// Reads every pair file of `settings` once, and says how they are. Blocks.
pub fn read_pair_files(settings: &Settings) -> FilesGroup {
    let mut discovered = Discovered::new(settings);
    if let Some(report) = FilesPlan::new(settings).read_once() {
        discovered.handle(DiscoveryEvent::Files(report), clock::now());
    }
    discovered.files()
}

/// The same for the reporters that were `learned` from those answers.
pub async fn query_learned(
    settings: &Settings,
    learned: &BTreeSet<SourceId>,
) -> Vec<DiscoveryEvent> {
    let mut plans = plans(settings, learned);
    plans.retain(|id, _| match id {
        TaskId::Reporter(source) => learned.contains(source),
        TaskId::Names(_) | TaskId::Files => false,
    });
    query_all(plans).await
}

async fn query_all(plans: BTreeMap<TaskId, Plan>) -> Vec<DiscoveryEvent> {
    let mut queries = JoinSet::new();
    for (_, plan) in plans {
        queries.spawn(plan.query_once());
    }
    queries.join_all().await.into_iter().flatten().collect()
}

fn plans(settings: &Settings, learned: &BTreeSet<SourceId>) -> BTreeMap<TaskId, Plan> {
    let mut plans = BTreeMap::new();
    add_sentinels(settings, &mut plans);
    add_clusters(settings, learned, &mut plans);
    add_names(settings, learned, &mut plans);
    if !settings.discovery.files.is_empty() {
        let plan = FilesPlan::new(settings);
        plans.insert(TaskId::Files, Plan::Files(plan));
    }
    plans
}

fn add_sentinels(settings: &Settings, plans: &mut BTreeMap<TaskId, Plan>) {
    for entry in &settings.sentinels {
        for sentinel in &entry.sentinels {
            let server = Arc::new(Topology::server(sentinel, &settings.datacenters));
            let source = SourceId {
                entry: entry.name.clone(),
                reporter: server.addr.clone(),
            };
            let plan = SentinelPlan {
                timeout: timeout(&server, &settings.poll),
                masters: entry.masters.clone(),
                server,
            };
            let id = TaskId::Reporter(source.clone());
            plans.insert(id, Plan::Sentinel(source, plan));
        }
    }
}

fn add_clusters(
    settings: &Settings,
    learned: &BTreeSet<SourceId>,
    plans: &mut BTreeMap<TaskId, Plan>,
) {
    for entry in &settings.clusters {
        for node in cluster_nodes(entry, learned) {
            let server = Arc::new(Topology::server(&node, &settings.datacenters));
            let source = SourceId {
                entry: entry.name.clone(),
                reporter: server.addr.clone(),
            };
            let plan = ClusterPlan {
                timeout: timeout(&server, &settings.poll),
                server,
            };
            let id = TaskId::Reporter(source.clone());
            plans.insert(id, Plan::Cluster(source, plan));
        }
    }
}

fn add_names(
    settings: &Settings,
    learned: &BTreeSet<SourceId>,
    plans: &mut BTreeMap<TaskId, Plan>,
) {
    for entry in &settings.discovery.dns {
        let plan = NamesPlan {
            entry: Arc::new(entry.clone()),
        };
        plans.insert(TaskId::Names(entry.name.clone()), Plan::Names(plan));
        for source in learned_of(learned, &entry.name) {
            let found = entry.servers.server(source.reporter.clone());
            let server = Arc::new(Topology::server(&found, &settings.datacenters));
            let plan = RolePlan {
                timeout: timeout(&server, &settings.poll),
                interval: entry.interval,
                server,
            };
            let id = TaskId::Reporter(source.clone());
            plans.insert(id, Plan::Role(source.clone(), plan));
        }
    }
}

/// The learned reporters of one entry: they are sorted by entry, and there may be thousands.
fn learned_of<'a>(
    learned: &'a BTreeSet<SourceId>,
    entry: &'a PairName,
) -> impl Iterator<Item = &'a SourceId> {
    let first = SourceId::first_of(entry);
    let from_first = learned.range(first..);
    from_first.take_while(move |source| source.entry == *entry)
}

/// The configured nodes of a cluster, and those of `learned` that belong to it.
fn cluster_nodes(entry: &ClusterSettings, learned: &BTreeSet<SourceId>) -> Vec<ServerSettings> {
    let mut nodes = entry.nodes.clone();
    for source in learned_of(learned, &entry.name) {
        nodes.push(entry.servers.server(source.reporter.clone()));
    }
    nodes
}

/// How long a reporter may take to answer.
fn timeout(server: &Server, settings: &PollSettings) -> Span {
    if server.local {
        settings.timeout_local
    } else {
        settings.timeout_remote
    }
}
