//! Connections over Unix sockets, to servers on this machine.

use std::io;
use std::path::Path;

use tokio::net::UnixStream;

use crate::model::PollError;

/// Connects to the socket at `path`. Never waits: the kernel answers immediately.
///
/// # Errors
/// Why there is no connection, with a log line that names the path.
pub(super) async fn connect(path: &Path) -> Result<UnixStream, PollError> {
    UnixStream::connect(path).await.map_err(|error| {
        tracing::warn!(path = %path.display(), %error, "cannot connect to the Unix socket");
        reason_of(&error)
    })
}

fn reason_of(error: &io::Error) -> PollError {
    match error.kind() {
        // The queue of connections is full: the server does not keep up with accepting them.
        io::ErrorKind::WouldBlock => PollError::Timeout,
        // There is no file, no permission, no listener behind it, or it is not a socket.
        _ => PollError::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_connects_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redis.sock");
        assert_eq!(
            connect(&path).await.unwrap_err(),
            PollError::Refused,
            "no file"
        );
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        assert!(connect(&path).await.is_ok());
        drop(listener);
        assert_eq!(
            connect(&path).await.unwrap_err(),
            PollError::Refused,
            "no listener"
        );
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(
            connect(&folder.path().join("file")).await.unwrap_err(),
            PollError::Refused,
            "no socket"
        );
    }
}
