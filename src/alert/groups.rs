//! Who is told what, and when: one set of groups for each receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wildmatch::WildMatch;

use super::engine::explains_up_to;
use super::group::{Group, Reminder, Statement, Timing};
use super::saved::GroupsKept;
use super::types::label_of;
use super::{
    Affected, AlertKey, AlertSnapshot, AlertState, AlertStatus, GroupKey, Inhibitor, Labels,
    ListedAlert, Notification, Rule, Suppression, TargetKind,
};
use crate::config::{NotifySettings, ReceiverSettings, RepageOn, Severity};
use crate::model::{Span, Timestamp};

/// The groups of every receiver.
///
/// Transitions go in through [`record`](Self::record), notifications come out of
/// [`due`](Self::due):
///
/// * a new group is told `group_wait` after its first alert;
/// * when its highest severity rises it is told at once, when further alerts of a group that is
///   known to be critical escalate, at most every `group_wait`;
/// * what joins, leaves or calms down is told together: `group_wait` after the first such change,
///   and not before `group_interval` after the last notification;
/// * when all of it resolved it is told at once, if it ever was told; then the group is gone, and
///   firing again makes a new one;
/// * while nothing changes it is told again every `repeat_interval`.
///
/// Alerts are kept quiet by a silence, by maintenance, by an alert that explains them (one that
/// fires, or ended less than `group_wait` ago, that the receiver is told of, and that is as severe),
/// or because they are short outages of an alert that flaps. They open no group, join none, are no
/// escalation, and are not repeated. What was told before is told to be over all the same. When the
/// quiet ends they are as new.
///
/// An alert that flaps stays open for whoever was told that it fires. When it is clear for now they
/// are told so, once; they are told that it is over when it is stable. Where it comes back as
/// critical meanwhile, that is a new page.
///
/// An alert stays in its group until it is over, whatever becomes of its labels and of `group_by`.
#[derive(Debug)]
pub struct AlertGroups {
    timing: Timing,
    pub(super) receivers: Vec<Receiver>,
    /// Which groups the disk knows.
    pub(super) kept: GroupsKept,
}

/// What groups ask about when they speak.
pub struct EvalContext<'a> {
    /// An alert as it is now (`AlertEngine::snapshot`), so that a message shows the values of the
    /// moment it is decided and not those of the last transition.
    pub current: &'a dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    /// Everything that there could be an alert about.
    pub targets: &'a [AlertTarget],
}

/// Something that there could be an alert about.
#[derive(Clone, Debug)]
pub struct AlertTarget {
    /// What it is.
    pub kind: TargetKind,
    /// The identity labels that its alerts have.
    pub labels: Arc<Labels>,
    /// Its configured labels.
    pub extra: Arc<Labels>,
}

/// What there is to do about notifications.
#[derive(Debug, Default, PartialEq)]
pub struct DueNotifications {
    /// Those to send, ordered by receiver (as configured) and group.
    pub notifications: Vec<Notification>,
    /// For each that was not made, or not repeated, on purpose: the receiver and why.
    pub suppressed: Vec<(Arc<str>, Suppression)>,
}

/// One receiver's groups and which alerts it wants.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) name: Arc<str>,
    min_severity: Severity,
    matchers: BTreeMap<String, WildMatch>,
    group_by: Vec<String>,
    repage_on: RepageOn,
    pub(super) groups: BTreeMap<GroupKey, Group>,
    /// In which group each alert is.
    pub(super) member_of: BTreeMap<AlertKey, GroupKey>,
    /// The alerts that explain others, as far as the receiver wants them.
    inhibitors: BTreeMap<AlertKey, KnownCause>,
    /// Whether what explains others changed since the groups were asked.
    causes_changed: bool,
    /// What was kept quiet and is not reported yet.
    suppressed: Vec<Suppression>,
    /// It is no longer configured: what it was told of goes on to its end, and nothing is added.
    pub(super) retired: bool,
}

/// An alert that explains others, as a receiver knows it.
#[derive(Clone, Copy, Debug, Default)]
struct KnownCause {
    /// The severity that it fires at.
    fires: Option<Severity>,
    /// The severity that it had until it fell or ended, and when that was: it explains its effects
    /// for `group_wait` after that.
    was: Option<(Severity, Timestamp)>,
}

