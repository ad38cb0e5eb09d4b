//! The folder of lost writes: which files are there, and what a person has dealt with.
//!
//! The folder is the only record of captures: it needs no database, and outlives restarts.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::file::{blocking, sha256_of, write_whole};
use crate::lost_writes::{DoneMark, LostWritesHeader, UnsharedTail};
use crate::model::{PairName, ServerAddr};

/// The most descriptions that are read of one folder: the newest.
const MAX_FILES: usize = 500;

/// The longest description: one with a thousand keys of 256 escaped characters is shorter.
const MAX_HEADER_BYTES: u64 = 4 * 1024 * 1024;

/// The longest part of a file's name that comes from a pair or an address.
const MAX_NAME_PART: usize = 80;

/// A file of lost writes in the folder.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFile {
    /// The file with the commands.
    pub path: PathBuf,
    /// Its description.
    pub header: LostWritesHeader,
}

impl StoredFile {
    /// Whether the file is what its description says, byte for byte.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn is_intact(&self) -> io::Result<bool> {
        Ok(sha256_of(&self.path).await? == self.header.sha256)
    }
}

/// The name of the file for a tail: the same for the same divergence, across restarts.
pub(super) fn file_name(pair: &PairName, deposed: &ServerAddr, tail: &UnsharedTail) -> String {
    let history = tail.history.as_str().get(..8).unwrap_or_default();
    let pair = safe(pair.as_str());
    let deposed = safe(&deposed.to_string());
    format!("{pair}-{deposed}-{history}-{}.aof", tail.first)
}

/// `text` as a part of a file's name.
pub(super) fn safe(text: &str) -> String {
    let shown = |c: char| {
        if c.is_ascii_alphanumeric() || "-.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = text.chars().take(MAX_NAME_PART).map(shown).collect();
    name.trim_start_matches('.').to_owned()
}

/// The name of the description of the file `name`.
fn header_name(name: &str) -> String {
    format!("{name}.json")
}

/// Every file of the folder, by name. A folder that is missing has none; a description that cannot
/// be read, or whose file is gone, counts as not there.
///
/// # Errors
/// The folder cannot be read.
pub async fn stored_files(folder: &Path) -> io::Result<Vec<StoredFile>> {
    let folder = folder.to_owned();
    blocking(move || list(&folder)).await
}

fn list(folder: &Path) -> io::Result<Vec<StoredFile>> {
    // People read the path elsewhere: in an alert, or on the page.
    let folder = std::path::absolute(folder)?;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut by_age = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.extension() == Some(OsStr::new("json")) {
            let changed = entry.metadata().and_then(|file| file.modified()).ok();
            by_age.push((changed, path));
        }
    }
    by_age.sort();
    let newest = by_age.into_iter().rev().take(MAX_FILES);
    let mut paths: Vec<PathBuf> = newest.map(|(_, path)| path).collect();
    paths.sort();
    Ok(paths.iter().filter_map(|path| stored(path)).collect())
}

/// The file that the description at `path` is about.
fn stored(path: &Path) -> Option<StoredFile> {
    let header = read_header(path).ok()?;
    let file = path.parent()?.join(Path::new(&header.file).file_name()?);
    file.is_file().then_some(StoredFile { path: file, header })
}

fn read_header(path: &Path) -> io::Result<LostWritesHeader> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_HEADER_BYTES)
        .read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// The description of the file `name`, if both are there.
pub(super) async fn stored_file(folder: &Path, name: &str) -> Option<StoredFile> {
    let path = folder.join(header_name(name));
    let found = blocking(move || Ok(stored(&path))).await;
    found.ok().flatten()
}

/// Writes the description of a file beside it.
pub(super) async fn write_header(folder: &Path, header: &LostWritesHeader) -> io::Result<PathBuf> {
    let text = serde_json::to_string_pretty(header)? + "\n";
    write_whole(folder, &header_name(&header.file), text).await
}

