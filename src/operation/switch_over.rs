//! The planned switch-over: pause, equal offsets, demotion, promotion, proof of the link, open.

use super::ending::Outcome;
use super::goal::Goal;
use super::order::Order;
use super::run::{Act, PATIENCE, RETRY, Run, can_keep, give, look};
use super::sentinel;
use super::settle;
use super::situation::Situation;
use super::view::{Said, World};
use crate::info::Role;
use crate::model::{Span, Timestamp};

/// Between two looks while something is expected within milliseconds.
const SOON: Span = Span::from_millis(5);

/// Between two looks while the target catches up; a target that needs longer than two of them is
/// not close.
const CATCH_UP: Span = Span::from_millis(50);

/// How often in a row the target has to be close before writes are paused.
const CLOSE_POLLS: u32 = 3;

/// How often the old master is demoted: once more if the target turns out not to have everything.
const DEMOTIONS: u32 = 2;

/// How long the target may take to apply what was on its way to it when the old master was demoted.
const LAST_BYTES: Span = Span::from_secs(1);

pub(super) fn next(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let situation = Situation::from_world(world, &run.intent);
    match (run.goal, situation) {
        (Goal::Forward, Situation::Before) => before(run, world, now),
        (Goal::Forward, Situation::Nobody) => nobody(run, world, now),
        (Goal::Forward, Situation::After) => after(run, world, now),
        (Goal::Back, Situation::Before) => back_where_it_began(run, world, now),
        (Goal::Back, Situation::Nobody) => back_from_nobody(run, world),
        (Goal::Back, Situation::After) => back_from_after(run, world, now),
        (_, Situation::OldSilent(Role::Replica)) => old_silent(run, world, now),
        (_, Situation::OldSilent(Role::Master)) => after_without_old(run, world, now),
        (_, Situation::TargetSilent(role)) => target_silent(run, world, now, role),
        (_, Situation::BothSilent) => both_silent(run, world, now),
        (_, Situation::TwoMasters) => two_masters(run, world),
        (_, Situation::Elsewhere) => elsewhere(run, world),
    }
}

/// The old master is the master: pause, prove, demote.
fn before(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    if !run.intent.old.is_same_run(old) {
        run.turn_back(format!(
            "{} was restarted since the plan was made",
            world.old.addr
        ));
        return look();
    }
    if run.proofs.demotions >= DEMOTIONS {
        run.turn_back("the target did not get everything, although it was level before");
        return look();
    }
    if let Some(act) = sentinel::prepare(run, world, now) {
        return act;
    }
    if !run.intent.can_pause {
        return without_pause(run, world, now);
    }
    let Some(fence) = run.proofs.fence else {
        return match drained(run, old, target, now) {
            None => run.pause_writes(&run.intent.old.addr, None),
            Some(act) => act,
        };
    };
    let paused_for = run.proofs.fenced_at.map_or(Span::ZERO, |at| now - at);
    if paused_for > run.intent.limits.max_pause {
        let limit = run.intent.limits.max_pause;
        run.turn_back(format!(
            "the target was not level within {limit} (--max-pause)"
        ));
        return look();
    }
    if fence.is_old(now) {
        return run.pause_writes(&run.intent.old.addr, Some(fence));
    }
    let hold_lasts = run.proofs.hold.is_some_and(|hold| hold.lasts(now));
    let is_held = hold_lasts || !run.intent.holds_target();
    if is_held && run.proofs.equal.is_some() {
        return demote(run, old);
    }
    if let Some(equal) = world.equal_offsets() {
        let offset = equal.offset;
        run.tell(format!("the target has everything up to offset {offset} (asked between two answers of the old master)"));
        run.proofs.equal = Some(equal);
        if !run.intent.holds_target() {
            return demote(run, old);
        }
        return run.pause_writes(&run.intent.target.addr, None);
    }
    Act::Look {
        after: if world.old_again.is_some() {
            SOON
        } else {
            Span::ZERO
        },
        everyone: false,
    }
}

/// Without a pause the demotion itself stops the writes, and what was on its way is waited for.
fn without_pause(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    match drained(run, old, target, now) {
        None => demote(run, old),
        Some(act) => act,
    }
}

fn demote(run: &Run, old: &Said) -> Act {
    give(Order::Demote {
        server: run.intent.old.addr.clone(),
        master: run.intent.target.addr.clone(),
        unpause: run.intent.can_pause,
        rewrite: can_keep(old),
    })
}

