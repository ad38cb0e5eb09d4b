//! One group of alerts in a receiver's queue.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::alert::{AlertStatus, Notification, NotifyReason};
use crate::config::Severity;
use crate::model::{ClockAnchor, Timestamp};
use crate::monitor::{DeliverySubject, SuppressReason, WaitingDelivery};

use super::{Attempt, DeliveryId, Opening};

/// How many incidents of one group are remembered: there is more than one only when the routing key
/// or the identity changed while the group fired.
const MAX_OPENINGS: usize = 4;

/// A notification that is to be delivered.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: DeliveryId,
    pub(super) sequence: u64,
    pub(super) notification: Arc<Notification>,
    pub(super) anchor: ClockAnchor,
    pub(super) attempts: u32,
    /// It is not tried before this.
    pub(super) not_before: Timestamp,
    pub(super) plain: bool,
    /// It is not tried before this change is on the disk.
    pub(super) revision: u64,
}

/// What waits for one group, and what the receiver believes of it.
///
/// At most two wait, in turn and newest last: a resolve and the firing that came after it, or one
/// of them.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupQueue {
    /// Under what the receiver was told, or may have been told, that the group fires. Empty: it
    /// believes nothing.
    pub(super) opened: Vec<Opening>,
    pub(super) in_flight: Option<Entry>,
    /// What the attempt under way may open.
    pub(super) opening: Option<Opening>,
    pub(super) waiting: VecDeque<Entry>,
    /// The last firing that the receiver took, with the worst of its alerts: what is said when
    /// nobody else knows any more what is over.
    pub(super) told: Option<Arc<Notification>>,
}

impl Entry {
    pub(super) fn new(
        id: DeliveryId,
        sequence: u64,
        notification: Arc<Notification>,
        now: ClockAnchor,
    ) -> Self {
        Self {
            id,
            sequence,
            notification,
            anchor: now,
            attempts: 0,
            not_before: now.mono,
            plain: false,
            revision: 0,
        }
    }

    /// The same, which may go once this change is on the disk.
    pub(super) fn after(self, revision: u64) -> Self {
        Self { revision, ..self }
    }

    /// What goes first among entries that are due.
    pub(super) fn rank(&self) -> (Reverse<Severity>, u64) {
        (Reverse(self.notification.severity), self.sequence)
    }

    pub(super) fn status(&self) -> AlertStatus {
        self.notification.status
    }

    /// As the API shows it.
    pub(super) fn shown(&self, under_way: bool) -> WaitingDelivery {
        let Self {
            id,
            notification,
            attempts,
            not_before,
            ..
        } = self;
        let subject = DeliverySubject::of(id.to_string(), notification, *attempts);
        WaitingDelivery {
            subject,
            next_attempt: (!under_way).then_some(*not_before),
        }
    }

    /// Takes the place of `older`, which was not delivered: waits as long, and says what only
    /// `older` would have said.
    fn replace(mut self, older: &Self) -> Self {
        self.attempts = older.attempts;
        self.not_before = self.not_before.max(older.not_before);
        self.notification = coalesce(self.notification, &older.notification);
        self
    }
}

impl GroupQueue {
    /// Takes `entry` in. Returns a reason for each notification that is not going to be sent
    /// because of it.
    pub(super) fn push(&mut self, entry: Entry) -> Vec<SuppressReason> {
        let Some(last) = self.waiting.pop_back() else {
            return self.push_first(entry);
        };
        match (last.status(), entry.status()) {
            (AlertStatus::Resolved, AlertStatus::Firing) => {
                self.waiting.extend([last, entry]);
                Vec::new()
            }
            (AlertStatus::Firing, AlertStatus::Resolved) if !self.fires_for_receiver() => {
                vec![SuppressReason::NeverDelivered; 2]
            }
            _ => {
                self.waiting.push_back(entry.replace(&last));
                vec![SuppressReason::Superseded]
            }
        }
    }

    /// Takes `entry` in where nothing waits.
    fn push_first(&mut self, entry: Entry) -> Vec<SuppressReason> {
        if entry.status() == AlertStatus::Resolved && !self.fires_for_receiver() {
            return vec![SuppressReason::NeverDelivered];
        }
        self.waiting.push_back(entry);
        Vec::new()
    }

