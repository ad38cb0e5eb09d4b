//! What reaches the monitor from the rooms above it: the two back edges of the data flow.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertStatus, GroupKey, Notification, NotifyReason, Suppression};
use crate::config::Severity;
use crate::info::Observation;
use crate::model::{HeartbeatError, PollFailure, RunId, ServerAddr, Span, Timestamp};
use crate::replication::ReceivedHeartbeat;

/// What polling has to say about one server.
#[derive(Clone, Debug)]
pub struct PollEvent {
    /// The server.
    pub server: ServerAddr,
    /// What happened.
    pub kind: PollEventKind,
}

/// What happened to a poll or a connection.
#[derive(Clone, Debug)]
pub enum PollEventKind {
    /// A connection was made and is ready for commands (handshake and AUTH included).
    Connected {
        /// From the first packet to the ready connection.
        took: Span,
    },
    /// INFO was answered. A reply that comes after its timeout is reported like any other: it is
    /// evidence for `[sent, received]`.
    Answered {
        /// When the request was handed to the connection.
        sent: Timestamp,
        /// When the reply was complete.
        received: Timestamp,
        /// How much later than planned the poll began: the exporter's own lateness, not the
        /// server's. Never negative.
        late: Span,
        /// What it says.
        observation: Box<Observation>,
    },
    /// A poll failed: no connection, an error reply, or no answer within the timeout. After
    /// [`Timeout`](crate::model::PollError::Timeout) the answer may still come.
    Failed {
        /// When the poll began.
        began: Timestamp,
        /// When it was given up.
        at: Timestamp,
        /// How much later than planned the poll began: the exporter's own lateness, not the
        /// server's. Never negative.
        late: Span,
        /// Why.
        error: PollFailure,
    },
    /// A request is unanswered for longer than this server's answers ever take (100 ms or four
    /// times its smallest round trip, whichever is more), or a connection is not made within four
    /// times that. Sent once a poll, before its timeout.
    Overdue {
        /// When the request was handed to the connection, or the connection was begun.
        sent: Timestamp,
    },
    /// The schedule wanted a poll while the one before it was still unanswered. Counted, never
    /// queued.
    Skipped,
    /// A heartbeat came out of the server, or did not.
    Heartbeat(HeartbeatEvent),
}

impl PollEvent {
    /// When it was made, where it says so.
    pub const fn at(&self) -> Option<Timestamp> {
        match self.kind {
            PollEventKind::Answered { received, .. } => Some(received),
            PollEventKind::Failed { at, .. } => Some(at),
            _ => None,
        }
    }
}

/// What happened to heartbeats at one server.
#[derive(Clone, Debug)]
pub enum HeartbeatEvent {
    /// The server, a replica, let one out.
    Arrived {
        /// The master that it was sent to, at the top of the replica's chain.
        top: ServerAddr,
        /// The heartbeat.
        beat: ReceivedHeartbeat,
    },
    /// The server, a replica, let one out a second time, or after a later one.
    Repeated {
        /// The master that it was sent to.
        top: ServerAddr,
        /// The replica's process.
        replica: RunId,
    },
    /// The server does not take part, or not for the moment.
    Failed {
        /// Why.
        error: HeartbeatError,
    },
}

/// What delivery has to say about one receiver.
#[derive(Clone, Debug)]
pub struct DeliveryEvent {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// What happened.
    pub kind: DeliveryEventKind,
    /// The receiver's queue after it happened.
    pub queue: QueueState,
    /// What became of a failed attempt, in bounded words without secrets: `HTTP 404 Not Found`.
    pub answer: Option<Arc<str>>,
}

/// What happened to a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEventKind {
    /// The receiver took it.
    Delivered {
        /// From the decision to the receiver's answer.
        latency: Span,
    },
    /// An attempt failed; it is tried again, or is dead where `dead` says so.
    Failed {
        /// Why.
        reason: DeliveryFailure,
        /// Whether it will not be tried again.
        dead: bool,
    },
    /// It was not sent, on purpose.
    Suppressed {
        /// Why.
        reason: SuppressReason,
    },
    /// Only the queue changed.
    Queued,
}

/// A receiver's queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Notifications that wait or are on their way.
    pub depth: usize,
    /// When the oldest of them was decided.
    pub oldest: Option<Timestamp>,
    /// Notifications given up since the start.
    pub dead: u64,
    /// Until when nothing is sent, because the receiver said that it is gone.
    pub circuit_until: Option<Timestamp>,
}

