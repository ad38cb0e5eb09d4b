//! What a restart of this program must not forget: plain state, which somebody else writes to a
//! disk.

use std::collections::HashMap;

use super::counter::RestartProofCounter;
use super::epochs::MasterHistory;
use super::pair::PairRecord;
use crate::model::{PairKey, PairName, ServerAddr};

/// What is kept of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRecord {
    /// The port that it listens on by its own account.
    pub own_port: Option<u16>,
    /// Full resyncs that it served.
    pub full_syncs: RestartProofCounter,
    /// Partial resyncs that it granted.
    pub partial_syncs_ok: RestartProofCounter,
    /// Partial resyncs that it refused.
    pub partial_syncs_denied: RestartProofCounter,
}

/// Everything that is worth keeping, as it is now. Histories are borrowed: most of each was written
/// before.
#[derive(Debug, Default)]
pub struct ToSave<'a> {
    /// Each master's history.
    pub histories: Vec<(&'a ServerAddr, &'a MasterHistory)>,
    /// Each pair.
    pub pairs: Vec<(PairKey, PairRecord)>,
    /// Each server.
    pub servers: Vec<(ServerAddr, ServerRecord)>,
}

/// Everything that was kept, as it was read.
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
    /// Whether a history of this server's was kept: it was at the top of a tree.
    pub fn was_top(&self, server: &ServerAddr) -> bool {
        self.histories.contains_key(server)
    }

    /// Whether it was a replica of the entry of that name.
    pub fn was_replica(&self, name: &PairName, server: &ServerAddr) -> bool {
        let key = PairKey::new(name.clone(), server.clone());
        self.pairs.contains_key(&key)
    }
}
