//! Saves the writes that only a deposed master has, as a file that can be replayed.
//!
//! The server is asked for its own stream from the first byte that nobody else has (PSYNC, which is
//! what a replica asks for): no fork, no file on its side, and nothing is written to it. What can
//! be wrong with that, and what is done about it:
//!
//! * A server that no longer holds that byte answers with a full sync, for which it forks: so INFO
//!   is asked first, and there has to be room for what it writes meanwhile.
//! * A reader counts as a replica for `min-replicas-to-write`: the room `fence` holds writes back.
//! * Sentinels remember a reader without an address as `ip:0`: it gives that of a known replica.

mod automatic;
mod board;
mod copy;
mod fence;
mod file;
mod folder;
mod other_side;
mod pings;
mod reading;
mod run;
mod session;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

pub use automatic::{AutomaticCapture, CAPTURE_QUEUE, CaptureEvent};
pub use copy::{CopyError, CopyRequest, StoredCopy, copy_server, stored_copies};
pub use folder::{StoredFile, mark_done, stored_files};

use crate::clock;
use crate::config::Credentials;
use crate::info::ReplicationInfo;
use crate::lost_writes::{
    AskedServer, CannotBeHad, LostWritesHeader, PromotedServer, TailState, room_before, tail_state,
};
use crate::model::{Bytes, PairName, ReplicationId, ReplicationOffset, Span, Timestamp};
use crate::topology::Server;
use fence::Fence;
use run::Capture;
use session::{ServerFacts, Session};

/// How much room a backlog needs before the first byte: what a server writes between two answers.
const LEAST_ROOM: Bytes = Bytes::new(16 * 1024);

/// How many times of what it wrote between two answers.
const ROOM_FACTOR: u64 = 10;

/// A deposed master, and the server that was promoted instead.
#[derive(Clone, Debug)]
pub struct CaptureTarget {
    /// The pair.
    pub pair: PairName,
    /// The server whose writes are read.
    pub deposed: Arc<Server>,
    /// The server that has not got them.
    pub promoted: Arc<Server>,
}

impl CaptureTarget {
    /// The same with the login of the operator, where there is one.
    #[must_use]
    pub fn with_login(&self, operator: &Credentials) -> Self {
        let with_login = |server: &Arc<Server>| {
            let mut server = Server::clone(server);
            server.credentials = operator.clone();
            Arc::new(server)
        };
        Self {
            pair: self.pair.clone(),
            deposed: with_login(&self.deposed),
            promoted: with_login(&self.promoted),
        }
    }
}

/// How to read, and where to.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// The folder of the file; without one, nothing is saved.
    pub folder: Option<PathBuf>,
    /// The most that is read.
    pub max_bytes: Bytes,
    /// For a connection, and for each answer.
    pub timeout: Span,
    /// For how long what comes after the first save is read, too; at most until the server becomes
    /// a replica. Only where a reader lets nothing through a fence.
    pub follow: Option<Span>,
    /// Whether to read a server that cannot be fenced and has `min-replicas-to-write`.
    pub unfenced: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Captured {
    /// The server has nothing alone.
    Nothing,
    /// It has these writes.
    Tail(Box<CapturedTail>),
}

/// The writes that only a deposed master has.
#[derive(Clone, Debug)]
pub struct CapturedTail {
    /// What they are.
    pub header: LostWritesHeader,
    /// The file with them; `None` where nothing was saved.
    pub file: Option<PathBuf>,
    /// Whether the file was there already.
    pub was_there: bool,
    /// Bytes that the server has written since they were read; `None` where that is not known.
    pub grown: Option<Bytes>,
    /// For how long its backlog holds them at the present rate of writes; `None` where it writes
    /// nothing, or that is not known.
    pub held_for: Option<Span>,
}

/// Reads the writes that only the deposed server of `target` has, and saves them. `saved` is called
/// whenever there is a new file or description.
///
/// # Errors
/// Why they cannot be had.
pub async fn capture(
    target: &CaptureTarget,
    options: &CaptureOptions,
    saved: impl Fn(&LostWritesHeader, &Path) + Send + Sync,
) -> Result<Captured, CannotBeHad> {
    let promoted = promoted_server(target, options.timeout).await?;
    let mut session = Session::open(&target.deposed, options.timeout).await?;
    let begun = clock::now();
    let facts = session.info().await?;
    let tail = match tail_state(&facts.observation, &promoted.cut) {
        TailState::Nothing => return Ok(Captured::Nothing),
        TailState::Readable(tail) => tail,
        TailState::Unreadable(why) => return Err(why),
    };
    let name = folder::file_name(&target.pair, &target.deposed.addr, &tail);
    if let Some(stored) = stored_before(options, &name, tail.last).await {
        return Ok(Captured::Tail(Box::new(stored)));
    }
    let first_offset = tail.last;
    let mut capture = Capture {
        target,
        options,
        promoted: &promoted,
        facts,
        name,
    };
    let mut fence = Fence::close(&mut session, &capture.facts, options.unfenced).await?;
    let result = capture.read(&mut session, &mut fence, saved).await;
    if fence.is_open {
        warn!(
            pair = %target.pair,
            server = %target.deposed.addr,
            "writes may have got through min-replicas-to-write while the stream was read"
        );
    }
    fence.release(&mut session).await;
    let mut captured = result?;
    if captured.header.commands_total == 0 {
        if captured.header.is_complete {
            return Ok(Captured::Nothing);
        }
        return Err(nothing_read(captured.header.missing));
    }
    let since = Sighting {
        offset: first_offset,
        at: begun,
    };
    note_growth(&mut captured, &mut session, since).await;
    Ok(Captured::Tail(Box::new(captured)))
}

