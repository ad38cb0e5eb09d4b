//! A whole copy of a server in an RDB file, for what no backlog can give any more. The server forks
//! for it once, as for a replica's full sync, and writes nothing on its own disk if it syncs
//! disklessly.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::timeout;

use super::file::{PendingFile, blocking, sha256_of, write_whole};
use super::folder::safe;
use super::pings::Since;
use super::session::Session;
use crate::client::{Command, Value};
use crate::clock;
use crate::model::{Bytes, PairName, ReplicationId, ReplicationOffset, ServerAddr, Span};
use crate::topology::Server;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// How much is collected before it is written.
const BLOCK: usize = 512 * 1024;

/// How long the server may take to begin: it waits for further replicas
/// (`repl-diskless-sync-delay`), and for a save that is under way.
const BEGIN_WITHIN: Duration = Duration::from_mins(10);

/// For how long nothing may come. A server that saves to its disk first sends a newline each
/// second.
const IDLE: Duration = Duration::from_mins(1);

/// The longest line before the data: `$EOF:` and a mark.
const MAX_LINE: u64 = 100;

/// The mark at the end of a diskless sync, in bytes.
const MARK: usize = 40;

/// What every RDB file begins with, and what those of Valkey 9 do.
const MAGICS: [&[u8]; 2] = [b"REDIS", b"VALKEY"];

/// The longest description of a copy.
const MAX_HEADER_BYTES: u64 = 64 * 1024;

/// The most copies that are looked through.
const MAX_COPIES: usize = 500;

/// How descriptions of copies end.
const HEADER_END: &str = ".rdb.json";

/// What to copy, and where to.
#[derive(Clone, Copy, Debug)]
pub struct CopyRequest<'a> {
    /// The pair that the server belongs to.
    pub pair: &'a PairName,
    /// The server.
    pub server: &'a Server,
    /// A replica that everybody knows, whose address is given to the server as that of the reader.
    pub announce: &'a ServerAddr,
    /// The folder of the file, which is made if it is missing.
    pub folder: &'a Path,
    /// For a connection, and for each answer but the data.
    pub timeout: Span,
}

/// The description of a copy, in a file beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CopyHeader {
    /// The pair.
    pub pair: String,
    /// The server: `host:port`.
    pub server: String,
    /// The history that the server had.
    pub replication_id: String,
    /// The end of its stream: all of it is in the copy but PINGs of its own, and nothing behind it.
    pub offset: u64,
    /// When it was made, in Unix seconds.
    pub copied_timestamp: f64,
    /// The file's name.
    pub file: String,
    /// Its size.
    pub file_bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// A copy in the folder.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCopy {
    /// The RDB file.
    pub path: PathBuf,
    /// Its description.
    pub header: CopyHeader,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is no connection, or no answer.
    #[error("{0}")]
    Server(String),
    /// The data ended early, or are none.
    #[error("the copy is not whole: {0}")]
    Broken(String),
    /// The file cannot be written.
    #[error("{} cannot be written: {cause}", path.display())]
    NotWritten {
        /// Where.
        path: PathBuf,
        /// The operating system's error.
        cause: io::Error,
    },
}

impl StoredCopy {
    /// Whether the file is what its description says, byte for byte.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn is_intact(&self) -> io::Result<bool> {
        Ok(sha256_of(&self.path).await? == self.header.sha256)
    }
}

/// Where a copy stands in the stream of its server.
struct Position {
    replication_id: String,
    offset: u64,
}

/// How the data end.
enum End {
    /// After this many bytes.
    Length(u64),
    /// With this mark, which is not a part of them.
    Mark(Vec<u8>),
}

