//! The folder of operations, beside the state database: one folder an operation, with its journal,
//! plan and reports, and a lock a pair. The database itself belongs to the running exporter.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::time_text::time_text;
use crate::model::{WallTime, stable_hash};
use crate::operation::{Entry, Intent, OperationReport, Record, decode, encode};

/// The largest journal that is read.
const MAX_JOURNAL: u64 = 16 * 1024 * 1024;

/// The most operations that are listed, the newest first.
const MAX_LISTED: usize = 1000;

const JOURNAL: &str = "journal.jsonl";

/// Where operations are kept.
#[derive(Clone, Debug)]
pub struct OperationsFolder {
    path: PathBuf,
}

/// An operation as its folder has it.
#[derive(Clone, Debug)]
pub struct StoredOperation {
    /// What it is meant to do.
    pub intent: Intent,
    /// Its journal.
    pub entries: Vec<Entry>,
    /// Its folder.
    pub path: PathBuf,
    /// The bytes of the journal's whole lines.
    length: u64,
}

/// The lock of a pair. Dropping it, and the end of the process, unlock.
#[derive(Debug)]
pub(super) struct PairLock {
    _file: File,
}

/// A journal that is open for writing.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    pub(super) entries: Vec<Entry>,
    folder: PathBuf,
}

impl OperationsFolder {
    /// The folder of operations beside the database in `state`.
    pub fn beside(state: &Path) -> Self {
        Self {
            path: state.join("operations"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name for an operation that begins now.
    pub fn new_id(now: WallTime) -> String {
        let nanos = i128::from(now.as_nanos());
        let stamp = match jiff::Timestamp::from_nanosecond(nanos) {
            Ok(at) => at.strftime("%Y%m%dT%H%M%SZ").to_string(),
            Err(_) => now.as_nanos().to_string(),
        };
        format!("{stamp}-{:04x}", fastrand::u16(..))
    }

    /// Locks `pair` for one process of this machine. `None` where another one has it.
    pub(super) fn lock(&self, pair: &str) -> io::Result<Option<PairLock>> {
        fs::create_dir_all(&self.path)?;
        let name = format!("{:016x}.lock", stable_hash([pair]));
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(PairLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Begins a journal with `first`.
    pub(super) fn begin(&self, id: &str, first: Entry) -> io::Result<JournalFile> {
        let folder = self.path.join(id);
        fs::create_dir_all(&folder)?;
        let mut options = OpenOptions::new();
        let file = options
            .create_new(true)
            .append(true)
            .open(folder.join(JOURNAL))?;
        let mut journal = JournalFile {
            file,
            entries: Vec::new(),
            folder,
        };
        journal.append(first, true)?;
        // The names, too, have to be on the disk.
        File::open(&journal.folder)?.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        Ok(journal)
    }

    /// The operation called `id`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn read(&self, id: &str) -> Result<StoredOperation, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if id.is_empty() || !id.chars().all(is_plain) {
            return Err(format!(
                "{id:?} is no operation's name: failover --status lists them"
            ));
        }
        let path = self.path.join(id);
        let journal = path.join(JOURNAL);
        let shown = journal.display();
        let size = fs::metadata(&journal).map(|meta| meta.len());
        let size = size.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no operation {id} ({shown}: {error})"),
            _ => format!("{shown} cannot be read: {error}"),
        })?;
        if size > MAX_JOURNAL {
            return Err(format!(
                "{shown} is larger than 16 MiB: it is no journal of an operation"
            ));
        }
        let text =
            fs::read(&journal).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let text = String::from_utf8_lossy(&text);
        let read = decode(&text).map_err(|error| format!("{shown}: {error}"))?;
        Ok(StoredOperation {
            intent: read.intent,
            entries: read.entries,
            path,
            length: u64::try_from(read.length).unwrap_or(size),
        })
    }

    /// All operations that can be read, the newest first, and a sentence about each that cannot.
    pub fn list(&self) -> (Vec<StoredOperation>, Vec<String>) {
        let folder = match fs::read_dir(&self.path) {
            Ok(folder) => folder,
            // There has been none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return (Vec::new(), Vec::new());
            }
            Err(error) => {
                let path = self.path.display();
                return (Vec::new(), vec![format!("{path} cannot be read: {error}")]);
            }
        };
        let mut ids = Vec::new();
        for entry in folder.flatten() {
            let Some(id) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            // One without a whole line was killed before it could do anything.
            let begun = match fs::read(entry.path().join(JOURNAL)) {
                Ok(text) => text.contains(&b'\n'),
                Err(error) => entry.path().is_dir() && error.kind() != io::ErrorKind::NotFound,
            };
            if begun {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        ids.reverse();
        ids.truncate(MAX_LISTED);
        let mut found = Vec::new();
        let mut unreadable = Vec::new();
        for id in ids {
            match self.read(&id) {
                Ok(operation) => found.push(operation),
                Err(sentence) => unreadable.push(sentence),
            }
        }
        (found, unreadable)
    }

    /// The newest operation that has not ended, or ended with something to do for `--resume`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn newest_unfinished(&self) -> Result<StoredOperation, String> {
        let (operations, unreadable) = self.list();
        let mut unfinished = operations
            .into_iter()
            .filter(|operation| !operation.is_finished());
        unfinished.next().ok_or_else(|| {
            let none = format!("no operation in {} is unfinished", self.path.display());
            std::iter::once(none)
                .chain(unreadable)
                .collect::<Vec<_>>()
                .join("; ")
        })
    }
}

impl StoredOperation {
    /// The last record of how a run ended; `None` where the last run did not end.
    pub fn ending(&self) -> Option<&crate::operation::Ending> {
        for entry in self.entries.iter().rev() {
            match &entry.record {
                Record::Ended { ending } => return Some(ending),
                Record::Resumed { .. } => return None,
                _ => {}
            }
        }
        None
    }

