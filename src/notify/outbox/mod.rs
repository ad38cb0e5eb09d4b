//! The outbox: every receiver's queue, what became of notifications, and who is told when a
//! receiver takes none. Pure.
//!
//! Every change has a revision. It is acted upon once that revision is on the disk, so that no
//! request leaves of which a restart would know nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::alert::{AlertStatus, GroupKey, Labels, Notification};
use crate::config::{GroupReceiver, ReceiverSettings};
use crate::delivery::{
    DeadDelivery, Deliveries, DeliveryEvent, DeliveryEventKind, DeliveryFailure, DeliverySubject,
    PastDelivery, SuppressReason,
};
use crate::model::{
    ClockAnchor, Document, DocumentTable, Durable, Revision, SavedDocuments, Span, Timestamp,
    history_key,
};

use super::attempt::{Attempt, DeliveryId};
use super::incident::IncidentRef;
use super::queue::{self, DeadLetter, ReceiverQueue, ReplayError};
use super::retry::RetryVerdict;

/// Deliveries that are remembered to be shown. The disk keeps more.
pub const MAX_RECENT: usize = 1_000;

/// Ends of deliveries that wait to be written: a disk that is gone must not fill the memory. More
/// are not kept.
const MAX_UNWRITTEN: usize = 1_000;

/// The label of a notification that a fallback gets: whom it did not reach. It makes a group, and
/// an incident, of its own.
pub const UNDELIVERED_TO: &str = "undelivered_to";

/// Every receiver's queue.
#[derive(Debug)]
pub struct Outbox {
    slots: BTreeMap<Arc<str>, Slot>,
    run: u64,
    resolve_lifetime: Span,
    revision: Revision,
    recent: VecDeque<Arc<PastDelivery>>,
    ended: u64,
    unwritten: Vec<Document>,
    /// Whether a result is not on the disk: a kill would have it sent again.
    has_results: bool,
    events: Vec<DeliveryEvent>,
}

/// One receiver.
#[derive(Debug)]
struct Slot {
    queue: ReceiverQueue,
    fallback: Option<Arc<str>>,
    /// It is no longer configured: only incidents that it has open are still ended.
    retired: bool,
}

