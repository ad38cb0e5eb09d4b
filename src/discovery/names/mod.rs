//! The tasks for DNS names: one an entry resolves them, one a server that was found asks for its
//! role.

mod resolver;
mod role;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(super) use role::RolePlan;

use super::query_pace::jittered;
use crate::config::DnsSettings;
use crate::topology::{DiscoveryEvent, NameEvent};

/// How to resolve the names of one entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamesPlan {
    pub(super) entry: Arc<DnsSettings>,
}

impl NamesPlan {
    /// Resolves the names at every interval, until the receiver of the answers is dropped.
    pub(super) async fn run(self, events: mpsc::Sender<DiscoveryEvent>) {
        loop {
            let began = Instant::now();
            for event in self.query_once().await {
                if events.send(event).await.is_err() {
                    return; // the program is stopping
                }
            }
            let wait = jittered(self.entry.interval, fastrand::f64());
            sleep_until(began + wait.to_duration()).await;
        }
    }

    /// Resolves every name once, all at the same time.
    pub(super) async fn query_once(&self) -> Vec<DiscoveryEvent> {
        let mut queries = JoinSet::new();
        for name in &self.entry.names {
            let entry = Arc::clone(&self.entry);
            let name = name.clone();
            queries.spawn(async move {
                let result = resolver::resolve(&entry, &name).await;
                DiscoveryEvent::Name(NameEvent {
                    entry: entry.name.clone(),
                    name,
                    result,
                })
            });
        }
        queries.join_all().await
    }
}
