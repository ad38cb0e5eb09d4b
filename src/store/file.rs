//! Opens the state's file in its folder. A damaged file is moved aside and a new one is begun.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::clock_mapping::BootClock;
use super::database::{Database, Loaded};
use super::error::StoreError;

/// The database's name in the folder.
const FILE: &str = "state.redb";

/// How many damaged files are kept. A disk that damages more of them must not be filled with them.
const DAMAGED_KEPT: usize = 3;

/// An open file, and what was found when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) loaded: Loaded,
    /// The damaged file that was in its place, under its new name, and what was wrong with it.
    pub(super) set_aside: Option<(PathBuf, String)>,
}

/// Opens the database in `folder`, or makes both. A damaged file is moved out of the way and a new
/// one begun.
pub(super) fn open(folder: &Path, present: BootClock) -> Result<Opened, StoreError> {
    let path = folder.join(FILE);
    make(folder, &path).map_err(|why| StoreError::Place {
        path: path.clone(),
        why,
    })?;
    let try_open = || guarded(&path, || Database::open(&path, present));
    let damage = match try_open() {
        Ok((database, loaded)) => {
            return Ok(Opened {
                database,
                loaded,
                set_aside: None,
            });
        }
        Err(StoreError::Corrupt { why, .. }) => why,
        Err(other) => return Err(other),
    };
    let aside = set_aside(&path, present).map_err(|error| StoreError::Stuck {
        path: path.clone(),
        damage: damage.clone(),
        why: error.to_string(),
    })?;
    let (database, loaded) = try_open()?;
    Ok(Opened {
        database,
        loaded,
        set_aside: Some((aside, damage)),
    })
}

/// Runs `work` on the database at `path`. It should not panic whatever the file contains; if it
/// does, the file is taken to be damaged.
pub(super) fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let panic = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => return result,
        Err(panic) => panic,
    };
    let message = if let Some(message) = panic.downcast_ref::<String>() {
        message.as_str()
    } else if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else {
        "no reason given"
    };
    Err(StoreError::Corrupt {
        path: path.to_owned(),
        why: format!("the database gave up on it: {message}"),
    })
}

/// Makes the folder and the file, for this program's user alone.
fn make(folder: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Renames a damaged file: its data is the operator's, not ours to delete.
fn set_aside(path: &Path, present: BootClock) -> io::Result<PathBuf> {
    let name = format!("{FILE}.corrupt-");
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut kept = 0;
    for entry in std::fs::read_dir(folder)? {
        kept += usize::from(entry?.file_name().to_string_lossy().starts_with(&name));
    }
    if kept >= DAMAGED_KEPT {
        return Err(io::Error::other(format!(
            "{kept} damaged files are in the folder already"
        )));
    }
    let seconds = present.anchor.wall.as_nanos() / 1_000_000_000;
    let mut aside = folder.join(format!("{name}{seconds}"));
    let mut attempt = 0;
    while aside.exists() {
        attempt += 1;
        if attempt > 100 {
            return Err(io::Error::other("no name is free for it"));
        }
        aside = folder.join(format!("{name}{seconds}-{attempt}"));
    }
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{clock, pair_key, saved_pair};
    use std::os::unix::fs::PermissionsExt;

    fn open_in(folder: &Path) -> Result<Opened, StoreError> {
        open(folder, clock(0))
    }

    /// A folder with a file that holds one pair.
    fn filled() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut opened = open_in(&data).unwrap();
        opened.database.commit(&saved_pair().into()).unwrap();
        drop(opened);
        let file = data.join(FILE);
        (folder, file)
    }

    #[test]
    fn the_folder_is_private_and_the_file_can_be_opened_again() {
        let (_folder, file) = filled();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        let opened = open_in(file.parent().unwrap()).unwrap();
        assert!(opened.loaded.state.pairs.contains_key(&pair_key()) && opened.set_aside.is_none());
    }

    #[test]
    fn a_file_cannot_be_opened_twice() {
        let (_folder, file) = filled();
        let first = open_in(file.parent().unwrap()).unwrap();
        let error = open_in(file.parent().unwrap()).unwrap_err();
        let expected = format!(
            "{} is in use by another exporter: give each its own state.path",
            file.display()
        );
        assert_eq!(error.to_string(), expected);
        drop(first);
        assert!(open_in(file.parent().unwrap()).is_ok());
    }

    fn damaged(whole: &[u8], how: usize) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        match how {
            0 => bytes.reverse(),
            1 => bytes.truncate(whole.len() / 3),
            _ => bytes
                .iter_mut()
                .skip(4096)
                .step_by(2)
                .for_each(|byte| *byte ^= 0xff),
        }
        bytes
    }

    #[test]
    fn a_damaged_file_is_kept_under_another_name_and_a_new_one_begun() {
        let (_folder, file) = filled();
        let whole = std::fs::read(&file).unwrap();
        for n in 0..DAMAGED_KEPT {
            let bytes = damaged(&whole, n);
            std::fs::write(&file, &bytes).unwrap();
            let opened = open_in(file.parent().unwrap()).unwrap();
            let (aside, why) = opened
                .set_aside
                .unwrap_or_else(|| panic!("case {n} was taken"));
            assert_eq!(std::fs::read(aside).unwrap(), bytes, "case {n}: {why}");
            assert!(opened.loaded.state.pairs.is_empty());
        }
        std::fs::write(&file, b"not a database at all").unwrap();
        let error = open_in(file.parent().unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("3 damaged files are in the folder already; move it away"),
            "{error}"
        );
        assert_eq!(std::fs::read(&file).unwrap(), b"not a database at all");
    }

    #[test]
    fn the_error_about_a_folder_has_its_path_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("file");
        std::fs::write(&taken, "").unwrap();
        let error = open_in(&taken.join("data")).unwrap_err().to_string();
        assert!(
            error.contains("file/data/state.redb cannot be made or opened for writing: "),
            "{error}"
        );
        assert!(
            error.ends_with("writable to the user of this program, or give another one"),
            "{error}"
        );
    }
}
