//! One group of alerts for one receiver: what the receiver was last notified of, what is true now,
//! and therefore what to notify and when.
//!
//! Nothing is queued. A group keeps how each member was last notified, and the difference to what
//! is true now is what there is to notify. A change that is undone before it was notified cancels
//! out by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member::GroupMember;
use super::plan::{GroupPlan, GroupTiming, NotifiedState, Tally};
use crate::alert::{AlertKey, AlertSnapshot, AlertStatus, NotifyReason, Suppression};
use crate::config::{RepageOn, Severity};
use crate::model::Timestamp;

/// Looks up an alert as it is now.
pub(super) type CurrentAlert<'a> = &'a dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>;

/// One group. Without members it can be dropped.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<AlertKey, GroupMember>,
    /// The last notification; `None` when, for the receiver, nothing of the group fires.
    pub(super) last: Option<NotifiedState>,
    /// When the first change happened that was not notified yet.
    pub(super) changed_at: Option<Timestamp>,
    /// The next notification, if there is one.
    pub(super) plan: Option<GroupPlan>,
    /// Whether the plan is up to date.
    pub(super) is_planned: bool,
    /// Which incident of the group this is.
    pub(super) generation: u32,
    /// Whether it differs from the state file.
    pub(super) unsaved: bool,
}

/// Whether a reminder that is due is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reminder {
    /// Send it.
    Due,
    /// Do not send it; this is why, where that is counted.
    Skipped(Option<Suppression>),
}

/// The parts of a notification that come from the group.
#[derive(Debug)]
pub(super) struct GroupReport {
    pub(super) status: AlertStatus,
    pub(super) reason: NotifyReason,
    pub(super) severity: Severity,
    pub(super) alerts: Vec<Arc<AlertSnapshot>>,
    /// How many of the alerts, from the first on, are new at the group's severity.
    pub(super) news: usize,
    /// How many alerts are left out because they are suppressed.
    pub(super) held: usize,
    pub(super) generation: u32,
}

impl Group {
    /// Whether the group has nothing left to notify and can be dropped.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether, for the receiver, something of the group fires.
    pub(super) const fn was_notified(&self) -> bool {
        self.last.is_some()
    }

    /// Drops the alerts that the receiver was not notified of.
    pub(super) fn drop_unnotified(&mut self) {
        self.members.retain(|_, member| member.notified.is_some());
        self.mark_changed();
    }

    /// Whether the alert is a member of the group.
    pub(super) fn contains(&self, key: &AlertKey) -> bool {
        self.members.contains_key(key)
    }

    /// The keys of the group's alerts.
    pub(super) fn keys(&self) -> impl Iterator<Item = &AlertKey> {
        self.members.keys()
    }

    /// Adds or updates an alert that fires and that the receiver wants. Returns the suppression
    /// that has to be counted.
    pub(super) fn put(
        &mut self,
        now: Timestamp,
        alert: &Arc<AlertSnapshot>,
        suppression: Option<Suppression>,
    ) -> Option<Suppression> {
        let member = self
            .members
            .entry(alert.key())
            .or_insert_with(|| GroupMember::new(alert));
        member.alert = Arc::clone(alert);
        let counted = member.suppress(suppression);
        self.touch(now);
        counted
    }

    /// Ends an alert that resolved, or that the receiver no longer wants. A member that was never
    /// notified leaves nothing behind.
    pub(super) fn remove(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        let key = alert.key();
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if member.is_clear_for_now() && alert.status == AlertStatus::Firing {
            // It began again, but the receiver does not want to be notified. It is shown as it is.
            member.alert = Arc::clone(alert);
            member.suppression = Some(Suppression::Flapping);
        } else if member.notified.is_none() {
            self.members.remove(&key);
        } else if member.is_open() {
            member.end(now, alert);
        }
        self.touch(now);
    }

    /// Determines again what suppresses each alert. Returns the suppressions that have to be
    /// counted.
    ///
    /// An inhibitor that has ended still inhibits for `group_wait`. An alert that was inhibited
    /// until then has waited since `inhibited_until`, when the inhibitor ended.
    pub(super) fn update_suppressions(
        &mut self,
        now: Timestamp,
        inhibited_until: Option<Timestamp>,
        suppression_for: &dyn Fn(&AlertSnapshot) -> Option<Suppression>,
    ) -> Vec<Suppression> {
        let mut changed_at: Option<Timestamp> = None;
        let mut counted = Vec::new();
        for member in self.members.values_mut() {
            if !member.is_firing() {
                continue;
            }
            let suppression = suppression_for(&member.alert);
            if suppression.is_some() != member.suppression.is_some() {
                let since = match member.suppression {
                    Some(Suppression::Inhibited) => member.fired_at(),
                    _ => now,
                };
                let at = since.max(inhibited_until.unwrap_or(now)).min(now);
                changed_at = Some(changed_at.unwrap_or(at).min(at));
            }
            counted.extend(member.suppress(suppression));
        }
        if let Some(at) = changed_at {
            self.touch(at);
        }
        counted
    }

