//! What only a returning master has, and whether it may be overwritten.

use serde::{Deserialize, Serialize};

use super::view::Said;
use crate::model::{Bytes, ReplicationId};

/// The writes that a returning server has and the new master lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unshared {
    /// None: the new master continues from behind its end.
    Nothing,
    /// It holds no key at all.
    EmptyServer,
    /// The end of its stream, this many bytes.
    Tail {
        /// The bytes.
        bytes: u64,
        /// Where they begin, in its history.
        from: u64,
        /// Whether its backlog still has all of them, so that they can be captured.
        in_backlog: bool,
    },
    /// Its history is not the one that the new master continued: after a restart from an
    /// append-only file, or when its backlog's time was over.
    Unknown,
}

/// Writes of a deposed master that are in a file already, so that a rejoin may overwrite them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedWrites {
    /// The history that they are from.
    pub replid: ReplicationId,
    /// Their first offset.
    pub from: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The file.
    pub file: std::path::PathBuf,
}

/// A whole copy of a returning server in an RDB file. As long as the server has not written a byte
/// since, nothing on it is lost when it is overwritten, whatever its history is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The history that the server had when it was copied.
    pub replid: ReplicationId,
    /// The end of its stream at that instant.
    pub offset: u64,
    /// The file.
    pub file: std::path::PathBuf,
}

impl Copied {
    /// Whether everything that `server` has is in the copy.
    pub fn holds(&self, server: &Said) -> bool {
        server.replid == self.replid && server.offset == self.offset
    }
}

/// The value of `--discard` where the number of bytes is not known.
pub const UNKNOWN_BYTES: u64 = u64::MAX;

impl Unshared {
    /// What `old` has and `master`, which was promoted from its replica, lacks.
    pub fn between(old: &Said, master: &Said) -> Self {
        if old.replid == master.replid && old.offset <= master.offset {
            return Self::Nothing;
        }
        let Some(cut) = Self::first_unshared(old, master) else {
            return if old.keys == Some(0) {
                Self::EmptyServer
            } else {
                Self::Unknown
            };
        };
        // Its stream ends at `old.offset`, inclusive.
        let bytes = (old.offset + 1).saturating_sub(cut);
        if bytes == 0 {
            return Self::Nothing;
        }
        Self::Tail {
            bytes,
            from: cut,
            in_backlog: old.backlog_from.is_some_and(|first| first <= cut),
        }
    }

    /// The first offset of `old` that `master` does not share; `None` where their histories have
    /// nothing to do with one another.
    fn first_unshared(old: &Said, master: &Said) -> Option<u64> {
        let promoted_from = master.replid2.as_ref()?;
        let promoted_at = master.second_offset?;
        if *promoted_from == old.replid {
            return Some(promoted_at);
        }
        // It was restarted with an RDB file that kept its history: what it wrote before that is in
        // the history that it continued, what it wrote since is its own.
        if old.replid2.as_ref() == Some(promoted_from) {
            return Some(old.second_offset?.min(promoted_at));
        }
        None
    }

    /// Whether it may be overwritten, `allowed` being the bytes that a person gave up or that are
    /// saved.
    pub fn may_be_overwritten(self, allowed: Option<u64>) -> bool {
        match self {
            Self::Nothing | Self::EmptyServer => true,
            Self::Tail { bytes, .. } => allowed == Some(bytes),
            Self::Unknown => allowed == Some(UNKNOWN_BYTES),
        }
    }

    /// The file in `saved` that has all of it, `replid` being the history that it is from; `None`
    /// where no file has.
    pub fn saved_file<'a>(
        self,
        replid: &ReplicationId,
        saved: &'a [SavedWrites],
    ) -> Option<&'a SavedWrites> {
        let Self::Tail { bytes, from, .. } = self else {
            return None;
        };
        let holds = |file: &&SavedWrites| {
            let reaches = file.from.saturating_add(file.bytes) >= from.saturating_add(bytes);
            file.replid == *replid && file.from <= from && reaches
        };
        saved.iter().find(holds)
    }

    /// The value of `--discard` that allows it; `None` where none is needed.
    pub fn discard_value(self) -> Option<String> {
        match self {
            Self::Nothing | Self::EmptyServer => None,
            Self::Tail { bytes, .. } => Some(bytes.to_string()),
            Self::Unknown => Some("unknown".to_owned()),
        }
    }

    /// What it has, as a sentence without a full stop.
    pub fn sentence(self) -> String {
        match self {
            Self::Nothing => "the returning server has no write that the master lacks".to_owned(),
            Self::EmptyServer => "the returning server is empty".to_owned(),
            Self::Tail { bytes, from, .. } => {
                let size = Bytes::new(bytes);
                format!(
                    "the returning server has {bytes} bytes ({size}) of its stream that the master \
                     lacks, from offset {from} on"
                )
            }
            Self::Unknown => "how much only the returning server has cannot be known: its history is not \
                 the one that the master continued (it was restarted, or its backlog's time is over)"
                .to_owned(),
        }
    }
}
