//! The groups of one receiver, and which alerts it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wildmatch::WildMatch;

use super::group::{Group, GroupReport, Reminder};
use super::inhibition::KnownInhibitors;
use super::plan::GroupTiming;
use super::wanted::fits;
use super::{AlertTarget, EvalContext};
use crate::alert::identity::label_of;
use crate::alert::{
    Affected, AlertKey, AlertSnapshot, AlertStatus, GroupKey, Notification, Suppression,
};
use crate::config::{NotifySettings, ReceiverSettings, RepageOn, Severity};
use crate::model::Timestamp;

/// The groups of one receiver, and which alerts it wants.
#[derive(Debug)]
pub(super) struct ReceiverGroups {
    pub(super) name: Arc<str>,
    min_severity: Severity,
    pub(super) matchers: BTreeMap<String, WildMatch>,
    group_by: Vec<String>,
    repage_on: RepageOn,
    pub(super) groups: BTreeMap<GroupKey, Group>,
    /// The group of each alert.
    pub(super) member_of: BTreeMap<AlertKey, GroupKey>,
    inhibitors: KnownInhibitors,
    /// Suppressions that were not reported yet.
    suppressed: Vec<Suppression>,
    /// Whether it is no longer configured: the groups that it was notified of go on to their end,
    /// and nothing is added.
    pub(super) retired: bool,
}

impl ReceiverGroups {
    pub(super) fn new(
        settings: &ReceiverSettings,
        all: &NotifySettings,
        groups: BTreeMap<GroupKey, Group>,
    ) -> Self {
        let group_by = settings.group_by.as_ref().unwrap_or(&all.group_by);
        let mut receiver = Self {
            name: settings.name.as_str().into(),
            min_severity: settings.min_severity,
            matchers: settings.matchers.clone(),
            group_by: group_by.clone(),
            repage_on: settings.repage_on,
            groups: BTreeMap::new(),
            member_of: BTreeMap::new(),
            inhibitors: KnownInhibitors::new(),
            suppressed: Vec::new(),
            retired: false,
        };
        for (key, group) in groups {
            receiver.insert_group(key, group);
        }
        receiver
    }

    /// A receiver that is no longer configured, without groups.
    pub(super) fn retired(name: &str) -> Self {
        Self {
            name: name.into(),
            min_severity: Severity::Warning,
            matchers: BTreeMap::new(),
            group_by: Vec::new(),
            repage_on: RepageOn::default(),
            groups: BTreeMap::new(),
            member_of: BTreeMap::new(),
            inhibitors: KnownInhibitors::default(),
            suppressed: Vec::new(),
            retired: true,
        }
    }

    pub(super) fn insert_group(&mut self, key: GroupKey, group: Group) {
        for alert in group.keys() {
            self.member_of.insert(alert.clone(), key.clone());
        }
        self.groups.insert(key, group);
    }

    /// Retires a receiver that is no longer configured; `None` when it was notified of nothing that
    /// is still open.
    pub(super) fn retire(mut self) -> Option<Self> {
        self.groups.retain(|_, group| group.was_notified());
        for group in self.groups.values_mut() {
            group.drop_unnotified();
        }
        if self.groups.is_empty() {
            return None;
        }
        let groups = &self.groups;
        self.member_of.retain(|alert, group| {
            let group = groups.get(group);
            group.is_some_and(|group| group.contains(alert))
        });
        self.retired = true;
        Some(self)
    }

    /// When its groups have something to do next.
    pub(super) fn wakeup(&self, timing: GroupTiming) -> Option<Timestamp> {
        let groups = self.groups.values().filter_map(Group::wakeup);
        let lapse = self.inhibitors.next_lapse(timing.group_wait);
        groups.chain(lapse).min()
    }

    /// Whether a group has something to do now.
    pub(super) fn has_due(&self, now: Timestamp, timing: GroupTiming) -> bool {
        let is_due = self.wakeup(timing).is_some_and(|at| at <= now);
        is_due || self.inhibitors.have_changed()
    }

    /// The suppressions since the last call.
    pub(super) fn take_suppressed(&mut self) -> Vec<Suppression> {
        std::mem::take(&mut self.suppressed)
    }

    pub(super) fn record(
        &mut self,
        now: Timestamp,
        timing: GroupTiming,
        alert: &Arc<AlertSnapshot>,
    ) {
        let key = alert.key();
        if self.retired && !self.member_of.contains_key(&key) {
            return;
        }
        let is_wanted = self.wants(alert);
        if alert.identity.rule.can_inhibit() {
            let severity = is_wanted.then_some(alert.severity);
            self.inhibitors.record(now, &key, severity);
        }
        if is_wanted {
            self.put(now, timing, key, alert);
        } else {
            self.remove(now, &key, alert);
        }
    }

    fn put(
        &mut self,
        now: Timestamp,
        timing: GroupTiming,
        key: AlertKey,
        alert: &Arc<AlertSnapshot>,
    ) {
        let suppression = self.suppression_for(now, timing, alert);
        let group_by = &self.group_by;
        let group = self
            .member_of
            .entry(key)
            .or_insert_with(|| GroupKey::new(alert, group_by));
        let group = self.groups.entry(group.clone()).or_default();
        self.suppressed.extend(group.put(now, alert, suppression));
    }

    fn remove(&mut self, now: Timestamp, key: &AlertKey, alert: &Arc<AlertSnapshot>) {
        let Some(group) = self.group_of_mut(key) else {
            return;
        };
        // An empty group stays until it is next due: another change of this instant may join it.
        group.remove(now, alert);
        if !group.contains(key) {
            self.member_of.remove(key);
        }
    }

