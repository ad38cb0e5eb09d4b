//! A restart at any moment causes no notification that would not have been sent without it, and
//! nothing is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::alert::testing::{Simulation, at, firing, key, settings};
use crate::alert::{
    AlertEngine, AlertGroups, AlertSnapshot, Evaluation, Labels, Reading, RuleInput,
};
use crate::config::{LevelRule, LevelThreshold, NotifySettings, Severity};
use crate::model::{ClockAnchor, ClockShift, Document, SavedDocument, Span, Timestamp, WallTime};
use crate::replication::PairState;

/// A disk, and how a life that begins at `now` reads what one wrote whose clock stood `by` behind.
#[derive(Default)]
struct Disk(BTreeMap<String, String>);

impl Disk {
    fn write(&mut self, documents: Vec<Document>) {
        for document in documents {
            match document.body {
                Some(body) => drop(self.0.insert(document.key, body)),
                None => drop(self.0.remove(&document.key)),
            }
        }
    }

    fn read(&self, now: Timestamp, by: Span) -> Vec<SavedDocument> {
        let now = ClockAnchor {
            mono: now,
            wall: WallTime::default(),
        };
        let shift = ClockShift {
            by,
            ago: Span::ZERO,
            now,
        };
        self.0
            .iter()
            .map(|(key, body)| SavedDocument {
                key: key.clone(),
                body: body.clone(),
                shift,
            })
            .collect()
    }
}

type Steps = Vec<(i64, usize, Option<Severity>)>;

const PAIRS: [&str; 4] = ["a", "b", "c", "d"];

fn receivers() -> NotifySettings {
    let mut settings = settings(&["chat", "oncall:critical"]);
    settings.receivers[0].repage_on.escalated = true;
    settings
}

/// The notifications when the program is killed and starts again before the steps with these
/// numbers; each step is on the disk.
fn notified(steps: &Steps, restarts: &[usize]) -> Vec<crate::alert::Notification> {
    let (mut simulation, mut disk) = (Simulation::new(&receivers()), Disk::default());
    for (n, (secs, pair, severity)) in steps.iter().enumerate() {
        disk.write(simulation.groups.take_unsaved(false));
        if restarts.contains(&n) {
            simulation.groups = AlertGroups::new(&receivers());
            let known: Vec<_> = simulation.alerts.values().cloned().collect();
            let refused = simulation.groups.restore(
                simulation.now,
                &disk.read(simulation.now, Span::ZERO),
                &known,
            );
            assert_eq!(refused, [""; 0]);
        }
        simulation.advance(simulation.now + Span::from_secs(*secs));
        simulation.set(PAIRS[*pair], *severity);
    }
    simulation.advance(simulation.now + Span::from_secs(10_000));
    simulation.notifications
}

fn steps() -> impl Strategy<Value = Steps> {
    let severity = prop_oneof![
        Just(None),
        Just(Some(Severity::Warning)),
        Just(Some(Severity::Critical))
    ];
    proptest::collection::vec((0_i64..100, 0..PAIRS.len(), severity), 1..40)
}

proptest! {
    #[test]
    fn a_restart_at_any_moment_changes_no_notification(
        steps in steps(),
        restarts in proptest::collection::vec(0_usize..40, 1..5),
    ) {
        prop_assert_eq!(notified(&steps, &restarts), notified(&steps, &[]));
    }
}

const RULE: LevelRule<Span> = LevelRule {
    warning: Some(LevelThreshold {
        at: Span::from_secs(30),
        clear_below: Span::from_secs(24),
    }),
    critical: Some(LevelThreshold {
        at: Span::from_secs(120),
        clear_below: Span::from_secs(96),
    }),
    pending_for: Span::from_secs(10),
    keep_firing_for: Span::from_secs(10),
};

/// Evaluates a value at each second from `from` on, and lists when what changed.
fn evaluate(engine: &mut AlertEngine, from: i64, values: &[i64]) -> Vec<(i64, &'static str)> {
    let key = key("a");
    let evaluation = |value: i64| {
        let input = RuleInput::Seconds {
            rule: &RULE,
            reading: Reading::exact(Span::from_secs(value)),
        };
        Evaluation {
            key: &key,
            input,
            context: &Arc::default,
        }
    };
    let seconds = from..;
    let changes = seconds.zip(values).filter_map(|(second, value)| {
        Some((
            second,
            engine
                .evaluate(at(second), evaluation(*value))?
                .change
                .label(),
        ))
    });
    changes.collect()
}

