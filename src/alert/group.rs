//! One group of alerts for one receiver: what it was told, what is true now, and so what to say and when.
//!
//! Nothing is queued: a group keeps what each member was last told as, and the difference to what is true now is what
//! there is to say. A change that is undone before it was told therefore cancels out by itself.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AlertKey, AlertSnapshot, AlertStatus, NotifyReason, Quantity, ResolveReason};
use crate::config::{NotifySettings, Severity};
use crate::model::{Span, Timestamp};

/// How long groups wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    group_wait: Span,
    group_interval: Span,
    repeat_interval: Span,
}

/// One group. Without members it is over.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: BTreeMap<AlertKey, Member>,
    pub(super) created_at: Timestamp,
    pub(super) told: Option<Told>,
    /// When the first change came that was not told yet.
    pub(super) changed_at: Option<Timestamp>,
    /// What to say next; `None` when a change may have made it another.
    pub(super) plan: Option<Plan>,
    /// Whether the disk knows less than this.
    pub(super) unsaved: bool,
}

/// An alert of the group. Its snapshot is the receiver's view: resolved also when the receiver no longer wants it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) alert: Arc<AlertSnapshot>,
    /// The severity that it had in the last notification.
    pub(super) told: Option<Severity>,
}

/// The group's last notification.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    pub(super) severity: Severity,
}

/// The next notification, if nothing changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) reason: NotifyReason,
    pub(super) due: Timestamp,
}

/// How the members differ from what was told.
#[derive(Debug, Default)]
struct Tally {
    /// The highest severity that fires.
    severity: Option<Severity>,
    escalated: bool,
    joined: bool,
    left: bool,
}

/// What is said of the group: the parts of a notification that the group knows.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) status: AlertStatus,
    pub(super) reason: NotifyReason,
    pub(super) severity: Severity,
    pub(super) alerts: Vec<Arc<AlertSnapshot>>,
}

impl Timing {
    pub(super) const fn of(settings: &NotifySettings) -> Self {
        let NotifySettings { group_wait, group_interval, repeat_interval, .. } = *settings;
        Self { group_wait, group_interval, repeat_interval }
    }
}

impl Group {
    pub(super) const fn new(created_at: Timestamp) -> Self {
        Self { members: BTreeMap::new(), created_at, told: None, changed_at: None, plan: None, unsaved: true }
    }

    /// Whether nothing is left to be said of the group, ever.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty()
    }

    /// The alert fires, and the receiver wants it.
    pub(super) fn put(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        let member = Member { alert: Arc::clone(alert), told: None };
        self.members.entry(alert.key()).and_modify(|known| known.alert = Arc::clone(alert)).or_insert(member);
        self.touch(now);
    }

    /// The alert resolved, or the receiver does not want it any more. Of a member that was never told nothing remains.
    pub(super) fn leave(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        let key = alert.key();
        let Some(member) = self.members.get_mut(&key) else { return };
        if member.told.is_none() {
            self.members.remove(&key);
        } else if member.fires() {
            member.alert = resolved_for_receiver(now, &member.alert, alert);
        }
        self.touch(now);
    }

    /// Whether anybody was told of it.
    pub(super) const fn was_told(&self) -> bool {
        self.told.is_some()
    }

    /// The alert changed, and nobody joins the group any more.
    pub(super) fn follow(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        if alert.status == AlertStatus::Resolved {
            self.leave(now, alert);
        } else if self.members.contains_key(&alert.key()) {
            self.put(now, alert);
        }
    }

    /// Makes the group look again at what it has to say, because something else than a member changed.
    pub(super) fn replan(&mut self) {
        self.plan = None;
    }

    /// When to look at the group next; a change wants a look at once.
    pub(super) fn wakeup(&self) -> Timestamp {
        self.plan.map_or(self.changed_at.unwrap_or(self.created_at), |plan| plan.due)
    }

    /// What is to be said next, and when.
    pub(super) fn plan(&mut self, timing: Timing) -> Plan {
        if let Some(plan) = self.plan {
            return plan;
        }
        let plan = self.make_plan(timing);
        if plan.reason == NotifyReason::Repeat {
            self.changed_at = None; // whatever had changed is undone
        }
        self.plan = Some(plan);
        plan
    }

    /// Says what there is to say, with the members as they are now, and remembers that it was said. `None` when nobody
    /// was ever told of the group and nothing fires.
    pub(super) fn tell(
        &mut self,
        now: Timestamp,
        reason: NotifyReason,
        current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    ) -> Option<Statement> {
        for (key, member) in &mut self.members {
            member.refresh(current(key));
        }
        let fires = self.tally().severity;
        let severity = fires.or(self.told.map(|told| told.severity))?;
        let status = if fires.is_some() { AlertStatus::Firing } else { AlertStatus::Resolved };
        let statement = Statement { status, reason, severity, alerts: self.worst_first() };
        self.members.retain(|_, member| member.fires());
        self.members.values_mut().for_each(|member| member.told = Some(member.alert.severity));
        self.told = Some(Told { at: now, severity });
        (self.changed_at, self.plan, self.unsaved) = (None, None, true);
        Some(statement)
    }

    fn touch(&mut self, now: Timestamp) {
        self.changed_at.get_or_insert(now);
        (self.plan, self.unsaved) = (None, true);
    }

    fn make_plan(&self, timing: Timing) -> Plan {
        let Some(told) = self.told else {
            return Plan { reason: NotifyReason::First, due: self.created_at + timing.group_wait };
        };
        let tally = self.tally();
        let changed_at = self.changed_at.unwrap_or(told.at);
        let repeat_at = told.at + timing.repeat_interval;
        let Some(reason) = tally.reason(told) else { return Plan { reason: NotifyReason::Repeat, due: repeat_at } };
        let due = match reason {
            NotifyReason::Resolved => changed_at,
            NotifyReason::Escalated if tally.severity > Some(told.severity) => changed_at,
            // The receiver knows that the group is critical: alerts that escalate one after the other, as all do when a
            // datacenter is cut, are told together.
            NotifyReason::Escalated => changed_at.max(told.at + timing.group_wait),
            // What joins or heals together does so over some seconds: the first of it does not go out alone.
            _ => (changed_at + timing.group_wait).max(told.at + timing.group_interval),
        };
        Plan { reason, due: due.min(repeat_at.max(changed_at)) }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for member in self.members.values() {
            tally.add(member);
        }
        tally
    }

    fn worst_first(&self) -> Vec<Arc<AlertSnapshot>> {
        let mut alerts: Vec<_> = self.members.values().map(|member| Arc::clone(&member.alert)).collect();
        alerts.sort_by(|a, b| worse_first(a, b));
        alerts
    }
}