    /// Whether the receiver will believe that the group fires when everything is delivered that is
    /// ahead: what is under way counts as delivered, its result decides later.
    pub(super) fn fires_for_receiver(&self) -> bool {
        match self.waiting.back().or(self.in_flight.as_ref()) {
            Some(ahead) => ahead.status() == AlertStatus::Firing,
            None => !self.opened.is_empty(),
        }
    }

    /// The entry that goes next; none while one of this group is under way.
    pub(super) fn next(&self) -> Option<&Entry> {
        self.in_flight.is_none().then(|| self.waiting.front())?
    }

    /// Starts the attempt to deliver the entry that goes next.
    pub(super) fn start(&mut self) -> Option<Attempt> {
        let mut entry = self.waiting.pop_front()?;
        entry.attempts = entry.attempts.saturating_add(1);
        let attempt = Attempt {
            id: entry.id.clone(),
            notification: Arc::clone(&entry.notification),
            anchor: entry.anchor,
            number: entry.attempts,
            plain: entry.plain,
            opening: self.opened.last().cloned(),
            opened: self.opened.clone(),
        };
        self.in_flight = Some(entry);
        Some(attempt)
    }

    /// The attempt under way is about to open this. Whether it does is known when it has ended;
    /// should that never be known, it may have. Returns whether that is news.
    pub(super) fn is_opening(&mut self, opening: Opening) -> bool {
        let news = !self.opened.contains(&opening) && self.opening.as_ref() != Some(&opening);
        self.opening = Some(opening);
        news
    }

    /// The attempt failed, but a trigger may have had its effect.
    pub(super) fn may_have_opened(&mut self, status: AlertStatus, opening: Option<&Opening>) {
        if let (AlertStatus::Firing, Some(opening)) = (status, opening) {
            self.remember(opening.clone());
        }
    }

    /// The attempt succeeded. Returns whether the notification is delivered: not yet, when a
    /// resolve has more than one incident to end.
    pub(super) fn delivered(&mut self, opening: Option<Opening>) -> bool {
        self.opening = None;
        let Some(entry) = self.in_flight.take() else {
            return true;
        };
        match entry.status() {
            AlertStatus::Firing => {
                self.told = Some(brief(&entry.notification));
                let opening = opening.unwrap_or(Opening::Plain);
                self.opened
                    .retain(|known| !opening.takes_the_place_of(known));
                self.remember(opening);
                true
            }
            AlertStatus::Resolved => self.closed(entry),
        }
    }

    /// The resolve `entry` is through with the newest opening.
    fn closed(&mut self, entry: Entry) -> bool {
        self.opened.pop();
        let done = self.opened.is_empty();
        if !done {
            self.waiting.push_front(Entry {
                attempts: 0,
                ..entry
            });
        }
        done
    }

    /// The attempt failed and is repeated at `at`, unless something newer makes it pointless.
    pub(super) fn give_back(&mut self, at: Timestamp, plain: bool) -> Vec<SuppressReason> {
        self.opening = None;
        let Some(mut entry) = self.in_flight.take() else {
            return Vec::new();
        };
        entry.not_before = at;
        entry.plain |= plain;
        if entry.status() == AlertStatus::Resolved || self.waiting.is_empty() {
            self.waiting.push_front(entry);
            return Vec::new();
        }
        let mut suppressed = self.drop_pointless_resolve();
        if suppressed.is_empty() {
            suppressed.push(SuppressReason::Superseded);
        } else {
            suppressed.push(SuppressReason::NeverDelivered);
        }
        if let Some(newer) = self.waiting.pop_front() {
            self.waiting.push_front(newer.replace(&entry));
        }
        suppressed
    }

    /// The attempt failed for good. A resolve that is refused ends the matter: the receiver will
    /// not hear of it.
    pub(super) fn give_up(&mut self) -> Vec<SuppressReason> {
        self.opening = None;
        match self.in_flight.take() {
            Some(entry) if entry.status() == AlertStatus::Resolved => {
                self.closed(entry);
                Vec::new()
            }
            _ => self.drop_pointless_resolve(),
        }
    }

