//! INFO replies become typed observations.
//!
//! **Invariant:** the room is pure and total. Whatever text comes, [`parse()`] returns without a
//! panic, in time linear in the text (times a logarithm), and never guesses: a field that is
//! absent, says "none", or cannot mean what it says is [`Field::Missing`], [`Field::None`] or
//! [`Field::Malformed`], never a number. This is also the only room that knows the protocol's old
//! word for a replica.

mod engine;
mod error;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
mod keyspace;
mod parse;
#[cfg(test)]
mod properties;
mod replica_line;
mod sentinel;
mod table;
mod types;
mod value;

pub use error::InfoError;
pub use parse::{parse, parse_bytes};
pub use sentinel::{
    KnownReplica, KnownSentinel, QuorumCheck, SENTINEL_CHANNELS, SeenHealth, SentinelMessage,
    SentinelRecord, WatchedMaster, is_tilted, quorum_check,
};
pub use types::*;
