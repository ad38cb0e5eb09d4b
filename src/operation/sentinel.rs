//! Under Sentinel: the Sentinels promote the target, and the operation makes sure that they choose
//! it and that it has everything. They are never told to forget the master: REMOVE and MONITOR lose
//! its password and settings.
//!
//! SENTINEL FAILOVER needs no votes. It is answered NOGOODSLAVE for some seconds where the Sentinel
//! has not heard its replicas recently, so it is asked again.

use super::intent::OperationKind;
use super::order::Order;
use super::run::{Act, Run, can_keep, give};
use super::view::{Said, ServerView, World};
use super::watch::{PriorityChange, SentinelIntent, SentinelSaid};
use crate::info::Role;
use crate::model::{ServerAddr, Span, Timestamp};

/// How long Sentinels may take to learn a priority: they ask for it every ten seconds.
const LEARN_WITHIN: Span = Span::from_secs(30);

/// Between two looks at what they know.
const LEARN_PERIOD: Span = Span::from_millis(500);

/// Between two questions to promote, and two looks at a promotion.
const SOON: Span = Span::from_millis(20);

/// How long a Sentinel may refuse for want of a good replica, after the master is lost.
const RETRY_FOR: Span = Span::from_secs(15);

/// How long a promotion may take that a Sentinel has begun.
const PROMOTED_WITHIN: Span = Span::from_secs(15);

/// What the target's priority becomes: 0 would be never, and lower is better.
const BEST: u64 = 1;

/// What the priority of a replica becomes that would be chosen instead: the default.
const ORDINARY: u64 = 100;

/// How an operation goes over the Sentinels that call the master `name`: the priorities to change
/// so that `target` is chosen among `others`. `None` where its own priority is not known: it could
/// not be put back.
pub fn over_sentinels(
    name: &str,
    target: &ServerView,
    others: &[ServerView],
) -> Option<SentinelIntent> {
    let own = priority(target)?;
    let rivals = || others.iter().filter(|other| priority(other) != Some(0));
    let is_best = own > 0 && rivals().all(|rival| priority(rival).is_some_and(|p| p > own));
    let mut priorities = Vec::new();
    if !is_best {
        let mut add = |view: &ServerView, before, during| {
            if before != during {
                priorities.push(PriorityChange {
                    server: view.addr.clone(),
                    before,
                    during,
                });
            }
        };
        add(target, own, BEST);
        for rival in rivals() {
            if let Some(before) = priority(rival).filter(|before| *before <= BEST) {
                add(rival, before, ORDINARY);
            }
        }
    }
    Some(SentinelIntent {
        name: name.to_owned(),
        priorities,
    })
}

/// A replica among these that answers and does not say its priority: whom Sentinels would choose,
/// and what would have to be put back, is not known.
pub fn without_priority<'a>(
    target: &'a ServerView,
    others: &'a [ServerView],
) -> Option<&'a ServerView> {
    let mut replicas = std::iter::once(target).chain(others);
    replicas.find(|view| view.role() == Some(Role::Replica) && priority(view).is_none())
}

fn priority(view: &ServerView) -> Option<u64> {
    view.said()?.priority
}

impl World {
    /// The Sentinels that answer.
    pub(super) fn answering_sentinels(&self) -> impl Iterator<Item = (&ServerAddr, &SentinelSaid)> {
        let all = self.sentinels.iter();
        all.filter_map(|view| Some((&view.addr, view.said()?)))
    }
}

/// Sets the priorities and waits until every Sentinel that answers shows them; `None` once it does,
/// and without Sentinels.
pub(super) fn prepare(run: &mut Run, world: &World, now: Timestamp) -> Option<Act> {
    let intent = run.intent.sentinel.clone()?;
    if run.proofs.sentinel.ready {
        return None;
    }
    for change in &intent.priorities {
        let order = Order::Priority {
            server: change.server.clone(),
            value: change.during,
            rewrite: false,
        };
        if let Some(act) = run.once("priority", order) {
            return Some(act);
        }
    }
    let target = &run.intent.target.addr;
    let shows = |said: &SentinelSaid| {
        let all = intent.priorities.iter();
        let shown = |change: &PriorityChange| match said.priority_of(&change.server) {
            Some(priority) => priority == change.during,
            // One that it does not know is not chosen.
            None => change.server != *target,
        };
        said.knows(target) && !said.failing_over && all.clone().all(shown)
    };
    let mut answering = 0;
    let mut ignorant = Vec::new();
    for (addr, said) in world.answering_sentinels() {
        answering += 1;
        if !shows(said) {
            ignorant.push(addr.to_string());
        }
    }
    if answering > 0 && ignorant.is_empty() {
        run.proofs.sentinel.ready = true;
        // What follows has its own time.
        run.began = now;
        run.tell(format!(
            "all {answering} Sentinels that answer would choose the target"
        ));
        return None;
    }
    let since = *run.proofs.sentinel.learning_since.get_or_insert(now);
    if now - since > LEARN_WITHIN {
        let who = if ignorant.is_empty() {
            "no Sentinel answers".to_owned()
        } else {
            format!("{} would not choose it yet", ignorant.join(", "))
        };
        run.turn_back(format!(
            "the Sentinels did not learn of the target's priority within {LEARN_WITHIN}: {who}"
        ));
        return Some(look_at_all(Span::ZERO));
    }
    Some(look_at_all(LEARN_PERIOD))
}