/// Copies a server. `progress` is told how much is written so far.
///
/// # Errors
/// [`CopyError`]; then nothing is left in the folder.
pub async fn copy_server(
    request: CopyRequest<'_>,
    progress: impl FnMut(Bytes),
) -> Result<StoredCopy, CopyError> {
    let CopyRequest {
        pair,
        server,
        folder,
        ..
    } = request;
    let (mut position, mut stream) = begin(request).await?;
    let end = read_end(&mut stream).await?;
    let history = position.replication_id.get(..8).unwrap_or_default();
    let name = format!(
        "{}-{}-{history}-{}.rdb",
        safe(pair.as_str()),
        safe(&server.addr.to_string()),
        position.offset
    );
    let not_written = |cause: io::Error| CopyError::NotWritten {
        path: folder.join(&name),
        cause,
    };
    let file = PendingFile::create(folder, &name)
        .await
        .map_err(not_written)?;
    let mut writing = Writing {
        file: Some(file),
        block: Vec::with_capacity(BLOCK),
        written: 0,
        progress,
    };
    match end {
        End::Length(length) => read_length(&mut stream, length, &mut writing).await?,
        End::Mark(mark) => read_to_mark(&mut stream, &mark, &mut writing).await?,
    }
    let file = writing.finish().await.map_err(not_written)?;
    let finished = file.finish().await.map_err(not_written)?;
    // The server sends PINGs to whom it takes for a replica as long as the connection is open.
    drop(stream);
    pass_pings(request, &mut position).await;
    let header = CopyHeader {
        pair: pair.to_string(),
        server: server.addr.to_string(),
        replication_id: position.replication_id,
        offset: position.offset,
        copied_timestamp: clock::wall_now().as_secs_f64(),
        file: name.clone(),
        file_bytes: finished.bytes,
        sha256: finished.sha256(),
    };
    let text = serde_json::to_string_pretty(&header).map_err(|error| not_written(error.into()))?;
    let described = write_whole(folder, &format!("{name}.json"), text + "\n").await;
    described.map_err(not_written)?;
    Ok(StoredCopy {
        path: finished.path,
        header,
    })
}

/// Asks for a full sync of the data alone: where it stands, and the stream.
async fn begin(
    request: CopyRequest<'_>,
) -> Result<(Position, BufReader<impl AsyncRead + Unpin>), CopyError> {
    let opened = Session::open(request.server, request.timeout).await;
    let mut session = opened.map_err(|why| CopyError::Server(why.cause()))?;
    let announced = session.announce(request.announce).await;
    announced.map_err(|why| CopyError::Server(why.cause()))?;
    for words in [["REPLCONF", "capa", "eof"], ["REPLCONF", "rdb-only", "1"]] {
        let answer = session.request(&words).await;
        // Servers that know no `rdb-only` (before 6.2) send their stream afterwards, which is not
        // read.
        if let Err(reason) = answer
            && reason != crate::model::PollError::Protocol
        {
            let sentence = reason.sentence();
            return Err(CopyError::Server(format!(
                "REPLCONF failed: the server {sentence} (it needs the ACL rule +replconf)"
            )));
        }
    }
    let mut psync = Command::new();
    psync.arg(&["PSYNC", "?", "-1"]);
    let asked = timeout(BEGIN_WITHIN, session.connection.into_stream(&psync)).await;
    let (reply, stream) = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => {
            let sentence = failure.sentence("the server");
            return Err(CopyError::Server(format!(
                "PSYNC failed: {sentence} (it needs the ACL rule +psync)"
            )));
        }
        Err(_) => {
            return Err(CopyError::Server(
                "it did not begin to send its data within ten minutes".to_owned(),
            ));
        }
    };
    let position = position(&reply).ok_or_else(|| {
        CopyError::Server("it answered PSYNC with something else than a full sync".to_owned())
    })?;
    Ok((position, BufReader::with_capacity(PIECE, stream)))
}

/// Moves the position to the end of the server's stream, if nothing but PINGs stands between. What
/// a client wrote meanwhile is not in the copy, and the position stays; so it does where nobody can
/// say, and the copy counts only if the offset has not moved.
async fn pass_pings(request: CopyRequest<'_>, position: &mut Position) {
    let Some(history) = ReplicationId::parse(&position.replication_id) else {
        return;
    };
    let since = Since {
        server: request.server,
        announce: request.announce,
        history: &history,
        offset: ReplicationOffset::new(position.offset),
        timeout: request.timeout,
    };
    if let Ok(Some(end)) = since.end_of_pings().await {
        position.offset = end.get();
    }
}

/// `FULLRESYNC replid offset`.
fn position(reply: &Value) -> Option<Position> {
    let Value::SimpleString(line) = reply else {
        return None;
    };
    let mut words = line.split(' ');
    if words.next()? != "FULLRESYNC" {
        return None;
    }
    Some(Position {
        replication_id: words.next()?.to_owned(),
        offset: words.next()?.parse().ok()?,
    })
}

/// The line before the data, behind newlines that only keep the connection alive.
async fn read_end<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<End, CopyError> {
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut *stream).take(MAX_LINE);
        let read = timeout(IDLE, limited.read_until(b'\n', &mut line)).await;
        match read {
            Ok(Ok(0)) => return Err(broken("the server ended the connection")),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(broken(&error.to_string())),
            Err(_) => return Err(broken("nothing came for a minute")),
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if let Some(mark) = text.strip_prefix(b"$EOF:")
            && mark.len() == MARK
        {
            return Ok(End::Mark(mark.to_vec()));
        }
        let length = text
            .strip_prefix(b"$")
            .and_then(|digits| std::str::from_utf8(digits).ok());
        return match length.and_then(|digits| digits.parse().ok()) {
            Some(length) => Ok(End::Length(length)),
            None => Err(broken(&format!(
                "the server sent {:?} where the size of its data belongs",
                String::from_utf8_lossy(text)
            ))),
        };
    }
}

