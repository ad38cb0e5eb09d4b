//! Discovery: queries the reporters of all discovery sources, every second and whenever they
//! announce an event.
//!
//! One task for each reporter of each entry, so that no reporter waits for another. Their answers
//! go to the core as [`DiscoveryEvent`]s on a bounded channel;
//! [`Discovered`](crate::topology::Discovered) turns them into entries. Sentinel is the only kind
//! of source so far.

mod query_pace;
mod sentinel;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use sentinel::SentinelPlan;

use crate::config::{PollSettings, Settings};
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
}

impl Discovery {
    /// Starts to query every reporter of `settings`; the answers are sent to `events`. Must be
    /// called within a tokio runtime.
    pub fn start(settings: &Settings, events: mpsc::Sender<DiscoveryEvent>) -> Self {
        let mut discovery = Self {
            running: BTreeMap::new(),
            events,
        };
        discovery.reload(settings);
        discovery
    }

    /// Applies other settings. Reporters whose settings do not change keep their connections.
    pub fn reload(&mut self, settings: &Settings) {
        let plans = plans(settings);
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
        }
    }

    /// Queries the reporter once, on a new connection.
    async fn query_once(self, source: SourceId) -> DiscoveryEvent {
        match self {
            Self::Sentinel(plan) => plan.query_once(source).await,
        }
    }
}

/// Queries every reporter of `settings` once, all at the same time.
pub async fn query_once(settings: &Settings) -> Vec<DiscoveryEvent> {
    let mut queries = JoinSet::new();
    for (source, plan) in plans(settings) {
        queries.spawn(plan.query_once(source));
    }
    queries.join_all().await
}

fn plans(settings: &Settings) -> BTreeMap<SourceId, Plan> {
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
    plans
}

/// How long a reporter may take to answer.
fn timeout(server: &Server, settings: &PollSettings) -> Span {
    if server.local {
        settings.timeout_local
    } else {
        settings.timeout_remote
    }
}
