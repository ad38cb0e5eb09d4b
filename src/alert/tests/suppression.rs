//! What is kept quiet, and for how long: silences and causes; and what is a new page.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::alert::testing::{
    GROUP_INTERVAL, GROUP_WAIT, Simulation, at, firing, key, receiver, settings,
};
use crate::alert::{
    Affected, AlertContext, AlertKey, AlertSnapshot, AlertStatus, AlertTarget, Inhibitor, Labels,
    MutedBy, NotifyReason, Rule, SilenceId, Suppression, TargetKind,
};
use crate::config::{NotifySettings, RepageOn, Severity};
use crate::model::Span;

use Severity::{Critical, Warning};

/// A server's alert, which explains others.
fn server_key() -> AlertKey {
    AlertKey::new(
        Rule::Unreachable,
        Arc::new(Labels::from([("server".to_owned(), "s".to_owned())])),
    )
}

fn of_server(severity: Severity, status: AlertStatus) -> Arc<AlertSnapshot> {
    let identity = server_key().identity().clone();
    let fingerprint = identity.fingerprint();
    Arc::new(AlertSnapshot {
        identity,
        fingerprint,
        status,
        ..firing("server", severity)
    })
}

/// A lag that the server's alert explains up to a severity.
fn explained(pair: &str, severity: Severity, up_to: Severity) -> Arc<AlertSnapshot> {
    let inhibitors = [Inhibitor {
        key: server_key(),
        up_to,
    }]
    .into();
    let context = Arc::new(AlertContext {
        inhibitors,
        ..AlertContext::default()
    });
    Arc::new(AlertSnapshot {
        context,
        ..firing(pair, severity)
    })
}

fn held(pair: &str, severity: Severity) -> Arc<AlertSnapshot> {
    let muted_by = Some(MutedBy::Silence(SilenceId("0123456789abcdef".into())));
    Arc::new(AlertSnapshot {
        muted_by,
        ..firing(pair, severity)
    })
}

fn over(alert: &AlertSnapshot) -> Arc<AlertSnapshot> {
    Arc::new(AlertSnapshot {
        status: AlertStatus::Resolved,
        ..alert.clone()
    })
}

/// What was said: when, why, about which group.
fn said(simulation: &Simulation) -> Vec<String> {
    let line = |n: &crate::alert::Notification| {
        let name = n.group.0["alertname"]
            .trim_start_matches("RedisCrossDc")
            .to_owned();
        format!(
            "{} {} {} {name} {}",
            n.decided_at.as_nanos() / 1_000_000_000,
            n.receiver,
            n.reason.label(),
            n.alerts.len()
        )
    };
    simulation.said.iter().map(line).collect()
}

fn why_quiet(simulation: &Simulation) -> Vec<Suppression> {
    simulation.suppressed.iter().map(|(_, why)| *why).collect()
}

#[test]
fn an_effect_is_held_back_while_its_cause_fires() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&explained("a", Warning, Critical));
    simulation.advance(at(3));
    simulation.record(&of_server(Warning, AlertStatus::Firing));
    simulation.advance(at(5000));
    simulation.record(&of_server(Warning, AlertStatus::Resolved));
    simulation.advance(at(5100));
    let expected = [
        "8 chat first ServerUnreachable 1",
        "3608 chat repeat ServerUnreachable 1",
        "5000 chat resolved ServerUnreachable 1",
        "5005 chat first LagHigh 1",
    ];
    assert_eq!(said(&simulation), expected);
    assert_eq!(why_quiet(&simulation), [Suppression::Inhibited]);
}

#[test]
fn an_effect_that_ends_before_its_cause_is_never_told() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&of_server(Critical, AlertStatus::Firing));
    let effect = explained("a", Critical, Critical);
    simulation.record(&effect);
    simulation.advance(at(100));
    simulation.record(&over(&effect));
    simulation.record(&of_server(Critical, AlertStatus::Resolved));
    simulation.advance(at(200));
    assert_eq!(
        said(&simulation),
        [
            "5 chat first ServerUnreachable 1",
            "100 chat resolved ServerUnreachable 1"
        ]
    );
}

