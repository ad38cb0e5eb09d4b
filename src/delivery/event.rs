//! What delivery reports to the monitor.

use std::sync::Arc;

use super::{DeliveryFailure, SuppressReason};
use crate::model::{Span, Timestamp};

/// Something that happened to a receiver's notifications.
#[derive(Clone, Debug)]
pub struct DeliveryEvent {
    /// The receiver's name in the configuration.
    pub receiver: Arc<str>,
    /// What happened.
    pub kind: DeliveryEventKind,
    /// The receiver's queue after the event.
    pub queue: QueueState,
    /// The receiver's answer to a failed attempt, as bounded text without secrets:
    /// `HTTP 404 Not Found`.
    pub answer: Option<Arc<str>>,
}

/// What happened to one notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEventKind {
    /// The receiver accepted it.
    Delivered {
        /// From the decision to notify until the receiver's answer.
        latency: Span,
    },
    /// The receiver accepted one of several requests that the notification takes: the resolve of a
    /// group with several incidents.
    PartlyDelivered,
    /// An attempt failed.
    Failed {
        /// Why it failed.
        reason: DeliveryFailure,
        /// Whether it was the last attempt: the notification is a dead letter now.
        dead: bool,
    },
    /// It is not going to be sent, on purpose.
    Suppressed {
        /// Why it is not sent.
        reason: SuppressReason,
    },
    /// Only the queue changed.
    Queued,
}

/// A receiver's queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Notifications that are waiting or being sent.
    pub depth: usize,
    /// When the oldest of them was decided.
    pub oldest: Option<Timestamp>,
    /// Notifications given up since the start of the program.
    pub dead: u64,
    /// Nothing is sent before this, because the receiver answered that it is gone.
    pub circuit_until: Option<Timestamp>,
}
