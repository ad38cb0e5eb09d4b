//! Parses INFO replies into typed observations, and the answers of Sentinels
//! and of the nodes of a Redis Cluster.
//!
//! **Invariant:** the room is pure and total. For any text [`parse()`] returns without a panic, in
//! time O(n log n), and never guesses: a field that is absent, "none", or not a valid value is
//! [`Field::Missing`], [`Field::None`] or [`Field::Malformed`], never a number. This is also the
//! only room that uses the protocol's old word for a replica.

mod cluster;
mod details;
mod engine;
mod error;
mod keyspace;
mod known;
mod output_buffer;
mod parse;
mod replica_line;
mod sentinel;
mod table;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use cluster::{
    CLUSTER_SLOTS, ClusterNode, MAX_CLUSTER_NODES, NodeEndpoint, NodeFlags, NodeId, SlotRange,
    is_cluster_ok, parse_cluster_nodes,
};
pub use details::{ServerDetails, parse_details};
pub use error::InfoError;
pub use output_buffer::{OutputBufferLimit, ReplicaConnection};
pub use parse::{parse, parse_bytes};
pub use sentinel::{
    KnownReplica, KnownSentinel, QuorumCheck, RememberedServer, SENTINEL_CHANNELS, SeenHealth,
    SentinelMessage, SentinelRecord, SentinelWatch, WatchSettings, WatchedMaster, is_tilted,
};
pub use types::{
    BacklogInfo, Engine, Field, LinkStatus, Observation, PersistenceInfo, ReplicaConnState,
    ReplicaLine, ReplicationInfo, Role, ServerInfo, ServerMode, StatsInfo, UpstreamInfo,
};
