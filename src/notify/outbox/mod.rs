//! The outbox: the queues of all receivers, the outcome of their notifications, and the fallback
//! that is notified instead of a receiver that accepts nothing. Pure.
//!
//! Every change has a [`Revision`]. It is acted upon once that revision is on the disk, so that no
//! request leaves that a restart would forget.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::alert::{AlertStatus, GroupKey, Labels, Notification};
use crate::config::{GroupReceiver, ReceiverSettings};
use crate::delivery::{
    DeadDelivery, Deliveries, DeliveryEvent, DeliveryEventKind, DeliveryFailure, DeliverySubject,
    PastDelivery, SuppressReason,
};
use crate::model::{
    ClockAnchor, ClockShift, Document, DocumentTable, Durable, Revision, SavedDocuments, Span,
    Timestamp, documents_of, history_key, restore_each,
};

use super::attempt::{Attempt, DeliveryId};
use super::incident::IncidentRef;
use super::queue::{self, DeadLetter, ReceiverQueue, ReplayError};
use super::retry::RetryVerdict;

/// Past deliveries that are kept to be shown. The disk keeps more.
pub const MAX_RECENT: usize = 1_000;

/// Past deliveries that are waiting to be written. Further ones are dropped, so that a broken disk
/// does not fill the memory.
const MAX_UNWRITTEN: usize = 1_000;

/// The tables of the queues' documents, in the order in which they are restored.
const QUEUE_TABLES: [DocumentTable; 3] = [
    DocumentTable::Receivers,
    DocumentTable::Outbox,
    DocumentTable::DeadLetters,
];

/// The label of a notification to a fallback: the receiver that it did not reach. It makes the copy
/// a separate group, with a separate incident.
pub const UNDELIVERED_TO: &str = "undelivered_to";

/// Every receiver's queue.
#[derive(Debug)]
pub struct Outbox {
    slots: BTreeMap<Arc<str>, ReceiverSlot>,
    run: u64,
    resolve_lifetime: Span,
    revision: Revision,
    recent: VecDeque<Arc<PastDelivery>>,
    ended: u64,
    unwritten: Vec<Document>,
    /// Whether a result is not on the disk yet: after a kill its notification would be sent again.
    has_results: bool,
    events: Vec<DeliveryEvent>,
}

/// One receiver's queue and what the outbox needs of its settings.
#[derive(Debug)]
struct ReceiverSlot {
    queue: ReceiverQueue,
    fallback: Option<Arc<str>>,
    /// It is no longer configured: only its open incidents are still resolved.
    retired: bool,
}

impl ReceiverSlot {
    /// Whether the receiver answered that it is gone.
    fn is_gone(&self) -> bool {
        self.queue.state().circuit_until.is_some()
    }
}

impl Outbox {
    /// An empty outbox without receivers. `run` distinguishes this run of the program from others.
    pub fn new(run: u64, resolve_lifetime: Span) -> Self {
        Self {
            slots: BTreeMap::new(),
            run,
            resolve_lifetime,
            revision: Revision::START,
            recent: VecDeque::new(),
            ended: 0,
            unwritten: Vec::new(),
            has_results: false,
            events: Vec::new(),
        }
    }

