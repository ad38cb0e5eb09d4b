//! Which files there are, and the signs by which a changed one is recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::failure;
use crate::clock;
use crate::config::FilePattern;
use crate::model::Span;
use crate::topology::{FileFailure, FileFault};

/// The most files of one glob.
const MAX_FILES: usize = 1000;

/// A file that was modified so recently may be modified again without another time: kernels take
/// that time from a clock that ticks every few milliseconds, and some file systems in whole
/// seconds.
const GRAIN: Span = Span::from_secs(2);

/// Every file that the patterns stand for, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Listing {
    /// By path; those of which nothing can be known have a reason.
    pub(super) files: BTreeMap<PathBuf, Result<Stamp, FileFailure>>,
    /// Patterns whose folder cannot be listed.
    pub(super) unlisted: BTreeMap<FilePattern, FileFailure>,
}

/// The signs by which a changed file is recognised.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stamp {
    /// Seconds and nanoseconds of the last change of its content.
    modified: (i64, i64),
    /// The same of its node.
    changed: (i64, i64),
    length: u64,
    node: (u64, u64),
}

impl Stamp {
    fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
            node: (metadata.dev(), metadata.ino()),
        }
    }

    /// Whether the file was modified just now.
    pub(super) fn is_fresh(&self) -> bool {
        let (seconds, nanos) = self.modified;
        let modified = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        let age = clock::wall_now().as_nanos().saturating_sub(modified);
        // A time in the future is another clock's: it says nothing, and must not last for years.
        (0..GRAIN.as_nanos()).contains(&age)
    }
}

impl Listing {
    /// Lists the files of `patterns`. Blocks.
    pub(super) fn take(patterns: &[FilePattern]) -> Self {
        let mut listing = Self::default();
        for pattern in patterns {
            if pattern.is_glob() {
                listing.add_glob(pattern);
            } else {
                listing.add_file(pattern);
            }
        }
        listing
    }

    fn add_file(&mut self, pattern: &FilePattern) {
        let path = pattern.path();
        let stamp = match fs::metadata(&path) {
            Ok(metadata) => Ok(Stamp::from_metadata(&metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let sentence = "the file does not exist: create it, or take it out of \
                                discovery.files";
                Err(failure(FileFault::Missing, sentence.to_owned()))
            }
            Err(error) => Err(unreadable(&error)),
        };
        self.files.insert(path, stamp);
    }

    fn add_glob(&mut self, pattern: &FilePattern) {
        let names = match matching(pattern) {
            Ok(names) => names,
            Err(error) => {
                let sentence = format!("the folder cannot be listed: {error}");
                let failure = failure(FileFault::Unreadable, sentence);
                self.unlisted.insert(pattern.clone(), failure);
                return;
            }
        };
        if names.left_out > 0 {
            let left_out = names.left_out;
            let sentence = format!(
                "{left_out} files beyond the first {MAX_FILES} are not read: put several pairs \
                 into one file"
            );
            let failure = failure(FileFault::TooMany, sentence);
            self.files.insert(pattern.path(), Err(failure));
        }
        for name in names.first {
            self.add_found(pattern.folder.join(name));
        }
    }

    /// Adds a file of a glob; one that has just been removed is none.
    fn add_found(&mut self, path: PathBuf) {
        match stamp(&path) {
            Ok(Some(stamp)) => {
                self.files.insert(path, Ok(stamp));
            }
            Ok(None) => {}
            Err(error) => {
                self.files.insert(path, Err(unreadable(&error)));
            }
        }
    }
}

/// The stamp of the file; `None` for what is no file, or no longer there.
fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(metadata) => Ok(Some(Stamp::from_metadata(&metadata))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(error: &io::Error) -> FileFailure {
    failure(
        FileFault::Unreadable,
        format!("the file cannot be read: {error}"),
    )
}

/// The names in a folder that match, up to the limit.
struct Names {
    first: BTreeSet<OsString>,
    left_out: usize,
}

fn matching(pattern: &FilePattern) -> io::Result<Names> {
    let mut names = Names {
        first: BTreeSet::new(),
        left_out: 0,
    };
    for entry in fs::read_dir(&pattern.folder)? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(|name| pattern.matches(name)) {
            continue;
        }
        names.first.insert(name);
        if names.first.len() > MAX_FILES {
            // The order of a folder is any; which files are read must not depend on it.
            names.first.pop_last();
            names.left_out += 1;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_files_of_a_glob_is_bounded_and_the_first_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_FILES + 2 {
            fs::write(folder.path().join(format!("{number:05}.yml")), "[]").unwrap();
        }
        let pattern = FilePattern {
            folder: folder.path().to_owned(),
            name: "*.yml".to_owned(),
        };
        let listing = Listing::take(std::slice::from_ref(&pattern));
        assert_eq!(listing.files.len(), MAX_FILES + 1);
        assert!(!listing.files.contains_key(&folder.path().join("01001.yml")));
        let Some(Err(failure)) = listing.files.get(&pattern.path()) else {
            panic!("the glob has no failure");
        };
        assert_eq!(failure.fault, FileFault::TooMany);
        assert!(failure.sentence.starts_with("2 files beyond"));
    }
}