impl AlertGroups {
    /// No groups yet, for these receivers.
    pub fn new(settings: &NotifySettings) -> Self {
        let receivers = wanting_groups(settings)
            .map(|receiver| Receiver::new(receiver, settings, BTreeMap::new()));
        Self {
            timing: Timing::new(settings),
            receivers: receivers.collect(),
            kept: GroupsKept::default(),
        }
    }

    /// Takes an alert into account that changed. To record an alert twice makes no difference.
    pub fn record(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        self.kept.touched = true;
        for receiver in &mut self.receivers {
            receiver.record(now, self.timing, alert);
        }
    }

    /// Takes in that what an alert counts happened once more while it fires.
    pub fn note_again(&mut self, now: Timestamp, key: &AlertKey) {
        self.kept.touched = true;
        for receiver in &mut self.receivers {
            let group = receiver.member_of.get(key);
            if let Some(group) = group.and_then(|group| receiver.groups.get_mut(group)) {
                group.note_again(now, key);
            }
        }
    }

    /// Asks anew what keeps alerts quiet: silences or maintenance windows began or ended.
    pub fn review(
        &mut self,
        now: Timestamp,
        current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    ) {
        self.kept.touched = true;
        for receiver in &mut self.receivers {
            receiver
                .groups
                .values_mut()
                .for_each(|group| group.refresh(current));
            receiver.review(now, self.timing);
        }
    }

    /// Changes receivers and waits. `firing` are the alerts that fire now.
    ///
    /// A receiver whose name stays keeps its groups, so nobody is paged again for what is known;
    /// alerts that it no longer wants end for it as resolved. What fires is new to a new receiver.
    /// A receiver that is gone is told of nothing new; the groups that it was told of go on until
    /// they resolve, since an incident that it opened must not stay open.
    pub fn reconfigure(
        &mut self,
        now: Timestamp,
        settings: &NotifySettings,
        firing: &[Arc<AlertSnapshot>],
    ) {
        self.timing = Timing::new(settings);
        let old = self
            .receivers
            .drain(..)
            .map(|receiver| (Arc::clone(&receiver.name), receiver));
        let mut old: BTreeMap<_, _> = old.collect();
        for receiver in wanting_groups(settings) {
            let groups = old
                .remove(receiver.name.as_str())
                .map(|old| old.groups)
                .unwrap_or_default();
            self.receivers
                .push(Receiver::new(receiver, settings, groups));
        }
        self.receivers
            .extend(old.into_values().filter_map(Receiver::retire));
        for group in self
            .receivers
            .iter_mut()
            .flat_map(|receiver| receiver.groups.values_mut())
        {
            group.replan();
        }
        for alert in firing {
            self.record(now, alert);
        }
    }

    /// Every notification that is due.
    pub fn due(&mut self, now: Timestamp, outlook: &EvalContext<'_>) -> DueNotifications {
        let mut due = DueNotifications::default();
        for receiver in &mut self.receivers {
            self.kept.touched |= receiver.has_due(now, self.timing);
            due.notifications
                .extend(receiver.due(now, self.timing, outlook));
            let suppressed = std::mem::take(&mut receiver.suppressed).into_iter();
            due.suppressed
                .extend(suppressed.map(|why| (Arc::clone(&receiver.name), why)));
        }
        self.receivers
            .retain(|receiver| !receiver.retired || !receiver.groups.is_empty());
        due
    }

    /// The receiver with this name, or one that is no longer configured.
    pub(super) fn receiver_or_retired(&mut self, name: &str) -> &mut Receiver {
        let known = self
            .receivers
            .iter()
            .position(|receiver| &*receiver.name == name);
        let index = known.unwrap_or_else(|| {
            self.receivers.push(Receiver::retired(name));
            self.receivers.len() - 1
        });
        &mut self.receivers[index]
    }

    /// When [`due`](Self::due) wants to be called next; a time that has passed means at once,
    /// `None` not before the next [`record`](Self::record).
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let of_receiver = |receiver: &Receiver| receiver.wakeup(self.timing);
        self.receivers.iter().filter_map(of_receiver).min()
    }
}

/// The receivers that are told of groups; the others look at the alerts themselves.
fn wanting_groups(settings: &NotifySettings) -> impl Iterator<Item = &ReceiverSettings> {
    settings
        .receivers
        .iter()
        .filter(|receiver| receiver.kind.as_group().is_some())
}