/// `None` once the target has been close for long enough; until then what to do.
fn drained(run: &mut Run, old: &Said, target: &Said, now: Timestamp) -> Option<Act> {
    let reached = run
        .proofs
        .last_end
        .is_some_and(|end| target.applied() >= end);
    let is_linked = target.upstream.as_ref().is_some_and(|link| link.is_up);
    let is_close = reached && is_linked && old.replid == target.replid && !target.loading;
    run.proofs.last_end = Some(old.offset);
    run.proofs.close_polls = if is_close {
        run.proofs.close_polls + 1
    } else {
        0
    };
    if run.proofs.close_polls >= CLOSE_POLLS {
        run.proofs.close_polls = 0;
        return None;
    }
    let limit = run.intent.limits.drain;
    if now - run.began > limit {
        run.turn_back(format!(
            "the target did not come close within {limit} (--drain)"
        ));
        return Some(look());
    }
    Some(Act::Look {
        after: CATCH_UP,
        everyone: false,
    })
}

/// Each follows the other: the target is promoted once it has everything.
fn nobody(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    // A Sentinel that has been told may promote it at any moment.
    if is_level(run, old, target) || run.has_told_sentinel() {
        return promote(run, world, target, now);
    }
    let since = run
        .proofs
        .demoted
        .as_ref()
        .map_or(run.began, |demoted| demoted.at);
    if now - since > LAST_BYTES {
        return restore_old(run, world);
    }
    // A target whose writes wait applies nothing either.
    if run.proofs.hold.is_some() {
        return give(Order::Unpause {
            server: run.intent.target.addr.clone(),
        });
    }
    Act::Look {
        after: SOON,
        everyone: false,
    }
}

/// Whether the target has everything that the demoted master has: it says so, it was level at the
/// place where the old master's stream has ended, or its own history begins there.
fn is_level(run: &Run, old: &Said, target: &Said) -> bool {
    let was_level = run.proofs.equal.as_ref().is_some_and(|equal| {
        equal.offset == old.offset && equal.replid == old.replid && target.replid == old.replid
    });
    let is_level = target.replid == old.replid && target.applied() == old.offset;
    was_level || is_level || continues(old, target)
}

/// Whether the target was promoted, earlier in this operation, exactly where the old master's
/// stream has ended.
fn continues(old: &Said, target: &Said) -> bool {
    target.replid2.as_ref() == Some(&old.replid) && target.second_offset == Some(old.offset + 1)
}

/// The way back, with each following the other: the old master is restored, unless the target took
/// something while it was a master, because its pause was over before its demotion arrived.
fn back_from_nobody(run: &mut Run, world: &World) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    if continues(old, target) && target.offset > old.offset {
        // Forward is the only way that loses nothing, and there is no way back from it.
        run.tell(
            "the target may have taken writes before it was demoted: it becomes the master again",
        );
        run.proofs.hold_broken = true;
        if let Some(why) = run.proofs.why_back.take() {
            run.add_open(why);
        }
        run.goal = Goal::Forward;
        return look();
    }
    if run.has_told_sentinel() {
        let addr = run.intent.target.addr.clone();
        let todo = format!("a Sentinel may promote {addr} at any moment: run failover --resume");
        return run.incomplete(world, "it cannot be taken back any more", todo);
    }
    restore_old(run, world)
}

fn promote(run: &mut Run, world: &World, target: &Said, now: Timestamp) -> Act {
    if let Some(intent) = run.intent.sentinel.clone() {
        return sentinel::promote(run, &intent.name, target, world, now);
    }
    let addr = run.intent.target.addr.clone();
    if run.intent.can_pause && !run.proofs.hold_broken {
        match run.proofs.hold {
            Some(hold) if hold.lasts(now) && !hold.is_old(now) => {}
            hold => return run.pause_writes(&addr, hold),
        }
    }
    run.proofs.full_syncs = Some(target.full_syncs);
    run.proofs.waiting_since = None;
    give(Order::Promote { server: addr })
}

/// The old master becomes the master again: the target was not promoted, or is not any more.
fn restore_old(run: &mut Run, world: &World) -> Act {
    if may_have_lost_data(run, world) {
        let old = run.intent.old.addr.clone();
        let target = run.intent.target.addr.clone();
        let todo = format!(
            "look which of the two has all data. If it is {target}, on it: REPLICAOF NO ONE and CONFIG \
             REWRITE; if it is {old}, the same there"
        );
        let why = format!(
            "{old} was restarted meanwhile and may not have what it had, so it is not made the master again"
        );
        return run.incomplete(world, &why, todo);
    }
    if run.proofs.restorations > DEMOTIONS {
        let todo = format!(
            "nobody takes writes: on {} run REPLICAOF NO ONE",
            run.intent.old.addr
        );
        return run.incomplete(world, "the old master could not be restored", todo);
    }
    give(Order::Promote {
        server: run.intent.old.addr.clone(),
    })
}

