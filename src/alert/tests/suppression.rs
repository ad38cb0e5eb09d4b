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

fn resolved(alert: &AlertSnapshot) -> Arc<AlertSnapshot> {
    Arc::new(AlertSnapshot {
        status: AlertStatus::Resolved,
        ..alert.clone()
    })
}

/// The notifications: when, why, about which group.
fn notified(simulation: &Simulation) -> Vec<String> {
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
    simulation.notifications.iter().map(line).collect()
}

fn reasons_of(simulation: &Simulation) -> Vec<Suppression> {
    simulation.suppressed.iter().map(|(_, why)| *why).collect()
}

#[test]
fn an_alert_is_suppressed_while_its_inhibitor_fires() {
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
    assert_eq!(notified(&simulation), expected);
    assert_eq!(reasons_of(&simulation), [Suppression::Inhibited]);
}

#[test]
fn an_inhibited_alert_that_ends_before_its_inhibitor_is_never_notified() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&of_server(Critical, AlertStatus::Firing));
    let effect = explained("a", Critical, Critical);
    simulation.record(&effect);
    simulation.advance(at(100));
    simulation.record(&resolved(&effect));
    simulation.record(&of_server(Critical, AlertStatus::Resolved));
    simulation.advance(at(200));
    assert_eq!(
        notified(&simulation),
        [
            "5 chat first ServerUnreachable 1",
            "100 chat resolved ServerUnreachable 1"
        ]
    );
}

#[test]
fn a_notified_alert_that_becomes_inhibited_stays_open_without_repeats() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    let effect = explained("a", Warning, Critical);
    simulation.record(&effect);
    simulation.advance(at(10));
    simulation.record(&of_server(Warning, AlertStatus::Firing));
    simulation.advance(at(4000));
    simulation.record(&resolved(&effect));
    simulation.advance(at(4000));
    let expected = [
        "5 chat first LagHigh 1",
        "15 chat first ServerUnreachable 1",
        "3615 chat repeat ServerUnreachable 1",
        "4000 chat resolved LagHigh 1",
    ];
    assert_eq!(notified(&simulation), expected);
    assert_eq!(
        reasons_of(&simulation),
        [Suppression::Inhibited],
        "the repetition"
    );
}

#[test]
fn an_inhibitor_counts_up_to_its_severity_and_only_for_receivers_of_it() {
    let check = |cause, effect: &AlertSnapshot, expected: &[&str]| {
        let mut simulation = Simulation::new(&settings(&["chat", "oncall:critical"]));
        simulation.record(&of_server(cause, AlertStatus::Firing));
        simulation.record(&Arc::new(effect.clone()));
        simulation.advance(at(60));
        let lag: Vec<_> = notified(&simulation)
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
fn a_silenced_alert_is_notified_once_the_silence_has_ended() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&held("a", Warning));
    simulation.advance(at(50));
    simulation.record(&held("b", Critical));
    simulation.advance(at(100));
    simulation.record(&Arc::new(firing("a", Warning)));
    simulation.advance(at(200));
    let [only] = simulation.notifications.as_slice() else {
        panic!("{:?}", notified(&simulation))
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
    assert_eq!(reasons_of(&simulation), [Suppression::Silenced; 2]);
}

#[test]
fn the_resolve_of_a_notified_alert_is_sent_despite_a_silence() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&Arc::new(firing("a", Warning)));
    simulation.advance(at(10));
    simulation.record(&held("a", Critical));
    simulation.advance(at(4000));
    simulation.record(&resolved(&held("a", Critical)));
    simulation.advance(at(4000));
    assert_eq!(
        notified(&simulation),
        ["5 chat first LagHigh 1", "4000 chat resolved LagHigh 1"]
    );
    assert_eq!(
        reasons_of(&simulation),
        [Suppression::Silenced; 2],
        "the escalation and the repetition"
    );
}

#[test]
fn a_group_may_resolve_for_its_receiver_while_silenced_alerts_still_fire() {
    let mut simulation = Simulation::new(&settings(&["chat"]));
    simulation.record(&Arc::new(firing("a", Warning)));
    simulation.record(&held("b", Warning));
    simulation.advance(at(10));
    simulation.record(&resolved(&firing("a", Warning)));
    simulation.advance(at(50));
    simulation.record(&Arc::new(firing("b", Warning)));
    simulation.advance(at(100));
    let expected = [
        "5 chat first LagHigh 1",
        "10 chat resolved LagHigh 1",
        "55 chat first LagHigh 1",
    ];
    assert_eq!(notified(&simulation), expected);
}

#[test]
fn a_message_has_the_number_of_affected_targets_and_of_all() {
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
        simulation.notifications[0].affected,
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
        simulation.notifications[1].affected,
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
fn groups_are_made_of_the_configured_labels() {
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
            .notifications
            .iter()
            .map(|notification| notification.group.text())
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
        .notifications
        .iter()
        .map(|notification| (notification.reason.label(), notification.group.0.len()))
        .collect();
    assert_eq!(groups, [("first", 3), ("first", 1), ("resolved", 3)]);
}

/// The generation of each notification after a warning was notified, one more joined and one
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
        .notifications
        .iter()
        .map(|notification| (notification.reason.label(), notification.generation))
        .collect()
}

#[test]
fn a_new_page_is_a_new_generation() {
    let expected = |generations: [u32; 5]| {
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
    assert_eq!(of(false, false), expected([0, 0, 0, 0, 0]));
    assert_eq!(of(true, false), expected([0, 0, 1, 1, 0]));
    assert_eq!(of(false, true), expected([0, 1, 1, 1, 0]));
    assert_eq!(of(true, true), expected([0, 1, 2, 2, 0]));
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
                return simulation.record(&resolved(&self.alert(index, severity)));
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
    /// Whatever is suppressed in between: each group that was notified as firing is notified as
    /// resolved exactly once, and the last notification has what fires and is not suppressed.
    #[test]
    fn suppression_loses_nothing_and_leaves_nothing_open(steps in steps()) {
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
        let last = simulation.notifications.iter().rev().find(|notification| notification.group.0["alertname"] == "RedisCrossDcLagHigh");
        let believed = last.map(|notification| notification.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing).count());
        prop_assert_eq!(believed.unwrap_or_default(), world.pairs.len());
        for index in 0..3 {
            world.play(&mut simulation, index, Step::Ends);
        }
        simulation.advance(simulation.now + Span::from_secs(1));
        let mut open: BTreeMap<_, bool> = BTreeMap::new();
        for notification in &simulation.notifications {
            let was_open = open.insert(notification.group.clone(), notification.status == AlertStatus::Firing).unwrap_or_default();
            prop_assert_eq!(notification.reason == NotifyReason::First, !was_open, "{:?}", notification.reason);
            prop_assert_eq!(notification.reason == NotifyReason::Resolved, notification.status == AlertStatus::Resolved);
        }
        prop_assert!(open.values().all(|open| !open), "{:?}", open);
        prop_assert_eq!(simulation.groups.next_wakeup(), None);
    }
}
