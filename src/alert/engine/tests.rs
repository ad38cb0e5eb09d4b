use std::cell::Cell;

use super::*;
use crate::alert::{AlertChange, Labels, Rule};
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
        (engine.active.len(), asked.get())
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
fn a_pending_alert_is_listed_and_counted_but_not_notified() {
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
fn a_transition_contains_the_present_alert() {
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
    assert!(engine.active.is_empty());
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
fn retiring_resolves_a_firing_alert_and_forgets_a_pending_one() {
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
fn a_value_in_bytes_is_compared_with_thresholds_in_bytes() {
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
