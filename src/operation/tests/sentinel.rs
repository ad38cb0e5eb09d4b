//! Runs under a Sentinel in memory.

use super::super::*;
use super::model::Model;
use super::runs::{drive, whole};
use super::{addr, intent, replica};
use crate::model::Span;

/// The switch-over under a Sentinel that takes the master for down after three seconds.
fn managed() -> Intent {
    let mut intent = intent(OperationKind::SwitchOver);
    intent.limits = intent.limits.within(Span::from_secs(3));
    intent.sentinel = Some(SentinelIntent {
        name: "mymaster".to_owned(),
        priorities: vec![PriorityChange {
            server: addr(2),
            before: 100,
            during: 1,
        }],
    });
    intent
}

fn priority(model: &Model) -> u64 {
    model.sentinel.as_ref().unwrap().priority
}

#[test]
fn a_pause_is_shorter_than_half_of_what_sentinels_wait() {
    let limits = managed().limits;
    let half = Span::from_millis(1500);
    assert_eq!((limits.max_pause, limits.lease), (half, half));
}

#[test]
fn the_sentinel_promotes_once_it_knows_whom_and_nothing_is_lost() {
    for seed in 0..200 {
        let mut model = Model::under_sentinel(seed);
        let mut run = Run::new(managed(), model.now);
        let ending = whole(&mut run, &mut model);
        assert_eq!(ending.outcome, Outcome::Done, "seed {seed}: {ending:?}");
        assert!(model.servers[1].is_master() && !model.servers[0].is_master());
        assert_eq!(priority(&model), 100, "seed {seed}: it is put back");
        let pause = run.pause().expect("writes waited");
        assert!(pause < Span::from_secs(2), "seed {seed}: {pause}");
    }
}

#[test]
fn a_sentinel_that_finds_no_good_replica_changes_nothing() {
    for seed in 0..50 {
        let mut model = Model::under_sentinel(seed);
        model.sentinel.as_mut().unwrap().refusals = u32::MAX;
        let mut run = Run::new(managed(), model.now);
        let ending = whole(&mut run, &mut model);
        assert_eq!(ending.outcome, Outcome::AsBefore, "seed {seed}: {ending:?}");
        assert!(
            ending.sentence.contains("no Sentinel promotes"),
            "{ending:?}"
        );
        assert!(model.servers[0].is_master() && model.accepts(0));
        assert_eq!(priority(&model), 100, "seed {seed}");
    }
}

#[test]
fn a_promotion_that_was_begun_is_never_taken_back() {
    for seed in 0..50 {
        let mut model = Model::under_sentinel(seed);
        let sentinel = model.sentinel.as_mut().unwrap();
        sentinel.refusals = 0;
        sentinel.promotes = false;
        let mut run = Run::new(managed(), model.now);
        let ending = whole(&mut run, &mut model);
        assert_eq!(
            ending.outcome,
            Outcome::Incomplete,
            "seed {seed}: {ending:?}"
        );
        let masters = model.servers.iter().filter(|server| server.is_master());
        assert_eq!(masters.count(), 0, "seed {seed}");
        assert!(ending.open[0].contains("--resume"), "{ending:?}");
    }
}

#[test]
fn a_run_under_a_sentinel_that_is_killed_anywhere_can_be_resumed() {
    let mut resumed = 0;
    for seed in 0..400 {
        let mut model = Model::under_sentinel(seed);
        let mut run = Run::new(managed(), model.now);
        let steps = model.chance.usize(1..90);
        let course = drive(&mut run, &mut model, steps);
        if course.ending.is_some() {
            continue;
        }
        resumed += 1;
        for _ in 0..model.chance.i64(0..500) {
            model.pass(Span::from_millis(10));
        }
        let mut second = Run::resume(managed(), Goal::Forward, &course.journal, model.now);
        let ending = whole(&mut second, &mut model);
        assert_eq!(
            ending.outcome,
            Outcome::Done,
            "seed {seed}, {steps} steps: {ending:?}"
        );
        assert!(model.servers[1].is_master() && !model.servers[0].is_master());
        assert_eq!(priority(&model), 100, "seed {seed}, {steps} steps");
    }
    assert!(resumed > 100, "{resumed}");
}

#[test]
fn the_target_has_the_best_priority_and_the_others_are_changed_only_where_they_must() {
    let with = |port, priority| {
        let mut view = replica(port, 1);
        view.said.as_mut().unwrap().priority = priority;
        view
    };
    let changes = |target: ServerView, others: &[ServerView]| {
        let intent = over_sentinels("m", &target, others).expect("its priority is known");
        let all = intent.priorities.into_iter();
        let change = |change: PriorityChange| (change.server, change.before, change.during);
        all.map(change).collect::<Vec<_>>()
    };
    let target = |priority| with(2, Some(priority));
    assert_eq!(changes(target(100), &[]), []);
    assert_eq!(changes(target(10), &[with(3, Some(100))]), []);
    assert_eq!(
        changes(target(100), &[with(3, Some(0))]),
        [],
        "never chosen"
    );
    assert_eq!(
        changes(target(100), &[with(3, Some(100))]),
        [(addr(2), 100, 1)]
    );
    assert_eq!(changes(target(0), &[]), [(addr(2), 0, 1)]);
    assert_eq!(
        changes(target(1), &[with(3, Some(1))]),
        [(addr(3), 1, 100)],
        "the offset would decide"
    );
    let mut silent = replica(3, 1);
    silent.said = Err("no answer".to_owned());
    assert_eq!(changes(target(100), &[silent]), [(addr(2), 100, 1)]);
}

#[test]
fn a_priority_that_is_not_known_is_not_taken_for_the_default() {
    let with = |port, priority| {
        let mut view = replica(port, 1);
        view.said.as_mut().unwrap().priority = priority;
        view
    };
    let unknown = with(2, None);
    assert_eq!(over_sentinels("m", &unknown, &[]), None);
    assert_eq!(without_priority(&unknown, &[]), Some(&unknown));
    let known = with(2, Some(100));
    let rivals = [with(3, Some(10)), with(4, None)];
    assert_eq!(without_priority(&known, &rivals), Some(&rivals[1]));
    assert_eq!(without_priority(&known, &rivals[..1]), None);
    let mut silent = with(3, None);
    silent.said = Err("no answer".to_owned());
    assert_eq!(
        without_priority(&known, &[silent]),
        None,
        "nobody chooses it"
    );
}
