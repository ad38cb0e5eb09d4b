//! Bounded reads of small files: secrets, certificates, keys.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a file of certificates in bytes: a bundle of all public authorities has a
/// quarter of it.
pub const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Why a small file cannot be read. Contains neither its path nor its content.
#[derive(Debug, thiserror::Error)]
pub enum SmallFileError {
    /// The operating system's error.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// It is longer than the limit.
    #[error("is larger than any that is meant here: is it the right file?")]
    TooLarge,
}

/// The content of the file at `path`, of at most `limit` bytes. Blocks while it is read.
///
/// # Errors
/// The file cannot be read, is no regular file, or is longer.
pub fn read_small_file(path: &Path, limit: u64) -> Result<Vec<u8>, SmallFileError> {
    // Checked before the file is opened, because opening a pipe would wait for its writer.
    let metadata = path.metadata().map_err(SmallFileError::Unreadable)?;
    if !metadata.is_file() {
        return Err(SmallFileError::NotAFile);
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(SmallFileError::Unreadable)?;
    let length = file
        .take(limit + 1)
        .read_to_end(&mut content)
        .map_err(SmallFileError::Unreadable)?;
    if length as u64 > limit {
        Err(SmallFileError::TooLarge)
    } else {
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_PEM_BYTES).unwrap();
        assert!(read_small_file(&path, MAX_PEM_BYTES).is_ok());
        file.set_len(MAX_PEM_BYTES + 1).unwrap();
        let refused = read_small_file(&path, MAX_PEM_BYTES);
        assert!(matches!(refused, Err(SmallFileError::TooLarge)));
    }
}
