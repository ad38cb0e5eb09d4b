//! What is true of a pair at one instant: state, lag, and everything derived from them.
//!
//! Metrics, pages, JSON and alerts all ask this one function with their own `now`, so that they tell one story.

use super::epochs::Comparison;
use super::lag::{LagBytes, LagInterval};
use super::pair::{LastKnown, Located, PairFacts, Relation};
use super::server::ServerFacts;
use super::state::{PairState, StateReason};
use crate::info::{Engine, LinkStatus, Role};
use crate::model::{Bytes, Span, Timestamp};

/// While a position moves, its trend is carried on for this many polls.
const CARRIED_POLLS: f64 = 1.5;

/// A trend is carried on only where one of its two estimates is above this: below, it is noise.
const TREND_FLOOR: Span = Span::from_millis(50);

/// What is true of a pair at one instant. What is not known is `None`; `reason` says why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// The state.
    pub state: PairState,
    /// Why.
    pub reason: StateReason,
    /// Seconds of lag now.
    pub lag: LagInterval,
    /// Whether the lag rests on the assumption that a silent replica applies nothing but what it ACKs.
    pub stale: bool,
    /// Bytes of lag.
    pub bytes: LagBytes,
    /// When the replica's position was last learned.
    pub sampled_at: Option<Timestamp>,
    /// The last certified statement.
    pub last_known: Option<LastKnown>,
    /// How long the link has been down or stalled; `None` in every other state.
    pub link_down_for: Option<Span>,
    /// Unshared history, while diverged and where it is known.
    pub diverged: Option<Bytes>,
    /// How many bytes the master may write during a cut before the replica needs a full resync.
    pub backlog_headroom: Option<Bytes>,
}

/// What is known of a pair: the evidence that an assessment rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The configured master.
    pub master: &'a ServerFacts,
    /// The replica.
    pub replica: &'a ServerFacts,
    /// The pair.
    pub pair: &'a PairFacts,
}

/// What the evidence says at the instant `now`.
pub fn assess(evidence: Evidence<'_>, now: Timestamp) -> Assessment {
    let pair = evidence.pair;
    let master_silent = evidence.master.is_silent(now, pair.interval);
    let (lag, stale) = lag_at(evidence, now, master_silent);
    let (verdict, why) = state_at(evidence, now);
    let bytes = bytes_at(evidence, master_silent);
    Assessment {
        state: verdict,
        reason: why,
        lag,
        stale,
        bytes,
        sampled_at: pair.comparable_at(),
        last_known: pair.last_known,
        link_down_for: match why {
            StateReason::LinkDown { for_ } => for_,
            StateReason::Stalled { for_ } => Some(for_),
            _ => None,
        },
        diverged: match why {
            StateReason::TwoMasters { unshared } => unshared,
            StateReason::UnsharedBytes { bytes } => Some(bytes),
            _ => None,
        },
        backlog_headroom: headroom(pair, bytes),
    }
}

/// The lag at `now`, carried on from the last polls, and whether it rests on a silent replica's assumption.
fn lag_at(evidence: Evidence<'_>, now: Timestamp, master_silent: bool) -> (LagInterval, bool) {
    let pair = evidence.pair;
    let Some(located) = pair.located.as_ref().filter(|_| pair.relation == Relation::Comparable) else {
        return (LagInterval::UNKNOWN, false);
    };
    if master_silent {
        return (LagInterval { lower: located.at_sample.lower, ..LagInterval::UNKNOWN }, false);
    }
    if let Some(unanswered) = evidence.replica.unanswered_since {
        return (silent_lag(pair, located, unanswered, now), true);
    }
    let upper = located.bracket.lo.map(|lo| now - lo);
    let estimate = carried(pair, located, now);
    // What was certain at the sample is not any more while the replica catches up.
    let lower = located.at_sample.lower.map(|lower| estimate.map_or(lower, |e| e.or_zero().min(lower)));
    (LagInterval { lower, estimate, upper }.ordered(), false)
}