/// Has a Sentinel promote the target, which has everything. `patience` is for how long it may
/// refuse.
pub(super) fn promote(
    run: &mut Run,
    name: &str,
    target: &Said,
    world: &World,
    now: Timestamp,
) -> Act {
    run.proofs.full_syncs.get_or_insert(target.full_syncs);
    if let Some(begun) = run.proofs.sentinel.begun {
        if now - begun < PROMOTED_WITHIN {
            return look_soon();
        }
        let todo = format!(
            "a Sentinel was told to promote {} and has not within {PROMOTED_WITHIN}: run failover --resume",
            run.intent.target.addr
        );
        return run.incomplete(world, "nobody takes writes", todo);
    }
    if let Some(since) = run.proofs.sentinel.refused_since
        && now - since > patience(run)
    {
        run.turn_back("no Sentinel promotes the target");
        return look_soon();
    }
    if run.proofs.sentinel.ask_again_at.is_some_and(|at| now < at) {
        return look_soon();
    }
    let answering: Vec<_> = world.answering_sentinels().map(|(addr, _)| addr).collect();
    let turn = run.proofs.sentinel.asked % answering.len().max(1);
    let Some(sentinel) = answering.get(turn) else {
        run.turn_back("no Sentinel answers");
        return look_soon();
    };
    give(Order::SentinelFailover {
        sentinel: (*sentinel).clone(),
        name: name.to_owned(),
        target: run.intent.target.addr.clone(),
    })
}

/// For how long Sentinels may refuse: while the old master could still be restored, no longer than
/// it would have to prove the new one.
fn patience(run: &Run) -> Span {
    match run.intent.kind {
        OperationKind::Disaster => RETRY_FOR,
        _ => run.intent.limits.verify,
    }
}

/// Puts the next priority back that was changed; `None` where there is none.
pub(super) fn restore(run: &mut Run, world: &World) -> Option<Act> {
    let intent = run.intent.sentinel.clone()?;
    for (index, change) in intent.priorities.iter().enumerate() {
        let proofs = &run.proofs.sentinel;
        if !proofs.changed.contains(&index) || proofs.restored.contains(&index) {
            continue;
        }
        let views = [&world.old, &world.target].into_iter().chain(&world.others);
        let mut views = views.filter(|view| view.addr == change.server);
        let said = views.next().and_then(ServerView::said);
        let Some(said) = said else {
            run.add_open(format!(
                "put the priority of {} back: CONFIG SET replica-priority {}",
                change.server, change.before
            ));
            run.proofs.sentinel.restored.push(index);
            continue;
        };
        let order = Order::Priority {
            server: change.server.clone(),
            value: change.before,
            // The Sentinels had the present value written into its file.
            rewrite: can_keep(said),
        };
        if let Some(act) = run.once("priority back", order) {
            return Some(act);
        }
    }
    None
}

/// The Sentinels that answer and still name another master than the target.
pub(super) fn that_disagree(run: &Run, world: &World) -> Vec<ServerAddr> {
    if run.intent.sentinel.is_none() {
        return Vec::new();
    }
    let target = &run.intent.target.addr;
    let all = world.answering_sentinels();
    let others = all.filter(|(_, said)| said.master != *target);
    others.map(|(addr, _)| addr.clone()).collect()
}

const fn look_at_all(after: Span) -> Act {
    Act::Look {
        after,
        everyone: true,
    }
}

const fn look_soon() -> Act {
    Act::Look {
        after: SOON,
        everyone: false,
    }
}
