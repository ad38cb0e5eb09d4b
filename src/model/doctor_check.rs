//! The checks of `doctor`, by the names that people ignore them under.

use super::{closed_set, serde_as_label};

closed_set! {
    /// One check of an audit for disaster recovery. The letter is the chapter: A what makes a
    /// replica useless once it is promoted, B buffers and timeouts of replication, C persistence, D
    /// how the pair is set up, E Sentinels, F practice and history, G active-active sites.
    pub enum DoctorCheck {
        /// `min-replicas-to-write` of the replica.
        A1 => "A1",
        /// `maxmemory` and its policy.
        A2 => "A2",
        /// `databases`.
        A3 => "A3",
        /// Failed writes to the replica's disk.
        A4 => "A4",
        /// `masterauth` of the master.
        A5 => "A5",
        /// ACL users.
        A6 => "A6",
        /// What the replica listens on.
        A7 => "A7",
        /// The way back to the replica.
        A8 => "A8",
        /// Modules, program and version.
        A9 => "A9",
        /// `maxclients`.
        A10 => "A10",
        /// `replica-read-only`.
        A11 => "A11",
        /// The configuration file.
        A12 => "A12",
        /// Renamed and disabled commands.
        A13 => "A13",
        /// The clocks.
        A14 => "A14",
        /// `repl-backlog-size`.
        B1 => "B1",
        /// `repl-backlog-ttl`.
        B2 => "B2",
        /// `client-output-buffer-limit replica`.
        B3 => "B3",
        /// `repl-timeout`.
        B4 => "B4",
        /// Diskless replication.
        B5 => "B5",
        /// `repl-disable-tcp-nodelay`.
        B6 => "B6",
        /// Directives that somebody asks for.
        B7 => "B7",
        /// Room for a fork.
        B8 => "B8",
        /// Persistence of the master.
        C1 => "C1",
        /// Persistence of the replica.
        C2 => "C2",
        /// A master with an append-only file.
        C3 => "C3",
        /// `aof-timestamp-enabled`.
        C4 => "C4",
        /// The age of the last save.
        C5 => "C5",
        /// The master's fence against its own isolation.
        D1 => "D1",
        /// `replica-priority`.
        D2 => "D2",
        /// `replica-announced`.
        D3 => "D3",
        /// The address that the replica announces.
        D4 => "D4",
        /// `tcp-keepalive`.
        D5 => "D5",
        /// Where the Sentinels are.
        E1 => "E1",
        /// `down-after-milliseconds`.
        E2 => "E2",
        /// Settings that differ between Sentinels.
        E3 => "E3",
        /// Replicas and Sentinels that do not exist.
        E4 => "E4",
        /// `parallel-syncs`.
        E5 => "E5",
        /// Passwords and scripts of Sentinels.
        E6 => "E6",
        /// The names that Sentinels use.
        E7 => "E7",
        /// Rights of the Sentinels' user.
        E8 => "E8",
        /// The last drill.
        F1 => "F1",
        /// Rights of the operator.
        F2 => "F2",
        /// Full syncs that come again.
        F3 => "F3",
        /// What a full site evicts.
        G1 => "G1",
        /// What a restart of a site loses.
        G2 => "G2",
        /// The clocks of the sites.
        G3 => "G3",
    }
}

serde_as_label!(DoctorCheck);

impl DoctorCheck {
    /// Whether it is of chapter A: what a promotion of the replica would run into. A failover makes
    /// these checks first.
    pub fn is_promotion_trap(self) -> bool {
        self.label().starts_with('A')
    }
}
