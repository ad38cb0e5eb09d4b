//! The version of the file's tables, and the migration from older versions.

use std::path::Path;

use redb::{ReadableDatabase, WriteTransaction};

use super::{META, StoreError, documents, using};

/// The schema that this program writes.
pub const SCHEMA: u64 = 4;

const KEY: &str = "schema";

/// One step from a schema to the next: changes the tables within the transaction.
pub(super) type Migration = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The steps from schema 1 to 2, 2 to 3, ...
const STEPS: &[Migration] = &[documents::create, documents::renew, documents::create];

/// Makes sure that the file has this program's schema: a new file gets it, an older one is migrated
/// in one commit.
pub(super) fn settle(file: &redb::Database, path: &Path) -> Result<(), StoreError> {
    settle_with(file, path, STEPS)
}

/// The same with these steps, which lead to schema `1 + steps.len()`.
pub(super) fn settle_with(
    file: &redb::Database,
    path: &Path,
    steps: &[Migration],
) -> Result<(), StoreError> {
    let known = 1 + steps.len() as u64;
    let found = read(file).map_err(|why| using(path, why))?;
    let done = match found {
        None => 0,
        Some(found) if found == known => return Ok(()),
        Some(found) if found > known => {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found,
                known,
            });
        }
        Some(0) => {
            return Err(StoreError::Corrupt {
                path: path.to_owned(),
                why: "it has schema 0".to_owned(),
            });
        }
        Some(found) => usize::try_from(found - 1).unwrap_or(usize::MAX),
    };
    let steps = steps.iter().skip(done);
    migrate(file, steps, known).map_err(|why| using(path, why))
}

fn read(file: &redb::Database) -> Result<Option<u64>, redb::Error> {
    match file.begin_read()?.open_table(META) {
        Ok(table) => Ok(table.get(KEY)?.map(|schema| schema.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn migrate<'a>(
    file: &redb::Database,
    steps: impl Iterator<Item = &'a Migration>,
    to: u64,
) -> Result<(), redb::Error> {
    let transaction = file.begin_write()?;
    for step in steps {
        step(&transaction)?;
    }
    transaction.open_table(META)?.insert(KEY, to)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::ReadableTable;

    fn file() -> redb::Database {
        redb::Database::builder()
            .create_with_backend(redb::backends::InMemoryBackend::new())
            .unwrap()
    }

    fn mark(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let count = transaction
            .open_table(META)?
            .get("steps")?
            .map_or(0, |n| n.value());
        transaction.open_table(META)?.insert("steps", count + 1)?;
        Ok(())
    }

    fn steps_taken(file: &redb::Database) -> Option<u64> {
        file.begin_read()
            .unwrap()
            .open_table(META)
            .unwrap()
            .get("steps")
            .unwrap()
            .map(|n| n.value())
    }

    #[test]
    fn an_older_file_is_migrated_by_the_missing_steps_only() {
        let (file, path) = (file(), Path::new("x"));
        settle_with(&file, path, &[]).unwrap();
        assert_eq!(read(&file).unwrap(), Some(1));
        settle_with(&file, path, &[mark]).unwrap();
        assert_eq!(
            (read(&file).unwrap(), steps_taken(&file)),
            (Some(2), Some(1))
        );
        settle_with(&file, path, &[mark, mark, mark]).unwrap();
        settle_with(&file, path, &[mark, mark, mark]).unwrap();
        assert_eq!(
            (read(&file).unwrap(), steps_taken(&file)),
            (Some(4), Some(3))
        );
    }

    #[test]
    fn a_newer_file_is_refused_with_a_sentence() {
        let (file, path) = (file(), Path::new("x"));
        settle_with(&file, path, &[mark, mark, mark, mark]).unwrap();
        let error = settle(&file, path).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x was written by a newer version of this program (schema 5; this one knows 4) and is left as it is; run \
             that version, or give another state.path"
        );
        assert_eq!(read(&file).unwrap(), Some(5));
    }

    #[test]
    fn a_file_of_schema_1_keeps_its_content_and_gets_the_document_tables() {
        let (file, path) = (file(), Path::new("x"));
        settle_with(&file, path, &[]).unwrap();
        let transaction = file.begin_write().unwrap();
        transaction
            .open_table(META)
            .unwrap()
            .insert("commit", 41)
            .unwrap();
        transaction.commit().unwrap();
        settle(&file, path).unwrap();
        let tables = file.begin_read().unwrap().list_tables().unwrap().count();
        let commit = file
            .begin_read()
            .unwrap()
            .open_table(META)
            .unwrap()
            .get("commit")
            .unwrap()
            .map(|n| n.value());
        assert_eq!(
            (tables, commit),
            (1 + crate::model::DocumentTable::ALL.len(), Some(41))
        );
    }

    #[test]
    fn a_file_of_schema_2_loses_the_obsolete_history_of_alerts() {
        let (file, path) = (file(), Path::new("x"));
        settle_with(&file, path, &STEPS[..1]).unwrap();
        let transaction = file.begin_write().unwrap();
        let transitions: redb::TableDefinition<'_, &str, &[u8]> =
            redb::TableDefinition::new("transitions");
        transaction
            .open_table(transitions)
            .unwrap()
            .insert("x", &[][..])
            .unwrap();
        transaction.commit().unwrap();
        settle(&file, path).unwrap();
        let tables = file.begin_read().unwrap().list_tables().unwrap().count();
        assert_eq!(tables, 1 + crate::model::DocumentTable::ALL.len());
        assert!(file.begin_read().unwrap().open_table(transitions).is_err());
    }

    #[test]
    fn there_is_a_step_for_each_older_schema() {
        assert_eq!(SCHEMA, 1 + STEPS.len() as u64);
    }
}
