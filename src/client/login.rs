//! The credentials of one login, read anew for each connection so that a rotated password needs no restart.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::{Credentials, SecretSource};
use crate::model::{PollError, Secret, ServerAddr};

/// The longest password file that is read: far above any password, far below what would hurt.
const MAX_PASSWORD_FILE: u64 = 64 * 1024;

/// What AUTH is sent with.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// The ACL user; absent means the default user.
    pub(super) username: Option<String>,
    /// The password.
    pub(super) password: Secret,
}

impl Login {
    /// The login that `credentials` describe; `None` when they have no password.
    ///
    /// # Errors
    /// [`PollError::Auth`], with a log line that names the file, when the password's file cannot be read.
    pub(super) async fn read(server: &ServerAddr, credentials: &Credentials) -> Result<Option<Self>, PollError> {
        let password = match &credentials.password {
            None => return Ok(None),
            Some(SecretSource::Inline(password)) => password.clone(),
            Some(SecretSource::File(path)) => {
                let file = path.clone();
                // A file may stand on a network disk: never wait for it on a thread that serves other servers.
                let text = tokio::task::spawn_blocking(move || read_password(&file)).await;
                text.unwrap_or_else(|ended| Err(io::Error::other(ended))).map_err(|error| {
                    tracing::error!(%server, file = %path.display(), %error, "cannot read the password's file");
                    PollError::Auth
                })?
            }
        };
        Ok(Some(Self { username: credentials.username.clone(), password }))
    }
}

fn read_password(path: &Path) -> io::Result<Secret> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_PASSWORD_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_PASSWORD_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 64 KiB"));
    }
    match text.trim() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")),
        password => Ok(Secret::new(password)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(path: &Path) -> Result<String, PollError> {
        let credentials =
            Credentials { username: Some("monitor".into()), password: Some(SecretSource::File(path.to_owned())) };
        let login = Login::read(&ServerAddr::new("a", 1), &credentials).await?.expect("a password");
        Ok(format!("{}:{}", login.username.unwrap_or_default(), login.password.reveal()))
    }

    #[tokio::test]
    async fn a_rotated_password_is_seen_at_the_next_login() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " old\n").unwrap();
        assert_eq!(read(file.path()).await, Ok("monitor:old".into()));
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(read(file.path()).await, Ok("monitor:new".into()));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_an_auth_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(read(file.path()).await, Err(PollError::Auth), "empty");
        std::fs::write(file.path(), "a".repeat(64 * 1024 + 1)).unwrap();
        assert_eq!(read(file.path()).await, Err(PollError::Auth), "too long");
        assert_eq!(read(Path::new("/nonexistent")).await, Err(PollError::Auth));
    }

    #[tokio::test]
    async fn without_a_password_there_is_no_login() {
        let credentials = Credentials { username: Some("monitor".into()), password: None };
        assert!(Login::read(&ServerAddr::new("a", 1), &credentials).await.unwrap().is_none());
    }
}
