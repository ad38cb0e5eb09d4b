//! Attempts under way: a task each, and the gate that each passes before its request leaves.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tracing::error;

use crate::alert::{AlertStatus, GroupKey};
use crate::http_client::HttpClient;
use crate::notify::queue::{Attempt, Opening};

use super::courier::{self, ReceiverConfig, Sent};

/// Requests at the gate that the dispatcher has not seen yet; there is one a receiver at most, and
/// each waits.
const GATE_QUEUE: usize = 64;

/// All attempts under way.
#[derive(Debug)]
pub(super) struct Flights {
    client: HttpClient,
    tasks: JoinSet<Sent>,
    attempts: HashMap<Id, Attempt>,
    /// Attempts that cannot even begin.
    refused: Vec<Attempt>,
    gate: mpsc::Sender<Passage>,
    at_gate: mpsc::Receiver<Passage>,
}

/// The end of an attempt; without a result where its task broke.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) attempt: Attempt,
    pub(super) sent: Option<Sent>,
}

/// What comes back.
#[derive(Debug)]
pub(super) enum News {
    /// A request is ready to leave.
    AtGate(Passage),
    /// An attempt has ended.
    Landed(Box<Landed>),
}

/// A request that is ready to leave, and what it may open.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) receiver: Arc<str>,
    pub(super) group: GroupKey,
    pub(super) opening: Opening,
    open: oneshot::Sender<()>,
}

/// Where a request waits until what it may open is on the disk: what nobody remembers stays open
/// for ever.
#[derive(Debug)]
pub(in crate::notify) struct Gate {
    receiver: Arc<str>,
    group: GroupKey,
    status: AlertStatus,
    /// `None` where nothing is kept.
    passages: Option<mpsc::Sender<Passage>>,
}

impl Gate {
    /// A gate that stands open, for what no queue knows of: a test of a receiver.
    pub(in crate::notify) fn open(attempt: &Attempt) -> Self {
        let (receiver, group) = (
            Arc::clone(&attempt.notification.receiver),
            attempt.notification.group.clone(),
        );
        Self {
            receiver,
            group,
            status: attempt.notification.status,
            passages: None,
        }
    }

    /// Waits until the request may leave that opens `opening`. One that ends something opens
    /// nothing, and need not wait.
    pub(in crate::notify) async fn pass(self, opening: &Opening) {
        let Some(passages) = self.passages.filter(|_| self.status == AlertStatus::Firing) else {
            return;
        };
        let (open, opened) = oneshot::channel();
        let passage = Passage {
            receiver: self.receiver,
            group: self.group,
            opening: opening.clone(),
            open,
        };
        // Errors mean that the dispatcher is gone, and this task with it.
        if passages.send(passage).await.is_ok() {
            let _ = opened.await;
        }
    }
}

impl Passage {
    pub(super) fn open(self) {
        // The attempt may have been given up.
        let _ = self.open.send(());
    }
}

impl Flights {
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

    pub(super) fn start(&mut self, config: Arc<ReceiverConfig>, attempt: Attempt) {
        let gate = Gate {
            receiver: Arc::clone(&attempt.notification.receiver),
            group: attempt.notification.group.clone(),
            status: attempt.notification.status,
            passages: Some(self.gate.clone()),
        };
        let task = self.tasks.spawn(courier::send(
            self.client.clone(),
            config,
            attempt.clone(),
            gate,
        ));
        self.attempts.insert(task.id(), attempt);
    }

    /// An attempt to a receiver that nobody knows how to reach.
    pub(super) fn refuse(&mut self, attempt: Attempt) {
        self.refused.push(attempt);
    }

    /// The next thing that comes back; never, while nothing is under way.
    pub(super) async fn news(&mut self) -> News {
        if let Some(attempt) = self.refused.pop() {
            return News::Landed(Box::new(Landed {
                attempt,
                sent: None,
            }));
        }
        loop {
            tokio::select! {
                Some(passage) = self.at_gate.recv() => return News::AtGate(passage),
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    let (id, sent) = match ended {
                        Ok((id, sent)) => (id, Some(sent)),
                        Err(broken) => {
                            error!(error = %broken, "the task of a delivery broke: it is tried again");
                            (broken.id(), None)
                        }
                    };
                    if let Some(attempt) = self.attempts.remove(&id) {
                        return News::Landed(Box::new(Landed { attempt, sent }));
                    }
                }
            }
        }
    }
}