async fn read_length<S: AsyncRead + Unpin, P: FnMut(Bytes)>(
    stream: &mut BufReader<S>,
    length: u64,
    writing: &mut Writing<P>,
) -> Result<(), CopyError> {
    let mut left = length;
    while left > 0 {
        let piece = next_piece(stream).await?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let part = piece.get(..count).unwrap_or_default().to_vec();
        stream.consume(count);
        left -= count as u64;
        writing.add(&part).await?;
    }
    Ok(())
}

async fn read_to_mark<S: AsyncRead + Unpin, P: FnMut(Bytes)>(
    stream: &mut BufReader<S>,
    mark: &[u8],
    writing: &mut Writing<P>,
) -> Result<(), CopyError> {
    let finder = Finder::new(mark);
    // What may be the beginning of the mark is held back.
    let mut held: Vec<u8> = Vec::new();
    loop {
        let piece = next_piece(stream).await?;
        let count = piece.len();
        held.extend_from_slice(piece);
        stream.consume(count);
        if let Some(at) = finder.find(&held) {
            held.truncate(at);
            return writing.add(&held).await;
        }
        let certain = held.len().saturating_sub(mark.len() - 1);
        let rest = held.split_off(certain);
        writing.add(&held).await?;
        held = rest;
    }
}

async fn next_piece<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<&[u8], CopyError> {
    match timeout(IDLE, stream.fill_buf()).await {
        Ok(Ok([])) => Err(broken("the server ended the connection")),
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) => Err(broken(&error.to_string())),
        Err(_) => Err(broken("nothing came for a minute")),
    }
}

fn broken(why: &str) -> CopyError {
    CopyError::Broken(why.to_owned())
}

/// The file while it is written.
struct Writing<P> {
    file: Option<PendingFile>,
    /// What is in no file yet.
    block: Vec<u8>,
    written: u64,
    progress: P,
}

impl<P: FnMut(Bytes)> Writing<P> {
    async fn add(&mut self, part: &[u8]) -> Result<(), CopyError> {
        if self.written == 0 && self.block.is_empty() && !begins_as_rdb(part) {
            return Err(broken("the data do not begin as an RDB file does"));
        }
        self.block.extend_from_slice(part);
        if self.block.len() < BLOCK {
            return Ok(());
        }
        let written = self.write().await;
        written.map_err(|cause| CopyError::NotWritten {
            path: PathBuf::from("the copy"),
            cause,
        })
    }

    async fn write(&mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Err(io::Error::other("an earlier part could not be written"));
        };
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.written += block.len() as u64;
        self.file = Some(file.append(block).await?);
        (self.progress)(Bytes::new(self.written));
        Ok(())
    }

    async fn finish(mut self) -> io::Result<PendingFile> {
        self.write().await?;
        self.file
            .ok_or_else(|| io::Error::other("there is no file"))
    }
}

/// Whether the first piece of the data is that of an RDB file. A piece that is shorter than the
/// magic word counts as far as it goes.
fn begins_as_rdb(piece: &[u8]) -> bool {
    let fits = |magic: &&[u8]| {
        let length = magic.len().min(piece.len());
        magic.get(..length) == piece.get(..length)
    };
    MAGICS.iter().any(fits)
}

/// Every copy in `folder` whose description can be read. A folder that is missing has none.
///
/// # Errors
/// The folder cannot be read.
pub async fn stored_copies(folder: &Path) -> io::Result<Vec<StoredCopy>> {
    let folder = folder.to_owned();
    blocking(move || list(&folder)).await
}

fn list(folder: &Path) -> io::Result<Vec<StoredCopy>> {
    let folder = std::path::absolute(folder)?;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let is_description = entry.file_name().to_string_lossy().ends_with(HEADER_END);
        if is_description && found.len() < MAX_COPIES {
            found.extend(stored(&path));
        }
    }
    Ok(found)
}

fn stored(description: &Path) -> Option<StoredCopy> {
    let mut text = String::new();
    let file = std::fs::File::open(description).ok()?;
    io::Read::read_to_string(&mut io::Read::take(file, MAX_HEADER_BYTES), &mut text).ok()?;
    let header: CopyHeader = serde_json::from_str(&text).ok()?;
    let path = description
        .parent()?
        .join(Path::new(&header.file).file_name()?);
    path.is_file().then_some(StoredCopy { path, header })
}

