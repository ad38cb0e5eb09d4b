//! One alert of the engine: its state machine, its last value and the context of its messages.

use std::sync::Arc;

use super::RESOLVED_KEPT_FOR;
use crate::alert::instance::level;
use crate::alert::{
    AlertChange, AlertContext, AlertKey, AlertSnapshot, AlertState, AlertStatus, Decision,
    Instance, InstanceStatus, ListedAlert, Measured, MutedBy, Quantity, Reading, ResolveReason,
    Transition,
};
use crate::config::{FlappingRule, LevelRule, Severity};
use crate::model::{Span, Timestamp};

/// One alert that is pending, firing or recently resolved.
#[derive(Debug)]
pub(super) struct ActiveAlert {
    pub(super) instance: Instance,
    pub(super) value: Measured,
    pub(super) threshold: Quantity,
    pub(super) peak: Option<Quantity>,
    pub(super) context: Arc<AlertContext>,
    pub(super) muted_by: Option<MutedBy>,
    pub(super) decision: Option<Decision>,
    /// When its value was last read.
    pub(super) read_at: Timestamp,
    /// Whether its target was evaluated in this process.
    pub(super) is_confirmed: bool,
    /// The last alert that inhibited this one while it fired, until a receiver was notified.
    pub(super) inhibitor: Option<AlertKey>,
    /// Whether a receiver was notified of it since it began.
    pub(super) notified: bool,
}

impl ActiveAlert {
    /// The alert of an instance that has just become pending or firing; `None` when the instance
    /// stayed inactive.
    pub(super) fn new<T: Copy + Into<Quantity>>(
        now: Timestamp,
        instance: Instance,
        rule: &LevelRule<T>,
        reading: Reading<T>,
        context: &dyn Fn() -> Arc<AlertContext>,
        change: Option<AlertChange>,
    ) -> Option<Self> {
        let severity = instance.status()?.severity;
        let threshold = level(rule, severity)?.at.into();
        let value = Measured::from(reading);
        let mut active = Self {
            instance,
            value,
            threshold,
            peak: value.best(),
            context: context(),
            muted_by: None,
            decision: None,
            read_at: now,
            is_confirmed: true,
            inhibitor: None,
            notified: false,
        };
        active.record_decision(now, change);
        Some(active)
    }

    /// Applies one evaluation and returns what it changed.
    pub(super) fn step<T: Copy + PartialOrd + Into<Quantity>>(
        &mut self,
        now: Timestamp,
        rule: &LevelRule<T>,
        flapping: Option<&FlappingRule>,
        reading: Reading<T>,
        context: &dyn Fn() -> Arc<AlertContext>,
    ) -> Option<AlertChange> {
        self.is_confirmed = true;
        let was_open = self.is_open();
        let change = self.instance.step(now, rule, flapping, &reading);
        if !was_open && !self.is_open() {
            // A resolved alert keeps the value and the context that it ended with.
            self.record_decision(now, change);
            return change;
        }
        if was_open {
            let context = Arc::unwrap_or_clone(context());
            self.context = Arc::new(context.continuing(&self.context));
        } else {
            self.begin_again(context());
        }
        if !reading.is_no_data() {
            self.observe(Measured::from(reading));
            self.read_at = now;
        }
        self.update_threshold(rule);
        self.record_decision(now, change);
        change
    }

    /// Forgets what was known of the episode before.
    fn begin_again(&mut self, context: Arc<AlertContext>) {
        self.context = context;
        self.peak = None;
        self.decision = None;
        self.inhibitor = None;
        self.notified = false;
    }

    /// Adopts the threshold of its present severity, if that level is on.
    fn update_threshold<T: Into<Quantity> + Copy>(&mut self, rule: &LevelRule<T>) {
        if let Some(status) = self.instance.status()
            && let Some(level) = level(rule, status.severity)
        {
            self.threshold = level.at.into();
        }
    }

    fn observe(&mut self, value: Measured) {
        self.value = value;
        let Some(best) = value.best() else {
            return;
        };
        let is_worse = self.peak.is_none_or(|peak| best.badness() > peak.badness());
        if is_worse {
            self.peak = Some(best);
        }
    }

    /// Ends the alert for a reason other than its value.
    pub(super) fn retire(&mut self, now: Timestamp, reason: ResolveReason) -> Option<AlertChange> {
        let change = self.instance.retire(now, reason);
        self.record_decision(now, change);
        change
    }

