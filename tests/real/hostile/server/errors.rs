//! Errors that a Redis server answers with, in its own words.

/// Errors in Redis' own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorReply {
    /// It is loading its data.
    Loading,
    /// It wants a password and has got none; it refuses every password too.
    NoAuth,
    /// It accepts any password, and denies every other command.
    NoPerm,
    /// It has too many clients: it reports that at once and closes.
    MaxClients,
    /// It runs a script that does not end.
    Busy,
    /// It sends the client to another server, as a node of a cluster does.
    Moved,
    /// It sends the client to another server for one command.
    Ask,
}

impl ErrorReply {
    /// The error line, as Redis 7 words it.
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Loading => "-LOADING Redis is loading the dataset in memory\r\n",
            Self::NoAuth => "-NOAUTH Authentication required.\r\n",
            Self::NoPerm => "-NOPERM this user has no permissions to run this command\r\n",
            Self::MaxClients => "-ERR max number of clients reached\r\n",
            Self::Busy => {
                "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
            }
            Self::Moved => "-MOVED 3999 127.0.0.1:1\r\n",
            Self::Ask => "-ASK 3999 127.0.0.1:1\r\n",
        }
    }

    /// The answer to a command.
    pub(super) fn answer(self, command: &str) -> &'static str {
        match (self, command.eq_ignore_ascii_case("AUTH")) {
            (Self::NoPerm, true) => "+OK\r\n",
            (Self::NoAuth, true) => {
                "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
            }
            _ => self.line(),
        }
    }
}