impl Receiver {
    fn new(
        settings: &ReceiverSettings,
        all: &NotifySettings,
        groups: BTreeMap<GroupKey, Group>,
    ) -> Self {
        let members = groups
            .iter()
            .flat_map(|(key, group)| group.keys().map(|alert| (alert.clone(), key.clone())));
        Self {
            name: settings.name.as_str().into(),
            min_severity: settings.min_severity,
            matchers: settings.matchers.clone(),
            group_by: settings.group_by.as_ref().unwrap_or(&all.group_by).clone(),
            repage_on: settings.repage_on,
            member_of: members.collect(),
            groups,
            inhibitors: BTreeMap::new(),
            causes_changed: true,
            suppressed: Vec::new(),
            retired: false,
        }
    }

    /// A receiver that is no longer configured, and was told of nothing yet.
    fn retired(name: &str) -> Self {
        Self {
            name: name.into(),
            min_severity: Severity::Warning,
            matchers: BTreeMap::new(),
            group_by: Vec::new(),
            repage_on: RepageOn::default(),
            groups: BTreeMap::new(),
            member_of: BTreeMap::new(),
            inhibitors: BTreeMap::new(),
            causes_changed: false,
            suppressed: Vec::new(),
            retired: true,
        }
    }

    /// The receiver of which only what it was told remains; `None` when that is nothing.
    fn retire(mut self) -> Option<Self> {
        self.groups.retain(|_, group| group.was_told());
        self.groups.values_mut().for_each(Group::forget_untold);
        let groups = &self.groups;
        self.member_of
            .retain(|alert, group| groups.get(group).is_some_and(|group| group.holds(alert)));
        self.retired = true;
        (!self.groups.is_empty()).then_some(self)
    }

    /// When to look at its groups next.
    fn wakeup(&self, timing: Timing) -> Option<Timestamp> {
        let of_groups = self.groups.values().filter_map(Group::wakeup);
        of_groups.chain(self.next_lapse(timing)).min()
    }

    /// When a cause that is over explains its effects no more.
    fn next_lapse(&self, timing: Timing) -> Option<Timestamp> {
        let ends = self.inhibitors.values().filter_map(|cause| cause.was);
        ends.map(|(_, end)| end + timing.group_wait).min()
    }

    /// Whether there is a group to look at.
    fn has_due(&self, now: Timestamp, timing: Timing) -> bool {
        self.causes_changed || self.wakeup(timing).is_some_and(|at| at <= now)
    }

    /// Takes in that an alert that explains others fires at this severity, or not any more.
    fn note_cause(&mut self, now: Timestamp, key: &AlertKey, severity: Option<Severity>) {
        if severity.is_none() && !self.inhibitors.contains_key(key) {
            return;
        }
        let cause = self.inhibitors.entry(key.clone()).or_default();
        if cause.fires == severity {
            return;
        }
        if let Some(before) = cause.fires.filter(|before| severity < Some(*before)) {
            cause.was = Some((before, now));
        }
        cause.fires = severity;
        self.causes_changed = true;
    }

