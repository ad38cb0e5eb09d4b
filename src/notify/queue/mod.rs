//! What waits for one receiver, and in which order it goes. Pure: a state that survives a change of
//! settings, and that an outbox on disk could hold as it is.
//!
//! For each group of alerts the receiver is told the newest state only, a trigger before its
//! resolve, and a resolve exactly when it was told, or may have been told, that the group fires.

mod dead;
mod group;
mod saved;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::alert::{AlertStatus, GroupKey, Notification, NotifyReason, ResolveReason};
use crate::model::{ClockAnchor, Span, Timestamp, stable_hash};
use crate::monitor::{DeliveryEventKind, QueueState, SuppressReason, WaitingDelivery};

use super::pagerduty::Incident;
use super::retry::{Disposition, Verdict};
use super::slack_bot::Posted;
use group::{Entry, GroupQueue};
use saved::Kept;

pub use dead::{DeadLetter, MAX_DEAD_LETTERS, ReplayError};
pub use saved::{QueueRecordError, restore};

/// How many groups a queue knows at once: those that fire and those that wait. Groups are made of a
/// rule and two datacenters, so that a fleet over twenty datacenters stays below it. A group holds
/// three notifications at most.
pub const MAX_GROUPS: usize = 4_096;

/// Characters of an id: those that are made here have up to 60.
const MAX_ID: usize = 100;

/// A delivery's name, the same on every attempt: a receiver that has seen it need not act again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(Arc<str>);

/// What a receiver was told about a group, as far as its resolve has to match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing has to match.
    Plain,
    /// A `PagerDuty` incident: the resolve must carry the routing key and the dedup key of the
    /// trigger.
    Incident(Incident),
    /// A message of a Slack bot, which is changed in place.
    Message(Posted),
}

/// A delivery that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its name.
    pub id: DeliveryId,
    /// What to say.
    pub notification: Arc<Notification>,
    /// The two clocks when it was decided.
    pub anchor: ClockAnchor,
    /// How many times it is tried with this attempt.
    pub number: u32,
    /// Whether to say it in plain text, after the receiver refused the layout.
    pub plain: bool,
    /// What the receiver was told of the group last: what a resolve ends.
    pub opening: Option<Opening>,
    /// Everything that it was told of the group and that is not over, the newest last.
    pub opened: Vec<Opening>,
}

/// The queue of one receiver. At most one attempt is under way at a time.
///
/// Every change has a number, its *revision*, which whoever owns the queues gives out. What a
/// change made due is tried once that revision is on the disk.
#[derive(Clone, Debug)]
pub struct ReceiverQueue {
    receiver: Arc<str>,
    run: u64,
    sequence: u64,
    revision: u64,
    groups: BTreeMap<GroupKey, GroupQueue>,
    busy: bool,
    hold_until: Option<Timestamp>,
    /// The receiver said that it is gone: it is asked again after this.
    circuit: Option<Timestamp>,
    resolve_lifetime: Span,
    dead: u64,
    letters: VecDeque<Arc<DeadLetter>>,
    /// Where its incidents are ended when it is no longer configured.
    endpoint: Option<Arc<str>>,
    kept: Kept,
}

impl Opening {
    /// Whether there is only this one, no longer `other`: a message that is known is the one that
    /// was perhaps posted, and a group has one message in a channel.
    fn takes_the_place_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Message(_), Self::Plain) => true,
            (Self::Message(new), Self::Message(old)) => new.configured == old.configured,
            // Its end was sent with the new one.
            (Self::Incident(new), Self::Incident(old)) => new.follows(old),
            _ => false,
        }
    }
}

impl ReceiverQueue {
    /// An empty queue. `run` tells this life of the program from others (the wall clock's
    /// nanoseconds at its start will do), so that ids never come again. A resolve is dropped when
    /// it is older than `resolve_lifetime`.
    pub fn new(receiver: Arc<str>, run: u64, resolve_lifetime: Span) -> Self {
        Self {
            receiver,
            run,
            sequence: 0,
            revision: 0,
            groups: BTreeMap::new(),
            busy: false,
            hold_until: None,
            circuit: None,
            resolve_lifetime,
            dead: 0,
            letters: VecDeque::new(),
            endpoint: None,
            kept: Kept::default(),
        }
    }

    /// Where its incidents are ended when it is no longer configured.
    pub fn endpoint(&self) -> Option<&Arc<str>> {
        self.endpoint.as_ref()
    }

