//! The tables of documents: JSON bodies under keys, which only the rooms that wrote them
//! understand.

use std::collections::BTreeMap;

use redb::{
    ReadTransaction, ReadableTable, ReadableTableMetadata, Table as Opened, TableDefinition,
    TableError, WriteTransaction,
};

use super::Refusals;
use crate::model::{
    ClockShift, Document, DocumentTable, SavedDocument, SavedDocuments, Span, WallTime, history_key,
};
use crate::store::clock_mapping::BootClock;
use crate::store::codec::RowError;
use crate::store::rows;

/// Entries that each history keeps on the disk. At half a kibibyte each that is 5 MiB, and enough
/// for a night full of incidents.
pub const MAX_HISTORY: u64 = 10_000;

/// How long a history's entries are kept.
pub const HISTORY_KEPT: Span = Span::from_secs(30 * 24 * 3600);

/// Entries of each history that are read at the start, the newest: what the API shows.
pub const HISTORY_READ: usize = 1_000;

const fn definition(table: DocumentTable) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(table.label())
}

/// Makes the tables that are not there yet: the steps from schema 1 and 3.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    for table in DocumentTable::ALL {
        transaction.open_table(definition(table))?;
    }
    Ok(())
}

/// The step from schema 2: failovers are kept, and the journal takes the place of a history of
/// alerts alone.
pub(super) fn renew(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let transitions: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("transitions");
    transaction.delete_table(transitions)?;
    create(transaction)
}

/// Writes `documents`. With `replaces_all` they are all documents: every other one, left by an
/// earlier process, is deleted, except in tables that are written in parts.
pub(super) fn write(
    transaction: &WriteTransaction,
    clock: u32,
    documents: &[Document],
    replaces_all: bool,
    now: WallTime,
) -> Result<u64, redb::Error> {
    let mut bytes = 0;
    for kind in DocumentTable::ALL {
        let of_kind: Vec<_> = documents
            .iter()
            .filter(|document| document.table == kind)
            .collect();
        let clears = replaces_all && !kind.is_written_in_parts();
        if of_kind.is_empty() && !clears {
            continue;
        }
        let mut table = transaction.open_table(definition(kind))?;
        if clears {
            table.retain(|_, _| false)?;
        }
        for document in of_kind {
            bytes += write_one(&mut table, clock, document)?;
        }
        if kind.is_history() {
            trim(&mut table, now)?;
        }
    }
    Ok(bytes)
}

fn write_one(
    table: &mut Opened<'_, &'static str, &'static [u8]>,
    clock: u32,
    document: &Document,
) -> Result<u64, redb::Error> {
    let key = document.key.as_str();
    let Some(body) = &document.body else {
        table.remove(key)?;
        return Ok(0);
    };
    let row = rows::encode_document(clock, key, body);
    table.insert(key, &*row)?;
    Ok(row.len() as u64)
}

/// Drops the entries that are too old and, if there are still too many, the oldest ones.
fn trim(
    table: &mut Opened<'_, &'static str, &'static [u8]>,
    now: WallTime,
) -> Result<(), redb::Error> {
    let oldest = WallTime::from_nanos(now.as_nanos().saturating_sub(HISTORY_KEPT.as_nanos()));
    table.retain_in(..&*history_key(oldest, 0), |_, _| false)?;
    while table.len()? > MAX_HISTORY {
        table.pop_first()?;
    }
    Ok(())
}

