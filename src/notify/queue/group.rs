//! One alert group in a receiver's queue.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::alert::{AlertStatus, Notification, NotifyReason};
use crate::config::Severity;
use crate::delivery::{DeliverySubject, SuppressReason, WaitingDelivery};
use crate::model::{ClockAnchor, Durable, Revision, Timestamp};
use crate::notify::attempt::{Attempt, DeliveryId};
use crate::notify::incident::IncidentRef;

/// Open incidents of one group that are remembered. There is more than one only when the routing
/// key or the identity changed while the group fired.
const MAX_INCIDENTS: usize = 4;

/// A notification that is to be delivered.
#[derive(Clone, Debug)]
pub(super) struct QueueEntry {
    pub(super) id: DeliveryId,
    pub(super) sequence: u64,
    pub(super) notification: Arc<Notification>,
    /// The two clocks when it was decided.
    pub(super) anchor: ClockAnchor,
    pub(super) attempts: u32,
    /// It is not tried before this.
    pub(super) not_before: Timestamp,
    /// Whether it is sent as plain text.
    pub(super) plain: bool,
    /// The recipients that do not have it yet; `None` while nobody has it.
    pub(super) left: Option<Arc<[String]>>,
    /// It is not tried before this change is on the disk.
    pub(super) revision: Revision,
}

/// The notifications of one group that are waiting, and what the receiver assumes of the group.
///
/// At most two are waiting, newest last: a resolve and the firing that came after it, or one of
/// them.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupQueue {
    /// The incidents that the receiver has open, or may have open. Empty: it does not assume that
    /// the group fires.
    pub(super) open_incidents: Vec<IncidentRef>,
    pub(super) in_flight: Option<QueueEntry>,
    /// The incident that the attempt in flight may open.
    pub(super) announced: Option<IncidentRef>,
    pub(super) waiting: VecDeque<QueueEntry>,
    /// The last firing that the receiver accepted, with the worst of its alerts: the text of a
    /// resolve for a group that nothing else remembers.
    pub(super) last_accepted: Option<Arc<Notification>>,
}

impl QueueEntry {
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
            left: None,
            revision: Revision::START,
        }
    }

    /// The same entry, which may be sent once this change is on the disk.
    pub(super) fn after(self, revision: Revision) -> Self {
        Self { revision, ..self }
    }

    /// The order among entries that are due: critical first, then as they came.
    pub(super) fn rank(&self) -> (Reverse<Severity>, u64) {
        (Reverse(self.notification.severity), self.sequence)
    }

    pub(super) fn status(&self) -> AlertStatus {
        self.notification.status
    }

    /// The entry as the API shows it.
    pub(super) fn shown(&self, in_flight: bool) -> WaitingDelivery {
        let subject = DeliverySubject::new(self.id.to_string(), &self.notification, self.attempts);
        let next_attempt = if in_flight {
            None
        } else {
            Some(self.not_before)
        };
        WaitingDelivery {
            subject,
            next_attempt,
        }
    }

    /// Replaces `older`, which was not delivered: this entry waits as long, and reports what only
    /// `older` would have reported.
    fn replace(mut self, older: &Self) -> Self {
        self.attempts = older.attempts;
        self.not_before = self.not_before.max(older.not_before);
        self.notification = coalesce(self.notification, &older.notification);
        self
    }
}

impl GroupQueue {
    /// Adds `entry`. Returns a reason for each notification that is not going to be sent because of
    /// it.
    pub(super) fn push(&mut self, entry: QueueEntry) -> Vec<SuppressReason> {
        let Some(last) = self.waiting.pop_back() else {
            return self.push_first(entry);
        };
        match (last.status(), entry.status()) {
            (AlertStatus::Resolved, AlertStatus::Firing) => {
                self.waiting.extend([last, entry]);
                Vec::new()
            }
            (AlertStatus::Firing, AlertStatus::Resolved) if !self.receiver_assumes_firing() => {
                vec![SuppressReason::NeverDelivered; 2]
            }
            _ => {
                self.waiting.push_back(entry.replace(&last));
                vec![SuppressReason::Superseded]
            }
        }
    }

    /// Adds `entry` where nothing is waiting.
    fn push_first(&mut self, entry: QueueEntry) -> Vec<SuppressReason> {
        if entry.status() == AlertStatus::Resolved && !self.receiver_assumes_firing() {
            return vec![SuppressReason::NeverDelivered];
        }
        self.waiting.push_back(entry);
        Vec::new()
    }

