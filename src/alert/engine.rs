//! The owner of every alert: one evaluation in, at most one transition out.
//!
//! Ten thousand pairs with five rules each are evaluated many times a second, and nearly all of
//! them are healthy. The engine therefore keeps only alerts that are pending, firing or recently
//! resolved: a healthy target has no entry, costs one look-up among the few that have, and
//! allocates nothing. Callers keep one [`AlertKey`] a target and rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::instance::level;
use super::{
    AlertChange, AlertContext, AlertCounts, AlertKey, AlertSnapshot, AlertState, AlertStatus,
    Decision, Inhibitor, Instance, InstanceStatus, ListedAlert, Measured, MutedBy, Quantity,
    Reading, ResolveReason, Transition,
};
use crate::config::{FlappingRule, LevelRule, NotifySettings, Severity};
use crate::model::{Bytes, Span, Timestamp};
use crate::replication::Pause;

/// How long a resolved alert is listed: Alertmanager's own time to remember a resolve.
pub const RESOLVED_KEPT_FOR: Span = Span::from_secs(15 * 60);

/// A rule with a reading of the same unit.
#[derive(Clone, Copy, Debug)]
pub enum RuleInput<'a> {
    /// Of seconds: every rule but the two below.
    Seconds {
        /// The rule.
        rule: &'a LevelRule<Span>,
        /// The value.
        reading: Reading<Span>,
    },
    /// Of bytes: [`super::Rule::LagBytes`].
    Bytes {
        /// The rule.
        rule: &'a LevelRule<Bytes>,
        /// The value.
        reading: Reading<Bytes>,
    },
    /// Of how many times something happened: [`super::Rule::FullSync`], [`super::Rule::Failover`].
    Count {
        /// The rule.
        rule: &'a LevelRule<u64>,
        /// The value.
        reading: Reading<u64>,
    },
}

/// One rule, looked at for one target.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// The target and the rule.
    pub key: &'a AlertKey,
    /// The rule's levels and the target's value.
    pub input: RuleInput<'a>,
    /// Makes the alert's context. Asked only when there is an alert, so that healthy targets need
    /// none.
    pub context: &'a dyn Fn() -> Arc<AlertContext>,
}

/// Every alert that is pending, firing or recently resolved.
#[derive(Debug, Default)]
pub struct AlertEngine {
    pub(super) live: BTreeMap<AlertKey, Live>,
    /// Alerts that the disk knows otherwise.
    pub(super) unsaved: BTreeSet<AlertKey>,
    flapping: Option<FlappingRule>,
    /// How long an alert explains others after its end.
    linger: Span,
    /// Alerts whose value became clear, or no longer is, while they fire on.
    turned: BTreeSet<AlertKey>,
}

/// One alert: its state, and what is said about it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) instance: Instance,
    pub(super) value: Measured,
    pub(super) threshold: Quantity,
    pub(super) peak: Option<Quantity>,
    pub(super) context: Arc<AlertContext>,
    pub(super) muted_by: Option<MutedBy>,
    pub(super) decision: Option<Decision>,
    /// When its value was last read.
    pub(super) read_at: Timestamp,
    /// Whether its target was looked at in this process.
    pub(super) is_confirmed: bool,
    /// The last alert that explained this one while it fired, until somebody was notified.
    pub(super) cause: Option<AlertKey>,
    /// Whether anybody was notified of it since it began.
    pub(super) notified: bool,
}

impl AlertEngine {
    /// No alerts yet.
    pub fn new(settings: &NotifySettings) -> Self {
        let mut engine = Self::default();
        engine.reconfigure(settings);
        engine
    }

    /// Changes when an alert flaps, and how long it explains others after its end.
    pub fn reconfigure(&mut self, settings: &NotifySettings) {
        self.flapping = settings.flapping;
        self.linger = settings.group_wait;
    }

