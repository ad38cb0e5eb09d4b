//! The state machine of one alert: inactive, pending, firing, recovering, resolved.

use serde::{Deserialize, Serialize};

use super::outages::{Outages, Series};
use super::{AlertChange, AlertState, Reading, ResolveReason, Verdict};
use crate::config::{FlappingRule, LevelRule, LevelThreshold, Severity};
use crate::model::{ClockShift, Span, Timestamp};
use crate::replication::Pause;

/// One alert's state: clocks and a phase, no values, so that it is the same for every unit.
///
/// * A level fires at the first evaluation at which its condition holds and has held for `hold`,
///   without an evaluation in between at which it did not. Both levels are timed, so critical
///   fires, or escalates a warning, at once.
/// * It resolves when the warning level (and the level that it fires at) has been clear for
///   `keep_firing_for`; it goes from critical to warning when critical has been, and warning is not
///   clear.
/// * An evaluation without data changes nothing: clocks go on, but what they lead to waits for
///   data.
/// * An alert that had too many outages within a window flaps. It fires and resolves as any other,
///   so that it is shown as it is; but its short outages are muted: nobody is notified of them. It
///   settles when it has been clear, or has fired, for as long as `stable_for`.
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
    Quiet,
    Firing(Firing),
    Resolved {
        severity: Severity,
        started_at: Timestamp,
        at: Timestamp,
        reason: ResolveReason,
    },
}

/// An alert that fires; it is recovering while one of its clocks runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Firing {
    severity: Severity,
    started_at: Timestamp,
    /// Since when the level that it fires at has been clear.
    level_clear_since: Option<Timestamp>,
    /// Since when the warning level has been clear as well.
    all_clear_since: Option<Timestamp>,
    /// Whether it is an outage of its own: some time nothing else explained it.
    #[serde(default)]
    counts: bool,
    /// Whether nobody is notified of it, because the alert flaps.
    #[serde(default)]
    muted: bool,
}

/// Where an alert stands that is not inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Its state.
    pub state: AlertState,
    /// The severity that it fires at, or the last one that it had; while pending, the highest level
    /// that holds.
    pub severity: Severity,
    /// When its condition began to hold: at the first evaluation that saw it.
    pub started_at: Timestamp,
    /// When and why it resolved.
    pub resolved: Option<(Timestamp, ResolveReason)>,
    /// The series of outages that this is one of, while the alert flaps.
    pub series: Option<Series>,
}

/// What a reading says about both levels.
#[derive(Clone, Copy)]
struct Verdicts {
    warning: Verdict,
    critical: Verdict,
}