    /// Sets [`Self::endpoint`].
    pub fn set_endpoint(&mut self, endpoint: Option<Arc<str>>) {
        if self.endpoint != endpoint {
            self.endpoint = endpoint;
            self.kept.touch_receiver();
        }
    }

    /// What changes from now on has this number.
    pub fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// Takes `notification` in; `now` is the moment on both clocks. Returns a reason for each
    /// notification, this one or one that waited, that is not going to be sent because of it.
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
        let entry =
            Entry::new(self.id(&key), self.sequence, notification, now).after(self.revision);
        let suppressed = self.groups.entry(key.clone()).or_default().push(entry);
        self.forget_if_idle(&key);
        self.kept.touch(key);
        suppressed
    }

    /// Drops the resolves that nobody needs to see any more. Returns a reason for each.
    pub fn expire(&mut self, now: Timestamp) -> Vec<SuppressReason> {
        let oldest = now - self.resolve_lifetime;
        let mut expired = 0;
        for (key, group) in &mut self.groups {
            if group.expire(oldest) {
                expired += 1;
                self.kept.touch(key.clone());
            }
        }
        if expired > 0 {
            self.groups.retain(|_, group| !group.is_idle());
        }
        vec![SuppressReason::Expired; expired]
    }

    /// Starts the attempt that is due: critical before warning, then first come, first served.
    /// `None` while another is under way. What came by a change after `durable` has to wait.
    pub fn start(&mut self, now: Timestamp, durable: u64) -> Option<Attempt> {
        if self.busy || self.rests_until().is_some_and(|until| now < until) {
            return None;
        }
        let is_due = |next: &Entry| next.not_before <= now && next.revision <= durable;
        let due = self
            .groups
            .values_mut()
            .filter(|group| group.next().is_some_and(is_due));
        let attempt = due
            .min_by_key(|group| group.next().map(Entry::rank))?
            .start()?;
        self.busy = true;
        self.kept.touch(attempt.notification.group.clone());
        Some(attempt)
    }

    /// Takes in what the attempt under way for `group` is about to open. Returns whether the disk
    /// has to know it first: with this life's end it would be forgotten, and perhaps stay open for
    /// ever.
    pub fn is_opening(&mut self, group: &GroupKey, opening: Opening) -> bool {
        let news = self
            .groups
            .get_mut(group)
            .is_some_and(|group| group.is_opening(opening));
        if news {
            self.kept.touch(group.clone());
        }
        news
    }

    /// When [`Self::start`] next has something, if nothing else happens: possibly in the past;
    /// `None` while an attempt is under way, or when nothing waits but for a change after
    /// `durable`.
    pub fn next_wakeup(&self, durable: u64) -> Option<Timestamp> {
        if self.busy {
            return None;
        }
        let waiting = self
            .groups
            .values()
            .filter_map(GroupQueue::next)
            .filter(|next| next.revision <= durable);
        let next = waiting.map(|next| next.not_before).min()?;
        Some(self.rests_until().map_or(next, |until| next.max(until)))
    }

    /// Whether something is due that waits for nothing but the disk.
    pub fn waits_for_disk(&self, now: Timestamp, durable: u64) -> bool {
        let waits = |next: &Entry| next.not_before <= now && next.revision > durable;
        !self.busy
            && self.rests_until().is_none_or(|until| until <= now)
            && self
                .groups
                .values()
                .any(|group| group.next().is_some_and(waits))
    }

    /// Takes the result of `attempt`: for a trigger, `opening` is what its resolve will have to
    /// match. Returns what happened, at least one event.
    pub fn on_result(
        &mut self,
        attempt: &Attempt,
        opening: Option<Opening>,
        verdict: &Verdict,
        now: ClockAnchor,
    ) -> Vec<DeliveryEventKind> {
        self.busy = false;
        self.hold_until = self.hold_until.max(verdict.hold_until);
        self.set_circuit(verdict.circuit_until);
        let key = &attempt.notification.group;
        self.kept.touch(key.clone());
        let Some(group) = self.groups.get_mut(key) else {
            return vec![DeliveryEventKind::Queued];
        };
        let opening = opening.or_else(|| attempt.opening.clone());
        if verdict.maybe_received {
            group.may_have_opened(attempt.notification.status, opening.as_ref());
        }
        let (event, suppressed) = match verdict.disposition {
            Disposition::Delivered => {
                let latency = now.mono - attempt.notification.decided_at;
                let done = group.delivered(opening);
                (
                    if done {
                        DeliveryEventKind::Delivered { latency }
                    } else {
                        DeliveryEventKind::Queued
                    },
                    Vec::new(),
                )
            }
            Disposition::Retry { at, reason } => (
                DeliveryEventKind::Failed {
                    reason,
                    dead: false,
                },
                group.give_back(at, false),
            ),
            Disposition::RetryPlain { reason } => (
                DeliveryEventKind::Failed {
                    reason,
                    dead: false,
                },
                group.give_back(now.mono, true),
            ),
            Disposition::Dead { reason } => {
                let suppressed = group.give_up();
                self.bury(attempt, reason, now);
                (DeliveryEventKind::Failed { reason, dead: true }, suppressed)
            }
        };
        self.forget_if_idle(key);
        let suppressed = suppressed
            .into_iter()
            .map(|reason| DeliveryEventKind::Suppressed { reason });
        std::iter::once(event).chain(suppressed).collect()
    }

    /// Lets everything that waits be tried at once: for when the receiver's settings changed, and
    /// what it was waiting for may be over.
    pub fn retry_now(&mut self, now: Timestamp) {
        self.hold_until = None;
        self.set_circuit(None);
        self.groups
            .values_mut()
            .for_each(|group| group.retry_now(now));
    }

    /// The receiver is no longer configured: only the ends of incidents are still sent. Returns a
    /// reason for each notification that is not.
    pub fn retire(&mut self) -> Vec<SuppressReason> {
        let suppressed = self
            .groups
            .values_mut()
            .flat_map(GroupQueue::retire)
            .collect();
        self.groups
            .keys()
            .for_each(|key| self.kept.touch(key.clone()));
        self.groups.retain(|_, group| !group.is_idle());
        suppressed
    }

    /// Whether nothing waits and nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether an attempt is under way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The groups that the receiver believes to fire, or will.
    pub fn believed(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups
            .iter()
            .filter(|(_, group)| group.fires_for_receiver())
            .map(|(key, _)| key)
    }

    /// The end of a group that nobody else knows any more, in the words of when it was last told.
    pub fn end_of(&self, key: &GroupKey, now: Timestamp) -> Option<Notification> {
        let group = self.groups.get(key)?;
        let waiting = group.waiting.back().map(|entry| &entry.notification);
        let mut end = Notification::clone(group.told.as_ref().or(waiting)?);
        (end.status, end.reason, end.decided_at) =
            (AlertStatus::Resolved, NotifyReason::Resolved, now);
        for alert in &mut end.alerts {
            let alert = Arc::make_mut(alert);
            alert.status = AlertStatus::Resolved;
            alert.resolved.get_or_insert((now, ResolveReason::Removed));
        }
        Some(end)
    }

    /// How much waits or is under way.
    pub fn state(&self) -> QueueState {
        let decided = self
            .groups
            .values()
            .flat_map(GroupQueue::undelivered)
            .map(|n| n.decided_at);
        QueueState {
            depth: decided.clone().count(),
            oldest: decided.min(),
            dead: self.dead,
            circuit_until: self.circuit,
        }
    }

    /// What waits or is under way.
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.groups.values().flat_map(GroupQueue::undelivered)
    }

    /// What waits or is under way, as the API shows it.
    pub fn waiting(&self) -> impl Iterator<Item = WaitingDelivery> {
        self.groups.values().flat_map(|group| {
            let flight = group.in_flight.iter().map(|entry| entry.shown(true));
            flight.chain(group.waiting.iter().map(|entry| entry.shown(false)))
        })
    }

    /// Until when nothing is sent to the receiver.
    fn rests_until(&self) -> Option<Timestamp> {
        self.hold_until.max(self.circuit)
    }

    fn set_circuit(&mut self, until: Option<Timestamp>) {
        if self.circuit != until {
            self.circuit = until;
            self.kept.touch_receiver();
        }
    }

    fn id(&self, key: &GroupKey) -> DeliveryId {
        // Hashes, as the names may hold what a header may not.
        let names = stable_hash([&*self.receiver, key.text().as_str()]);
        DeliveryId(format!("msg_{names:016x}_{:x}_{}", self.run, self.sequence).into())
    }

    fn forget_if_idle(&mut self, key: &GroupKey) {
        if self.groups.get(key).is_some_and(GroupQueue::is_idle) {
            self.groups.remove(key);
        }
    }
}

impl DeliveryId {
    /// The id that this text is, as it was given out in an earlier life.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.starts_with("msg_")
            && text.len() <= MAX_ID
            && text
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
        fits.then(|| Self(text.into()))
    }

    /// The name of a test's delivery, which no queue gives.
    pub fn of_test(what: &str, run: i64) -> Self {
        Self(format!("msg_test_{run:x}_{what}").into())
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
