//! What must hold for every sequence of evaluations, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::alert::instance::level;
use crate::alert::testing::{
    GROUP_INTERVAL, GROUP_WAIT, REPEAT_INTERVAL, Simulation, at, key, settings,
};
use crate::alert::{
    AlertChange, AlertEngine, AlertSnapshot, AlertState, AlertStatus, Evaluation, Instance,
    LevelVerdict, NotifyReason, Reading, RuleInput,
};
use crate::config::{LevelRule, LevelThreshold, Severity};
use crate::model::{Span, Timestamp};

const PAIRS: [&str; 4] = ["a", "b", "c", "d"];

/// Evaluations so far: when, and what was read.
type History = Vec<(Timestamp, Reading<Span>)>;

fn secs(value: i64) -> Span {
    Span::from_secs(value)
}

fn rules() -> impl Strategy<Value = LevelRule<Span>> {
    let threshold = |at, clear_below| {
        Some(LevelThreshold {
            at: secs(at),
            clear_below: secs(clear_below),
        })
    };
    let warning = select(vec![None, threshold(30, 30), threshold(30, 20)]);
    let critical = select(vec![
        None,
        threshold(60, 60),
        threshold(60, 40),
        threshold(30, 20),
    ]);
    (warning, critical, 0_i64..8, 0_i64..8).prop_map(|(warning, critical, hold, keep)| LevelRule {
        warning,
        critical,
        pending_for: secs(hold),
        keep_firing_for: secs(keep),
    })
}

/// Values around every threshold, so that all of them are crossed often.
fn values() -> impl Strategy<Value = i64> {
    select(vec![0, 19, 20, 29, 30, 39, 40, 59, 60, 90])
}

fn exact_readings() -> impl Strategy<Value = Reading<Span>> {
    values().prop_map(|value| Reading::exact(secs(value)))
}

/// Intervals that do not contradict themselves, with any part unknown.
fn readings() -> impl Strategy<Value = Reading<Span>> {
    let known = (any::<bool>(), any::<bool>(), any::<bool>());
    let interval = ([values(), values(), values()], known).prop_map(|(mut ends, known)| {
        ends.sort_unstable();
        let part = |known: bool, end| known.then_some(secs(end));
        Reading {
            lower: part(known.0, ends[0]),
            estimate: part(known.1, ends[1]),
            upper: part(known.2, ends[2]),
        }
    });
    prop_oneof![2 => exact_readings(), 2 => interval, 1 => Just(Reading::NO_DATA)]
}

/// Steps of 1 to 4 seconds with a reading each.
fn evaluations<R>(reading: R) -> impl Strategy<Value = Vec<(i64, Reading<Span>)>>
where
    R: Strategy<Value = Reading<Span>>,
{
    vec((1_i64..5, reading), 1..60)
}

/// Since when a level's verdict has been `wanted`, up to the last evaluation, which must be one of
/// it. Evaluations that cannot say do not count. Written without clocks, to be compared with the
/// machine that has them.
fn since(
    history: &History,
    rule: &LevelRule<Span>,
    severity: Severity,
    wanted: LevelVerdict,
) -> Option<Timestamp> {
    let verdict = |reading: &Reading<Span>| {
        if reading.is_no_data() {
            LevelVerdict::Unknown
        } else {
            reading.judge(severity, level(rule, severity))
        }
    };
    let (_, last) = history.last()?;
    if verdict(last) != wanted {
        return None;
    }
    let known = history
        .iter()
        .rev()
        .filter(|(_, reading)| verdict(reading) != LevelVerdict::Unknown);
    known
        .take_while(|(_, reading)| verdict(reading) == wanted)
        .map(|(at, _)| *at)
        .last()
}

fn held(
    history: &History,
    rule: &LevelRule<Span>,
    severity: Severity,
    wanted: LevelVerdict,
    at_least: Span,
) -> bool {
    let now = history.last().map_or(at(0), |(now, _)| *now);
    since(history, rule, severity, wanted).is_some_and(|since| now - since >= at_least)
}

/// The severity that must fire at the last evaluation.
fn due(history: &History, rule: &LevelRule<Span>) -> Option<Severity> {
    let holds = |severity: &Severity| {
        held(
            history,
            rule,
            *severity,
            LevelVerdict::Past,
            rule.pending_for,
        )
    };
    [Severity::Critical, Severity::Warning]
        .into_iter()
        .find(holds)
}