    /// Whether the receiver will assume that the group fires once everything in the queue is
    /// delivered. The attempt in flight counts as delivered until its result is there.
    pub(super) fn receiver_assumes_firing(&self) -> bool {
        match self.waiting.back().or(self.in_flight.as_ref()) {
            Some(last) => last.status() == AlertStatus::Firing,
            None => !self.open_incidents.is_empty(),
        }
    }

    /// The entry that is sent next; none while one of this group is in flight.
    pub(super) fn next(&self) -> Option<&QueueEntry> {
        if self.in_flight.is_some() {
            return None;
        }
        self.waiting.front()
    }

    /// Whether the next entry may be sent: it is due and on the disk.
    pub(super) fn is_due(&self, now: Timestamp, durable: Durable) -> bool {
        let Some(next) = self.next() else {
            return false;
        };
        next.not_before <= now && durable.includes(next.revision)
    }

    /// Starts the attempt to deliver the next entry.
    pub(super) fn start(&mut self) -> Option<Attempt> {
        let mut entry = self.waiting.pop_front()?;
        entry.attempts = entry.attempts.saturating_add(1);
        let attempt = Attempt {
            id: entry.id.clone(),
            notification: Arc::clone(&entry.notification),
            anchor: entry.anchor,
            number: entry.attempts,
            plain: entry.plain,
            left: entry.left.clone(),
            incident: self.open_incidents.last().cloned(),
            open_incidents: self.open_incidents.clone(),
        };
        self.in_flight = Some(entry);
        Some(attempt)
    }

    /// Notes the incident that the attempt in flight may open. If its result never becomes known,
    /// the incident counts as open. Returns whether it was not known before.
    pub(super) fn announce_incident(&mut self, incident: IncidentRef) -> bool {
        let is_known =
            self.open_incidents.contains(&incident) || self.announced.as_ref() == Some(&incident);
        self.announced = Some(incident);
        !is_known
    }

    /// The attempt failed, but its firing may have opened the incident all the same.
    pub(super) fn may_have_reached(&mut self, status: AlertStatus, incident: Option<&IncidentRef>) {
        if let (AlertStatus::Firing, Some(incident)) = (status, incident) {
            self.remember(incident.clone());
        }
    }

    /// The attempt succeeded. Returns whether the notification is delivered: not yet, if a resolve
    /// has further incidents to resolve.
    pub(super) fn delivered(&mut self, incident: Option<IncidentRef>) -> bool {
        self.announced = None;
        let Some(entry) = self.in_flight.take() else {
            return true;
        };
        match entry.status() {
            AlertStatus::Firing => {
                self.last_accepted = Some(brief(&entry.notification));
                let incident = incident.unwrap_or(IncidentRef::Unnamed);
                self.open_incidents
                    .retain(|known| !incident.supersedes(known));
                self.remember(incident);
                true
            }
            AlertStatus::Resolved => self.resolved_newest(entry),
        }
    }

    /// The newest incident is resolved. Returns whether that was the last one; otherwise the
    /// resolve `entry` is queued again, for the next.
    fn resolved_newest(&mut self, entry: QueueEntry) -> bool {
        self.open_incidents.pop();
        if self.open_incidents.is_empty() {
            return true;
        }
        self.waiting.push_front(QueueEntry {
            attempts: 0,
            left: None,
            ..entry
        });
        false
    }

    /// The attempt in flight was received by all recipients but `left`: only these need another
    /// one.
    pub(super) fn narrow(&mut self, left: &[String]) {
        if let Some(entry) = &mut self.in_flight
            && !left.is_empty()
        {
            entry.left = Some(left.into());
        }
    }

