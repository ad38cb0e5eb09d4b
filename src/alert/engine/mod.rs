//! The owner of every alert: an evaluation goes in, at most one transition comes out.
//!
//! Ten thousand pairs with five rules each are evaluated many times a second, and nearly all of
//! them are healthy. The engine therefore keeps only alerts that are pending, firing or recently
//! resolved: a healthy target has no entry, costs one look-up among the few that have one, and
//! allocates nothing. Callers keep one [`AlertKey`] per target and rule.

mod active;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    AlertContext, AlertCounts, AlertKey, AlertSnapshot, AlertState, AlertStatus, Inhibitor,
    Instance, LevelVerdict, ListedAlert, MutedBy, Quantity, Reading, ResolveReason, Transition,
};
use crate::config::{FlappingRule, LevelRule, NotifySettings, Severity};
use crate::model::{Bytes, Share, Span, TimeLeft, Timestamp};
use crate::replication::Pause;

use active::ActiveAlert;
pub(super) use active::inhibits_up_to;
pub use saved::{RestoredAlert, RestoredAlerts};

/// How long a resolved alert is listed: as long as Alertmanager remembers a resolve.
pub const RESOLVED_KEPT_FOR: Span = Span::from_secs(15 * 60);

/// A rule with a reading of the same unit.
#[derive(Clone, Copy, Debug)]
pub enum RuleInput<'a> {
    /// For every rule but those below.
    Seconds {
        /// The rule's levels.
        rule: &'a LevelRule<Span>,
        /// The target's value.
        reading: Reading<Span>,
    },
    /// For [`super::Rule::LagBytes`].
    Bytes {
        /// The rule's levels.
        rule: &'a LevelRule<Bytes>,
        /// The target's value.
        reading: Reading<Bytes>,
    },
    /// How many times something happened: [`super::Rule::FullSync`], [`super::Rule::Failover`].
    Count {
        /// The rule's levels.
        rule: &'a LevelRule<u64>,
        /// The target's value.
        reading: Reading<u64>,
    },
    /// For [`super::Rule::BacklogHeadroom`].
    TimeLeft {
        /// The rule's levels.
        rule: &'a LevelRule<TimeLeft>,
        /// The target's value.
        reading: Reading<TimeLeft>,
    },
    /// For [`super::Rule::OutputBuffer`].
    Share {
        /// The rule's levels.
        rule: &'a LevelRule<Share>,
        /// The target's value.
        reading: Reading<Share>,
    },
}

/// One evaluation of a rule for one target.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// The target and the rule.
    pub key: &'a AlertKey,
    /// The rule's levels and the target's value.
    pub input: RuleInput<'a>,
    /// Builds the alert's context. Called only when there is an alert, so that healthy targets cost
    /// nothing.
    pub context: &'a dyn Fn() -> Arc<AlertContext>,
}

/// Every alert that is pending, firing or recently resolved.
#[derive(Debug, Default)]
pub struct AlertEngine {
    active: BTreeMap<AlertKey, ActiveAlert>,
    /// Alerts that differ from the state file.
    unsaved: BTreeSet<AlertKey>,
    flapping: Option<FlappingRule>,
    /// How long an alert inhibits others after its end.
    linger: Span,
    /// Firing alerts that began or ceased to recover since they were last taken.
    recovery_changes: BTreeSet<AlertKey>,
}

impl AlertEngine {
    /// An engine without alerts.
    pub fn new(settings: &NotifySettings) -> Self {
        let mut engine = Self::default();
        engine.reconfigure(settings);
        engine
    }

    /// Changes when an alert flaps, and how long it inhibits others after its end.
    pub fn reconfigure(&mut self, settings: &NotifySettings) {
        self.flapping = settings.flapping;
        self.linger = settings.group_wait;
    }

    /// Applies one evaluation. Evaluations of one instant may come in any order.
    pub fn evaluate(&mut self, now: Timestamp, evaluation: Evaluation<'_>) -> Option<Transition> {
        let Evaluation {
            key,
            input,
            context,
        } = evaluation;
        match input {
            RuleInput::Seconds { rule, reading } => self.step(now, key, rule, reading, context),
            RuleInput::Bytes { rule, reading } => self.step(now, key, rule, reading, context),
            RuleInput::Count { rule, reading } => self.step(now, key, rule, reading, context),
            RuleInput::TimeLeft { rule, reading } => self.step(now, key, rule, reading, context),
            RuleInput::Share { rule, reading } => self.step(now, key, rule, reading, context),
        }
    }

    /// Whether there is such an alert: pending, firing, recently resolved, or remembered because of
    /// its outages.
    pub fn has(&self, key: &AlertKey) -> bool {
        self.active.contains_key(key)
    }

