//! The directives of redis.conf that an audit asks a server for.

use crate::model::closed_set;

closed_set! {
    /// A directive, by its name in `CONFIG GET`. What INFO reports as well (`maxmemory`,
    /// `repl-backlog-size`) is not asked for, so that it is known without this right.
    pub enum Directive {
        /// Whether the append-only file has the time of each command.
        AofTimestampEnabled => "aof-timestamp-enabled",
        /// The addresses that the server listens on.
        Bind => "bind",
        /// The limits on the output buffer of each class of clients.
        ClientOutputBufferLimit => "client-output-buffer-limit",
        /// How many databases there are.
        Databases => "databases",
        /// The password that it shows its master: a secret.
        Masterauth => "masterauth",
        /// The most clients.
        Maxclients => "maxclients",
        /// How old a replica's last ACK may be for the replica to count as good.
        MinReplicasMaxLag => "min-replicas-max-lag",
        /// How many good replicas a master needs to take writes.
        MinReplicasToWrite => "min-replicas-to-write",
        /// The port for plain text; 0 is none.
        Port => "port",
        /// Whether only clients of the same machine are accepted without a password.
        ProtectedMode => "protected-mode",
        /// How long a master without replicas keeps its backlog, in seconds; 0 is without end.
        ReplBacklogTtl => "repl-backlog-ttl",
        /// Whether the stream to replicas is compressed.
        ReplCompression => "repl-compression",
        /// Whether small packets are collected.
        ReplDisableTcpNodelay => "repl-disable-tcp-nodelay",
        /// How a replica loads a full sync.
        ReplDisklessLoad => "repl-diskless-load",
        /// Whether a full sync goes to the replica without a file.
        ReplDisklessSync => "repl-diskless-sync",
        /// How often a master pings its replicas, in seconds.
        ReplPingReplicaPeriod => "repl-ping-replica-period",
        /// After how many seconds of silence a link counts as broken.
        ReplTimeout => "repl-timeout",
        /// Whether a replica goes on although its disk refuses writes.
        ReplicaIgnoreDiskWriteErrors => "replica-ignore-disk-write-errors",
        /// The password of the default user: a secret.
        Requirepass => "requirepass",
        /// When an RDB file is saved; empty is never.
        Save => "save",
        /// Whether writes are refused after a failed save.
        StopWritesOnBgsaveError => "stop-writes-on-bgsave-error",
        /// After how many idle seconds a client is probed; 0 is never.
        TcpKeepalive => "tcp-keepalive",
        /// The port for TLS; 0 is none.
        TlsPort => "tls-port",
        /// Whether the link to the master speaks TLS.
        TlsReplication => "tls-replication",
    }
}

/// What a secret's value is reduced to: that there is one.
pub(super) const SET: &str = "set";
/// The same, where there is none.
pub(super) const NOT_SET: &str = "not set";

impl Directive {
    /// Whether the value is a password. It is reduced to whether there is one before anything else
    /// sees it.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Masterauth | Self::Requirepass)
    }

    /// The first version (major, minor) of Redis that has it. Directives that every supported
    /// version has are from 5.0.
    pub const fn since(self) -> (u32, u32) {
        match self {
            Self::AofTimestampEnabled | Self::ReplicaIgnoreDiskWriteErrors => (7, 0),
            Self::ReplDisklessLoad | Self::TlsPort | Self::TlsReplication => (6, 0),
            _ => (5, 0),
        }
    }

    /// Whether a server of a version that has it may lack it: TLS is optional, and compression came
    /// with releases of Redis and Valkey whose numbers cannot be compared.
    pub const fn is_optional(self) -> bool {
        matches!(
            self,
            Self::ReplCompression | Self::TlsPort | Self::TlsReplication
        )
    }
}
