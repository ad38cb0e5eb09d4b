//! The return of an old master: it becomes a replica of the one that took over, and nothing that
//! only it has is overwritten unless a person allowed exactly that.

use super::ending::Outcome;
use super::goal::Goal;
use super::order::Order;
use super::run::{Act, Run, can_keep, give, look};
use super::situation::Situation;
use super::unshared::Unshared;
use super::view::{Said, World};
use crate::info::Role;
use crate::model::{Bytes, Span, Timestamp};

/// Between two looks at the progress of its sync.
const PROGRESS: Span = Span::from_millis(500);

/// A sync that makes no progress for this long is given up.
const STUCK: Span = Span::from_secs(600);

pub(super) fn next(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let situation = Situation::from_world(world, &run.intent);
    match (run.goal, situation) {
        (Goal::Forward, Situation::TwoMasters) => rejoin(run, world, now),
        (Goal::Forward, Situation::After) => wait_for_sync(run, world, now),
        (Goal::Back, Situation::TwoMasters) => {
            let old = run.intent.old.addr.clone();
            if run.proofs.fence.is_some_and(|fence| fence.lasts(now)) {
                return give(Order::Unpause { server: old });
            }
            // Its file may say that it is a replica: a restart would overwrite what only it has.
            let keeps = world.old.said().is_some_and(can_keep);
            if run.proofs.demotions > 0
                && keeps
                && let Some(act) = run.once("keep", Order::Keep { server: old })
            {
                return act;
            }
            Act::End(run.end(Outcome::AsBefore, world.masters()))
        }
        (Goal::Back, Situation::After) => undo(run, world),
        (_, Situation::TargetSilent(Role::Master)) if run.goal == Goal::Forward => {
            run.turn_back("the master does not answer");
            Act::End(run.end(Outcome::AsBefore, "the returning server was not changed"))
        }
        (_, Situation::Before | Situation::Nobody | Situation::Elsewhere) => {
            let todo =
                "check shows who follows whom; run failback again when that is as it should be";
            run.incomplete(
                world,
                "somebody else changed who follows whom",
                todo.to_owned(),
            )
        }
        _ => {
            if let Some(act) = run.ask_again(now) {
                return act;
            }
            let todo = "run failover --resume when both servers answer".to_owned();
            run.incomplete(world, "the returning server did not become a replica", todo)
        }
    }
}

/// Both are masters: the returning one is paused, measured, and made a replica.
fn rejoin(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(master)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    if run.proofs.demotions > 0 {
        run.turn_back("the returning server did not become a replica");
        return look();
    }
    let addr = run.intent.old.addr.clone();
    if run.intent.can_pause {
        let Some(fence) = run.proofs.fence.filter(|fence| fence.lasts(now)) else {
            return run.pause_writes(&addr, None);
        };
        if fence.is_old(now) {
            return run.pause_writes(&addr, Some(fence));
        }
        // Its writes have to wait while they are measured.
        if world.old_again.is_none() {
            return look();
        }
    }
    if let Some(why) = not_allowed(run, old, master) {
        run.turn_back(why);
        return look();
    }
    give(Order::Demote {
        server: addr,
        master: run.intent.target.addr.clone(),
        unpause: run.intent.can_pause,
        rewrite: can_keep(old),
    })
}

/// Why what only the returning server has may not be overwritten.
fn not_allowed(run: &Run, old: &Said, master: &Said) -> Option<String> {
    let unshared = Unshared::between(old, master);
    let is_copied = run
        .intent
        .copied
        .as_ref()
        .is_some_and(|copy| copy.holds(old));
    if is_copied || unshared.may_be_overwritten(run.intent.discard) {
        return None;
    }
    let sentence = unshared.sentence();
    Some(format!(
        "{sentence}, and that was not what was allowed (unsaved-writes)"
    ))
}

/// It follows the master: wait until it has everything, as long as there is progress.
fn wait_for_sync(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let (Some(old), Some(master)) = (world.old.said(), world.target.said()) else {
        return look();
    };
    let link = old.upstream.as_ref();
    // What came between the last measurement and the demotion.
    let is_untouched = run.intent.old.replid.as_ref() == Some(&old.replid);
    if is_untouched
        && !world.old.is_linked()
        && !old.loading
        && let Some(why) = not_allowed(run, old, master)
    {
        run.turn_back(why);
        return look();
    }
    if world.old.is_linked() && old.replid == master.replid && !old.loading {
        let end = *run.proofs.last_end.get_or_insert(master.offset);
        if old.applied() >= end {
            let outcome = if run.proofs.open.is_empty() {
                Outcome::Done
            } else {
                Outcome::Incomplete
            };
            return Act::End(run.end(outcome, world.masters()));
        }
    }
    let read = link.and_then(|link| link.sync_read).map_or(0, Bytes::get);
    let position = read
        .saturating_add(old.applied())
        .saturating_add(u64::from(old.loading));
    match run.proofs.progress {
        Some((last, since)) if last == position => {
            if now - since > STUCK {
                let todo = format!(
                    "the sync of {} made no progress for {STUCK}",
                    world.old.addr
                );
                return run.incomplete(world, "the returning server is not in sync", todo);
            }
        }
        _ => run.proofs.progress = Some((position, now)),
    }
    Act::Look {
        after: PROGRESS,
        everyone: false,
    }
}

/// Until the load begins, `REPLICAOF NO ONE` brings the returning server back whole.
fn undo(run: &mut Run, world: &World) -> Act {
    let Some(old) = world.old.said() else {
        return look();
    };
    let is_untouched = run.intent.old.replid.as_ref() == Some(&old.replid);
    if !is_untouched || old.loading || world.old.is_linked() {
        let todo = "it has the new master's data already: go on with failback".to_owned();
        return run.incomplete(world, "the rejoin cannot be undone any more", todo);
    }
    give(Order::Promote {
        server: run.intent.old.addr.clone(),
    })
}