    /// Whether there is no alert at all.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether an alert begins, pending or firing, by this reading of a target that has none.
    pub fn begins(input: RuleInput<'_>) -> bool {
        match input {
            RuleInput::Seconds { rule, reading } => is_past(rule, reading),
            RuleInput::Bytes { rule, reading } => is_past(rule, reading),
            RuleInput::Count { rule, reading } => is_past(rule, reading),
            RuleInput::TimeLeft { rule, reading } => is_past(rule, reading),
            RuleInput::Share { rule, reading } => is_past(rule, reading),
        }
    }

    /// Ends an alert for a reason other than its value: its target or rule is gone, or its pair has
    /// another direction now. An alert that is only pending is dropped.
    pub fn retire(
        &mut self,
        now: Timestamp,
        key: &AlertKey,
        reason: ResolveReason,
    ) -> Option<Transition> {
        let active = self.active.get_mut(key)?;
        let change = active.retire(now, reason);
        let transition = active.transition(key, change);
        self.unsaved.insert(key.clone());
        self.drop_if_inactive(now, key);
        transition
    }

    /// Sets the silence, maintenance window or operation that mutes an alert.
    pub fn set_muted_by(&mut self, key: &AlertKey, muted_by: Option<MutedBy>) {
        if let Some(active) = self.active.get_mut(key) {
            active.muted_by = muted_by;
        }
    }

    /// Determines again what mutes each open alert. A resolved alert keeps what muted it at its
    /// end: a later silence is not the reason why it was not notified.
    pub fn update_mutes(&mut self, mute_for: impl Fn(&AlertSnapshot) -> Option<MutedBy>) {
        for (key, active) in &mut self.active {
            if !active.is_open() {
                continue;
            }
            let listed = active.listed(key);
            active.muted_by = listed.and_then(|listed| mute_for(&listed.alert));
        }
    }

    /// The firing alerts that began or ceased to recover since the last call. That is no
    /// transition, but an alert whose value is clear is not notified as firing.
    pub fn take_recovery_changes(&mut self) -> Vec<Arc<AlertSnapshot>> {
        let mut alerts = Vec::new();
        for key in std::mem::take(&mut self.recovery_changes) {
            if let Some(alert) = self.snapshot(&key)
                && alert.status == AlertStatus::Firing
            {
                alerts.push(alert);
            }
        }
        alerts
    }

    /// Records that a notification of the alert was sent to a receiver.
    pub fn mark_notified(&mut self, key: &AlertKey) {
        let Some(active) = self.active.get_mut(key) else {
            return;
        };
        if active.mark_notified() {
            self.unsaved.insert(key.clone());
        }
    }

    /// Determines which open alerts others inhibit, and remembers the inhibitor of each alert that
    /// was not notified yet. Call it when all evaluations of an instant are done.
    pub fn update_inhibition(&mut self, now: Timestamp) {
        let mut open = Vec::new();
        for (key, active) in &self.active {
            if active.is_open() {
                open.push((key.clone(), self.inhibitor_now(key, active, now)));
            }
        }
        for (key, inhibitor) in open {
            let Some(active) = self.active.get_mut(&key) else {
                continue;
            };
            if active.set_inhibitor(inhibitor) {
                self.unsaved.insert(key);
            }
        }
    }

    /// The first inhibitor, in the order of the alert's context, of the alert with this key; of a
    /// resolved alert the one that inhibited it when it ended.
    pub fn inhibitor_of(&self, key: &AlertKey, now: Timestamp) -> Option<AlertKey> {
        let active = self.active.get(key)?;
        if active.is_open() {
            self.inhibitor_now(key, active, now)
        } else {
            active.inhibitor.clone()
        }
    }

    fn inhibitor_now(
        &self,
        key: &AlertKey,
        active: &ActiveAlert,
        now: Timestamp,
    ) -> Option<AlertKey> {
        let severity = active.instance.status()?.severity;
        let mut inhibitors = active.context.inhibitors.iter();
        let inhibitor = inhibitors
            .find(|inhibitor| inhibitor.key != *key && self.inhibits(inhibitor, severity, now))?;
        Some(inhibitor.key.clone())
    }

    /// Whether the inhibitor inhibits an alert of this severity now.
    fn inhibits(&self, inhibitor: &Inhibitor, severity: Severity, now: Timestamp) -> bool {
        let Some(source) = self.active.get(&inhibitor.key) else {
            return false;
        };
        let up_to = source.inhibits_up_to(now, self.linger);
        severity <= inhibitor.up_to && up_to >= Some(severity)
    }

    /// Drops the alerts that resolved [`RESOLVED_KEPT_FOR`] ago. Call it from time to time.
    pub fn expire(&mut self, now: Timestamp) {
        let window = self.flapping_window();
        let expired = self
            .active
            .extract_if(.., |_, active| active.is_expired(now, window));
        self.unsaved.extend(expired.map(|(key, _)| key));
    }

