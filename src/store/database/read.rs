//! Reading everything back: each row by itself, so that one that is damaged takes nothing else
//! along.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{
    CLOCKS, DELTAS, LAST_COMMIT, Loaded, META, PAIRS, Refusals, SERVERS, SNAPSHOTS, chunk_key,
    documents, tail_key,
};
use crate::model::{ServerAddr, Timestamp};
use crate::replication::{Contradiction, HistoryLimits, MasterHistory};
use crate::store::clock_mapping::{BootClock, ClockMappings, ClockRefusal, HORIZON};
use crate::store::codec::RowError;
use crate::store::rows;
use crate::store::save_planner::SavePlanner;

/// A history in the making.
struct Draft {
    history: MasterHistory,
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
    let frames = ClockMappings::new(&clocks, present);
    let mut drafts = read_bases(&transaction, &frames, present, &mut loaded)?;
    read_tails(&transaction, &frames, present, &mut drafts, &mut loaded)?;
    for (server, draft) in drafts {
        loaded.planner.note(
            server.clone(),
            &draft.history,
            draft.snapshot,
            draft.saved_at,
        );
        loaded.state.histories.insert(server, draft.history);
    }
    for (key, row) in chunks(&transaction, PAIRS)? {
        let pairs = rows::decode_pairs(&chunk_key(key), &row, &frames);
        loaded.state.pairs.extend(taken(
            pairs,
            format_args!("row {key} of the pairs"),
            &mut loaded.refused,
        ));
    }
    for (key, row) in chunks(&transaction, SERVERS)? {
        let servers = rows::decode_servers(&chunk_key(key), &row, &frames);
        loaded.state.servers.extend(taken(
            servers,
            format_args!("row {key} of the servers"),
            &mut loaded.refused,
        ));
    }
    Ok((clocks, last_commit, loaded))
}

fn taken<T>(
    entries: Result<Vec<T>, RowError>,
    what: std::fmt::Arguments<'_>,
    refused: &mut Refusals,
) -> Vec<T> {
    entries.unwrap_or_else(|why| {
        refuse(refused, what, &why);
        Vec::new()
    })
}

/// What is too old is dropped without a warning, and a clock that went backwards was reported once.
fn refuse(refused: &mut Refusals, what: impl Display, why: &RowError) {
    if !matches!(
        why,
        RowError::BootClock(ClockRefusal::Expired(_) | ClockRefusal::Backwards(_))
    ) {
        refused.note(what, why);
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
                if let Err(why @ ClockRefusal::Backwards(_)) = clock.frame(present) {
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

fn read_bases(
    transaction: &ReadTransaction,
    frames: &ClockMappings,
    present: &BootClock,
    loaded: &mut Loaded,
) -> Result<HashMap<ServerAddr, Draft>, redb::Error> {
    let now = present.anchor.mono;
    let mut drafts = HashMap::new();
    for entry in transaction.open_table(SNAPSHOTS)?.iter()? {
        let (key, row) = entry?;
        match read_base(key.value(), row.value(), frames, now) {
            Ok((server, draft)) => drop(drafts.insert(server, draft)),
            Err(why) => {
                refuse(
                    &mut loaded.refused,
                    format_args!("the history of {}", key.value()),
                    &why,
                );
                loaded.planner.note_unreadable(key.value().to_owned());
            }
        }
    }
    Ok(drafts)
}

fn read_base(
    key: &str,
    row: &[u8],
    frames: &ClockMappings,
    now: Timestamp,
) -> Result<(ServerAddr, Draft), RowError> {
    let server = ServerAddr::parse(key).map_err(|_| RowError::Malformed("key"))?;
    let snapshot = rows::decode_snapshot(&server, row, frames)?;
    let age = now - snapshot.saved_at;
    if age > HORIZON {
        return Err(ClockRefusal::Expired(age).into());
    }
    let history = MasterHistory::restore(HistoryLimits::default(), snapshot.record, now)
        .map_err(|Contradiction| RowError::Malformed("table"))?;
    Ok((
        server,
        Draft {
            history,
            snapshot: snapshot.commit,
            saved_at: snapshot.saved_at,
        },
    ))
}

fn read_tails(
    transaction: &ReadTransaction,
    frames: &ClockMappings,
    present: &BootClock,
    drafts: &mut HashMap<ServerAddr, Draft>,
    loaded: &mut Loaded,
) -> Result<(), redb::Error> {
    let now = present.anchor.mono;
    for entry in transaction.open_table(DELTAS)?.iter()? {
        let (key, row) = entry?;
        let (commit, number) = key.value();
        let what = format_args!("row {number} of commit {commit}").to_string();
        let deltas = rows::decode_deltas(&tail_key(commit, number), row.value(), frames);
        for (server, delta) in taken(deltas, format_args!("{what}"), &mut loaded.refused) {
            let Some(draft) = drafts
                .get_mut(&server)
                .filter(|draft| draft.snapshot < commit)
            else {
                continue;
            };
            let saved_at = delta
                .current
                .plateaus
                .last()
                .map_or(draft.saved_at, |p| p.last_sent);
            match draft.history.extend(delta, now) {
                Ok(true) => draft.saved_at = draft.saved_at.max(saved_at),
                Ok(false) => {} // it belongs to another history, whose snapshot came to nothing
                Err(why) => {
                    loaded
                        .refused
                        .note(format_args!("the history of {server}"), why);
                    drafts.remove(&server);
                }
            }
        }
    }
    Ok(())
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