/// The estimate at `now` while the replica answers.
fn carried(pair: &PairFacts, located: &Located, now: Timestamp) -> Option<Span> {
    if located.bracket.hi.is_none() {
        // The end of a history that is over says nothing about what came after it.
        return located.at_sample.estimate.filter(|_| located.is_caught_up());
    }
    if located.is_frozen() {
        return located.point.map(|point| now - point);
    }
    let last = located.at_sample.estimate?;
    let Some((before_at, before)) = located.previous.filter(|(_, before)| last.max(*before) > TREND_FLOOR) else {
        return Some(last);
    };
    let between = located.received() - before_at;
    if between <= Span::ZERO {
        return Some(last);
    }
    // What may still be on its way is no reason to expect more lag.
    let steepest = if located.is_proven() { 1.0 } else { 0.0 };
    let slope = ((last - before).as_secs_f64() / between.as_secs_f64()).min(steepest);
    let ahead = (now - located.received()).min(pair.interval.mul_f64(CARRIED_POLLS)).or_zero();
    Some(last + ahead.mul_f64(slope))
}

/// The lag of a replica that has not answered since `unanswered`: its last position goes on ageing, unless its master
/// says that it ACKs more. Where the master's line for it cannot be told apart, "stopped" and "I cannot reach it" look
/// alike: no estimate then, only the bound. docs/lag.md, "Replica silent".
fn silent_lag(pair: &PairFacts, located: &Located, unanswered: Timestamp, now: Timestamp) -> LagInterval {
    let acked = pair.ack.located.filter(|(offset, _, _)| located.is_current() && *offset > located.applied());
    let (bracket, point) = acked.map_or((located.bracket, located.point), |(_, bracket, point)| (bracket, point));
    let upper = bracket.lo.map(|lo| now - lo);
    let estimate = match (bracket.hi, point) {
        _ if !pair.ack.seen => None,
        (None, _) => bracket.lo.filter(|_| located.is_current()).map(|_| Span::ZERO),
        (Some(_), Some(point)) => {
            let last = located.at_sample.estimate.unwrap_or(Span::ZERO);
            let went_on = ((unanswered - point) - last).or_zero();
            Some(now - point - went_on.half())
        }
        (Some(_), None) => None,
    };
    LagInterval { lower: Some(Span::ZERO), estimate, upper }.ordered()
}

/// The bytes of lag: as of the last poll, or up to the master's newest offset while the replica stands still.
fn bytes_at(evidence: Evidence<'_>, master_silent: bool) -> LagBytes {
    let pair = evidence.pair;
    // What the master has written since a history ended is counted in another history: no difference means anything.
    let comparable = |l: &&Located| pair.relation == Relation::Comparable && l.is_current();
    let Some(located) = pair.located.as_ref().filter(comparable) else {
        return LagBytes::UNKNOWN;
    };
    if master_silent {
        return LagBytes { lower: located.bytes.lower, ..LagBytes::UNKNOWN };
    }
    if evidence.replica.unanswered_since.is_some() {
        return silent_bytes(pair, located);
    }
    let newest = pair.master_offset.filter(|_| located.is_frozen()).map(|m| m.since(located.applied()));
    LagBytes {
        lower: located.bytes.lower,
        estimate: newest.or(located.bytes.estimate),
        upper: located.bytes.upper.max(newest),
    }
}

/// The bytes that a silent replica lacks: from what it is known to have applied, by its own answer or by its ACKs.
fn silent_bytes(pair: &PairFacts, located: &Located) -> LagBytes {
    let acked = pair.ack.located.map_or(located.applied(), |(offset, _, _)| offset.max(located.applied()));
    let lacks = pair.master_offset.map(|newest| newest.since(acked));
    LagBytes { lower: Some(Bytes::default()), estimate: lacks.filter(|_| pair.ack.seen), upper: lacks }
}

