//! The typed fields of an INFO reply.

use crate::model::{Bytes, ReplicationId, ReplicationOffset, RunId, Span, closed_set};

/// One field of a reply. Missing, "none", malformed and zero are different things that must not be
/// confused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// The reply does not have the field.
    #[default]
    Missing,
    /// The server reports that there is no value (`-1`, or an ID of zeros).
    None,
    /// The field's text is not a valid value.
    Malformed,
    /// The value.
    Value(T),
}

/// One INFO reply: the sections server, replication, stats, persistence and keyspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// `# Server`.
    pub server: ServerInfo,
    /// `# Replication`.
    pub replication: ReplicationInfo,
    /// `# Stats`.
    pub stats: StatsInfo,
    /// `# Persistence`.
    pub persistence: PersistenceInfo,
    /// `# Keyspace`: the number of keys in all databases; missing where the section was not sent.
    /// An empty server sends the section without a line.
    pub keys: Field<u64>,
}

closed_set! {
    /// The program that a server runs. Only Redis and Valkey have replication offsets in bytes of
    /// one stream.
    #[derive(Default)]
    pub enum Engine {
        /// Redis, any generation.
        Redis => "redis",
        /// Valkey, which reports a Redis version too: known by `valkey_version`.
        Valkey => "valkey",
        /// `KeyDB`: several masters, repeated keys.
        KeyDb => "keydb",
        /// Dragonfly: log sequence numbers instead of bytes.
        Dragonfly => "dragonfly",
        /// Kvrocks: `RocksDB` sequence numbers.
        Kvrocks => "kvrocks",
        /// Garnet: addresses in its append-only file.
        Garnet => "garnet",
        /// The reply does not show which.
        #[default]
        Unknown => "unknown",
    }
}

/// The mode in which a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerMode {
    /// An ordinary server.
    Standalone,
    /// A node of a Redis Cluster.
    Cluster,
    /// A Sentinel.
    Sentinel,
}

/// `# Server`: the process that answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerInfo {
    /// The program.
    pub engine: Engine,
    /// The program's own version (Valkey's, not the Redis version that it claims for
    /// compatibility).
    pub version: Field<String>,
    /// `redis_mode` or `server_mode`.
    pub mode: Field<ServerMode>,
    /// `run_id`: another one after each restart of the process.
    pub run_id: Field<RunId>,
    /// `tcp_port`: the port on which it listens, as it reports itself.
    pub tcp_port: Field<u16>,
    /// `uptime_in_seconds`.
    pub uptime: Field<Span>,
}

closed_set! {
    /// A server's role.
    pub enum Role {
        /// It has no master configured.
        Master => "master",
        /// It has a master configured, whether that is reachable or not.
        Replica => "replica",
    }
}

/// `# Replication`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicationInfo {
    /// `role`.
    pub role: Field<Role>,
    /// `master_replid`: the replication history that `master_repl_offset` belongs to.
    pub replid: Field<ReplicationId>,
    /// `master_replid2`: the history that it continued when it was promoted; `None` when all zeros.
    pub replid2: Field<ReplicationId>,
    /// `second_repl_offset`: the first offset NOT shared with `replid2`; `None` when -1.
    pub second_offset: Field<ReplicationOffset>,
    /// `master_repl_offset`: the end of the server's own replication stream. On a replica this is
    /// NOT its master's offset.
    pub master_offset: Field<ReplicationOffset>,
    /// The backlog, on which a partial resync depends.
    pub backlog: BacklogInfo,
    /// `connected_slaves`: includes replicas that are still syncing, and tools that only read the
    /// stream.
    pub connected_replicas: Field<u64>,
    /// The `slaveN` lines that could be understood, in the reply's order; at most
    /// [`ReplicationInfo::MAX_REPLICAS`].
    pub replicas: Vec<ReplicaLine>,
    /// The link to the master as the replica reports it; present iff the role is replica.
    pub upstream: Option<UpstreamInfo>,
}

impl ReplicationInfo {
    /// The most `slaveN` lines that are read from one reply.
    pub const MAX_REPLICAS: usize = 1024;
}

/// The replication backlog.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BacklogInfo {
    /// `repl_backlog_active`.
    pub active: Field<bool>,
    /// `repl_backlog_size`: the configured size.
    pub size: Field<Bytes>,
    /// `repl_backlog_first_byte_offset`.
    pub first_byte: Field<ReplicationOffset>,
    /// `repl_backlog_histlen`: the bytes in it; may exceed `size` while a lagging replica pins
    /// them.
    pub histlen: Field<Bytes>,
}

/// The link from a replica to its master, as the replica sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// Connected and streaming, as far as the replica knows: during a silent partition the link
    /// stays `up` for `repl-timeout`.
    Up,
    /// Anything else: connecting, handshake, waiting for the master's RDB, transferring it,
    /// loading.
    Down,
}

