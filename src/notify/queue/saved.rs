//! A queue as saved documents: one for each group, one for each dead letter, one for the receiver.
//!
//! They contain routing keys in plain text, because a resolve needs them: a document is a secret.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{GroupKey, Notification};
use crate::delivery::DeliveryFailure;
use crate::model::{
    ClockAnchor, ClockShift, Document, DocumentTable, SavedDocument, Secret, Span, Timestamp,
};
use crate::notify::attempt::DeliveryId;
use crate::notify::incident::{Incident, IncidentRef, MailThread, PostedMessage};

use super::dead::DeadLetter;
use super::group::{GroupQueue, QueueEntry};
use super::unsaved::Unsaved;
use super::{MAX_GROUPS, ReceiverQueue};

/// The longest wait after a restart: as long as nothing is sent to a receiver that is gone. A clock
/// that was wrong must not delay a delivery for days.
const MAX_WAIT: Span = Span::from_secs(900);

/// Why a document is not restored.
#[derive(Debug, thiserror::Error)]
pub enum QueueRecordError {
    /// It is no record of this kind.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// An id that this program never gives out.
    #[error("its id is not one of this program's")]
    Id,
}

#[derive(Serialize, Deserialize)]
struct GroupRecord {
    receiver: Arc<str>,
    group: GroupKey,
    #[serde(rename = "opened")]
    open_incidents: Vec<IncidentRecord>,
    in_flight: Option<EntryRecord>,
    #[serde(rename = "opening")]
    announced: Option<IncidentRecord>,
    waiting: Vec<EntryRecord>,
    #[serde(rename = "told")]
    last_accepted: Option<Notification>,
}

