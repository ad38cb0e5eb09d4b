//! The write-ahead gate: no request leaves before the incident that it may open is on the disk. An
//! incident that is not on the disk is forgotten by a restart and would stay open forever.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::alert::{AlertStatus, GroupKey};
use crate::notify::attempt::Attempt;
use crate::notify::incident::IncidentRef;

/// Where a request waits until the incident that it may open is durable.
#[derive(Debug)]
pub(in crate::notify) struct WriteAheadGate {
    receiver: Arc<str>,
    group: GroupKey,
    status: AlertStatus,
    /// `None` where the gate is always open.
    waiting: Option<mpsc::Sender<AwaitingDurability>>,
}

/// A request that is ready to leave.
#[derive(Debug)]
pub(super) struct AwaitingDurability {
    /// The receiver's name.
    pub(super) receiver: Arc<str>,
    /// The alert group.
    pub(super) group: GroupKey,
    /// The incident that the request may open.
    pub(super) incident: IncidentRef,
    release: oneshot::Sender<()>,
}

impl WriteAheadGate {
    /// The gate of `attempt`. Its request is announced on `waiting`.
    pub(super) fn new(attempt: &Attempt, waiting: mpsc::Sender<AwaitingDurability>) -> Self {
        Self {
            waiting: Some(waiting),
            ..Self::open(attempt)
        }
    }

    /// A gate that is always open, for what is not queued: a test of a receiver.
    pub(in crate::notify) fn open(attempt: &Attempt) -> Self {
        let notification = &attempt.notification;
        Self {
            receiver: Arc::clone(&notification.receiver),
            group: notification.group.clone(),
            status: notification.status,
            waiting: None,
        }
    }

    /// Waits until the request that may open `incident` may leave. A resolve opens nothing and need
    /// not wait.
    pub(super) async fn acquire(self, incident: IncidentRef) {
        let Some(waiting) = self.waiting else {
            return;
        };
        if self.status == AlertStatus::Resolved {
            return;
        }
        let (release, released) = oneshot::channel();
        let request = AwaitingDurability {
            receiver: self.receiver,
            group: self.group,
            incident,
            release,
        };
        if waiting.send(request).await.is_ok() {
            // An error means that the dispatcher is gone, and this task with it.
            let _ = released.await;
        }
    }
}

impl AwaitingDurability {
    /// Lets the request leave.
    pub(super) fn release(self) {
        // An error means that the attempt's task is gone; its end is reported anyway.
        let _ = self.release.send(());
    }
}
