//! Alerts in the state file: each alert's clocks, value and facts, one document per alert.
//!
//! A record is JSON. Its instants are those of the clock that wrote it, and are mapped through a
//! [`ClockShift`]. A record that cannot be read is left out with a sentence, and monitoring goes
//! on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AlertEngine;
use super::active::ActiveAlert;
use crate::alert::{
    AlertContext, AlertIdentity, AlertKey, AlertState, Decision, Instance, Measured, MutedBy,
    Quantity,
};
use crate::model::{ClockShift, Document, DocumentTable, SavedDocument, Span, Timestamp};

/// A pending clock survives a gap of this length at most: what happened meanwhile is not known.
const PENDING_GAP: Span = Span::from_secs(3600);

/// One alert.
#[derive(Debug, Serialize, Deserialize)]
struct AlertRecord {
    identity: AlertIdentity,
    instance: Instance,
    value: Measured,
    threshold: Quantity,
    peak: Option<Quantity>,
    context: AlertContext,
    decision: Option<Decision>,
    /// What muted an alert that has ended.
    #[serde(default, rename = "hold")]
    muted_by: Option<MutedBy>,
    /// What inhibited it, as long as no receiver was notified.
    #[serde(default, rename = "cause")]
    inhibitor: Option<AlertKey>,
    /// Whether a receiver was notified of it.
    #[serde(default)]
    notified: bool,
    /// When the value was read.
    as_of: Timestamp,
}

/// An alert that was restored, with the value that it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredAlert {
    /// The rule and the target.
    pub key: AlertKey,
    /// Its state when it was saved. A resolved alert proves nothing about the present.
    pub state: AlertState,
    /// Its last value; `None` when it had none.
    pub value: Option<Quantity>,
    /// When that value was read.
    pub as_of: Timestamp,
}

/// The result of restoring saved documents.
#[derive(Debug, Default, PartialEq)]
pub struct RestoredAlerts {
    /// The restored alerts, in the order of their documents.
    pub alerts: Vec<RestoredAlert>,
    /// One sentence about each document that could not be read.
    pub refused: Vec<String>,
}

impl AlertEngine {
    /// Whether an alert differs from the state file.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The documents that changed since the last call, or `all` of them.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        let changed = std::mem::take(&mut self.unsaved);
        let mut documents = Vec::new();
        for (key, active) in &self.active {
            if all || changed.contains(key) {
                documents.push(active.document(key));
            }
        }
        for key in changed {
            let is_gone = !self.active.contains_key(&key);
            if is_gone && !all {
                documents.push(Document::delete(DocumentTable::Alerts, document_key(&key)));
            }
        }
        documents
    }

    /// Restores saved alerts, except those that are active already: they are newer.
    pub fn restore(&mut self, documents: &[SavedDocument]) -> RestoredAlerts {
        let mut restored = RestoredAlerts::default();
        for document in documents {
            match serde_json::from_str::<AlertRecord>(&document.body) {
                Ok(record) => {
                    let alert = self.restore_one(record, &document.shift);
                    restored.alerts.extend(alert);
                }
                Err(why) => restored.refused.push(format!("an alert: {why}")),
            }
        }
        restored
    }

    fn restore_one(&mut self, record: AlertRecord, shift: &ClockShift) -> Option<RestoredAlert> {
        let key = AlertKey::from(record.identity.clone());
        if self.active.contains_key(&key) {
            return None;
        }
        let active = ActiveAlert::restored(record, shift);
        let restored = RestoredAlert {
            key: key.clone(),
            state: active.instance.status()?.state,
            value: active.value.best(),
            as_of: active.read_at,
        };
        self.active.insert(key.clone(), active);
        self.unsaved.insert(key);
        Some(restored)
    }
}

impl ActiveAlert {
    fn restored(record: AlertRecord, shift: &ClockShift) -> Self {
        let AlertRecord {
            identity: _,
            mut instance,
            value,
            threshold,
            peak,
            mut context,
            mut decision,
            muted_by,
            inhibitor,
            notified,
            as_of,
        } = record;
        instance.shift(shift);
        if shift.ago > PENDING_GAP {
            instance.forget_pending();
        }
        context.shift(shift);
        if let Some(decision) = &mut decision {
            decision.at = shift.past(decision.at);
        }
        let status = instance.status();
        let has_ended = status.is_some_and(|status| status.state == AlertState::Resolved);
        Self {
            instance,
            value,
            threshold,
            peak,
            context: Arc::new(context),
            // What mutes an open alert is determined again.
            muted_by: if has_ended { muted_by } else { None },
            decision,
            read_at: shift.past(as_of),
            is_confirmed: false,
            inhibitor,
            notified,
        }
    }

    fn document(&self, key: &AlertKey) -> Document {
        let Self {
            instance,
            value,
            threshold,
            peak,
            context,
            muted_by,
            decision,
            read_at,
            is_confirmed: _,
            inhibitor,
            notified,
        } = self;
        let record = AlertRecord {
            identity: key.identity().clone(),
            instance: instance.clone(),
            value: *value,
            threshold: *threshold,
            peak: *peak,
            context: AlertContext::clone(context),
            decision: *decision,
            muted_by: muted_by.clone(),
            inhibitor: inhibitor.clone(),
            notified: *notified,
            as_of: *read_at,
        };
        Document::record(DocumentTable::Alerts, document_key(key), &record)
    }
}

/// The alert's key in the state file: its identity in one line, so that two alerts never share one.
fn document_key(key: &AlertKey) -> String {
    let identity = key.identity();
    let name = identity.rule.alert_name();
    let mut labels = Vec::new();
    for (label, value) in &*identity.labels {
        labels.push(format!("{label}={value:?}"));
    }
    format!("{name}{{{}}}", labels.join(","))
}