/// The link to the master as a replica reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamInfo {
    /// `master_host`: as configured on the replica; may be the name of a NAT or load balancer.
    pub host: Field<String>,
    /// `master_port`.
    pub port: Field<u16>,
    /// `master_link_status`.
    pub link: Field<LinkStatus>,
    /// `master_last_io_seconds_ago`: idle time of the link's read side, not a lag; `None` when -1.
    pub last_io: Field<Span>,
    /// `master_sync_in_progress`: a transfer is under way; still false while the master creates its
    /// RDB.
    pub sync_in_progress: Field<bool>,
    /// `master_sync_read_bytes`.
    pub sync_read: Field<Bytes>,
    /// `master_sync_total_bytes`; `None` when 0, as in a diskless sync, whose total is not known.
    pub sync_total: Field<Bytes>,
    /// `slave_read_repl_offset`: bytes received (6.2 and later).
    pub read_offset: Field<ReplicationOffset>,
    /// `slave_repl_offset`: bytes applied. 0 or 1 with the link down is a default, not a position.
    pub applied_offset: Field<ReplicationOffset>,
    /// `master_link_down_since_seconds`, only while the link is not up; `None` when -1 (never
    /// connected).
    pub link_down_since: Field<Span>,
    /// `slave_priority`.
    pub priority: Field<u64>,
    /// `slave_read_only`.
    pub read_only: Field<bool>,
}

/// The state of a replica's connection, as its master sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaConnState {
    /// `wait_bgsave`: the master is creating the RDB.
    WaitBgsave,
    /// `send_bulk`, `send_bulk_and_stream`, `bg_transfer`, `rdb_transmitted`: a full sync is being
    /// transferred.
    Transfer,
    /// `online`.
    Online,
    /// A state unknown to this program.
    Other,
}

/// One `slaveN` line of a master's (or a chained replica's) reply. N is a position, not an
/// identity.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaLine {
    /// `ip`, as the master sees it or the replica announces it.
    pub ip: String,
    /// `port`; 0 is a tool, not a replica.
    pub port: Field<u16>,
    /// `state`.
    pub state: ReplicaConnState,
    /// `offset`: the last acknowledged offset; `None` when 0 (nothing acknowledged yet, which may
    /// also be so while online).
    pub offset: Field<ReplicationOffset>,
    /// `lag`: age of the last ACK in whole seconds, not the age of the data; `None` when -1.
    pub ack_age: Field<Span>,
}

/// `# Stats`: counters of the serving side, reset by a restart or `CONFIG RESETSTAT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatsInfo {
    /// `sync_full`.
    pub sync_full: Field<u64>,
    /// `sync_partial_ok`.
    pub sync_partial_ok: Field<u64>,
    /// `sync_partial_err`.
    pub sync_partial_err: Field<u64>,
}

/// `# Persistence`: only the fields that show whether the server is loading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersistenceInfo {
    /// `loading`.
    pub loading: Field<bool>,
    /// `async_loading` (7.0): loading while serving the old data set.
    pub async_loading: Field<bool>,
    /// `aof_enabled`.
    pub aof_enabled: Field<bool>,
    /// `rdb_last_load_keys_loaded` (7.0): keys that the last RDB file held, from the disk or from a
    /// master; 0 as long as the process has loaded none.
    pub rdb_keys_loaded: Field<u64>,
    /// `current_save_keys_processed` (6.2): keys that the child process has written, into a file or
    /// to the replicas of a diskless sync; `None` when 0: no child writes, or none yet.
    pub save_keys_processed: Field<u64>,
    /// `current_save_keys_total` (6.2): of how many.
    pub save_keys_total: Field<u64>,
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing | Self::None | Self::Malformed => None,
        }
    }
}

impl<T: Copy> Field<T> {
    /// A copy of the value, if there is one.
    pub fn value(&self) -> Option<T> {
        self.get().copied()
    }
}

impl Engine {
    /// Whether its offsets are bytes of one stream, so that they can be compared.
    pub const fn counts_bytes(self) -> bool {
        matches!(self, Self::Redis | Self::Valkey)
    }
}

impl UpstreamInfo {
    /// Whether the replica reports that its link is up.
    pub fn is_up(&self) -> bool {
        self.link == Field::Value(LinkStatus::Up)
    }
}

impl PersistenceInfo {
    /// Whether the server reports that it is loading a data set, even while it serves the old one.
    pub fn is_loading(&self) -> bool {
        self.loading == Field::Value(true) || self.async_loading == Field::Value(true)
    }

    /// Whether the process certainly began with an empty data set: it has loaded no key of an RDB
    /// file, and keeps no append-only file that it could have loaded instead. The counter begins at
    /// 0 with each load (`rdbLoadRioWithLoadingCtx` in rdb.c), so it says nothing during one. With
    /// an append-only file it counts only the keys of that file's base.
    pub fn started_empty(&self) -> bool {
        !self.is_loading()
            && self.rdb_keys_loaded == Field::Value(0)
            && self.aof_enabled == Field::Value(false)
    }
}
