//! The part of the monitor's state that outlives the process, and how the next process resumes it.

use super::Monitor;
use crate::alert::{
    AlertIdentity, AlertKey, AlertState, GroupKey, Quantity, RestoredAlert, Rule, TargetKind,
};
use crate::model::{Document, Persisted, SaveScope, SavedDocuments, Span, Timestamp};

/// Every part of the monitor that is saved as documents, in the order in which they are restored.
/// Whatever else must outlive the process implements [`Persisted`] and gets a row here.
macro_rules! persisted_parts {
    ($monitor:ident, $($borrow:tt)+) => {
        [
            $($borrow)+ $monitor.alerting,
            $($borrow)+ $monitor.fleet.failovers,
            $($borrow)+ $monitor.fleet.pairs,
            $($borrow)+ $monitor.journal,
            $($borrow)+ $monitor.receivers,
        ]
    };
}

impl Monitor {
    fn persisted(&self) -> [&dyn Persisted; 5] {
        persisted_parts!(self, &)
    }

    fn persisted_mut(&mut self) -> [&mut dyn Persisted; 5] {
        persisted_parts!(self, &mut)
    }

    /// Gives the restored alerts to the targets that are watched by now.
    pub(super) fn claim_alerts(&mut self) {
        let claimed = self.alerting.claim_restored();
        if claimed.is_empty() {
            return;
        }
        for restored in claimed {
            self.resume(&restored);
        }
        self.evaluate_all();
    }

    /// Every rule is evaluated in the next tick.
    pub(super) fn evaluate_all(&mut self) {
        self.fleet.evaluate_all();
        self.alerting.evaluate_all();
    }

    /// Continues the count or duration of a restored alert, if the alert was pending or firing.
    /// Any other target was fine.
    fn resume(&mut self, restored: &RestoredAlert) {
        let was_open = matches!(restored.state, AlertState::Pending | AlertState::Firing);
        if !was_open {
            return;
        }
        let key = &restored.key;
        let as_of = restored.as_of;
        let AlertIdentity { rule, labels } = key.identity();
        if matches!(rule, Rule::Failover | Rule::HistoryLost) {
            return; // the failovers and losses themselves are saved
        }
        if rule.target() == TargetKind::Receiver {
            if let Some(receiver) = labels.get("receiver") {
                self.receivers.resume(receiver, as_of);
            }
            return;
        }
        match restored.value {
            Some(Quantity::Count(count)) => self.alerting.resume_count(key, as_of, count),
            Some(Quantity::Seconds(lasted)) if lasted > Span::ZERO => {
                self.resume_since(key, as_of - lasted);
            }
            Some(_) | None => {}
        }
    }

    /// The condition of a restored alert has lasted since then.
    fn resume_since(&mut self, key: &AlertKey, since: Timestamp) {
        let AlertIdentity { rule, labels } = key.identity();
        match rule {
            Rule::Unreachable => {
                if let Some(server) = labels.get("server") {
                    self.fleet.resume_silence(server, since);
                }
            }
            Rule::Unknown => self.fleet.pairs.resume_unknown(labels, since),
            Rule::Diverged => self.fleet.pairs.resume_divergence(labels, since),
            Rule::SentinelQuorum | Rule::ClusterDown => self.sources.resume(key, since),
            // The readings of the other rules come from the servers, from the lag history, or from
            // the silence of servers.
            _ => {}
        }
    }

    /// Drops restored state of targets that are not watched, once every Sentinel has answered or
    /// failed to. Restored alerts about them end.
    pub(super) fn forget_unclaimed(&mut self, now: Timestamp) {
        if !self.sources.all_queried() {
            return;
        }
        self.claim_alerts();
        for part in self.persisted_mut() {
            part.forget_unclaimed(now);
        }
    }

    /// The charts that are due, as documents: as many as fit, those that have waited longest first.
    /// To be called with each save of the lag history; `last` when it is the last one of this
    /// process.
    pub fn take_charts(&mut self, now: Timestamp, last: bool) -> Vec<Document> {
        self.fleet.take_charts(now, last)
    }

    /// Whether a receiver is notified of this group, or was before it was removed from the
    /// configuration.
    pub fn knows_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.alerting.knows_group(receiver, group)
    }
}

/// Restored alerts are not notified a second time. A condition that is timed continues from when it
/// began, once the first poll of this process shows that it still holds.
impl Persisted for Monitor {
    fn has_unsaved(&self) -> bool {
        self.persisted().iter().any(|part| part.has_unsaved())
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let mut documents = Vec::new();
        for part in self.persisted_mut() {
            documents.extend(part.take_unsaved(scope));
        }
        documents
    }

    fn restore(&mut self, documents: &SavedDocuments, now: Timestamp) -> Vec<String> {
        let mut refused = Vec::new();
        for part in self.persisted_mut() {
            refused.extend(part.restore(documents, now));
        }
        self.claim_alerts();
        self.evaluate_all();
        self.alerting.await_confirmation(now);
        refused
    }
}
