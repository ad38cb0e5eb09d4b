//! The queue of one receiver: its alert groups and what is to be sent about each. It survives a
//! change of settings, and a restart by its saved documents. Pure.
//!
//! Of each alert group the receiver gets only the newest state: a firing before its resolve, and a
//! resolve exactly if it was, or may have been, notified that the group fires.

mod dead;
mod group;
mod letters;
mod saved;
mod unsaved;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::alert::{AlertStatus, GroupKey, Notification, NotifyReason, ResolveReason};
use crate::delivery::{
    DeliveryEventKind, DeliveryFailure, QueueState, SuppressReason, WaitingDelivery,
};
use crate::model::{ClockAnchor, Durable, Revision, Span, Timestamp, stable_hash};

use super::attempt::{Attempt, DeliveryId};
use super::incident::IncidentRef;
use super::retry::{Disposition, RetryVerdict};
use group::{GroupQueue, QueueEntry};
use unsaved::Unsaved;

pub use dead::{DeadLetter, MAX_DEAD_LETTERS, ReplayError};
pub use saved::{QueueRecordError, restore};

/// Groups in a queue at once: those that fire and those that are waiting. By default a group is a
/// rule and two datacenters, so that a fleet over twenty datacenters stays below it. A group has at
/// most three notifications.
pub const MAX_GROUPS: usize = 4_096;

/// The queue of one receiver. At most one attempt is in flight at a time.
///
/// Every change has a [`Revision`], which the owner of the queues assigns. What a change made due
/// is tried once that revision is on the disk.
#[derive(Clone, Debug)]
pub struct ReceiverQueue {
    receiver: Arc<str>,
    run: u64,
    sequence: u64,
    revision: Revision,
    groups: BTreeMap<GroupKey, GroupQueue>,
    /// Whether an attempt is in flight.
    busy: bool,
    hold_until: Option<Timestamp>,
    /// The receiver answered that it is gone: nothing is sent before this.
    circuit: Option<Timestamp>,
    resolve_lifetime: Span,
    dead: u64,
    letters: VecDeque<Arc<DeadLetter>>,
    /// The URL at which its incidents are resolved once it is no longer configured.
    endpoint: Option<Arc<str>>,
    unsaved: Unsaved,
}

impl ReceiverQueue {
    /// An empty queue. `run` distinguishes this run of the program from others (the wall clock's
    /// nanoseconds at its start will do), so that ids are never reused. A resolve is dropped when
    /// it is older than `resolve_lifetime`.
    pub fn new(receiver: Arc<str>, run: u64, resolve_lifetime: Span) -> Self {
        Self {
            receiver,
            run,
            sequence: 0,
            revision: Revision::START,
            groups: BTreeMap::new(),
            busy: false,
            hold_until: None,
            circuit: None,
            resolve_lifetime,
            dead: 0,
            letters: VecDeque::new(),
            endpoint: None,
            unsaved: Unsaved::default(),
        }
    }

    /// The URL at which its incidents are resolved once it is no longer configured.
    pub fn endpoint(&self) -> Option<&Arc<str>> {
        self.endpoint.as_ref()
    }

    /// Sets [`Self::endpoint`].
    pub fn set_endpoint(&mut self, endpoint: Option<Arc<str>>) {
        if self.endpoint != endpoint {
            self.endpoint = endpoint;
            self.unsaved.touch_receiver();
        }
    }

    /// Assigns this revision to the changes from now on.
    pub fn set_revision(&mut self, revision: Revision) {
        self.revision = revision;
    }

    /// Adds `notification` at `now`. Returns a reason for each notification, this one or a waiting
    /// one, that is not going to be sent because of it.
    pub fn push(
        &mut self,
        notification: Arc<Notification>,
        now: ClockAnchor,
    ) -> Vec<SuppressReason> {
        let key = notification.group.clone();
        if notification.status == AlertStatus::Resolved {
            self.mark_letters_over(&key);
        }
        if !self.groups.contains_key(&key) {
            if notification.status == AlertStatus::Resolved {
                return vec![SuppressReason::NeverDelivered];
            }
            if self.groups.len() >= MAX_GROUPS {
                return vec![SuppressReason::QueueFull];
            }
        }
        self.sequence += 1;
        let entry = QueueEntry::new(self.id(&key), self.sequence, notification, now);
        let entry = entry.after(self.revision);
        let suppressed = self.groups.entry(key.clone()).or_default().push(entry);
        self.forget_if_idle(&key);
        self.unsaved.touch(key);
        suppressed
    }