#[cfg(test)]
mod tests {
    use super::*;

    const THE_MARK: &str = "0123456789abcdef0123456789abcdef01234567";

    /// Reads what a server sends, cut into pieces of `size` bytes: what is in the file.
    async fn copied(sent: &[u8], size: usize) -> Result<Vec<u8>, CopyError> {
        let folder = tempfile::tempdir().unwrap();
        let (near, mut far) = tokio::io::duplex(size);
        let sent = sent.to_vec();
        let sending = tokio::spawn(async move {
            // The reader may have gone.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut far, &sent).await;
        });
        let mut stream = BufReader::with_capacity(size, near);
        let file = PendingFile::create(folder.path(), "x.rdb").await.unwrap();
        let mut writing = Writing {
            file: Some(file),
            block: Vec::new(),
            written: 0,
            progress: |_| {},
        };
        match read_end(&mut stream).await? {
            End::Length(length) => read_length(&mut stream, length, &mut writing).await?,
            End::Mark(mark) => read_to_mark(&mut stream, &mark, &mut writing).await?,
        }
        drop(stream);
        let file = writing.finish().await.unwrap().finish().await.unwrap();
        sending.await.unwrap();
        Ok(std::fs::read(file.path).unwrap())
    }

    #[tokio::test]
    async fn the_data_are_the_same_however_they_are_cut() {
        let data = "REDIS0011 and then 0123456789abcdef0123 and so on";
        let marked = format!("\n\n$EOF:{THE_MARK}\r\n{data}{THE_MARK}*1\r\n$4\r\nPING\r\n");
        let counted = format!("\n${}\r\n{data}*1\r\n", data.len());
        for sent in [marked, counted] {
            for size in [1, 2, 7, 39, 40, 41, 1000] {
                let read = copied(sent.as_bytes(), size).await.unwrap();
                assert_eq!(String::from_utf8(read).unwrap(), data, "{size}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_a_whole_copy_is_refused() {
        let cut = format!("$EOF:{THE_MARK}\r\nREDIS0011 and no mark");
        let cases = [
            ("", "ended the connection"),
            ("$100\r\nREDIS0011", "ended the connection"),
            (&cut, "ended the connection"),
            ("$5\r\nHTTP/", "do not begin as an RDB file"),
            ("-ERR no\r\n", "where the size of its data belongs"),
            (&"x".repeat(500), "where the size of its data belongs"),
        ];
        for (sent, expected) in cases {
            let why = copied(sent.as_bytes(), 64).await.unwrap_err().to_string();
            assert!(why.contains(expected), "{sent:?}: {why}");
        }
    }

    #[tokio::test]
    async fn a_folder_of_many_copies_is_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert_eq!(stored_copies(&missing).await.unwrap(), []);
        let header = CopyHeader {
            pair: "orders".to_owned(),
            server: "h:1".to_owned(),
            replication_id: "a".repeat(40),
            offset: 7,
            copied_timestamp: 1.0,
            file: "x.rdb".to_owned(),
            file_bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned(),
        };
        let text = serde_json::to_string(&header).unwrap();
        std::fs::write(folder.path().join("x.rdb"), "abc").unwrap();
        let room = usize::try_from(MAX_HEADER_BYTES).unwrap();
        let huge = format!("{}{text}", " ".repeat(room));
        std::fs::write(folder.path().join("huge.rdb.json"), huge).unwrap();
        std::fs::write(folder.path().join("broken.rdb.json"), "{").unwrap();
        std::fs::write(folder.path().join("lost.aof.json"), &text).unwrap();
        assert_eq!(stored_copies(folder.path()).await.unwrap(), []);
        for number in 0..MAX_COPIES + 20 {
            std::fs::write(folder.path().join(format!("{number}.rdb.json")), &text).unwrap();
        }
        let copies = stored_copies(folder.path()).await.unwrap();
        assert_eq!(copies.len(), MAX_COPIES);
        assert!(copies[0].is_intact().await.unwrap());
        std::fs::write(folder.path().join("x.rdb"), "abd").unwrap();
        assert!(!copies[0].is_intact().await.unwrap());
    }

    #[test]
    fn only_a_full_sync_has_a_position() {
        let line = |text: &str| position(&Value::SimpleString(text.to_owned()));
        let found = line("FULLRESYNC 8371445ee4bd 107").unwrap();
        assert_eq!(
            (&*found.replication_id, found.offset),
            ("8371445ee4bd", 107)
        );
        for other in [
            "CONTINUE 8371445ee4bd",
            "FULLRESYNC x",
            "FULLRESYNC x y",
            "",
        ] {
            assert!(line(other).is_none(), "{other}");
        }
    }
}
