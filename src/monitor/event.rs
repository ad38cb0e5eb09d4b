//! The events that polling reports to the monitor. Those of delivery are in [`crate::delivery`].

use crate::info::Observation;
use crate::model::{HeartbeatError, PollFailure, RunId, ServerAddr, Span, Timestamp};
use crate::replication::{BufferAnswer, ReceivedHeartbeat};

/// An event of polling one server.
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
        /// The parsed reply.
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
    /// A heartbeat arrived at the server, or failed to.
    Heartbeat(HeartbeatEvent),
    /// The server, a master, was asked what it buffers for its replicas.
    OutputBuffers(Box<BufferAnswer>),
}

impl PollEvent {
    /// When it happened, for the kinds that carry a time.
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
    /// The server, a replica, delivered one.
    Arrived {
        /// The master that it was sent to, at the top of the replica's chain.
        top: ServerAddr,
        /// The heartbeat.
        beat: ReceivedHeartbeat,
    },
    /// The server, a replica, delivered one a second time, or after a later one.
    Repeated {
        /// The master that it was sent to.
        top: ServerAddr,
        /// The replica's process.
        replica: RunId,
    },
    /// The server takes no part in heartbeats, or not at the moment.
    Failed {
        /// Why.
        error: HeartbeatError,
    },
}
