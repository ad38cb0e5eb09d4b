//! Masters that come back without their history, and the pairs that lose it with them.

mod saved;

use super::Fleet;
use crate::info::{Observation, Role};
use crate::model::{ReplicationOffset, RunId, ServerAddr, Timestamp};
use crate::replication::{
    Assessment, HistoryLoss, HistoryRemnant, Lineage, MasterPoll, MasterSample, PairState,
    PairTracker,
};

pub(super) use saved::LossesKept;

impl Fleet {
    /// Takes in what the server at the top of a tree shows of its history, before the tree's own
    /// history does. Nothing is concluded while it loads: it names what it continues only then.
    pub(super) fn watch_lineage(
        &mut self,
        top: &ServerAddr,
        seen: &Observation,
        sample: &MasterSample,
        pairs: &[usize],
    ) {
        if seen.persistence.is_loading() {
            return;
        }
        let look = MasterPoll {
            sample,
            run_id: seen.server.run_id.get(),
            uptime: seen.server.uptime.value(),
            keys: seen.keys.value(),
            started_empty: seen.persistence.started_empty(),
        };
        let before = self.lineages.remove(top);
        let kept = before.as_ref().and_then(|before| before.lost_to(look));
        if let (Some(before), Some(kept)) = (&before, kept) {
            let kept = self.since_when(top, before, kept);
            let loss = HistoryLoss::new(before, kept, look);
            self.change_losses(pairs, |tracker| tracker.history_lost(loss.clone()));
        }
        let lineage = Lineage::from_poll(look, before.as_ref());
        self.lineages.insert(top.clone(), lineage);
        self.change_losses(pairs, |tracker| tracker.loss_master_answered(sample));
    }

    /// Changes what is known of the losses of the pairs with these indices.
    pub(super) fn change_losses(&mut self, pairs: &[usize], change: impl Fn(&mut PairTracker)) {
        for &index in pairs {
            if let Some(pair) = self.pairs.get_mut(index) {
                change(&mut pair.tracker);
                self.losses_kept.touched |= pair.tracker.take_loss_changed();
            }
        }
    }

    /// A server that follows another one has given its own history up.
    pub(super) fn forget_lineage(&mut self, top: &ServerAddr, seen: &Observation) {
        if seen.replication.role.value() == Some(Role::Replica) {
            self.lineages.remove(top);
        }
    }

    /// The lineages of servers that are at the top of a tree no more are over: another one goes on
    /// with the history.
    pub(super) fn retain_lineages(&mut self) {
        let servers = &self.servers;
        self.lineages.retain(|addr, _| {
            servers
                .get(addr)
                .is_some_and(|server| !server.as_top.is_empty())
        });
    }

    /// What a master showed before a restart of this program, by the history that was kept of it.
    pub(super) fn restore_lineage(&mut self, top: &ServerAddr, run_id: Option<RunId>) {
        let Some(history) = self.histories.get(top) else {
            return;
        };
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

    /// Since when what is lost was written: after the master was last seen within what it kept.
    fn since_when(
        &self,
        top: &ServerAddr,
        before: &Lineage,
        kept: HistoryRemnant,
    ) -> HistoryRemnant {
        let HistoryRemnant::Until { lost, .. } = kept else {
            return kept;
        };
        let last = ReplicationOffset::new(before.offset.get().saturating_sub(lost.get()));
        let history = self.histories.get(top);
        let since = history.and_then(|history| history.passed_after(&before.replid, last));
        HistoryRemnant::Until { lost, since }
    }

    /// Notes whether the pair streams, which is what ends a loss.
    pub(in crate::monitor) fn note_streaming(
        &mut self,
        index: usize,
        seen: &Assessment,
        now: Timestamp,
    ) {
        let streams = seen.state == PairState::Streaming;
        self.change_losses(&[index], |tracker| tracker.loss_streams(streams, now));
    }

    /// Forgets the pair's loss if nothing is left to be said of it.
    pub(in crate::monitor) fn end_loss(&mut self, index: usize, now: Timestamp) {
        self.change_losses(&[index], |tracker| {
            let loss = tracker.facts().loss.as_ref();
            if loss.is_some_and(|loss| loss.is_over(now)) {
                tracker.forget_loss();
            }
        });
    }
}
