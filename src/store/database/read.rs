//! Reads the whole file back. Each row is checked by itself, so that a damaged one costs nothing
//! but its own content.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{
    CLOCKS, DELTAS, LAST_COMMIT, Loaded, META, PAIRS, Refusals, SERVERS, SNAPSHOTS, chunk_key,
    delta_key, documents,
};
use crate::model::{ServerAddr, Timestamp};
use crate::replication::{Contradiction, DeltaRecord, HistoryLimits, MasterHistory};
use crate::store::clock_mapping::{BootClock, ClockMappings, ClockRefusal, HORIZON};
use crate::store::codec::RowError;
use crate::store::rows;
use crate::store::save_planner::SavePlanner;

/// A history that is being put together from its rows.
struct Draft {
    history: MasterHistory,
    /// The commit of its snapshot.
    snapshot: u64,
    saved_at: Timestamp,
}

/// The clocks, the number of the last commit, and everything else.
pub(super) fn all(
    file: &redb::Database,
    present: &BootClock,
) -> Result<(BTreeMap<u32, BootClock>, u64, Loaded), redb::Error> {
    let transaction = file.begin_read()?;
    let mut loaded = Loaded::default();
    let clocks = read_clocks(&transaction, present, &mut loaded)?;
    loaded.documents = documents::read(&transaction, &clocks, present, &mut loaded.refused)?;
    let last_commit = match transaction.open_table(META)?.get(LAST_COMMIT)? {
        Some(commit) => commit.value(),
        None => return Ok((clocks, 0, loaded)),
    };
    loaded.planner = SavePlanner::empty(last_commit);
    let mappings = ClockMappings::new(&clocks, present);
    read_histories(&transaction, &mappings, present, &mut loaded)?;
    read_pairs(&transaction, &mappings, &mut loaded)?;
    read_servers(&transaction, &mappings, &mut loaded)?;
    Ok((clocks, last_commit, loaded))
}

fn read_histories(
    transaction: &ReadTransaction,
    mappings: &ClockMappings,
    present: &BootClock,
    loaded: &mut Loaded,
) -> Result<(), redb::Error> {
    let mut drafts = read_snapshots(transaction, mappings, present, loaded)?;
    read_deltas(transaction, mappings, present, &mut drafts, loaded)?;
    for (server, draft) in drafts {
        loaded.planner.note(
            server.clone(),
            &draft.history,
            draft.snapshot,
            draft.saved_at,
        );
        loaded.state.histories.insert(server, draft.history);
    }
    Ok(())
}

fn read_pairs(
    transaction: &ReadTransaction,
    mappings: &ClockMappings,
    loaded: &mut Loaded,
) -> Result<(), redb::Error> {
    for (key, row) in chunks(transaction, PAIRS)? {
        match rows::decode_pairs(&chunk_key(key), &row, mappings) {
            Ok(pairs) => loaded.state.pairs.extend(pairs),
            Err(why) => loaded
                .refused
                .refuse(format_args!("row {key} of the pairs"), &why),
        }
    }
    Ok(())
}

fn read_servers(
    transaction: &ReadTransaction,
    mappings: &ClockMappings,
    loaded: &mut Loaded,
) -> Result<(), redb::Error> {
    for (key, row) in chunks(transaction, SERVERS)? {
        match rows::decode_servers(&chunk_key(key), &row, mappings) {
            Ok(servers) => loaded.state.servers.extend(servers),
            Err(why) => loaded
                .refused
                .refuse(format_args!("row {key} of the servers"), &why),
        }
    }
    Ok(())
}

impl Refusals {
    /// Records a row that is left out, unless that is expected: rows that are too old are dropped
    /// without a warning, and a clock that went backwards was reported once.
    fn refuse(&mut self, what: impl Display, why: &RowError) {
        let is_expected = matches!(
            why,
            RowError::BootClock(ClockRefusal::Expired(_) | ClockRefusal::Backwards(_))
        );
        if !is_expected {
            self.note(what, why);
        }
    }
}