    /// Drops the resolves that are too old. Returns a reason for each.
    pub fn expire(&mut self, now: Timestamp) -> Vec<SuppressReason> {
        let oldest = now - self.resolve_lifetime;
        let mut expired = 0;
        for (key, group) in &mut self.groups {
            if group.expire(oldest) {
                expired += 1;
                self.unsaved.touch(key.clone());
            }
        }
        if expired > 0 {
            self.groups.retain(|_, group| !group.is_idle());
        }
        vec![SuppressReason::Expired; expired]
    }

    /// Starts the attempt that is due: critical before warning, then in the order of arrival.
    /// `None` while another is in flight. A change that `durable` does not include has to wait.
    pub fn start(&mut self, now: Timestamp, durable: Durable) -> Option<Attempt> {
        if self.busy || self.is_held(now) {
            return None;
        }
        let groups = self.groups.values_mut();
        let due = groups.filter(|group| group.is_due(now, durable));
        let first = due.min_by_key(|group| group.next().map(QueueEntry::rank))?;
        let attempt = first.start()?;
        self.busy = true;
        self.unsaved.touch(attempt.notification.group.clone());
        Some(attempt)
    }

    /// Notes the incident that the attempt in flight for `group` may open. Returns whether it has
    /// to be on the disk first: if the program ended without a trace of it, it could stay open
    /// forever.
    pub fn announce_incident(&mut self, group: &GroupKey, incident: IncidentRef) -> bool {
        let Some(queue) = self.groups.get_mut(group) else {
            return false;
        };
        let is_new = queue.announce_incident(incident);
        if is_new {
            self.unsaved.touch(group.clone());
        }
        is_new
    }

    /// When [`Self::start`] next has something to start, if nothing else happens; possibly in the
    /// past. `None` while an attempt is in flight, and when everything that is waiting waits for a
    /// change that `durable` does not include.
    pub fn next_wakeup(&self, durable: Durable) -> Option<Timestamp> {
        if self.busy {
            return None;
        }
        let waiting = self.groups.values().filter_map(GroupQueue::next);
        let durable = waiting.filter(|next| durable.includes(next.revision));
        let next = durable.map(|next| next.not_before).min()?;
        Some(next.max(self.held_until().unwrap_or(next)))
    }

    /// Whether something is due that waits for nothing but the disk.
    pub fn waits_for_disk(&self, now: Timestamp, durable: Durable) -> bool {
        if self.busy || self.is_held(now) {
            return false;
        }
        let mut waiting = self.groups.values().filter_map(GroupQueue::next);
        waiting.any(|next| next.not_before <= now && !durable.includes(next.revision))
    }

    /// Applies the result of `attempt`. For a firing, `incident` is what its resolve will have to
    /// match. Returns what happened, at least one event.
    pub fn on_result(
        &mut self,
        attempt: &Attempt,
        incident: Option<IncidentRef>,
        verdict: &RetryVerdict,
        now: ClockAnchor,
    ) -> Vec<DeliveryEventKind> {
        self.busy = false;
        self.hold_until = self.hold_until.max(verdict.hold_until);
        self.set_circuit(verdict.circuit_until);
        let key = &attempt.notification.group;
        self.unsaved.touch(key.clone());
        let events = self.apply_verdict(attempt, incident, verdict, now);
        self.forget_if_idle(key);
        events
    }

    /// Applies the result of `attempt` to its group.
    fn apply_verdict(
        &mut self,
        attempt: &Attempt,
        incident: Option<IncidentRef>,
        verdict: &RetryVerdict,
        now: ClockAnchor,
    ) -> Vec<DeliveryEventKind> {
        let Some(group) = self.groups.get_mut(&attempt.notification.group) else {
            return vec![DeliveryEventKind::Queued];
        };
        let incident = incident.or_else(|| attempt.incident.clone());
        if verdict.maybe_received {
            group.may_have_reached(attempt.notification.status, incident.as_ref());
        }
        group.narrow(&verdict.left);
        match verdict.disposition {
            Disposition::Delivered => {
                if group.delivered(incident) {
                    let latency = now.mono - attempt.notification.decided_at;
                    vec![DeliveryEventKind::Delivered { latency }]
                } else {
                    vec![DeliveryEventKind::PartlyDelivered]
                }
            }
            Disposition::Retry { at, reason } => {
                failure_events(reason, false, group.give_back(at, false))
            }
            Disposition::RetryPlain { reason } => {
                failure_events(reason, false, group.give_back(now.mono, true))
            }
            Disposition::Dead { reason } => {
                let suppressed = group.give_up();
                self.bury(attempt, reason, now);
                failure_events(reason, true, suppressed)
            }
        }
    }

