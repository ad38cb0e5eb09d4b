//! The failover from a master that is lost: the target is promoted, and everybody else follows it.

use super::ending::Outcome;
use super::goal::Goal;
use super::order::Order;
use super::run::{Act, Run, give, look};
use super::sentinel;
use super::settle;
use super::view::World;
use crate::info::Role;
use crate::model::Timestamp;

pub(super) fn next(run: &mut Run, world: &World, now: Timestamp) -> Act {
    match (run.goal, world.target.role()) {
        (Goal::Forward, Some(Role::Replica)) => promote(run, world, now),
        (Goal::Forward, Some(Role::Master)) => promoted(run, world, now),
        (Goal::Back, Some(Role::Replica)) if run.has_told_sentinel() => {
            let addr = run.intent.target.addr.clone();
            let todo =
                format!("a Sentinel may promote {addr} at any moment: run failover --resume");
            run.incomplete(world, "it cannot be taken back any more", todo)
        }
        (Goal::Back, Some(Role::Replica)) => {
            Act::End(run.end(Outcome::AsBefore, "the target was not promoted"))
        }
        (Goal::Back, Some(Role::Master)) => cannot_go_back(run, world),
        (_, None) => silent(run, world, now),
    }
}

/// The target is promoted, unless the old master turns out to live.
fn promote(run: &mut Run, world: &World, now: Timestamp) -> Act {
    if world.old.is_master() && !run.intent.states_fence() {
        let old = &world.old.addr;
        run.turn_back(format!("{old} answers: it is alive (master-alive)"));
        return look();
    }
    let (Some(planned), Some(target)) = (&run.intent.target.replid, world.target.said()) else {
        return look();
    };
    if *planned != target.replid || !run.intent.target.is_same_run(target) {
        let addr = &world.target.addr;
        run.turn_back(format!(
            "{addr} was restarted, or has another history than planned"
        ));
        return look();
    }
    if target.is_being_replaced() {
        run.turn_back("the target's data are being replaced by a full sync");
        return look();
    }
    if let Some(act) = sentinel::prepare(run, world, now) {
        return act;
    }
    run.proofs.hold_broken = true;
    if let Some(intent) = run.intent.sentinel.clone() {
        return sentinel::promote(run, &intent.name, target, world, now);
    }
    run.proofs.full_syncs = Some(target.full_syncs);
    give(Order::Promote {
        server: run.intent.target.addr.clone(),
    })
}

/// The target is a master: it has to continue the history that was planned.
fn promoted(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let Some(target) = world.target.said() else {
        return look();
    };
    if target.replid2.is_none() || target.replid2 != run.intent.target.replid {
        let todo = format!(
            "{} is a master of another history: check it",
            world.target.addr
        );
        return run.incomplete(world, "it does not continue the history of the plan", todo);
    }
    if run.proofs.opened_at.is_none() {
        run.proofs.opened_at = Some(now);
    }
    add_obligations(run, world);
    settle::settle(run, world, now)
}

/// What a disaster leaves to be done.
fn add_obligations(run: &mut Run, world: &World) {
    let old = run.intent.old.addr.clone();
    let pair = run.intent.pair.clone();
    let is_back = world.old.is_master();
    if is_back {
        // Whatever was stated about its fence: two masters are not what was wanted.
        run.add_open(format!(
            "{old} lives and is a master, too: keep clients away from it"
        ));
    } else {
        run.oblige(format!(
            "{old} is not fenced: keep clients away from it when it returns"
        ));
    }
    if run.intent.sentinel.is_some() {
        run.oblige(format!(
            "the Sentinels make {old} a replica within seconds of its return, and what only it has is gone \
             then: let the exporter save it (recover.capture), or keep it away from them and run \
             lost-writes --pair {pair} first"
        ));
        return;
    }
    run.oblige(format!(
        "what only {old} has is not saved: when it returns, failback --pair {pair} says how much that is \
         before anything overwrites it"
    ));
}

pub(super) fn cannot_go_back(run: &mut Run, world: &World) -> Act {
    let pair = run.intent.pair.clone();
    let todo = format!("to bring the old datacenter back: failback --pair {pair}");
    run.incomplete(
        world,
        "a promotion cannot be undone without losing its writes",
        todo,
    )
}

pub(super) fn silent(run: &mut Run, world: &World, now: Timestamp) -> Act {
    if let Some(act) = run.ask_again(now) {
        return act;
    }
    let target = run.intent.target.addr.clone();
    if !run.proofs.promote_sent {
        run.turn_back(format!("{target} does not answer"));
        return Act::End(run.end(Outcome::AsBefore, "no order was given"));
    }
    let todo =
        format!("whether {target} is a master is not known: run failover --resume when it answers");
    run.incomplete(
        world,
        "the target was told to become the master and does not answer",
        todo,
    )
}