    /// When its last line was written, in Unix seconds.
    pub fn last_at(&self) -> f64 {
        self.entries.last().map_or(0.0, |entry| entry.at)
    }

    /// Opens its journal for further lines. A torn last line is cut off.
    pub(super) fn reopen(&self) -> io::Result<JournalFile> {
        let path = self.path.join(JOURNAL);
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(self.length)?;
        Ok(JournalFile {
            file,
            entries: self.entries.clone(),
            folder: self.path.clone(),
        })
    }

    /// Whether there is nothing left to resume.
    pub fn is_finished(&self) -> bool {
        use crate::operation::Outcome;
        self.ending()
            .is_some_and(|ending| ending.outcome != Outcome::Incomplete)
    }
}

impl JournalFile {
    /// Adds a line. With `to_disk` it is on the disk when this returns.
    pub(super) fn append(&mut self, entry: Entry, to_disk: bool) -> io::Result<()> {
        let line = encode(&entry).map_err(io::Error::other)?;
        self.file.write_all(line.as_bytes())?;
        if to_disk {
            self.file.sync_data()?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Writes the reports beside the journal, and returns where the one for people is.
    pub(super) fn report(&self, report: &OperationReport) -> io::Result<PathBuf> {
        let json = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
        fs::write(self.folder.join("report.json"), json + "\n")?;
        let path = self.folder.join("report.md");
        fs::write(&path, report.markdown(time_text))?;
        Ok(path)
    }

    /// Writes the plan beside the journal.
    pub(super) fn plan(&self, plan: &crate::operation::Plan) -> io::Result<()> {
        let json = serde_json::to_string_pretty(plan).map_err(io::Error::other)?;
        fs::write(self.folder.join("plan.json"), json + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, OperationsFolder) {
        let state = tempfile::tempdir().unwrap();
        let folder = OperationsFolder::beside(state.path());
        (state, folder)
    }

    #[test]
    fn an_operation_is_found_by_its_name_only() {
        let (_state, folder) = folder();
        assert!(folder.list().0.is_empty());
        for id in ["", "..", "../x", "a/b", "absent"] {
            assert!(folder.read(id).is_err(), "{id}");
        }
        fs::create_dir_all(folder.path().join("damaged")).unwrap();
        fs::write(folder.path().join("damaged").join(JOURNAL), "nonsense\n").unwrap();
        let (found, unreadable) = folder.list();
        assert!(found.is_empty());
        assert!(unreadable[0].contains("does not begin"), "{unreadable:?}");
        let large = File::create(folder.path().join("damaged").join(JOURNAL)).unwrap();
        large.set_len(MAX_JOURNAL + 1).unwrap();
        assert!(
            folder
                .read("damaged")
                .unwrap_err()
                .contains("larger than 16 MiB")
        );
    }

    #[test]
    fn a_pair_is_locked_once_until_the_lock_is_dropped() {
        let (_state, folder) = folder();
        let first = folder.lock("orders").unwrap();
        assert!(first.is_some());
        assert!(folder.lock("orders").unwrap().is_none());
        assert!(folder.lock("carts").unwrap().is_some(), "another pair");
        drop(first);
        assert!(folder.lock("orders").unwrap().is_some());
    }

    #[test]
    fn names_sort_by_time() {
        let earlier = OperationsFolder::new_id(WallTime::from_nanos(1_796_000_000_000_000_000));
        let later = OperationsFolder::new_id(WallTime::from_nanos(1_796_000_001_000_000_000));
        assert!(
            earlier < later && earlier.starts_with("20261"),
            "{earlier} {later}"
        );
    }

    #[test]
    fn a_reopened_journal_keeps_every_line_whatever_its_times_are() {
        let (_state, folder) = folder();
        let record = Record::Began {
            intent: Box::new(intent()),
        };
        let first = Entry { at: 1.1, record };
        let mut journal = folder.begin("x", first).unwrap();
        let mut expected = 1;
        for round in 0..200 {
            // With all of their digits: not every number is read back to the last of them.
            let at = 1_796_034_910.0 + f64::from(round) / 7.0;
            let what = "something".to_owned();
            let record = Record::Proved { what };
            journal.append(Entry { at, record }, false).unwrap();
            expected += 1;
            let stored = folder.read("x").unwrap();
            assert_eq!(stored.entries.len(), expected);
            journal = stored.reopen().unwrap();
        }
        let path = folder.path().join("x").join(JOURNAL);
        let mut torn = fs::read(&path).unwrap();
        let whole = torn.len();
        torn.extend_from_slice(b"{\"crc\":\"0000");
        fs::write(&path, torn).unwrap();
        let stored = folder.read("x").unwrap();
        stored.reopen().unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), whole);
        assert_eq!(stored.entries.len(), expected);
    }

    fn intent() -> Intent {
        use crate::model::ServerAddr;
        use crate::operation::{HookNames, Limits, OperationKind, Party};
        let party = |port| Party {
            addr: ServerAddr::new("10.0.0.1", port),
            dc: "dc1".to_owned(),
            run_id: None,
            replid: None,
        };
        Intent {
            id: "x".to_owned(),
            kind: OperationKind::SwitchOver,
            pair: "orders".to_owned(),
            old: party(1),
            target: party(2),
            old_for_target: ServerAddr::new("10.0.0.1", 1),
            followers: Vec::new(),
            limits: Limits::default(),
            can_pause: true,
            discard: None,
            saved_in: None,
            copied: None,
            hooks: HookNames::default(),
            sentinel: None,
            token: None,
            fingerprint: String::new(),
            overridden: Vec::new(),
            stated_loss: None,
        }
    }
}