#[derive(Serialize, Deserialize)]
struct EntryRecord {
    id: String,
    notification: Notification,
    anchor: ClockAnchor,
    attempts: u32,
    not_before: Timestamp,
    plain: bool,
    #[serde(default)]
    left: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct LetterRecord {
    receiver: Arc<str>,
    id: String,
    notification: Notification,
    anchor: ClockAnchor,
    reason: DeliveryFailure,
    at: Timestamp,
    attempts: u32,
    #[serde(rename = "opening")]
    incident: Option<IncidentRecord>,
    over: bool,
    #[serde(default)]
    answer: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
struct ReceiverRecord {
    receiver: Arc<str>,
    circuit: Option<Timestamp>,
    endpoint: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IncidentRecord {
    Plain,
    Incident {
        routing_key: String,
        dedup_key: String,
    },
    Message(PostedMessage),
    Mail(MailThread),
}

impl ReceiverQueue {
    /// Whether something changed since it was last saved.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// The documents to write: of what changed since the last call, or of everything.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        let mut changed = std::mem::take(&mut self.unsaved);
        if all {
            changed = self.everything();
        }
        let mut documents = Vec::new();
        for key in &changed.groups {
            documents.push(self.group_document(key));
        }
        for id in &changed.letters {
            documents.push(self.letter_document(id));
        }
        if changed.receiver {
            documents.push(self.receiver_document());
        }
        documents
    }

    fn everything(&self) -> Unsaved {
        let ids = self.letters.iter().map(|letter| letter.id.clone());
        Unsaved {
            groups: self.groups.keys().cloned().collect(),
            letters: ids.collect(),
            receiver: true,
        }
    }

    /// The documents that remove everything about this receiver from the disk.
    pub fn take_forgotten(&mut self) -> Vec<Document> {
        for key in std::mem::take(&mut self.groups).into_keys() {
            self.unsaved.touch(key);
        }
        for letter in std::mem::take(&mut self.letters) {
            self.unsaved.touch_letter(letter.id.clone());
        }
        let mut documents = self.take_unsaved(false);
        documents.retain(|document| document.table != DocumentTable::Receivers);
        documents.push(Document::delete(DocumentTable::Receivers, &*self.receiver));
        documents
    }

    fn group_document(&self, key: &GroupKey) -> Document {
        let name = format!("{:?}/{}", self.receiver, key.text());
        match self.groups.get(key) {
            Some(group) => Document::record(
                DocumentTable::Outbox,
                name,
                &GroupRecord::new(&self.receiver, key, group),
            ),
            None => Document::delete(DocumentTable::Outbox, name),
        }
    }

    fn letter_document(&self, id: &DeliveryId) -> Document {
        match self.letters.iter().find(|letter| letter.id == *id) {
            Some(letter) => Document::record(
                DocumentTable::DeadLetters,
                id.to_string(),
                &LetterRecord::new(&self.receiver, letter),
            ),
            None => Document::delete(DocumentTable::DeadLetters, id.to_string()),
        }
    }

    fn receiver_document(&self) -> Document {
        let record = ReceiverRecord {
            receiver: Arc::clone(&self.receiver),
            circuit: self.circuit,
            endpoint: self.endpoint.clone(),
        };
        Document::record(DocumentTable::Receivers, &*self.receiver, &record)
    }

    /// Restores a group; of one that is known already only the open incidents. The attempt that was
    /// in flight is repeated under its id, and the incident that it announced counts as open.
    fn restore_group(
        &mut self,
        record: GroupRecord,
        shift: &ClockShift,
    ) -> Result<(), QueueRecordError> {
        let GroupRecord {
            receiver: _,
            group,
            open_incidents,
            in_flight,
            announced,
            waiting,
            last_accepted,
        } = record;
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&group) {
            return Ok(()); // as many as the queue that wrote them had
        }
        let mut entries = VecDeque::new();
        for entry in in_flight.into_iter().chain(waiting) {
            entries.push_back(self.restore_entry(entry, shift)?);
        }
        let is_known = self.groups.contains_key(&group);
        let queue = self.groups.entry(group.clone()).or_default();
        for incident in open_incidents.into_iter().chain(announced) {
            queue.remember(incident.into());
        }
        if !is_known {
            queue.waiting = entries;
            queue.last_accepted = last_accepted.map(|last| Arc::new(shifted(last, shift)));
        }
        self.unsaved.touch(group.clone());
        self.forget_if_idle(&group);
        Ok(())
    }

    fn restore_entry(
        &mut self,
        record: EntryRecord,
        shift: &ClockShift,
    ) -> Result<QueueEntry, QueueRecordError> {
        let id = DeliveryId::parse(&record.id).ok_or(QueueRecordError::Id)?;
        let notification = Arc::new(shifted(record.notification, shift));
        self.sequence += 1;
        let mut entry = QueueEntry::new(id, self.sequence, notification, shift.now);
        entry.anchor = shifted_anchor(record.anchor, shift);
        entry.attempts = record.attempts;
        entry.not_before = shift.due(record.not_before, MAX_WAIT);
        entry.plain = record.plain;
        entry.left = record.left.map(Into::into);
        Ok(entry)
    }

    fn restore_letter(
        &mut self,
        record: LetterRecord,
        shift: &ClockShift,
    ) -> Result<(), QueueRecordError> {
        let letter = DeadLetter {
            id: DeliveryId::parse(&record.id).ok_or(QueueRecordError::Id)?,
            notification: Arc::new(shifted(record.notification, shift)),
            anchor: shifted_anchor(record.anchor, shift),
            reason: record.reason,
            at: shift.past(record.at),
            attempts: record.attempts,
            incident: record.incident.map(Into::into),
            over: record.over,
            answer: record.answer,
        };
        self.keep_letter(letter);
        let letters = self.letters.make_contiguous();
        letters.sort_by_key(|letter| letter.at);
        Ok(())
    }

    fn restore_receiver(&mut self, record: ReceiverRecord, shift: &ClockShift) {
        if self.endpoint.is_none() {
            self.endpoint = record.endpoint;
        }
        if let Some(until) = record.circuit {
            self.circuit = Some(shift.due(until, MAX_WAIT));
        }
    }
}

/// Restores one document of an outbox: of a group, a dead letter or a receiver, as its table says.
/// `queue` gives the queue of a receiver, also of one that is no longer configured.
///
/// # Errors
/// It is not a record of this table.
pub fn restore<'a>(
    table: DocumentTable,
    document: &SavedDocument,
    queue: impl FnOnce(&Arc<str>) -> &'a mut ReceiverQueue,
) -> Result<(), QueueRecordError> {
    let shift = &document.shift;
    match table {
        DocumentTable::Outbox => {
            let record: GroupRecord = serde_json::from_str(&document.body)?;
            let queue = queue(&record.receiver);
            queue.restore_group(record, shift)
        }
        DocumentTable::DeadLetters => {
            let record: LetterRecord = serde_json::from_str(&document.body)?;
            let queue = queue(&record.receiver);
            queue.restore_letter(record, shift)
        }
        _ => {
            let record: ReceiverRecord = serde_json::from_str(&document.body)?;
            let queue = queue(&record.receiver);
            queue.restore_receiver(record, shift);
            Ok(())
        }
    }
}

