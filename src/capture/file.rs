//! A file of commands: written under a temporary name, for this program's user alone, and given its
//! name when it is on the disk.
//!
//! All of it runs on threads for blocking work: a disk that hangs delays nobody else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

/// How much of a file is read at once.
const CHUNK: usize = 64 * 1024;

/// A file that is being written. Dropped before [`Self::finish`], it leaves nothing behind.
pub(super) struct PendingFile {
    folder: PathBuf,
    name: String,
    temporary: Option<PathBuf>,
    file: File,
    hash: Context,
    bytes: u64,
}

/// A file that is on the disk under its name.
pub(super) struct FinishedFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    hash: Context,
}

impl FinishedFile {
    /// Its SHA-256 in hexadecimal digits.
    pub(super) fn sha256(&self) -> String {
        hex(self.hash.clone())
    }
}

impl PendingFile {
    /// Begins the file `name` in `folder`, which is made if it is missing.
    pub(super) async fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let folder = folder.to_owned();
        let name = name.to_owned();
        blocking(move || Self::create_now(folder, name)).await
    }

    fn create_now(folder: PathBuf, name: String) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
        // What an earlier attempt of this process left, whose thread was still busy.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .read(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        Ok(Self {
            folder,
            name,
            temporary: Some(temporary),
            file,
            hash: Context::new(&SHA256),
            bytes: 0,
        })
    }

    /// Begins a new file with the content of `before`, which it will replace.
    pub(super) async fn continuing(before: &FinishedFile) -> io::Result<Self> {
        let path = before.path.clone();
        let hash = before.hash.clone();
        let bytes = before.bytes;
        blocking(move || {
            let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
            let name = path.file_name().unwrap_or_default();
            let mut new = Self::create_now(folder, name.to_string_lossy().into_owned())?;
            new.bytes = io::copy(&mut File::open(&path)?, &mut new.file)?;
            new.hash = hash;
            if new.bytes != bytes {
                return Err(io::Error::other("it was changed by another program"));
            }
            Ok(new)
        })
        .await
    }

    /// Appends `content`.
    pub(super) async fn append(mut self, content: Vec<u8>) -> io::Result<Self> {
        if content.is_empty() {
            return Ok(self);
        }
        blocking(move || {
            self.file.write_all(&content)?;
            self.hash.update(&content);
            self.bytes += content.len() as u64;
            Ok(self)
        })
        .await
    }

    /// Puts the file on the disk under its name.
    pub(super) async fn finish(mut self) -> io::Result<FinishedFile> {
        blocking(move || {
            self.file.sync_all()?;
            let path = self.folder.join(&self.name);
            if let Some(temporary) = &self.temporary {
                std::fs::rename(temporary, &path)?;
            }
            self.temporary = None;
            File::open(&self.folder)?.sync_all()?;
            Ok(FinishedFile {
                path,
                bytes: self.bytes,
                hash: self.hash.clone(),
            })
        })
        .await
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing else can be done about a file that cannot be removed.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Writes the small file `name` in `folder` in the same way.
pub(super) async fn write_whole(folder: &Path, name: &str, content: String) -> io::Result<PathBuf> {
    let file = PendingFile::create(folder, name).await?;
    let file = file.append(content.into_bytes()).await?;
    Ok(file.finish().await?.path)
}

/// The SHA-256 of the file at `path`, in hexadecimal digits.
pub(super) async fn sha256_of(path: &Path) -> io::Result<String> {
    let path = path.to_owned();
    blocking(move || {
        let mut file = File::open(path)?;
        let mut hash = Context::new(&SHA256);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = file.read(&mut chunk)?;
            let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else {
                return Ok(hex(hash));
            };
            hash.update(part);
        }
    })
    .await
}

fn hex(hash: Context) -> String {
    let mut digits = String::new();
    for byte in hash.finish().as_ref() {
        digits += &format!("{byte:02x}");
    }
    digits
}

/// Runs `work` on a thread for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_has_its_name_when_it_is_whole_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let file = PendingFile::create(&folder, "x.aof").await.unwrap();
        let file = file.append(b"abc".to_vec()).await.unwrap();
        let is_temporary =
            |name: &String| Path::new(name).extension() == Some(std::ffi::OsStr::new("tmp"));
        assert!(names(&folder).iter().all(is_temporary));
        let finished = file.finish().await.unwrap();
        assert_eq!(names(&folder), ["x.aof"]);
        assert_eq!(
            finished.sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&finished.path), mode(&folder)), (0o600, 0o700));
    }

    #[tokio::test]
    async fn a_file_that_is_given_up_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = PendingFile::create(folder.path(), "x.aof").await.unwrap();
        drop(file.append(b"abc".to_vec()).await.unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn a_continued_file_replaces_the_one_before_with_the_hash_of_both_parts() {
        let folder = tempfile::tempdir().unwrap();
        let begin = PendingFile::create(folder.path(), "x.aof").await.unwrap();
        let begin = begin
            .append(b"ab".to_vec())
            .await
            .unwrap()
            .finish()
            .await
            .unwrap();
        let more = PendingFile::continuing(&begin).await.unwrap();
        assert_eq!(
            std::fs::read(&begin.path).unwrap(),
            b"ab",
            "until it is whole"
        );
        let whole = more
            .append(b"c".to_vec())
            .await
            .unwrap()
            .finish()
            .await
            .unwrap();
        assert_eq!(std::fs::read(&whole.path).unwrap(), b"abc");
        assert_eq!(whole.bytes, 3);
        assert!(whole.sha256().starts_with("ba7816bf"));
        assert_eq!(names(folder.path()), ["x.aof"]);
    }
}
