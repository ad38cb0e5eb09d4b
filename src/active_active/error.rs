//! Why something cannot be done: closed sets.

use std::fmt;

/// Why a stored value is no envelope, no counter's field or no item of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// It is not an object in JSON.
    NotAnObject,
    /// It has no member `value`.
    NoValue,
    /// `timestamp` is missing, is no number or is no time.
    NoTimestamp,
    /// `dc` is missing or no string.
    NoDatacenter,
    /// An item of the queue without a `key` that is a string.
    NoKey,
    /// An item of the queue without `data`.
    NoData,
    /// A field of a counter that is no whole number from 0 to 2^63-1.
    NoCount,
    /// It is longer than this program reads.
    TooLarge,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("it is no JSON object"),
            Self::NoValue => f.write_str("it has no value"),
            Self::NoTimestamp => f.write_str("its timestamp is not a number of seconds"),
            Self::NoDatacenter => f.write_str("its dc is not a string"),
            Self::NoKey => f.write_str("its key is not a string"),
            Self::NoData => f.write_str("it has no data"),
            Self::NoCount => f.write_str("it is not a whole number from 0 to 9223372036854775807"),
            Self::TooLarge => f.write_str("it is longer than 1 MiB"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Why a site did not do what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SiteError {
    /// No answer in time. What was sent may have been done.
    Timeout,
    /// There is no connection, or it broke. What was sent may have been done.
    Disconnected,
    /// The server is reading its data from the disk.
    Loading,
    /// A replica that has lost its master and refuses to answer.
    MasterDown,
    /// A replica, which takes no writes.
    ReadOnly,
    /// `maxmemory` is reached, or the disk refuses writes.
    NoWrites,
    /// A script or a command has been running for too long.
    Busy,
    /// The cluster is down or is moving the key.
    Cluster,
    /// The login is missing or wrong.
    Login,
    /// The user lacks a right: a command or a key.
    Denied,
    /// The key holds another type of value.
    WrongType,
    /// A counter would exceed 2^63-1.
    Overflow,
    /// A field of a counter is no whole number.
    NotANumber,
    /// The reply exceeds what the connection accepts.
    TooLarge,
    /// Anything else: a reply of another shape, or an error that none of the above fits.
    Unexpected(String),
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => {
                f.write_str("no answer in time; what was sent may have been done all the same")
            }
            Self::Disconnected => f.write_str("the connection is broken"),
            Self::Loading => f.write_str("the server is loading its data"),
            Self::MasterDown => f.write_str("the server is a replica without a master"),
            Self::ReadOnly => f.write_str("the server is a read-only replica"),
            Self::NoWrites => f.write_str(
                "the server takes no writes: out of memory, or its disk or replicas are missing",
            ),
            Self::Busy => f.write_str("the server is busy with a script"),
            Self::Cluster => f.write_str("the cluster does not serve this key at the moment"),
            Self::Login => f.write_str("the server requires a login, or refused it"),
            Self::Denied => f.write_str(
                "the user lacks a right (NOPERM): docs/active-active.md lists what is needed",
            ),
            Self::WrongType => f.write_str("the key holds another type of value"),
            Self::Overflow => f.write_str("the counter would exceed 9223372036854775807"),
            Self::NotANumber => f.write_str("the field is no whole number"),
            Self::TooLarge => f.write_str("the reply is larger than the limit"),
            Self::Unexpected(inner) => write!(f, "unexpected reply: {inner}"),
        }
    }
}

impl std::error::Error for SiteError {}

/// The longest text of an unexpected error that is kept, in characters.
const MAX_TEXT: usize = 200;

impl SiteError {
    /// The error that a server answered with. `code` is its first word, `detail` the rest.
    pub fn from_reply(code: &str, detail: &str) -> Self {
        if let Some(error) = Self::from_code(code) {
            return error;
        }
        // Redis 6.2 and before wrap what a command in a script answered.
        let words = detail
            .split([' ', ':'])
            .map(|word| word.trim_start_matches('-'));
        if detail.starts_with("Error running script")
            && let Some(error) = words.clone().find_map(Self::from_code)
        {
            return error;
        }
        if detail.contains("would overflow") {
            return Self::Overflow;
        }
        if detail.contains("not an integer") {
            return Self::NotANumber;
        }
        Self::unexpected(&format!("{code} {detail}"))
    }

    fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "LOADING" => Self::Loading,
            "MASTERDOWN" => Self::MasterDown,
            "READONLY" => Self::ReadOnly,
            "OOM" | "MISCONF" | "NOREPLICAS" => Self::NoWrites,
            "BUSY" => Self::Busy,
            "CLUSTERDOWN" | "MOVED" | "ASK" | "TRYAGAIN" => Self::Cluster,
            "NOAUTH" | "WRONGPASS" => Self::Login,
            "NOPERM" | "DENIED" => Self::Denied,
            "WRONGTYPE" => Self::WrongType,
            _ => return None,
        })
    }

    /// A reply that makes no sense; control characters are left out and only its beginning is kept.
    pub fn unexpected(text: &str) -> Self {
        let printable = text.chars().filter(|character| !character.is_control());
        Self::Unexpected(printable.take(MAX_TEXT).collect())
    }

    /// Whether the whole site does not work at the moment, so that trying the next key makes no
    /// sense; else the error is about one key.
    pub const fn is_about_site(&self) -> bool {
        !matches!(
            self,
            Self::WrongType | Self::Overflow | Self::NotANumber | Self::TooLarge
        )
    }

    /// Whether a read may succeed at the other site: this one is away, or does not serve at the
    /// moment.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Disconnected
                | Self::Loading
                | Self::MasterDown
                | Self::ReadOnly
                | Self::NoWrites
                | Self::Busy
                | Self::Cluster
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_their_reason() {
        let cases = [
            (
                "OOM",
                "command not allowed when used memory > 'maxmemory'.",
                SiteError::NoWrites,
            ),
            (
                "READONLY",
                "You can't write against a read only replica.",
                SiteError::ReadOnly,
            ),
            ("WRONGTYPE", "Operation against a key", SiteError::WrongType),
            (
                "ERR",
                "Error running script (call to f_1): @user_script:3: WRONGTYPE Operation against a key",
                SiteError::WrongType,
            ),
            (
                "ERR",
                "Error running script (call to f_1): @user_script: 5: -READONLY You can't write",
                SiteError::ReadOnly,
            ),
            (
                "ERR",
                "increment or decrement would overflow",
                SiteError::Overflow,
            ),
            ("ERR", "hash value is not an integer", SiteError::NotANumber),
            (
                "ERR",
                "the key OOM is odd",
                SiteError::Unexpected("ERR the key OOM is odd".to_owned()),
            ),
        ];
        for (code, detail, expected) in cases {
            assert_eq!(
                SiteError::from_reply(code, detail),
                expected,
                "{code} {detail}"
            );
        }
    }

    #[test]
    fn an_unexpected_text_is_short_and_printable() {
        let SiteError::Unexpected(text) =
            SiteError::unexpected(&format!("a\r\n{}", "b".repeat(999)))
        else {
            panic!("another error");
        };
        assert_eq!(text.len(), MAX_TEXT);
        assert!(text.starts_with("abb"));
    }
}
