//! What a server reports of its replication backlog: for how long it can still prove what was
//! written.

use super::super::trend::Trend;
use crate::info::{Observation, Role};
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

/// A server's backlog in its last answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BacklogFacts {
    /// `master_repl_offset`.
    pub(in crate::replication) end: Option<ReplicationOffset>,
    /// `repl_backlog_active`: whether it has a backlog.
    pub(in crate::replication) active: Option<bool>,
    /// `repl_backlog_first_byte_offset`, of an active backlog.
    pub(in crate::replication) first: Option<ReplicationOffset>,
    /// `repl_backlog_size`.
    pub(in crate::replication) size: Option<Bytes>,
    /// `repl_backlog_histlen`.
    pub(in crate::replication) used: Option<Bytes>,
    /// Since when, at the earliest, it has had no replica; `None` while it has one, and where it
    /// had none when it was first asked.
    pub(in crate::replication) lone_since: Option<Timestamp>,
    /// `repl-backlog-ttl`, where the exporter asks for it.
    pub(in crate::replication) ttl: Option<Span>,
    /// How its offset grows.
    pub(in crate::replication) writes: Trend,
    /// When the last poll was sent that showed a replica.
    pub(in crate::replication) replica_seen: Option<Timestamp>,
}

impl BacklogFacts {
    /// Records `repl-backlog-ttl`; an answer that lacks it changes nothing.
    pub fn set_ttl(&mut self, ttl: Option<Span>) {
        self.ttl = ttl.or(self.ttl);
    }

    /// Records an answer to a poll that was sent at `sent`.
    pub(super) fn observe(&mut self, seen: &Observation, sent: Timestamp, received: Timestamp) {
        let info = &seen.replication;
        if info.role.value() != Some(Role::Master) {
            *self = Self {
                ttl: self.ttl,
                ..Self::default()
            };
            return;
        }
        self.active = info.backlog.active.value();
        let is_active = self.active == Some(true);
        self.end = info.master_offset.value();
        self.first = info.backlog.first_byte.value().filter(|_| is_active);
        self.size = info.backlog.size.value();
        self.used = info.backlog.histlen.value();
        if let Some(end) = self.end {
            self.writes
                .observe(received, Bytes::new(end.get()), Span::from_secs(1));
        }
        match info.connected_replicas.value() {
            Some(0) => self.lone_since = self.lone_since.or(self.replica_seen),
            Some(_) => {
                self.lone_since = None;
                self.replica_seen = Some(sent);
            }
            None => {}
        }
    }
}
