//! Grouping: which receiver is notified of which alerts, and when. Each receiver has its own
//! groups.

mod group;
mod inhibition;
mod member;
mod plan;
mod receiver;
mod saved;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{AlertKey, AlertSnapshot, GroupKey, Labels, Notification, Suppression, TargetKind};
use crate::config::{NotifySettings, ReceiverSettings};
use crate::model::Timestamp;

use plan::GroupTiming;
use receiver::ReceiverGroups;

pub use inhibition::Inhibitors;
pub use wanted::wants;

/// The groups of every receiver.
///
/// Transitions go in through [`record`](Self::record), notifications come out of
/// [`due`](Self::due):
///
/// * A new group is notified `group_wait` after its first alert.
/// * When its highest severity rises it is notified at once. When further alerts of a group that is
///   known to be critical escalate, it is notified at most every `group_wait`.
/// * Alerts that join, leave or deescalate are notified together: `group_wait` after the first such
///   change, and not before `group_interval` after the last notification.
/// * When all of it is resolved that is notified at once, if the group ever was. Then the group is
///   gone, and firing again makes a new one.
/// * While nothing changes it is repeated every `repeat_interval`.
///
/// Alerts are suppressed by a silence, by a maintenance window, by an inhibitor (an alert that
/// fires or ended less than `group_wait` ago, that the receiver is notified of, and that is as
/// severe), or because they are short outages of an alert that flaps. A suppressed alert opens no
/// group, joins none, is no escalation and is not repeated; but the resolve of an alert that was
/// notified before is notified all the same. When the suppression ends the alert is as new.
///
/// A flapping alert stays open for a receiver that was notified that it fires. When it is clear for
/// now the receiver is notified of that, once; it is resolved when it is stable. Where it comes
/// back as critical meanwhile, that is a new page.
///
/// An alert stays in its group until it ends, even if its labels or `group_by` change.
#[derive(Debug)]
pub struct AlertGroups {
    timing: GroupTiming,
    receivers: Vec<ReceiverGroups>,
    /// Whether a group may differ from the state file.
    touched: bool,
    /// The documents of groups in the state file.
    saved_keys: BTreeSet<String>,
}

/// What groups need from outside when they build notifications.
pub struct EvalContext<'a> {
    /// An alert as it is now (`AlertEngine::snapshot`), so that a message shows the values of the
    /// moment at which it is built and not those of the last transition.
    pub current: &'a dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    /// Every target that could have an alert.
    pub targets: &'a [AlertTarget],
}

/// Something that alerts can be about.
#[derive(Clone, Debug)]
pub struct AlertTarget {
    /// What kind of thing it is.
    pub kind: TargetKind,
    /// The identity labels of its alerts.
    pub labels: Arc<Labels>,
    /// Its configured labels.
    pub extra: Arc<Labels>,
}

/// The notifications to send now, and those that were suppressed.
#[derive(Debug, Default, PartialEq)]
pub struct DueNotifications {
    /// Those to send, ordered by receiver (as configured) and group.
    pub notifications: Vec<Notification>,
    /// For each notification that was not made, or not repeated, on purpose: the receiver and why.
    pub suppressed: Vec<(Arc<str>, Suppression)>,
}

impl AlertGroups {
    /// No groups yet, for the receivers of these settings.
    pub fn new(settings: &NotifySettings) -> Self {
        let receivers = group_receivers(settings)
            .map(|receiver| ReceiverGroups::new(receiver, settings, BTreeMap::new()));
        Self {
            timing: GroupTiming::new(settings),
            receivers: receivers.collect(),
            touched: false,
            saved_keys: BTreeSet::new(),
        }
    }

    /// Records an alert that changed. To record an alert twice makes no difference.
    pub fn record(&mut self, now: Timestamp, alert: &Arc<AlertSnapshot>) {
        self.touched = true;
        for receiver in &mut self.receivers {
            receiver.record(now, self.timing, alert);
        }
    }

    /// Records that the event that a firing alert counts happened once more.
    pub fn record_again(&mut self, now: Timestamp, key: &AlertKey) {
        self.touched = true;
        for receiver in &mut self.receivers {
            receiver.record_again(now, key);
        }
    }

    /// Determines again what suppresses alerts, because silences or maintenance windows began or
    /// ended.
    pub fn update_suppressions(
        &mut self,
        now: Timestamp,
        current: &dyn Fn(&AlertKey) -> Option<Arc<AlertSnapshot>>,
    ) {
        self.touched = true;
        for receiver in &mut self.receivers {
            for group in receiver.groups.values_mut() {
                group.refresh(current);
            }
            receiver.update_suppressions(now, self.timing);
        }
    }

    /// Changes receivers and timing. `firing` are the alerts that fire now.
    ///
    /// A receiver whose name stays keeps its groups, so that known alerts do not page again; alerts
    /// that it no longer wants end for it as resolved. For a new receiver everything that fires is
    /// new. A receiver that was removed gets nothing new, but its groups go on until they resolve,
    /// since an incident that it opened must not stay open.
    pub fn reconfigure(
        &mut self,
        now: Timestamp,
        settings: &NotifySettings,
        firing: &[Arc<AlertSnapshot>],
    ) {
        self.timing = GroupTiming::new(settings);
        let mut old = BTreeMap::new();
        for receiver in self.receivers.drain(..) {
            old.insert(Arc::clone(&receiver.name), receiver);
        }
        for receiver in group_receivers(settings) {
            let groups = match old.remove(receiver.name.as_str()) {
                Some(known) => known.groups,
                None => BTreeMap::new(),
            };
            self.receivers
                .push(ReceiverGroups::new(receiver, settings, groups));
        }
        for removed in old.into_values() {
            self.receivers.extend(removed.retire());
        }
        for receiver in &mut self.receivers {
            for group in receiver.groups.values_mut() {
                group.replan();
            }
        }
        for alert in firing {
            self.record(now, alert);
        }
    }

    /// Every notification that is due.
    pub fn due(&mut self, now: Timestamp, context: &EvalContext<'_>) -> DueNotifications {
        let mut due = DueNotifications::default();
        for receiver in &mut self.receivers {
            self.touched |= receiver.has_due(now, self.timing);
            due.notifications
                .extend(receiver.due(now, self.timing, context));
            for why in receiver.take_suppressed() {
                due.suppressed.push((Arc::clone(&receiver.name), why));
            }
        }
        self.receivers
            .retain(|receiver| !receiver.retired || !receiver.groups.is_empty());
        due
    }

    /// When [`due`](Self::due) has to be called next; a time that has passed means at once, `None`
    /// not before the next [`record`](Self::record).
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let wakeups = self.receivers.iter();
        wakeups
            .filter_map(|receiver| receiver.wakeup(self.timing))
            .min()
    }

    /// Whether a receiver, configured or not, has a group with this key.
    pub fn has_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.receivers
            .iter()
            .any(|known| &*known.name == receiver && known.groups.contains_key(group))
    }
}

/// The receivers that are notified of groups. The others read the list of alerts themselves.
fn group_receivers(settings: &NotifySettings) -> impl Iterator<Item = &ReceiverSettings> {
    settings
        .receivers
        .iter()
        .filter(|receiver| receiver.kind.as_group().is_some())
}
