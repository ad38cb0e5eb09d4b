//! What masters buffer for the replicas of their pairs.

use super::Pairs;
use crate::model::Span;
use crate::monitor::fleet::servers::{ServerEntry, Servers};
use crate::replication::BufferAnswer;

impl Pairs {
    /// The server answered what it buffers for its replicas; it is asked each `interval`.
    pub(in crate::monitor::fleet) fn buffers_answered(
        &mut self,
        server: &ServerEntry,
        servers: &Servers,
        answer: &BufferAnswer,
        interval: Span,
    ) {
        self.change(&server.as_master, |pair| {
            let sample = answer.about(pair.replica_identity(servers));
            pair.tracker.buffer_answered(sample, interval);
        });
    }
}