fn fires_at(instance: &Instance) -> Option<Severity> {
    let firing = |state| matches!(state, AlertState::Firing | AlertState::Recovering);
    instance
        .status()
        .filter(|status| firing(status.state))
        .map(|status| status.severity)
}

/// Runs evaluations through one instance and calls `inspect(history, severity before, change)`
/// after each.
fn run(
    rule: &LevelRule<Span>,
    evaluations: Vec<(i64, Reading<Span>)>,
    mut inspect: impl FnMut(&History, Option<Severity>, Option<AlertChange>),
) {
    let (mut instance, mut now, mut history) = (Instance::default(), at(0), History::new());
    for (seconds, reading) in evaluations {
        now += secs(seconds);
        history.push((now, reading));
        let before = fires_at(&instance);
        let change = instance.step(now, rule, None, &reading);
        inspect(&history, before, change);
    }
}

proptest! {
    #[test]
    fn it_fires_exactly_when_a_level_has_held(rule in rules(), evaluations in evaluations(readings())) {
        run(&rule, evaluations, |history, before, change| {
            let due = due(history, &rule);
            let rose = matches!(change, Some(AlertChange::Fired { .. } | AlertChange::Escalated));
            assert_eq!(rose, due > before, "{before:?} {change:?} {due:?}");
            if let Some(AlertChange::Fired { severity }) = change {
                assert_eq!((before, Some(severity)), (None, due));
            }
        });
    }

    #[test]
    fn it_never_resolves_before_it_was_clear(rule in rules(), evaluations in evaluations(readings())) {
        run(&rule, evaluations, |history, before, change| {
            if matches!(change, Some(AlertChange::Resolved { .. })) {
                let clear = |severity| held(history, &rule, severity, LevelVerdict::Clear, rule.keep_firing_for);
                let off = rule.warning.is_none();
                assert!(before.is_some_and(clear) && (off || clear(Severity::Warning)), "{history:?}");
            }
        });
    }

    #[test]
    fn with_exact_values_it_resolves_as_soon_as_it_was_clear(
        rule in rules(),
        evaluations in evaluations(exact_readings()),
    ) {
        run(&rule, evaluations, |history, before, change| {
            let clear = |severity| held(history, &rule, severity, LevelVerdict::Clear, rule.keep_firing_for);
            let both = before.is_some_and(clear) && (rule.warning.is_none() || clear(Severity::Warning));
            assert_eq!(matches!(change, Some(AlertChange::Resolved { .. })), both, "{history:?}");
        });
    }

    #[test]
    fn a_flap_shorter_than_pending_for_never_fires(flaps in vec((0_i64..5, 1_i64..5, 30_i64..99), 1..30)) {
        let level = LevelThreshold { at: secs(30), clear_below: secs(30) };
        let rule = LevelRule { warning: Some(level), critical: Some(level), pending_for: secs(5), keep_firing_for: secs(0) };
        let (mut instance, mut now) = (Instance::default(), at(0));
        for (on, off, value) in flaps {
            for reading in [Reading::exact(secs(value)), Reading::NO_DATA, Reading::exact(secs(value))] {
                prop_assert_eq!(instance.step(now, &rule, None, &reading), None);
                if reading.is_no_data() {
                    now += secs(on);
                }
            }
            now += secs(off);
            prop_assert_eq!(instance.step(now, &rule, None, &Reading::exact(secs(29))), None);
        }
    }

    #[test]
    fn without_data_the_state_stays_exactly_as_it_is(
        rule in rules(),
        evaluations in evaluations(readings()),
        silence in 1_i64..9,
    ) {
        if rule.warning.or(rule.critical).is_none() {
            return Ok(()); // such a rule ends what it finds, with or without data
        }
        let (mut instance, mut now) = (Instance::default(), at(0));
        for (seconds, reading) in evaluations {
            now += secs(seconds);
            instance.step(now, &rule, None, &reading);
            let before = instance.clone();
            now += secs(silence);
            prop_assert_eq!(instance.step(now, &rule, None, &Reading::NO_DATA), None);
            prop_assert_eq!(&instance, &before);
        }
    }

    #[test]
    fn repeating_an_evaluation_changes_nothing(rule in rules(), evaluations in evaluations(readings())) {
        let (mut instance, mut now) = (Instance::default(), at(0));
        for (seconds, reading) in evaluations {
            now += secs(seconds);
            instance.step(now, &rule, None, &reading);
            let once = instance.clone();
            prop_assert_eq!(instance.step(now, &rule, None, &reading), None);
            prop_assert_eq!(&instance, &once);
        }
    }

    #[test]
    fn the_order_of_evaluation_is_irrelevant(
        rule in rules(),
        rounds in vec((1_i64..5, [readings(), readings(), readings(), readings()]), 1..20),
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let keys = PAIRS.map(key);
        let (mut straight, mut shuffled, mut now) = (AlertEngine::default(), AlertEngine::default(), at(0));
        let evaluate = |engine: &mut AlertEngine, now, index: usize, reading| {
            let input = RuleInput::Seconds { rule: &rule, reading };
            engine.evaluate(now, Evaluation { key: &keys[index], input, context: &Arc::default })
        };
        for (seconds, readings) in rounds {
            now += secs(seconds);
            let transitions = (0..4).map(|i| evaluate(&mut straight, now, i, readings[i])).collect::<Vec<_>>();
            let by_index = order.iter().map(|i| (*i, evaluate(&mut shuffled, now, *i, readings[*i])));
            let by_index = by_index.collect::<BTreeMap<_, _>>();
            prop_assert_eq!(transitions, by_index.into_values().collect::<Vec<_>>());
            prop_assert_eq!(straight.listed(), shuffled.listed());
            prop_assert_eq!(straight.counts(), shuffled.counts());
        }
    }
}

