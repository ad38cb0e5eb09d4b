//! What follows once the new master is open: its role is kept, and the replicas follow.

use super::ending::Outcome;
use super::intent::OperationKind;
use super::order::Order;
use super::run::{Act, Run, can_keep, look};
use super::sentinel;
use super::view::World;
use crate::model::{ServerAddr, Span, Timestamp};

/// Between two looks while replicas connect.
const PAUSE: Span = Span::from_millis(100);

/// Keeps the new master's role, points the followers to it, and waits for every link. The old
/// master is waited for where it answers.
pub(super) fn settle(run: &mut Run, world: &World, now: Timestamp) -> Act {
    let Some(target) = world.target.said() else {
        return look();
    };
    let addr = run.intent.target.addr.clone();
    if can_keep(target)
        && let Some(act) = run.once(
            "keep",
            Order::Keep {
                server: addr.clone(),
            },
        )
    {
        run.proofs.waiting_since = Some(now);
        return act;
    }
    let is_managed = run.intent.sentinel.is_some();
    for follower in run.intent.followers.clone() {
        let view = world.others.iter().find(|view| view.addr == follower.addr);
        let Some(said) = view.and_then(|view| view.said()) else {
            continue; // it is reported below
        };
        // Sentinels point the others to it.
        if is_managed || view.is_some_and(|view| view.follows(&addr)) {
            continue;
        }
        let order = Order::Follow {
            server: follower.addr,
            master: addr.clone(),
            rewrite: can_keep(said),
        };
        if let Some(act) = run.once("follow", order) {
            return act;
        }
    }
    let missing = missing_links(run, world);
    let disagreeing = sentinel::that_disagree(run, world);
    if missing.is_empty() && disagreeing.is_empty() {
        note_full_syncs(run, target.full_syncs);
        let outcome = if run.proofs.open.is_empty() {
            Outcome::Done
        } else {
            Outcome::Incomplete
        };
        return Act::End(run.end(outcome, world.masters()));
    }
    let since = *run.proofs.waiting_since.get_or_insert(now);
    if now - since < run.intent.limits.settle {
        return Act::Look {
            after: PAUSE,
            everyone: true,
        };
    }
    for server in missing {
        run.add_open(format!("{server} is not linked to the new master yet"));
    }
    for sentinel in disagreeing {
        run.add_open(format!(
            "the Sentinel {sentinel} still names another master"
        ));
    }
    Act::End(run.end(Outcome::Incomplete, world.masters()))
}

/// The servers that have to follow the new master and whose link is not up.
fn missing_links(run: &Run, world: &World) -> Vec<ServerAddr> {
    let target = run.intent.target.addr.clone();
    let mut missing = Vec::new();
    let is_planned = run.intent.kind == OperationKind::SwitchOver;
    if is_planned && !(world.old.follows(&target) && world.old.is_linked()) {
        missing.push(world.old.addr.clone());
    }
    for follower in &run.intent.followers {
        let view = world.others.iter().find(|view| view.addr == follower.addr);
        let is_linked = view.is_some_and(|view| view.follows(&target) && view.is_linked());
        if !is_linked {
            missing.push(follower.addr.clone());
        }
    }
    missing
}

/// A full sync is no failure, and it is not what was expected.
fn note_full_syncs(run: &mut Run, now: u64) {
    let Some(before) = run.proofs.full_syncs else {
        return;
    };
    if run.intent.kind != OperationKind::SwitchOver {
        return;
    }
    run.proofs.full_syncs_given = Some(now.saturating_sub(before));
}
