//! The replication streams that lag is measured against, one a tree.

use std::collections::{BTreeMap, HashMap};

use super::servers::Servers;
use crate::info::Observation;
use crate::model::{ReplicationOffset, RunId, ServerAddr};
use crate::replication::{
    Footprint, HistoryChange, HistoryLimits, HistoryLoss, HistoryRemnant, Lineage, MasterHistory,
    MasterPoll, MasterSample,
};

/// The stream of each tree, by the server at its top: it moves with the tree when another server
/// takes over.
#[derive(Debug, Default)]
pub(super) struct Histories {
    streams: HashMap<ServerAddr, MasterHistory>,
    /// What each server at the top of a tree showed of its history when it last answered.
    lineages: HashMap<ServerAddr, Lineage>,
}

impl Histories {
    /// The stream of the tree under `top`, once it has answered.
    pub(super) fn get(&self, top: &ServerAddr) -> Option<&MasterHistory> {
        self.streams.get(top)
    }

    /// Every stream with the server at the top of its tree.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&ServerAddr, &MasterHistory)> {
        self.streams.iter()
    }

    /// What the stream under `top` takes in memory.
    pub(super) fn footprint(&self, top: &ServerAddr) -> Option<Footprint> {
        self.get(top).and_then(MasterHistory::footprint)
    }

    /// Adds what the server at the top of a tree answered. Returns the stream, unless the answer
    /// overlaps the one before it: then the stream does not hold it, and nothing may be concluded
    /// from it.
    pub(super) fn observe(
        &mut self,
        top: &ServerAddr,
        sample: &MasterSample,
    ) -> Option<&MasterHistory> {
        let history = self
            .streams
            .entry(top.clone())
            .or_insert_with(|| MasterHistory::new(HistoryLimits::default()));
        if history.observe(sample) == HistoryChange::Reordered {
            return None;
        }
        Some(history)
    }

    /// Compares what the server at the top of a tree shows of its history with what it showed
    /// before. Returns what it has lost. To be called before [`Histories::observe`], and only once
    /// the server has loaded its data set: before that it does not name the history that it
    /// continues.
    pub(super) fn observe_lineage(
        &mut self,
        top: &ServerAddr,
        info: &Observation,
        sample: &MasterSample,
    ) -> Option<HistoryLoss> {
        let poll = MasterPoll {
            sample,
            run_id: info.server.run_id.get(),
            uptime: info.server.uptime.value(),
            keys: info.keys.value(),
            started_empty: info.persistence.started_empty(),
        };
        let before = self.lineages.remove(top);
        let now = Lineage::from_poll(poll, before.as_ref());
        self.lineages.insert(top.clone(), now);
        let before = before?;
        let kept = before.lost_to(poll)?;
        let kept = self.with_beginning_of_loss(top, &before, kept);
        Some(HistoryLoss::new(&before, kept, poll))
    }

    /// Adds since when what is lost was written: after the master was last seen within what it
    /// kept.
    fn with_beginning_of_loss(
        &self,
        top: &ServerAddr,
        before: &Lineage,
        kept: HistoryRemnant,
    ) -> HistoryRemnant {
        let HistoryRemnant::Until { lost, .. } = kept else {
            return kept;
        };
        let last_kept = before.offset.get().saturating_sub(lost.get());
        let last_kept = ReplicationOffset::new(last_kept);
        let history = self.get(top);
        let since = history.and_then(|history| history.passed_after(&before.replid, last_kept));
        HistoryRemnant::Until { lost, since }
    }

    /// Forgets what the server showed of its history: it follows another one and has given it up.
    pub(super) fn forget_lineage(&mut self, top: &ServerAddr) {
        self.lineages.remove(top);
    }

    /// Restores a stream from before a restart of the exporter, unless there is one already.
    /// `run_id` is the server's process at that time.
    pub(super) fn restore(
        &mut self,
        top: &ServerAddr,
        history: MasterHistory,
        run_id: Option<RunId>,
    ) {
        let history = self.streams.entry(top.clone()).or_insert(history);
        let Some((replid, offset, at)) = history.last_shown() else {
            return;
        };
        let lineage = Lineage {
            replid: replid.clone(),
            offset,
            run_id,
            keys: None,
            at,
        };
        self.lineages.entry(top.clone()).or_insert(lineage);
    }

    /// Moves each stream to the server that continues it, and drops the streams of servers that are
    /// at the top of no tree.
    pub(super) fn follow(&mut self, moves: &BTreeMap<ServerAddr, ServerAddr>, servers: &Servers) {
        for (from, to) in moves {
            let history = if servers.is_top(from) {
                self.streams.get(from).cloned()
            } else {
                self.streams.remove(from)
            };
            if let Some(history) = history {
                self.streams.entry(to.clone()).or_insert(history);
            }
        }
        self.streams.retain(|addr, _| servers.is_top(addr));
        self.lineages.retain(|addr, _| servers.is_top(addr));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}