/// Why there is no file although the server has bytes of its own.
fn nothing_read(missing: Option<String>) -> CannotBeHad {
    let missing = missing.unwrap_or_else(|| "they end inside a transaction".to_owned());
    CannotBeHad::Broken {
        why: format!("not one whole command of a client was read ({missing}): run this again"),
    }
}

/// What `server` answers to INFO.
pub async fn ask(server: &Server, timeout: Span) -> AskedServer {
    let asked = async { Session::open(server, timeout).await?.info().await };
    let answer = match asked.await {
        Ok(facts) => Ok(facts.observation),
        Err(why) => Err(why.cause()),
    };
    AskedServer {
        addr: server.addr.clone(),
        answer,
    }
}

/// The file of an earlier capture, if it has everything up to `last`.
async fn stored_before(
    options: &CaptureOptions,
    name: &str,
    last: ReplicationOffset,
) -> Option<CapturedTail> {
    let folder = options.folder.as_ref()?;
    let stored = folder::stored_file(folder, name).await?;
    if stored.header.last_offset < last.get() {
        return None;
    }
    Some(CapturedTail {
        header: stored.header,
        file: Some(stored.path),
        was_there: true,
        grown: Some(Bytes::ZERO),
        held_for: None,
    })
}

/// How far a server was at an instant.
#[derive(Clone, Copy)]
struct Sighting {
    offset: ReplicationOffset,
    at: Timestamp,
}

/// Asks the deposed server a last time: what it has written since, and how long its backlog holds
/// what was read.
async fn note_growth(captured: &mut CapturedTail, session: &mut Session, since: Sighting) {
    let Ok(facts) = session.info().await else {
        return;
    };
    let info = &facts.observation.replication;
    let same_history = info.replid.get().map(ReplicationId::as_str);
    let Some(offset) = info.master_offset.value() else {
        return;
    };
    if same_history != Some(captured.header.replication_id.as_str()) {
        return;
    }
    let read = ReplicationOffset::new(captured.header.last_offset);
    captured.grown = Some(offset.since(read));
    let first = ReplicationOffset::new(captured.header.first_offset);
    let written = offset.since(since.offset).as_f64();
    let per_second = written / (clock::now() - since.at).as_secs_f64();
    if let Some(room) = room_before(info, first)
        && per_second > 0.0
    {
        captured.held_for = Some(Span::from_secs_f64(room.as_f64() / per_second));
    }
}

/// The promoted server, and what it answered.
struct PromotedAnswer {
    cut: PromotedServer,
    facts: ServerFacts,
}

async fn promoted_server(
    target: &CaptureTarget,
    timeout: Span,
) -> Result<PromotedAnswer, CannotBeHad> {
    let server = &target.promoted;
    let asked = async { Session::open(server, timeout).await?.info().await };
    let facts = asked.await.map_err(|why| CannotBeHad::Broken {
        why: format!(
            "{}, the promoted server, is needed, too: {}",
            server.addr,
            why.cause()
        ),
    })?;
    match PromotedServer::new(&server.addr, &facts.observation) {
        Some(cut) => Ok(PromotedAnswer { cut, facts }),
        None => Err(CannotBeHad::Broken {
            why: format!(
                "{} is no promoted master any more: run this again",
                server.addr
            ),
        }),
    }
}

/// Whether a server that writes `written` bytes between two answers will still hold the byte at
/// `from` when it is asked for it.
fn room_for(info: &ReplicationInfo, from: ReplicationOffset, written: Bytes) -> bool {
    let holds = info.backlog.active.value() == Some(true)
        && info
            .backlog
            .first_byte
            .value()
            .is_some_and(|first| first <= from);
    let needed = written
        .get()
        .saturating_mul(ROOM_FACTOR)
        .max(LEAST_ROOM.get());
    holds && room_before(info, from).is_some_and(|room| room.get() >= needed)
}
