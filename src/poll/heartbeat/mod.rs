//! Heartbeats: numbered messages that are published to a master, pass through its replication
//! stream and are received from its replicas.
//!
//! Off by default. One task publishes to a master, one subscribes to each of its replicas, all on
//! separate connections: no poll waits for them. Received heartbeats go to the monitor on the
//! channel of poll events. docs/lag.md, "Heartbeats", explains what they prove.

mod plan;
mod publisher;
mod sent;
mod status;
mod subscriber;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use self::plan::{HeartbeatPlan, plans};
use self::publisher::Publisher;
use self::status::HeartbeatStatus;
use self::subscriber::Subscriber;
use super::report::Reporter;
use crate::config::PollSettings;
use crate::info::{Observation, ServerMode};
use crate::model::{HeartbeatError, RunId, ServerAddr, Span, stable_hash};
use crate::topology::Topology;

/// What every channel begins with: the pattern that an ACL has to allow.
const CHANNEL: &str = "__redis_cross_dc_exporter:";

/// How long a PUBLISH may stay unanswered before the connection is given up. `CLIENT PAUSE` and a
/// busy master usually take less, and the message passes when they are over.
const MIN_PATIENCE: Span = Span::from_secs(10);

/// The same, in timeouts, for servers with long timeouts.
const PATIENCE_FACTOR: f64 = 5.0;

/// All heartbeats. Dropping it ends every task and closes every connection.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    running: BTreeMap<ServerAddr, (HeartbeatPlan, JoinSet<()>)>,
}

impl Heartbeats {
    /// Starts and ends tasks so that they match `topology`. Unchanged ones keep running.
    pub(super) fn reload(
        &mut self,
        topology: &Topology,
        settings: &PollSettings,
        reporter: &Reporter,
        runtime: &Handle,
    ) {
        let plans = plans(topology, settings);
        self.running
            .retain(|top, (plan, _)| plans.get(top) == Some(plan));
        for (top, plan) in plans {
            if let Entry::Vacant(vacant) = self.running.entry(top) {
                let tasks = start(&plan, reporter, runtime);
                vacant.insert((plan, tasks));
            }
        }
    }

    /// Ends every task and waits until all connections are closed.
    pub(super) async fn stop(&mut self) {
        for (_, tasks) in self.running.values_mut() {
            tasks.shutdown().await;
        }
    }
}

/// Starts the tasks of one master: its publisher, and a subscriber for each replica.
fn start(plan: &HeartbeatPlan, reporter: &Reporter, runtime: &Handle) -> JoinSet<()> {
    let top = &plan.top;
    let publisher = Publisher {
        server: Arc::clone(top),
        timeout: plan.timeout,
        interval: plan.interval,
        channel: channel(&top.addr),
        sent: Arc::default(),
        status: HeartbeatStatus::new(top.addr.clone(), reporter.clone()),
        is_proven: false,
    };
    let mut tasks = JoinSet::new();
    for (server, timeout) in plan.replicas.values() {
        let subscriber = Subscriber {
            server: Arc::clone(server),
            top: top.addr.clone(),
            timeout: *timeout,
            interval: plan.interval,
            channel: Arc::clone(&publisher.channel),
            sent: Arc::clone(&publisher.sent),
            status: HeartbeatStatus::new(server.addr.clone(), reporter.clone()),
        };
        tasks.spawn_on(subscriber.run(), runtime);
    }
    tasks.spawn_on(publisher.run(), runtime);
    tasks
}

/// A channel name for the heartbeats of the master `top`, unique to it and to this exporter.
fn channel(top: &ServerAddr) -> Arc<str> {
    let master = stable_hash([top.to_string().as_str()]);
    format!("{CHANNEL}{master:016x}{:016x}", fastrand::u64(..)).into()
}

fn patience(timeout: Span) -> Duration {
    let patience = MIN_PATIENCE.max(timeout.mul_f64(PATIENCE_FACTOR));
    patience.to_duration()
}

/// The run ID of a server whose heartbeats prove something.
fn usable_run_id(seen: &Observation) -> Result<RunId, HeartbeatError> {
    let server = &seen.server;
    if !server.engine.counts_bytes() {
        return Err(HeartbeatError::Unsupported);
    }
    match server.mode.value() {
        Some(ServerMode::Cluster) => Err(HeartbeatError::ClusterMode),
        Some(ServerMode::Standalone) => {
            let run_id = server.run_id.get().cloned();
            run_id.ok_or(HeartbeatError::NoRunId)
        }
        Some(ServerMode::Sentinel) | None => Err(HeartbeatError::Unsupported),
    }
}
