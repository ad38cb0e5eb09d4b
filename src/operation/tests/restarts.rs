//! A server that a supervisor restarts between two steps, and what it has lost by that.

use super::super::*;
use super::{addr, history, intent, replica};
use crate::model::{Span, Timestamp};

/// Each follows the other; the old master was restarted, as `change` makes it.
fn nobody(change: fn(&mut Said)) -> World {
    let mut old = replica(1, 2);
    let said = old.said.as_mut().unwrap();
    said.run_id = "another run".to_owned();
    let link = said.upstream.as_mut().unwrap();
    link.is_up = false;
    change(said);
    World {
        old,
        target: replica(2, 1),
        old_again: None,
        others: Vec::new(),
        sentinels: Vec::new(),
    }
}

/// What a resumed run does in this world once it has waited for the last bytes.
fn after_a_while(world: &World, goal: Goal) -> Act {
    run_for_a_while(OperationKind::SwitchOver, world, goal)
}

fn run_for_a_while(kind: OperationKind, world: &World, goal: Goal) -> Act {
    let demoted = Entry {
        at: 0.0,
        record: Record::Will {
            order: Order::Demote {
                server: addr(1),
                master: addr(2),
                unpause: true,
                rewrite: true,
            },
        },
    };
    let intent = intent(kind);
    let mut now = Timestamp::from_nanos(1_000_000_000_000);
    let mut run = Run::resume(intent, goal, &[demoted], now);
    loop {
        match run.next(world, now) {
            Act::Look { after, .. } => now += after + Span::from_millis(1),
            other => return other,
        }
    }
}

#[test]
fn an_old_master_that_came_back_with_less_is_not_made_the_master_again() {
    let changes: [fn(&mut Said); 3] = [
        // Empty.
        |said| {
            said.replid = history('e');
            said.offset = 0;
            said.upstream.as_mut().unwrap().applied = 0;
        },
        // From an append-only file: all its data, and another history.
        |said| said.replid = history('e'),
        // From an older RDB file.
        |said| {
            said.offset = 900;
            said.upstream.as_mut().unwrap().applied = 900;
        },
    ];
    for (case, change) in changes.into_iter().enumerate() {
        for goal in Goal::ALL {
            let act = after_a_while(&nobody(change), goal);
            let Act::End(ending) = act else {
                panic!("case {case}, {goal}: {act:?}")
            };
            assert_eq!(ending.outcome, Outcome::Incomplete, "{ending:?}");
            assert!(ending.sentence.contains("was restarted"), "{ending:?}");
            assert!(ending.open[0].contains("which of the two"), "{ending:?}");
        }
    }
}

#[test]
fn after_a_hand_over_a_restarted_master_is_neither_restored_nor_is_a_token_given() {
    // The replica is not seen from there, so it does not matter what came back.
    let changes: [fn(&mut Said); 2] = [
        |_| {},
        |said| {
            said.replid = history('e');
            said.offset = 0;
        },
    ];
    for change in changes {
        for goal in Goal::ALL {
            let act = run_for_a_while(OperationKind::HandOver, &nobody(change), goal);
            let Act::End(ending) = act else {
                panic!("{goal}: {act:?}")
            };
            assert_eq!(ending.outcome, Outcome::Incomplete, "{ending:?}");
            assert!(ending.sentence.contains("was restarted"), "{ending:?}");
            assert!(!ending.last_line().contains("--token"), "{ending:?}");
        }
    }
}

#[test]
fn an_old_master_that_came_back_with_everything_is() {
    let act = after_a_while(&nobody(|_| {}), Goal::Back);
    let Act::Do {
        order: Order::Promote { server },
        ..
    } = act
    else {
        panic!("{act:?}")
    };
    assert_eq!(server, addr(1));
}