    /// Follows new settings: a receiver that keeps its name keeps its queue and its open incidents;
    /// one that was removed gets the resolves of its open incidents only.
    pub fn configure(&mut self, receivers: &[ReceiverSettings]) {
        self.revision.advance();
        let mut configured = BTreeSet::new();
        for settings in receivers {
            if let Some(receiver) = settings.kind.as_group() {
                configured.insert(settings.name.as_str());
                self.configure_one(settings, receiver);
            }
        }
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            if !configured.contains(&*name) {
                self.retire(&name);
            }
        }
    }

    fn configure_one(&mut self, settings: &ReceiverSettings, receiver: &GroupReceiver) {
        let slot = self.slot(&settings.name.as_str().into());
        slot.retired = false;
        slot.fallback = settings.fallback.as_deref().map(Into::into);
        let endpoint = match receiver {
            GroupReceiver::PagerDuty(pagerduty) => Some(pagerduty.url.as_str().into()),
            GroupReceiver::SlackWebhook(_)
            | GroupReceiver::SlackBot(_)
            | GroupReceiver::MsTeams(_)
            | GroupReceiver::Email(_)
            | GroupReceiver::Webhook(_) => None,
        };
        slot.queue.set_endpoint(endpoint);
    }

    fn retire(&mut self, name: &Arc<str>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.retired = true;
        slot.fallback = None;
        slot.queue.set_revision(self.revision);
        let suppressed = slot.queue.retire();
        self.suppress(name, suppressed);
        self.forget_if_done(name);
    }

    /// Forgets a receiver that is no longer configured once it has no incident left to resolve.
    fn forget_if_done(&mut self, name: &Arc<str>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        if slot.retired && slot.queue.is_empty() && !slot.queue.is_busy() {
            self.unwritten.extend(slot.queue.take_forgotten());
            self.slots.remove(name);
        }
    }

    /// The receivers that are no longer configured and have incidents open, with the URL at which
    /// those are resolved.
    pub fn retired(&self) -> impl Iterator<Item = (&Arc<str>, Option<&Arc<str>>)> {
        let retired = self.slots.iter().filter(|(_, slot)| slot.retired);
        retired.map(|(name, slot)| (name, slot.queue.endpoint()))
    }

    /// Queues `notification` at `now`.
    pub fn push(&mut self, notification: Notification, now: ClockAnchor) {
        self.revision.advance();
        let copy = self.copy_for_fallback(&notification);
        self.push_one(notification, now);
        if let Some(copy) = copy {
            self.push_one(copy, now);
        }
    }

    fn push_one(&mut self, notification: Notification, now: ClockAnchor) {
        let name = Arc::clone(&notification.receiver);
        let revision = self.revision;
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        if slot.retired && notification.status == AlertStatus::Firing {
            return self.suppress(&name, vec![SuppressReason::Removed]);
        }
        slot.queue.set_revision(revision);
        let suppressed = slot.queue.push(Arc::new(notification), now);
        if suppressed.is_empty() {
            self.report(&name, DeliveryEventKind::Queued);
        }
        self.suppress(&name, suppressed);
        self.forget_if_done(&name);
    }

    /// The copy of `notification` for its receiver's fallback: of a firing while the receiver is
    /// gone, of a resolve if the fallback was notified of the firing.
    fn copy_for_fallback(&self, notification: &Notification) -> Option<Notification> {
        let slot = self.slots.get(&notification.receiver)?;
        let fallback = slot.fallback.as_ref()?;
        let fallback_slot = self.slots.get(fallback)?;
        let copy = undelivered(notification, fallback)?;
        let is_wanted = match notification.status {
            AlertStatus::Firing => slot.is_gone(),
            AlertStatus::Resolved => {
                let mut open = fallback_slot.queue.assumed_open();
                open.any(|group| *group == copy.group)
            }
        };
        if is_wanted { Some(copy) } else { None }
    }

    /// Drops the resolves that are too old.
    pub fn expire(&mut self, now: Timestamp) {
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            let Some(slot) = self.slots.get_mut(&name) else {
                continue;
            };
            let expired = slot.queue.expire(now);
            self.suppress(&name, expired);
        }
    }

    /// Starts what is due and durable, at most one attempt a receiver.
    pub fn start(&mut self, now: Timestamp, durable: Durable) -> Vec<Attempt> {
        let mut started = Vec::new();
        for slot in self.slots.values_mut() {
            started.extend(slot.queue.start(now, durable));
        }
        if !started.is_empty() {
            self.revision.advance();
        }
        started
    }

    /// Notes the incident that the attempt in flight may open. Returns the revision that has to be
    /// on the disk first; `None` when it is there already.
    pub fn announce_incident(
        &mut self,
        receiver: &str,
        group: &GroupKey,
        incident: IncidentRef,
    ) -> Option<Revision> {
        let slot = self.slots.get_mut(receiver)?;
        if !slot.queue.announce_incident(group, incident) {
            return None;
        }
        Some(self.revision.advance())
    }

    /// Applies the result of `attempt`. `incident` is what the receiver has open, or may have;
    /// `answer` is its answer as bounded text without secrets.
    pub fn on_result(
        &mut self,
        attempt: &Attempt,
        incident: Option<IncidentRef>,
        verdict: &RetryVerdict,
        answer: Option<&Arc<str>>,
        now: ClockAnchor,
    ) {
        self.revision.advance();
        self.has_results = true;
        let name = Arc::clone(&attempt.notification.receiver);
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        slot.queue.set_revision(self.revision);
        let was_gone = slot.is_gone();
        let events = slot.queue.on_result(attempt, incident, verdict, now);
        slot.queue.note_answer(&attempt.id, answer);
        if slot.retired {
            let suppressed = slot.queue.retire();
            self.suppress(&name, suppressed);
        }
        let became_gone = verdict.circuit_until.is_some() && !was_gone;
        let was_given_up = self.report_result(attempt, events, answer, now);
        if became_gone || was_given_up {
            self.notify_fallback(&attempt.notification, now);
        }
        self.forget_if_done(&name);
    }

    /// Reports the events of a result. Returns whether the notification was given up.
    fn report_result(
        &mut self,
        attempt: &Attempt,
        events: Vec<DeliveryEventKind>,
        answer: Option<&Arc<str>>,
        now: ClockAnchor,
    ) -> bool {
        let receiver = &attempt.notification.receiver;
        let mut was_given_up = false;
        for event in events {
            match event {
                DeliveryEventKind::Delivered { .. } => {
                    self.note_end(attempt, None, None, now);
                    self.report(receiver, event);
                }
                DeliveryEventKind::Failed { reason, dead } => {
                    if dead {
                        was_given_up = true;
                        self.note_end(attempt, Some(reason), answer.cloned(), now);
                    }
                    self.report_answer(receiver, event, answer.cloned());
                }
                DeliveryEventKind::PartlyDelivered
                | DeliveryEventKind::Suppressed { .. }
                | DeliveryEventKind::Queued => self.report(receiver, event),
            }
        }
        was_given_up
    }

    /// Queues a copy of a firing that did not reach its receiver for the receiver's fallback.
    fn notify_fallback(&mut self, notification: &Notification, now: ClockAnchor) {
        if notification.status != AlertStatus::Firing {
            return;
        }
        let Some(slot) = self.slots.get(&notification.receiver) else {
            return;
        };
        let Some(fallback) = &slot.fallback else {
            return;
        };
        if let Some(copy) = undelivered(notification, fallback) {
            self.push_one(copy, now);
        }
    }

    /// Queues a dead letter again. Returns the receiver's name.
    ///
    /// # Errors
    /// There is none with this id, or it would report what is no longer true.
    pub fn replay(&mut self, id: &str, now: ClockAnchor) -> Result<Arc<str>, ReplayError> {
        let id = DeliveryId::parse(id).ok_or(ReplayError::Unknown)?;
        let mut slots = self.slots.iter_mut();
        let found = slots.find(|(_, slot)| slot.queue.has_dead_letter(&id));
        let (name, slot) = found.ok_or(ReplayError::Unknown)?;
        if slot.retired {
            return Err(ReplayError::NoReceiver);
        }
        let name = Arc::clone(name);
        slot.queue.set_revision(self.revision.advance());
        slot.queue.replay(&id, now)?;
        self.report(&name, DeliveryEventKind::Queued);
        Ok(name)
    }

    /// Lets everything that is waiting for this receiver be tried at once: its settings changed.
    pub fn retry_now(&mut self, receiver: &str, now: Timestamp) {
        if let Some(slot) = self.slots.get_mut(receiver) {
            slot.queue.retry_now(now);
        }
    }

    /// The revision of the last change.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether something is due that waits for nothing but the disk.
    pub fn waits_for_disk(&self, now: Timestamp, durable: Durable) -> bool {
        self.slots
            .values()
            .any(|slot| slot.queue.waits_for_disk(now, durable))
    }

    /// When [`Self::start`] next has something, if nothing else happens.
    pub fn next_wakeup(&self, durable: Durable) -> Option<Timestamp> {
        let slots = self.slots.values();
        let wakeups = slots.filter_map(|slot| slot.queue.next_wakeup(durable));
        wakeups.min()
    }

    /// Whether a result has to be written at once: until then a kill would make the receiver get
    /// the message twice.
    pub fn has_results(&self) -> bool {
        self.has_results
    }

    /// Whether something changed since it was last saved.
    pub fn has_unsaved(&self) -> bool {
        !self.unwritten.is_empty() || self.slots.values().any(|slot| slot.queue.has_unsaved())
    }

    /// The documents to write: of what changed since the last call, or of everything.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        self.has_results = false;
        let mut documents = std::mem::take(&mut self.unwritten);
        for slot in self.slots.values_mut() {
            documents.extend(slot.queue.take_unsaved(all));
        }
        documents
    }

    /// Restores the queues of all receivers, configured or not, and the past deliveries. A group
    /// that is known already keeps its newer state. Returns a sentence for each document that
    /// cannot be restored.
    pub fn restore(
        &mut self,
        documents: &SavedDocuments,
        configured: &[ReceiverSettings],
    ) -> Vec<String> {
        let mut refused = Vec::new();
        for table in QUEUE_TABLES {
            for document in documents_of(documents, table) {
                let restored =
                    queue::restore(table, document, |receiver| &mut self.slot(receiver).queue);
                if let Err(why) = restored {
                    refused.push(format!("a row of the {}: {why}", table.label()));
                }
            }
        }
        refused.extend(restore_each(
            documents_of(documents, DocumentTable::Deliveries),
            "a row of the deliveries",
            |past, document| {
                self.restore_past(past, &document.shift);
                Ok(())
            },
        ));
        self.configure(configured);
        refused
    }

    fn restore_past(&mut self, mut past: PastDelivery, shift: &ClockShift) {
        past.subject.decided_at = shift.past(past.subject.decided_at);
        past.at = shift.past(past.at);
        self.remember(Arc::new(past));
    }

    /// Resolves the groups that receivers have open although `is_known` denies them, so that
    /// nothing stays open whatever was lost. Returns how many.
    pub fn end_orphans(
        &mut self,
        is_known: impl Fn(&str, &GroupKey) -> bool,
        now: ClockAnchor,
    ) -> usize {
        let mut resolves = Vec::new();
        for (name, slot) in &self.slots {
            for group in slot.queue.assumed_open() {
                let (receiver, original_group) = original(name, group);
                if is_known(&receiver, &original_group) {
                    continue;
                }
                if let Some(mut resolve) = slot.queue.resolve_of(group, now.mono) {
                    resolve.receiver = Arc::clone(name);
                    resolves.push(resolve);
                }
            }
        }
        let count = resolves.len();
        for resolve in resolves {
            self.revision.advance();
            self.push_one(resolve, now);
        }
        count
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<DeliveryEvent> {
        std::mem::take(&mut self.events)
    }

    /// The notifications that are waiting or in flight, by receiver.
    pub fn undelivered(&self) -> impl Iterator<Item = (&Arc<str>, &Notification)> {
        self.slots.iter().flat_map(|(name, slot)| {
            let undelivered = slot.queue.undelivered();
            undelivered.map(move |notification| (name, notification))
        })
    }

    /// All deliveries that are shown.
    pub fn deliveries(&self) -> Deliveries {
        let mut waiting = Vec::new();
        let mut dead_letters = Vec::new();
        for slot in self.slots.values() {
            waiting.extend(slot.queue.waiting());
            dead_letters.extend(slot.queue.dead_letters().map(|letter| shown(letter)));
        }
        dead_letters.sort_by_key(|letter| Reverse(letter.delivery.at));
        Deliveries {
            waiting,
            recent: self.recent.iter().rev().cloned().collect(),
            dead_letters,
        }
    }

    fn slot(&mut self, name: &Arc<str>) -> &mut ReceiverSlot {
        let entry = self.slots.entry(Arc::clone(name));
        let slot = entry.or_insert_with(|| ReceiverSlot {
            queue: ReceiverQueue::new(Arc::clone(name), self.run, self.resolve_lifetime),
            fallback: None,
            retired: true,
        });
        slot.queue.set_revision(self.revision);
        slot
    }

    fn suppress(&mut self, receiver: &Arc<str>, reasons: Vec<SuppressReason>) {
        for reason in reasons {
            self.report(receiver, DeliveryEventKind::Suppressed { reason });
        }
    }

    fn report(&mut self, receiver: &Arc<str>, kind: DeliveryEventKind) {
        self.report_answer(receiver, kind, None);
    }

    fn report_answer(
        &mut self,
        receiver: &Arc<str>,
        kind: DeliveryEventKind,
        answer: Option<Arc<str>>,
    ) {
        let Some(slot) = self.slots.get(receiver) else {
            return;
        };
        self.events.push(DeliveryEvent {
            receiver: Arc::clone(receiver),
            kind,
            queue: slot.queue.state(),
            answer,
        });
    }

    fn note_end(
        &mut self,
        attempt: &Attempt,
        failure: Option<DeliveryFailure>,
        answer: Option<Arc<str>>,
        now: ClockAnchor,
    ) {
        let past = PastDelivery {
            answer,
            ..past(
                &attempt.id,
                &attempt.notification,
                attempt.number,
                failure,
                now.mono,
            )
        };
        self.ended += 1;
        if self.unwritten.len() < MAX_UNWRITTEN {
            let key = history_key(now.wall, self.ended);
            self.unwritten
                .push(Document::record(DocumentTable::Deliveries, key, &past));
        }
        self.remember(Arc::new(past));
    }

    fn remember(&mut self, past: Arc<PastDelivery>) {
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(past);
    }
}

