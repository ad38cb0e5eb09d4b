//! The tail of the promoted server: which keys both sides have changed.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::session::{Session, StreamRequest};
use super::{CaptureTarget, room_for};
use crate::lost_writes::{ConflictSearch, ConflictsOfFile, KeySet, PromotedServer};
use crate::model::{Bytes, Span};

/// The most that is read of the promoted server, which serves everybody: an old one copies what is
/// read into its own memory.
const MAX_BYTES: Bytes = Bytes::new(64 * 1024 * 1024);

/// For how long nothing may come.
const IDLE: Duration = Duration::from_secs(10);

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// The keys of `keys` that the promoted server has changed since.
pub(super) async fn conflicts(
    target: &CaptureTarget,
    promoted: &PromotedServer,
    keys: &KeySet,
    is_in_unknown_database: bool,
    limit: Span,
) -> ConflictsOfFile {
    if is_in_unknown_database {
        return ConflictsOfFile::unknown("the database of the first commands is not known");
    }
    match search(target, promoted, keys, limit).await {
        Ok(found) => found,
        Err(why) => ConflictsOfFile::unknown(why),
    }
}

async fn search(
    target: &CaptureTarget,
    promoted: &PromotedServer,
    keys: &KeySet,
    limit: Span,
) -> Result<ConflictsOfFile, String> {
    let server = &target.promoted;
    let addr = &server.addr;
    let mut session = Session::open(server, limit)
        .await
        .map_err(|why| why.cause())?;
    let facts = session.info().await.map_err(|why| why.cause())?;
    let now = PromotedServer::new(addr, &facts.observation);
    let Some(now) = now.filter(|now| now.continues == promoted.continues) else {
        return Err(format!("{addr} has another history by now"));
    };
    let info = &facts.observation.replication;
    let Some(last) = info.master_offset.value() else {
        return Err(format!("{addr} does not show its offset"));
    };
    let length = last
        .get()
        .saturating_add(1)
        .saturating_sub(now.first_own.get());
    if length == 0 {
        let nothing = ConflictSearch::new(keys, 0);
        return Ok(ConflictsOfFile::from_found(nothing.finish()));
    }
    if Bytes::new(length) > MAX_BYTES {
        return Err(format!(
            "{addr} has written {} since, more than the {MAX_BYTES} that are read of it",
            Bytes::new(length)
        ));
    }
    if facts.details.good_replicas.get().is_some() {
        return Err(format!(
            "{addr} has min-replicas-to-write, for which a reader would count as a replica"
        ));
    }
    if !room_for(info, now.first_own, Bytes::ZERO) {
        return Err(format!(
            "the backlog of {addr} no longer reaches back to its promotion"
        ));
    }
    let request = StreamRequest {
        server,
        announce: &target.deposed.addr,
        history: &now.history,
        from: now.first_own,
        timeout: limit,
    };
    let mut stream = request.open().await.map_err(|why| why.cause())?;
    let mut search = ConflictSearch::new(keys, usize::try_from(length).unwrap_or(usize::MAX));
    let mut piece = vec![0; PIECE];
    let mut read = 0;
    while read < length {
        let count = match timeout(IDLE, stream.read(&mut piece)).await {
            Ok(Ok(count)) if count > 0 => count,
            _ => return Err(format!("{addr} ended the connection or fell silent")),
        };
        read += count as u64;
        let came = piece.get(..count).unwrap_or_default();
        search
            .feed(came)
            .map_err(|error| format!("{addr}: {error}"))?;
    }
    Ok(ConflictsOfFile::from_found(search.finish()))
}
