//! The state machine of one alert: inactive, pending, firing, recovering, resolved.

mod firing;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::outages::{FlapSeries, Outages};
use super::{AlertChange, AlertState, LevelVerdict, Reading, ResolveReason};
use crate::config::{FlappingRule, LevelRule, LevelThreshold, Severity};
use crate::model::{ClockShift, Span, Timestamp};
use crate::replication::Pause;
use firing::{Firing, LevelVerdicts, Recovery};

/// One alert's state: clocks and a phase but no values, so that it is the same for every unit.
///
/// * A level fires at the first evaluation at which its condition holds and has held for the rule's
///   `for`, without an evaluation in between at which it did not. Both levels have their own clock,
///   so critical fires, or escalates a warning, without waiting again.
/// * The alert resolves when the warning level (and the level that it fires at) has been clear for
///   `keep_firing_for`. It falls from critical to warning when critical has been clear for as long
///   and warning is not clear.
/// * An evaluation without data changes nothing: clocks run on, but their consequences wait for
///   data.
/// * An alert with too many outages within a window flaps. It fires and resolves like any other, so
///   that it is shown as it is, but its short outages are muted, which means that they are not
///   notified. It settles when it has been clear, or has fired, for `stable_for`.
/// * A second evaluation at the same instant with the same reading changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Since when the warning condition has held without interruption.
    warning_since: Option<Timestamp>,
    /// Since when the critical condition has held without interruption.
    critical_since: Option<Timestamp>,
    phase: Phase,
    #[serde(default)]
    outages: Outages,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// Inactive, or pending while a clock runs.
    #[default]
    #[serde(rename = "quiet")]
    Inactive,
    Firing(Firing),
    Resolved {
        severity: Severity,
        started_at: Timestamp,
        at: Timestamp,
        reason: ResolveReason,
    },
}

/// The state of an alert that is not inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Pending, firing, recovering or resolved.
    pub state: AlertState,
    /// The severity that it fires at, or the last one that it had; while pending, the highest level
    /// whose condition holds.
    pub severity: Severity,
    /// The first evaluation at which its condition held.
    pub started_at: Timestamp,
    /// When and why it resolved.
    pub resolved: Option<(Timestamp, ResolveReason)>,
    /// The series of outages that this is one of, while the alert flaps.
    pub series: Option<FlapSeries>,
}

impl InstanceStatus {
    /// Whether it fires, recovering or not.
    pub const fn is_firing(&self) -> bool {
        matches!(self.state, AlertState::Firing | AlertState::Recovering)
    }
}

impl Instance {
    /// Applies one evaluation and returns what it changed.
    pub fn step<T>(
        &mut self,
        now: Timestamp,
        rule: &LevelRule<T>,
        flapping: Option<&FlappingRule>,
        reading: &Reading<T>,
    ) -> Option<AlertChange>
    where
        T: Copy + PartialOrd,
    {
        if rule.warning.is_none() && rule.critical.is_none() {
            return self.retire(now, ResolveReason::Removed);
        }
        if flapping.is_none() && self.outages.clear() {
            self.unmute();
            return Some(AlertChange::Settled);
        }
        if reading.is_no_data() {
            return None;
        }
        let verdicts = LevelVerdicts::new(rule, reading);
        let past = LevelVerdict::Past;
        run_while(&mut self.warning_since, now, verdicts.warning, past);
        run_while(&mut self.critical_since, now, verdicts.critical, past);
        let due = self.due(now, rule.pending_for, verdicts);
        match self.phase {
            Phase::Inactive | Phase::Resolved { .. } => {
                let change = self.fire(now, due);
                change.or_else(|| self.settle_clear(now))
            }
            Phase::Firing(firing) if due > Some(firing.severity) => {
                Some(self.escalate(now, firing))
            }
            Phase::Firing(firing) => {
                let change = self.recover(now, rule, flapping, verdicts, firing);
                change.or_else(|| self.settle_firing(now))
            }
        }
    }

    /// Records that no other alert inhibits it while it fires: it counts as an outage. Returns
    /// whether that is new.
    pub(super) fn mark_own_outage(&mut self) -> bool {
        match &mut self.phase {
            Phase::Firing(firing) => !std::mem::replace(&mut firing.counts, true),
            _ => false,
        }
    }

    /// The status of its firing or resolved episode, even if it is pending again; `None` when it
    /// has not fired.
    pub(super) fn firing_or_ended(&self) -> Option<InstanceStatus> {
        match self.phase {
            Phase::Inactive => None,
            Phase::Firing(_) => self.status(),
            Phase::Resolved {
                severity,
                started_at,
                at,
                reason,
            } => Some(InstanceStatus {
                state: AlertState::Resolved,
                severity,
                started_at,
                resolved: Some((at, reason)),
                series: self.outages.series(false),
            }),
        }
    }

