//! What of the alerts outlives the process, and how it goes on in the next.

use std::collections::{BTreeMap, BTreeSet};

use super::Monitor;
use crate::alert::{
    AlertIdentity, AlertKey, AlertState, GroupKey, Quantity, RestoredAlert, Rule, SilenceRecord,
    Silences, TargetKind,
};
use crate::model::{
    ClockAnchor, Document, DocumentTable, SavedDocument, SavedDocuments, Span, Timestamp,
};

/// Alerts of an earlier life that nobody has claimed, and what the disk knows of silences.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Restored alerts of targets that are not watched, a Sentinel may name them later; what they
    /// looked at.
    unclaimed: BTreeMap<AlertKey, RestoredAlert>,
    /// Whether silences changed since they were last written.
    silences_changed: bool,
    /// The silences that the disk knows.
    silences_kept: BTreeSet<String>,
}

impl Monitor {
    /// Takes in the alerts of an earlier life, what receivers were told of them, failovers and what
    /// else happened then, except where something is known already. Nobody is told of it again.
    /// Returns sentences about what makes no sense.
    ///
    /// What counts seconds goes on counting from when it began, once the first poll of this process
    /// shows that it goes on.
    pub fn restore_alerts(&mut self, documents: &SavedDocuments, now: Timestamp) -> Vec<String> {
        let of = |table| documents.get(&table).map_or(&[][..], Vec::as_slice);
        let (engine, groups) = self.alerting.parts();
        let restored = engine.restore(of(DocumentTable::Alerts));
        let mut refused = restored.refused;
        refused.extend(groups.restore(now, of(DocumentTable::Groups), &engine.snapshots()));
        let unclaimed = restored
            .alerts
            .into_iter()
            .map(|restored| (restored.key.clone(), restored));
        self.past.unclaimed.extend(unclaimed);
        refused.extend(self.restore_silences(of(DocumentTable::Silences)));
        refused.extend(self.fleet.restore_failovers(of(DocumentTable::Failovers)));
        refused.extend(self.fleet.restore_losses(of(DocumentTable::Losses)));
        refused.extend(self.journal.restore(of(DocumentTable::Journal)));
        let full_syncs = self.alerting.full_syncs();
        refused.extend(full_syncs.restore(of(DocumentTable::FullSyncs)));
        refused.extend(self.receivers.restore(of(DocumentTable::ReceiverFacts)));
        refused.extend(self.fleet.restore_charts(of(DocumentTable::Charts)));
        self.claim_alerts();
        self.alerting.await_confirmation(now);
        refused
    }

    /// Gives the restored alerts to the targets that are watched by now.
    pub(super) fn claim_alerts(&mut self) {
        let alerting = &self.alerting;
        let claimed: Vec<_> = self
            .past
            .unclaimed
            .extract_if(.., |key, _| alerting.watches(key))
            .collect();
        for (_, restored) in &claimed {
            self.carry_on(restored);
        }
    }

    /// Lets what the alert counts go on, if it is pending or fires: of a target that was well when
    /// it was last looked at, nothing is known but that.
    fn carry_on(&mut self, restored: &RestoredAlert) {
        let RestoredAlert {
            key,
            state,
            value,
            as_of,
        } = restored;
        if !matches!(state, AlertState::Pending | AlertState::Firing) {
            return;
        }
        let AlertIdentity { rule, labels } = key.identity();
        if matches!(rule, Rule::Failover | Rule::HistoryLost) {
            return; // the failovers and losses themselves are kept
        }
        match (rule.target(), *value) {
            (TargetKind::Receiver, _) => {
                let receiver = labels.get("receiver").map_or("", String::as_str);
                self.receivers.carry_on(receiver, *as_of);
            }
            (_, Some(Quantity::Count(count))) => self.alerting.carry_on(key, *as_of, count),
            (_, Some(Quantity::Seconds(lasted))) if lasted > Span::ZERO => {
                self.carry_on_since(key, *as_of - lasted);
            }
            (_, Some(Quantity::Seconds(_) | Quantity::Bytes(_)) | None) => {}
        }
    }

