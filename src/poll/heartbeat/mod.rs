//! Heartbeats: numbered messages that a master passes on through its replication stream, heard
//! where they come out.
//!
//! Off unless the configuration asks for them. One task sends to a master, one listens on each of
//! its replicas, all on connections of their own: no poll waits for them. What is heard goes to the
//! monitor on the channel of poll events. docs/lag.md, "Heartbeats", says what it proves.

mod beats;
mod listener;
mod outcome;
mod plan;
mod publisher;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use self::beats::Beats;
use self::listener::Listener;
use self::outcome::Outcome;
use self::plan::{Plan, plans};
use self::publisher::Publisher;
use super::report::Reporter;
use crate::config::PollSettings;
use crate::info::{Observation, ServerMode};
use crate::model::{HeartbeatError, RunId, ServerAddr, Span, stable_hash};
use crate::topology::Topology;

/// What every channel begins with: the pattern that an ACL has to allow.
const CHANNEL: &str = "__redis_cross_dc_exporter:";

/// How long a PUBLISH may stay unanswered before the connection is given up: as long as `CLIENT
/// PAUSE` and a busy master usually take, because the message is sent when they are over.
const MIN_PATIENCE: Span = Span::from_secs(10);

/// The same, in timeouts, for servers that are given much time.
const PATIENCE_FACTOR: f64 = 5.0;

/// All heartbeats. Dropping it ends every task and closes every connection.
#[derive(Debug, Default)]
pub(super) struct Heartbeats {
    running: BTreeMap<ServerAddr, (Plan, JoinSet<()>)>,
}

impl Heartbeats {
    /// Goes over to what `topology` asks for. What does not change goes on.
    pub(super) fn reload(
        &mut self,
        topology: &Topology,
        settings: &PollSettings,
        reporter: &Reporter,
    ) {
        let plans = plans(topology, settings);
        self.running
            .retain(|top, (plan, _)| plans.get(top) == Some(plan));
        for (top, plan) in plans {
            self.running.entry(top).or_insert_with(|| {
                let tasks = start(&plan, reporter);
                (plan, tasks)
            });
        }
    }

    /// Ends every task and waits until all connections are closed.
    pub(super) async fn stop(&mut self) {
        for (_, tasks) in self.running.values_mut() {
            tasks.shutdown().await;
        }
    }
}

fn start(plan: &Plan, reporter: &Reporter) -> JoinSet<()> {
    let Plan {
        top,
        timeout,
        interval,
        replicas,
    } = plan.clone();
    let channel = channel_of(&top.addr);
    let beats = Arc::<Mutex<Beats>>::default();
    let mut tasks = JoinSet::new();
    for (server, timeout) in replicas.into_values() {
        let outcome = Outcome::new(server.addr.clone(), reporter.clone());
        let (top, channel, beats) = (top.addr.clone(), Arc::clone(&channel), Arc::clone(&beats));
        tasks.spawn(
            Listener {
                server,
                top,
                timeout,
                interval,
                channel,
                beats,
                outcome,
            }
            .run(),
        );
    }
    let outcome = Outcome::new(top.addr.clone(), reporter.clone());
    tasks.spawn(
        Publisher {
            server: top,
            timeout,
            interval,
            channel,
            beats,
            outcome,
            carried: false,
        }
        .run(),
    );
    tasks
}

/// A channel for the heartbeats of the master `top` that no other one, and no other exporter, has.
fn channel_of(top: &ServerAddr) -> Arc<str> {
    let master = stable_hash([top.to_string().as_str()]);
    format!("{CHANNEL}{master:016x}{:016x}", fastrand::u64(..)).into()
}

fn patience(timeout: Span) -> Duration {
    MIN_PATIENCE
        .max(timeout.mul_f64(PATIENCE_FACTOR))
        .to_duration()
}

/// The process behind a connection, which has to be one of which heartbeats prove something.
fn settled(seen: &Observation) -> Result<RunId, HeartbeatError> {
    let server = &seen.server;
    match server.mode.value() {
        _ if !server.engine.counts_bytes() => Err(HeartbeatError::Unsupported),
        Some(ServerMode::Cluster) => Err(HeartbeatError::ClusterMode),
        Some(ServerMode::Standalone) => server.run_id.get().cloned().ok_or(HeartbeatError::NoRunId),
        Some(ServerMode::Sentinel) | None => Err(HeartbeatError::Unsupported),
    }
}
