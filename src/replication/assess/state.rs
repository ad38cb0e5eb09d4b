//! Decides the state of a pair: the first that fits, in the order of [`PairState`].

use super::super::epochs::Comparison;
use super::super::pair::{PairFacts, Relation};
use super::super::server::ServerFacts;
use super::super::state::{PairState, StateReason};
use super::Evidence;
use crate::info::{Engine, LinkStatus, Role};
use crate::model::{Span, Timestamp};

/// A state and why it holds.
type Finding = (PairState, StateReason);

/// The state at `now`: first what the servers themselves are, then how their histories relate, then
/// the link between them.
pub(super) fn at(evidence: Evidence<'_>, now: Timestamp) -> Finding {
    if let Some(found) = unsupported(evidence, now) {
        return found;
    }
    if let Some(found) = unreachable(evidence, now) {
        return found;
    }
    if let Some((who, gap)) = evidence.gap(now) {
        return (PairState::Unknown, gap.reason(who));
    }
    if let Some(reason) = evidence.mix_up(now) {
        return (PairState::Unknown, reason);
    }
    if let Some(found) = unrelated(evidence) {
        return found;
    }
    link(evidence.pair, now)
}

/// A server whose offsets are no bytes, master first.
fn unsupported(evidence: Evidence<'_>, now: Timestamp) -> Option<Finding> {
    let servers = [
        (Role::Master, evidence.master),
        (Role::Replica, evidence.replica),
    ];
    for (who, server) in servers {
        let is_known = server.gap(now, evidence.pair.interval).is_none();
        if is_known && server.is_unsupported() {
            let engine = server.engine.unwrap_or(Engine::Unknown);
            let reason = StateReason::UnsupportedServer { who, engine };
            return Some((PairState::Unsupported, reason));
        }
    }
    None
}

/// A server that does not answer, master first.
fn unreachable(evidence: Evidence<'_>, now: Timestamp) -> Option<Finding> {
    let servers = [
        (Role::Master, evidence.master, PairState::MasterUnreachable),
        (
            Role::Replica,
            evidence.replica,
            PairState::ReplicaUnreachable,
        ),
    ];
    for (who, server, state) in servers {
        if server.is_silent(now, evidence.pair.interval) {
            return Some(silent_server(who, server, state, now));
        }
    }
    None
}

/// The state of a pair whose server is silent: `state`, or unknown where this exporter has no
/// access, because then nothing shows whether the server is healthy.
fn silent_server(who: Role, server: &ServerFacts, state: PairState, now: Timestamp) -> Finding {
    if let Some(fault) = server.fault().cloned() {
        return (PairState::Unknown, StateReason::NoAccess { who, fault });
    }
    let silence = server.unreachable_for(now);
    let for_ = match silence {
        Some(Span::ZERO) | None => None,
        Some(silence) => Some(silence),
    };
    let reason = StateReason::NoAnswer {
        who,
        error: server.last_error.clone(),
        for_,
    };
    (state, reason)
}

/// A state that follows from how the two servers' histories relate; `None` where the link decides.
fn unrelated(evidence: Evidence<'_>) -> Option<Finding> {
    let pair = evidence.pair;
    let link_up = pair.link.status == Some(LinkStatus::Up);
    let found = match pair.relation {
        Relation::IsMaster { .. } if evidence.master.role == Some(Role::Replica) => {
            (PairState::Unknown, StateReason::RolesSwapped)
        }
        Relation::IsMaster { split } => (PairState::Diverged, StateReason::TwoMasters { split }),
        Relation::NotComparable(Comparison::Diverged { bytes }) => {
            (PairState::Diverged, StateReason::UnsharedBytes { bytes })
        }
        Relation::NotComparable(Comparison::Foreign) if link_up => {
            (PairState::WrongMaster, StateReason::ForeignHistory)
        }
        Relation::NeverSynced => {
            let read = pair.link.bytes_read();
            (PairState::NeverSynced, StateReason::NeverSynced { read })
        }
        _ => return None,
    };
    Some(found)
}

/// The state of the link.
fn link(pair: &PairFacts, now: Timestamp) -> Finding {
    let link = &pair.link;
    if link.syncing {
        let progress = link.sync_progress(now);
        return (PairState::FullSync, StateReason::FullSync(progress));
    }
    if link.status == Some(LinkStatus::Down) {
        let for_ = link.down_since.map(|since| (now - since).or_zero());
        return (PairState::LinkDown, StateReason::LinkDown { for_ });
    }
    let reason = match pair.relation {
        Relation::Comparable => return stream(pair, now),
        Relation::NotComparable(_) => StateReason::MasterHistoryUnknown,
        Relation::Ahead => StateReason::Ahead,
        Relation::Incomplete => StateReason::IncompleteAnswer { who: Role::Replica },
        Relation::MasterIncomplete => StateReason::IncompleteAnswer { who: Role::Master },
        Relation::MasterIsReplica {
            of_its_replica: true,
        } => StateReason::NoMaster,
        Relation::MasterIsReplica { .. } => StateReason::MasterIsReplica,
        Relation::Unseen
        | Relation::Restored
        | Relation::IsMaster { .. }
        | Relation::NeverSynced => StateReason::Starting,
    };
    (PairState::Unknown, reason)
}

/// The state of the stream, where the link does not claim to be down and the replica's position is
/// in a history of its master.
fn stream(pair: &PairFacts, now: Timestamp) -> Finding {
    let link_up = pair.link.status == Some(LinkStatus::Up);
    if let Some(since) = pair.parent_down_since {
        let for_ = (now - since).or_zero();
        return (PairState::Stalled, StateReason::ParentCutOff { for_ });
    }
    if link_up && is_in_ended_history(pair) {
        return (PairState::Unknown, StateReason::EndedHistory);
    }
    if let Some(reason) = stall(pair, now) {
        return (PairState::Stalled, reason);
    }
    if !link_up {
        let reason = StateReason::IncompleteAnswer { who: Role::Replica };
        return (PairState::Unknown, reason);
    }
    if let Some(reason) = not_yet_reached(pair, now) {
        return (PairState::Unknown, reason);
    }
    (PairState::Streaming, StateReason::Streaming)
}

/// Whether the replica's position is in a history that its master no longer writes. With its link
/// up the replica follows another server, or has not noticed yet: it does not stream from its
/// master.
fn is_in_ended_history(pair: &PairFacts) -> bool {
    match &pair.located {
        Some(located) => !located.is_current(),
        None => false,
    }
}

fn stall(pair: &PairFacts, now: Timestamp) -> Option<StateReason> {
    let stall = pair.stall(now)?;
    let for_ = now - stall.since;
    let reason = match stall.idle_since {
        Some(since) => StateReason::AlreadyStalled {
            idle_for: now - since,
            for_,
        },
        None => StateReason::Stalled { for_ },
    };
    Some(reason)
}

/// The reason while nothing bounds the lag, because the replica still lacks what the master had at
/// the first poll.
fn not_yet_reached(pair: &PairFacts, now: Timestamp) -> Option<StateReason> {
    if !pair.is_unbounded() {
        return None;
    }
    let passed = pair.located.as_ref()?.bracket.hi?;
    let for_ = (now - passed).or_zero();
    Some(StateReason::NotYetReached { for_ })
}