    /// Whether it fires although its value is clear.
    pub(super) const fn is_recovering(&self) -> bool {
        matches!(&self.phase, Phase::Firing(firing) if firing.is_recovering())
    }

    /// Whether it flaps.
    pub(super) const fn is_flapping(&self) -> bool {
        self.outages.is_flapping()
    }

    /// Whether it may be dropped: it is inactive and had no outage within the last `window`.
    pub fn is_forgettable(&self, now: Timestamp, window: Span) -> bool {
        self.status().is_none() && self.outages.are_old(now, window)
    }

    /// Ends a series of outages when it has been clear for long enough.
    fn settle_clear(&mut self, now: Timestamp) -> Option<AlertChange> {
        let Phase::Resolved { at, .. } = self.phase else {
            return None;
        };
        let is_pending = self.pending_since().is_some();
        if is_pending || !self.outages.settle(now, at) {
            return None;
        }
        Some(AlertChange::Settled)
    }

    /// Ends a series of outages when it has fired for long enough.
    fn settle_firing(&mut self, now: Timestamp) -> Option<AlertChange> {
        let Phase::Firing(firing) = self.phase else {
            return None;
        };
        if firing.is_recovering() || !self.outages.settle(now, firing.started_at) {
            return None;
        }
        self.unmute();
        Some(AlertChange::Settled)
    }

    fn unmute(&mut self) {
        if let Phase::Firing(firing) = &mut self.phase {
            firing.muted = false;
        }
    }

    /// Ends the alert for a reason other than its value.
    pub fn retire(&mut self, now: Timestamp, reason: ResolveReason) -> Option<AlertChange> {
        let flapped = self.outages.clear();
        self.warning_since = None;
        self.critical_since = None;
        match self.phase {
            Phase::Firing(firing) => Some(self.resolve(now, firing, reason)),
            Phase::Resolved { .. } if flapped => Some(AlertChange::Settled),
            Phase::Inactive | Phase::Resolved { .. } => None,
        }
    }

    /// Maps its clocks from the clock of the process that saved it.
    pub(super) fn shift(&mut self, shift: &ClockShift) {
        let map = |clock: &mut Option<Timestamp>| *clock = clock.map(|at| shift.past(at));
        map(&mut self.warning_since);
        map(&mut self.critical_since);
        self.outages.shift(shift);
        match &mut self.phase {
            Phase::Inactive => {}
            Phase::Firing(firing) => {
                firing.started_at = shift.past(firing.started_at);
                map(&mut firing.level_clear_since);
                map(&mut firing.all_clear_since);
            }
            Phase::Resolved { started_at, at, .. } => {
                *started_at = shift.past(*started_at);
                *at = shift.past(*at);
            }
        }
    }

    /// Skips a pause of the exporter: whether a condition held meanwhile is not known, so the pause
    /// does not count for the clocks of conditions.
    pub(super) fn skip_pause(&mut self, pause: Pause) {
        let skip = |clock: &mut Option<Timestamp>| {
            *clock = clock.map(|since| since + pause.after(since));
        };
        skip(&mut self.warning_since);
        skip(&mut self.critical_since);
        if let Phase::Firing(firing) = &mut self.phase {
            skip(&mut firing.level_clear_since);
            skip(&mut firing.all_clear_since);
        }
    }

    /// Restarts the clocks of levels that do not fire.
    pub(super) fn forget_pending(&mut self) {
        self.warning_since = None;
        self.critical_since = None;
        if let Phase::Firing(firing) = &mut self.phase {
            firing.level_clear_since = None;
            firing.all_clear_since = None;
        }
    }

    /// The alert's state; `None` while it is inactive.
    pub fn status(&self) -> Option<InstanceStatus> {
        match self.phase {
            Phase::Inactive => self.pending_status(),
            Phase::Firing(firing) => {
                let series = self.outages.series(firing.muted);
                Some(firing.status(series))
            }
            Phase::Resolved { .. } => self.pending_status().or_else(|| self.firing_or_ended()),
        }
    }

    fn pending_status(&self) -> Option<InstanceStatus> {
        let started_at = self.pending_since()?;
        let severity = if self.critical_since.is_some() {
            Severity::Critical
        } else {
            Severity::Warning
        };
        Some(InstanceStatus {
            state: AlertState::Pending,
            severity,
            started_at,
            resolved: None,
            series: self.outages.series(false),
        })
    }

