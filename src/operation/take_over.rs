//! The second half of a switch-over whose servers no one place reaches: the replica is promoted if
//! it has exactly what the token of the first half says. Less would lose writes; more means that
//! the old master has taken some since.

use super::disaster::{cannot_go_back, silent};
use super::ending::Outcome;
use super::goal::Goal;
use super::order::Order;
use super::run::{Act, Run, give, look};
use super::settle;
use super::token::Token;
use super::view::{Said, World};
use crate::info::Role;
use crate::model::{Span, Timestamp};

/// Between two looks.
const SOON: Span = Span::from_millis(50);

/// How long the target may take to apply what it has received.
const LAST_BYTES: Span = Span::from_secs(1);

pub(super) fn next(run: &mut Run, world: &World, now: Timestamp) -> Act {
    match (run.goal, world.target.role()) {
        (Goal::Forward, Some(Role::Replica)) => promote(run, world, now),
        (Goal::Forward, Some(Role::Master)) => promoted(run, world, now),
        (Goal::Back, Some(Role::Replica)) => {
            Act::End(run.end(Outcome::AsBefore, "the target was not promoted"))
        }
        (Goal::Back, Some(Role::Master)) => cannot_go_back(run, world),
        (_, None) => silent(run, world, now),
    }
}

/// What the target lacks of the token, or has beyond it, as a sentence without a full stop; `None`
/// where it is level.
pub(super) fn mismatch(target: &Said, token: &Token) -> Option<String> {
    let applied = target.applied();
    if target.replid != token.replid {
        return Some(format!(
            "it has the history {}, and the token {}",
            target.replid, token.replid
        ));
    }
    if applied < token.offset {
        let bytes = token.offset - applied;
        return Some(format!("it lacks {bytes} bytes of what the token says"));
    }
    if applied > token.offset {
        let bytes = applied - token.offset;
        return Some(format!("it has {bytes} bytes more than the token says"));
    }
    None
}

fn promote(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(token), Some(target)) = (run.intent.token.clone(), world.target.said()) else {
        return look();
    };
    let addr = run.intent.target.addr.clone();
    if !run.intent.target.is_same_run(target) {
        run.turn_back(format!("{addr} was restarted since the plan was made"));
        return look();
    }
    if target.is_being_replaced() {
        run.turn_back("the target's data are being replaced by a full sync");
        return look();
    }
    if let Some(why) = mismatch(target, &token) {
        if let Some(act) = run.wait(now, SOON, LAST_BYTES) {
            return act;
        }
        run.turn_back(format!("{why} (token-mismatch)"));
        return look();
    }
    let offset = token.offset;
    run.tell(format!(
        "{addr} has exactly what the token says, up to offset {offset}"
    ));
    run.proofs.hold_broken = true;
    run.proofs.waiting_since = None;
    run.proofs.full_syncs = Some(target.full_syncs);
    give(Order::Promote { server: addr })
}

/// The target is a master: it has to begin exactly where the token says.
fn promoted(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(token), Some(target)) = (run.intent.token.clone(), world.target.said()) else {
        return look();
    };
    let begins_there = target.second_offset == Some(token.offset + 1);
    if target.replid2.as_ref() != Some(&token.replid) || !begins_there {
        let todo = format!(
            "{} is a master of another history: check it",
            world.target.addr
        );
        return run.incomplete(world, "it does not continue where the token says", todo);
    }
    let opened = *run.proofs.opened_at.get_or_insert(now);
    if let Some(act) = wait_for_old(run, target, opened, now) {
        return act;
    }
    settle::settle(run, world, now)
}

/// The old master follows by itself; whether it does is seen in the new master's list. `None` once
/// it is, or has not been for long enough.
fn wait_for_old(run: &mut Run, target: &Said, opened: Timestamp, now: Timestamp) -> Option<Act> {
    let old = run.intent.old.addr.clone();
    if run.proofs.old_follows_since.is_some() {
        return None;
    }
    if target.listed(&old).is_some_and(|listed| listed.is_online) {
        run.proofs.old_follows_since = Some(now);
        run.tell(format!("{old} follows it"));
        return None;
    }
    if now - opened < run.intent.limits.verify {
        return Some(Act::Look {
            after: SOON,
            everyone: false,
        });
    }
    run.oblige(format!(
        "{old} is not seen to follow it: look at it where it is reached (INFO replication there)"
    ));
    None
}
