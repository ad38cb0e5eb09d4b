//! One capture, from the last question to the description of its file.

use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::fence::Fence;
use super::file::{FinishedFile, PendingFile};
use super::reading::{Reading, ReadingPlan, not_written};
use super::session::{ServerFacts, Session, StreamRequest};
use super::{
    CaptureOptions, CaptureTarget, CapturedTail, PromotedAnswer, folder, other_side, room_for,
};
use crate::client::RawStream;
use crate::clock;
use crate::info::ReplicationInfo;
use crate::lost_writes::{
    CannotBeHad, ConflictsOfFile, FORMAT, LOOK_BACK, LostWritesHeader, ServerOfFile, TailState,
    UnsharedTail, tail_state, uses_only_the_first_database,
};
use crate::model::{Bytes, ReplicationOffset};
use crate::topology::Server;

/// A capture in progress.
pub(super) struct Capture<'a> {
    pub(super) target: &'a CaptureTarget,
    pub(super) options: &'a CaptureOptions,
    pub(super) promoted: &'a PromotedAnswer,
    /// The deposed server's last answer.
    pub(super) facts: ServerFacts,
    /// The name of the file.
    pub(super) name: String,
}

/// What is on the disk so far.
enum Output {
    /// Nothing is saved.
    None,
    /// A file without its name.
    Pending(PendingFile),
    /// A file under its name.
    Finished(FinishedFile),
}

