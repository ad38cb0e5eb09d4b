//! A real `redis-server` (or Valkey, or Sentinel) on the loopback network, in a directory of its
//! own.

mod builder;
mod process;
mod spec;

use std::time::Duration;

use rustix::process::Signal;

use super::{Connection, LabError, Reply, eventually};
use crate::model::{Secret, ServerAddr};
pub use builder::{RedisServerBuilder, ServerTls};
use process::Process;
use spec::Spec;

/// How long [`RedisServer::shutdown`] waits: Redis itself waits up to 10 s for replicas that are
/// behind (`shutdown-timeout`, Redis 7.0).
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(15);

/// A server of the lab. On drop it is killed, reaped, and its directory removed.
#[derive(Debug)]
pub struct RedisServer {
    /// Declared before the directory inside `spec`: the process must end before its directory is
    /// removed.
    process: Option<Process>,
    spec: Spec,
}

impl RedisServer {
    /// Describes a server to start.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// Where the server listens; the same after a [`restart`](Self::restart).
    pub fn addr(&self) -> &ServerAddr {
        &self.spec.addr
    }

    /// Where the server speaks TLS, if it was built so.
    pub fn tls_addr(&self) -> Option<&ServerAddr> {
        self.spec.tls_addr.as_ref()
    }

    /// The default user's password, if one was set.
    pub fn password(&self) -> Option<&Secret> {
        self.spec.password.as_ref()
    }

    /// The server's process id; `None` after [`kill`](Self::kill) or [`shutdown`](Self::shutdown).
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether the process runs. A stopped process ([`stop`](Self::stop)) runs.
    pub fn is_running(&mut self) -> bool {
        match &mut self.process {
            Some(process) => process.ended().is_none(),
            None => false,
        }
    }

    /// Opens a connection as the default user.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the password.
    pub async fn connect(&self) -> Result<Connection, LabError> {
        Connection::open(self.addr(), self.password()).await
    }

    /// Sends one command on a new connection.
    ///
    /// # Errors
    /// When the server cannot be reached, or answers with an error.
    pub async fn command(&self, words: &[&str]) -> Result<Reply, LabError> {
        self.connect().await?.command(words).await
    }

    /// One field of a section of INFO, as the server spells it; `None` when the section has no such
    /// field.
    ///
    /// # Errors
    /// When the server cannot be reached, or answers with an error.
    pub async fn info_field(&self, section: &str, field: &str) -> Result<Option<String>, LabError> {
        let reply = self.command(&["INFO", section]).await?;
        let text = reply.text().unwrap_or_default();
        for line in text.lines() {
            if let Some((name, value)) = line.trim_end().split_once(':')
                && name == field
            {
                return Ok(Some(value.to_owned()));
            }
        }
        Ok(None)
    }

    /// Waits until the server is a replica whose link to its master is up.
    ///
    /// # Errors
    /// [`LabError::NotReached`] after `limit`, with the link's state.
    pub async fn wait_until_in_sync(&self, limit: Duration) -> Result<(), LabError> {
        let what = format!("the sync of the replica {}", self.addr());
        let link = || async {
            match self.info_field("replication", "master_link_status").await {
                Ok(Some(status)) if status == "up" => Ok(()),
                Ok(status) => Err(format!("master_link_status {status:?}")),
                Err(error) => Err(error.to_string()),
            }
        };
        eventually(&what, limit, link).await
    }

    /// Ends the process at once, as a crash or a power cut does (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Freezes the process (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`LabError::NotRunning`] when there is no process.
    pub fn stop(&mut self) -> Result<(), LabError> {
        self.running()?.signal(Signal::STOP)
    }

    /// Lets a stopped process go on (SIGCONT).
    ///
    /// # Errors
    /// [`LabError::NotRunning`] when there is no process.
    pub fn cont(&mut self) -> Result<(), LabError> {
        self.running()?.signal(Signal::CONT)
    }

    /// Ends the process in order (SIGTERM) and waits for it; a stopped process is continued first.
    /// When it has not ended within 15 s it is killed.
    ///
    /// # Errors
    /// [`LabError::NotRunning`] when there is no process, [`LabError::NotReached`] when it had to
    /// be killed.
    pub async fn shutdown(&mut self) -> Result<(), LabError> {
        let process = self.running()?;
        process.signal(Signal::CONT)?;
        process.signal(Signal::TERM)?;
        let result = process.wait_for_end(SHUTDOWN_LIMIT).await;
        self.process = None;
        result
    }

    /// Starts the server again on the same port with the same configuration; one that runs is
    /// killed first. It comes back empty, as a master with a new replication id unless it was built
    /// as a replica.
    ///
    /// # Errors
    /// As [`RedisServerBuilder::start`].
    pub async fn restart(&mut self) -> Result<(), LabError> {
        self.process = None;
        self.process = Some(Process::start(&self.spec).await?);
        Ok(())
    }

    /// The last lines of the server's log, for error messages; empty when there is none.
    pub fn log_tail(&self) -> String {
        process::log_tail(self.spec.directory.path())
    }

    fn running(&mut self) -> Result<&mut Process, LabError> {
        let port = self.spec.port;
        self.process.as_mut().ok_or(LabError::NotRunning { port })
    }
}

#[cfg(test)]
mod tests;