    /// Records that the event that an alert counts happened once more.
    pub(super) fn record_again(&mut self, now: Timestamp, key: &AlertKey) {
        if let Some(group) = self.group_of_mut(key) {
            group.record_again(now, key);
        }
    }

    /// The group that the alert is in.
    fn group_of_mut(&mut self, alert: &AlertKey) -> Option<&mut Group> {
        let group = self.member_of.get(alert)?;
        self.groups.get_mut(group)
    }

    /// The notifications that are due, by group.
    pub(super) fn due(
        &mut self,
        now: Timestamp,
        timing: GroupTiming,
        context: &EvalContext<'_>,
    ) -> Vec<Notification> {
        let lapse = self.inhibitors.next_lapse(timing.group_wait);
        if self.inhibitors.have_changed() || lapse.is_some_and(|at| at <= now) {
            self.update_suppressions(now, timing);
        }
        let mut notifications = Vec::new();
        for key in self.due_groups(now) {
            let Some(mut group) = self.groups.remove(&key) else {
                continue;
            };
            notifications.extend(self.notify(now, timing, context, &key, &mut group));
            if !group.is_over() {
                group.plan(timing, self.repage_on);
                self.groups.insert(key, group);
            }
        }
        notifications
    }

    fn due_groups(&self, now: Timestamp) -> Vec<GroupKey> {
        let mut due = Vec::new();
        for (key, group) in &self.groups {
            if group.wakeup().is_some_and(|at| at <= now) {
                due.push(key.clone());
            }
        }
        due
    }

    /// The notification of a group, if it is due.
    fn notify(
        &mut self,
        now: Timestamp,
        timing: GroupTiming,
        context: &EvalContext<'_>,
        key: &GroupKey,
        group: &mut Group,
    ) -> Option<Notification> {
        let plan = group.plan(timing, self.repage_on)?;
        if plan.due > now {
            return None;
        }
        if let Reminder::Skipped(why) = group.review_reminder(now, plan) {
            self.suppressed.extend(why);
            return None;
        }
        let report = group.notify(now, plan, context.current)?;
        for alert in &report.alerts {
            let alert = alert.key();
            if !group.contains(&alert) {
                self.member_of.remove(&alert);
            }
        }
        Some(self.notification(now, key, report, context.targets))
    }

    fn notification(
        &self,
        now: Timestamp,
        key: &GroupKey,
        report: GroupReport,
        targets: &[AlertTarget],
    ) -> Notification {
        Notification {
            receiver: Arc::clone(&self.name),
            group: key.clone(),
            status: report.status,
            reason: report.reason,
            severity: report.severity,
            affected: self.affected(key, &report.alerts, targets),
            alerts: report.alerts,
            news: report.news,
            held: report.held,
            generation: report.generation,
            decided_at: now,
        }
    }

    /// Determines again what suppresses alerts.
    pub(super) fn update_suppressions(&mut self, now: Timestamp, timing: GroupTiming) {
        let inhibited_until = self.inhibitors.forget_lapsed(now, timing.group_wait);
        let mut groups = std::mem::take(&mut self.groups);
        for group in groups.values_mut() {
            let suppression_for = |alert: &AlertSnapshot| self.suppression_for(now, timing, alert);
            let counted = group.update_suppressions(now, inhibited_until, &suppression_for);
            self.suppressed.extend(counted);
        }
        self.groups = groups;
    }

    /// Why this receiver is not notified of the alert; `None` when it may be.
    fn suppression_for(
        &self,
        now: Timestamp,
        timing: GroupTiming,
        alert: &AlertSnapshot,
    ) -> Option<Suppression> {
        if let Some(muted_by) = &alert.muted_by {
            return Some(muted_by.into());
        }
        if self.inhibitors.inhibit(alert, now, timing.group_wait) {
            Some(Suppression::Inhibited)
        } else if alert.is_short_flap() {
            Some(Suppression::Flapping)
        } else {
            None
        }
    }

    /// Whether the receiver is to be notified that the alert fires.
    pub(super) fn wants(&self, alert: &AlertSnapshot) -> bool {
        alert.status == AlertStatus::Firing
            && alert.severity >= self.min_severity
            && fits(&self.name, &self.matchers, alert)
    }

    /// How many of the group's targets fire, and of how many; `None` where they are of several
    /// kinds.
    fn affected(
        &self,
        key: &GroupKey,
        alerts: &[Arc<AlertSnapshot>],
        targets: &[AlertTarget],
    ) -> Option<Affected> {
        let kind = alerts.first()?.identity.rule.target();
        let mut firing = BTreeSet::new();
        for alert in alerts {
            if alert.identity.rule.target() != kind {
                return None;
            }
            if alert.status == AlertStatus::Firing {
                firing.insert(&*alert.identity.labels);
            }
        }
        let firing = firing.len();
        let mut of = 0;
        for target in targets {
            if target.kind == kind && self.could_contain(key, target) {
                of += 1;
            }
        }
        Some(Affected {
            kind,
            firing,
            // A firing target may be gone from the configuration by now.
            of: of.max(firing),
        })
    }

    /// Whether an alert about the target would be one of the group.
    fn could_contain(&self, key: &GroupKey, target: &AlertTarget) -> bool {
        // Every target has alerts of any name and severity.
        let is_open = |name: &str| name == "alertname" || name == "severity";
        let label = |name: &str| label_of(&target.labels, &target.extra, name);
        let is_in_group = key
            .0
            .iter()
            .all(|(name, value)| is_open(name) || label(name) == value);
        let mut matchers = self.matchers.iter();
        is_in_group && matchers.all(|(name, glob)| is_open(name) || glob.matches(label(name)))
    }
}
