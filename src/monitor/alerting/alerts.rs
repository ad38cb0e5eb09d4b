//! The alerts of one configuration with their groups, silences and maintenance windows.

use std::sync::Arc;

use crate::alert::{
    AlertEngine, AlertGroups, AlertKey, AlertSnapshot, AlertStatus, AlertTarget, DueNotifications,
    EvalContext, Evaluation, GroupKey, ListedAlert, Mutes, ResolveReason, RuleInput, Silences,
    Transition,
};
use crate::config::{NotifySettings, Severity};
use crate::model::{Span, Timestamp, WallTime};
use crate::monitor::silences::SavedSilences;
use crate::replication::Pause;

/// How long restored alerts may wait for the first polls of their targets: longer than any poll
/// takes, and short enough that whoever has to act is notified in time.
const CONFIRM_WITHIN: Span = Span::from_secs(10);

/// Every alert, and its groups for each receiver.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) engine: AlertEngine,
    pub(super) groups: AlertGroups,
    pub(super) mutes: Mutes,
    pub(super) saved_silences: SavedSilences,
    /// The transitions since [`Alerts::take_transitions`].
    transitions: Vec<Transition>,
    /// Until when no notification is due, unless all restored alerts are confirmed before.
    confirm_by: Option<Timestamp>,
    /// [`Alerts::listed`] as it was made since the last tick.
    listed: Option<Arc<[ListedAlert]>>,
}

impl Alerts {
    /// No alerts, with the receivers and windows of `settings`.
    pub(super) fn new(settings: &NotifySettings) -> Self {
        Self {
            engine: AlertEngine::new(settings),
            groups: AlertGroups::new(settings),
            mutes: Mutes::new(&settings.maintenance),
            saved_silences: SavedSilences::default(),
            transitions: Vec::new(),
            confirm_by: None,
            listed: None,
        }
    }

    /// Adopts the rules and windows of `settings`; the receivers follow with
    /// [`Alerts::reconfigure_groups`].
    pub(super) fn reconfigure(&mut self, settings: &NotifySettings) {
        self.listed = None;
        self.engine.reconfigure(settings);
        self.mutes.reconfigure(&settings.maintenance);
    }

    /// Adopts the receivers of `settings`: the firing alerts are grouped for them.
    pub(super) fn reconfigure_groups(&mut self, settings: &NotifySettings, now: Timestamp) {
        let mut firing = self.engine.snapshots();
        firing.retain(|alert| alert.status == AlertStatus::Firing);
        self.groups.reconfigure(now, settings, &firing);
    }

    /// Evaluates one rule for one target. Returns whether an alert began, changed its severity or
    /// ended.
    pub(super) fn evaluate(&mut self, evaluation: Evaluation<'_>, now: Timestamp) -> bool {
        let Some(transition) = self.engine.evaluate(now, evaluation) else {
            return false;
        };
        self.publish(transition, now);
        true
    }

    /// Ends an alert whose target is no longer watched.
    pub(super) fn retire(&mut self, key: &AlertKey, reason: ResolveReason, now: Timestamp) {
        self.listed = None;
        if let Some(transition) = self.engine.retire(now, key, reason) {
            self.publish(transition, now);
        }
    }

    /// Hands a transition on to the groups, suppressed or not.
    fn publish(&mut self, mut transition: Transition, now: Timestamp) {
        self.listed = None;
        let is_open = transition.alert.resolved.is_none();
        let muted_by = self.mutes.mute_for(&transition.alert);
        // An alert that ended keeps the suppression it had: a silence made since does not count.
        if is_open && muted_by != transition.alert.muted_by {
            self.engine
                .set_muted_by(&transition.alert.key(), muted_by.clone());
            Arc::make_mut(&mut transition.alert).muted_by = muted_by;
        }
        self.groups.record(now, &transition.alert);
        self.transitions.push(transition);
    }

    /// Notifies of an alert once more, although it fires already.
    pub(super) fn notify_again(&mut self, key: &AlertKey, now: Timestamp) {
        self.groups.record_again(now, key);
    }

    /// The severity at which the alert fires.
    pub(super) fn fires_at(&self, key: &AlertKey) -> Option<Severity> {
        self.engine.fires_at(key)
    }

    /// Whether there is such an alert: pending, firing or recently resolved.
    pub(super) fn has(&self, key: &AlertKey) -> bool {
        self.engine.has(key)
    }

