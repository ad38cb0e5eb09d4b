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
fn a_flap_shorter_than_pending_for_restarts_the_clock() {
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
fn without_data_nothing_changes_and_clocks_run_on() {
    check(&rule(2, 0), "30 - - - 30", ". . . . warn");
    check(&rule(2, 0), "30 - - - 29 30", ". . . . . .");
    check(&rule(0, 2), "30 - - -", "warn . . .");
    check(&rule(0, 2), "30 0 - - - 0", "warn . . . . ok");
    check(&rule(0, 0), "- - -", ". . .");
}

#[test]
fn after_it_resolved_it_can_fire_again() {
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
fn a_firing_level_that_is_switched_off_resolves() {
    let check = |first: u64, changed: LevelRule<u64>, then: u64, changes: [&str; 2]| {
        let mut instance = Instance::default();
        let fired = spell(instance.step(at(0), &rule(0, 0), None, &Reading::exact(first)));
        assert_eq!(
            [
                fired,
                spell(instance.step(at(1), &changed, None, &Reading::exact(then)))
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
fn states_have_labels() {
    let mut instance = Instance::default();
    let mut state_after = |second, word| {
        instance.step(at(second), &rule(1, 1), None, &reading(word));
        instance
            .status()
            .map(|status| (status.state.label(), status.severity, status.started_at))
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
fn retiring_resolves_a_firing_alert_and_drops_a_pending_one() {
    let mut instance = Instance::default();
    instance.step(at(0), &rule(1, 0), None, &reading("30"));
    assert_eq!(instance.clone().retire(at(0), ResolveReason::Removed), None);
    instance.step(at(1), &rule(1, 0), None, &reading("30"));
    assert_eq!(
        spell(instance.retire(at(2), ResolveReason::Removed)),
        "gone"
    );
    let resolved = instance.status().and_then(|status| status.resolved);
    assert_eq!(resolved, Some((at(2), ResolveReason::Removed)));
    assert_eq!(instance.retire(at(3), ResolveReason::Removed), None);
}
