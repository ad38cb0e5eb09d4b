//! Tracks what the replica has of a history that its master lost.

use std::sync::Arc;

use super::super::loss::{Applied, HistoryLoss, ReplicaCopy};
use super::PairTracker;
use crate::info::Observation;
use crate::model::{Bytes, Timestamp};
use crate::replication::MasterSample;

impl PairTracker {
    /// Records that the master came back without its history.
    pub fn history_lost(&mut self, loss: HistoryLoss) {
        let loss = match &self.facts.loss {
            Some(known) => known.followed_by(loss),
            None => self.with_applied(loss),
        };
        self.set_loss(Some(loss));
    }

    /// The loss with what the replica had applied of the lost history, by its last position.
    fn with_applied(&self, mut loss: HistoryLoss) -> HistoryLoss {
        if let Some(located) = &self.facts.located
            && located.position.replid == loss.from
        {
            loss.applied = Some(Applied {
                bytes: Bytes::new(located.applied().get()),
                at: located.received(),
            });
        }
        loss
    }

    /// Restores the loss that was known before a restart of this program.
    pub fn restore_loss(&mut self, loss: HistoryLoss) {
        self.facts.loss = Some(Arc::new(loss));
    }

    /// Records the answer of a master that may have its history again.
    pub fn loss_master_answered(&mut self, sample: &MasterSample) {
        self.change_loss(|loss| loss.master_answered(sample));
    }

    /// Records the replica's answer.
    pub(super) fn loss_replica_answered(&mut self, seen: &Observation) {
        let being_sent = self.facts.ack.shows_full_sync();
        self.change_loss(|loss| loss.replica_answered(seen, being_sent));
    }

    /// Records whether the pair streams at `now`.
    pub fn loss_streams(&mut self, streams: bool, now: Timestamp) {
        self.change_loss(|loss| {
            let follows = matches!(loss.copy, ReplicaCopy::Replaced | ReplicaCopy::NoMore);
            if streams && follows {
                loss.streams_since.get_or_insert(now);
            } else {
                loss.streams_since = None;
            }
        });
    }

    /// Forgets a loss that need not be reported any more.
    pub fn forget_loss(&mut self) {
        self.set_loss(None);
    }

    /// Whether the loss changed since the last call.
    pub fn take_loss_changed(&mut self) -> bool {
        std::mem::take(&mut self.loss_changed)
    }

    fn change_loss(&mut self, change: impl FnOnce(&mut HistoryLoss)) {
        let Some(known) = &self.facts.loss else {
            return;
        };
        let mut changed = HistoryLoss::clone(known);
        change(&mut changed);
        if changed != **known {
            self.set_loss(Some(changed));
        }
    }

    fn set_loss(&mut self, loss: Option<HistoryLoss>) {
        self.facts.loss = loss.map(Arc::new);
        self.loss_changed = true;
    }
}