    /// Drops the resolve that goes next when the receiver was never told what it would end.
    fn drop_pointless_resolve(&mut self) -> Vec<SuppressReason> {
        let next_resolves = self
            .waiting
            .front()
            .is_some_and(|next| next.status() == AlertStatus::Resolved);
        if !next_resolves || !self.opened.is_empty() {
            return Vec::new();
        }
        self.waiting.pop_front();
        vec![SuppressReason::NeverDelivered]
    }

    /// Drops the resolve that goes next when it was decided before `oldest`.
    pub(super) fn expire(&mut self, oldest: Timestamp) -> bool {
        let expired = self.next().is_some_and(|next| {
            next.status() == AlertStatus::Resolved && next.notification.decided_at < oldest
        });
        if expired {
            self.waiting.pop_front();
            self.opened.clear();
        }
        expired
    }

    /// Lets what waits be tried at once.
    pub(super) fn retry_now(&mut self, now: Timestamp) {
        for entry in &mut self.waiting {
            entry.not_before = entry.not_before.min(now);
        }
    }

    /// The receiver is no longer configured: what waits to tell it of trouble goes, and so does
    /// everything, unless an incident is open. Returns a reason for each.
    pub(super) fn retire(&mut self) -> Vec<SuppressReason> {
        let before = self.waiting.len();
        let open = self
            .opened
            .iter()
            .chain(&self.opening)
            .any(|opening| matches!(opening, Opening::Incident(_)));
        self.waiting
            .retain(|entry| open && entry.status() == AlertStatus::Resolved);
        if !open {
            self.opened.clear();
        }
        vec![SuppressReason::Removed; before - self.waiting.len()]
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_idle(&self) -> bool {
        self.opened.is_empty() && self.in_flight.is_none() && self.waiting.is_empty()
    }

    /// What waits or is under way.
    pub(super) fn undelivered(&self) -> impl Iterator<Item = &Notification> + Clone {
        self.in_flight
            .iter()
            .chain(&self.waiting)
            .map(|entry| &*entry.notification)
    }

    pub(super) fn remember(&mut self, opening: Opening) {
        self.opened.retain(|known| *known != opening);
        if self.opened.len() == MAX_OPENINGS {
            self.opened.remove(0);
        }
        self.opened.push(opening);
    }
}

/// How many of a group's alerts are remembered after they were told.
const MAX_TOLD: usize = 10;

/// `notification`, with the worst of its alerts only.
fn brief(notification: &Arc<Notification>) -> Arc<Notification> {
    if notification.alerts.len() <= MAX_TOLD {
        return Arc::clone(notification);
    }
    let mut brief = Notification::clone(notification);
    brief.alerts.truncate(MAX_TOLD);
    Arc::new(brief)
}

/// `newer`, with what only the undelivered `older` would have said: alerts that resolved (they are
/// told once), that the group is new, that it escalated.
fn coalesce(newer: Arc<Notification>, older: &Notification) -> Arc<Notification> {
    let told = |fingerprint| {
        newer
            .alerts
            .iter()
            .any(|alert| alert.fingerprint == fingerprint)
    };
    let over = older
        .alerts
        .iter()
        .filter(|alert| alert.status == AlertStatus::Resolved && !told(alert.fingerprint));
    let over: Vec<_> = over.cloned().collect();
    let reason = stronger(&newer, older);
    if over.is_empty() && reason == newer.reason {
        return newer;
    }
    let mut merged = Arc::unwrap_or_clone(newer);
    merged.alerts.extend(over);
    merged.reason = reason;
    Arc::new(merged)
}

fn stronger(newer: &Notification, older: &Notification) -> NotifyReason {
    let fires = newer.status == AlertStatus::Firing && older.status == AlertStatus::Firing;
    match older.reason {
        NotifyReason::First if fires => NotifyReason::First,
        NotifyReason::Escalated if fires && newer.severity == Severity::Critical => {
            NotifyReason::Escalated
        }
        _ => newer.reason,
    }
}
