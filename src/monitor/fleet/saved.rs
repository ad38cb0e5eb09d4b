//! What of the fleet outlives the process.

use super::Fleet;
use crate::replication::{PairRecord, SavedState, ServerRecord, ToSave};

impl Fleet {
    pub(in crate::monitor) fn to_save(&self) -> ToSave<'_> {
        let servers = self.servers.iter().map(|(addr, server)| {
            let facts = &server.facts;
            let record = ServerRecord {
                own_port: server.own_port,
                full_syncs: facts.full_syncs.clone(),
                partial_syncs_ok: facts.partial_syncs_ok.clone(),
                partial_syncs_denied: facts.partial_syncs_denied.clone(),
            };
            (addr.clone(), record)
        });
        let pairs = self.pairs.iter().map(|pair| {
            let replica = self.servers.get(&pair.meta.key.replica);
            let record = pair.tracker.record();
            let silent_since = record.silent_since.or_else(|| replica?.facts.unanswered_since);
            (pair.meta.key.clone(), PairRecord { silent_since, ..record })
        });
        ToSave { histories: self.histories.iter().collect(), pairs: pairs.collect(), servers: servers.collect() }
    }

    /// Takes in what was kept of the servers and pairs that are watched, before anything is known of them.
    pub(in crate::monitor) fn restore(&mut self, mut state: SavedState) {
        for (addr, server) in &mut self.servers {
            if let Some(record) = state.servers.remove(addr) {
                server.own_port = record.own_port;
                server.facts.full_syncs = record.full_syncs;
                server.facts.partial_syncs_ok = record.partial_syncs_ok;
                server.facts.partial_syncs_denied = record.partial_syncs_denied;
            }
            if !server.as_top.is_empty()
                && let Some(history) = state.histories.remove(addr)
            {
                self.histories.insert(addr.clone(), history);
            }
        }
        for pair in &mut self.pairs {
            if let Some(record) = state.pairs.remove(&pair.meta.key) {
                pair.tracker.restore(record, self.histories.get(&pair.meta.top));
            }
        }
    }
}
