//! The embedded database: one file, one transaction a save, and a checksum on every row.

mod documents;
mod read;
mod schema;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use redb::{TableDefinition, WriteTransaction};

use super::clock_mapping::{BootClock, ClockRefusal};
use super::error::StoreError;
use super::rows;
use super::save_planner::{Batch, Save, SavePlanner};
use crate::model::SavedDocuments;
use crate::replication::SavedState;

pub use documents::{HISTORY_KEPT, HISTORY_READ, MAX_HISTORY};
pub use schema::SCHEMA;

/// Numbers by name: the schema and the last commit.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The clocks that rows name.
const CLOCKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("clocks");
/// Whole histories by master.
const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bases");
/// What was added to histories, by commit and row.
const DELTAS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("tails");
/// Pairs, by row.
const PAIRS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("pairs");
/// Servers, by row.
const SERVERS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("servers");

const LAST_COMMIT: &str = "commit";

/// What the database may hold in memory of its file. It is written far more than it is read.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// What was read when the file was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Everything that can still be used.
    pub state: SavedState,
    /// The documents of each table.
    pub documents: SavedDocuments,
    /// What the file holds, so that it need not be written again.
    pub planner: SavePlanner,
    /// The rows that were left out.
    pub refused: Refusals,
}

/// The rows that were left out, with reasons.
#[derive(Debug, Default)]
pub struct Refusals {
    /// How many there were.
    pub count: u64,
    /// The first of them, each with its reason: a file may have ten thousand such rows, which the
    /// log need not list.
    pub first: Vec<String>,
}

/// How many reasons are kept.
const REASONS_KEPT: usize = 10;

impl Refusals {
    fn note(&mut self, what: impl Display, why: impl Display) {
        self.count += 1;
        if self.first.len() < REASONS_KEPT {
            self.first.push(format!("{what} is left out: {why}"));
        }
    }
}

/// The size of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitStats {
    /// Bytes of all rows that were written.
    pub bytes: u64,
}

/// The open file, locked against other processes.
#[derive(Debug)]
pub struct Database {
    file: redb::Database,
    path: PathBuf,
    /// The number of the present clock.
    clock: u32,
    present: BootClock,
    clocks: BTreeMap<u32, BootClock>,
    last_commit: u64,
    /// The rows of servers as they were last written: they hardly ever change.
    servers: Vec<Vec<u8>>,
}

impl Database {
    /// Opens the file at `path`, or makes it, and reads all of it.
    ///
    /// # Errors
    /// It cannot be opened, is locked, newer, or damaged; it is not changed then.
    pub fn open(path: &Path, present: BootClock) -> Result<(Self, Loaded), StoreError> {
        Self::open_with(path, present, |builder| builder.create(path))
    }

    /// A database in memory, which is lost when it is dropped.
    ///
    /// # Errors
    /// The memory does not suffice.
    pub fn in_memory(present: BootClock) -> Result<(Self, Loaded), StoreError> {
        let backend = redb::backends::InMemoryBackend::new();
        Self::open_with(Path::new("memory"), present, |builder| {
            builder.create_with_backend(backend)
        })
    }

