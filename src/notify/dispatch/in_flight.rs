//! Attempts in flight, each in a separate task: starts them and collects their results.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;

use super::gate::{AwaitingDurability, WriteAheadGate};
use super::sender::{self, SendOutcome};
use crate::http_client::HttpClient;
use crate::notify::attempt::Attempt;
use crate::notify::receivers::GroupConfig;

/// Requests at the gate that the dispatcher has not seen yet. Each receiver has at most one, and
/// its task waits.
const GATE_QUEUE: usize = 64;

/// All attempts in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    client: HttpClient,
    tasks: JoinSet<SendOutcome>,
    attempts: HashMap<Id, Attempt>,
    /// Attempts that could not even begin.
    refused: Vec<Attempt>,
    gate: mpsc::Sender<AwaitingDurability>,
    at_gate: mpsc::Receiver<AwaitingDurability>,
}

/// The end of an attempt.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) attempt: Attempt,
    pub(super) outcome: SendOutcome,
}

/// Something that happened to an attempt.
#[derive(Debug)]
pub(super) enum Progress {
    /// A request is ready to leave.
    AtGate(AwaitingDurability),
    /// An attempt has ended.
    Completed(Box<Completed>),
}

impl InFlight {
    pub(super) fn new(client: HttpClient) -> Self {
        let (gate, at_gate) = mpsc::channel(GATE_QUEUE);
        Self {
            client,
            tasks: JoinSet::new(),
            attempts: HashMap::new(),
            refused: Vec::new(),
            gate,
            at_gate,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty() && self.refused.is_empty()
    }

    /// Starts a task for `attempt`.
    pub(super) fn start(&mut self, config: Arc<GroupConfig>, attempt: Attempt) {
        let gate = WriteAheadGate::new(&attempt, self.gate.clone());
        let sending = sender::send(self.client.clone(), config, attempt.clone(), gate);
        let task = self.tasks.spawn(sending);
        self.attempts.insert(task.id(), attempt);
    }

    /// Ends an attempt to a receiver that has no configuration, so that its address is not known.
    pub(super) fn refuse(&mut self, attempt: Attempt) {
        self.refused.push(attempt);
    }

    /// Waits for the next progress of an attempt; forever while nothing is in flight.
    pub(super) async fn next(&mut self) -> Progress {
        if let Some(attempt) = self.refused.pop() {
            return completed(attempt, SendOutcome::unknown());
        }
        loop {
            tokio::select! {
                Some(request) = self.at_gate.recv() => return Progress::AtGate(request),
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    if let Some(progress) = self.task_ended(ended) {
                        return progress;
                    }
                }
            }
        }
    }

    fn task_ended(&mut self, ended: Result<(Id, SendOutcome), JoinError>) -> Option<Progress> {
        let (id, outcome) = match ended {
            Ok(ended) => ended,
            Err(broken) => {
                error!(error = %broken, "the task of a delivery failed: it is tried again");
                (broken.id(), SendOutcome::unknown())
            }
        };
        let attempt = self.attempts.remove(&id)?;
        Some(completed(attempt, outcome))
    }
}

fn completed(attempt: Attempt, outcome: SendOutcome) -> Progress {
    Progress::Completed(Box::new(Completed { attempt, outcome }))
}