impl GroupRecord {
    fn new(receiver: &Arc<str>, key: &GroupKey, group: &GroupQueue) -> Self {
        let GroupQueue {
            open_incidents,
            in_flight,
            announced,
            waiting,
            last_accepted,
        } = group;
        Self {
            receiver: Arc::clone(receiver),
            group: key.clone(),
            open_incidents: open_incidents.iter().map(Into::into).collect(),
            in_flight: in_flight.as_ref().map(EntryRecord::new),
            announced: announced.as_ref().map(Into::into),
            waiting: waiting.iter().map(EntryRecord::new).collect(),
            last_accepted: last_accepted.as_deref().cloned(),
        }
    }
}

impl EntryRecord {
    fn new(entry: &QueueEntry) -> Self {
        let QueueEntry {
            id,
            sequence: _,
            notification,
            anchor,
            attempts,
            not_before,
            plain,
            left,
            revision: _,
        } = entry;
        Self {
            id: id.to_string(),
            notification: Notification::clone(notification),
            anchor: *anchor,
            attempts: *attempts,
            not_before: *not_before,
            plain: *plain,
            left: left.as_deref().map(<[String]>::to_vec),
        }
    }
}

impl LetterRecord {
    fn new(receiver: &Arc<str>, letter: &DeadLetter) -> Self {
        let DeadLetter {
            id,
            notification,
            anchor,
            reason,
            at,
            attempts,
            incident,
            over,
            answer,
        } = letter;
        Self {
            receiver: Arc::clone(receiver),
            id: id.to_string(),
            notification: Notification::clone(notification),
            anchor: *anchor,
            reason: *reason,
            at: *at,
            attempts: *attempts,
            incident: incident.as_ref().map(Into::into),
            over: *over,
            answer: answer.clone(),
        }
    }
}

impl From<&IncidentRef> for IncidentRecord {
    fn from(incident: &IncidentRef) -> Self {
        match incident {
            IncidentRef::Unnamed => Self::Plain,
            IncidentRef::SlackMessage(posted) => Self::Message(posted.clone()),
            IncidentRef::Mail(thread) => Self::Mail(thread.clone()),
            IncidentRef::PagerDuty(Incident {
                routing_key,
                dedup_key,
            }) => Self::Incident {
                routing_key: routing_key.reveal().to_owned(),
                dedup_key: dedup_key.clone(),
            },
        }
    }
}

impl From<IncidentRecord> for IncidentRef {
    fn from(record: IncidentRecord) -> Self {
        match record {
            IncidentRecord::Plain => Self::Unnamed,
            IncidentRecord::Message(posted) => Self::SlackMessage(posted),
            IncidentRecord::Mail(thread) => Self::Mail(thread),
            IncidentRecord::Incident {
                routing_key,
                dedup_key,
            } => Self::PagerDuty(Incident {
                routing_key: Secret::new(routing_key),
                dedup_key,
            }),
        }
    }
}

/// The notification with its instants on the present clock.
fn shifted(mut notification: Notification, shift: &ClockShift) -> Notification {
    notification.decided_at = shift.past(notification.decided_at);
    for alert in &mut notification.alerts {
        Arc::make_mut(alert).shift(shift);
    }
    notification
}

/// `anchor` with its instant on the present clock. Its wall time stays, because messages have shown
/// it.
fn shifted_anchor(anchor: ClockAnchor, shift: &ClockShift) -> ClockAnchor {
    ClockAnchor {
        mono: anchor.mono + shift.by,
        ..anchor
    }
}
