//! Reads the tail of a stream into a file.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::{Instant, timeout, timeout_at};

use super::fence::Fence;
use super::file::{FinishedFile, PendingFile};
use super::session::Session;
use crate::lost_writes::{CannotBeHad, TailDigest, database_at_end};
use crate::model::Bytes;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// How much is collected before it is written.
const BLOCK: usize = 512 * 1024;

/// For how long nothing may come although the server has more.
const IDLE: Duration = Duration::from_secs(10);

/// The most that is kept in memory of what comes after the first save.
const MAX_FOLLOWED: usize = 64 * 1024 * 1024;

/// What to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadingPlan {
    /// Bytes before the tail, which both servers have.
    pub(super) shared: u64,
    /// Bytes of the tail.
    pub(super) wanted: u64,
    /// The most bytes of the tail that are read, and of one command.
    pub(super) limit: Bytes,
    /// The database of the tail's first command, where nothing in the shared bytes shows it.
    pub(super) assumed_database: Option<u64>,
}

/// A tail that is being read.
pub(super) struct Reading<S> {
    stream: BufReader<S>,
    plan: ReadingPlan,
    pub(super) digest: TailDigest,
    /// The database of the first command, if it is known.
    pub(super) database: Option<u64>,
    /// What can be replayed and is in no file yet.
    kept: Vec<u8>,
    read: u64,
    /// Why reading ended before everything was read.
    pub(super) stopped: Option<String>,
}

impl<S: AsyncRead + Unpin> Reading<S> {
    /// Begins with the shared bytes, which show the database.
    pub(super) async fn begin(stream: S, plan: ReadingPlan) -> Result<Self, CannotBeHad> {
        let mut stream = BufReader::with_capacity(PIECE, stream);
        let mut shared = Vec::new();
        let mut beginning = (&mut stream).take(plan.shared);
        match timeout(IDLE, beginning.read_to_end(&mut shared)).await {
            Ok(Ok(count)) if count as u64 == plan.shared => {}
            _ => {
                return Err(CannotBeHad::Broken {
                    why: "the connection ended or fell silent before anything of its own writes was read: run this again"
                        .to_owned(),
                });
            }
        }
        let database = database_at_end(&shared).or(plan.assumed_database);
        let limit = usize::try_from(plan.limit.get()).unwrap_or(usize::MAX);
        Ok(Self {
            stream,
            plan,
            digest: TailDigest::new(database, limit),
            database,
            kept: Vec::new(),
            read: 0,
            stopped: None,
        })
    }

    /// Reads all that is wanted, into a file in `folder` where there is one. What was read before
    /// the stream ended is kept.
    pub(super) async fn read_all(
        &mut self,
        fence: &mut Fence,
        session: &mut Session,
        mut file: Option<PendingFile>,
    ) -> Result<Option<PendingFile>, CannotBeHad> {
        while self.read_block().await {
            fence.renew(session).await;
            if self.kept.len() >= BLOCK {
                file = self.write(file).await?;
            }
        }
        self.write(file).await
    }

    /// Reads what comes next of what is wanted; false where that was all.
    async fn read_block(&mut self) -> bool {
        let wanted = self.plan.wanted.min(self.plan.limit.get());
        if self.read < wanted && self.stopped.is_none() {
            self.read_piece(Instant::now() + IDLE, "fell silent").await;
            return true;
        }
        if self.stopped.is_none() && wanted < self.plan.wanted {
            self.stopped = Some(format!(
                "{} of {} were read, the limit of recover.max_bytes",
                Bytes::new(wanted),
                Bytes::new(self.plan.wanted)
            ));
        }
        false
    }

    /// Reads what is wanted, up to the first command of a client: whether there was none.
    pub(super) async fn has_only_own_commands(&mut self) -> bool {
        while self.digest.counts().commands.is_empty() && self.read_block().await {}
        let is_whole = self.digest.whole_bytes() >= self.plan.wanted;
        is_whole && self.digest.counts().commands.is_empty()
    }

    /// Reads what comes until the server ends the stream, which it does when it becomes a replica,
    /// or until `until`.
    pub(super) async fn follow(&mut self, until: Instant) {
        self.follow_at_most(MAX_FOLLOWED, until).await;
    }

    async fn follow_at_most(&mut self, most: usize, until: Instant) {
        while self.stopped.is_none() && self.kept.len() < most && Instant::now() < until {
            self.read_piece(until, "was read for long enough").await;
        }
    }