    /// One alert as it is now, if it fires or resolved recently.
    pub fn snapshot(&self, key: &AlertKey) -> Option<Arc<AlertSnapshot>> {
        self.active.get(key)?.snapshot(key)
    }

    /// The severity that the alert fires at.
    pub fn fires_at(&self, key: &AlertKey) -> Option<Severity> {
        let status = self.active.get(key)?.instance.status()?;
        status.is_firing().then_some(status.severity)
    }

    /// Whether an alert fires that was restored and whose target was not evaluated since.
    pub fn awaits_confirmation(&self) -> bool {
        self.active
            .values()
            .any(|active| !active.is_confirmed && active.is_firing())
    }

    /// Skips a pause of the exporter: no alert begins or ends because of a time in which nothing
    /// was evaluated.
    pub fn skip_pause(&mut self, pause: Pause) {
        for (key, active) in &mut self.active {
            active.instance.skip_pause(pause);
            self.unsaved.insert(key.clone());
        }
    }

    /// Whether the alert is pending or firing.
    pub fn is_open(&self, key: &AlertKey) -> bool {
        self.active.get(key).is_some_and(ActiveAlert::is_open)
    }

    /// Every alert that fires or resolved recently, ordered by key.
    pub fn snapshots(&self) -> Vec<Arc<AlertSnapshot>> {
        let alerts = self.active.iter();
        alerts
            .filter_map(|(key, active)| active.snapshot(key))
            .collect()
    }

    /// Every alert, pending ones included, ordered by key, without its inhibitor:
    /// [`Self::inhibitor_of`] has that.
    pub fn listed(&self) -> Vec<ListedAlert> {
        let alerts = self.active.iter();
        alerts
            .filter_map(|(key, active)| active.listed(key))
            .collect()
    }

    /// How many alerts there are in each state.
    pub fn counts(&self) -> AlertCounts {
        let mut counts = AlertCounts::default();
        for active in self.active.values() {
            let Some(status) = active.instance.status() else {
                continue;
            };
            match status.state {
                AlertState::Pending => counts.pending += 1,
                AlertState::Firing | AlertState::Recovering => counts.firing += 1,
                AlertState::Resolved => counts.resolved += 1,
            }
        }
        counts
    }

    fn step<T: Copy + PartialOrd + Into<Quantity>>(
        &mut self,
        now: Timestamp,
        key: &AlertKey,
        rule: &LevelRule<T>,
        reading: Reading<T>,
        context: &dyn Fn() -> Arc<AlertContext>,
    ) -> Option<Transition> {
        let flapping = self.flapping.as_ref();
        let Some(active) = self.active.get_mut(key) else {
            return self.begin(now, key, rule, reading, context);
        };
        let before = active.instance.clone();
        let change = active.step(now, rule, flapping, reading, context);
        if active.instance != before {
            self.unsaved.insert(key.clone());
        }
        if active.instance.is_recovering() != before.is_recovering() {
            self.recovery_changes.insert(key.clone());
        }
        let transition = active.transition(key, change);
        self.drop_if_inactive(now, key);
        transition
    }

    /// Evaluates a target that has no alert. It gets one unless the reading is fine.
    fn begin<T: Copy + PartialOrd + Into<Quantity>>(
        &mut self,
        now: Timestamp,
        key: &AlertKey,
        rule: &LevelRule<T>,
        reading: Reading<T>,
        context: &dyn Fn() -> Arc<AlertContext>,
    ) -> Option<Transition> {
        let mut instance = Instance::default();
        let change = instance.step(now, rule, self.flapping.as_ref(), &reading);
        let active = ActiveAlert::new(now, instance, rule, reading, context, change)?;
        let transition = active.transition(key, change);
        self.active.insert(key.clone(), active);
        self.unsaved.insert(key.clone());
        transition
    }

    /// For how long the outages of an inactive alert are remembered.
    fn flapping_window(&self) -> Span {
        match self.flapping {
            Some(rule) => rule.window,
            None => Span::ZERO,
        }
    }

    fn drop_if_inactive(&mut self, now: Timestamp, key: &AlertKey) {
        let window = self.flapping_window();
        let active = self.active.get(key);
        if active.is_some_and(|active| active.instance.is_forgettable(now, window)) {
            self.active.remove(key);
        }
    }
}

/// Whether the condition of any level holds.
fn is_past<T: Copy + PartialOrd>(rule: &LevelRule<T>, reading: Reading<T>) -> bool {
    let warning = reading.judge(Severity::Warning, rule.warning.as_ref());
    let critical = reading.judge(Severity::Critical, rule.critical.as_ref());
    [warning, critical].contains(&LevelVerdict::Past)
}
