//! The vocabulary that every room shares: units, identities and closed sets of reasons.
//!
//! **Invariant:** this room is pure and uses no other room. A quantity in seconds ([`Span`]) and a
//! quantity in bytes ([`Bytes`]) are different types, so that one can never be shown as the other.

mod bytes;
mod hash;
mod heartbeat_error;
mod histogram;
mod identity;
mod poll_error;
mod poll_failure;
mod replication;
mod saved;
mod secret;
mod time;

pub use bytes::Bytes;
pub use hash::stable_hash;
pub use heartbeat_error::HeartbeatError;
pub use histogram::Histogram;
pub use identity::{AddrError, Datacenter, PairKey, PairName, ServerAddr, ShardId};
pub use poll_error::PollError;
pub use poll_failure::{Blame, PollFailure};
pub use replication::{ReplicationId, ReplicationOffset, RunId};
pub use saved::{ClockShift, Document, SavedDocument, SavedDocuments, Table, history_key};
pub use secret::Secret;
pub use time::{BootId, ClockAnchor, Span, Timestamp, WallTime};
