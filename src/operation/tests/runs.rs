//! Whole runs against two servers in memory: undisturbed, and killed at every step.

use super::super::*;
use super::intent;
use super::model::Model;
use crate::model::{ServerAddr, Span};

/// How a run went: its end, or `None` where it was killed; and its journal.
pub(super) struct Course {
    pub(super) ending: Option<Ending>,
    pub(super) journal: Vec<Entry>,
    /// The hooks that ran, and who was the master.
    pub(super) hooks: Vec<(HookStage, Option<ServerAddr>)>,
}

fn entry(record: Record) -> Entry {
    Entry { at: 0.0, record }
}

/// What the executor knows after an order: the answer of that server, and nothing new of the other.
fn update(world: &mut World, order: &Order, result: &OrderResult) {
    world.old_again = None;
    let view = if world.old.addr == *order.server() {
        &mut world.old
    } else if world.target.addr == *order.server() {
        &mut world.target
    } else {
        return;
    };
    view.said = result.said.clone().ok_or_else(|| "no answer".to_owned());
}

/// Drives `run` until it ends, or until it has taken `steps`.
pub(super) fn drive(run: &mut Run, model: &mut Model, steps: usize) -> Course {
    let mut journal = Vec::new();
    let mut hooks = Vec::new();
    let mut world = model.look();
    for _ in 0..steps {
        match run.next(&world, model.now) {
            Act::Look { after, .. } => {
                model.pass(after);
                world = model.look();
            }
            Act::Do { order, renewal } => {
                if !renewal {
                    journal.push(entry(Record::Will {
                        order: order.clone(),
                    }));
                }
                let result = model.perform(&order);
                run.note(&order, &result);
                // Half of the time the answer is all that the run has.
                if model.chance.bool() {
                    world = model.look();
                } else {
                    update(&mut world, &order, &result);
                }
            }
            Act::Hooks { stage, master } => {
                hooks.push((stage, master));
                model.pass(Span::from_millis(50));
                let has_failed = model.failing_hooks == Some(stage);
                let failures = has_failed.then(|| "the hook has failed".to_owned());
                journal.push(entry(Record::Hook {
                    stage,
                    name: "x".to_owned(),
                    seconds: 0.05,
                    failure: failures.clone(),
                }));
                run.note_hooks(stage, failures.into_iter().collect());
                world = model.look();
            }
            Act::End(ending) => {
                return Course {
                    ending: Some(ending),
                    journal,
                    hooks,
                };
            }
        }
    }
    Course {
        ending: None,
        journal,
        hooks,
    }
}

pub(super) fn whole(run: &mut Run, model: &mut Model) -> Ending {
    let course = drive(run, model, 20_000);
    course.ending.expect("the run ends")
}

fn start(model: &Model) -> Run {
    Run::new(intent(OperationKind::SwitchOver), model.now)
}

#[test]
fn an_undisturbed_switch_over_is_done_without_a_full_sync() {
    for seed in 0..200 {
        let mut model = Model::new(seed);
        let mut run = start(&model);
        let ending = whole(&mut run, &mut model);
        assert_eq!(ending.outcome, Outcome::Done, "seed {seed}: {ending:?}");
        assert!(model.servers[1].is_master() && !model.servers[0].is_master());
        assert_eq!(run.full_syncs_given(), Some(0), "seed {seed}");
        assert!(
            run.pause().is_some_and(|pause| pause < Span::from_secs(1)),
            "seed {seed}"
        );
    }
}

/// A switch-over, half of the time with `--open-at-once`.
fn either_way(model: &mut Model) -> Intent {
    let mut intent = intent(OperationKind::SwitchOver);
    intent.limits.open_at_once = model.chance.bool();
    intent
}

