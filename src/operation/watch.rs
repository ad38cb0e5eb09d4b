//! The Sentinels of a pair: what they say, and how an operation goes over them.

use serde::{Deserialize, Serialize};

use super::addr_text;
use crate::model::{ServerAddr, Span};

/// How an operation goes over the Sentinels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentinelIntent {
    /// What they call the master.
    pub name: String,
    /// The priorities that are changed for the operation, and put back.
    pub priorities: Vec<PriorityChange>,
}

/// The priority of a replica during the operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriorityChange {
    /// The replica.
    #[serde(with = "addr_text")]
    pub server: ServerAddr,
    /// Its priority before, and afterwards.
    pub before: u64,
    /// Its priority while the Sentinels choose.
    pub during: u64,
}

/// One Sentinel and its last answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelView {
    /// Where it listens.
    pub addr: ServerAddr,
    /// What it said, or why it said nothing, as a sentence without a full stop.
    pub said: Result<SentinelSaid, String>,
}

/// What a Sentinel says of the master that it watches.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelSaid {
    /// The master.
    pub master: ServerAddr,
    /// The epoch of its configuration.
    pub epoch: Option<u64>,
    /// Whether it takes the master for down.
    pub is_down: bool,
    /// Whether it fails over just now.
    pub failing_over: bool,
    /// Whether it is in TILT mode, in which it does nothing; `None` where that is not known.
    pub tilted: Option<bool>,
    /// After which silence it takes the master for down.
    pub down_after: Option<Span>,
    /// The priority of each replica that it knows.
    pub priorities: Vec<(ServerAddr, u64)>,
}

impl SentinelView {
    /// Its answer, if it gave one.
    pub(super) fn said(&self) -> Option<&SentinelSaid> {
        self.said.as_ref().ok()
    }
}

impl SentinelSaid {
    /// The priority of `server`, as it has last learned it; `None` for one that it does not know.
    pub(super) fn priority_of(&self, server: &ServerAddr) -> Option<u64> {
        let found = self.priorities.iter().find(|(addr, _)| addr == server)?;
        Some(found.1)
    }

    /// Whether it knows `server` as a replica of the master.
    pub fn knows(&self, server: &ServerAddr) -> bool {
        self.priority_of(server).is_some()
    }
}