    /// Lets everything that is waiting be tried at once, because the receiver's settings changed.
    pub fn retry_now(&mut self, now: Timestamp) {
        self.hold_until = None;
        self.set_circuit(None);
        for group in self.groups.values_mut() {
            group.retry_now(now);
        }
    }

    /// The receiver was removed from the configuration: only the resolves of open incidents are
    /// still sent. Returns a reason for each notification that is not.
    pub fn retire(&mut self) -> Vec<SuppressReason> {
        let mut suppressed = Vec::new();
        for (key, group) in &mut self.groups {
            suppressed.extend(group.retire());
            self.unsaved.touch(key.clone());
        }
        self.groups.retain(|_, group| !group.is_idle());
        suppressed
    }

    /// Whether nothing is waiting and no incident is open.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether an attempt is in flight.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The groups that the receiver assumes to fire, or will once everything is delivered.
    pub fn assumed_open(&self) -> impl Iterator<Item = &GroupKey> {
        let groups = self.groups.iter();
        let open = groups.filter(|(_, group)| group.receiver_assumes_firing());
        open.map(|(key, _)| key)
    }

    /// A resolve of a group that only this queue remembers, with the alerts of the last
    /// notification.
    pub fn resolve_of(&self, key: &GroupKey, now: Timestamp) -> Option<Notification> {
        let group = self.groups.get(key)?;
        let last = match (&group.last_accepted, group.waiting.back()) {
            (Some(accepted), _) => accepted,
            (None, Some(waiting)) => &waiting.notification,
            (None, None) => return None,
        };
        let mut end = Notification::clone(last);
        end.status = AlertStatus::Resolved;
        end.reason = NotifyReason::Resolved;
        end.decided_at = now;
        for alert in &mut end.alerts {
            let alert = Arc::make_mut(alert);
            alert.status = AlertStatus::Resolved;
            alert.resolved.get_or_insert((now, ResolveReason::Removed));
        }
        Some(end)
    }

    /// The queue's state as metrics and the API show it.
    pub fn state(&self) -> QueueState {
        let undelivered = self.groups.values().flat_map(GroupQueue::undelivered);
        let decided_at = undelivered.map(|notification| notification.decided_at);
        QueueState {
            depth: decided_at.clone().count(),
            oldest: decided_at.min(),
            dead: self.dead,
            circuit_until: self.circuit,
        }
    }

    /// The notifications that are waiting or in flight.
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.groups.values().flat_map(GroupQueue::undelivered)
    }

    /// The notifications that are waiting or in flight, as the API shows them.
    pub fn waiting(&self) -> Vec<WaitingDelivery> {
        let mut deliveries = Vec::new();
        for group in self.groups.values() {
            deliveries.extend(group.in_flight.iter().map(|entry| entry.shown(true)));
            deliveries.extend(group.waiting.iter().map(|entry| entry.shown(false)));
        }
        deliveries
    }

    /// Until when nothing is sent to the receiver.
    fn held_until(&self) -> Option<Timestamp> {
        self.hold_until.max(self.circuit)
    }

    fn is_held(&self, now: Timestamp) -> bool {
        self.held_until().is_some_and(|until| now < until)
    }

    fn set_circuit(&mut self, until: Option<Timestamp>) {
        if self.circuit != until {
            self.circuit = until;
            self.unsaved.touch_receiver();
        }
    }

    fn id(&self, key: &GroupKey) -> DeliveryId {
        let names = stable_hash([&*self.receiver, key.text().as_str()]);
        DeliveryId::new(names, self.run, self.sequence)
    }

    fn forget_if_idle(&mut self, key: &GroupKey) {
        if self.groups.get(key).is_some_and(GroupQueue::is_idle) {
            self.groups.remove(key);
        }
    }
}

/// A failed attempt, and each notification that is not going to be sent because of it.
fn failure_events(
    reason: DeliveryFailure,
    dead: bool,
    suppressed: Vec<SuppressReason>,
) -> Vec<DeliveryEventKind> {
    let mut events = vec![DeliveryEventKind::Failed { reason, dead }];
    for reason in suppressed {
        events.push(DeliveryEventKind::Suppressed { reason });
    }
    events
}

#[cfg(test)]
mod tests;