impl Instance {
    /// Takes one evaluation into account and says what it changed.
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
        if flapping.is_none() && self.outages.forget() {
            self.unmute();
            return Some(AlertChange::Settled);
        }
        if reading.is_no_data() {
            return None;
        }
        let verdicts = Verdicts {
            warning: reading.judge(Severity::Warning, rule.warning.as_ref()),
            critical: reading.judge(Severity::Critical, rule.critical.as_ref()),
        };
        run_while(
            &mut self.warning_since,
            now,
            verdicts.warning,
            Verdict::Past,
        );
        run_while(
            &mut self.critical_since,
            now,
            verdicts.critical,
            Verdict::Past,
        );
        let due = self.due(now, rule.pending_for, verdicts);
        match self.phase {
            Phase::Quiet | Phase::Resolved { .. } => {
                self.rise(now, due).or_else(|| self.settle_clear(now))
            }
            Phase::Firing(firing) if due > Some(firing.severity) => {
                Some(self.escalate(now, firing))
            }
            Phase::Firing(firing) => self
                .recover(now, rule, flapping, verdicts, firing)
                .or_else(|| self.settle_firing(now)),
        }
    }

    /// Takes in that nothing else explains that it fires: it is an outage of its own. Returns
    /// whether that is news.
    pub(super) fn note_unexplained(&mut self) -> bool {
        match &mut self.phase {
            Phase::Firing(firing) => !std::mem::replace(&mut firing.counts, true),
            _ => false,
        }
    }

    /// Where it stands or stood, whatever is pending meanwhile; `None` when it has not fired.
    pub(super) fn ended_or_firing(&self) -> Option<InstanceStatus> {
        match self.phase {
            Phase::Quiet => None,
            Phase::Firing(_) => self.standing(),
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
    pub(super) const fn flaps(&self) -> bool {
        self.outages.flap()
    }

    /// Whether nothing of it matters any more: it is inactive and had no outage since `window` ago.
    pub fn is_forgettable(&self, now: Timestamp, window: Span) -> bool {
        self.standing().is_none() && self.outages.are_old(now, window)
    }

    /// It flaps, and has been clear for long enough.
    fn settle_clear(&mut self, now: Timestamp) -> Option<AlertChange> {
        let Phase::Resolved { at, .. } = self.phase else {
            return None;
        };
        let settles = self.pending_since().is_none() && self.outages.settles(now, at);
        settles.then_some(AlertChange::Settled)
    }

    /// It flaps, and has fired for long enough.
    fn settle_firing(&mut self, now: Timestamp) -> Option<AlertChange> {
        let Phase::Firing(firing) = self.phase else {
            return None;
        };
        let settles = !firing.is_recovering() && self.outages.settles(now, firing.started_at);
        settles.then(|| {
            self.unmute();
            AlertChange::Settled
        })
    }

    fn unmute(&mut self) {
        if let Phase::Firing(firing) = &mut self.phase {
            firing.muted = false;
        }
    }

    /// Ends the alert for a reason other than its value.
    pub fn retire(&mut self, now: Timestamp, reason: ResolveReason) -> Option<AlertChange> {
        let flapped = self.outages.forget();
        self.warning_since = None;
        self.critical_since = None;
        match self.phase {
            Phase::Firing(firing) => Some(self.resolve(now, firing, reason)),
            Phase::Resolved { .. } if flapped => Some(AlertChange::Settled),
            Phase::Quiet | Phase::Resolved { .. } => None,
        }
    }

    /// Reads its clocks, which are of another life.
    pub(super) fn shift(&mut self, shift: &ClockShift) {
        let past = |clock: &mut Option<Timestamp>| *clock = clock.map(|at| shift.past(at));
        past(&mut self.warning_since);
        past(&mut self.critical_since);
        self.outages.shift(shift);
        match &mut self.phase {
            Phase::Quiet => {}
            Phase::Firing(firing) => {
                firing.started_at = shift.past(firing.started_at);
                past(&mut firing.level_clear_since);
                past(&mut firing.all_clear_since);
            }
            Phase::Resolved { started_at, at, .. } => {
                (*started_at, *at) = (shift.past(*started_at), shift.past(*at));
            }
        }
    }

    /// Takes in that the exporter was paused: nobody saw whether a condition held meanwhile, so the
    /// clocks that wait for one to have held pass over that time.
    pub(super) fn pass_over(&mut self, pause: Pause) {
        let pass = |clock: &mut Option<Timestamp>| {
            *clock = clock.map(|since| since + pause.after(since));
        };
        pass(&mut self.warning_since);
        pass(&mut self.critical_since);
        if let Phase::Firing(firing) = &mut self.phase {
            pass(&mut firing.level_clear_since);
            pass(&mut firing.all_clear_since);
        }
    }

    /// Lets the clocks of levels that do not fire begin anew.
    pub(super) fn forget_pending(&mut self) {
        (self.warning_since, self.critical_since) = (None, None);
        if let Phase::Firing(firing) = &mut self.phase {
            (firing.level_clear_since, firing.all_clear_since) = (None, None);
        }
    }

    /// Where the alert stands; `None` while it is inactive.
    pub fn standing(&self) -> Option<InstanceStatus> {
        match self.phase {
            Phase::Quiet => self.pending(),
            Phase::Firing(firing) => {
                let series = self.outages.series(firing.muted);
                Some(firing.standing(series))
            }
            Phase::Resolved { .. } => self.pending().or_else(|| self.ended_or_firing()),
        }
    }

    fn pending(&self) -> Option<InstanceStatus> {
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
        self.warning_since
            .into_iter()
            .chain(self.critical_since)
            .min()
    }

    /// The highest level whose condition holds now and has held for `hold`.
    fn due(&self, now: Timestamp, pending_for: Span, verdicts: Verdicts) -> Option<Severity> {
        let critical =
            verdicts.critical == Verdict::Past && lasted(self.critical_since, now, pending_for);
        let warning =
            verdicts.warning == Verdict::Past && lasted(self.warning_since, now, pending_for);
        critical
            .then_some(Severity::Critical)
            .or(warning.then_some(Severity::Warning))
    }

    /// From inactive, pending or resolved: a clock that runs makes it pending, a level that is due
    /// makes it fire. While it flaps, what resolved last is remembered over a pending moment.
    fn rise(&mut self, now: Timestamp, due: Option<Severity>) -> Option<AlertChange> {
        let started_at = self.pending_since()?;
        if !self.outages.flap() {
            self.phase = Phase::Quiet;
        }
        let severity = due?;
        let mut firing = Firing::new(severity, started_at);
        firing.muted = self.outages.mutes(now, started_at, severity);
        self.phase = Phase::Firing(firing);
        Some(AlertChange::Fired { severity })
    }

    fn escalate(&mut self, now: Timestamp, firing: Firing) -> AlertChange {
        self.outages.note_critical(now);
        self.phase = Phase::Firing(Firing {
            counts: firing.counts,
            ..Firing::new(Severity::Critical, firing.started_at)
        });
        AlertChange::Escalated
    }

    fn recover<T>(
        &mut self,
        now: Timestamp,
        rule: &LevelRule<T>,
        flapping: Option<&FlappingRule>,
        verdicts: Verdicts,
        mut firing: Firing,
    ) -> Option<AlertChange> {
        let (level, all) = verdicts.of(firing.severity);
        run_while(&mut firing.level_clear_since, now, level, Verdict::Clear);
        run_while(&mut firing.all_clear_since, now, all, Verdict::Clear);
        self.phase = Phase::Firing(firing);
        match firing.calms(now, level, all, rule.keep_firing_for)? {
            Calm::Lower => Some(self.deescalate(firing)),
            Calm::Over => {
                if let Some(flapping) = flapping.filter(|_| firing.counts) {
                    self.outages.count(firing.started_at, now, flapping);
                }
                Some(self.resolve(now, firing, reason_to_resolve(rule, firing.severity)))
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

/// How an alert that fires may calm down.
#[derive(Clone, Copy)]
enum Calm {
    /// It resolves.
    Over,
    /// From critical to warning.
    Lower,
}

impl Firing {
    const fn new(severity: Severity, started_at: Timestamp) -> Self {
        Self {
            severity,
            started_at,
            level_clear_since: None,
            all_clear_since: None,
            counts: false,
            muted: false,
        }
    }

    /// How it calms down now, if what was read has been clear for `keep`.
    fn calms(self, now: Timestamp, level: Verdict, all: Verdict, keep: Span) -> Option<Calm> {
        if all == Verdict::Clear {
            return lasted(self.all_clear_since, now, keep).then_some(Calm::Over);
        }
        (level == Verdict::Clear && lasted(self.level_clear_since, now, keep))
            .then_some(Calm::Lower)
    }

    /// Whether its level is clear, but not yet for long enough.
    const fn is_recovering(self) -> bool {
        self.level_clear_since.is_some() || self.all_clear_since.is_some()
    }

    const fn standing(self, series: Option<Series>) -> InstanceStatus {
        let state = if self.is_recovering() {
            AlertState::Recovering
        } else {
            AlertState::Firing
        };
        InstanceStatus {
            state,
            severity: self.severity,
            started_at: self.started_at,
            resolved: None,
            series,
        }
    }
}

impl Verdicts {
    /// The verdict on the level that fires, and on this level and the warning level together.
    fn of(self, severity: Severity) -> (Verdict, Verdict) {
        match severity {
            Severity::Warning => (self.warning, self.warning),
            Severity::Critical => (self.critical, self.together()),
        }
    }

    /// Clear when both levels are; not clear as soon as one of them certainly is not.
    fn together(self) -> Verdict {
        let both = [self.warning, self.critical];
        if both
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Past | Verdict::Below))
        {
            Verdict::Below
        } else if both.contains(&Verdict::Unknown) {
            Verdict::Unknown
        } else {
            Verdict::Clear
        }
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

/// A level may be switched off while it fires: then no value has cleared it.
const fn reason_to_resolve<T>(rule: &LevelRule<T>, severity: Severity) -> ResolveReason {
    if level(rule, severity).is_some() {
        ResolveReason::Cleared
    } else {
        ResolveReason::Removed
    }
}

/// Runs a clock while `verdict` is the wanted one; a verdict that cannot say leaves the clock as it
/// is.
fn run_while(clock: &mut Option<Timestamp>, now: Timestamp, verdict: Verdict, wanted: Verdict) {
    if verdict == wanted {
        clock.get_or_insert(now);
    } else if verdict != Verdict::Unknown {
        *clock = None;
    }
}

fn lasted(since: Option<Timestamp>, now: Timestamp, at_least: Span) -> bool {
    since.is_some_and(|since| now - since >= at_least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{Critical, Warning};

    /// Warning at 30 (clear below 24), critical at 120 (clear below 96).
    const fn rule(hold: i64, keep_firing_for: i64) -> LevelRule<u64> {
        LevelRule {
            warning: Some(LevelThreshold {
                at: 30,
                clear_below: 24,
            }),
            critical: Some(LevelThreshold {
                at: 120,
                clear_below: 96,
            }),
            pending_for: Span::from_secs(hold),
            keep_firing_for: Span::from_secs(keep_firing_for),
        }
    }

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// One word: `-` no data, `40` exact, `L40` only a lower bound, `E40` only an estimate, `U40`
    /// estimate and lower bound but no upper bound, `lower/estimate/upper`.
    fn reading(word: &str) -> Reading<u64> {
        let number = |text: &str| Some(text.parse().unwrap());
        match (word, word.split('/').collect::<Vec<_>>().as_slice()) {
            ("-", _) => Reading::NO_DATA,
            (_, [lower, estimate, upper]) => Reading {
                lower: number(lower),
                estimate: number(estimate),
                upper: number(upper),
            },
            _ if word.starts_with('L') => Reading {
                lower: number(&word[1..]),
                ..Reading::NO_DATA
            },
            _ if word.starts_with('E') => Reading {
                estimate: number(&word[1..]),
                ..Reading::NO_DATA
            },
            _ if word.starts_with('U') => Reading {
                upper: None,
                ..Reading::exact(word[1..].parse().unwrap())
            },
            _ => Reading::exact(word.parse().unwrap()),
        }
    }

    fn spell(change: Option<AlertChange>) -> &'static str {
        match change {
            None => ".",
            Some(AlertChange::Fired { severity: Warning }) => "warn",
            Some(AlertChange::Fired { severity: Critical }) => "crit",
            Some(AlertChange::Escalated) => "up",
            Some(AlertChange::Deescalated) => "down",
            Some(AlertChange::Flapping) => "flap",
            Some(AlertChange::Settled) => "settled",
            Some(AlertChange::Resolved {
                reason: ResolveReason::Cleared,
            }) => "ok",
            Some(AlertChange::Resolved {
                reason: ResolveReason::Removed | ResolveReason::Failover,
            }) => "gone",
        }
    }

    /// One reading a second, and what each of them changes.
    fn check(rule: &LevelRule<u64>, readings: &str, changes: &str) {
        let mut instance = Instance::default();
        let mut seen = Vec::new();
        for (second, word) in (0..).zip(readings.split_whitespace()) {
            seen.push(spell(instance.step(at(second), rule, None, &reading(word))));
            assert_eq!(
                instance.step(at(second), rule, None, &reading(word)),
                None,
                "the same evaluation twice: {readings}"
            );
        }
        assert_eq!(seen.join(" "), changes, "{readings}");
    }

    #[test]
    fn it_fires_once_the_condition_has_held_for_long_enough() {
        check(&rule(0, 0), "0 30", ". warn");
        check(&rule(2, 0), "30 30 30 30", ". . warn .");
        check(&rule(2, 0), "29 29 29 29", ". . . .");
        check(&rule(2, 0), "120 120 120", ". . crit");
        check(&rule(2, 0), "L30 L30 L30", ". . warn");
    }

    #[test]
    fn a_flap_shorter_than_hold_starts_the_clock_anew() {
        check(&rule(2, 0), "30 30 29 30 30 30", ". . . . . warn");
        check(&rule(2, 0), "120 120 30 120 120 120", ". . warn . . up");
    }

    #[test]
    fn a_warning_escalates_when_critical_has_held_for_long_enough() {
        check(&rule(0, 0), "30 120", "warn up");
        check(&rule(2, 0), "30 30 120 120 120", ". . warn . up");
        check(&rule(2, 0), "30 120 120 120", ". . warn up");
        check(&rule(2, 0), "120 120 120 100 120", ". . crit . .");
    }

    #[test]
    fn critical_needs_the_lower_bound_and_clearing_needs_the_upper_bound() {
        check(&rule(0, 0), "119/500/900 120/500/900", "warn up");
        check(&rule(0, 0), "0/30/30 0/0/24 0/0/23", "warn . ok");
        check(&rule(0, 0), "30 U0 U0 L0 0", "warn . . . ok");
        check(&rule(0, 0), "120 0/0/96 0/0/95", "crit . down");
    }

    #[test]
    fn hysteresis_keeps_it_firing_between_the_thresholds() {
        check(&rule(0, 0), "30 29 24 23", "warn . . ok");
        check(&rule(0, 0), "120 119 96 95 24 23", "crit . . down . ok");
    }

    #[test]
    fn it_resolves_once_it_was_clear_for_long_enough() {
        check(&rule(0, 2), "30 0 0 0", "warn . . ok");
        check(&rule(0, 2), "30 0 0 24 0 0 0", "warn . . . . . ok");
        check(&rule(0, 2), "120 0 0 0", "crit . . ok");
        check(&rule(0, 2), "120 50 50 50 0 0 0", "crit . . down . . ok");
        check(&rule(0, 2), "120 50 50 0 0 0", "crit . . . . ok");
        check(&rule(0, 2), "120 50 0 0 50", "crit . . . down");
        check(&rule(0, 2), "120 0 E60 0 0 0", "crit . . . . ok");
    }

    #[test]
    fn without_data_nothing_changes_and_no_clock_stops() {
        check(&rule(2, 0), "30 - - - 30", ". . . . warn");
        check(&rule(2, 0), "30 - - - 29 30", ". . . . . .");
        check(&rule(0, 2), "30 - - -", "warn . . .");
        check(&rule(0, 2), "30 0 - - - 0", "warn . . . . ok");
        check(&rule(0, 0), "- - -", ". . .");
    }

    #[test]
    fn after_it_resolved_it_begins_anew() {
        check(&rule(1, 0), "30 30 0 30 30 0", ". warn ok . warn ok");
        check(&rule(0, 0), "30 0 120 0", "warn ok crit ok");
    }

    #[test]
    fn a_level_may_be_off() {
        let critical_only = LevelRule {
            warning: None,
            ..rule(0, 0)
        };
        let warning_only = LevelRule {
            critical: None,
            ..rule(0, 0)
        };
        let off = LevelRule {
            warning: None,
            ..warning_only
        };
        check(&critical_only, "50 120 96 95", ". crit . ok");
        check(&warning_only, "500 24 23", "warn . ok");
        check(&off, "500 500", ". .");
    }

    #[test]
    fn a_level_that_is_switched_off_while_it_fires_lets_go() {
        let check = |first: u64, rule: LevelRule<u64>, then: u64, changes: [&str; 2]| {
            let mut instance = Instance::default();
            let fired = spell(instance.step(
                at(0),
                &super::tests::rule(0, 0),
                None,
                &Reading::exact(first),
            ));
            assert_eq!(
                [
                    fired,
                    spell(instance.step(at(1), &rule, None, &Reading::exact(then)))
                ],
                changes
            );
        };
        check(
            50,
            LevelRule {
                warning: None,
                ..rule(0, 0)
            },
            50,
            ["warn", "gone"],
        );
        check(
            50,
            LevelRule {
                warning: None,
                ..rule(0, 0)
            },
            120,
            ["warn", "up"],
        );
        check(
            120,
            LevelRule {
                critical: None,
                ..rule(0, 0)
            },
            120,
            ["crit", "down"],
        );
        check(
            120,
            LevelRule {
                warning: None,
                critical: None,
                ..rule(0, 0)
            },
            120,
            ["crit", "gone"],
        );
    }

    #[test]
    fn the_states_have_names() {
        let mut instance = Instance::default();
        let mut state_after = |second, word| {
            instance.step(at(second), &rule(1, 1), None, &reading(word));
            instance.standing().map(|standing| {
                (
                    standing.state.label(),
                    standing.severity,
                    standing.started_at,
                )
            })
        };
        assert_eq!(state_after(0, "0"), None);
        assert_eq!(state_after(1, "30"), Some(("pending", Warning, at(1))));
        assert_eq!(state_after(2, "120"), Some(("firing", Warning, at(1))));
        assert_eq!(state_after(3, "120"), Some(("firing", Critical, at(1))));
        assert_eq!(state_after(4, "95"), Some(("recovering", Critical, at(1))));
        assert_eq!(state_after(5, "0"), Some(("recovering", Critical, at(1))));
        assert_eq!(state_after(6, "0"), Some(("resolved", Critical, at(1))));
        assert_eq!(state_after(7, "120"), Some(("pending", Critical, at(7))));
        assert_eq!(state_after(8, "0"), None);
    }

    #[test]
    fn retiring_ends_what_fires_and_drops_what_is_pending() {
        let mut instance = Instance::default();
        instance.step(at(0), &rule(1, 0), None, &reading("30"));
        assert_eq!(instance.clone().retire(at(0), ResolveReason::Removed), None);
        instance.step(at(1), &rule(1, 0), None, &reading("30"));
        assert_eq!(
            spell(instance.retire(at(2), ResolveReason::Removed)),
            "gone"
        );
        let resolved = instance.standing().and_then(|standing| standing.resolved);
        assert_eq!(resolved, Some((at(2), ResolveReason::Removed)));
        assert_eq!(instance.retire(at(3), ResolveReason::Removed), None);
    }
}
