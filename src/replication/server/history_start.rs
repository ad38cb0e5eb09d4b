//! From where on a server's current replication history can have been written.

use crate::info::Observation;
use crate::model::{ReplicationId, ReplicationOffset, RunId, Timestamp};

/// From where on a server's current replication history can have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryStart {
    /// It began after this: a poll that was sent then showed another history of the same server, or
    /// none.
    pub after: Timestamp,
    /// Every byte beyond this offset was written since.
    pub offset: ReplicationOffset,
    /// It likely began after this: later connections were refused, so no client could write. No
    /// proof, because something in between may have refused them.
    pub likely_after: Timestamp,
}

/// What a server showed of its replication history in one answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ShownHistory {
    replid: ReplicationId,
    has_backlog: bool,
    offset: ReplicationOffset,
    run_id: Option<RunId>,
    sent: Timestamp,
}

impl ShownHistory {
    /// What the answer to a poll of the instant `sent` shows; `None` where it lacks fields.
    pub(super) fn new(seen: &Observation, sent: Timestamp) -> Option<Self> {
        let info = &seen.replication;
        Some(Self {
            replid: info.replid.get()?.clone(),
            has_backlog: info.backlog.active.value()?,
            offset: info.master_offset.value()?,
            run_id: seen.server.run_id.get().cloned(),
            sent,
        })
    }

    /// The start of this history, if the answer `before` showed another one. `refused_at` is when a
    /// connection was last refused in between.
    ///
    /// Redis begins a history when its process starts, at a promotion, and when a master that had
    /// freed its backlog (`repl-backlog-ttl`) gets a replica again; in the last case it keeps its
    /// offset (`createReplicationBacklog`).
    pub(super) fn start_after(
        &self,
        before: &Self,
        refused_at: Option<Timestamp>,
    ) -> Option<HistoryStart> {
        let is_same = before.replid == self.replid
            && before.has_backlog == self.has_backlog
            && before.offset <= self.offset;
        if is_same {
            return None;
        }
        let keeps_offset =
            !before.has_backlog && before.run_id.is_some() && before.run_id == self.run_id;
        let offset = if keeps_offset {
            before.offset.min(self.offset)
        } else {
            ReplicationOffset::default()
        };
        let mut likely_after = before.sent;
        if let Some(refused) = refused_at {
            likely_after = likely_after.max(refused);
        }
        Some(HistoryStart {
            after: before.sent,
            offset,
            likely_after,
        })
    }
}
