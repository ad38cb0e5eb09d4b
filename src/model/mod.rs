//! The vocabulary that every room shares: units, identities and closed sets of reasons.
//!
//! **Invariant:** this room is pure and uses no other room. A quantity in seconds ([`Span`]) and a
//! quantity in bytes ([`Bytes`]) are different types, so that one can never be shown as the other.

mod bytes;
mod closed_set;
mod doctor_check;
mod fleet_shard;
mod hash;
mod heartbeat_error;
mod histogram;
mod identity;
mod persisted;
mod poll_error;
mod poll_failure;
mod replication;
mod revision;
mod saved;
mod secret;
mod share;
mod text;
mod time;
mod time_left;

pub use bytes::Bytes;
pub(crate) use closed_set::{are_distinct, closed_set, serde_as_label};
pub use doctor_check::DoctorCheck;
pub use fleet_shard::FleetShard;
pub use hash::stable_hash;
pub use heartbeat_error::HeartbeatError;
pub use histogram::{Histogram, LAG_BOUNDS};
pub use identity::{AddrError, Datacenter, PairKey, PairName, ServerAddr, ShardId};
pub use persisted::{Persisted, SaveScope, documents_of, restore_each};
pub use poll_error::PollError;
pub use poll_failure::{Blame, PollFailure};
pub use replication::{ReplicationId, ReplicationOffset, RunId};
pub use revision::{Durable, Revision};
pub use saved::{ClockShift, Document, DocumentTable, SavedDocument, SavedDocuments, history_key};
pub use secret::Secret;
pub use share::Share;
pub use text::{is_label_name, is_printable, percent_encode, shell_quote};
pub use time::{BootId, ClockAnchor, Span, Timestamp, WallTime};
pub use time_left::TimeLeft;