    fn open_with(
        path: &Path,
        present: BootClock,
        create: impl FnOnce(&redb::Builder) -> Result<redb::Database, redb::DatabaseError>,
    ) -> Result<(Self, Loaded), StoreError> {
        let mut builder = redb::Database::builder();
        // Every page is checked when the file is opened: it takes as long as reading it, which is
        // done anyway, and what was damaged is found before it is trusted.
        builder
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true);
        let file = create(&builder).map_err(|error| opening(path, error))?;
        schema::settle(&file, path)?;
        let mut database = Self {
            file,
            path: path.to_owned(),
            clock: 0,
            present,
            clocks: BTreeMap::new(),
            last_commit: 0,
            servers: Vec::new(),
        };
        let loaded = database.load(present)?;
        Ok((database, loaded))
    }

    /// Reads everything again, as it is at `present`.
    ///
    /// # Errors
    /// The file cannot be read. A single row that is not valid is no error: it is left out, with
    /// a sentence.
    pub fn load(&mut self, present: BootClock) -> Result<Loaded, StoreError> {
        self.present = present;
        let (clocks, last_commit, loaded) =
            read::all(&self.file, &present).map_err(|why| self.failed(why))?;
        self.clock = number_of(&present, &clocks);
        self.clocks = clocks;
        self.last_commit = last_commit;
        self.servers.clear();
        Ok(loaded)
    }

    /// The number of the last commit.
    pub fn last_commit(&self) -> u64 {
        self.last_commit
    }

    /// Writes a save: all of it, or nothing.
    ///
    /// # Errors
    /// The disk refuses. Nothing of the save was written then, and the file has to be opened again.
    pub fn commit(&mut self, save: &Save) -> Result<CommitStats, StoreError> {
        let clock = BootClock {
            anchor: save.anchor,
            ..self.present
        };
        let lag = save.lag.as_ref().map(|batch| LagRows {
            batch,
            servers: self.server_rows(batch),
        });
        let bytes = self
            .write(save, clock, lag.as_ref())
            .map_err(|why| self.failed(why))?;
        self.clocks.insert(self.clock, clock);
        if let Some(LagRows { batch, servers }) = lag {
            self.last_commit = batch.commit;
            self.servers = servers;
        }
        Ok(CommitStats { bytes })
    }

    fn server_rows(&self, batch: &Batch) -> Vec<Vec<u8>> {
        let servers = batch.servers.iter();
        let entries = servers.map(|(server, record)| rows::encode_server(server, record));
        rows::pack(self.clock, entries, chunk_key)
    }

    fn write(
        &self,
        save: &Save,
        clock: BootClock,
        lag: Option<&LagRows<'_>>,
    ) -> Result<u64, redb::Error> {
        let transaction = self.file.begin_write()?;
        let mut bytes = self.write_clocks(&transaction, clock)?;
        if let Some(lag) = lag {
            bytes += self.write_lag(&transaction, lag)?;
        }
        bytes += documents::write(
            &transaction,
            self.clock,
            &save.documents,
            save.replaces_all,
            save.anchor.wall,
        )?;
        transaction.commit()?;
        Ok(bytes)
    }

    fn write_lag(
        &self,
        transaction: &WriteTransaction,
        lag: &LagRows<'_>,
    ) -> Result<u64, redb::Error> {
        let LagRows { batch, servers } = lag;
        let mut bytes = self.write_snapshots(transaction, batch)?;
        bytes += self.write_deltas(transaction, batch)?;
        let pairs = batch.pairs.iter();
        let entries = pairs.map(|(key, record)| rows::encode_pair(key, record));
        let pairs = rows::pack(self.clock, entries, chunk_key);
        bytes += write_chunks(transaction, PAIRS, &pairs)?;
        if *servers != self.servers || self.last_commit == 0 {
            bytes += write_chunks(transaction, SERVERS, servers)?;
        }
        transaction
            .open_table(META)?
            .insert(LAST_COMMIT, batch.commit)?;
        Ok(bytes)
    }

    /// Writes the present clock, and deletes the clocks that are too old for any row to refer to.
    fn write_clocks(
        &self,
        transaction: &WriteTransaction,
        clock: BootClock,
    ) -> Result<u64, redb::Error> {
        let mut table = transaction.open_table(CLOCKS)?;
        let row = rows::encode_clock(self.clock, &clock);
        table.insert(self.clock, &*row)?;
        for (number, old) in &self.clocks {
            let is_expired = matches!(old.mapping(&clock), Err(ClockRefusal::Expired(_)));
            if is_expired && *number != self.clock {
                table.remove(number)?;
            }
        }
        Ok(row.len() as u64)
    }

    fn write_snapshots(
        &self,
        transaction: &WriteTransaction,
        batch: &Batch,
    ) -> Result<u64, redb::Error> {
        let mut table = transaction.open_table(SNAPSHOTS)?;
        for key in &batch.forgotten {
            table.remove(&**key)?;
        }
        let mut bytes = 0;
        for (server, record) in &batch.snapshots {
            let snapshot = rows::SnapshotRow {
                commit: batch.commit,
                saved_at: batch.anchor.mono,
                record: record.clone(),
            };
            let row = rows::encode_snapshot(self.clock, server, &snapshot);
            bytes += row.len() as u64;
            table.insert(&*server.to_string(), &*row)?;
        }
        Ok(bytes)
    }

    fn write_deltas(
        &self,
        transaction: &WriteTransaction,
        batch: &Batch,
    ) -> Result<u64, redb::Error> {
        let mut table = transaction.open_table(DELTAS)?;
        let deltas = batch.deltas.iter();
        let entries = deltas.map(|(server, delta)| rows::encode_delta(server, delta));
        let packed = rows::pack(self.clock, entries, |row| delta_key(batch.commit, row));
        let mut bytes = 0;
        for (number, row) in (0_u32..).zip(&packed) {
            bytes += row.len() as u64;
            table.insert((batch.commit, number), &**row)?;
        }
        table.retain_in(..=(batch.drop_deltas_to, u32::MAX), |_, _| false)?;
        Ok(bytes)
    }

    fn failed(&self, why: impl Into<redb::Error>) -> StoreError {
        using(&self.path, why.into())
    }
}