    /// Whether there is no such alert, and this reading begins none.
    pub(super) fn begins_none(&self, key: &AlertKey, input: RuleInput<'_>) -> bool {
        !self.engine.has(key) && !AlertEngine::begins(input)
    }

    /// Whether the alert is pending or firing.
    pub(super) fn is_open(&self, key: &AlertKey) -> bool {
        self.engine.is_open(key)
    }

    /// Whether the receiver has such a group, even if it is no longer configured.
    pub(super) fn knows_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.groups.has_group(receiver, group)
    }

    /// The silences, to change them.
    pub(super) fn silences_mut(&mut self) -> &mut Silences {
        self.saved_silences.set_changed();
        &mut self.mutes.silences
    }

    /// Reviews what is suppressed, if a silence or a maintenance window began or ended.
    pub(super) fn review_suppressions(&mut self, now: Timestamp, wall: WallTime) {
        if !self.mutes.update(wall) {
            return;
        }
        let mutes = &self.mutes;
        self.engine.update_mutes(|alert| mutes.mute_for(alert));
        let engine = &self.engine;
        self.groups
            .update_suppressions(now, &|key| engine.snapshot(key));
    }

    /// The transitions since this was last called.
    pub(super) fn take_transitions(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.transitions)
    }

    /// Alerts were restored at `now`: no receiver is notified of them before their targets were
    /// polled again.
    pub(super) fn await_confirmation(&mut self, now: Timestamp) {
        self.listed = None;
        self.confirm_by = Some(now + CONFIRM_WITHIN);
    }

    /// Whether restored alerts still wait for the first polls of their targets.
    fn awaits_confirmation(&mut self, now: Timestamp) -> bool {
        let Some(confirm_by) = self.confirm_by else {
            return false;
        };
        let awaits = now < confirm_by && self.engine.awaits_confirmation();
        if !awaits {
            self.confirm_by = None;
        }
        awaits
    }

    /// The exporter was paused: no alert counts that time.
    pub(super) fn exporter_paused(&mut self, pause: Pause) {
        self.listed = None;
        self.engine.skip_pause(pause);
    }

    /// The notifications that are due, and those that are suppressed. The end of each tick: what
    /// was evaluated is listed from then on.
    pub(super) fn due(&mut self, targets: &[AlertTarget], now: Timestamp) -> DueNotifications {
        self.listed = None;
        self.engine.expire(now);
        if self.awaits_confirmation(now) {
            return DueNotifications::default();
        }
        self.engine.update_inhibition(now);
        for alert in self.engine.take_recovery_changes() {
            self.groups.record(now, &alert);
        }
        let engine = &self.engine;
        let context = EvalContext {
            current: &|key| engine.snapshot(key),
            targets,
        };
        let due = self.groups.due(now, &context);
        for notification in &due.notifications {
            for alert in &notification.alerts {
                self.engine.mark_notified(&alert.key());
            }
        }
        due
    }

    /// Whether there is no alert, and nothing to notify: time alone changes nothing then.
    pub(super) fn are_calm(&self) -> bool {
        self.engine.is_empty()
            && self.groups.next_wakeup().is_none()
            && self.transitions.is_empty()
            && self.confirm_by.is_none()
    }

    /// Makes [`Alerts::listed`], unless it is known. Alerts change only in ticks: until the next
    /// one the list stays the same.
    pub(super) fn prepare_list(&mut self, now: Timestamp) {
        if self.listed.is_none() {
            self.listed = Some(self.new_list(now));
        }
    }

    /// Every alert that is pending, firing or recently resolved.
    pub(super) fn listed(&self, now: Timestamp) -> Arc<[ListedAlert]> {
        match &self.listed {
            Some(listed) => Arc::clone(listed),
            None => self.new_list(now),
        }
    }

    fn new_list(&self, now: Timestamp) -> Arc<[ListedAlert]> {
        let mut listed = self.engine.listed();
        for entry in &mut listed {
            entry.inhibited_by = self.engine.inhibitor_of(&entry.alert.key(), now);
        }
        listed.into()
    }

    /// The alerts that fire or are recently resolved.
    pub(super) fn snapshots(&self) -> Vec<Arc<AlertSnapshot>> {
        self.engine.snapshots()
    }
}