    /// The attempt failed and is repeated at `at`, unless a newer notification makes it pointless.
    pub(super) fn give_back(&mut self, at: Timestamp, plain: bool) -> Vec<SuppressReason> {
        self.announced = None;
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

    /// The attempt failed and is not repeated. A resolve that is refused counts as done: the
    /// receiver gets no further one.
    pub(super) fn give_up(&mut self) -> Vec<SuppressReason> {
        self.announced = None;
        match self.in_flight.take() {
            Some(entry) if entry.status() == AlertStatus::Resolved => {
                self.resolved_newest(entry);
                Vec::new()
            }
            _ => self.drop_pointless_resolve(),
        }
    }

    /// Drops the resolve that is next when the receiver was never notified of the firing.
    fn drop_pointless_resolve(&mut self) -> Vec<SuppressReason> {
        let next_status = self.waiting.front().map(QueueEntry::status);
        if next_status != Some(AlertStatus::Resolved) || !self.open_incidents.is_empty() {
            return Vec::new();
        }
        self.waiting.pop_front();
        vec![SuppressReason::NeverDelivered]
    }

    /// Drops the resolve that is next when it was decided before `oldest`. Returns whether it was.
    pub(super) fn expire(&mut self, oldest: Timestamp) -> bool {
        let Some(next) = self.next() else {
            return false;
        };
        if next.status() != AlertStatus::Resolved || next.notification.decided_at >= oldest {
            return false;
        }
        self.waiting.pop_front();
        self.open_incidents.clear();
        true
    }

    /// Lets everything that is waiting be tried at once.
    pub(super) fn retry_now(&mut self, now: Timestamp) {
        for entry in &mut self.waiting {
            entry.not_before = entry.not_before.min(now);
        }
    }

    /// The receiver was removed from the configuration. Drops the firings that are waiting, and the
    /// resolves as well unless an incident is open that somebody must resolve. Returns a reason for
    /// each.
    pub(super) fn retire(&mut self) -> Vec<SuppressReason> {
        let before = self.waiting.len();
        let mut incidents = self.open_incidents.iter().chain(&self.announced);
        let has_incident = incidents.any(IncidentRef::needs_resolve);
        self.waiting
            .retain(|entry| has_incident && entry.status() == AlertStatus::Resolved);
        if !has_incident {
            self.open_incidents.clear();
        }
        vec![SuppressReason::Removed; before - self.waiting.len()]
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_idle(&self) -> bool {
        self.open_incidents.is_empty() && self.in_flight.is_none() && self.waiting.is_empty()
    }

    /// The notifications that are waiting or in flight.
    pub(super) fn undelivered(&self) -> impl Iterator<Item = &Notification> + Clone {
        let entries = self.in_flight.iter().chain(&self.waiting);
        entries.map(|entry| &*entry.notification)
    }

    /// Adds `incident` to the open ones, as the newest.
    pub(super) fn remember(&mut self, incident: IncidentRef) {
        self.open_incidents.retain(|known| *known != incident);
        if self.open_incidents.len() == MAX_INCIDENTS {
            self.open_incidents.remove(0);
        }
        self.open_incidents.push(incident);
    }
}

/// Alerts of an accepted firing that are remembered.
const MAX_BRIEF_ALERTS: usize = 10;

/// `notification`, with the worst of its alerts only.
fn brief(notification: &Arc<Notification>) -> Arc<Notification> {
    if notification.alerts.len() <= MAX_BRIEF_ALERTS {
        return Arc::clone(notification);
    }
    let mut brief = Notification::clone(notification);
    brief.alerts.truncate(MAX_BRIEF_ALERTS);
    Arc::new(brief)
}

/// `newer`, with what only the undelivered `older` would have reported: resolved alerts (which are
/// reported once), that the group is new, that it escalated.
fn coalesce(newer: Arc<Notification>, older: &Notification) -> Arc<Notification> {
    let mut resolved = Vec::new();
    for alert in &older.alerts {
        let mut reported = newer.alerts.iter();
        let is_reported = reported.any(|other| other.fingerprint == alert.fingerprint);
        if alert.status == AlertStatus::Resolved && !is_reported {
            resolved.push(Arc::clone(alert));
        }
    }
    let reason = stronger(&newer, older);
    if resolved.is_empty() && reason == newer.reason {
        return newer;
    }
    let mut merged = Arc::unwrap_or_clone(newer);
    merged.alerts.extend(resolved);
    merged.reason = reason;
    Arc::new(merged)
}

/// The stronger of the two reasons.
fn stronger(newer: &Notification, older: &Notification) -> NotifyReason {
    let both_fire = newer.status == AlertStatus::Firing && older.status == AlertStatus::Firing;
    match older.reason {
        NotifyReason::First if both_fire => NotifyReason::First,
        NotifyReason::Escalated if both_fire && newer.severity == Severity::Critical => {
            NotifyReason::Escalated
        }
        _ => newer.reason,
    }
}
