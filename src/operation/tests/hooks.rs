//! When hooks run, and what their failures mean.

use super::super::*;
use super::model::Model;
use super::runs::drive;
use super::{addr, intent};
use crate::model::Span;

fn with_hooks(kind: OperationKind) -> Intent {
    let mut intent = intent(kind);
    intent.hooks = HookNames {
        before: vec!["warn".to_owned()],
        after: vec!["DNS".to_owned()],
    };
    intent
}

const BEFORE: (HookStage, Option<crate::model::ServerAddr>) = (HookStage::Before, None);

#[test]
fn hooks_run_once_before_writes_wait_and_once_when_they_go_on() {
    for seed in 0..100 {
        let mut model = Model::new(seed);
        let mut run = Run::new(with_hooks(OperationKind::SwitchOver), model.now);
        let course = drive(&mut run, &mut model, 20_000);
        let ending = course.ending.expect("it ends");
        assert_eq!(ending.outcome, Outcome::Done, "seed {seed}: {ending:?}");
        let after = (HookStage::After, Some(addr(2)));
        assert_eq!(course.hooks, [BEFORE, after], "seed {seed}");
        let pause = run.pause().expect("writes waited");
        assert!(
            pause < Span::from_secs(1),
            "seed {seed}: no hook is in it: {pause}"
        );
    }
}

#[test]
fn one_that_fails_beforehand_changes_nothing_and_the_others_are_told() {
    for seed in 0..100 {
        let mut model = Model::new(seed);
        model.failing_hooks = Some(HookStage::Before);
        let mut run = Run::new(with_hooks(OperationKind::SwitchOver), model.now);
        let course = drive(&mut run, &mut model, 20_000);
        let ending = course.ending.expect("it ends");
        assert_eq!(ending.outcome, Outcome::AsBefore, "seed {seed}: {ending:?}");
        assert!(
            ending.sentence.contains("the hook has failed"),
            "{ending:?}"
        );
        let after = (HookStage::After, Some(addr(1)));
        assert_eq!(course.hooks, [BEFORE, after], "seed {seed}");
        let orders = course.journal.iter();
        let orders = orders.filter(|entry| matches!(entry.record, Record::Will { .. }));
        assert_eq!(orders.count(), 0, "seed {seed}");
        assert!(model.servers[0].is_master() && model.accepts(0));
    }
}

#[test]
fn one_that_fails_afterwards_is_left_to_a_person() {
    let mut model = Model::new(1);
    model.failing_hooks = Some(HookStage::After);
    let mut run = Run::new(with_hooks(OperationKind::SwitchOver), model.now);
    let course = drive(&mut run, &mut model, 20_000);
    let ending = course.ending.expect("it ends");
    assert_eq!(ending.outcome, Outcome::Incomplete, "{ending:?}");
    assert!(model.servers[1].is_master());
    assert!(
        ending.open[0].contains("do by hand what it does"),
        "{ending:?}"
    );
}

#[test]
fn a_run_that_is_killed_anywhere_tells_everybody_who_is_the_master() {
    let mut resumed = 0;
    for seed in 0..400 {
        let mut model = Model::new(seed);
        let mut run = Run::new(with_hooks(OperationKind::SwitchOver), model.now);
        let steps = model.chance.usize(1..40);
        let course = drive(&mut run, &mut model, steps);
        if course.ending.is_some() {
            continue;
        }
        resumed += 1;
        let goal = if model.chance.bool() {
            Goal::Forward
        } else {
            Goal::Back
        };
        let intent = with_hooks(OperationKind::SwitchOver);
        let mut second = Run::resume(intent, goal, &course.journal, model.now);
        let second = drive(&mut second, &mut model, 20_000);
        let ending = second.ending.expect("it ends");
        let masters = model.servers.iter().filter(|server| server.is_master());
        assert_eq!(masters.count(), 1, "seed {seed}: {ending:?}");
        let master = usize::from(model.servers[1].is_master());
        let mut latest = course.hooks.iter().chain(&second.hooks).rev();
        let told = latest.find(|(stage, _)| *stage == HookStage::After);
        let has_begun = !course.hooks.is_empty() || !second.hooks.is_empty();
        if has_begun && ending.outcome != Outcome::Incomplete {
            let expected = addr(if master == 0 { 1 } else { 2 });
            let told = told.and_then(|(_, master)| master.clone());
            assert_eq!(
                told,
                Some(expected),
                "seed {seed}, {steps} steps: {ending:?}"
            );
        }
    }
    assert!(resumed > 100, "{resumed}");
}

#[test]
fn a_returning_server_changes_no_master_so_it_has_no_hooks() {
    let mut model = Model::new(3);
    model.servers[0].answers = false;
    let mut run = Run::new(with_hooks(OperationKind::Rejoin), model.now);
    let course = drive(&mut run, &mut model, 2000);
    assert!(course.hooks.is_empty(), "{:?}", course.hooks);
}