    /// Forgets the causes that explain nothing any more. Returns when the first of them had ended.
    fn forget_lapsed(&mut self, now: Timestamp, timing: Timing) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        for cause in self.inhibitors.values_mut() {
            let lapsed = cause.was.filter(|(_, end)| now - *end >= timing.group_wait);
            if let Some((_, end)) = lapsed {
                cause.was = None;
                first = Some(first.map_or(end, |first| first.min(end)));
            }
        }
        self.inhibitors
            .retain(|_, cause| cause.fires.is_some() || cause.was.is_some());
        first
    }

    fn record(&mut self, now: Timestamp, timing: Timing, alert: &Arc<AlertSnapshot>) {
        let (key, wanted) = (alert.key(), self.wants(alert));
        if self.retired && !self.member_of.contains_key(&key) {
            return;
        }
        if alert.identity.rule.can_inhibit() {
            self.note_cause(now, &key, wanted.then_some(alert.severity));
        }
        if wanted {
            let quiet = self.quiet_of(now, timing, alert);
            let group = self
                .member_of
                .entry(key)
                .or_insert_with(|| GroupKey::new(alert, &self.group_by));
            let counted = self
                .groups
                .entry(group.clone())
                .or_default()
                .put(now, alert, quiet);
            self.suppressed.extend(counted);
        } else if let Some(group) = self
            .member_of
            .get(&key)
            .and_then(|group| self.groups.get_mut(group))
        {
            // An empty group stays until the next look: what else changes at this instant may still
            // join it.
            group.leave(now, alert);
            if !group.holds(&key) {
                self.member_of.remove(&key);
            }
        }
    }

    fn due(
        &mut self,
        now: Timestamp,
        timing: Timing,
        outlook: &EvalContext<'_>,
    ) -> Vec<Notification> {
        if self.causes_changed || self.next_lapse(timing).is_some_and(|at| at <= now) {
            self.review(now, timing);
        }
        let is_due = |group: &Group| group.wakeup().is_some_and(|at| at <= now);
        let keys: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, group)| is_due(group))
            .map(|(key, _)| key.clone())
            .collect();
        let mut notifications = Vec::new();
        for key in keys {
            let Some(mut group) = self.groups.remove(&key) else {
                continue;
            };
            notifications.extend(self.say(now, timing, outlook, &key, &mut group));
            if !group.is_over() {
                group.plan(timing, self.repage_on);
                self.groups.insert(key, group);
            }
        }
        notifications
    }

    /// What the group has to say now.
    fn say(
        &mut self,
        now: Timestamp,
        timing: Timing,
        outlook: &EvalContext<'_>,
        key: &GroupKey,
        group: &mut Group,
    ) -> Option<Notification> {
        let plan = group
            .plan(timing, self.repage_on)
            .filter(|plan| plan.due <= now)?;
        if let Reminder::Skipped(why) = group.review_reminder(now, plan) {
            self.suppressed.extend(why);
            return None;
        }
        let statement = group.tell(now, plan, outlook.current)?;
        for alert in &statement.alerts {
            let alert = alert.key();
            if !group.holds(&alert) {
                self.member_of.remove(&alert);
            }
        }
        let affected = self.affected(key, &statement.alerts, outlook.targets);
        Some(statement.to(&self.name, key, affected, now))
    }

    /// Looks at what keeps alerts quiet.
    fn review(&mut self, now: Timestamp, timing: Timing) {
        self.causes_changed = false;
        let caused_until = self.forget_lapsed(now, timing);
        let mut groups = std::mem::take(&mut self.groups);
        for group in groups.values_mut() {
            let quiet_of = |alert: &AlertSnapshot| self.quiet_of(now, timing, alert);
            let counted = group.review(now, caused_until, &quiet_of);
            self.suppressed.extend(counted);
        }
        self.groups = groups;
    }

    /// What keeps news of the alert from this receiver.
    fn quiet_of(
        &self,
        now: Timestamp,
        timing: Timing,
        alert: &AlertSnapshot,
    ) -> Option<Suppression> {
        let explains = |cause: &Inhibitor| {
            let known = self.inhibitors.get(&cause.key);
            let up_to = known.and_then(|known| known.explains_up_to(now, timing.group_wait));
            alert.severity <= cause.up_to && up_to >= Some(alert.severity)
        };
        if let Some(muted_by) = &alert.muted_by {
            Some(muted_by.into())
        } else if alert.context.inhibitors.iter().any(explains) {
            Some(Suppression::Inhibited)
        } else {
            alert.is_muted().then_some(Suppression::Flapping)
        }
    }

    /// Whether the receiver is to know of the alert as firing.
    fn wants(&self, alert: &AlertSnapshot) -> bool {
        wanted(&self.name, self.min_severity, &self.matchers, alert)
    }

    /// How many of the group's targets fire, and of how many.
    fn affected(
        &self,
        key: &GroupKey,
        alerts: &[Arc<AlertSnapshot>],
        targets: &[AlertTarget],
    ) -> Option<Affected> {
        let mut kinds = alerts.iter().map(|alert| alert.identity.rule.target());
        let kind = kinds
            .next()
            .filter(|first| kinds.all(|kind| kind == *first))?;
        let firing = alerts
            .iter()
            .filter(|alert| alert.status == AlertStatus::Firing);
        let firing = firing
            .map(|alert| &*alert.identity.labels)
            .collect::<BTreeSet<_>>()
            .len();
        let of = targets
            .iter()
            .filter(|target| target.kind == kind && self.could_hold(key, target))
            .count();
        // A target that is gone by now may still be told to be over.
        Some(Affected {
            kind,
            firing,
            of: of.max(firing),
        })
    }

    /// Whether an alert about the target would be one of the group.
    fn could_hold(&self, key: &GroupKey, target: &AlertTarget) -> bool {
        let label = |name: &str| label_of(&target.labels, &target.extra, name);
        let of_alert = |name: &str| name == "alertname" || name == "severity";
        key.0
            .iter()
            .all(|(name, value)| of_alert(name) || label(name) == value)
            && self
                .matchers
                .iter()
                .all(|(name, glob)| of_alert(name) || glob.matches(label(name)))
    }
}

