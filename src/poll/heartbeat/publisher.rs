//! The task that sends heartbeats to one master.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::timeout;

use super::super::server::observe;
use super::super::timer;
use super::outcome::Outcome;
use super::{Beats, patience, settled};
use crate::client::Connection;
use crate::clock;
use crate::info::{Observation, Role};
use crate::model::{HeartbeatError, PollError, RunId, Span, Timestamp};
use crate::topology::Server;

/// Sends numbers to one master, at its interval, as long as it is one.
pub(super) struct Publisher {
    pub(super) server: Arc<Server>,
    pub(super) timeout: Span,
    pub(super) interval: Span,
    pub(super) channel: Arc<str>,
    pub(super) beats: Arc<Mutex<Beats>>,
    pub(super) outcome: Outcome,
    /// Whether the connection has carried a heartbeat.
    pub(super) carried: bool,
}

impl Publisher {
    /// Sends until it is dropped.
    pub(super) async fn run(mut self) {
        // Masters that one exporter watches do not all write in the same moment.
        let mut next = clock::now() + self.interval.mul_f64(fastrand::f64());
        loop {
            let Err(error) = self.send_all(&mut next).await;
            // It may have been closed long ago (a restart, an idle timeout): that says nothing
            // about the server now.
            if std::mem::take(&mut self.carried)
                && error == HeartbeatError::Failed(PollError::Reset)
            {
                continue;
            }
            tokio::time::sleep(self.outcome.failed(error)).await;
        }
    }

    /// Connects and sends one number after the other, the first at `next`.
    async fn send_all(&mut self, next: &mut Timestamp) -> Result<Infallible, HeartbeatError> {
        timer::until(Some(*next)).await;
        let mut connection = Connection::connect(&self.server, self.timeout).await?;
        let reply = timeout(self.timeout.to_duration(), connection.fetch_info()).await;
        let seen = observe(&reply.map_err(|_| PollError::Timeout)??.text)?;
        self.lock_beats().begin(master_of(&seen)?);
        loop {
            let began = clock::now();
            let number = self.lock_beats().send(began).to_string();
            let answer = connection.publish(&self.channel, &number);
            timeout(patience(self.timeout), answer)
                .await
                .map_err(|_| PollError::Timeout)??;
            self.outcome.well();
            self.carried = true;
            // What a slow answer made late is not made up for: two numbers at once say no more than
            // one.
            *next = clock::now().max(*next + self.interval);
            timer::until(Some(*next)).await;
        }
    }

    fn lock_beats(&self) -> MutexGuard<'_, Beats> {
        // Every change to it is complete before anything could panic.
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process behind the connection, which has to be one whose stream carries heartbeats to its
/// replicas.
fn master_of(seen: &Observation) -> Result<RunId, HeartbeatError> {
    let life = settled(seen)?;
    if seen.replication.role.value() != Some(Role::Master) {
        return Err(HeartbeatError::NotMaster);
    }
    Ok(life)
}