/// What a notification is about, as it is shown and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliverySubject {
    /// Its name, the same on every attempt.
    pub id: String,
    /// To whom.
    pub receiver: Arc<str>,
    /// About which group.
    pub group: GroupKey,
    /// Whether the group fires.
    pub status: AlertStatus,
    /// The group's severity.
    pub severity: Severity,
    /// Why it is sent.
    pub reason: NotifyReason,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// How many times it was tried.
    pub attempts: u32,
}

impl DeliverySubject {
    /// What `notification` is about, under this name and after so many attempts.
    pub fn of(id: String, notification: &Notification, attempts: u32) -> Self {
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

/// A notification that waits or is under way, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingDelivery {
    /// What it is about.
    pub subject: DeliverySubject,
    /// When it is tried next, at the earliest; `None` while it is under way.
    pub next_attempt: Option<Timestamp>,
}

/// A notification of which nothing more is expected, as it is shown and kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastDelivery {
    /// What it was about.
    #[serde(flatten)]
    pub subject: DeliverySubject,
    /// When it came to its end.
    pub at: Timestamp,
    /// Why it was given up; `None` when the receiver took it.
    pub failure: Option<DeliveryFailure>,
    /// What the receiver answered then, as [`DeliveryEvent::answer`].
    #[serde(default)]
    pub answer: Option<Arc<str>>,
}

/// A notification that was given up, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadDelivery {
    /// What became of it.
    pub delivery: PastDelivery,
    /// Whether the group has resolved since: then it cannot be sent again.
    pub over: bool,
}

/// Everything about deliveries that is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deliveries {
    /// What waits or is under way, by receiver.
    pub waiting: Vec<WaitingDelivery>,
    /// What came to its end, newest first.
    pub recent: Vec<Arc<PastDelivery>>,
    /// What was given up, newest first.
    pub dead_letters: Vec<DeadDelivery>,
}

/// Why an attempt to deliver failed: a closed set, which is also the metric's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryFailure {
    /// No answer within the timeout.
    Timeout,
    /// No connection, a name that cannot be resolved, or a failed TLS handshake.
    Connect,
    /// 401 or 403: the credential is wrong.
    Auth,
    /// 429: too many requests.
    RateLimited,
    /// 3xx: never followed, it would hand the secret to somebody else.
    Redirect,
    /// Any other 4xx.
    Client,
    /// 5xx.
    Server,
    /// The secret's file cannot be read.
    Secret,
}

/// Why a notification was not sent, on purpose: a closed set, which is also the metric's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SuppressReason {
    /// A newer notification about the same group took its place before it was sent.
    Superseded,
    /// The group resolved before anybody had been told that it fires.
    NeverDelivered,
    /// The queue was full.
    QueueFull,
    /// A resolve was older than 24 hours.
    Expired,
    /// The receiver was no longer configured.
    Removed,
    /// A silence.
    Silenced,
    /// A maintenance window.
    Maintenance,
    /// Another alert explains it.
    Caused,
    /// The alert flaps.
    Flapping,
}

impl From<Suppression> for SuppressReason {
    fn from(why: Suppression) -> Self {
        match why {
            Suppression::Silenced => Self::Silenced,
            Suppression::Maintenance => Self::Maintenance,
            Suppression::Inhibited => Self::Caused,
            Suppression::Flapping => Self::Flapping,
        }
    }
}

impl DeliveryFailure {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Timeout,
        Self::Connect,
        Self::Auth,
        Self::RateLimited,
        Self::Redirect,
        Self::Client,
        Self::Server,
        Self::Secret,
    ];

    /// The reason's label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Auth => "authError",
            Self::RateLimited => "rateLimited",
            Self::Redirect => "redirect",
            Self::Client => "clientError",
            Self::Server => "serverError",
            Self::Secret => "secretUnreadable",
        }
    }
}

impl SuppressReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Superseded,
        Self::NeverDelivered,
        Self::QueueFull,
        Self::Expired,
        Self::Removed,
        Self::Silenced,
        Self::Maintenance,
        Self::Caused,
        Self::Flapping,
    ];

    /// The reason's label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::NeverDelivered => "neverDelivered",
            Self::QueueFull => "queueFull",
            Self::Expired => "expired",
            Self::Removed => "removed",
            Self::Silenced => "silenced",
            Self::Maintenance => "maintenance",
            Self::Caused => "caused",
            Self::Flapping => "flapping",
        }
    }
}
