//! Notifications as the API and the page show them: waiting, delivered, given up.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::DeliveryFailure;
use crate::alert::{AlertStatus, GroupKey, Notification, NotifyReason};
use crate::config::Severity;
use crate::model::Timestamp;

/// The notification that a delivery carries, in brief. Part of what is saved on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliverySubject {
    /// The delivery's id, the same on every attempt.
    pub id: String,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The alert group.
    pub group: GroupKey,
    /// Whether the group fires or is resolved.
    pub status: AlertStatus,
    /// The group's severity.
    pub severity: Severity,
    /// Why the group is notified now.
    pub reason: NotifyReason,
    /// When that was decided.
    pub decided_at: Timestamp,
    /// Attempts made so far.
    pub attempts: u32,
}

impl DeliverySubject {
    /// Describes `notification`, which is delivered under `id` and was tried `attempts` times.
    pub fn new(id: String, notification: &Notification, attempts: u32) -> Self {
        Self {
            id,
            receiver: Arc::clone(&notification.receiver),
            group: notification.group.clone(),
            status: notification.status,
            severity: notification.severity,
            reason: notification.reason,
            decided_at: notification.decided_at,
            attempts,
        }
    }
}

/// A notification that is waiting or being sent.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingDelivery {
    /// The notification.
    pub subject: DeliverySubject,
    /// The earliest time of the next attempt; `None` while one is in flight.
    pub next_attempt: Option<Timestamp>,
}

/// A notification that was delivered or given up. Saved on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastDelivery {
    /// The notification.
    #[serde(flatten)]
    pub subject: DeliverySubject,
    /// When it was delivered or given up.
    pub at: Timestamp,
    /// Why it was given up; `None` when the receiver accepted it.
    pub failure: Option<DeliveryFailure>,
    /// The receiver's answer to the last failed attempt, as in
    /// [`DeliveryEvent::answer`](super::DeliveryEvent::answer).
    #[serde(default)]
    pub answer: Option<Arc<str>>,
}

/// A notification that was given up and can be replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadDelivery {
    /// The delivery and why it failed.
    pub delivery: PastDelivery,
    /// Whether the group has resolved since. A firing cannot be replayed then.
    pub over: bool,
}

/// All deliveries that are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deliveries {
    /// Waiting or in flight, by receiver.
    pub waiting: Vec<WaitingDelivery>,
    /// Delivered or given up, newest first.
    pub recent: Vec<Arc<PastDelivery>>,
    /// Given up and kept for a replay, newest first.
    pub dead_letters: Vec<DeadDelivery>,
}