fn past(
    id: &DeliveryId,
    notification: &Notification,
    attempts: u32,
    failure: Option<DeliveryFailure>,
    at: Timestamp,
) -> PastDelivery {
    PastDelivery {
        subject: DeliverySubject::new(id.to_string(), notification, attempts),
        at,
        failure,
        answer: None,
    }
}

fn shown(letter: &DeadLetter) -> DeadDelivery {
    let DeadLetter {
        id,
        notification,
        reason,
        at,
        attempts,
        over,
        answer,
        ..
    } = letter;
    DeadDelivery {
        delivery: PastDelivery {
            answer: answer.clone(),
            ..past(id, notification, *attempts, Some(*reason), *at)
        },
        over: *over,
    }
}

/// The copy of `notification` for a fallback; `None` for such a copy, which has no fallback itself.
fn undelivered(notification: &Notification, fallback: &Arc<str>) -> Option<Notification> {
    let labels: &Labels = &notification.group.0;
    if labels.contains_key(UNDELIVERED_TO) {
        return None;
    }
    let mut labels = labels.clone();
    labels.insert(UNDELIVERED_TO.to_owned(), notification.receiver.to_string());
    Some(Notification {
        receiver: Arc::clone(fallback),
        group: GroupKey(Arc::new(labels)),
        ..Notification::clone(notification)
    })
}

/// The receiver and the group that this is about: for a fallback's copy the original ones.
fn original(receiver: &str, group: &GroupKey) -> (String, GroupKey) {
    let mut labels = Labels::clone(&group.0);
    match labels.remove(UNDELIVERED_TO) {
        Some(original) => (original, GroupKey(Arc::new(labels))),
        None => (receiver.to_owned(), group.clone()),
    }
}

#[cfg(test)]
mod tests;