/// Reads every document; of a history the newest. A row that is not valid is left out, with a
/// sentence.
pub(super) fn read(
    transaction: &ReadTransaction,
    clocks: &BTreeMap<u32, BootClock>,
    present: &BootClock,
    refused: &mut Refusals,
) -> Result<SavedDocuments, redb::Error> {
    let mut documents = SavedDocuments::new();
    for kind in DocumentTable::ALL {
        let table = match transaction.open_table(definition(kind)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut read = Vec::new();
        let limit = if kind.is_history() {
            HISTORY_READ
        } else {
            usize::MAX
        };
        for entry in table.iter()?.rev().take(limit) {
            let (key, row) = entry?;
            match read_one(key.value(), row.value(), clocks, present) {
                Ok(document) => read.push(document),
                // Without the key, which may contain a name that does not belong into the log.
                Err(why) => {
                    let what = format_args!("a document of the table {}", kind.label());
                    refused.note(what, why);
                }
            }
        }
        read.reverse();
        documents.insert(kind, read);
    }
    Ok(documents)
}

fn read_one(
    key: &str,
    row: &[u8],
    clocks: &BTreeMap<u32, BootClock>,
    present: &BootClock,
) -> Result<SavedDocument, RowError> {
    let (clock, body) = rows::decode_document(key, row)?;
    let shift = match clocks.get(&clock) {
        Some(clock) => clock.shift(present),
        None => unknown_shift(present),
    };
    Ok(SavedDocument {
        key: key.to_owned(),
        body,
        shift,
    })
}

/// The shift of a clock that is not in the file: its instants are taken as of now.
fn unknown_shift(present: &BootClock) -> ClockShift {
    ClockShift {
        by: Span::from_nanos(i64::MAX),
        ago: Span::ZERO,
        now: present.anchor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::testing::{clock, clock_of};
    use crate::store::{Database, Save};

    fn put(table: DocumentTable, key: &str) -> Document {
        Document::put(table, key, format!("{{\"of\":\"{key}\"}}"))
    }

    fn save(documents: Vec<Document>) -> Save {
        Save {
            anchor: clock(0).anchor,
            lag: None,
            documents,
            replaces_all: false,
        }
    }

    fn keys(database: &mut Database, table: DocumentTable) -> Vec<String> {
        let mut loaded = database.load(clock(0)).unwrap();
        loaded
            .documents
            .remove(&table)
            .unwrap_or_default()
            .into_iter()
            .map(|document| document.key)
            .collect()
    }

    #[test]
    fn documents_are_written_changed_and_deleted_in_one_commit() {
        let (mut database, loaded) = Database::in_memory(clock(0)).unwrap();
        assert!(loaded.documents.values().all(Vec::is_empty));
        database
            .commit(&save(vec![
                put(DocumentTable::Alerts, "a"),
                put(DocumentTable::Alerts, "b"),
                put(DocumentTable::Outbox, "a"),
            ]))
            .unwrap();
        let changed = Document::put(DocumentTable::Alerts, "b", "2".to_owned());
        database
            .commit(&save(vec![
                changed,
                Document::delete(DocumentTable::Alerts, "a"),
            ]))
            .unwrap();
        let loaded = database.load(clock(0)).unwrap();
        let alerts = &loaded.documents[&DocumentTable::Alerts];
        assert_eq!(
            (alerts.len(), &*alerts[0].key, &*alerts[0].body),
            (1, "b", "2")
        );
        assert_eq!(keys(&mut database, DocumentTable::Outbox), ["a"]);
    }

    #[test]
    fn a_save_that_replaces_all_leaves_only_the_histories() {
        let (mut database, _) = Database::in_memory(clock(0)).unwrap();
        let old = history_key(clock(0).anchor.wall, 1);
        database
            .commit(&save(vec![
                put(DocumentTable::Alerts, "a"),
                put(DocumentTable::Outbox, "b"),
                put(DocumentTable::Deliveries, &old),
            ]))
            .unwrap();
        let replacing = Save {
            replaces_all: true,
            ..save(vec![put(DocumentTable::Alerts, "c")])
        };
        database.commit(&replacing).unwrap();
        let tables = [
            DocumentTable::Alerts,
            DocumentTable::Outbox,
            DocumentTable::Deliveries,
        ]
        .map(|table| keys(&mut database, table));
        assert_eq!(tables, [vec!["c".to_owned()], vec![], vec![old]]);
    }

    #[test]
    fn a_history_is_bounded_in_number_and_age() {
        let (mut database, _) = Database::in_memory(clock(0)).unwrap();
        let wall = |secs: i64| {
            WallTime::from_nanos(clock(0).anchor.wall.as_nanos() + secs * 1_000_000_000)
        };
        let entry = |n: u64| put(DocumentTable::Deliveries, &history_key(wall(0), n));
        database
            .commit(&save(vec![put(
                DocumentTable::Deliveries,
                &history_key(wall(-31 * 86_400), 0),
            )]))
            .unwrap();
        assert_eq!(
            keys(&mut database, DocumentTable::Deliveries),
            [""; 0],
            "too old"
        );
        database
            .commit(&save((0..MAX_HISTORY + 5).map(entry).collect()))
            .unwrap();
        let kept = keys(&mut database, DocumentTable::Deliveries);
        assert_eq!(
            (kept.len(), kept.last()),
            (HISTORY_READ, Some(&history_key(wall(0), MAX_HISTORY + 4)))
        );
        let transaction = redb::ReadableDatabase::begin_read(&database.file).unwrap();
        assert_eq!(
            transaction
                .open_table(definition(DocumentTable::Deliveries))
                .unwrap()
                .len()
                .unwrap(),
            MAX_HISTORY
        );
    }

    #[test]
    fn instants_are_exact_in_the_same_boot_and_placed_by_the_wall_clock_elsewhere() {
        let (mut database, _) = Database::in_memory(clock(0)).unwrap();
        database
            .commit(&save(vec![put(DocumentTable::Alerts, "a")]))
            .unwrap();
        let at = |secs: i64| Timestamp::from_nanos(secs * 1_000_000_000);
        for (present, read) in [
            (clock_of(1, 50, 9_000_000), -10), // the same boot, and a wall clock that jumped
            (clock_of(2, 7, 50), 7 - 60),
            (clock_of(2, 7, -500), 7 - 10), // backwards: as if no time had passed
            (clock_of(2, 7, 10 * 86_400), 7 - 864_010), // older than the lag history lives
        ] {
            let loaded = database.load(present).unwrap();
            let shift = loaded.documents[&DocumentTable::Alerts][0].shift;
            assert_eq!(shift.past(at(-10)), at(read), "{present:?}");
        }
    }
}
