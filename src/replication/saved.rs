//! What must survive a restart of this program, as plain state; the room `store` writes it to the
//! disk.

use std::collections::HashMap;

use super::counter::RestartProofCounter;
use super::epochs::MasterHistory;
use super::pair::PairRecord;
use crate::model::{PairKey, PairName, ServerAddr};

/// What is saved of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRecord {
    /// The port on which it reports that it listens.
    pub own_port: Option<u16>,
    /// Full resyncs that it served.
    pub full_syncs: RestartProofCounter,
    /// Partial resyncs that it granted.
    pub partial_syncs_ok: RestartProofCounter,
    /// Partial resyncs that it refused.
    pub partial_syncs_denied: RestartProofCounter,
}

/// Everything that is saved, as it is now. Histories are borrowed: most of each was saved before.
#[derive(Debug, Default)]
pub struct ToSave<'a> {
    /// Each master's history.
    pub histories: Vec<(&'a ServerAddr, &'a MasterHistory)>,
    /// Each pair.
    pub pairs: Vec<(PairKey, PairRecord)>,
    /// Each server.
    pub servers: Vec<(ServerAddr, ServerRecord)>,
}

/// Everything that was saved, as it was read.
#[derive(Debug, Default)]
pub struct SavedState {
    /// Each master's history.
    pub histories: HashMap<ServerAddr, MasterHistory>,
    /// Each pair.
    pub pairs: HashMap<PairKey, PairRecord>,
    /// Each server.
    pub servers: HashMap<ServerAddr, ServerRecord>,
}

impl SavedState {
    /// Whether a history of this server was saved: it was at the top of a tree.
    pub fn was_top(&self, server: &ServerAddr) -> bool {
        self.histories.contains_key(server)
    }

    /// Whether the server was a replica of the entry of that name.
    pub fn was_replica(&self, name: &PairName, server: &ServerAddr) -> bool {
        let key = PairKey::new(name.clone(), server.clone());
        self.pairs.contains_key(&key)
    }
}
