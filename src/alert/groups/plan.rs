//! The next notification of a group: its reason, when it is due, and whether it is a new page.

use std::collections::BTreeSet;

use super::member::GroupMember;
use crate::alert::{NotifyReason, Suppression, TargetKind};
use crate::config::{NotifySettings, RepageOn, Severity};
use crate::model::{Span, Timestamp};

use serde::{Deserialize, Serialize};

/// A pair that becomes critical within so many `group_interval` after another one of its group
/// belongs to the same page: a bottleneck affects pair after pair.
const SAME_PAGE_INTERVALS: f64 = 5.0;

/// The shortest time for which pairs belong to the same page.
const SAME_PAGE_AT_LEAST: Span = Span::from_secs(60);

/// How long groups wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupTiming {
    pub(super) group_wait: Span,
    group_interval: Span,
    repeat_interval: Span,
}

/// The last notification of a group.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct NotifiedState {
    pub(super) at: Timestamp,
    /// The highest severity that was open then.
    pub(super) severity: Severity,
    /// When a notification last reported that one more alert is critical.
    #[serde(default)]
    pub(super) critical_at: Option<Timestamp>,
}

/// The next notification, if nothing changes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupPlan {
    pub(super) reason: NotifyReason,
    pub(super) due: Timestamp,
    /// Whether it is a new page.
    pub(super) repage: bool,
    /// Whether no alert of the group may be repeated now.
    pub(super) skips_repeat: bool,
    /// Why it is not repeated, where that is counted.
    pub(super) suppression: Option<Suppression>,
}

/// How the members of a group differ from its last notification.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The highest severity that is open and was, or may be, notified.
    severity: Option<Severity>,
    /// What is new.
    news: BTreeSet<NotifyReason>,
    /// The critical alerts that no page was about.
    critical: NewlyCritical,
    /// Whether there is an alert that may be notified.
    may_notify: bool,
    /// Why an alert that was notified is not repeated.
    suppression: Option<Suppression>,
}

/// The kinds of critical alerts that no page was about.
#[derive(Clone, Copy, Debug, Default)]
struct NewlyCritical {
    /// An alert that was last notified as clear for now.
    back: bool,
    /// An alert about a pair that never was critical before.
    pair: bool,
    /// The same about a server, or about anything else but a pair.
    other: bool,
}

impl GroupTiming {
    pub(super) const fn new(settings: &NotifySettings) -> Self {
        Self {
            group_wait: settings.group_wait,
            group_interval: settings.group_interval,
            repeat_interval: settings.repeat_interval,
        }
    }

    /// For how long pairs that become critical one after the other belong to the same page.
    fn same_page_for(self) -> Span {
        let intervals = self.group_interval.mul_f64(SAME_PAGE_INTERVALS);
        intervals.max(SAME_PAGE_AT_LEAST)
    }
}

impl GroupPlan {
    const fn new(reason: NotifyReason, due: Timestamp) -> Self {
        Self {
            reason,
            due,
            repage: false,
            skips_repeat: false,
            suppression: None,
        }
    }
}

