//! The first half of a switch-over whose servers no one place reaches: the old master is paused,
//! has its replica acknowledge everything, and is demoted. What it leaves is a token for the other
//! site.
//!
//! The token is given only at the end of a run, when its journal says that it has ended. So an
//! operation that can be resumed or rolled back has not given it to anybody, and going back is
//! safe.

use super::ending::Outcome;
use super::goal::Goal;
use super::order::Order;
use super::run::{Act, Run, can_keep, give, look};
use super::token::Token;
use super::view::{Said, World};
use crate::info::Role;
use crate::model::{Span, Timestamp};

/// Between two looks at what the replica has acknowledged.
const SOON: Span = Span::from_millis(20);

/// How often the replica has to acknowledge everything that was written at an earlier look before
/// writes are paused.
const CLOSE_POLLS: u32 = 2;

/// A replica acknowledges once a second (`replicationCron`): so long after it has, the pause
/// begins, and writes wait for a part of that second only.
const BEFORE_NEXT_ACK: Span = Span::from_millis(800);

/// How often the old master is demoted: again where something slipped into its stream.
const DEMOTIONS: u32 = 3;

pub(super) fn next(run: &mut Run, world: &World, now: Timestamp) -> Act {
    match (run.goal, world.old.role()) {
        (Goal::Forward, Some(Role::Master)) => as_master(run, world, now),
        (_, Some(Role::Replica)) if was_repeated(run) && world.old.is_linked() => {
            unclear(run, world)
        }
        (_, Some(Role::Replica)) if was_restarted(run, world) => restarted(run, world),
        (Goal::Forward, Some(Role::Replica)) => as_replica(run, world),
        (Goal::Back, Some(Role::Master)) => back_where_it_began(run, world, now),
        (Goal::Back, Some(Role::Replica)) => restore(run, world),
        (_, None) => silent(run, world, now),
    }
}

/// It is still the master: pause, see everything acknowledged, demote.
fn as_master(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let Some(old) = world.old.said() else {
        return look();
    };
    if !run.intent.old.is_same_run(old) {
        let addr = &world.old.addr;
        run.turn_back(format!("{addr} was restarted since the plan was made"));
        return look();
    }
    if run.proofs.demotions >= DEMOTIONS {
        run.turn_back("each time something came into its stream before it was demoted");
        return look();
    }
    let Some(fence) = run.proofs.fence else {
        return match close(run, old, now) {
            None => run.pause_writes(&run.intent.old.addr, None),
            Some(act) => act,
        };
    };
    let paused_for = run.proofs.fenced_at.map_or(Span::ZERO, |at| now - at);
    if paused_for > run.intent.limits.max_pause {
        let limit = run.intent.limits.max_pause;
        run.turn_back(format!(
            "the replica did not acknowledge everything within {limit} (--max-pause)"
        ));
        return look();
    }
    if fence.is_old(now) {
        return run.pause_writes(&run.intent.old.addr, Some(fence));
    }
    if acknowledged(run, old) == Some(old.offset) {
        let target = run.intent.target.addr.clone();
        let offset = old.offset;
        run.tell(format!(
            "{target} has acknowledged everything, up to offset {offset}, while writes wait"
        ));
        run.proofs.handed = Some(Token {
            replid: old.replid.clone(),
            offset,
        });
        return give(Order::Demote {
            server: run.intent.old.addr.clone(),
            master: target,
            unpause: true,
            rewrite: can_keep(old),
        });
    }
    wait(SOON)
}

/// The end of what the replica has acknowledged; `None` where the master lists no such replica.
fn acknowledged(run: &Run, old: &Said) -> Option<u64> {
    let listed = old.listed(&run.intent.target.addr)?;
    listed.acked.filter(|_| listed.is_online)
}

/// `None` once the replica keeps up, shortly before it acknowledges again; until then what to do.
fn close(run: &mut Run, old: &Said, now: Timestamp) -> Option<Act> {
    if run.proofs.close_polls > CLOSE_POLLS {
        run.proofs.close_polls = 0;
        return None;
    }
    let limit = run.intent.limits.drain;
    if now - run.began > limit {
        run.turn_back(format!(
            "the replica did not come close within {limit} (--drain)"
        ));
        return Some(look());
    }
    let acked = acknowledged(run, old);
    let has_reached = match (acked, run.proofs.last_end) {
        (Some(acked), Some(end)) => acked >= end,
        _ => false,
    };
    if has_reached {
        run.proofs.close_polls += 1;
    }
    if has_reached || run.proofs.last_end.is_none() {
        run.proofs.last_end = Some(old.offset);
    }
    if run.proofs.close_polls == CLOSE_POLLS {
        run.proofs.close_polls += 1;
        return Some(wait(BEFORE_NEXT_ACK));
    }
    Some(wait(SOON))
}

/// It is a replica: where its stream has ended is the token.
fn as_replica(run: &mut Run, world: &World) -> Act {
    let Some(old) = world.old.said() else {
        return look();
    };
    let target = run.intent.target.addr.clone();
    if !world.old.follows(&target) {
        let todo = "check shows who follows whom; plan again when that is as it should be";
        let why = "somebody else changed whom the old master follows";
        return run.incomplete(world, why, todo.to_owned());
    }
    if has_taken_over(run, world) {
        let sentence = format!("{} follows {target}, which has taken over", world.old.addr);
        return Act::End(run.end(Outcome::Done, sentence));
    }
    if was_repeated(run) {
        run.turn_back("the operation was interrupted while it was being repeated");
        return look();
    }
    // It has another one, and remembers the planned one, once it has been restored.
    let planned = run.intent.old.replid.as_ref();
    let is_of_history = planned == Some(&old.replid) || planned == old.replid2.as_ref();
    if !is_of_history {
        let todo = "look which server has which data before anything is promoted".to_owned();
        return run.incomplete(
            world,
            "the old master has another history than planned",
            todo,
        );
    }
    let end = Token {
        replid: old.replid.clone(),
        offset: old.offset,
    };
    let has_slipped = run
        .proofs
        .handed
        .as_ref()
        .is_some_and(|handed| *handed != end);
    if has_slipped {
        run.tell("something came into the stream before the demotion: once more");
        return restore(run, world);
    }
    handed_over(run, world, &end)
}