impl Outbox {
    /// An empty outbox of no receivers. `run` tells this life of the program from others.
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
        let names = self.slots.keys();
        let removed: Vec<_> = names
            .filter(|name| !configured.contains(&***name))
            .cloned()
            .collect();
        for name in removed {
            self.retire(&name);
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

    /// A receiver that is no longer configured goes when nothing of it is left to end.
    fn forget_if_done(&mut self, name: &Arc<str>) {
        let done = |slot: &Slot| slot.retired && slot.queue.is_empty() && !slot.queue.is_busy();
        if self.slots.get(name).is_some_and(done)
            && let Some(mut slot) = self.slots.remove(name)
        {
            self.unwritten.extend(slot.queue.take_forgotten());
        }
    }

    /// The receivers that are no longer configured and have incidents open, with where those are
    /// ended.
    pub fn retired(&self) -> impl Iterator<Item = (&Arc<str>, Option<&Arc<str>>)> {
        let retired = self.slots.iter().filter(|(_, slot)| slot.retired);
        retired.map(|(name, slot)| (name, slot.queue.endpoint()))
    }

    /// Takes `notification` in; `now` is the moment on both clocks.
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

    /// What the fallback of its receiver is told as well: that something fires, while the receiver
    /// is gone; that it is over, when the fallback was told that it fires.
    fn copy_for_fallback(&self, notification: &Notification) -> Option<Notification> {
        let slot = self.slots.get(&notification.receiver)?;
        let fallback = self.slots.get(slot.fallback.as_ref()?)?;
        let copy = undelivered(notification, slot.fallback.as_ref()?)?;
        let wanted = match notification.status {
            AlertStatus::Firing => slot.queue.state().circuit_until.is_some(),
            AlertStatus::Resolved => fallback
                .queue
                .assumed_open()
                .any(|group| *group == copy.group),
        };
        wanted.then_some(copy)
    }

    /// Drops the resolves that nobody needs to see any more.
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

    /// Starts what is due and durable, one attempt a receiver at a time.
    pub fn start(&mut self, now: Timestamp, durable: Durable) -> Vec<Attempt> {
        let started: Vec<_> = self
            .slots
            .values_mut()
            .filter_map(|slot| slot.queue.start(now, durable))
            .collect();
        if !started.is_empty() {
            self.revision.advance();
        }
        started
    }

    /// Takes in what an attempt that is under way is about to open. Returns the revision that has
    /// to be on the disk before it does; `None` when the disk knows already.
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

    /// Takes the result of `attempt`, which was to this receiver. `answer` is what the receiver
    /// answered, in words that may be shown.
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
        let revision = self.revision;
        let name = Arc::clone(&attempt.notification.receiver);
        let Some(slot) = self.slots.get_mut(&name) else {
            return;
        };
        slot.queue.set_revision(revision);
        let was_gone = slot.queue.state().circuit_until.is_some();
        let events = slot.queue.on_result(attempt, incident, verdict, now);
        slot.queue.note_answer(&attempt.id, answer);
        let fallback = slot.fallback.clone();
        if slot.retired {
            let suppressed = slot.queue.retire();
            self.suppress(&name, suppressed);
        }
        let mut undeliverable = verdict.circuit_until.is_some() && !was_gone;
        for event in events {
            match event {
                DeliveryEventKind::Delivered { .. } => self.note_end(attempt, None, None, now),
                DeliveryEventKind::Failed { reason, dead: true } => {
                    undeliverable = true;
                    self.note_end(attempt, Some(reason), answer.cloned(), now);
                }
                _ => {}
            }
            let failed = matches!(event, DeliveryEventKind::Failed { .. });
            self.report_answer(&name, event, answer.cloned().filter(|_| failed));
        }
        let fires = attempt.notification.status == AlertStatus::Firing;
        let fallback = fallback.filter(|_| undeliverable && fires);
        if let Some(copy) =
            fallback.and_then(|receiver| undelivered(&attempt.notification, &receiver))
        {
            self.push_one(copy, now);
        }
        self.forget_if_done(&name);
    }

    /// Sends a dead letter again.
    ///
    /// # Errors
    /// There is none with this id, or it would say what is no longer true.
    pub fn replay(&mut self, id: &str, now: ClockAnchor) -> Result<Arc<str>, ReplayError> {
        let id = DeliveryId::parse(id).ok_or(ReplayError::Unknown)?;
        let holds = |slot: &Slot| slot.queue.dead_letters().any(|letter| letter.id == id);
        let found = self.slots.iter().find(|(_, slot)| holds(slot));
        let name = found
            .map(|(name, _)| Arc::clone(name))
            .ok_or(ReplayError::Unknown)?;
        self.revision.advance();
        let revision = self.revision;
        if let Some(slot) = self.slots.get_mut(&name) {
            if slot.retired {
                return Err(ReplayError::NoReceiver);
            }
            slot.queue.set_revision(revision);
            slot.queue.replay(&id, now)?;
        }
        self.report(&name, DeliveryEventKind::Queued);
        Ok(name)
    }

    /// Lets everything that waits for this receiver be tried at once: its settings changed.
    pub fn retry_now(&mut self, receiver: &str, now: Timestamp) {
        if let Some(slot) = self.slots.get_mut(receiver) {
            slot.queue.retry_now(now);
        }
    }

