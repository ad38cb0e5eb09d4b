//! Reads secrets at the moment of their use.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Secret;

use super::SecretSource;
use super::small_file::{SmallFileError, read_small_file};

/// The maximum size of a secret file. Tokens take less than 1 KiB; a larger file is the wrong one.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Why a secret file cannot be used. Contains nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operating system does not let it be read.
    #[error("cannot read the secret file {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        cause: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("the secret file {} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is longer than the limit.
    #[error("the secret file {} is larger than 64 KiB: is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("the secret file {} is not UTF-8 text: is it the right file?", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing in it but white space.
    #[error("the secret file {} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl SecretSource {
    /// The current secret. A file is read at each call and trimmed.
    ///
    /// Blocks while the file is read.
    ///
    /// # Errors
    /// The file cannot be read, is no regular file, is longer than 64 KiB, not UTF-8, or empty.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let named = |error: SmallFileError| error.at(path);
    let content = read_small_file(path, MAX_SECRET_BYTES).map_err(named)?;
    let text = String::from_utf8(content).map_err(|_| SecretError::NotText {
        path: path.to_owned(),
    })?;
    match text.trim() {
        "" => Err(SecretError::Empty {
            path: path.to_owned(),
        }),
        secret => Ok(Secret::new(secret)),
    }
}

impl SmallFileError {
    fn at(self, path: &Path) -> SecretError {
        let path = path.to_owned();
        match self {
            Self::Unreadable(cause) => SecretError::Unreadable { path, cause },
            Self::NotAFile => SecretError::NotAFile { path },
            Self::TooLarge => SecretError::TooLarge { path },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Secret, SecretError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path).read()
    }

    #[test]
    fn white_space_around_the_secret_is_cut_off() {
        assert_eq!(
            read(b"\n hunter2 two\r\n\n").unwrap().reveal(),
            "hunter2 two"
        );
    }

    #[test]
    fn a_file_without_a_usable_secret_is_refused() {
        assert!(matches!(read(b" \n"), Err(SecretError::Empty { .. })));
        assert!(matches!(
            read(&[0xff, 0xfe]),
            Err(SecretError::NotText { .. })
        ));
        assert!(read(&vec![b'x'; 65_536]).is_ok());
        assert!(matches!(
            read(&vec![b'x'; 65_537]),
            Err(SecretError::TooLarge { .. })
        ));
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SecretSource::File(folder.path().to_owned())
            .read()
            .unwrap_err()
            .to_string();
        assert_eq!(
            directory,
            format!(
                "the secret file {} is not a regular file",
                folder.path().display()
            )
        );
        let path = folder.path().join("absent");
        let absent = SecretSource::File(path.clone())
            .read()
            .unwrap_err()
            .to_string();
        assert!(
            absent.starts_with(&format!(
                "cannot read the secret file {}: No such file",
                path.display()
            )),
            "{absent}"
        );
    }

    #[test]
    fn a_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = SecretSource::File(path.clone());
        for secret in ["one", "two"] {
            std::fs::write(&path, secret).unwrap();
            assert_eq!(source.read().unwrap().reveal(), secret);
        }
    }
}