/// Whether the process of the old master is another one than planned.
fn was_restarted(run: &Run, world: &World) -> bool {
    let said = world.old.said();
    said.is_some_and(|old| !run.intent.old.is_same_run(old))
}

/// A demoted master that was restarted may have lost its data. The replica, which may be the only
/// one that has them, is not seen from here: so it is neither made the master again nor is a token
/// given.
fn restarted(run: &mut Run, world: &World) -> Act {
    let target = run.intent.target.addr.clone();
    let todo = format!(
        "look which of the two has all data, also where {target} is reached; on that one: REPLICAOF NO ONE \
         and CONFIG REWRITE"
    );
    let why = "the old master was restarted meanwhile and may not have what it had";
    run.incomplete(world, why, todo)
}

/// Whether an earlier run had restored the old master already: then it has another history than
/// planned, and nobody has written down whose.
fn was_repeated(run: &Run) -> bool {
    run.proofs.is_resumed && run.proofs.handed.is_none() && run.proofs.restorations > 0
}

/// It follows the target, and whether that has been promoted cannot be seen from here.
fn unclear(run: &mut Run, world: &World) -> Act {
    let old = world.old.addr.clone();
    let target = run.intent.target.addr.clone();
    let todo = format!(
        "look where {target} is reached whether it is a master; if it is not, on {old}: REPLICAOF NO ONE and \
         CONFIG REWRITE"
    );
    let why = "the operation was interrupted while the demotion was repeated";
    run.incomplete(world, why, todo)
}

/// Whether the target has been promoted, so that the old master follows a history of the target's.
/// While both are replicas they may be linked in a circle, in which nothing moves and the history
/// stays.
fn has_taken_over(run: &Run, world: &World) -> bool {
    let Some(old) = world.old.said().filter(|_| world.old.is_linked()) else {
        return false;
    };
    let own = run.intent.old.replid.as_ref() == Some(&old.replid);
    let handed = run.proofs.handed.as_ref();
    let is_handed = handed.is_some_and(|token| token.replid == old.replid);
    !own && !is_handed
}

/// The end: nobody is master until the token is used.
fn handed_over(run: &mut Run, world: &World, token: &Token) -> Act {
    let old = &world.old.addr;
    let target = run.intent.target.name();
    let sentence = format!("{old} takes no writes; nobody is master until {target} is promoted");
    let pair = &run.intent.pair;
    let addr = &run.intent.target.addr;
    let todo = format!(
        "where {addr} is reached: redis-cross-dc-exporter failover --pair {pair} --to {addr} --token {token} \
         --execute. To take it back instead, while nobody has used the token: on {old}, REPLICAOF NO ONE and \
         CONFIG REWRITE"
    );
    run.oblige(todo);
    Act::End(run.end(Outcome::Done, sentence))
}

/// Nobody has the token: the old master becomes the master again.
fn restore(run: &mut Run, world: &World) -> Act {
    let addr = run.intent.old.addr.clone();
    if has_taken_over(run, world) {
        let target = run.intent.target.addr.clone();
        let todo = format!(
            "switch back: failover --pair {} --to {addr}",
            run.intent.pair
        );
        let why = format!("{target} has been promoted, so it cannot be taken back");
        return run.incomplete(world, &why, todo);
    }
    if run.proofs.restorations > DEMOTIONS {
        let todo = format!("nobody takes writes: on {addr} run REPLICAOF NO ONE");
        return run.incomplete(world, "the old master could not be restored", todo);
    }
    give(Order::Promote { server: addr })
}

/// Everything is as before: writes go on.
fn back_where_it_began(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let server = run.intent.old.addr.clone();
    let is_paused = run.proofs.fence.is_some_and(|fence| fence.lasts(now));
    if is_paused || run.proofs.is_resumed {
        let order = Order::Unpause {
            server: server.clone(),
        };
        if let Some(act) = run.once("unpause", order) {
            return act;
        }
    }
    let keeps = world.old.said().is_some_and(can_keep);
    if run.proofs.demotions > 0
        && keeps
        && let Some(act) = run.once("keep", Order::Keep { server })
    {
        return act;
    }
    Act::End(run.end(Outcome::AsBefore, world.masters()))
}

fn silent(run: &mut Run, world: &World, now: Timestamp) -> Act {
    if let Some(act) = run.ask_again(now) {
        return act;
    }
    let addr = run.intent.old.addr.clone();
    if run.proofs.demotions == 0 && !run.proofs.is_resumed {
        run.turn_back(format!("{addr} stopped answering before it was demoted"));
        return Act::End(run.end(Outcome::AsBefore, "no role was changed"));
    }
    let todo =
        format!("whether {addr} is a master is not known: run failover --resume when it answers");
    run.incomplete(world, "the old master does not answer", todo)
}

const fn wait(after: Span) -> Act {
    Act::Look {
        after,
        everyone: false,
    }
}