/// What one receiver believes after the notifications that it got: the alerts that fire in the open
/// group.
#[derive(Debug, Default)]
struct Belief {
    open: bool,
    firing: BTreeMap<String, Severity>,
}

impl Belief {
    /// Takes one notification, and checks that it fits to what was believed before.
    fn receive(&mut self, notification: &crate::alert::Notification) {
        let pairs: Vec<_> = notification
            .alerts
            .iter()
            .map(|alert| alert.identity.labels["pair"].clone())
            .collect();
        let distinct: BTreeSet<_> = pairs.iter().collect();
        assert_eq!(distinct.len(), pairs.len(), "a member is named twice");
        assert!(
            self.firing.keys().all(|pair| distinct.contains(pair)),
            "a member is lost"
        );
        assert_eq!(
            notification.reason == NotifyReason::First,
            !self.open,
            "first is first, and nothing else is"
        );
        let fires = |alert: &&Arc<AlertSnapshot>| alert.status == AlertStatus::Firing;
        let resolved = notification
            .alerts
            .iter()
            .filter(|alert| !fires(alert))
            .map(|alert| &alert.identity.labels["pair"]);
        for pair in resolved {
            assert!(
                self.firing.contains_key(pair),
                "{pair} resolves, but was not notified as firing"
            );
        }
        let firing = notification.alerts.iter().filter(fires);
        self.firing = firing
            .map(|alert| (alert.identity.labels["pair"].clone(), alert.severity))
            .collect();
        self.open = notification.status == AlertStatus::Firing;
        assert_eq!(self.open, !self.firing.is_empty());
        assert_eq!(notification.reason == NotifyReason::Resolved, !self.open);
        assert!(!self.open || self.firing.values().max() == Some(&notification.severity));
    }
}

/// What a receiver must believe once everything was notified.
fn truth(simulation: &Simulation, min_severity: Severity) -> BTreeMap<String, Severity> {
    let alerts = simulation
        .alerts
        .iter()
        .map(|(pair, alert)| (pair.clone(), alert.severity));
    alerts
        .filter(|(_, severity)| *severity >= min_severity)
        .collect()
}

fn severities() -> impl Strategy<Value = Option<Severity>> {
    option::of(select(vec![Severity::Warning, Severity::Critical]))
}

