//! Discovery: queries the reporters of all discovery sources, every second and whenever they
//! announce an event.
//!
//! One task for each reporter of each entry, so that no reporter waits for another. Their answers
//! go to the core as [`DiscoveryEvent`]s on a bounded channel;
//! [`Discovered`](crate::topology::Discovered) turns them into entries, and says which reporters the
//! answers have added to the configured ones.

mod cluster;
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
use sentinel::SentinelPlan;

use crate::config::{ClusterSettings, PollSettings, ServerSettings, Settings};
use crate::model::Span;
use crate::topology::{DiscoveryEvent, Server, SourceId, Topology};

/// A good capacity for the channel of events. A reporter's task that finds it full waits, and
/// queries the reporter again only afterwards.
pub const DISCOVERY_QUEUE: usize = 256;

/// All discovery. Dropping it ends every task and closes every connection.
#[derive(Debug)]
pub struct Discovery {
    running: BTreeMap<SourceId, (Plan, JoinSet<()>)>,
    events: mpsc::Sender<DiscoveryEvent>,
}

/// How to query one reporter, by the kind of its source. A task continues over a reload if its plan
/// stays equal.
#[derive(Clone, Debug, PartialEq)]
enum Plan {
    Sentinel(SentinelPlan),
    Cluster(ClusterPlan),
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

    /// Applies other settings, and other reporters that were learned. Reporters whose settings do not
    /// change keep their connections.
    pub fn reload(&mut self, settings: &Settings, learned: &BTreeSet<SourceId>) {
        let plans = plans(settings, learned);
        self.running
            .retain(|source, (plan, _)| plans.get(source) == Some(plan));
        for (source, plan) in plans {
            if !self.running.contains_key(&source) {
                let mut task = JoinSet::new();
                task.spawn(plan.clone().run(source.clone(), self.events.clone()));
                self.running.insert(source, (plan, task));
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
    /// Queries the reporter until the receiver of the answers is dropped.
    async fn run(self, source: SourceId, events: mpsc::Sender<DiscoveryEvent>) {
        match self {
            Self::Sentinel(plan) => plan.run(source, events).await,
            Self::Cluster(plan) => plan.run(source, events).await,
        }
    }

    /// Queries the reporter once, on a new connection.
    async fn query_once(self, source: SourceId) -> DiscoveryEvent {
        match self {
            Self::Sentinel(plan) => reporter::query_once(&plan, source).await,
            Self::Cluster(plan) => reporter::query_once(&plan, source).await,
        }
    }
}

/// Queries every configured reporter of `settings` once, all at the same time.
pub async fn query_once(settings: &Settings) -> Vec<DiscoveryEvent> {
    query_all(plans(settings, &BTreeSet::new())).await
}

/// The same for the reporters that were `learned` from those answers.
pub async fn query_learned(
    settings: &Settings,
    learned: &BTreeSet<SourceId>,
) -> Vec<DiscoveryEvent> {
    let mut plans = plans(settings, learned);
    plans.retain(|source, _| learned.contains(source));
    query_all(plans).await
}

async fn query_all(plans: BTreeMap<SourceId, Plan>) -> Vec<DiscoveryEvent> {
    let mut queries = JoinSet::new();
    for (source, plan) in plans {
        queries.spawn(plan.query_once(source));
    }
    queries.join_all().await
}

fn plans(settings: &Settings, learned: &BTreeSet<SourceId>) -> BTreeMap<SourceId, Plan> {
    let mut plans = BTreeMap::new();
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
            plans.insert(source, Plan::Sentinel(plan));
        }
    }
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
            plans.insert(source, Plan::Cluster(plan));
        }
    }
    plans
}

/// The configured nodes of a cluster, and those of `learned` that belong to it.
fn cluster_nodes(entry: &ClusterSettings, learned: &BTreeSet<SourceId>) -> Vec<ServerSettings> {
    let mut nodes = entry.nodes.clone();
    for source in learned.iter().filter(|source| source.entry == entry.name) {
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