impl Capture<'_> {
    /// Reads the tail. `saved` is called whenever there is a new file or description.
    pub(super) async fn read(
        &mut self,
        session: &mut Session,
        fence: &mut Fence,
        saved: impl Fn(&LostWritesHeader, &Path) + Send + Sync,
    ) -> Result<CapturedTail, CannotBeHad> {
        let tail = self.ask_again(session).await?;
        let begun = clock::wall_now().as_secs_f64();
        let mut reading = self.open(&tail).await?;
        let pending = self.create(reading.database).await?;
        let pending = reading.read_all(fence, session, pending).await?;
        let mut header = self.header(&tail, &reading, begun);
        let mut output = match pending {
            Some(pending) => self.finish(pending, &mut header).await?,
            None => Output::None,
        };
        if let Output::Finished(file) = &output {
            saved(&header, &file.path);
        }
        if let Some(follow) = self.options.follow
            && self.facts.details.good_replicas.get().is_none()
        {
            reading.follow(Instant::now() + follow.to_duration()).await;
            header = self.header(&tail, &reading, begun);
            output = self.extend(output, &mut reading, &mut header).await?;
        }
        let path = self.describe(output, &mut header, reading).await?;
        if let Some(path) = &path {
            saved(&header, path);
        }
        Ok(CapturedTail {
            header,
            file: path,
            was_there: false,
            grown: None,
            held_for: None,
        })
    }

    /// Asks the deposed server once more, behind the fence, and checks that it will still hold what
    /// is asked for.
    async fn ask_again(&mut self, session: &mut Session) -> Result<UnsharedTail, CannotBeHad> {
        let before = self.facts.observation.replication.master_offset.value();
        self.facts = session.info().await?;
        let tail = match tail_state(&self.facts.observation, &self.promoted.cut) {
            TailState::Readable(tail) => tail,
            TailState::Unreadable(why) => return Err(why),
            TailState::Nothing => {
                return Err(CannotBeHad::Broken {
                    why: "it became a replica at this moment, and what it had alone is gone"
                        .to_owned(),
                });
            }
        };
        let written = before.map_or(Bytes::ZERO, |before| tail.last.since(before));
        if !room_for(&self.facts.observation.replication, tail.first, written) {
            return Err(CannotBeHad::BeingRunOver);
        }
        Ok(tail)
    }

    /// Opens the stream somewhat before the tail.
    async fn open(&self, tail: &UnsharedTail) -> Result<Reading<RawStream>, CannotBeHad> {
        let shared = shared_bytes(&self.facts.observation.replication, tail);
        let request = StreamRequest {
            server: &self.target.deposed,
            announce: &self.target.promoted.addr,
            history: &tail.history,
            from: ReplicationOffset::new(tail.first.get().saturating_sub(shared)),
            timeout: self.options.timeout,
        };
        let uses_only_the_first = uses_only_the_first_database(&self.facts.details)
            && uses_only_the_first_database(&self.promoted.facts.details);
        let plan = ReadingPlan {
            shared,
            wanted: tail.length().get(),
            limit: self.options.max_bytes,
            assumed_database: uses_only_the_first.then_some(0),
        };
        Reading::begin(request.open().await?, plan).await
    }

    /// Begins the file with the SELECT that the stream need not have.
    async fn create(&self, database: Option<u64>) -> Result<Option<PendingFile>, CannotBeHad> {
        let Some(folder) = &self.options.folder else {
            return Ok(None);
        };
        let select = database.map(select).unwrap_or_default();
        let created = async {
            let file = PendingFile::create(folder, &self.name).await?;
            file.append(select).await
        };
        match created.await {
            Ok(file) => Ok(Some(file)),
            Err(error) => Err(not_written(&folder.join(&self.name), &error)),
        }
    }

    /// Gives the file its name, unless it has nothing of a client.
    async fn finish(
        &self,
        pending: PendingFile,
        header: &mut LostWritesHeader,
    ) -> Result<Output, CannotBeHad> {
        if header.commands_total == 0 {
            return Ok(Output::Pending(pending));
        }
        self.keep_longer_file(header).await?;
        let finished = pending.finish().await;
        let finished = finished.map_err(|error| not_written(Path::new(&self.name), &error))?;
        self.save_header(&finished, header).await?;
        Ok(Output::Finished(finished))
    }

    /// An earlier capture that has more is not replaced.
    async fn keep_longer_file(&self, header: &LostWritesHeader) -> Result<(), CannotBeHad> {
        let Some(folder) = &self.options.folder else {
            return Ok(());
        };
        match folder::stored_file(folder, &self.name).await {
            Some(stored) if stored.header.last_offset > header.last_offset => {
                let why = header.missing.as_deref().unwrap_or("less came than before");
                Err(CannotBeHad::Broken {
                    why: format!(
                        "{why}; {} from before has more and was kept: run this again",
                        stored.path.display()
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    /// Adds what came after the first save.
    async fn extend(
        &self,
        output: Output,
        reading: &mut Reading<RawStream>,
        header: &mut LostWritesHeader,
    ) -> Result<Output, CannotBeHad> {
        match output {
            Output::Finished(file) if reading.has_more() => {
                let file = reading.extend(file).await?;
                // Before the search for conflicts, which takes time: the description fits its file.
                self.save_header(&file, header).await?;
                Ok(Output::Finished(file))
            }
            Output::Pending(file) => match reading.write(Some(file)).await? {
                Some(file) => self.finish(file, header).await,
                None => Ok(Output::None),
            },
            output => Ok(output),
        }
    }

    /// Looks for conflicts, once nobody reads the deposed server any more, and writes the
    /// description.
    async fn describe(
        &self,
        output: Output,
        header: &mut LostWritesHeader,
        reading: Reading<RawStream>,
    ) -> Result<Option<PathBuf>, CannotBeHad> {
        let digest = reading.into_digest();
        if header.commands_total > 0 {
            header.conflicts = other_side::conflicts(
                self.target,
                &self.promoted.cut,
                digest.keys(),
                digest.is_in_unknown_database(),
                self.options.timeout,
            )
            .await;
            header.conflicts.note_own(digest.counts());
        }
        let Output::Finished(file) = output else {
            return Ok(None);
        };
        self.save_header(&file, header).await?;
        Ok(Some(file.path))
    }

    /// Writes the description of `file`. One that a person has marked stays marked, if the file is
    /// the same as before.
    async fn save_header(
        &self,
        file: &FinishedFile,
        header: &mut LostWritesHeader,
    ) -> Result<(), CannotBeHad> {
        header.file_bytes = file.bytes;
        header.sha256 = file.sha256();
        let folder = file.path.parent().unwrap_or(Path::new("."));
        if let Some(before) = folder::stored_file(folder, &self.name).await
            && before.header.sha256 == header.sha256
        {
            header.done = before.header.done;
        }
        let written = folder::write_header(folder, header).await;
        written.map_err(|error| not_written(&file.path, &error))?;
        Ok(())
    }

    /// The description of what was read so far.
    fn header(
        &self,
        tail: &UnsharedTail,
        reading: &Reading<RawStream>,
        begun: f64,
    ) -> LostWritesHeader {
        let digest = &reading.digest;
        let read = digest.whole_bytes();
        let is_complete = read >= tail.length().get();
        let missing = match &reading.stopped {
            Some(why) if !is_complete => Some(why.clone()),
            _ => None,
        };
        let mut header = LostWritesHeader {
            format: FORMAT,
            written_by: concat!("redis-cross-dc-exporter ", env!("CARGO_PKG_VERSION")).to_owned(),
            pair: self.target.pair.to_string(),
            deposed: server_of_file(&self.target.deposed, &self.facts),
            promoted: server_of_file(&self.target.promoted, &self.promoted.facts),
            replication_id: tail.history.to_string(),
            first_offset: tail.first.get(),
            last_offset: (tail.first.get() + read).saturating_sub(1),
            captured_timestamp: begun,
            stream_bytes: read,
            is_complete,
            missing,
            file: self.name.clone(),
            file_bytes: 0,
            sha256: String::new(),
            database: reading.database,
            commands_total: 0,
            commands: std::collections::BTreeMap::new(),
            databases: std::collections::BTreeMap::new(),
            transactions: 0,
            keys: 0,
            changed_everything: false,
            unknown_keys: Vec::new(),
            own_commands: 0,
            own_bytes: 0,
            conflicts: ConflictsOfFile::unknown("the promoted server has not been read yet"),
            done: None,
        };
        header.set_counts(digest.counts(), digest.keys().len() as u64);
        header
    }
}

fn server_of_file(server: &Server, facts: &ServerFacts) -> ServerOfFile {
    let info = &facts.observation.server;
    let version = info.version.get();
    let run_id = info.run_id.get();
    ServerOfFile {
        server: server.addr.to_string(),
        dc: server.dc.to_string(),
        version: version.map(|version| format!("{} {version}", info.engine)),
        run_id: run_id.map(|id| id.as_str().to_owned()),
    }
}

/// The command that selects `database`.
fn select(database: u64) -> Vec<u8> {
    let number = database.to_string();
    format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{number}\r\n", number.len()).into_bytes()
}

/// How many shared bytes before the tail can be read: all of them where the backlog has room for
/// what is written meanwhile, or else half, so that the beginning does not go before it is asked
/// for.
fn shared_bytes(info: &ReplicationInfo, tail: &UnsharedTail) -> u64 {
    let Some(first_byte) = info.backlog.first_byte.value() else {
        return 0;
    };
    let held = tail.first.since(first_byte).get();
    if room_for(info, first_byte, Bytes::ZERO) {
        held.min(LOOK_BACK)
    } else {
        (held / 2).min(LOOK_BACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::{BacklogInfo, Field};
    use crate::model::ReplicationId;

    #[test]
    fn what_is_read_before_the_tail_cannot_go_meanwhile() {
        let tail = UnsharedTail {
            history: ReplicationId::parse(&"a".repeat(40)).unwrap(),
            first: ReplicationOffset::new(1001),
            last: ReplicationOffset::new(2000),
        };
        let shared = |size: u64| {
            let backlog = BacklogInfo {
                active: Field::Value(true),
                size: Field::Value(Bytes::new(size)),
                first_byte: Field::Value(ReplicationOffset::new(1)),
                histlen: Field::Value(Bytes::new(2000)),
            };
            let info = ReplicationInfo {
                backlog,
                ..ReplicationInfo::default()
            };
            shared_bytes(&info, &tail)
        };
        assert_eq!(shared(1024 * 1024), 1000, "the backlog is not full");
        assert_eq!(shared(2000), 500, "what comes next replaces its beginning");
        assert_eq!(shared_bytes(&ReplicationInfo::default(), &tail), 0);
    }
}