/// A batch of the lag history, with the rows of its servers.
struct LagRows<'a> {
    batch: &'a Batch,
    servers: Vec<Vec<u8>>,
}

/// Replaces all rows of `table` by these.
fn write_chunks(
    transaction: &WriteTransaction,
    table: TableDefinition<'_, u32, &[u8]>,
    chunks: &[Vec<u8>],
) -> Result<u64, redb::Error> {
    let mut table = transaction.open_table(table)?;
    let mut bytes = 0;
    let mut count = 0;
    for row in chunks {
        bytes += row.len() as u64;
        table.insert(count, &**row)?;
        count += 1;
    }
    table.retain_in(count.., |_, _| false)?;
    Ok(bytes)
}

/// The key of a row of pairs or servers, as its checksum covers it.
fn chunk_key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The key of a row of deltas, likewise.
fn delta_key(commit: u64, number: u32) -> Vec<u8> {
    [&commit.to_be_bytes()[..], &number.to_be_bytes()[..]].concat()
}

/// The error of a file that cannot be opened.
fn opening(path: &Path, error: redb::DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen | redb::DatabaseError::LockProtocolMismatch => {
            StoreError::Locked { path }
        }
        redb::DatabaseError::UpgradeRequired(found) => StoreError::Newer {
            path,
            found: u64::from(found),
            known: SCHEMA,
        },
        redb::DatabaseError::Storage(redb::StorageError::Io(why)) if !is_damage(&why) => {
            StoreError::Place { path, why }
        }
        other => using(&path, other.into()),
    }
}

/// The error of a file that was open.
fn using(path: &Path, error: redb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        redb::Error::Io(why) if !is_damage(&why) => StoreError::Io {
            path,
            why: why.to_string(),
        },
        redb::Error::PreviousIo => StoreError::Io {
            path,
            why: "an earlier write failed".to_owned(),
        },
        other => StoreError::Corrupt {
            path,
            why: other.to_string(),
        },
    }
}

/// Whether the error means that the file's content was not written by the database.
fn is_damage(why: &std::io::Error) -> bool {
    matches!(
        why.kind(),
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
    )
}

/// The number of `present` among `clocks`: that of the same boot, or else the next free one.
fn number_of(present: &BootClock, clocks: &BTreeMap<u32, BootClock>) -> u32 {
    for (number, clock) in clocks {
        if clock.is_same_boot(present) {
            return *number;
        }
    }
    match clocks.last_key_value() {
        Some((newest, _)) => newest.saturating_add(1),
        None => 0,
    }
}

#[cfg(test)]
mod tests;
