//! A switch-over in two halves: neither sees the other's server.

use super::super::*;
use super::model::Model;
use super::runs::{drive, whole};
use super::{addr, intent};
use crate::model::Span;

fn model(seed: u64) -> Model {
    let mut model = Model::new(seed);
    model.pings = true;
    model
}

/// The token in the last line of a hand-over.
fn token(ending: &Ending) -> Token {
    let line = ending.last_line();
    let mut words = line.split(' ');
    let has_flag = words.any(|word| word == "--token");
    assert!(has_flag, "{line}");
    Token::parse(words.next().unwrap()).expect("a token")
}

fn take_over(token: Token) -> Intent {
    let mut intent = intent(OperationKind::TakeOver);
    intent.token = Some(token);
    intent
}

#[test]
fn both_halves_lose_nothing() {
    let mut slipped = 0;
    for seed in 0..300 {
        let mut model = model(seed);
        let mut first = Run::new(intent(OperationKind::HandOver), model.now);
        let ending = whole(&mut first, &mut model);
        assert_eq!(ending.outcome, Outcome::Done, "seed {seed}: {ending:?}");
        assert!(!model.accepts(0) && !model.accepts(1), "seed {seed}");
        slipped += u32::from(first.proofs.demotions > 1);
        // Whoever carries the token takes his time.
        model.pass(Span::from_secs(30));
        let mut second = Run::new(take_over(token(&ending)), model.now);
        let ending = whole(&mut second, &mut model);
        assert_eq!(ending.outcome, Outcome::Done, "seed {seed}: {ending:?}");
        assert_eq!(ending.open, Vec::<String>::new(), "seed {seed}");
        assert!(model.servers[1].is_master() && !model.servers[0].is_master());
    }
    assert!(slipped > 0, "no PING ever came between");
}

#[test]
fn a_first_half_that_is_killed_anywhere_goes_on_or_back() {
    let mut was_demoted = 0;
    for seed in 0..400 {
        let mut model = model(seed);
        let mut run = Run::new(intent(OperationKind::HandOver), model.now);
        let steps = model.chance.usize(1..400);
        let course = drive(&mut run, &mut model, steps);
        if course.ending.is_some() {
            continue;
        }
        model.pass(Span::from_secs(3));
        was_demoted += u32::from(!model.servers[0].is_master());
        let goal = if model.chance.bool() {
            Goal::Forward
        } else {
            Goal::Back
        };
        let intent = intent(OperationKind::HandOver);
        let mut again = Run::resume(intent, goal, &course.journal, model.now);
        let ending = whole(&mut again, &mut model);
        if goal == Goal::Back {
            assert_eq!(ending.outcome, Outcome::AsBefore, "seed {seed}: {ending:?}");
            assert!(model.accepts(0), "seed {seed}");
            continue;
        }
        assert_eq!(ending.outcome, Outcome::Done, "seed {seed}: {ending:?}");
        let mut second = Run::new(take_over(token(&ending)), model.now);
        let ending = whole(&mut second, &mut model);
        let has_taken_over = ending.outcome == Outcome::Done;
        assert_eq!(has_taken_over, model.servers[1].is_master(), "seed {seed}");
        if !has_taken_over {
            assert!(ending.sentence.contains("token-mismatch"), "{ending:?}");
        }
    }
    assert!(was_demoted > 0, "none was killed behind the demotion");
}

#[test]
fn a_replica_without_exactly_the_tokens_data_is_not_promoted() {
    for wrong in [999, 1001] {
        let mut model = Model::new(1);
        model.servers[0].answers = false;
        let end = model.servers[1].end();
        let mut token = Token {
            replid: super::history('a'),
            offset: end + wrong - 1000,
        };
        let mut run = Run::new(take_over(token.clone()), model.now);
        let ending = whole(&mut run, &mut model);
        assert_eq!(ending.outcome, Outcome::AsBefore, "{ending:?}");
        assert!(ending.sentence.contains("token-mismatch"), "{ending:?}");
        assert!(!model.servers[1].is_master());
        token.offset = end;
        token.replid = super::history('b');
        let mut run = Run::new(take_over(token), model.now);
        let ending = whole(&mut run, &mut model);
        assert_eq!(ending.outcome, Outcome::AsBefore, "{ending:?}");
    }
}

#[test]
fn a_replica_that_acknowledges_nothing_leaves_the_master_alone() {
    let mut model = model(3);
    model.servers[1].answers = false;
    let mut limited = intent(OperationKind::HandOver);
    limited.limits.drain = Span::from_secs(5);
    let mut run = Run::new(limited, model.now);
    let mut world = model.look();
    let ending = loop {
        // It is listed, and its acknowledgements do not come.
        let said = world.old.said.as_mut().unwrap();
        said.replicas = vec![ListedReplica {
            addr: Some(addr(2)),
            is_online: true,
            acked: Some(10),
        }];
        match run.next(&world, model.now) {
            Act::Look { after, .. } => {
                model.pass(after);
                world = model.look();
            }
            Act::End(ending) => break ending,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ending.outcome, Outcome::AsBefore, "{ending:?}");
    assert!(ending.sentence.contains("--drain"), "{ending:?}");
}