impl Tally {
    pub(super) fn new<'a>(members: impl Iterator<Item = &'a GroupMember>) -> Self {
        let mut tally = Self::default();
        for member in members {
            tally.add(member);
        }
        tally
    }

    fn add(&mut self, member: &GroupMember) {
        let Some(severity) = member.open_severity() else {
            self.news.insert(NotifyReason::PartlyResolved);
            return;
        };
        if !member.may_be_notified() {
            // Nothing of it is news. An alert that was notified stays open as it was notified.
            self.severity = self.severity.max(member.notified);
            if self.suppression.is_none() && member.notified.is_some() {
                self.suppression = member.suppression;
            }
            return;
        }
        self.may_notify = true;
        self.severity = self.severity.max(Some(severity));
        if !member.is_clear_for_now() {
            self.add_firing(member, severity);
        } else if !member.notified_flapping {
            self.news.insert(NotifyReason::Flapping);
        }
    }

    /// Adds the news of a member that fires at this severity and may be notified.
    fn add_firing(&mut self, member: &GroupMember, severity: Severity) {
        if member.is_newly_critical() {
            let is_pair = member.alert.identity.rule.target() == TargetKind::Pair;
            self.critical.pair |= is_pair;
            self.critical.other |= !is_pair;
        }
        let has_escalated = member.notified.is_some_and(|known| known < severity);
        if has_escalated {
            self.news.insert(NotifyReason::Escalated);
            self.critical.back |= member.notified_flapping;
        } else if member.notified.is_none() || member.notified_flapping {
            self.news.insert(NotifyReason::NewInGroup);
        }
        if member.happened_again {
            self.news.insert(NotifyReason::HappenedAgain);
        }
    }

    /// The first notification of a group that was not notified yet.
    pub(super) fn first_plan(
        &self,
        changed_at: Timestamp,
        timing: GroupTiming,
    ) -> Option<GroupPlan> {
        if !self.may_notify {
            return None;
        }
        let due = changed_at + timing.group_wait;
        Some(GroupPlan::new(NotifyReason::First, due))
    }

    /// What to notify next after the `last` notification; `changed_at` is the first change since.
    pub(super) fn next_plan(
        &self,
        last: NotifiedState,
        changed_at: Option<Timestamp>,
        timing: GroupTiming,
        repage_on: RepageOn,
    ) -> GroupPlan {
        let repeat_at = last.at + timing.repeat_interval;
        let Some(reason) = self.reason(last) else {
            let mut repeat = GroupPlan::new(NotifyReason::Repeat, repeat_at);
            if !self.may_notify {
                repeat.skips_repeat = true;
                repeat.suppression = self.suppression;
            }
            return repeat;
        };
        let changed_at = changed_at.unwrap_or(last.at);
        let due = self.due(reason, last, changed_at, timing);
        GroupPlan {
            repage: self.is_new_page(last, due, timing, repage_on),
            ..GroupPlan::new(reason, due.min(repeat_at.max(changed_at)))
        }
    }

    fn due(
        &self,
        reason: NotifyReason,
        last: NotifiedState,
        changed_at: Timestamp,
        timing: GroupTiming,
    ) -> Timestamp {
        match reason {
            // A recovery is never delayed.
            NotifyReason::Resolved | NotifyReason::Flapping => changed_at,
            NotifyReason::Escalated if self.severity > Some(last.severity) => changed_at,
            // The receiver was notified that the group is critical. Alerts that escalate one after
            // the other, as all do when a datacenter is cut off, are notified together.
            NotifyReason::Escalated => changed_at.max(last.at + timing.group_wait),
            NotifyReason::NewInGroup if self.critical.other => {
                changed_at.max(last.at) + timing.group_wait
            }
            // Alerts that join or recover together do so over some seconds: wait for all of them.
            _ => (changed_at + timing.group_wait).max(last.at + timing.group_interval),
        }
    }

    fn is_new_page(
        &self,
        last: NotifiedState,
        due: Timestamp,
        timing: GroupTiming,
        repage_on: RepageOn,
    ) -> bool {
        if self.critical.back {
            return true;
        }
        if repage_on.new_critical && self.is_another_incident(last, due, timing) {
            return true;
        }
        if repage_on.escalated && self.has(NotifyReason::Escalated) {
            return true;
        }
        repage_on.new_in_group && self.has(NotifyReason::NewInGroup)
    }

    /// Whether the alerts that became critical are another incident than the one that the receiver
    /// was notified of. Alerts of one incident become critical together or, for pairs, one after
    /// the other.
    fn is_another_incident(
        &self,
        last: NotifiedState,
        due: Timestamp,
        timing: GroupTiming,
    ) -> bool {
        let Some(critical_at) = last.critical_at else {
            return false;
        };
        let since = due - critical_at;
        let is_other = self.critical.other && since >= timing.group_interval;
        let is_pair = self.critical.pair && since >= timing.same_page_for();
        is_other || is_pair
    }

    fn has(&self, reason: NotifyReason) -> bool {
        self.news.contains(&reason)
    }

    /// The most important reason to notify again; `None` when nothing is new.
    fn reason(&self, last: NotifiedState) -> Option<NotifyReason> {
        let Some(severity) = self.severity else {
            return Some(NotifyReason::Resolved);
        };
        if self.has(NotifyReason::Escalated) || severity > last.severity {
            return Some(NotifyReason::Escalated);
        }
        for reason in [
            NotifyReason::Flapping,
            NotifyReason::NewInGroup,
            NotifyReason::HappenedAgain,
        ] {
            if self.has(reason) {
                return Some(reason);
            }
        }
        if severity < last.severity {
            Some(NotifyReason::Deescalated)
        } else if self.has(NotifyReason::PartlyResolved) {
            Some(NotifyReason::PartlyResolved)
        } else {
            None
        }
    }
}
