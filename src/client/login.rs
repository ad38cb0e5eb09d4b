//! The credentials for AUTH, read again for each connection so that a rotated password needs no
//! restart.

use crate::config::{Credentials, SecretError};
use crate::model::{PollError, PollFailure, Secret, ServerAddr};

/// The arguments of AUTH.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// The ACL user; absent means the default user.
    pub(super) username: Option<String>,
    /// The password, never shown.
    pub(super) password: Secret,
}

impl Login {
    /// The login that `credentials` describe; `None` when they have no password.
    ///
    /// # Errors
    /// When the password's file cannot be read: a failure that blames this exporter and names the
    /// file; it is also logged.
    pub(super) async fn read(
        server: &ServerAddr,
        credentials: &Credentials,
    ) -> Result<Option<Self>, PollFailure> {
        let Some(source) = credentials.password.clone() else {
            return Ok(None);
        };
        // A file may be on a network file system: never block a thread that serves other servers.
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        let sentence = match read {
            Ok(Ok(password)) => {
                return Ok(Some(Self {
                    username: credentials.username.clone(),
                    password,
                }));
            }
            Ok(Err(error)) => {
                tracing::error!(%server, %error, "cannot log in");
                describe(&error)
            }
            Err(_) => "the program is stopping".to_owned(),
        };
        Err(PollFailure::own(PollError::Auth, &sentence))
    }
}

/// What is wrong with the password's file: the operating system's message without the error number.
fn describe(error: &SecretError) -> String {
    let SecretError::Unreadable { path, cause } = error else {
        return error.to_string();
    };
    let cause = cause.to_string();
    let message = cause.split(" (os error").next().unwrap_or_default();
    format!(
        "the password file {} cannot be read: {message}",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::SecretSource;
    use crate::model::Blame;

    async fn read(path: &Path) -> Result<String, PollFailure> {
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
    async fn a_rotated_password_is_used_at_the_next_login() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " old\n").unwrap();
        assert_eq!(read(file.path()).await, Ok("monitor:old".into()));
        std::fs::write(file.path(), "new").unwrap();
        assert_eq!(read(file.path()).await, Ok("monitor:new".into()));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_this_exporters_own_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = read(file.path()).await.unwrap_err();
        assert!(failure.sentence("the master").ends_with(" is empty"));
        std::fs::write(file.path(), "a".repeat(64 * 1024 + 1)).unwrap();
        let failure = read(file.path()).await.unwrap_err();
        assert_eq!(
            (failure.reason, failure.blame),
            (PollError::Auth, Blame::Exporter)
        );
        assert_eq!(
            read(Path::new("/nonexistent"))
                .await
                .unwrap_err()
                .sentence("the master"),
            "this exporter cannot log in to the master: the password file /nonexistent cannot be \
             read: No such file or directory"
        );
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
