//! The one door for commands that change something: closed sets of commands, replies and refusals,
//! and a bounded queue to the core.
//!
//! The core stays the only owner of state. Callers (HTTP handlers, signal handlers) hold an
//! [`Admin`] handle and wait for the reply; the core takes one [`AdminRequest`] at a time and
//! answers it. A new command is a variant of [`AdminCommand`], one of [`AdminReply`], and their
//! arms in `app/core/commands.rs` (what it does) and `web/admin.rs` (its HTTP answer).

use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::alert::{NewSilence, SilenceError, SilenceId};
use crate::config::ConfigErrors;
use crate::monitor::OperationError;
use crate::notify::ReplayError;
use crate::operation::OperationNotice;
use crate::report::{ReloadReport, ReplayReport};

/// Requests that wait for the core; more are refused. People and scripts send them one at a time.
pub const QUEUE: usize = 4;

/// How long a caller waits for the core's reply. A reload of a large configuration takes some
/// tenths of a second; this is shorter than the HTTP server's limit for an answer (10 s), whose
/// sentence would not say what became of the command.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(8);

/// Something that changes the exporter's state.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminCommand {
    /// Load the configuration again and follow it.
    Reload,
    /// Send the dead letter with this id again.
    ReplayDelivery {
        /// Its id, as the API lists it.
        id: String,
    },
    /// Create a silence.
    AddSilence(NewSilence),
    /// End a silence now.
    ExpireSilence(SilenceId),
    /// Begin an audit of every pair.
    RunDoctor,
    /// Take note of what the controller of an operation reports.
    NoteOperation(Box<OperationNotice>),
}

/// The result of a command that was carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminReply {
    /// [`AdminCommand::Reload`]: what it changed.
    Reloaded(ReloadReport),
    /// [`AdminCommand::ReplayDelivery`]: what is sent again, and to which receiver.
    DeliveryReplayed(ReplayReport),
    /// [`AdminCommand::AddSilence`]: the id of the new silence.
    SilenceAdded(SilenceId),
    /// [`AdminCommand::ExpireSilence`]: the id of the ended silence.
    SilenceExpired(SilenceId),
    /// [`AdminCommand::RunDoctor`]: it has begun.
    DoctorBegan,
    /// [`AdminCommand::NoteOperation`]: it is shown, and quiets what it causes.
    OperationNoted,
}

/// Why a command was not carried out, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// [`QUEUE`] requests wait already.
    #[error("several requests are waiting already: try again")]
    Busy,
    /// The program is draining.
    #[error("the exporter is about to end: nothing is changed")]
    ShuttingDown,
    /// No reply within [`REPLY_TIMEOUT`]. The command stays in the queue.
    #[error(
        "the exporter has not answered within {} s: it may still do what was asked",
        REPLY_TIMEOUT.as_secs()
    )]
    NoReply,
    /// The new configuration has errors.
    #[error("the new configuration is refused; the old one stays in force:\n{0}")]
    Config(ConfigErrors),
    /// The dead letter cannot be sent again.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An audit is running already.
    #[error("an audit is running already: its findings will be at /api/v1/doctor")]
    DoctorRuns,
    /// The silence cannot be created or ended.
    #[error("nothing is silenced: {0}")]
    Silence(#[from] SilenceError),
    /// The operation is not taken note of.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// The answer to a command.
pub type AdminAnswer = Result<AdminReply, AdminError>;

/// A command on its way to the core, with the channel for its answer.
#[derive(Debug)]
pub struct AdminRequest {
    command: AdminCommand,
    reply: oneshot::Sender<AdminAnswer>,
}

/// Sends commands to the core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    requests: mpsc::Sender<AdminRequest>,
}

/// A handle, and the queue that the core serves.
pub fn channel() -> (Admin, mpsc::Receiver<AdminRequest>) {
    let (requests, queue) = mpsc::channel(QUEUE);
    (Admin { requests }, queue)
}

impl Admin {
    /// Sends `command` to the core and waits until it is carried out.
    ///
    /// # Errors
    /// [`AdminError`] when the core refused the command, or could not be reached.
    pub async fn ask(&self, command: AdminCommand) -> AdminAnswer {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(AdminRequest { command, reply })
            .map_err(|error| match error {
                TrySendError::Full(_) => AdminError::Busy,
                TrySendError::Closed(_) => AdminError::ShuttingDown,
            })?;
        match timeout(REPLY_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            // The core ended with the request in its queue.
            Ok(Err(_)) => Err(AdminError::ShuttingDown),
            Err(_) => Err(AdminError::NoReply),
        }
    }
}

impl AdminRequest {
    /// Carries out the command by `execute`, and answers the caller.
    pub fn serve(self, execute: impl FnOnce(AdminCommand) -> AdminAnswer) {
        let answer = execute(self.command);
        // The caller may have stopped waiting; what was done is in the log.
        drop(self.reply.send(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(id: &str) -> AdminCommand {
        AdminCommand::ReplayDelivery { id: id.to_owned() }
    }

    #[tokio::test]
    async fn a_command_is_answered_by_the_core() {
        let (admin, mut queue) = channel();
        let core = tokio::spawn(async move {
            let request = queue.recv().await.unwrap();
            request.serve(|command| {
                assert_eq!(command, replay("msg_1"));
                Err(ReplayError::Unknown.into())
            });
        });
        let answer = admin.ask(replay("msg_1")).await;
        assert_eq!(answer, Err(AdminError::Replay(ReplayError::Unknown)));
        core.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_is_refused_at_once_when_the_queue_is_full() {
        let (admin, _queue) = channel();
        let waiting: Vec<_> = (0..QUEUE)
            .map(|_| {
                let admin = admin.clone();
                tokio::spawn(async move { admin.ask(AdminCommand::Reload).await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(admin.ask(AdminCommand::Reload).await, Err(AdminError::Busy));
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Err(AdminError::NoReply));
        }
    }

    #[tokio::test]
    async fn callers_are_answered_when_the_core_ends() {
        let (admin, queue) = channel();
        let waiting = tokio::spawn({
            let admin = admin.clone();
            async move { admin.ask(AdminCommand::Reload).await }
        });
        tokio::task::yield_now().await;
        drop(queue);
        assert_eq!(waiting.await.unwrap(), Err(AdminError::ShuttingDown));
        assert_eq!(
            admin.ask(AdminCommand::Reload).await,
            Err(AdminError::ShuttingDown)
        );
    }
}