fn read_clocks(
    transaction: &ReadTransaction,
    present: &BootClock,
    loaded: &mut Loaded,
) -> Result<BTreeMap<u32, BootClock>, redb::Error> {
    let mut clocks = BTreeMap::new();
    for (number, row) in optional_chunks(transaction, CLOCKS)? {
        match rows::decode_clock(number, &row) {
            Ok(clock) => {
                if let Err(why @ ClockRefusal::Backwards(_)) = clock.mapping(present) {
                    loaded
                        .refused
                        .note("the state of another boot or machine", why);
                }
                clocks.insert(number, clock);
            }
            Err(why) => loaded.refused.note(format_args!("clock {number}"), why),
        }
    }
    Ok(clocks)
}

fn read_snapshots(
    transaction: &ReadTransaction,
    mappings: &ClockMappings,
    present: &BootClock,
    loaded: &mut Loaded,
) -> Result<HashMap<ServerAddr, Draft>, redb::Error> {
    let mut drafts = HashMap::new();
    for entry in transaction.open_table(SNAPSHOTS)?.iter()? {
        let (key, row) = entry?;
        let key = key.value();
        match read_snapshot(key, row.value(), mappings, present.anchor.mono) {
            Ok((server, draft)) => {
                drafts.insert(server, draft);
            }
            Err(why) => {
                let what = format_args!("the history of {key}");
                loaded.refused.refuse(what, &why);
                loaded.planner.note_unreadable(key.to_owned());
            }
        }
    }
    Ok(drafts)
}

fn read_snapshot(
    key: &str,
    row: &[u8],
    mappings: &ClockMappings,
    now: Timestamp,
) -> Result<(ServerAddr, Draft), RowError> {
    let server = ServerAddr::parse(key).map_err(|_| RowError::Malformed("key"))?;
    let snapshot = rows::decode_snapshot(&server, row, mappings)?;
    let age = now - snapshot.saved_at;
    if age > HORIZON {
        return Err(ClockRefusal::Expired(age).into());
    }
    let history = MasterHistory::restore(HistoryLimits::default(), snapshot.record, now)
        .map_err(|Contradiction| RowError::Malformed("table"))?;
    let draft = Draft {
        history,
        snapshot: snapshot.commit,
        saved_at: snapshot.saved_at,
    };
    Ok((server, draft))
}

fn read_deltas(
    transaction: &ReadTransaction,
    mappings: &ClockMappings,
    present: &BootClock,
    drafts: &mut HashMap<ServerAddr, Draft>,
    loaded: &mut Loaded,
) -> Result<(), redb::Error> {
    for entry in transaction.open_table(DELTAS)?.iter()? {
        let (key, row) = entry?;
        let (commit, number) = key.value();
        let deltas = match rows::decode_deltas(&delta_key(commit, number), row.value(), mappings) {
            Ok(deltas) => deltas,
            Err(why) => {
                let what = format_args!("row {number} of commit {commit}");
                loaded.refused.refuse(what, &why);
                continue;
            }
        };
        for (server, delta) in deltas {
            let Some(draft) = drafts.get_mut(&server) else {
                continue;
            };
            if let Err(why) = draft.extend(commit, delta, present.anchor.mono) {
                let what = format_args!("the history of {server}");
                loaded.refused.note(what, why);
                drafts.remove(&server);
            }
        }
    }
    Ok(())
}

impl Draft {
    /// Adds a delta of this commit, unless the snapshot contains it already or the delta is of
    /// another history, whose snapshot was never written.
    fn extend(
        &mut self,
        commit: u64,
        delta: DeltaRecord,
        now: Timestamp,
    ) -> Result<(), Contradiction> {
        if commit <= self.snapshot {
            return Ok(());
        }
        let newest = delta.current.plateaus.last();
        let sent = newest.map(|plateau| plateau.last_sent);
        let is_extended = self.history.extend(delta, now)?;
        if let Some(sent) = sent
            && is_extended
        {
            self.saved_at = self.saved_at.max(sent);
        }
        Ok(())
    }
}

/// The rows of a table that the first commit makes.
fn optional_chunks(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, u32, &[u8]>,
) -> Result<Vec<(u32, Vec<u8>)>, redb::Error> {
    match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
        _ => chunks(transaction, table),
    }
}

fn chunks(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, u32, &[u8]>,
) -> Result<Vec<(u32, Vec<u8>)>, redb::Error> {
    let mut rows = Vec::new();
    for entry in transaction.open_table(table)?.iter()? {
        let (key, row) = entry?;
        rows.push((key.value(), row.value().to_vec()));
    }
    Ok(rows)
}
