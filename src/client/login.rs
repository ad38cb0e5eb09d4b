//! The credentials of one login, read anew for each connection so that a rotated password needs no
//! restart.

use crate::config::Credentials;
use crate::model::{PollError, Secret, ServerAddr};

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
    /// [`PollError::Auth`], with a log line that names the file, when the password's file cannot be
    /// read.
    pub(super) async fn read(
        server: &ServerAddr,
        credentials: &Credentials,
    ) -> Result<Option<Self>, PollError> {
        let Some(source) = credentials.password.clone() else {
            return Ok(None);
        };
        // A file may stand on a network disk: never wait for it on a thread that serves other
        // servers.
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        let password = match read {
            Ok(Ok(password)) => password,
            Ok(Err(error)) => {
                tracing::error!(%server, %error, "cannot log in");
                return Err(PollError::Auth);
            }
            Err(_) => return Err(PollError::Auth), // the program is stopping
        };
        Ok(Some(Self {
            username: credentials.username.clone(),
            password,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::SecretSource;

    async fn read(path: &Path) -> Result<String, PollError> {
        let credentials = Credentials {
            username: Some("monitor".into()),
            password: Some(SecretSource::File(path.to_owned())),
        };
        let login = Login::read(&ServerAddr::new("a", 1), &credentials)
            .await?
            .expect("a password");
        Ok(format!(
            "{}:{}",
            login.username.unwrap_or_default(),
            login.password.reveal()
        ))
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
        let credentials = Credentials {
            username: Some("monitor".into()),
            password: None,
        };
        assert!(
            Login::read(&ServerAddr::new("a", 1), &credentials)
                .await
                .unwrap()
                .is_none()
        );
    }
}