    fn carry_on_since(&mut self, key: &AlertKey, since: Timestamp) {
        let labels = &key.identity().labels;
        match key.identity().rule {
            Rule::Unreachable => self
                .fleet
                .resume_silence(labels.get("server").map_or("", String::as_str), since),
            Rule::Unknown => self.fleet.carry_on_unknown(labels, since),
            Rule::Diverged => self.fleet.carry_on_diverged(labels, since),
            Rule::SentinelQuorum => self.sources.resume(key, since),
            // What these look at comes from the servers, from the lag history, or from the silence
            // of servers.
            _ => {}
        }
    }

    /// Ends restored alerts whose target nobody watches, and forgets the failovers of entries that
    /// are gone, once it is known who is watched.
    pub(super) fn end_unclaimed(&mut self, now: Timestamp) {
        if !self.sources.all_queried() {
            return;
        }
        self.fleet.forget_unclaimed_failovers();
        self.fleet.forget_unclaimed_charts();
        self.alerting.forget_unwatched();
        self.fleet.forget_unclaimed_losses();
        if self.past.unclaimed.is_empty() {
            return;
        }
        self.claim_alerts();
        for key in std::mem::take(&mut self.past.unclaimed).into_keys() {
            self.alerting.retire(&key, now);
        }
    }

    fn restore_silences(&mut self, documents: &[SavedDocument]) -> Vec<String> {
        let (mut records, mut refused) = (Vec::new(), Vec::new());
        for document in documents {
            self.past.silences_kept.insert(document.key.clone());
            match serde_json::from_str::<SilenceRecord>(&document.body) {
                Ok(record) => records.push(record),
                Err(why) => refused.push(format!("a silence: {why}")),
            }
        }
        let known: Vec<_> = self.silences().records().cloned().collect();
        self.alerting.mutes_mut().silences = Silences::restored(known.into_iter().chain(records));
        self.past.silences_changed = true;
        refused
    }

    /// Takes in that silences changed.
    pub(super) fn note_silences_changed(&mut self) {
        self.past.silences_changed = true;
    }

    fn take_unsaved_silences(&mut self, all: bool) -> Vec<Document> {
        if !std::mem::take(&mut self.past.silences_changed) && !all {
            return Vec::new();
        }
        let mut gone = std::mem::take(&mut self.past.silences_kept);
        let (mut documents, mut kept) = (Vec::new(), BTreeSet::new());
        for record in self.silences().records() {
            let key = record.id.to_string();
            gone.remove(&key);
            documents.push(Document::record(DocumentTable::Silences, &*key, record));
            kept.insert(key);
        }
        self.past.silences_kept = kept;
        documents.extend(
            gone.into_iter()
                .map(|key| Document::delete(DocumentTable::Silences, key)),
        );
        documents
    }

    /// Whether the disk may know less of the alerts than this.
    pub fn has_unsaved_alerts(&self) -> bool {
        self.alerting.has_unsaved()
            || self.past.silences_changed
            || self.journal.has_unsaved()
            || self.fleet.has_unsaved_failovers()
            || self.receivers.has_unsaved()
            || self.fleet.has_unsaved_losses()
    }

    /// What the disk has to be told of alerts: what changed since this was last asked, or
    /// everything.
    pub fn take_unsaved_alerts(&mut self, all: bool, anchor: ClockAnchor) -> Vec<Document> {
        let (engine, groups) = self.alerting.parts();
        let mut documents = engine.take_unsaved(all);
        documents.extend(groups.take_unsaved(all));
        documents.extend(self.fleet.take_unsaved_failovers(all));
        documents.extend(self.fleet.take_unsaved_losses(all));
        documents.extend(self.journal.take_unsaved(anchor));
        documents.extend(self.alerting.full_syncs().take_unsaved(all));
        documents.extend(self.receivers.take_unsaved(all));
        documents.extend(self.take_unsaved_silences(all));
        documents
    }

    /// What the charts show, for the disk: of as many pairs as fit, those first whose turn is
    /// longest ago. To be asked with each save of the lag history; `last` when it is the last one
    /// of this process.
    pub fn take_charts(&mut self, now: Timestamp, last: bool) -> Vec<Document> {
        self.fleet.take_charts(now, last)
    }

    /// Whether a receiver is told of this group, also when it is no longer configured.
    pub fn knows_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.alerting.knows_group(receiver, group)
    }
}