    /// Records that the event that an alert counts happened once more: that is notified, although
    /// the alert itself did not change.
    pub(super) fn record_again(&mut self, now: Timestamp, key: &AlertKey) {
        if let Some(member) = self.members.get_mut(key) {
            member.happened_again = true;
            self.touch(now);
        }
    }

    /// Updates the values of the alerts. A new value alone is not notified.
    pub(super) fn refresh(&mut self, current: CurrentAlert<'_>) {
        for (key, member) in &mut self.members {
            member.refresh(current(key));
        }
    }

    /// Discards the plan, because something else than a member changed.
    pub(super) fn replan(&mut self) {
        self.is_planned = false;
    }

    /// When to call [`Self::plan`] and send next; a time that has passed means at once, `None` that
    /// there is nothing to notify.
    pub(super) fn wakeup(&self) -> Option<Timestamp> {
        if self.is_planned {
            self.plan.map(|plan| plan.due)
        } else {
            Some(self.changed_at.unwrap_or_default())
        }
    }

    /// The next notification and when it is due; `None` when there is none.
    pub(super) fn plan(&mut self, timing: GroupTiming, repage_on: RepageOn) -> Option<GroupPlan> {
        if self.is_planned {
            return self.plan;
        }
        let tally = Tally::new(self.members.values());
        self.plan = match self.last {
            None => tally.first_plan(self.changed_at.unwrap_or_default(), timing),
            Some(last) => Some(tally.next_plan(last, self.changed_at, timing, repage_on)),
        };
        self.is_planned = true;
        match self.plan {
            Some(plan) if plan.reason != NotifyReason::Repeat => {}
            // The change is undone, or is not to be notified.
            _ => self.changed_at = None,
        }
        self.plan
    }

    /// Builds the planned notification from the members as they are now, and records it as sent.
    /// `None` when the receiver was never notified and nothing fires that may be notified.
    pub(super) fn notify(
        &mut self,
        now: Timestamp,
        plan: GroupPlan,
        current: CurrentAlert<'_>,
    ) -> Option<GroupReport> {
        self.refresh(current);
        let open = self.visible().filter_map(GroupMember::open_severity).max();
        let (status, severity) = match open {
            Some(severity) => (AlertStatus::Firing, severity),
            None => (AlertStatus::Resolved, self.last?.severity),
        };
        self.generation += u32::from(plan.repage);
        let alerts = self.alerts_for_message(severity);
        let leading = self.visible().filter(|member| member.leads(severity));
        let report = GroupReport {
            status,
            reason: plan.reason,
            severity,
            news: leading.count(),
            held: self.members.len() - alerts.len(),
            alerts,
            generation: self.generation,
        };
        self.mark_notified(now, open);
        Some(report)
    }

    /// Records that everything visible was notified, with `open` as the highest severity.
    fn mark_notified(&mut self, now: Timestamp, open: Option<Severity>) {
        let mut critical_at = self.last.and_then(|last| last.critical_at);
        if self.visible().any(GroupMember::is_newly_critical) {
            critical_at = Some(now);
        }
        self.members.retain(|_, member| member.is_open());
        for member in self.members.values_mut() {
            if member.is_visible() {
                member.mark_notified();
            }
        }
        if let Some(severity) = open {
            self.last = Some(NotifiedState {
                at: now,
                severity,
                critical_at,
            });
        } else {
            self.last = None;
            self.generation = 0;
        }
        self.changed_at = None;
        self.mark_changed();
    }

    /// Skips a reminder that must not be sent.
    pub(super) fn review_reminder(&mut self, now: Timestamp, plan: GroupPlan) -> Reminder {
        if !plan.skips_repeat || plan.reason != NotifyReason::Repeat {
            return Reminder::Due;
        }
        if let Some(last) = &mut self.last {
            last.at = now;
        }
        self.mark_changed();
        Reminder::Skipped(plan.suppression)
    }

    fn touch(&mut self, now: Timestamp) {
        self.changed_at.get_or_insert(now);
        self.mark_changed();
    }

    fn mark_changed(&mut self) {
        self.is_planned = false;
        self.unsaved = true;
    }

    /// The members that the receiver was notified of, or may be.
    fn visible(&self) -> impl Iterator<Item = &GroupMember> {
        self.members.values().filter(|member| member.is_visible())
    }

    /// The visible alerts: first the new ones of this severity, then the worst.
    fn alerts_for_message(&self, severity: Severity) -> Vec<Arc<AlertSnapshot>> {
        let mut members: Vec<_> = self.visible().collect();
        members.sort_by(|a, b| a.cmp_in_message(b, severity));
        members
            .into_iter()
            .map(|member| Arc::clone(&member.alert))
            .collect()
    }
}
