//! The task that sends heartbeats to one master.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::timeout;

use super::super::server::observe;
use super::super::timer;
use super::sent::SentHeartbeats;
use super::status::HeartbeatStatus;
use super::{patience, usable_run_id};
use crate::client::Connection;
use crate::clock;
use crate::info::{Observation, Role};
use crate::model::{HeartbeatError, PollError, RunId, Span, Timestamp};
use crate::topology::Server;

/// Sends numbers to one server, at its interval, as long as it is a master.
pub(super) struct Publisher {
    pub(super) server: Arc<Server>,
    pub(super) timeout: Span,
    pub(super) interval: Span,
    pub(super) channel: Arc<str>,
    pub(super) sent: Arc<Mutex<SentHeartbeats>>,
    pub(super) status: HeartbeatStatus,
    /// Whether the connection has passed on a heartbeat.
    pub(super) is_proven: bool,
}

impl Publisher {
    /// Sends until it is dropped.
    pub(super) async fn run(mut self) {
        // The masters of one exporter do not all write at the same moment.
        let mut next = clock::now() + self.interval.mul_f64(fastrand::f64());
        loop {
            let Err(error) = self.send_all(&mut next).await;
            // A proven connection may have been closed long ago (a restart, an idle timeout), which
            // proves nothing about the server now.
            let was_proven = std::mem::take(&mut self.is_proven);
            if !was_proven || error != HeartbeatError::Failed(PollError::Reset) {
                tokio::time::sleep(self.status.failed(error)).await;
            }
        }
    }

    /// Connects and sends one number after the other, the first at `next`.
    async fn send_all(&mut self, next: &mut Timestamp) -> Result<Infallible, HeartbeatError> {
        timer::until(Some(*next)).await;
        let mut connection = Connection::connect(&self.server, self.timeout).await?;
        let run_id = self.query_run_id(&mut connection).await?;
        self.lock_sent().begin(run_id);
        loop {
            self.send_one(&mut connection).await?;
            self.status.succeeded();
            self.is_proven = true;
            // A slow answer is not made up for: two numbers at once prove no more than one.
            *next = clock::now().max(*next + self.interval);
            timer::until(Some(*next)).await;
        }
    }

    async fn query_run_id(&self, connection: &mut Connection) -> Result<RunId, HeartbeatError> {
        let info = timeout(self.timeout.to_duration(), connection.fetch_info()).await;
        let reply = info.map_err(|_| PollError::Timeout)??;
        let seen = observe(&reply.text)?;
        master_run_id(&seen)
    }

    async fn send_one(&self, connection: &mut Connection) -> Result<(), HeartbeatError> {
        let number = self.lock_sent().send(clock::now()).to_string();
        let answer = connection.publish(&self.channel, &number);
        let answered = timeout(patience(self.timeout), answer).await;
        answered.map_err(|_| PollError::Timeout)??;
        Ok(())
    }

    fn lock_sent(&self) -> MutexGuard<'_, SentHeartbeats> {
        // Every change is complete before anything could panic.
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run ID of a master, whose stream carries heartbeats to its replicas.
fn master_run_id(seen: &Observation) -> Result<RunId, HeartbeatError> {
    let run_id = usable_run_id(seen)?;
    if seen.replication.role.value() != Some(Role::Master) {
        return Err(HeartbeatError::NotMaster);
    }
    Ok(run_id)
}