/// Marks the file at `path`, or its description, as dealt with: it is no longer shown.
///
/// # Errors
/// There is no such file, or its description cannot be written.
pub async fn mark_done(path: &Path, mark: DoneMark) -> io::Result<StoredFile> {
    let description = if path.extension() == Some(OsStr::new("json")) {
        path.to_owned()
    } else {
        PathBuf::from(format!("{}.json", path.display()))
    };
    let read = description.clone();
    let mut header = blocking(move || read_header(&read)).await?;
    header.done = Some(mark);
    let folder = description.parent().unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    write_header(folder, &header).await?;
    Ok(StoredFile {
        path: folder.join(&header.file),
        header,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lost_writes::testing::header;
    use crate::model::{ReplicationId, ReplicationOffset};

    #[test]
    fn a_file_name_is_safe_and_the_same_for_the_same_tail() {
        let tail = UnsharedTail {
            history: ReplicationId::parse(&"ab".repeat(20)).unwrap(),
            first: ReplicationOffset::new(100),
            last: ReplicationOffset::new(200),
        };
        let name = |pair: &str, addr: &str| {
            let addr = ServerAddr::parse(addr).unwrap();
            file_name(&PairName::new(pair), &addr, &tail)
        };
        assert_eq!(
            name("orders", "10.1.0.1:6379"),
            "orders-10.1.0.1_6379-abababab-100.aof"
        );
        assert_eq!(
            name("../a b\n", "unix:///r.sock"),
            "_a_b_-unix____r.sock-abababab-100.aof"
        );
        assert!(name(&"x".repeat(5000), "h:1").len() < 255);
    }

    #[tokio::test]
    async fn files_are_listed_until_they_are_gone_and_can_be_marked() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert_eq!(stored_files(&missing).await.unwrap(), []);
        write_header(folder.path(), &header()).await.unwrap();
        assert_eq!(
            stored_files(folder.path()).await.unwrap(),
            [],
            "without its file"
        );
        let file = folder.path().join("orders.aof");
        std::fs::write(&file, b"").unwrap();
        std::fs::write(folder.path().join("other.json"), b"{}").unwrap();
        let stored = stored_files(folder.path()).await.unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!((&stored[0].path, &stored[0].header), (&file, &header()));
        let mark = DoneMark {
            timestamp: 1.0,
            by: "ops".to_owned(),
            comment: "replayed".to_owned(),
        };
        for path in [file.clone(), folder.path().join("orders.aof.json")] {
            mark_done(&path, mark.clone()).await.unwrap();
            let stored = stored_files(folder.path()).await.unwrap();
            assert_eq!(stored[0].header.done, Some(mark.clone()));
        }
        mark_done(&missing, mark).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_file_that_is_not_what_its_description_says_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut header = header();
        header.sha256 =
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let stored = StoredFile {
            path: folder.path().join("x.aof"),
            header,
        };
        stored.is_intact().await.unwrap_err();
        for (content, is_intact) in [("abc", true), ("abd", false), ("", false)] {
            std::fs::write(&stored.path, content).unwrap();
            assert_eq!(stored.is_intact().await.unwrap(), is_intact, "{content}");
        }
    }

    #[tokio::test]
    async fn a_folder_of_many_files_is_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let text = serde_json::to_string(&header()).unwrap();
        std::fs::write(folder.path().join("orders.aof"), b"").unwrap();
        for number in 0..MAX_FILES + 20 {
            std::fs::write(folder.path().join(format!("{number}.json")), &text).unwrap();
        }
        let stored = stored_files(folder.path()).await.unwrap();
        assert_eq!(stored.len(), MAX_FILES);
        let huge = folder.path().join("huge.json");
        let room = usize::try_from(MAX_HEADER_BYTES).unwrap();
        std::fs::write(&huge, format!("{}{text}", " ".repeat(room))).unwrap();
        assert_eq!(super::stored(&huge), None);
    }
}