/// Changes of single pairs, with pauses that lie around every wait there is.
fn changes() -> impl Strategy<Value = Vec<(i64, usize, Option<Severity>)>> {
    let pause = select(vec![
        0,
        0,
        1,
        GROUP_WAIT - 1,
        GROUP_WAIT,
        GROUP_INTERVAL,
        REPEAT_INTERVAL + 1,
    ]);
    vec((pause, 0..PAIRS.len(), severities()), 1..40)
}

const RECEIVERS: [(&str, Severity); 2] = [
    ("chat", Severity::Warning),
    ("oncall:critical", Severity::Critical),
];

fn hear_all(simulation: &Simulation) -> [Belief; 2] {
    RECEIVERS.map(|(receiver, _)| {
        let mut belief = Belief::default();
        let name = receiver.split(':').next().unwrap_or(receiver);
        simulation
            .notifications
            .iter()
            .filter(|notification| &*notification.receiver == name)
            .for_each(|notification| belief.receive(notification));
        belief
    })
}

fn play(changes: &[(i64, usize, Option<Severity>)]) -> Simulation {
    let mut simulation = Simulation::new(&settings(&RECEIVERS.map(|(receiver, _)| receiver)));
    for (pause, pair, severity) in changes {
        simulation.advance(simulation.now + secs(*pause));
        simulation.set(PAIRS[*pair], *severity);
    }
    simulation
}

proptest! {
    #[test]
    fn receivers_are_notified_of_what_is_true_and_nothing_else(changes in changes()) {
        let mut simulation = play(&changes);
        // Longer than every wait, shorter than what would only be repeated.
        simulation.advance(simulation.now + secs(GROUP_INTERVAL + GROUP_WAIT));
        for ((_, min_severity), belief) in RECEIVERS.into_iter().zip(hear_all(&simulation)) {
            let truth = truth(&simulation, min_severity);
            prop_assert_eq!(belief.firing.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>());
            prop_assert_eq!(belief.firing.values().max(), truth.values().max());
            prop_assert!(truth.iter().all(|(pair, severity)| belief.firing[pair] >= *severity));
        }
    }

    #[test]
    fn every_group_that_was_notified_as_firing_is_notified_as_resolved_once(changes in changes()) {
        let mut simulation = play(&changes);
        for pair in PAIRS {
            simulation.set(pair, None);
        }
        simulation.advance(simulation.now);
        for (belief, (receiver, _)) in hear_all(&simulation).iter().zip(RECEIVERS) {
            prop_assert!(!belief.open, "{}", receiver);
        }
        let count = |reason| simulation.notifications.iter().filter(|notification| notification.reason == reason).count();
        prop_assert_eq!(count(NotifyReason::First), count(NotifyReason::Resolved));
        prop_assert_eq!(simulation.groups.next_wakeup(), None, "nothing is left to be notified");
    }

    #[test]
    fn the_order_of_what_happens_at_one_instant_is_irrelevant(
        rounds in vec((select(vec![1, GROUP_WAIT, GROUP_INTERVAL]), [severities(), severities(), severities(), severities()]), 1..20),
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let said_in = |order: &[usize]| {
            let changes = rounds.iter().flat_map(|(pause, severities)| {
                let pauses = std::iter::once(*pause).chain(std::iter::repeat(0));
                pauses.zip(order).map(|(pause, pair)| (pause, *pair, severities[*pair]))
            });
            let mut simulation = Simulation::new(&settings(&RECEIVERS.map(|(receiver, _)| receiver)));
            for (pause, pair, severity) in changes {
                if pause > 0 {
                    simulation.advance(simulation.now + secs(pause));
                }
                simulation.set(PAIRS[pair], severity);
            }
            simulation.advance(simulation.now + secs(GROUP_INTERVAL + GROUP_WAIT));
            simulation.notifications
        };
        prop_assert_eq!(said_in(&[0, 1, 2, 3]), said_in(&order));
    }

    #[test]
    fn a_reload_of_the_same_settings_notifies_nothing(changes in changes()) {
        let mut reloaded = play(&changes);
        let mut left_alone = play(&changes);
        reloaded.reconfigure(&settings(&RECEIVERS.map(|(receiver, _)| receiver)));
        for simulation in [&mut reloaded, &mut left_alone] {
            simulation.advance(simulation.now + secs(REPEAT_INTERVAL + 1));
        }
        prop_assert_eq!(reloaded.notifications, left_alone.notifications);
    }
}