/// The first state that fits.
fn state_at(evidence: Evidence<'_>, now: Timestamp) -> (PairState, StateReason) {
    let Evidence { master, replica, pair } = evidence;
    for (who, server) in [(Role::Master, master), (Role::Replica, replica)] {
        if server.is_unsupported() {
            let engine = server.engine.unwrap_or(Engine::Unknown);
            return (PairState::Unsupported, StateReason::UnsupportedServer { who, engine });
        }
    }
    let silent =
        [(Role::Master, master, PairState::MasterUnreachable), (Role::Replica, replica, PairState::ReplicaUnreachable)];
    for (who, server, state) in silent {
        if server.is_silent(now, pair.interval) {
            let for_ = server.unanswered_since.map(|since| now - since);
            return (state, StateReason::NoAnswer { who, error: server.last_error, for_ });
        }
    }
    related_state(master.role, pair).unwrap_or_else(|| link_state(pair, now))
}

/// The states that follow from how the two servers' histories relate; `None` where the link decides.
fn related_state(master_role: Option<Role>, pair: &PairFacts) -> Option<(PairState, StateReason)> {
    let link_up = pair.link.status == Some(LinkStatus::Up);
    let found = match pair.relation {
        Relation::IsMaster { .. } if master_role == Some(Role::Replica) => {
            (PairState::Unknown, StateReason::RolesSwapped)
        }
        Relation::IsMaster { unshared } => (PairState::Diverged, StateReason::TwoMasters { unshared }),
        Relation::NotComparable(Comparison::Diverged { bytes }) => {
            (PairState::Diverged, StateReason::UnsharedBytes { bytes })
        }
        Relation::NotComparable(Comparison::Foreign) if link_up => {
            (PairState::WrongMaster, StateReason::ForeignHistory)
        }
        Relation::NeverSynced => {
            (PairState::NeverSynced, StateReason::NeverSynced { read: pair.link.sync_read.map(|r| r.0) })
        }
        _ => return None,
    };
    Some(found)
}

/// The states that the link itself decides.
fn link_state(pair: &PairFacts, now: Timestamp) -> (PairState, StateReason) {
    let link = &pair.link;
    if link.syncing {
        let (read, total) = link.sync_read.map_or((None, None), |(read, total)| (Some(read), total));
        return (PairState::FullSync, StateReason::FullSync { read, total });
    }
    if link.status == Some(LinkStatus::Down) {
        return (
            PairState::LinkDown,
            StateReason::LinkDown { for_: link.down_since.map(|since| (now - since).or_zero()) },
        );
    }
    match pair.relation {
        Relation::Comparable => match pair.located.as_ref().and_then(|l| l.stalled_since(now, pair.interval)) {
            Some(since) => (PairState::Stalled, StateReason::Stalled { for_: now - since }),
            None if link.status == Some(LinkStatus::Up) => (PairState::Streaming, StateReason::Streaming),
            None => (PairState::Unknown, StateReason::IncompleteAnswer { who: Role::Replica }),
        },
        Relation::NotComparable(_) => (PairState::Unknown, StateReason::MasterHistoryUnknown),
        Relation::Ahead => (PairState::Unknown, StateReason::Ahead),
        Relation::Incomplete => (PairState::Unknown, StateReason::IncompleteAnswer { who: Role::Replica }),
        Relation::MasterIsReplica => (PairState::Unknown, StateReason::MasterIsReplica),
        Relation::MasterIncomplete => (PairState::Unknown, StateReason::IncompleteAnswer { who: Role::Master }),
        Relation::Unseen | Relation::IsMaster { .. } | Relation::NeverSynced => {
            (PairState::Unknown, StateReason::Starting)
        }
    }
}

/// `repl_backlog_size - (M - R)`: nothing when the replica is already further behind than the backlog reaches.
fn headroom(pair: &PairFacts, bytes: LagBytes) -> Option<Bytes> {
    Some(Bytes::new(pair.backlog_size?.get().saturating_sub(bytes.estimate?.get())))
}