impl Member {
    fn fires(&self) -> bool {
        self.alert.status == AlertStatus::Firing
    }

    /// Takes the newest values. A snapshot that says something else than the last transition is not news yet.
    fn refresh(&mut self, current: Option<Arc<AlertSnapshot>>) {
        let same = |new: &Arc<AlertSnapshot>| (new.status, new.severity) == (self.alert.status, self.alert.severity);
        if let Some(current) = current.filter(same).filter(|_| self.fires()) {
            self.alert = current;
        }
    }
}

impl Tally {
    fn add(&mut self, member: &Member) {
        if !member.fires() {
            self.left = true;
            return;
        }
        self.severity = self.severity.max(Some(member.alert.severity));
        self.joined |= member.told.is_none();
        self.escalated |= member.told.is_some_and(|told| told < member.alert.severity);
    }

    /// The weightiest thing there is to say; `None` when nothing is new.
    fn reason(&self, told: Told) -> Option<NotifyReason> {
        let Some(severity) = self.severity else { return Some(NotifyReason::Resolved) };
        let candidates = [
            (self.escalated || severity > told.severity, NotifyReason::Escalated),
            (self.joined, NotifyReason::NewInGroup),
            (severity < told.severity, NotifyReason::Deescalated),
            (self.left, NotifyReason::PartlyResolved),
        ];
        candidates.into_iter().find_map(|(applies, reason)| applies.then_some(reason))
    }
}

/// How an alert that left ends for this receiver. One that still fires, below the receiver's severity or beyond its
/// matchers, ends as the last thing that the receiver saw of it, with its newest value.
fn resolved_for_receiver(now: Timestamp, seen: &AlertSnapshot, alert: &Arc<AlertSnapshot>) -> Arc<AlertSnapshot> {
    if alert.status == AlertStatus::Resolved {
        return Arc::clone(alert);
    }
    let fell = alert.severity < seen.severity;
    let reason = if fell { ResolveReason::Cleared } else { ResolveReason::Removed };
    Arc::new(AlertSnapshot {
        severity: seen.severity,
        threshold: seen.threshold,
        status: AlertStatus::Resolved,
        resolved: Some((now, reason)),
        ..AlertSnapshot::clone(alert)
    })
}

/// What fires before what resolved; then by severity, by how many times the threshold the value is, by the value, and by
/// identity.
fn worse_first(a: &AlertSnapshot, b: &AlertSnapshot) -> Ordering {
    let rank = |alert: &AlertSnapshot| (alert.status, Reverse(alert.severity));
    let by_ratio = || ratio(b).total_cmp(&ratio(a));
    let by_value = || value(b).total_cmp(&value(a));
    rank(a).cmp(&rank(b)).then_with(by_ratio).then_with(by_value).then_with(|| a.identity.cmp(&b.identity))
}

/// The value for sorting: what is unknown comes last.
fn value(alert: &AlertSnapshot) -> f64 {
    alert.value.best().map_or(f64::NEG_INFINITY, Quantity::as_f64)
}

/// The value as a multiple of its threshold. Any value is past a threshold of zero without limit.
fn ratio(alert: &AlertSnapshot) -> f64 {
    let threshold = alert.threshold.as_f64();
    if threshold > 0.0 { value(alert) / threshold } else { f64::INFINITY }
}