/// Whether the old master was restarted, and is not certain to have everything that the target has:
/// then the target may be the only one that has it.
fn may_have_lost_data(run: &Run, world: &World) -> bool {
    let Some(old) = world
        .old
        .said()
        .filter(|old| !run.intent.old.is_same_run(old))
    else {
        return false;
    };
    let planned = run.intent.old.replid.as_ref();
    let is_of_history = planned == Some(&old.replid) || planned == old.replid2.as_ref();
    let has_less = world
        .target
        .said()
        .is_none_or(|target| old.applied() < target.applied());
    !is_of_history || has_less
}

/// The target is the master: prove the link of the old one, open, settle.
fn after(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    if run.proofs.opened_at.is_some() {
        return settle::settle(run, world, now);
    }
    let addr = run.intent.target.addr.clone();
    let open = Order::Unpause {
        server: addr.clone(),
    };
    let Some(promoted_at) = run.proofs.promoted_at else {
        // An earlier run promoted it, and its pause has ended or ends by itself.
        return give(open);
    };
    let Some(hold) = run.proofs.hold.filter(|hold| hold.lasts(now)) else {
        run.proofs.hold_broken = true;
        run.proofs.opened_at = Some(now);
        return look();
    };
    if is_linked(old, target) {
        let given = run
            .proofs
            .full_syncs
            .map(|before| target.full_syncs.saturating_sub(before));
        run.proofs.full_syncs_given = given;
        run.tell(match given {
            Some(0) => "the old master follows it by a partial resync".to_owned(),
            _ => "the old master follows it, by a full sync".to_owned(),
        });
        return give(open);
    }
    // Its data are being replaced by the same data; there is no way back from that.
    if old.is_being_replaced() {
        return give(open);
    }
    if now - promoted_at > run.intent.limits.verify {
        let verify = run.intent.limits.verify;
        let old = run.intent.old.addr.clone();
        run.turn_back(format!(
            "{old} could not follow {addr} within {verify} (--verify): look whether it is \
             reachable from there"
        ));
        return look();
    }
    if hold.is_old(now) {
        return run.pause_writes(&addr, Some(hold));
    }
    Act::Look {
        after: SOON,
        everyone: false,
    }
}

/// Whether the old master follows the target's stream.
fn is_linked(old: &Said, target: &Said) -> bool {
    let is_up = old.upstream.as_ref().is_some_and(|link| link.is_up);
    is_up && old.replid == target.replid
}

/// The target is promoted and has certainly taken no write: it is demoted, and the old master
/// restored. Otherwise there is no way back.
fn back_from_after(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    let is_held = run.proofs.hold.is_some_and(|hold| hold.lasts(now));
    let is_ours = run.proofs.promoted_at.is_some() && run.proofs.opened_at.is_none();
    if is_held && is_ours && !run.proofs.hold_broken && !old.is_being_replaced() {
        return give(Order::Demote {
            server: run.intent.target.addr.clone(),
            master: run.intent.old_for_target.clone(),
            unpause: true,
            rewrite: can_keep(target),
        });
    }
    if run.proofs.is_resumed && run.proofs.promoted_at.is_none() {
        let pair = &run.intent.pair;
        let old = &run.intent.old.addr;
        let todo = format!("switch back: failover --pair {pair} --to {old} --execute");
        let why = "the switch-over is beyond the point where it can be rolled back";
        return run.incomplete(world, why, todo);
    }
    // It may have taken writes: forward is the only way that loses nothing.
    if let Some(why) = run.proofs.why_back.take() {
        run.add_open(why);
    }
    run.goal = Goal::Forward;
    look()
}

