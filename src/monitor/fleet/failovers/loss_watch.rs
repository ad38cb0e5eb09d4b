//! Measures what a failover cost: the part of the old master's stream that the new one lacks.

use crate::info::{Observation, Role};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Timestamp};
use crate::monitor::failover::FailoverLoss;
use crate::replication::{Comparison, MasterHistory, MasterSample};

/// What is needed to measure what a failover cost.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LossWatch {
    /// The history that the old master wrote.
    pub(super) replid: Option<ReplicationId>,
    /// The newest offset that it showed.
    pub(super) newest_shown: Option<ReplicationOffset>,
    /// The last offset that the new master shares.
    pub(super) last_shared: Option<ReplicationOffset>,
    /// When the old master certainly had nothing beyond it.
    pub(super) shared_at: Option<Timestamp>,
    /// Whether the loss is final: no later answer can change it.
    pub(super) settled: bool,
}

impl LossWatch {
    /// Begins with the old master's stream; without it, nothing can be measured.
    pub(super) fn new(history: Option<&MasterHistory>) -> Self {
        Self {
            replid: history.and_then(MasterHistory::replid).cloned(),
            newest_shown: history.and_then(MasterHistory::newest),
            last_shared: None,
            shared_at: None,
            settled: history.is_none(),
        }
    }

    /// Whether the loss is final: no later answer can change it.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// The new master names the history that it continues, and up to which offset.
    pub(super) fn new_master_answered(&mut self, sample: &MasterSample) {
        let Some((continued, last_shared)) = &sample.continues else {
            return;
        };
        if self.last_shared.is_none() && Some(continued) == self.replid.as_ref() {
            self.last_shared = Some(*last_shared);
        }
    }

    /// Looks up when the old master certainly had nothing beyond the last shared offset.
    pub(super) fn date_last_shared(&mut self, history: &MasterHistory) {
        let Some(shared) = self.last_shared else {
            return;
        };
        self.shared_at = history.bracket(Comparison::Current, shared).lo;
    }

    /// As long as the old master shows the history that it wrote, what it has beyond the last
    /// shared offset is the loss. Once it shows another history, the loss is final.
    pub(super) fn old_master_answered(
        &mut self,
        info: &Observation,
        received: Timestamp,
        loss: &mut FailoverLoss,
    ) {
        let replid = info.replication.replid.get();
        if replid.is_none() || replid != self.replid.as_ref() {
            self.old_master_gave_up(info, received, loss);
            return;
        }
        let (Some(offset), Some(last_shared)) = (own_offset(info), self.last_shared) else {
            return;
        };
        // Redis shows 1 for "none".
        if offset <= ReplicationOffset::new(1) {
            return;
        }
        let newest = self.newest_shown.unwrap_or(offset).max(offset);
        self.newest_shown = Some(newest);
        *loss = FailoverLoss::Exactly(newest.since(last_shared));
        self.settled = !is_master(info);
    }

    /// The old master shows another history than the one that it wrote.
    ///
    /// A replica that was given a partial resync names the history that it came from
    /// (`slaveTryPartialResynchronization` in replication.c), and only a replica that has nothing
    /// beyond the shared offset is given one.
    fn old_master_gave_up(
        &mut self,
        info: &Observation,
        received: Timestamp,
        loss: &mut FailoverLoss,
    ) {
        self.settled = true;
        if loss.exactly().is_some() {
            return;
        }
        let came_from = info.replication.replid2.get();
        let continues_own = self.replid.is_some() && came_from == self.replid.as_ref();
        if continues_own && !is_master(info) {
            *loss = FailoverLoss::Exactly(Bytes::ZERO);
        } else if let Some(at_least) = self.at_least().at_least() {
            *loss = FailoverLoss::Unseen {
                at_least,
                within: self.shared_at.map(|since| received - since),
            };
        }
    }

    /// What the old master has shown beyond the last shared offset: it may have written more.
    pub(super) fn at_least(&self) -> FailoverLoss {
        match (self.newest_shown, self.last_shared) {
            (Some(shown), Some(last_shared)) => FailoverLoss::AtLeast(shown.since(last_shared)),
            _ => FailoverLoss::Unknown,
        }
    }
}

fn is_master(info: &Observation) -> bool {
    info.replication.role.value() == Some(Role::Master)
}

/// The offset up to which a server has its history: written as a master, or applied as a replica.
fn own_offset(info: &Observation) -> Option<ReplicationOffset> {
    let replication = &info.replication;
    if is_master(info) {
        return replication.master_offset.value();
    }
    let upstream = replication.upstream.as_ref()?;
    upstream.applied_offset.value()
}
