//! Discovery: what Sentinels know of masters and replicas, asked for every second and whenever they
//! say that something happened.
//!
//! One task for each Sentinel of each entry of `sentinels`, so that none waits for another. What
//! they hear goes to the core as [`SentinelEvent`]s on a bounded channel;
//! [`Discovered`](crate::topology::Discovered) makes entries of it.

mod pace;
mod watcher;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use watcher::Watcher;

use crate::config::{MasterSelector, Settings};
use crate::model::{PairName, ServerAddr, Span};
use crate::topology::{SentinelEvent, Server, Topology};

/// A good capacity for the channel of events. A Sentinel that finds it full waits; it asks again
/// only afterwards.
pub const SENTINEL_QUEUE: usize = 256;

/// All discovery. Dropping it ends every task and closes every connection.
#[derive(Debug)]
pub struct Discovery {
    running: BTreeMap<(PairName, ServerAddr), (Plan, JoinSet<()>)>,
    events: mpsc::Sender<SentinelEvent>,
}

/// What one task needs to know. An equal plan goes on over a reload.
#[derive(Clone, Debug, PartialEq)]
struct Plan {
    entry: PairName,
    sentinel: Arc<Server>,
    masters: MasterSelector,
    timeout: Span,
}

impl Discovery {
    /// Starts asking every Sentinel of `settings`; what they answer is sent to `events`. Must be
    /// called within a tokio runtime.
    pub fn start(settings: &Settings, events: mpsc::Sender<SentinelEvent>) -> Self {
        let mut discovery = Self {
            running: BTreeMap::new(),
            events,
        };
        discovery.reload(settings);
        discovery
    }

    /// Goes over to other settings. Sentinels whose settings do not change keep their connections.
    pub fn reload(&mut self, settings: &Settings) {
        let plans = plans(settings);
        self.running
            .retain(|key, (plan, _)| plans.get(key) == Some(plan));
        for (key, plan) in plans {
            self.running.entry(key).or_insert_with(|| {
                let mut task = JoinSet::new();
                task.spawn(Watcher::new(plan.clone(), self.events.clone()).run());
                (plan, task)
            });
        }
    }

    /// Ends every task and waits until all connections are closed.
    pub async fn stop(&mut self) {
        for (_, task) in self.running.values_mut() {
            task.shutdown().await;
        }
    }
}

/// Asks every Sentinel of `settings` once, all at the same time.
pub async fn ask_once(settings: &Settings) -> Vec<SentinelEvent> {
    let mut questions = JoinSet::new();
    for plan in plans(settings).into_values() {
        questions.spawn(async move { watcher::ask_once(&plan).await });
    }
    questions.join_all().await
}

fn plans(settings: &Settings) -> BTreeMap<(PairName, ServerAddr), Plan> {
    let of_entry = settings
        .sentinels
        .iter()
        .flat_map(|entry| entry.sentinels.iter().map(move |server| (entry, server)));
    let plan = |(entry, server): (&crate::config::SentinelSettings, _)| {
        let sentinel = Arc::new(Topology::server(server, &settings.datacenters));
        let timeout = if sentinel.local {
            settings.poll.timeout_local
        } else {
            settings.poll.timeout_remote
        };
        let plan = Plan {
            entry: entry.name.clone(),
            sentinel,
            masters: entry.masters.clone(),
            timeout,
        };
        ((plan.entry.clone(), plan.sentinel.addr.clone()), plan)
    };
    of_entry.map(plan).collect()
}