    /// Whether anything came that can be replayed and is in no file yet.
    pub(super) fn has_more(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Ends the connection and returns what was read.
    pub(super) fn into_digest(self) -> TailDigest {
        self.digest
    }

    /// Replaces `before` with a file that also has what came since.
    pub(super) async fn extend(
        &mut self,
        before: FinishedFile,
    ) -> Result<FinishedFile, CannotBeHad> {
        let extended = async {
            let file = PendingFile::continuing(&before).await?;
            let file = file.append(std::mem::take(&mut self.kept)).await?;
            file.finish().await
        };
        extended
            .await
            .map_err(|error| not_written(&before.path, &error))
    }

    /// Reads what comes next; notes `stopped` where nothing more comes.
    async fn read_piece(&mut self, until: Instant, silent: &str) {
        let piece = match timeout_at(until, self.stream.fill_buf()).await {
            Ok(Ok([])) => {
                self.stopped = Some("the server ended the connection".to_owned());
                return;
            }
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => {
                self.stopped = Some(format!("the connection ended: {error}"));
                return;
            }
            Err(_) => {
                self.stopped = Some(format!("the connection {silent}"));
                return;
            }
        };
        let count = piece.len();
        if let Err(error) = self.digest.feed(piece, &mut self.kept) {
            self.stopped = Some(error.to_string());
        }
        self.stream.consume(count);
        self.read += count as u64;
    }

    /// Writes what was collected.
    pub(super) async fn write(
        &mut self,
        file: Option<PendingFile>,
    ) -> Result<Option<PendingFile>, CannotBeHad> {
        let content = std::mem::take(&mut self.kept);
        let Some(file) = file else {
            return Ok(None);
        };
        match file.append(content).await {
            Ok(file) => Ok(Some(file)),
            Err(error) => Err(CannotBeHad::NotWritten {
                why: format!("the file cannot be written: {error}"),
            }),
        }
    }
}

/// Why `path` is not there.
pub(super) fn not_written(path: &Path, error: &std::io::Error) -> CannotBeHad {
    CannotBeHad::NotWritten {
        why: format!("{} cannot be written: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lost_writes::testing::stream;

    /// Reads a tail of these commands after `shared`, of which `wanted` bytes are asked for.
    async fn read(shared: &[&str], tail: &[&str], wanted: u64) -> Reading<&'static [u8]> {
        let shared = stream(shared);
        let plan = ReadingPlan {
            shared: shared.len() as u64,
            wanted,
            limit: Bytes::new(1000),
            assumed_database: None,
        };
        let all: &'static [u8] = [shared, stream(tail)].concat().leak();
        let mut reading = Reading::begin(all, plan).await.unwrap();
        while reading.read_block().await {}
        reading
    }

    #[tokio::test]
    async fn the_shared_part_shows_the_database_and_is_not_kept() {
        let tail = ["SET a 1", "PING"];
        let wanted = stream(&tail).len() as u64;
        let reading = read(&["SELECT 7", "SET x 1"], &tail, wanted).await;
        assert_eq!((reading.database, reading.stopped), (Some(7), None));
        assert_eq!(reading.kept, stream(&["SET a 1"]));
        assert_eq!(reading.digest.whole_bytes(), wanted);
    }

    #[tokio::test]
    async fn what_was_read_before_the_end_is_kept() {
        let reading = read(&["SELECT 0"], &["SET a 1", "MULTI", "SET b 1"], 500).await;
        assert_eq!(reading.kept, stream(&["SET a 1"]));
        assert_eq!(
            reading.stopped.as_deref(),
            Some("the server ended the connection")
        );
        let reading = read(
            &["SELECT 0"],
            &[&format!("SET a {}", "x".repeat(1200)), "PING"],
            1100,
        )
        .await;
        assert_eq!(reading.kept, Vec::<u8>::new());
        assert!(
            reading
                .stopped
                .is_some_and(|why| why.contains("longer than the limit"))
        );
    }

    #[tokio::test]
    async fn commands_of_clients_are_distinguished_from_the_servers_own() {
        let cases = [
            (&["PING", "SELECT 0", "PING"][..], true),
            (&[][..], true),
            (&["PING", "SET a 1"][..], false),
            (&["SELECT 0", "MULTI", "SET a 1", "EXEC"][..], false),
        ];
        for (commands, expected) in cases {
            let wanted = stream(commands).len() as u64;
            let mut reading = read(&[], commands, wanted).await;
            assert_eq!(
                reading.has_only_own_commands().await,
                expected,
                "{commands:?}"
            );
            let mut cut = read(&[], commands, wanted + 1).await;
            assert!(!cut.has_only_own_commands().await, "{commands:?}");
        }
    }

    #[tokio::test]
    async fn a_limit_is_named() {
        let value = format!("SET a {}", "x".repeat(600));
        let tail = [value.as_str(), value.as_str()];
        let reading = read(&["SELECT 0"], &tail, stream(&tail).len() as u64).await;
        assert!(
            reading
                .stopped
                .is_some_and(|why| why.contains("the limit of recover.max_bytes"))
        );
    }

    #[tokio::test]
    async fn a_stream_that_ends_in_the_shared_part_is_broken() {
        let plan = ReadingPlan {
            shared: 100,
            wanted: 10,
            limit: Bytes::new(1000),
            assumed_database: None,
        };
        let broken = Reading::begin(&b"*1\r\n"[..], plan).await.err();
        assert!(matches!(broken, Some(CannotBeHad::Broken { .. })));
    }

    #[tokio::test]
    async fn what_is_followed_is_bounded() {
        let (mut near, far) = tokio::io::duplex(64);
        let plan = ReadingPlan {
            shared: 0,
            wanted: 0,
            limit: Bytes::new(1000),
            assumed_database: Some(0),
        };
        let writing = tokio::spawn(async move {
            let command = stream(&["SET a 1"]);
            while tokio::io::AsyncWriteExt::write_all(&mut near, &command)
                .await
                .is_ok()
            {}
        });
        let mut reading = Reading::begin(far, plan).await.unwrap();
        let until = Instant::now() + Duration::from_mins(1);
        reading.follow_at_most(500, until).await;
        assert!(
            (500..700).contains(&reading.kept.len()),
            "{}",
            reading.kept.len()
        );
        assert!(reading.has_more() && reading.stopped.is_none());
        drop(reading);
        writing.await.unwrap();
    }
}