#[test]
fn a_target_that_opens_at_once_is_never_paused() {
    for seed in 0..200 {
        let mut model = Model::new(seed);
        model.old_cannot_follow = seed % 2 == 0;
        let mut intent = intent(OperationKind::SwitchOver);
        intent.limits.open_at_once = true;
        intent.limits.settle = Span::from_millis(50);
        let mut run = Run::new(intent, model.now);
        let course = drive(&mut run, &mut model, 20_000);
        let target = &model.servers[1];
        assert!(target.is_master() && model.accepts(1), "seed {seed}");
        let ending = course.ending.expect("the run ends");
        let expected = if model.old_cannot_follow {
            Outcome::Incomplete
        } else {
            Outcome::Done
        };
        assert_eq!(ending.outcome, expected, "seed {seed}: {ending:?}");
        let is_held = |entry: &Entry| {
            let Record::Will { order } = &entry.record else {
                return false;
            };
            matches!(order, Order::Pause { .. }) && *order.server() == super::addr(2)
        };
        assert!(!course.journal.iter().any(is_held), "seed {seed}");
    }
}

#[test]
fn a_run_that_is_killed_anywhere_can_be_resumed() {
    for seed in 0..400 {
        let mut model = Model::new(seed);
        let intent = either_way(&mut model);
        let mut run = Run::new(intent.clone(), model.now);
        let steps = model.chance.usize(1..40);
        let course = drive(&mut run, &mut model, steps);
        if course.ending.is_some() {
            continue;
        }
        let dead_for = model.chance.i64(0..5000);
        for _ in 0..dead_for / 10 {
            model.pass(Span::from_millis(10));
        }
        let mut second = Run::resume(intent, Goal::Forward, &course.journal, model.now);
        let ending = whole(&mut second, &mut model);
        assert_eq!(
            ending.outcome,
            Outcome::Done,
            "seed {seed}, {steps} steps: {ending:?}"
        );
        assert!(model.servers[1].is_master() && !model.servers[0].is_master());
    }
}

#[test]
fn a_run_that_is_killed_before_it_is_open_can_be_rolled_back() {
    let mut rolled_back = 0;
    for seed in 0..400 {
        let mut model = Model::new(seed);
        let intent = either_way(&mut model);
        let mut run = Run::new(intent.clone(), model.now);
        let steps = model.chance.usize(1..40);
        let course = drive(&mut run, &mut model, steps);
        if course.ending.is_some() {
            continue;
        }
        model.pass(Span::from_secs(3));
        let was_promoted = model.servers[1].is_master();
        let mut second = Run::resume(intent, Goal::Back, &course.journal, model.now);
        let ending = whole(&mut second, &mut model);
        if was_promoted {
            assert_eq!(
                ending.outcome,
                Outcome::Incomplete,
                "seed {seed}: {ending:?}"
            );
            assert!(ending.open[0].contains("switch back"), "{ending:?}");
            assert!(model.servers[1].is_master());
        } else {
            rolled_back += 1;
            assert_eq!(ending.outcome, Outcome::AsBefore, "seed {seed}: {ending:?}");
            assert!(model.servers[0].is_master() && !model.servers[1].is_master());
            assert!(model.accepts(0), "seed {seed}");
        }
    }
    assert!(rolled_back > 50, "{rolled_back}");
}

#[test]
fn an_old_master_that_cannot_follow_is_restored_before_the_new_one_is_open() {
    for seed in 0..100 {
        let mut model = Model::new(seed);
        model.old_cannot_follow = true;
        let mut run = start(&model);
        let ending = whole(&mut run, &mut model);
        assert_eq!(ending.outcome, Outcome::AsBefore, "seed {seed}: {ending:?}");
        assert!(ending.sentence.contains("could not follow"), "{ending:?}");
        let waited = run.pause().expect("writes waited");
        assert!(waited >= Span::from_secs(2), "seed {seed}: {waited}");
        assert!(
            model.servers[0].is_master() && model.accepts(0),
            "seed {seed}"
        );
    }
}