/// Everything is as before: writes go on, and the link is proved.
fn back_where_it_began(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(target)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    let is_paused = run.proofs.fence.is_some_and(|fence| fence.lasts(now));
    let unpause = |server| Order::Unpause { server };
    if run.intent.can_pause && (is_paused || run.proofs.is_resumed) {
        let order = unpause(run.intent.old.addr.clone());
        if let Some(act) = run.once("unpause", order) {
            return act;
        }
    }
    let is_held = run.proofs.hold.is_some_and(|hold| hold.lasts(now));
    if run.intent.can_pause && (is_held || run.proofs.is_resumed) {
        let order = unpause(run.intent.target.addr.clone());
        if let Some(act) = run.once("unpause", order) {
            return act;
        }
    }
    if run.proofs.demotions > 0 && can_keep(old) {
        let order = Order::Keep {
            server: run.intent.old.addr.clone(),
        };
        if let Some(act) = run.once("keep", order) {
            return act;
        }
    }
    if target.upstream.as_ref().is_some_and(|link| link.is_up) {
        return Act::End(run.end(Outcome::AsBefore, world.masters()));
    }
    if let Some(act) = run.wait(now, RETRY, PATIENCE) {
        return act;
    }
    let todo = format!("the link of {} to it is not up yet", world.target.addr);
    run.incomplete(world, "its replica is not linked", todo)
}

/// The old master does not answer, and the target is a replica.
fn old_silent(run: &mut Run, world: &World, now: Timestamp) -> Act {
    if let (Some(demoted), Some(target)) = (&run.proofs.demoted, world.target.said())
        && run.goal == Goal::Forward
        && target.replid == demoted.replid
        && target.applied() == demoted.offset
    {
        // It is a replica, and the target has all that it ever had.
        return promote(run, world, target, now);
    }
    if let Some(act) = run.ask_again(now) {
        return act;
    }
    let old = run.intent.old.addr.clone();
    if run.proofs.demotions == 0 && !run.proofs.is_resumed {
        run.turn_back(format!(
            "{old} stopped answering before anything was changed"
        ));
        return Act::End(run.end(Outcome::AsBefore, world.masters()));
    }
    let todo = format!(
        "{old} does not answer: if it comes back, run failover --resume; if it is lost, failover \
         --disaster"
    );
    run.incomplete(
        world,
        "the old master does not answer, and its role is not known",
        todo,
    )
}

/// The target is the master, and the old one does not answer.
fn after_without_old(run: &mut Run, world: &World, now: Timestamp) -> Act {
    if run.proofs.opened_at.is_none() {
        return give(Order::Unpause {
            server: run.intent.target.addr.clone(),
        });
    }
    if let Some(act) = run.ask_again(now) {
        return act;
    }
    let old = run.intent.old.addr.clone();
    let pair = run.intent.pair.clone();
    let todo =
        format!("{old} does not answer: when it is back, check it, or run failback --pair {pair}");
    run.incomplete(world, "the old master does not answer", todo)
}

/// The target does not answer. The old master is restored only while the target certainly is none.
fn target_silent(run: &mut Run, world: &World, now: Timestamp, old: Role) -> Act {
    let target = run.intent.target.addr.clone();
    if old == Role::Master {
        run.turn_back(format!("{target} does not answer"));
        let is_paused = run.proofs.fence.is_some_and(|fence| fence.lasts(now));
        if is_paused {
            return give(Order::Unpause {
                server: run.intent.old.addr.clone(),
            });
        }
        if run.proofs.demotions > 0 {
            let keep = Order::Keep {
                server: run.intent.old.addr.clone(),
            };
            if let Some(act) = run.once("keep", keep) {
                return act;
            }
        }
        run.add_open(format!(
            "{target} does not answer: there is no replica to fail over to"
        ));
        return Act::End(run.end(Outcome::AsBefore, world.masters()));
    }
    if !run.proofs.promote_sent {
        run.turn_back(format!("{target} stopped answering before it was promoted"));
        return restore_old(run, world);
    }
    if let Some(act) = run.ask_again(now) {
        return act;
    }
    let todo = format!(
        "whether {target} is a master is not known, so {} was left a replica: run failover --resume \
         when {target} answers",
        run.intent.old.addr
    );
    run.incomplete(
        world,
        "the target was told to become the master and does not answer",
        todo,
    )
}

fn both_silent(run: &mut Run, world: &World, now: Timestamp) -> Act {
    if let Some(act) = run.ask_again(now) {
        return act;
    }
    let todo = "neither server answers this machine: run failover --resume when they do".to_owned();
    run.incomplete(world, "nothing is known of their roles", todo)
}

fn two_masters(run: &mut Run, world: &World) -> Act {
    let old = run.intent.old.addr.clone();
    let pair = run.intent.pair.clone();
    let todo = format!(
        "{old} and the new master both take writes: keep clients away from {old}, then failback \
         --pair {pair} says what only it has"
    );
    run.incomplete(world, "something else promoted a server", todo)
}

fn elsewhere(run: &mut Run, world: &World) -> Act {
    let todo = "check shows who follows whom; plan again when that is as it should be".to_owned();
    run.incomplete(world, "somebody else changed who follows whom", todo)
}