    fn record_decision(&mut self, at: Timestamp, change: Option<AlertChange>) {
        if let Some(change) = change {
            self.decision = Some(Decision {
                change,
                at,
                value: self.value,
            });
        }
    }

    /// Whether it is pending or fires.
    pub(super) fn is_open(&self) -> bool {
        let status = self.instance.status();
        status.is_some_and(|status| status.resolved.is_none())
    }

    pub(super) fn is_firing(&self) -> bool {
        let status = self.instance.status();
        status.is_some_and(|status| status.is_firing())
    }

    /// Whether it can be dropped: it resolved long ago, and has no outages left to remember.
    pub(super) fn is_expired(&self, now: Timestamp, flapping_window: Span) -> bool {
        if self.instance.is_forgettable(now, flapping_window) {
            return true;
        }
        let Some(resolved_at) = self.resolved_at() else {
            return false;
        };
        let kept_for = RESOLVED_KEPT_FOR.max(flapping_window);
        now - resolved_at >= kept_for && !self.instance.is_flapping()
    }

    fn resolved_at(&self) -> Option<Timestamp> {
        let (at, _) = self.instance.status()?.resolved?;
        Some(at)
    }

    /// Records that a receiver was notified. Returns whether that changed anything.
    pub(super) fn mark_notified(&mut self) -> bool {
        if self.notified {
            return false;
        }
        self.notified = true;
        self.inhibitor = None;
        true
    }

    /// Records what inhibits it now. Returns whether it has to be saved.
    pub(super) fn set_inhibitor(&mut self, inhibitor: Option<AlertKey>) -> bool {
        if inhibitor.is_none() {
            return self.instance.mark_own_outage();
        }
        if self.notified || self.inhibitor == inhibitor {
            return false;
        }
        self.inhibitor = inhibitor;
        true
    }

    /// The highest severity that it inhibits: while it fires, and for `linger` after that, because
    /// its effects outlast it for a moment.
    pub(super) fn inhibits_up_to(&self, now: Timestamp, linger: Span) -> Option<Severity> {
        let status = self.instance.firing_or_ended()?;
        let end = status.resolved.map(|(at, _)| at);
        inhibits_up_to(status.severity, end, self.decision, now, linger)
    }

    pub(super) fn transition(
        &self,
        key: &AlertKey,
        change: Option<AlertChange>,
    ) -> Option<Transition> {
        let change = change?;
        let alert = self.listed(key)?.alert;
        Some(Transition { change, alert })
    }

    /// The alert, unless it is only pending.
    pub(super) fn snapshot(&self, key: &AlertKey) -> Option<Arc<AlertSnapshot>> {
        let listed = self.listed(key)?;
        match listed.state {
            AlertState::Pending => None,
            _ => Some(listed.alert),
        }
    }

    /// The alert as it is listed; `None` while it is inactive.
    pub(super) fn listed(&self, key: &AlertKey) -> Option<ListedAlert> {
        let InstanceStatus {
            state,
            severity,
            started_at,
            resolved,
            series,
        } = self.instance.status()?;
        let status = if resolved.is_some() {
            AlertStatus::Resolved
        } else {
            AlertStatus::Firing
        };
        // The resolve of an alert that was notified is notified as well: nothing mutes it.
        let is_notified_resolve = resolved.is_some() && self.notified;
        let muted_by = if is_notified_resolve {
            None
        } else {
            self.muted_by.clone()
        };
        let alert = AlertSnapshot {
            identity: key.identity().clone(),
            fingerprint: key.fingerprint(),
            severity,
            status,
            started_at,
            resolved,
            value: self.value,
            threshold: self.threshold,
            peak: self.peak,
            context: Arc::clone(&self.context),
            muted_by,
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

/// The highest severity that an alert of this `severity` inhibits: one that resolved at `end`, if
/// it has, and whose last change was `decision`.
pub(in crate::alert) fn inhibits_up_to(
    severity: Severity,
    end: Option<Timestamp>,
    decision: Option<Decision>,
    now: Timestamp,
    linger: Span,
) -> Option<Severity> {
    let is_recent = |at: Timestamp| now - at < linger;
    match (end, decision) {
        (Some(end), _) if is_recent(end) => Some(severity),
        (Some(_), _) => None,
        (None, Some(last)) if last.change == AlertChange::Deescalated && is_recent(last.at) => {
            Some(Severity::Critical)
        }
        (None, _) => Some(severity),
    }
}