#[test]
fn a_server_that_falls_silent_anywhere_never_makes_two_masters() {
    for seed in 0..600 {
        let mut model = Model::new(seed);
        let intent = either_way(&mut model);
        let mut run = Run::new(intent, model.now);
        let steps = model.chance.usize(1..40);
        let course = drive(&mut run, &mut model, steps);
        if course.ending.is_some() {
            continue;
        }
        let silent = model.chance.usize(0..2);
        model.servers[silent].answers = false;
        let ending = whole(&mut run, &mut model);
        let masters = model
            .servers
            .iter()
            .filter(|server| server.is_master())
            .count();
        assert!(masters <= 1, "seed {seed}: {ending:?}");
        assert_ne!(ending.outcome, Outcome::Refused);
        if masters == 0 {
            assert_eq!(
                ending.outcome,
                Outcome::Incomplete,
                "seed {seed}: {ending:?}"
            );
            assert!(!ending.open.is_empty());
        }
    }
}

#[test]
fn a_replica_that_stays_behind_leaves_the_master_alone() {
    let mut model = Model::new(1);
    let mut limited = intent(OperationKind::SwitchOver);
    limited.limits.drain = Span::from_millis(500);
    let mut run = Run::new(limited, model.now);
    let mut world = model.look();
    let ending = loop {
        // The replica's link never is up.
        let upstream = world
            .target
            .said
            .as_mut()
            .unwrap()
            .upstream
            .as_mut()
            .unwrap();
        upstream.is_up = false;
        match run.next(&world, model.now) {
            Act::Look { after, .. } => {
                model.pass(after);
                world = model.look();
                let back = run.goal() == Goal::Back;
                if back {
                    break whole(&mut run, &mut model);
                }
            }
            other @ (Act::Do { .. } | Act::Hooks { .. }) => panic!("{other:?}"),
            Act::End(ending) => break ending,
        }
    };
    assert_eq!(ending.outcome, Outcome::AsBefore, "{ending:?}");
    assert!(ending.sentence.contains("--drain"), "{ending:?}");
}

#[test]
fn a_disaster_promotes_once_and_says_what_it_leaves() {
    let mut model = Model::new(7);
    model.servers[0].answers = false;
    let mut disaster = intent(OperationKind::Disaster);
    disaster.limits.settle = Span::from_millis(10);
    let mut run = Run::new(disaster, model.now);
    let mut world = model.look();
    let mut promotions = 0;
    let ending = loop {
        match run.next(&world, model.now) {
            Act::Look { .. } => world = model.look(),
            Act::Do { order, .. } => {
                promotions += u32::from(matches!(order, Order::Promote { .. }));
                let result = OrderResult {
                    sent: model.now,
                    received: model.now,
                    reply: Ok(()),
                    said: None,
                };
                run.note(&order, &result);
                if let Order::Promote { .. } = order {
                    let said = world.target.said.as_mut().unwrap();
                    said.replid2 = Some(said.replid.clone());
                    said.upstream = None;
                    said.role = crate::info::Role::Master;
                }
            }
            Act::Hooks { .. } => panic!("there are no hooks"),
            Act::End(ending) => break ending,
        }
    };
    assert_eq!(promotions, 1);
    assert_eq!(ending.outcome, Outcome::Done, "{ending:?}");
    assert!(ending.open[0].contains("is not fenced"), "{ending:?}");
    assert!(
        ending.open[1].contains("failback --pair orders"),
        "{ending:?}"
    );
}

#[test]
fn a_master_that_answers_stops_a_disaster() {
    let mut model = Model::new(7);
    let mut run = Run::new(intent(OperationKind::Disaster), model.now);
    let ending = whole(&mut run, &mut model);
    assert_eq!(ending.outcome, Outcome::AsBefore);
    assert!(ending.sentence.contains("master-alive"), "{ending:?}");
    assert!(!model.servers[1].is_master());
}
