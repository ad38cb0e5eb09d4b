//! What waits for one receiver, and in which order it goes. Pure: a state that survives a change of settings, and that
//! an outbox on disk could hold as it is.
//!
//! For each group of alerts the receiver is told the newest state only, a trigger before its resolve, and a resolve
//! exactly when it was told, or may have been told, that the group fires.

mod group;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::alert::{AlertStatus, GroupKey, Notification};
use crate::model::{ClockAnchor, Span, Timestamp, stable_hash};
use crate::monitor::{DeliveryEventKind, QueueState, SuppressReason};

use super::pagerduty::Incident;
use super::retry::{Disposition, Verdict};
use super::slack_bot::Posted;
use group::{Entry, GroupQueue};

/// How many groups a queue knows at once: those that fire and those that wait. Groups are made of a rule and two
/// datacenters, so that a fleet over twenty datacenters stays below it. A group holds three notifications at most.
pub const MAX_GROUPS: usize = 4_096;

/// A delivery's name, the same on every attempt: a receiver that has seen it need not act again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(Arc<str>);

/// What a receiver was told about a group, as far as its resolve has to match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing has to match.
    Plain,
    /// A `PagerDuty` incident: the resolve must carry the routing key and the dedup key of the trigger.
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
#[derive(Clone, Debug)]
pub struct ReceiverQueue {
    receiver: Arc<str>,
    run: u64,
    sequence: u64,
    groups: BTreeMap<GroupKey, GroupQueue>,
    busy: bool,
    hold_until: Option<Timestamp>,
    resolve_lifetime: Span,
    dead: u64,
}

impl Opening {
    /// Whether there is only this one, no longer `other`: a message that is known is the one that was perhaps posted, and a
    /// group has one message in a channel.
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
    /// An empty queue. `run` tells this life of the program from others (the wall clock's nanoseconds at its start will
    /// do), so that ids never come again. A resolve is dropped when it is older than `resolve_lifetime`.
    pub fn new(receiver: Arc<str>, run: u64, resolve_lifetime: Span) -> Self {
        let groups = BTreeMap::new();
        Self { receiver, run, sequence: 0, groups, busy: false, hold_until: None, resolve_lifetime, dead: 0 }
    }

    /// Takes `notification` in; `now` is the moment on both clocks. Returns a reason for each notification, this one or
    /// one that waited, that is not going to be sent because of it.
    pub fn push(&mut self, notification: Arc<Notification>, now: ClockAnchor) -> Vec<SuppressReason> {
        let key = notification.group.clone();
        if !self.groups.contains_key(&key) {
            if notification.status == AlertStatus::Resolved {
                return vec![SuppressReason::NeverDelivered];
            }
            if self.groups.len() >= MAX_GROUPS {
                return vec![SuppressReason::QueueFull];
            }
        }
        self.sequence += 1;
        let entry = Entry::new(self.id(&key), self.sequence, notification, now);
        let suppressed = self.groups.entry(key.clone()).or_default().push(entry);
        self.forget_if_idle(&key);
        suppressed
    }

    /// Drops the resolves that nobody needs to see any more. Returns a reason for each.
    pub fn expire(&mut self, now: Timestamp) -> Vec<SuppressReason> {
        let oldest = now - self.resolve_lifetime;
        let expired = self.groups.values_mut().map(|group| usize::from(group.expire(oldest))).sum();
        self.groups.retain(|_, group| !group.is_idle());
        vec![SuppressReason::Expired; expired]
    }

    /// Starts the attempt that is due: critical before warning, then first come, first served. `None` while another is
    /// under way.
    pub fn start(&mut self, now: Timestamp) -> Option<Attempt> {
        if self.busy || self.hold_until.is_some_and(|until| now < until) {
            return None;
        }
        let due = self.groups.values_mut().filter(|group| group.next().is_some_and(|next| next.not_before <= now));
        let attempt = due.min_by_key(|group| group.next().map(Entry::rank))?.start()?;
        self.busy = true;
        Some(attempt)
    }

    /// When [`Self::start`] next has something, if nothing else happens: possibly in the past; `None` while an attempt
    /// is under way, or when nothing waits.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        if self.busy {
            return None;
        }
        let next = self.groups.values().filter_map(|group| Some(group.next()?.not_before)).min()?;
        Some(self.hold_until.map_or(next, |until| next.max(until)))
    }

    /// Takes the result of `attempt`: for a trigger, `opening` is what its resolve will have to match. Returns what
    /// happened, at least one event.
    pub fn on_result(
        &mut self,
        attempt: &Attempt,
        opening: Option<Opening>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Vec<DeliveryEventKind> {
        self.busy = false;
        self.hold_until = self.hold_until.max(verdict.hold_until);
        let key = &attempt.notification.group;
        let Some(group) = self.groups.get_mut(key) else { return vec![DeliveryEventKind::Queued] };
        let opening = opening.or_else(|| attempt.opening.clone());
        if verdict.maybe_received {
            group.may_have_opened(attempt.notification.status, opening.as_ref());
        }
        let (event, suppressed) = match verdict.disposition {
            Disposition::Delivered => {
                let latency = now - attempt.notification.decided_at;
                let done = group.delivered(opening);
                (if done { DeliveryEventKind::Delivered { latency } } else { DeliveryEventKind::Queued }, Vec::new())
            }
            Disposition::Retry { at, reason } => {
                (DeliveryEventKind::Failed { reason, dead: false }, group.give_back(at, false))
            }
            Disposition::RetryPlain { reason } => {
                (DeliveryEventKind::Failed { reason, dead: false }, group.give_back(now, true))
            }
            Disposition::Dead { reason } => {
                self.dead += 1;
                (DeliveryEventKind::Failed { reason, dead: true }, group.give_up())
            }
        };
        self.forget_if_idle(key);
        let suppressed = suppressed.into_iter().map(|reason| DeliveryEventKind::Suppressed { reason });
        std::iter::once(event).chain(suppressed).collect()
    }

    /// Lets everything that waits be tried at once: for when the receiver's settings changed, and what it was waiting
    /// for may be over.
    pub fn retry_now(&mut self, now: Timestamp) {
        self.hold_until = None;
        self.groups.values_mut().for_each(|group| group.retry_now(now));
    }

    /// How much waits or is under way.
    pub fn state(&self) -> QueueState {
        let decided = self.groups.values().flat_map(GroupQueue::undelivered).map(|n| n.decided_at);
        QueueState { depth: decided.clone().count(), oldest: decided.min(), dead: self.dead }
    }

    /// What waits or is under way.
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.groups.values().flat_map(GroupQueue::undelivered)
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
