//! Alerts on the disk, and what receivers were notified of.

use super::Alerting;
use super::alerts::Alerts;
use crate::alert::{AlertKey, ResolveReason, RestoredAlert};
use crate::model::{
    Document, DocumentTable, Persisted, SaveScope, SavedDocuments, Span, Timestamp, documents_of,
};

impl Alerting {
    /// Takes the restored alerts whose targets are watched by now.
    pub(in crate::monitor) fn claim_restored(&mut self) -> Vec<RestoredAlert> {
        let mut claimed = Vec::new();
        for (key, restored) in std::mem::take(&mut self.restored) {
            if self.watches(&key) {
                claimed.push(restored);
            } else {
                self.restored.insert(key, restored);
            }
        }
        claimed
    }

    /// The alert had counted this much when the exporter was restarted, and its saved state does
    /// not contain when.
    pub(in crate::monitor) fn resume_count(&mut self, key: &AlertKey, at: Timestamp, count: u64) {
        if let Some(addr) = self.keys.full_syncs_of(key)
            && self.full_syncs.tracks(addr)
        {
            return; // their times are saved as well
        }
        self.counted_before.insert(key.clone(), (at, count));
    }

    /// What the alert had counted before a restart, as long as that was within `window`.
    pub(super) fn counted_before(&self, key: &AlertKey, window: Span, now: Timestamp) -> u64 {
        match self.counted_before.get(key) {
            Some((at, count)) if now - *at < window => *count,
            _ => 0,
        }
    }
}

impl Alerts {
    /// Returns a sentence for each document that is not valid.
    fn restore_groups(&mut self, documents: &SavedDocuments, now: Timestamp) -> Vec<String> {
        let groups = documents_of(documents, DocumentTable::Groups);
        let known = self.snapshots();
        self.groups.restore(now, groups, &known)
    }

    /// Returns a sentence for each document that is not valid.
    fn restore_silences(&mut self, documents: &SavedDocuments) -> Vec<String> {
        let silences = documents_of(documents, DocumentTable::Silences);
        self.saved_silences
            .restore(&mut self.mutes.silences, silences)
    }
}

/// The alerts, what receivers were notified of, silences, and when servers gave full syncs.
impl Persisted for Alerting {
    fn has_unsaved(&self) -> bool {
        self.alerts.engine.has_unsaved()
            || self.alerts.groups.has_unsaved()
            || self.alerts.saved_silences.has_unsaved()
            || self.full_syncs.has_unsaved()
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let alerts = &mut self.alerts;
        let mut documents = alerts.engine.take_unsaved(scope.all);
        documents.extend(alerts.groups.take_unsaved(scope.all));
        let silences = &alerts.mutes.silences;
        documents.extend(alerts.saved_silences.take_unsaved(silences, scope.all));
        documents.extend(self.full_syncs.take_unsaved(scope));
        documents
    }

    fn restore(&mut self, documents: &SavedDocuments, now: Timestamp) -> Vec<String> {
        let alerts = documents_of(documents, DocumentTable::Alerts);
        let restored = self.alerts.engine.restore(alerts);
        let mut refused = restored.refused;
        for alert in restored.alerts {
            self.restored.insert(alert.key.clone(), alert);
        }
        refused.extend(self.alerts.restore_groups(documents, now));
        refused.extend(self.alerts.restore_silences(documents));
        refused.extend(self.full_syncs.restore(documents, now));
        refused
    }

    /// Restored alerts of targets that are not watched end.
    fn forget_unclaimed(&mut self, now: Timestamp) {
        let keys = &self.keys;
        self.full_syncs
            .forget_unwatched(|addr| keys.has_server(addr));
        for key in std::mem::take(&mut self.restored).into_keys() {
            self.alerts.retire(&key, ResolveReason::Removed, now);
        }
    }
}