    /// The number of the last change.
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
        self.slots
            .values()
            .filter_map(|slot| slot.queue.next_wakeup(durable))
            .min()
    }

    /// Whether the disk has to be told at once: each moment of waiting is one in which a kill makes
    /// a message come twice.
    pub fn has_results(&self) -> bool {
        self.has_results
    }

    /// Whether the disk knows less than this.
    pub fn has_unsaved(&self) -> bool {
        !self.unwritten.is_empty() || self.slots.values().any(|slot| slot.queue.has_unsaved())
    }

    /// What the disk has to be told: what changed since this was last asked, or everything.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        self.has_results = false;
        let mut documents = std::mem::take(&mut self.unwritten);
        documents.extend(
            self.slots
                .values_mut()
                .flat_map(|slot| slot.queue.take_unsaved(all)),
        );
        documents
    }

    /// Takes in what was kept: the queues of configured receivers and of others, and what became of
    /// notifications. A group that is known already keeps what is known. Returns sentences about
    /// what makes no sense.
    pub fn restore(
        &mut self,
        documents: &SavedDocuments,
        configured: &[ReceiverSettings],
    ) -> Vec<String> {
        let mut refused = Vec::new();
        for table in [
            DocumentTable::Receivers,
            DocumentTable::Outbox,
            DocumentTable::DeadLetters,
        ] {
            for document in documents.get(&table).into_iter().flatten() {
                let restored =
                    queue::restore(table, document, |receiver| &mut self.slot(receiver).queue);
                refused.extend(
                    restored
                        .err()
                        .map(|why| format!("a row of the {}: {why}", table.label())),
                );
            }
        }
        for document in documents
            .get(&DocumentTable::Deliveries)
            .into_iter()
            .flatten()
        {
            match serde_json::from_str::<PastDelivery>(&document.body) {
                Ok(mut past) => {
                    past.subject.decided_at = document.shift.past(past.subject.decided_at);
                    past.at = document.shift.past(past.at);
                    self.remember(Arc::new(past));
                }
                Err(why) => refused.push(format!("a row of the deliveries: {why}")),
            }
        }
        self.configure(configured);
        refused
    }

    /// Ends for their receivers the groups that nobody else knows any more: whatever was lost with
    /// them, nothing stays open.
    pub fn end_orphans(
        &mut self,
        is_known: impl Fn(&str, &GroupKey) -> bool,
        now: ClockAnchor,
    ) -> usize {
        let known = |receiver: &str, group: &GroupKey| {
            let (receiver, group) = original(receiver, group);
            is_known(&receiver, &group)
        };
        let orphans = self.slots.iter().flat_map(|(name, slot)| {
            let unknown = slot
                .queue
                .assumed_open()
                .filter(|group| !known(name, group));
            unknown.filter_map(|group| {
                Some((Arc::clone(name), slot.queue.resolve_of(group, now.mono)?))
            })
        });
        let orphans: Vec<_> = orphans.collect();
        let count = orphans.len();
        for (receiver, end) in orphans {
            self.revision.advance();
            self.push_one(Notification { receiver, ..end }, now);
        }
        count
    }

    /// What happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<DeliveryEvent> {
        std::mem::take(&mut self.events)
    }

    /// What waits or is under way, by receiver.
    pub fn undelivered(&self) -> impl Iterator<Item = (&Arc<str>, &Notification)> {
        self.slots
            .iter()
            .flat_map(|(name, slot)| slot.queue.undelivered().map(move |waits| (name, waits)))
    }

    /// Everything that is shown.
    pub fn deliveries(&self) -> Deliveries {
        let letters = self
            .slots
            .values()
            .flat_map(|slot| slot.queue.dead_letters());
        let mut dead_letters: Vec<_> = letters.map(|letter| shown(letter)).collect();
        dead_letters.sort_by_key(|letter| std::cmp::Reverse(letter.delivery.at));
        Deliveries {
            waiting: self
                .slots
                .values()
                .flat_map(|slot| slot.queue.waiting())
                .collect(),
            recent: self.recent.iter().rev().cloned().collect(),
            dead_letters,
        }
    }

    fn slot(&mut self, name: &Arc<str>) -> &mut Slot {
        let (run, lifetime, revision) = (self.run, self.resolve_lifetime, self.revision);
        let slot = self.slots.entry(Arc::clone(name)).or_insert_with(|| Slot {
            queue: ReceiverQueue::new(Arc::clone(name), run, lifetime),
            fallback: None,
            retired: true,
        });
        slot.queue.set_revision(revision);
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

/// `notification`, as the fallback gets it; `None` for what is such a copy already: it goes no
/// further.
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

/// Whose group this is: for what a fallback was told, the group that did not reach its receiver.
fn original(receiver: &str, group: &GroupKey) -> (String, GroupKey) {
    let mut labels = Labels::clone(&group.0);
    match labels.remove(UNDELIVERED_TO) {
        Some(whose) => (whose, GroupKey(Arc::new(labels))),
        None => (receiver.to_owned(), group.clone()),
    }
}

#[cfg(test)]
mod tests;