impl KnownCause {
    /// Up to which severity it explains others.
    fn explains_up_to(&self, now: Timestamp, linger: Span) -> Option<Severity> {
        let was = self.was.filter(|(_, end)| now - *end < linger);
        self.fires.max(was.map(|(severity, _)| severity))
    }
}

impl Statement {
    fn to(
        self,
        receiver: &Arc<str>,
        group: &GroupKey,
        affected: Option<Affected>,
        decided_at: Timestamp,
    ) -> Notification {
        let Self {
            status,
            reason,
            severity,
            alerts,
            news,
            held,
            generation,
        } = self;
        let (receiver, group) = (Arc::clone(receiver), group.clone());
        Notification {
            receiver,
            group,
            status,
            reason,
            severity,
            alerts,
            news,
            affected,
            held,
            generation,
            decided_at,
        }
    }
}

/// Whether a receiver with these settings is to know of the alert as firing.
pub fn wants(receiver: &ReceiverSettings, alert: &AlertSnapshot) -> bool {
    wanted(
        &receiver.name,
        receiver.min_severity,
        &receiver.matchers,
        alert,
    )
}

/// The alerts that explain others to a receiver that looks at all of them by itself. The same as
/// for groups of alerts.
#[derive(Debug)]
pub struct Inhibitors(BTreeMap<AlertKey, Severity>);

impl Inhibitors {
    /// Those of `listed` that a receiver with these settings is told of, or was less than `linger`
    /// ago.
    pub fn seen_by(
        receiver: &ReceiverSettings,
        listed: &[ListedAlert],
        now: Timestamp,
        linger: Span,
    ) -> Self {
        let mut inhibitors = BTreeMap::new();
        for ListedAlert { state, alert, .. } in listed {
            if *state == AlertState::Pending || !alert.identity.rule.can_inhibit() {
                continue;
            }
            let end = alert.resolved.map(|(at, _)| at);
            let up_to = explains_up_to(alert.severity, end, alert.decision, now, linger);
            let Some(severity) = up_to else { continue };
            let min = receiver.min_severity;
            if fits(&receiver.name, (min, severity), &receiver.matchers, alert) {
                inhibitors.insert(alert.key(), severity);
            }
        }
        Self(inhibitors)
    }

    /// Whether one of them explains the alert.
    pub fn inhibit(&self, alert: &AlertSnapshot) -> bool {
        let mut inhibitors = alert.context.inhibitors.iter();
        inhibitors.any(|cause| {
            let up_to = self.0.get(&cause.key).copied();
            alert.severity <= cause.up_to && up_to >= Some(alert.severity)
        })
    }
}

fn wanted(
    name: &str,
    min: Severity,
    matchers: &BTreeMap<String, WildMatch>,
    alert: &AlertSnapshot,
) -> bool {
    let fires = alert.status == AlertStatus::Firing;
    fires && fits(name, (min, alert.severity), matchers, alert)
}

/// Whether the alert is for a receiver that wants `min` at least, if it is of this severity.
fn fits(
    name: &str,
    (min, severity): (Severity, Severity),
    matchers: &BTreeMap<String, WildMatch>,
    alert: &AlertSnapshot,
) -> bool {
    // That a receiver fails is for the others to hear.
    let about_itself =
        alert.identity.rule == Rule::ReceiverFailing && alert.label("receiver") == name;
    severity >= min
        && !about_itself
        && matchers
            .iter()
            .all(|(label, glob)| glob.matches(alert.label(label)))
}

#[cfg(test)]
mod tests;
