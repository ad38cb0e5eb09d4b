//! What can go wrong in the lab, as sentences.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why the lab could not do what it was asked.
///
/// `Debug` prints the sentence too, so that a test which unwraps it reads well.
#[derive(thiserror::Error)]
pub enum LabError {
    /// A program that the lab runs is not installed.
    #[error("cannot find the program {program}: {advice}")]
    MissingProgram {
        /// The program's name or path, as asked for.
        program: String,
        /// How to get it.
        advice: &'static str,
    },
    /// A server was started but did not come up.
    #[error("{program} on port {port} did not start: {problem}; its log ends with:\n{log}")]
    ServerStart {
        /// The program that was run.
        program: String,
        /// The port it was to listen on.
        port: u16,
        /// What was seen instead of a server that answers.
        problem: String,
        /// The end of its log.
        log: String,
    },
    /// The operation needs a running server.
    #[error("the redis-server on port {port} is not running")]
    NotRunning {
        /// The server's port.
        port: u16,
    },
    /// No port of the lab's range is free.
    #[error(
        "no free port from {first} to {last}: end other lab processes or the servers that hold these ports"
    )]
    NoFreePort {
        /// The range's first port.
        first: u16,
        /// The range's last port.
        last: u16,
    },
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted, as it reads after "cannot".
        action: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A server answered a command with an error.
    #[error("{server} answered {command} with an error: {reply}")]
    CommandRefused {
        /// The server's address.
        server: String,
        /// The command's name, without its arguments: they may hold a password.
        command: String,
        /// The server's error line.
        reply: String,
    },
    /// A condition was not reached in time.
    #[error("after {:.1} s, {what} had not happened; last seen: {last_seen}", limit.as_secs_f64())]
    NotReached {
        /// What was awaited.
        what: String,
        /// How long it was awaited.
        limit: Duration,
        /// What was seen last instead.
        last_seen: String,
    },
}

impl LabError {
    /// Turns an IO error into a sentence: `LabError::io("listen on port 1")` reads "cannot listen
    /// on port 1: ...".
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