#[test]
fn clocks_continue_after_a_restart_in_the_same_boot_and_on_another_machine() {
    for moved in [0, -1_000, 5_000] {
        let (mut before, mut disk) = (AlertEngine::default(), Disk::default());
        assert_eq!(evaluate(&mut before, 0, &[50; 8]), []);
        disk.write(before.take_unsaved(false));
        let mut after = AlertEngine::default();
        let restored = after.restore(&disk.read(at(moved + 9), Span::from_secs(moved)));
        assert_eq!((restored.alerts.len(), restored.refused.len()), (1, 0));
        let changes = evaluate(&mut after, moved + 9, &[[50; 8], [0; 8], [0; 8]].concat());
        assert_eq!(
            changes,
            [(moved + 10, "fired"), (moved + 27, "resolved")],
            "pending since 0"
        );
        assert!(!before.has_unsaved() && after.has_unsaved());
    }
}

#[test]
fn after_a_long_gap_pending_clocks_restart_and_firing_alerts_stay() {
    for (values, alerts) in [(8, 0), (12, 1)] {
        let (mut before, mut disk) = (AlertEngine::default(), Disk::default());
        evaluate(&mut before, 0, &vec![50; values]);
        disk.write(before.take_unsaved(true));
        let mut documents = disk.read(at(7_200), Span::ZERO);
        documents[0].shift.ago = Span::from_secs(7_189);
        assert_eq!(
            AlertEngine::default().restore(&documents).alerts.len(),
            alerts,
            "after {values} s"
        );
    }
}

#[test]
fn only_changed_documents_are_written_and_those_of_dropped_alerts_deleted() {
    let mut engine = AlertEngine::default();
    evaluate(&mut engine, 0, &[50, 51, 52]);
    let first = engine.take_unsaved(false);
    assert!(first.len() == 1 && first[0].body.is_some());
    evaluate(&mut engine, 3, &[53, 54]);
    assert!(
        !engine.has_unsaved(),
        "a value that moves is no change of state"
    );
    evaluate(&mut engine, 5, &[0]);
    let gone = engine.take_unsaved(false);
    assert_eq!(
        (gone.len(), &gone[0].body, &gone[0].key),
        (1, &None, &first[0].key)
    );
}

#[test]
fn an_alert_that_is_known_already_is_newer_than_the_disk() {
    let (mut engine, mut disk) = (AlertEngine::default(), Disk::default());
    evaluate(&mut engine, 0, &[50; 12]);
    disk.write(engine.take_unsaved(true));
    evaluate(&mut engine, 12, &[200; 12]);
    assert!(
        engine
            .restore(&disk.read(at(30), Span::ZERO))
            .alerts
            .is_empty()
    );
    assert_eq!(engine.snapshots()[0].severity, Severity::Critical);
}

#[test]
fn a_removed_receiver_is_notified_only_of_the_end_of_its_open_alerts() {
    let (mut simulation, mut disk) = (Simulation::new(&receivers()), Disk::default());
    simulation.set("a", Some(Severity::Critical));
    simulation.advance(at(10));
    simulation.set("b", Some(Severity::Warning));
    disk.write(simulation.groups.take_unsaved(true));
    let known: Vec<Arc<AlertSnapshot>> = simulation.alerts.values().cloned().collect();
    let mut after = Simulation::new(&settings(&["new"]));
    (after.now, after.alerts) = (at(20), simulation.alerts);
    after
        .groups
        .restore(at(20), &disk.read(at(20), Span::ZERO), &known);
    after.set("c", Some(Severity::Critical));
    after.advance(at(100));
    for pair in ["a", "b", "c"] {
        after.set(pair, None);
    }
    after.advance(at(200));
    let ends = after
        .notifications
        .iter()
        .filter(|notification| &*notification.receiver != "new")
        .map(|notification| (&*notification.receiver, notification.alerts.len()));
    assert_eq!(ends.collect::<Vec<_>>(), [("chat", 1), ("oncall", 1)]);
    assert!(
        !after
            .groups
            .has_group("chat", &after.notifications[0].group)
    );
}

#[test]
fn hostile_names_and_unknown_words_are_restored() {
    let labels = Labels::from([("pair".to_owned(), "\"}\n{\u{0}\\".to_owned())]);
    let mut alert = firing("a", Severity::Warning);
    alert.identity.labels = Arc::new(labels);
    Arc::make_mut(&mut alert.context).state = Some(PairState::Stalled);
    let text = serde_json::to_string(&alert).unwrap();
    assert_eq!(serde_json::from_str::<AlertSnapshot>(&text).unwrap(), alert);
    let later = text.replace("stalled", "a_state_of_a_later_version");
    let later: AlertSnapshot = serde_json::from_str(&later).unwrap();
    assert_eq!(later.context.state, Some(PairState::Unknown));
}
