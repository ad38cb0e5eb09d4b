//! The health of receivers on the disk, so that a restart of the exporter does not hide a problem.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ReceiverHealth, Receivers};
use crate::delivery::DeliveryFailure;
use crate::model::{
    ClockShift, Document, DocumentTable, Persisted, SaveScope, SavedDocuments, Timestamp,
    documents_of, restore_each,
};

/// What is saved of one receiver.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ReceiverRecord {
    #[serde(default)]
    last_success: Option<Timestamp>,
    #[serde(default)]
    failing_since: Option<Timestamp>,
    #[serde(default)]
    gave_up_at: Option<Timestamp>,
    #[serde(default)]
    gave_up_since: Option<Timestamp>,
    #[serde(default)]
    last_failure: Option<DeliveryFailure>,
    #[serde(default)]
    answer: Option<Arc<str>>,
}

impl Persisted for Receivers {
    fn has_unsaved(&self) -> bool {
        self.0.iter().any(|receiver| receiver.unsaved)
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let mut documents = Vec::new();
        for receiver in &mut self.0 {
            let unsaved = std::mem::take(&mut receiver.unsaved);
            if unsaved || scope.all {
                documents.push(receiver.document());
            }
        }
        documents
    }

    fn restore(&mut self, documents: &SavedDocuments, _: Timestamp) -> Vec<String> {
        let documents = documents_of(documents, DocumentTable::ReceiverFacts);
        let subject = "how delivery to a receiver went";
        restore_each(documents, subject, |record, document| {
            if let Some(receiver) = self.find_mut(&document.key) {
                receiver.restore(record, &document.shift);
            }
            Ok(())
        })
    }
}

impl ReceiverHealth {
    fn document(&self) -> Document {
        let record = ReceiverRecord {
            last_success: self.shown.last_success,
            failing_since: self.failing_since,
            gave_up_at: self.gave_up_at,
            gave_up_since: self.gave_up_since,
            last_failure: self.last_failure,
            answer: self.answer.clone(),
        };
        Document::record(DocumentTable::ReceiverFacts, &*self.shown.name, &record)
    }

    /// Restores what was saved; everything that is known since the start is newer and stays.
    fn restore(&mut self, record: ReceiverRecord, shift: &ClockShift) {
        let past = |at: Option<Timestamp>| at.map(|at| shift.past(at));
        let shown = &mut self.shown;
        shown.last_success = shown.last_success.or(past(record.last_success));
        self.gave_up_at = self.gave_up_at.or(past(record.gave_up_at));
        self.gave_up_since = self.gave_up_since.or(past(record.gave_up_since));
        self.last_failure = self.last_failure.or(record.last_failure);
        self.answer = self.answer.take().or(record.answer);
        if !self.has_events {
            self.failing_since = past(record.failing_since);
        }
        self.restored_at = Some(shift.now.mono);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DELIVERED, FAILED, GIVEN_UP, at, lasts, receivers, report};
    use super::*;
    use crate::model::{ClockAnchor, SavedDocument, Span};

    /// The receivers after a restart at `second`.
    fn restarted(all: &mut Receivers, second: i64) -> Receivers {
        let shift = ClockShift {
            now: ClockAnchor {
                mono: at(second),
                ..ClockAnchor::default()
            },
            ..ClockShift::default()
        };
        let documents: Vec<_> = all
            .take_unsaved(SaveScope {
                all: true,
                anchor: ClockAnchor::default(),
            })
            .into_iter()
            .map(|document| SavedDocument {
                key: document.key,
                body: document.body.unwrap(),
                shift,
            })
            .collect();
        let mut after = receivers();
        let documents = [(DocumentTable::ReceiverFacts, documents)].into();
        assert_eq!(after.restore(&documents, at(second)), [""; 0]);
        after
    }

    #[test]
    fn the_last_success_is_known_after_a_restart() {
        let mut all = receivers();
        report(&mut all, 10, DELIVERED, 0);
        assert!(all.has_unsaved());
        let after = restarted(&mut all, 100);
        assert_eq!(after.snapshot(at(100))[0].last_success, Some(at(10)));
        assert!(!all.has_unsaved());
    }

    #[test]
    fn a_failing_receiver_is_not_judged_before_the_next_attempt() {
        let mut all = receivers();
        report(&mut all, 10, FAILED, 1);
        let mut after = restarted(&mut all, 100);
        assert_eq!(after.problems(at(101)).count(), 0);
        report(&mut after, 102, FAILED, 1);
        assert_eq!(lasts(&after, 110), Span::from_secs(100));
        let mut taken = restarted(&mut all, 100);
        report(&mut taken, 102, DELIVERED, 0);
        assert_eq!(lasts(&taken, 110), Span::ZERO);
        let nothing_waits = restarted(&mut all, 100);
        assert_eq!(lasts(&nothing_waits, 161), Span::ZERO);
    }

    #[test]
    fn a_notification_given_up_before_a_restart_stays_a_problem() {
        let mut all = receivers();
        report(&mut all, 10, GIVEN_UP, 0);
        let after = restarted(&mut all, 100);
        assert_eq!(lasts(&after, 101), Span::from_secs(91), "the true time");
        assert_eq!(lasts(&after, 10 + 900), Span::ZERO);
    }
}
