//! The coordinates of a replication stream.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Bytes;

/// A position in a replication stream, in bytes since the history began (`master_repl_offset`,
/// `slave_repl_offset`).
///
/// Two offsets compare only when they belong to one replication history; the type cannot check
/// that, so the caller has to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicationOffset(u64);

impl ReplicationOffset {
    /// The position `bytes` bytes into the history.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes since the history began.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The bytes between `earlier` and this position; zero when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Bytes {
        Bytes::new(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for ReplicationOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A replication history's identity (`master_replid`): 40 hexadecimal characters, chosen at random
/// by the server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicationId(Arc<str>);

impl TryFrom<String> for ReplicationId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no replication ID"))
    }
}

impl From<ReplicationId> for String {
    fn from(id: ReplicationId) -> Self {
        id.as_str().to_owned()
    }
}

impl ReplicationId {
    /// The ID in `text`; `None` unless it is 40 hexadecimal characters, or when all of them are
    /// zero (with which a server reports that it has none).
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let none = text.bytes().all(|b| b == b'0');
        (hex && !none).then(|| Self(text.into()))
    }

    /// The 40 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReplicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicationId({})", self.0)
    }
}

/// One run of a server process (`run_id`): it changes at every start, so that a change proves that
/// counters started from zero again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Arc<str>);

impl RunId {
    /// The life that the server names `text`; `None` when it names none or is longer than 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= 64).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replid_is_forty_hex_digits_and_not_all_zero() {
        assert!(ReplicationId::parse(&"a1".repeat(20)).is_some());
        assert!(ReplicationId::parse(&"0".repeat(40)).is_none());
        assert!(ReplicationId::parse("a1").is_none());
        assert!(ReplicationId::parse(&"zz".repeat(20)).is_none());
    }

    #[test]
    fn a_distance_is_never_negative() {
        assert_eq!(
            ReplicationOffset::new(5).since(ReplicationOffset::new(9)),
            Bytes::new(0)
        );
        assert_eq!(
            ReplicationOffset::new(9).since(ReplicationOffset::new(5)),
            Bytes::new(4)
        );
    }
}