    fn pending_since(&self) -> Option<Timestamp> {
        match (self.warning_since, self.critical_since) {
            (Some(warning), Some(critical)) => Some(warning.min(critical)),
            (warning, critical) => warning.or(critical),
        }
    }

    /// The highest level whose condition holds now and has held for `pending_for`.
    fn due(&self, now: Timestamp, pending_for: Span, verdicts: LevelVerdicts) -> Option<Severity> {
        let is_due =
            |verdict, since| verdict == LevelVerdict::Past && has_lasted(since, now, pending_for);
        if is_due(verdicts.critical, self.critical_since) {
            Some(Severity::Critical)
        } else if is_due(verdicts.warning, self.warning_since) {
            Some(Severity::Warning)
        } else {
            None
        }
    }

    /// From inactive, pending or resolved: a running clock makes it pending, a level that is due
    /// makes it fire. While it flaps, its last episode is remembered over a pending moment.
    fn fire(&mut self, now: Timestamp, due: Option<Severity>) -> Option<AlertChange> {
        let started_at = self.pending_since()?;
        if !self.outages.is_flapping() {
            self.phase = Phase::Inactive;
        }
        let severity = due?;
        let mut firing = Firing::new(severity, started_at);
        firing.muted = self.outages.mute(now, started_at, severity);
        self.phase = Phase::Firing(firing);
        Some(AlertChange::Fired { severity })
    }

    fn escalate(&mut self, now: Timestamp, firing: Firing) -> AlertChange {
        self.outages.record_critical(now);
        self.phase = Phase::Firing(Firing {
            counts: firing.counts,
            ..Firing::new(Severity::Critical, firing.started_at)
        });
        AlertChange::Escalated
    }

    /// Runs the clocks of a firing alert while its levels are clear. It deescalates or resolves
    /// once they have been clear for long enough.
    fn recover<T>(
        &mut self,
        now: Timestamp,
        rule: &LevelRule<T>,
        flapping: Option<&FlappingRule>,
        verdicts: LevelVerdicts,
        mut firing: Firing,
    ) -> Option<AlertChange> {
        let own = verdicts.of_level(firing.severity);
        let all = verdicts.up_to_level(firing.severity);
        let clear = LevelVerdict::Clear;
        run_while(&mut firing.level_clear_since, now, own, clear);
        run_while(&mut firing.all_clear_since, now, all, clear);
        self.phase = Phase::Firing(firing);
        match firing.recovery(now, own, all, rule.keep_firing_for)? {
            Recovery::ToWarning => Some(self.deescalate(firing)),
            Recovery::ToResolved => {
                if let Some(flapping) = flapping
                    && firing.counts
                {
                    self.outages.count(firing.started_at, now, flapping);
                }
                let reason = resolve_reason(rule, firing.severity);
                Some(self.resolve(now, firing, reason))
            }
        }
    }

    fn deescalate(&mut self, firing: Firing) -> AlertChange {
        self.phase = Phase::Firing(Firing {
            severity: Severity::Warning,
            level_clear_since: firing.all_clear_since,
            ..firing
        });
        AlertChange::Deescalated
    }

    fn resolve(&mut self, at: Timestamp, firing: Firing, reason: ResolveReason) -> AlertChange {
        self.phase = Phase::Resolved {
            severity: firing.severity,
            started_at: firing.started_at,
            at,
            reason,
        };
        AlertChange::Resolved { reason }
    }
}

/// The threshold of a level, if the level is on.
pub(super) const fn level<T>(
    rule: &LevelRule<T>,
    severity: Severity,
) -> Option<&LevelThreshold<T>> {
    match severity {
        Severity::Warning => rule.warning.as_ref(),
        Severity::Critical => rule.critical.as_ref(),
    }
}

/// A level may be switched off while it fires; then no value has cleared it.
const fn resolve_reason<T>(rule: &LevelRule<T>, severity: Severity) -> ResolveReason {
    if level(rule, severity).is_some() {
        ResolveReason::Cleared
    } else {
        ResolveReason::Removed
    }
}

/// Runs a clock while `verdict` is the wanted one. An unknown verdict leaves the clock as it is.
fn run_while(
    clock: &mut Option<Timestamp>,
    now: Timestamp,
    verdict: LevelVerdict,
    wanted: LevelVerdict,
) {
    if verdict == wanted {
        clock.get_or_insert(now);
    } else if verdict != LevelVerdict::Unknown {
        *clock = None;
    }
}

fn has_lasted(since: Option<Timestamp>, now: Timestamp, at_least: Span) -> bool {
    since.is_some_and(|since| now - since >= at_least)
}