#[test]
fn an_effect_that_was_told_stays_open_without_repeats_and_resolves_by_itself() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    let effect = explained("a", Warning, Critical);
    simulation.record(&effect);
    simulation.advance(at(10));
    simulation.record(&of_server(Warning, AlertStatus::Firing));
    simulation.advance(at(4000));
    simulation.record(&over(&effect));
    simulation.advance(at(4000));
    let expected = [
        "5 chat first LagHigh 1",
        "15 chat first ServerUnreachable 1",
        "3615 chat repeat ServerUnreachable 1",
        "4000 chat resolved LagHigh 1",
    ];
    assert_eq!(said(&simulation), expected);
    assert_eq!(
        why_quiet(&simulation),
        [Suppression::Inhibited],
        "the repetition"
    );
}

#[test]
fn a_cause_explains_only_what_is_no_worse_and_only_to_those_who_are_told_of_it() {
    let check = |cause, effect: &AlertSnapshot, expected: &[&str]| {
        let mut simulation = Simulation::new(&settings(&["chat", "oncall:critical"]));
        simulation.record(&of_server(cause, AlertStatus::Firing));
        simulation.record(&Arc::new(effect.clone()));
        simulation.advance(at(60));
        let lag: Vec<_> = said(&simulation)
            .into_iter()
            .filter(|line| line.contains("LagHigh"))
            .collect();
        assert_eq!(lag, expected, "{cause:?}");
    };
    let (chat, oncall) = ("5 chat first LagHigh 1", "5 oncall first LagHigh 1");
    check(
        Warning,
        &explained("a", Critical, Critical),
        &[chat, oncall],
    );
    check(Critical, &explained("a", Critical, Critical), &[]);
    check(
        Critical,
        &explained("a", Critical, Warning),
        &[chat, oncall],
    );
    check(Critical, &explained("a", Warning, Warning), &[]);
}

#[test]
fn a_silenced_alert_is_told_once_the_silence_is_over() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&held("a", Warning));
    simulation.advance(at(50));
    simulation.record(&held("b", Critical));
    simulation.advance(at(100));
    simulation.record(&Arc::new(firing("a", Warning)));
    simulation.advance(at(200));
    let [only] = simulation.said.as_slice() else {
        panic!("{:?}", said(&simulation))
    };
    assert_eq!(
        (only.reason, only.decided_at, only.alerts.len()),
        (NotifyReason::First, at(105), 1)
    );
    assert_eq!(
        (only.held, only.severity),
        (1, Warning),
        "b is still silenced"
    );
    assert_eq!(why_quiet(&simulation), [Suppression::Silenced; 2]);
}

#[test]
fn the_resolve_of_what_was_told_goes_out_under_a_silence() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&Arc::new(firing("a", Warning)));
    simulation.advance(at(10));
    simulation.record(&held("a", Critical));
    simulation.advance(at(4000));
    simulation.record(&over(&held("a", Critical)));
    simulation.advance(at(4000));
    assert_eq!(
        said(&simulation),
        ["5 chat first LagHigh 1", "4000 chat resolved LagHigh 1"]
    );
    assert_eq!(
        why_quiet(&simulation),
        [Suppression::Silenced; 2],
        "the escalation and the repetition"
    );
}

#[test]
fn a_group_may_end_for_the_receiver_while_silenced_alerts_of_it_go_on() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&Arc::new(firing("a", Warning)));
    simulation.record(&held("b", Warning));
    simulation.advance(at(10));
    simulation.record(&over(&firing("a", Warning)));
    simulation.advance(at(50));
    simulation.record(&Arc::new(firing("b", Warning)));
    simulation.advance(at(100));
    let expected = [
        "5 chat first LagHigh 1",
        "10 chat resolved LagHigh 1",
        "55 chat first LagHigh 1",
    ];
    assert_eq!(said(&simulation), expected);
}

