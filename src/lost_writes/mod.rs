//! The writes that only a deposed master has: whether they can be read, and what they are.
//!
//! Pure: answers of servers and bytes of a replication stream go in; a verdict, counts, and
//! commands that can be replayed come out. The room `capture` reads the stream and writes the file.

mod command;
mod conflicts;
mod header;
mod keys;
mod look_back;
mod status;
mod tail;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;

pub use command::{CommandParser, StreamCommand, StreamError};
pub use conflicts::{ConflictKey, ConflictSearch, Conflicts};
pub use header::{
    ConflictsOfFile, DoneMark, FORMAT, KeyOfFile, LostWritesHeader, ServerOfFile, plural,
};
pub use look_back::{LOOK_BACK, database_at_end, uses_only_the_first_database};
pub use status::{CaptureState, CaptureStatus};
pub use tail::{KeySet, TailCounts, TailDigest};
pub use verdict::{
    AskedServer, CannotBeHad, DeposedServer, PromotedServer, TailState, UnsharedTail,
    deposed_servers, room_before, tail_state,
};
