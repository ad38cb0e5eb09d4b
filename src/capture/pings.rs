//! Whether a server has written nothing but PINGs since a copy of it was begun: it sends them to
//! its replicas, of which who copies it is one, and they move its offset.

use super::reading::{Reading, ReadingPlan};
use super::room_for;
use super::session::{Session, StreamRequest};
use crate::lost_writes::CannotBeHad;
use crate::model::{Bytes, ReplicationId, ReplicationOffset, ServerAddr, Span};
use crate::topology::Server;

/// The most that is looked through: a day of PINGs is a tenth of it.
const MOST: Bytes = Bytes::new(1024 * 1024);

/// A server, and a position in its stream.
pub(super) struct Since<'a> {
    pub(super) server: &'a Server,
    pub(super) announce: &'a ServerAddr,
    pub(super) history: &'a ReplicationId,
    pub(super) offset: ReplicationOffset,
    /// For a connection, and for each answer.
    pub(super) timeout: Span,
}

impl Since<'_> {
    /// The end of the server's stream, if nothing but its own PINGs stands between; `None` where a
    /// client wrote, where the stream no longer has it, or where it belongs to another history.
    ///
    /// # Errors
    /// The server gave no answer, or not its stream.
    pub(super) async fn end_of_pings(&self) -> Result<Option<ReplicationOffset>, CannotBeHad> {
        let mut session = Session::open(self.server, self.timeout).await?;
        let facts = session.info().await?;
        let replication = &facts.observation.replication;
        let Some(end) = replication.master_offset.value() else {
            return Ok(None);
        };
        let is_same = replication.replid.get() == Some(self.history);
        if !is_same || end < self.offset {
            return Ok(None);
        }
        let written = end.since(self.offset);
        if written == Bytes::ZERO {
            return Ok(Some(end));
        }
        let first = ReplicationOffset::new(self.offset.get() + 1);
        if written > MOST || !room_for(replication, first, written) {
            return Ok(None);
        }
        let request = StreamRequest {
            server: self.server,
            announce: self.announce,
            history: self.history,
            from: first,
            timeout: self.timeout,
        };
        let plan = ReadingPlan {
            shared: 0,
            wanted: written.get(),
            limit: MOST,
            assumed_database: None,
        };
        let mut reading = Reading::begin(request.open().await?, plan).await?;
        let is_nothing_else = reading.has_only_own_commands().await;
        Ok(is_nothing_else.then_some(end))
    }
}