    /// Takes one evaluation into account. Evaluations of one instant may come in any order.
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
        }
    }

    /// Ends an alert for a reason other than its value: its target or rule is gone, or turned into
    /// another one. What was only pending is forgotten.
    pub fn retire(
        &mut self,
        now: Timestamp,
        key: &AlertKey,
        reason: ResolveReason,
    ) -> Option<Transition> {
        let live = self.live.get_mut(key)?;
        let change = live.instance.retire(now, reason);
        self.unsaved.insert(key.clone());
        live.decide(now, change);
        let transition = live.transition(key, change);
        self.forget_if_inactive(now, key);
        transition
    }

    /// Notes what keeps an alert from being told.
    pub fn set_muted_by(&mut self, key: &AlertKey, muted_by: Option<MutedBy>) {
        if let Some(live) = self.live.get_mut(key) {
            live.muted_by = muted_by;
        }
    }

    /// Asks anew what keeps each alert from being told. What is over keeps the answer that it ended
    /// with: a later silence is not why nobody was notified.
    pub fn update_mutes(&mut self, mute_for: impl Fn(&AlertSnapshot) -> Option<MutedBy>) {
        for (key, live) in self.live.iter_mut().filter(|(_, live)| live.is_open()) {
            live.muted_by = live.listed(key).and_then(|listed| mute_for(&listed.alert));
        }
    }

    /// The alerts whose value became clear, or no longer is, while they fire on, since this was last
    /// asked. It is no change, and yet nobody is notified that something fires which is clear.
    pub fn take_turned(&mut self) -> Vec<Arc<AlertSnapshot>> {
        let turned = std::mem::take(&mut self.turned);
        turned
            .iter()
            .filter_map(|key| self.snapshot(key))
            .filter(|alert| alert.status == AlertStatus::Firing)
            .collect()
    }

    /// Takes in that somebody was notified of the alert.
    pub fn note_notified(&mut self, key: &AlertKey) {
        let Some(live) = self.live.get_mut(key).filter(|live| !live.notified) else {
            return;
        };
        live.notified = true;
        live.cause = None;
        self.unsaved.insert(key.clone());
    }

    /// Looks which alerts nothing else explains, and remembers what explains each of the others that
    /// nobody was notified of: once all that is evaluated at an instant was.
    pub fn update_inhibition(&mut self, now: Timestamp) {
        let open: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.is_open())
            .map(|(key, live)| (key.clone(), self.explained_by(key, live, now)))
            .collect();
        for (key, cause) in open {
            let Some(live) = self.live.get_mut(&key) else {
                continue;
            };
            if live.take_explanation(cause) {
                self.unsaved.insert(key);
            }
        }
    }

    /// The first alert in the order of causes that explains the one with this key, or explained it
    /// when it ended.
    pub fn inhibitor_of(&self, key: &AlertKey, now: Timestamp) -> Option<AlertKey> {
        let live = self.live.get(key)?;
        if live.is_open() {
            self.explained_by(key, live, now)
        } else {
            live.cause.clone()
        }
    }

    fn explained_by(&self, key: &AlertKey, live: &Live, now: Timestamp) -> Option<AlertKey> {
        let severity = live.instance.standing()?.severity;
        let explains = |cause: &&Inhibitor| {
            let up_to = self
                .live
                .get(&cause.key)
                .and_then(|cause| cause.explains_up_to(now, self.linger));
            cause.key != *key && severity <= cause.up_to && up_to >= Some(severity)
        };
        let cause = live.context.inhibitors.iter().find(explains)?;
        Some(cause.key.clone())
    }

    /// Forgets the alerts that resolved [`RESOLVED_KEPT_FOR`] ago. Call it now and then.
    pub fn expire(&mut self, now: Timestamp) {
        let window = self.memory();
        let gone = self.live.extract_if(.., |_, live| {
            let old = live
                .resolved_at()
                .is_some_and(|at| now - at >= RESOLVED_KEPT_FOR.max(window));
            (old && !live.instance.flaps()) || live.instance.is_forgettable(now, window)
        });
        self.unsaved.extend(gone.map(|(key, _)| key));
    }

    /// One alert as it is now, if it fires or is recently resolved.
    pub fn snapshot(&self, key: &AlertKey) -> Option<Arc<AlertSnapshot>> {
        let live = self.live.get(key)?;
        live.told(key)
    }

    /// The severity that the alert fires at.
    pub fn fires_at(&self, key: &AlertKey) -> Option<Severity> {
        let standing = self.live.get(key)?.instance.standing()?;
        matches!(standing.state, AlertState::Firing | AlertState::Recovering)
            .then_some(standing.severity)
    }

    /// Whether an alert fires that was restored, and whose target nobody has looked at since.
    pub fn awaits_confirmation(&self) -> bool {
        let unconfirmed = self.live.values().filter(|live| !live.is_confirmed);
        unconfirmed
            .filter_map(|live| live.instance.standing())
            .any(|standing| matches!(standing.state, AlertState::Firing | AlertState::Recovering))
    }

    /// Takes in that the exporter was paused: no alert begins or ends for what was not seen.
    pub fn note_pause(&mut self, pause: Pause) {
        for (key, live) in &mut self.live {
            live.instance.pass_over(pause);
            self.unsaved.insert(key.clone());
        }
    }

    /// Whether the alert is pending or firing.
    pub fn is_open(&self, key: &AlertKey) -> bool {
        let standing = self.live.get(key).and_then(|live| live.instance.standing());
        standing.is_some_and(|standing| standing.state != AlertState::Resolved)
    }

    /// Every alert that fires or is recently resolved, ordered by key.
    pub fn snapshots(&self) -> Vec<Arc<AlertSnapshot>> {
        self.live
            .iter()
            .filter_map(|(key, live)| live.told(key))
            .collect()
    }

    /// Every alert, pending ones included, ordered by key. What explains them says
    /// [`Self::cause_of`].
    pub fn listed(&self) -> Vec<ListedAlert> {
        self.live
            .iter()
            .filter_map(|(key, live)| live.listed(key))
            .collect()
    }

    /// How many alerts there are in each state.
    pub fn counts(&self) -> AlertCounts {
        let mut counts = AlertCounts::default();
        for standing in self
            .live
            .values()
            .filter_map(|live| live.instance.standing())
        {
            match standing.state {
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
        if let Some(live) = self.live.get_mut(key) {
            let before = live.instance.clone();
            let change = live.step(now, rule, self.flapping.as_ref(), reading, context);
            if live.instance != before {
                self.unsaved.insert(key.clone());
            }
            if live.instance.is_recovering() != before.is_recovering() {
                self.turned.insert(key.clone());
            }
            let transition = live.transition(key, change);
            self.forget_if_inactive(now, key);
            return transition;
        }
        let mut instance = Instance::default();
        let change = instance.step(now, rule, self.flapping.as_ref(), &reading);
        let mut live = Live::begin(now, instance, rule, reading, context)?;
        live.decide(now, change);
        let transition = live.transition(key, change);
        self.live.insert(key.clone(), live);
        self.unsaved.insert(key.clone());
        transition
    }

    /// For how long changes of inactive alerts are remembered.
    fn memory(&self) -> Span {
        self.flapping.map_or(Span::ZERO, |rule| rule.window)
    }

    fn forget_if_inactive(&mut self, now: Timestamp, key: &AlertKey) {
        let memory = self.memory();
        if self
            .live
            .get(key)
            .is_some_and(|live| live.instance.is_forgettable(now, memory))
        {
            self.live.remove(key);
        }
    }
}

impl Live {
    /// The alert of an instance that has just become pending or firing; `None` when it stayed
    /// inactive.
    fn begin<T: Copy + Into<Quantity>>(
        now: Timestamp,
        instance: Instance,
        rule: &LevelRule<T>,
        reading: Reading<T>,
        context: &dyn Fn() -> Arc<AlertContext>,
    ) -> Option<Self> {
        let threshold = level(rule, instance.standing()?.severity)?.at.into();
        let value = Measured::from(reading);
        Some(Self {
            instance,
            value,
            threshold,
            peak: value.best(),
            context: context(),
            muted_by: None,
            decision: None,
            read_at: now,
            is_confirmed: true,
            cause: None,
            notified: false,
        })
    }

    fn step<T: Copy + PartialOrd + Into<Quantity>>(
        &mut self,
        now: Timestamp,
        rule: &LevelRule<T>,
        flapping: Option<&FlappingRule>,
        reading: Reading<T>,
        context: &dyn Fn() -> Arc<AlertContext>,
    ) -> Option<AlertChange> {
        self.is_confirmed = true;
        let was_over = !self.is_open();
        let change = self.instance.step(now, rule, flapping, &reading);
        if was_over && !self.is_open() {
            self.decide(now, change);
            return change; // what is over stays as it was when it ended
        }
        if was_over {
            self.decision = None;
            self.cause = None;
            self.notified = false;
        }
        let context = context();
        self.context = if was_over {
            context
        } else {
            Arc::new(Arc::unwrap_or_clone(context).continuing(&self.context))
        };
        if !reading.is_no_data() {
            self.observe(Measured::from(reading), was_over);
            self.read_at = now;
        }
        let standing = self.instance.standing();
        if let Some(level) = standing.and_then(|standing| level(rule, standing.severity)) {
            self.threshold = level.at.into();
        }
        self.decide(now, change);
        change
    }

    /// Remembers what changed and why.
    fn decide(&mut self, at: Timestamp, change: Option<AlertChange>) {
        if let Some(change) = change {
            self.decision = Some(Decision {
                change,
                at,
                value: self.value,
            });
        }
    }

    /// Whether it is pending or fires.
    fn is_open(&self) -> bool {
        self.instance
            .standing()
            .is_some_and(|standing| standing.resolved.is_none())
    }

    /// Takes in what explains it now. Returns whether that is news for the disk.
    fn take_explanation(&mut self, cause: Option<AlertKey>) -> bool {
        let Some(cause) = cause else {
            return self.instance.note_unexplained();
        };
        if self.notified || self.cause.as_ref() == Some(&cause) {
            return false;
        }
        self.cause = Some(cause);
        true
    }

    fn observe(&mut self, value: Measured, anew: bool) {
        let before = if anew { None } else { self.peak };
        let higher = |a: Quantity, b: Quantity| if b.as_f64() > a.as_f64() { b } else { a };
        self.peak = before.into_iter().chain(value.best()).reduce(higher);
        self.value = value;
    }

    /// Up to which severity it explains others: as long as it fires, and for `linger` after that. At
    /// its end its effects go on for a moment.
    fn explains_up_to(&self, now: Timestamp, linger: Span) -> Option<Severity> {
        let standing = self.instance.ended_or_firing()?;
        let end = standing.resolved.map(|(at, _)| at);
        explains_up_to(standing.severity, end, self.decision, now, linger)
    }

    fn resolved_at(&self) -> Option<Timestamp> {
        self.instance.standing()?.resolved.map(|(at, _)| at)
    }

    fn transition(&self, key: &AlertKey, change: Option<AlertChange>) -> Option<Transition> {
        Some(Transition {
            change: change?,
            alert: self.listed(key)?.alert,
        })
    }

    /// The alert, unless it is pending: that is nobody's business yet.
    fn told(&self, key: &AlertKey) -> Option<Arc<AlertSnapshot>> {
        let listed = self.listed(key)?;
        (listed.state != AlertState::Pending).then_some(listed.alert)
    }

    fn listed(&self, key: &AlertKey) -> Option<ListedAlert> {
        let InstanceStatus {
            state,
            severity,
            started_at,
            resolved,
            series,
        } = self.instance.standing()?;
        let alert = AlertSnapshot {
            identity: key.identity().clone(),
            fingerprint: key.fingerprint(),
            severity,
            status: if resolved.is_some() {
                AlertStatus::Resolved
            } else {
                AlertStatus::Firing
            },
            started_at,
            resolved,
            value: self.value,
            threshold: self.threshold,
            peak: self.peak,
            context: Arc::clone(&self.context),
            // A resolve of what was notified is notified, too: nothing suppresses it.
            muted_by: self
                .muted_by
                .clone()
                .filter(|_| resolved.is_none() || !self.notified),
            recovering: state == AlertState::Recovering,
            series,
            decision: self.decision,
        };
        Some(ListedAlert {
            state,
            alert: Arc::new(alert),
            inhibited_by: None,
        })
    }
}

/// Up to which severity an alert explains others that is or was of this `severity`, resolved at
/// `end` if it did, by its last change.
pub(super) fn explains_up_to(
    severity: Severity,
    end: Option<Timestamp>,
    decision: Option<Decision>,
    now: Timestamp,
    linger: Span,
) -> Option<Severity> {
    let is_recent = |at: Timestamp| now - at < linger;
    if let Some(end) = end {
        return is_recent(end).then_some(severity);
    }
    let was_critical =
        decision.is_some_and(|last| last.change == AlertChange::Deescalated && is_recent(last.at));
    Some(if was_critical {
        Severity::Critical
    } else {
        severity
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::alert::{Labels, Rule};
    use crate::config::LevelThreshold;

    fn key(pair: &str) -> AlertKey {
        let labels = Labels::from([("pair".to_owned(), pair.to_owned())]);
        AlertKey::new(Rule::LagSeconds, Arc::new(labels))
    }

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    const fn level_at(at: i64, clear_below: i64) -> LevelThreshold<Span> {
        LevelThreshold {
            at: Span::from_secs(at),
            clear_below: Span::from_secs(clear_below),
        }
    }

    const RULE: LevelRule<Span> = LevelRule {
        warning: Some(level_at(30, 24)),
        critical: Some(level_at(120, 96)),
        pending_for: Span::from_secs(2),
        keep_firing_for: Span::ZERO,
    };

    const fn seconds(value: i64) -> Quantity {
        Quantity::Seconds(Span::from_secs(value))
    }

    fn evaluate(
        engine: &mut AlertEngine,
        second: i64,
        key: &AlertKey,
        value: Option<i64>,
    ) -> Option<Transition> {
        let reading = value.map_or(Reading::NO_DATA, |value| {
            Reading::exact(Span::from_secs(value))
        });
        let context = || {
            Arc::new(AlertContext {
                reason: Some(format!("at {second}")),
                ..AlertContext::default()
            })
        };
        let input = RuleInput::Seconds {
            rule: &RULE,
            reading,
        };
        engine.evaluate(
            at(second),
            Evaluation {
                key,
                input,
                context: &context,
            },
        )
    }

    /// Evaluates one value a second and returns the last transition.
    fn run(engine: &mut AlertEngine, key: &AlertKey, values: &[i64]) -> Option<Transition> {
        (0..)
            .zip(values)
            .filter_map(|(second, value)| evaluate(engine, second, key, Some(*value)))
            .last()
    }

    #[test]
    fn a_healthy_target_has_no_entry_and_needs_no_context() {
        let (mut engine, key, asked) = (AlertEngine::default(), key("a"), Cell::new(0));
        let context = || {
            asked.set(asked.get() + 1);
            Arc::default()
        };
        let mut evaluate = |value| {
            let input = RuleInput::Seconds {
                rule: &RULE,
                reading: Reading::exact(Span::from_secs(value)),
            };
            engine.evaluate(
                at(0),
                Evaluation {
                    key: &key,
                    input,
                    context: &context,
                },
            );
            (engine.live.len(), asked.get())
        };
        assert_eq!(evaluate(29), (0, 0));
        assert_eq!(evaluate(30), (1, 1));
        assert_eq!(
            evaluate(29),
            (0, 2),
            "a pending alert whose condition ends leaves nothing behind"
        );
    }

    #[test]
    fn a_pending_alert_is_listed_and_counted_but_nobody_is_told() {
        let (mut engine, key) = (AlertEngine::default(), key("a"));
        assert_eq!(run(&mut engine, &key, &[30, 130]), None);
        assert_eq!(
            engine.counts(),
            AlertCounts {
                pending: 1,
                ..AlertCounts::default()
            }
        );
        assert_eq!((engine.snapshots(), engine.snapshot(&key)), (vec![], None));
        let listed = &engine.listed()[0];
        assert_eq!(
            (listed.state, listed.alert.severity),
            (AlertState::Pending, Severity::Critical)
        );
        assert_eq!(listed.alert.threshold, seconds(120));
    }

    #[test]
    fn a_transition_carries_the_alert_as_it_is() {
        let (mut engine, key) = (AlertEngine::default(), key("a"));
        let Transition { change, alert } = run(&mut engine, &key, &[40, 90, 50]).unwrap();
        assert_eq!(
            change,
            AlertChange::Fired {
                severity: Severity::Warning
            }
        );
        assert_eq!(
            (alert.started_at, alert.status, alert.resolved),
            (at(0), AlertStatus::Firing, None)
        );
        assert_eq!(
            (alert.value.estimate, alert.peak, alert.threshold),
            (Some(seconds(50)), Some(seconds(90)), seconds(30))
        );
        assert_eq!(alert.context.reason.as_deref(), Some("at 2"));
        assert_eq!(engine.snapshot(&key), Some(alert));
        assert_eq!(
            engine.counts(),
            AlertCounts {
                firing: 1,
                ..AlertCounts::default()
            }
        );
    }

    #[test]
    fn without_data_the_last_value_stays_and_the_context_moves_on() {
        let (mut engine, key) = (AlertEngine::default(), key("a"));
        run(&mut engine, &key, &[40, 40, 40]);
        assert_eq!(evaluate(&mut engine, 9, &key, None), None);
        let alert = engine.snapshot(&key).unwrap();
        assert_eq!(
            (alert.value.estimate, alert.context.reason.as_deref()),
            (Some(seconds(40)), Some("at 9"))
        );
    }

    #[test]
    fn a_resolved_alert_stays_as_it_ended_for_a_quarter_of_an_hour() {
        let (mut engine, key) = (AlertEngine::default(), key("a"));
        let ended = run(&mut engine, &key, &[130, 140, 130, 5]).unwrap();
        assert_eq!(
            ended.change,
            AlertChange::Resolved {
                reason: ResolveReason::Cleared
            }
        );
        assert_eq!(
            (ended.alert.severity, ended.alert.value.estimate),
            (Severity::Critical, Some(seconds(5)))
        );
        evaluate(&mut engine, 4, &key, Some(7));
        engine.expire(at(3) + RESOLVED_KEPT_FOR - Span::from_nanos(1));
        assert_eq!(engine.snapshots(), [ended.alert]);
        assert_eq!(
            engine.counts(),
            AlertCounts {
                resolved: 1,
                ..AlertCounts::default()
            }
        );
        engine.expire(at(3) + RESOLVED_KEPT_FOR);
        assert!(engine.live.is_empty());
    }

    #[test]
    fn an_alert_that_comes_back_begins_with_a_new_peak() {
        let (mut engine, key) = (AlertEngine::default(), key("a"));
        let alert = run(&mut engine, &key, &[90, 90, 90, 0, 40, 40, 40])
            .unwrap()
            .alert;
        assert_eq!(
            (alert.started_at, alert.peak, alert.resolved),
            (at(4), Some(seconds(40)), None)
        );
    }

    #[test]
    fn retiring_resolves_what_fires_and_forgets_what_is_pending() {
        let (mut engine, firing, pending) = (AlertEngine::default(), key("firing"), key("pending"));
        run(&mut engine, &firing, &[40, 40, 40]);
        run(&mut engine, &pending, &[40]);
        let ended = engine
            .retire(at(5), &firing, ResolveReason::Removed)
            .unwrap();
        assert_eq!(ended.alert.resolved, Some((at(5), ResolveReason::Removed)));
        assert_eq!(engine.retire(at(5), &pending, ResolveReason::Removed), None);
        assert_eq!(engine.retire(at(5), &firing, ResolveReason::Failover), None);
        assert_eq!(
            engine.counts(),
            AlertCounts {
                resolved: 1,
                ..AlertCounts::default()
            }
        );
    }

    #[test]
    fn bytes_are_judged_by_a_rule_of_bytes() {
        let labels = Arc::new(Labels::default());
        let key = AlertKey::new(Rule::LagBytes, labels);
        let at_1k = LevelThreshold {
            at: Bytes::new(1000),
            clear_below: Bytes::new(800),
        };
        let rule = LevelRule {
            warning: Some(at_1k),
            critical: None,
            pending_for: Span::ZERO,
            keep_firing_for: Span::ZERO,
        };
        let input = RuleInput::Bytes {
            rule: &rule,
            reading: Reading {
                lower: Some(Bytes::new(4096)),
                ..Reading::NO_DATA
            },
        };
        let context = || Arc::default();
        let evaluation = Evaluation {
            key: &key,
            input,
            context: &context,
        };
        let alert = AlertEngine::default()
            .evaluate(at(0), evaluation)
            .unwrap()
            .alert;
        assert_eq!(
            (alert.value.estimate, alert.peak),
            (None, Some(Quantity::Bytes(Bytes::new(4096))))
        );
    }
}
