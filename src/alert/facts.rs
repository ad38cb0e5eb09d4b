//! Facts of alerts: what is at risk, what was lost, and the details of single rules.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Span, Timestamp};
use crate::replication::{EvidenceEnd, HistoryLoss, SyncProgress};

/// How many pairs of one server are kept.
pub const MAX_SERVICES: usize = 8;

/// A value with what is certain about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds<T> {
    /// The value is certainly at least this.
    pub lower: Option<T>,
    /// The best estimate.
    pub estimate: Option<T>,
    /// The value is certainly at most this.
    pub upper: Option<T>,
}

/// The writes that would be lost if the master's datacenter failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// The age of the oldest of them.
    pub lag: Bounds<Span>,
    /// Their bytes in the replication stream.
    pub bytes: Bounds<Bytes>,
    /// When this was last certain; `None` means now.
    pub as_of: Option<Timestamp>,
}

/// The worst values during a fault, by the estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worst {
    /// The lag in time.
    pub lag: Option<Span>,
    /// The lag in bytes.
    pub bytes: Option<Bytes>,
}

/// How much of the master's backlog is left for a replica that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogHeadroom {
    /// Bytes that the master may still write before the replica needs a full resync; zero when it
    /// needs one already.
    pub headroom: Bytes,
    /// How long that lasts at the write rate of the last minutes; `None` where nothing was written,
    /// or too little is known.
    pub lasts: Option<Span>,
    /// How long it lasts if the master writes as fast as it ever has in the history that is kept.
    #[serde(default)]
    pub worst: Option<Span>,
    /// How long that history is.
    #[serde(default)]
    pub history: Option<Span>,
}

/// A master's output buffer for a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputBufferFacts {
    /// What is buffered.
    pub size: Bytes,
    /// The smaller of its limits.
    pub limit: Option<Bytes>,
    /// How long until the master drops the connection at the present growth.
    pub disconnect_in: Option<Span>,
}

/// How a replica recovered from an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// How the stream resumed; `None` where that was not seen.
    pub resync: Option<Resync>,
    /// How long it took from the end of the fault until the replica had everything; `None` while it
    /// is still catching up.
    pub took: Option<Span>,
}

/// How a replication stream resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resync {
    /// Over the same connection.
    None,
    /// By a partial resync.
    Partial,
    /// By a full resync.
    Full,
}

/// A server's part in one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedPair {
    /// Whether the server is the pair's master or its replica.
    pub role: ServiceRole,
    /// The pair's name.
    pub pair: String,
    /// The datacenter of the server at the other end.
    pub peer_dc: String,
    /// The server at the other end, `host:port`.
    pub peer: String,
    /// What would be lost if the pair's master failed.
    pub at_risk: Option<AtRisk>,
    /// The progress of the full sync between the two, while one is under way.
    #[serde(default)]
    pub sync: Option<SyncProgress>,
    /// Whether the pair's master came back without its replication history, and that has not ended.
    #[serde(default)]
    pub history_lost: bool,
}

/// Which end of a pair a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceRole {
    /// The master.
    Master,
    /// The replica.
    Replica,
}

/// Facts that only alerts of one rule have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Details {
    /// The last failover of an entry.
    Failover(FailoverFacts),
    /// Two masters, or a replica with writes of its own.
    Diverged(DivergedFacts),
    /// The full syncs that a server started.
    FullSyncs {
        /// Over how long they are counted.
        window: Span,
    },
    /// A master that came back without its history.
    HistoryLost(Arc<HistoryLoss>),
    /// An output buffer.
    OutputBuffer(OutputBufferFacts),
    /// An exporter that reaches no server outside its datacenter.
    Isolated {
        /// How many such servers there are.
        servers: usize,
    },
}

/// A failover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverFacts {
    /// The master before, `host:port`.
    pub from: String,
    /// The datacenter of the master before.
    pub from_dc: String,
    /// The master now, `host:port`.
    pub to: String,
    /// The datacenter of the master now.
    pub to_dc: String,
    /// When the failover was seen.
    pub at: Timestamp,
    /// What the new master lacks of the old one's stream.
    pub lost: WriteLoss,
    /// Over how long failovers are counted.
    pub window: Span,
    /// The name of the operation that did it, where one was reported.
    #[serde(default)]
    pub operation: Option<String>,
}

/// The writes that a failover or a divergence cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteLoss {
    /// Exactly this much; zero means nothing.
    Exactly(Bytes),
    /// Certainly at least this much.
    AtLeast(Bytes),
    /// At most the writes of some time, as of the instant at which that was certain. What the old
    /// master wrote after it is not known.
    AtMost {
        /// The age of the oldest write.
        lag: Span,
        /// Their bytes.
        bytes: Option<Bytes>,
        /// When that was certain.
        as_of: Timestamp,
        /// At least this many bytes are certainly lost.
        at_least: Option<Bytes>,
    },
    /// All lost writes are from within some time before the old master gave way.
    Within {
        /// How long before.
        lag: Span,
        /// At least this many bytes are certainly lost.
        at_least: Option<Bytes>,
    },
    /// Nothing is known.
    Unknown,
}

/// Two servers with histories of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DivergedFacts {
    /// The pair's master, `host:port`.
    pub master: String,
    /// The pair's replica, `host:port`.
    pub replica: String,
    /// Whether both report that they are masters.
    pub two_masters: bool,
    /// Bytes that only the master has.
    pub only_master: Option<Bytes>,
    /// Bytes that only the replica has.
    pub only_replica: Option<Bytes>,
    /// What has become of the writes that only a deposed master has, as a sentence without its end,
    /// where the exporter captures them.
    #[serde(default)]
    pub capture: Option<String>,
    /// Until when the writes that only a deposed master has can be saved, and what ends that;
    /// `None` where that is not known, or nothing is left to save.
    #[serde(default)]
    pub evidence: Option<EvidenceUntil>,
}

/// Until when the writes of a deposed master can be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceUntil {
    /// The instant.
    pub at: Timestamp,
    /// What ends it.
    pub end: EvidenceEnd,
}

impl<T> Default for Bounds<T> {
    fn default() -> Self {
        Self {
            lower: None,
            estimate: None,
            upper: None,
        }
    }
}

impl<T: Copy> Bounds<T> {
    /// The estimate, or the lower bound where there is none.
    pub fn best(&self) -> Option<T> {
        self.estimate.or(self.lower)
    }

    /// Whether nothing is known.
    pub const fn is_unknown(&self) -> bool {
        self.lower.is_none() && self.estimate.is_none() && self.upper.is_none()
    }
}

impl Worst {
    /// The worse of both, field by field.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        Self {
            lag: self.lag.max(other.lag),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl AtRisk {
    /// Its part in the worst values of a fault: a statement about an earlier instant has none.
    pub fn worst(&self) -> Worst {
        if self.as_of.is_some() {
            return Worst::default();
        }
        Worst {
            lag: self.lag.best(),
            bytes: self.bytes.best(),
        }
    }
}