#[test]
fn a_message_says_how_many_of_how_many() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.targets = (0..10)
        .map(|n| target(&format!("p{n}"), "dc2"))
        .chain([target("p", "dc3")])
        .collect();
    for n in 0..7 {
        simulation.set(&format!("p{n}"), Some(Warning));
    }
    simulation.advance(at(10));
    assert_eq!(
        simulation.said[0].affected,
        Some(Affected {
            kind: TargetKind::Pair,
            firing: 7,
            of: 10
        })
    );
    for n in 0..7 {
        simulation.set(&format!("p{n}"), None);
    }
    simulation.advance(at(20));
    assert_eq!(
        simulation.said[1].affected,
        Some(Affected {
            kind: TargetKind::Pair,
            firing: 0,
            of: 10
        })
    );
}

fn target(pair: &str, target_dc: &str) -> AlertTarget {
    let mut labels = (*key(pair).identity().labels).clone();
    labels.insert("target_dc".to_owned(), target_dc.to_owned());
    AlertTarget {
        kind: TargetKind::Pair,
        labels: Arc::new(labels),
        extra: Arc::default(),
    }
}

#[test]
fn groups_are_made_of_the_labels_that_are_asked_for() {
    let group_of = |labels: &[&str]| {
        let group_by = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut simulation = Simulation::new(&NotifySettings {
            group_by,
            ..settings(&["chat"])
        });
        simulation.set("a", Some(Warning));
        simulation.set("b", Some(Warning));
        simulation.advance(at(10));
        simulation
            .said
            .iter()
            .map(|said| said.group.text())
            .collect::<Vec<_>>()
    };
    assert_eq!(group_of(&[]), [""]);
    assert_eq!(group_of(&["pair", "team"]), [r#"pair="a""#, r#"pair="b""#]);
    assert_eq!(group_of(&["target_dc"]), [r#"target_dc="dc2""#]);
}

#[test]
fn an_alert_stays_in_its_group_when_the_grouping_changes() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.set("a", Some(Warning));
    simulation.advance(at(10));
    simulation.reconfigure(&NotifySettings {
        group_by: vec!["pair".to_owned()],
        ..settings(&["chat"])
    });
    simulation.set("b", Some(Warning));
    simulation.advance(at(100));
    simulation.set("a", None);
    simulation.advance(at(100));
    let groups: Vec<_> = simulation
        .said
        .iter()
        .map(|said| (said.reason.label(), said.group.0.len()))
        .collect();
    assert_eq!(groups, [("first", 3), ("first", 1), ("resolved", 3)]);
}

/// The generation of each thing that is said after a warning was told, one more joined and one
/// escalated.
fn generations(repage_on: RepageOn) -> Vec<(&'static str, u32)> {
    let receivers = vec![crate::config::ReceiverSettings {
        repage_on,
        ..receiver("pager")
    }];
    let mut simulation = Simulation::new(&NotifySettings {
        receivers,
        ..settings(&[])
    });
    simulation.set("a", Some(Warning));
    simulation.advance(at(10));
    simulation.set("b", Some(Warning));
    simulation.advance(at(100));
    simulation.set("a", Some(Critical));
    simulation.advance(at(100));
    simulation.set("a", None);
    simulation.set("b", None);
    simulation.advance(at(200));
    simulation.set("a", Some(Warning));
    simulation.advance(at(300));
    simulation
        .said
        .iter()
        .map(|said| (said.reason.label(), said.generation))
        .collect()
}

#[test]
fn a_new_page_is_a_new_generation() {
    let told = |generations: [u32; 5]| {
        ["first", "new_in_group", "escalated", "resolved", "first"]
            .into_iter()
            .zip(generations)
            .collect::<Vec<_>>()
    };
    let of = |escalated, new_in_group| {
        generations(RepageOn {
            escalated,
            new_in_group,
            new_critical: true,
        })
    };
    assert_eq!(of(false, false), told([0, 0, 0, 0, 0]));
    assert_eq!(of(true, false), told([0, 0, 1, 1, 0]));
    assert_eq!(of(false, true), told([0, 1, 1, 1, 0]));
    assert_eq!(of(true, true), told([0, 1, 2, 2, 0]));
}

/// What may happen to one of three pairs, or to what explains them.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fires(Severity),
    Ends,
    Hushed(bool),
    CauseFires,
    CauseEnds,
}

fn steps() -> impl Strategy<Value = Vec<(i64, usize, Step)>> {
    let step = select(vec![
        Step::Fires(Warning),
        Step::Fires(Critical),
        Step::Ends,
        Step::Hushed(true),
        Step::Hushed(false),
        Step::CauseFires,
        Step::CauseEnds,
    ]);
    vec(
        (
            select(vec![0, 1, GROUP_WAIT, GROUP_INTERVAL, 4000]),
            0..3_usize,
            step,
        ),
        1..50,
    )
}

/// The pairs as they are, and whether they are silenced.
#[derive(Default)]
struct World {
    pairs: BTreeMap<usize, (Severity, bool)>,
    hushed: BTreeMap<usize, bool>,
}

impl World {
    fn play(&mut self, simulation: &mut Simulation, index: usize, step: Step) {
        match step {
            Step::CauseFires => {
                return simulation.record(&of_server(Critical, AlertStatus::Firing));
            }
            Step::CauseEnds => {
                return simulation.record(&of_server(Critical, AlertStatus::Resolved));
            }
            Step::Fires(severity) => {
                self.pairs.insert(index, (severity, false));
            }
            Step::Hushed(hushed) => {
                self.hushed.insert(index, hushed);
            }
            Step::Ends => {
                let Some((severity, _)) = self.pairs.remove(&index) else {
                    return;
                };
                return simulation.record(&over(&self.alert(index, severity)));
            }
        }
        if let Some((severity, _)) = self.pairs.get(&index) {
            simulation.record(&self.alert(index, *severity));
        }
    }

    fn alert(&self, index: usize, severity: Severity) -> Arc<AlertSnapshot> {
        let hushed = self.hushed.get(&index).copied().unwrap_or_default();
        let muted_by = hushed.then(|| MutedBy::Maintenance("w".into()));
        Arc::new(AlertSnapshot {
            muted_by,
            ..(*explained(["a", "b", "c"][index], severity, Warning)).clone()
        })
    }
}

proptest! {
    /// Whatever is kept quiet in between: each group that a receiver was told to fire is told to be
    /// over exactly once, and at the end the receiver believes what fires and is not kept quiet.
    #[test]
    fn quiet_loses_nothing_and_leaves_nothing_open(steps in steps()) {
        let mut simulation = Simulation::new(&settings(&["chat"]));
        let mut world = World::default();
        for (pause, index, step) in steps {
            simulation.advance(simulation.now + Span::from_secs(pause));
            world.play(&mut simulation, index, step);
        }
        for index in 0..3 {
            world.play(&mut simulation, index, Step::Hushed(false));
        }
        simulation.record(&of_server(Critical, AlertStatus::Resolved));
        simulation.advance(simulation.now + Span::from_secs(GROUP_INTERVAL + GROUP_WAIT));
        let last = simulation.said.iter().rev().find(|said| said.group.0["alertname"] == "RedisCrossDcLagHigh");
        let believed = last.map(|said| said.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing).count());
        prop_assert_eq!(believed.unwrap_or_default(), world.pairs.len());
        for index in 0..3 {
            world.play(&mut simulation, index, Step::Ends);
        }
        simulation.advance(simulation.now + Span::from_secs(1));
        let mut open: BTreeMap<_, bool> = BTreeMap::new();
        for said in &simulation.said {
            let was_open = open.insert(said.group.clone(), said.status == AlertStatus::Firing).unwrap_or_default();
            prop_assert_eq!(said.reason == NotifyReason::First, !was_open, "{:?}", said.reason);
            prop_assert_eq!(said.reason == NotifyReason::Resolved, said.status == AlertStatus::Resolved);
        }
        prop_assert!(open.values().all(|open| !open), "{:?}", open);
        prop_assert_eq!(simulation.groups.next_wakeup(), None);
    }
}
