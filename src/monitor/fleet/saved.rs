//! The lag history and the other state of the fleet that is saved with it.

use super::Fleet;
use super::pairs::{PairEntry, Pairs};
use super::servers::ServerEntry;
use crate::alert::Labels;
use crate::model::Timestamp;
use crate::replication::{PairRecord, SavedState, ServerRecord, ToSave};

impl Fleet {
    /// The part of the lag history that has to outlive the process.
    pub(in crate::monitor) fn to_save(&self) -> ToSave<'_> {
        let servers = self.servers.iter();
        let servers = servers.map(|server| (server.meta.addr.clone(), server.record()));
        let pairs = self.pairs.entries.iter();
        let pairs = pairs.map(|pair| (pair.meta.key.clone(), self.record_of(pair)));
        ToSave {
            histories: self.histories.streams().collect(),
            pairs: pairs.collect(),
            servers: servers.collect(),
        }
    }

    fn record_of(&self, pair: &PairEntry) -> PairRecord {
        let mut record = pair.tracker.record();
        if record.silent_since.is_none() {
            let replica = pair.servers.and_then(|own| self.servers.at(own.replica));
            record.silent_since = replica.and_then(|replica| replica.facts.unanswered_since);
        }
        record
    }

    /// Restores the saved state of the servers and pairs that are watched, before anything else is
    /// known of them. The state of others is kept: a Sentinel that does not answer at the start may
    /// name its pairs later.
    pub(in crate::monitor) fn restore(&mut self, state: SavedState) {
        self.pending_restore = state;
        self.claim_restored();
        self.evaluate_all();
    }

    /// The server has been silent since then, before a restart, until it answers.
    pub(in crate::monitor) fn resume_silence(&mut self, server: &str, since: Timestamp) {
        for entry in self.servers.iter_mut() {
            if entry.meta.addr.to_string() == server {
                entry.facts.resume_silence(since);
            }
        }
    }

    /// Gives the restored state to the servers and pairs that are watched now. Whatever was watched
    /// before has claimed its state already.
    pub(super) fn claim_restored(&mut self) {
        let pending = &mut self.pending_restore;
        for server in self.servers.iter_mut() {
            let addr = &server.meta.addr.clone();
            let mut run_id = None;
            if let Some(record) = pending.servers.remove(addr) {
                run_id = record.full_syncs.parts().2.cloned();
                server.restore(record);
            }
            if server.as_top.is_empty() {
                continue;
            }
            if let Some(history) = pending.histories.remove(addr) {
                self.histories.restore(addr, history, run_id);
            }
        }
        for pair in &mut self.pairs.entries {
            if let Some(record) = pending.pairs.remove(&pair.meta.key) {
                let history = self.histories.get(&pair.meta.top);
                pair.tracker.restore(record, history);
            }
        }
    }
}

impl ServerEntry {
    fn record(&self) -> ServerRecord {
        ServerRecord {
            own_port: self.own_port,
            full_syncs: self.facts.full_syncs.clone(),
            partial_syncs_ok: self.facts.partial_syncs_ok.clone(),
            partial_syncs_denied: self.facts.partial_syncs_denied.clone(),
        }
    }

    fn restore(&mut self, record: ServerRecord) {
        self.own_port = record.own_port;
        self.facts.full_syncs = record.full_syncs;
        self.facts.partial_syncs_ok = record.partial_syncs_ok;
        self.facts.partial_syncs_denied = record.partial_syncs_denied;
    }
}

impl Pairs {
    /// Nothing has been known of the pair with these labels since then, before a restart, until
    /// something is.
    pub(in crate::monitor) fn resume_unknown(&mut self, labels: &Labels, since: Timestamp) {
        for pair in self.with_labels(labels) {
            pair.watched_since = pair.watched_since.min(since);
        }
    }

    /// The pair with these labels has been diverged since then, before a restart, until it is seen
    /// to be anything else.
    pub(in crate::monitor) fn resume_divergence(&mut self, labels: &Labels, since: Timestamp) {
        for pair in self.with_labels(labels) {
            pair.diverged_since = Some(since);
        }
    }

    fn with_labels(&mut self, labels: &Labels) -> impl Iterator<Item = &mut PairEntry> {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let name = label("pair");
        let replica = label("replica");
        let is_named = move |pair: &&mut PairEntry| {
            let key = &pair.meta.key;
            key.name.as_str() == name && key.replica.to_string() == replica
        };
        self.entries.iter_mut().filter(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::model::{PairKey, PairName, ServerAddr, Span};
    use crate::replication::{HistoryLimits, MasterHistory};
    use crate::topology::Topology;

    #[test]
    fn saved_state_is_kept_for_a_pair_that_is_named_later() {
        let key = PairKey::new(PairName::new("orders"), ServerAddr::new("r", 1));
        let top = ServerAddr::new("m", 1);
        let record = PairRecord {
            applied_total: Some(7),
            ..PairRecord::default()
        };
        let server = ServerRecord {
            own_port: Some(9),
            ..ServerRecord::default()
        };
        let state = || SavedState {
            histories: [(top.clone(), MasterHistory::new(HistoryLimits::default()))].into(),
            pairs: [(key.clone(), record.clone())].into(),
            servers: [(top.clone(), server.clone())].into(),
        };
        let named = Topology::from_settings(&settings_of(&[("orders", "m:1", &["r:1"])]));
        let other = Topology::from_settings(&settings_of(&[("carts", "a:1", &["b:1"])]));
        let interval = Span::from_secs(1);
        let now = Timestamp::default();
        for begin in [&named, &other] {
            let mut fleet = Fleet::new(begin, interval, now);
            fleet.restore(state());
            fleet.reconfigure(&named, interval, now);
            let saved = fleet.to_save();
            assert_eq!(saved.histories.len(), 1);
            assert_eq!(
                (&saved.pairs[0].0, saved.pairs[0].1.applied_total),
                (&key, Some(7))
            );
            assert!(saved.servers.contains(&(top.clone(), server.clone())));
            fleet.reconfigure(&other, interval, now);
            fleet.reconfigure(&named, interval, now);
            assert_eq!(
                fleet.to_save().pairs[0].1.applied_total,
                None,
                "what was claimed once is gone with its pair"
            );
        }
    }
}
