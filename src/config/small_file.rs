//! Files that are read at the moment of their use: secrets, certificates, keys.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file of certificates that is read: a bundle of every public authority has a quarter
/// of that.
pub const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Why a small file cannot be read. Holds nothing of its content, nor its path.
#[derive(Debug, thiserror::Error)]
pub enum SmallFileError {
    /// The operating system does not let it be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// It is longer than the limit.
    #[error("is larger than any that is meant here: is it the right file?")]
    TooLarge,
}

/// The content of the file at `path`, which has at most `limit` bytes. Blocks for the length of the
/// read.
///
/// # Errors
/// The file cannot be read, is no regular file, or is longer.
pub fn read_small_file(path: &Path, limit: u64) -> Result<Vec<u8>, SmallFileError> {
    // Asked before the file is opened: to open a pipe would wait for its writer.
    if !path
        .metadata()
        .map_err(SmallFileError::Unreadable)?
        .is_file()
    {
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
