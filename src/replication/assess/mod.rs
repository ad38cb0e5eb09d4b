//! Assesses a pair at one instant: its state, its lag, and everything derived from them.
//!
//! Metrics, pages, JSON and alerts all call [`assess`], each with its own `now`, so that they
//! cannot disagree.

mod lag;
mod silence;
mod state;
#[cfg(test)]
mod tests;

use super::gap::Gap;
use super::lag::{LagBytes, LagInterval};
use super::pair::{LastKnown, Located, PairFacts, Relation};
use super::server::ServerFacts;
use super::split::Split;
use super::state::{PairState, StateReason};
use crate::info::Role;
use crate::model::{Bytes, Span, Timestamp};

/// How long after a change of the master's history one more poll of the replica is worth its cost:
/// an orderly failover has ended by then.
const HISTORY_CHANGE_WATCHED_FOR: Span = Span::from_secs(5);

/// What is true of a pair at one instant. What is not known is `None`; `reason` says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The state.
    pub state: PairState,
    /// Why the pair is in that state.
    pub reason: StateReason,
    /// Why one of the servers is not observed, where this exporter is the cause. Alerts do not
    /// judge a pair while it is set.
    pub gap: Option<Gap>,
    /// Seconds of lag at that instant.
    pub lag: LagInterval,
    /// Whether the lag rests on the assumption that a silent replica applies only what it ACKs.
    pub stale: bool,
    /// Whether polling the replica once more, at once, would settle a doubt.
    pub deserves_replica_poll: bool,
    /// Bytes of lag.
    pub bytes: LagBytes,
    /// When the replica's position was last learned.
    pub sampled_at: Option<Timestamp>,
    /// The last certified upper bounds; they stay when the master is lost.
    pub last_known: Option<LastKnown>,
    /// How long the link has been down or stalled; `None` in every other state.
    pub link_down_for: Option<Span>,
    /// Unshared history, while the pair is diverged and where the amount is known.
    pub diverged: Option<Diverged>,
    /// How many bytes the master may write during a cut before the replica needs a full resync.
    pub backlog_headroom: Option<Bytes>,
}

/// Bytes that only one of the two servers has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diverged {
    /// Both servers are masters.
    Both(Split),
    /// The replica has this much of an older history that its master does not have.
    Replica(Bytes),
}

impl Diverged {
    /// The end of the older history: what is lost if the promoted server stays the master.
    pub const fn older(self) -> Bytes {
        match self {
            Self::Both(split) => split.older(),
            Self::Replica(bytes) => bytes,
        }
    }

    /// What only the pair's master has, beyond an ordinary lag.
    pub const fn master(self) -> Option<Bytes> {
        match self {
            Self::Both(split) => Some(split.master),
            Self::Replica(_) => None,
        }
    }

    /// What only the replica has.
    pub const fn replica(self) -> Bytes {
        match self {
            Self::Both(split) => split.replica,
            Self::Replica(bytes) => bytes,
        }
    }
}

impl Assessment {
    /// Lets time pass: what bounds the lag from above is as much older. Nothing else of it depends
    /// on time alone, where [`Self::only_ages_to`] holds.
    pub fn age(&mut self, by: Span) {
        self.lag.upper = self.lag.upper.map(|upper| upper + by);
    }

    /// Whether `later`, which the same evidence shows `by` later, says the same, but for the age of
    /// what bounds the lag from above. As evidence only grows older, everything in between says the
    /// same as well.
    pub fn only_ages_to(&self, later: &Self, by: Span) -> bool {
        let mut aged = self.clone();
        aged.age(by);
        aged == *later
    }
}

/// What is known of a pair and of its two servers: the evidence that an assessment rests on.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The pair's master.
    pub master: &'a ServerFacts,
    /// The replica.
    pub replica: &'a ServerFacts,
    /// What the polls of both showed of the pair.
    pub pair: &'a PairFacts,
}

impl Evidence<'_> {
    /// Why one of the two servers is not observed, where this exporter is the cause; the master
    /// comes first.
    fn gap(&self, now: Timestamp) -> Option<(Role, Gap)> {
        let interval = self.pair.interval;
        if let Some(gap) = self.master.gap(now, interval) {
            return Some((Role::Master, gap));
        }
        let gap = self.replica.gap(now, interval)?;
        Some((Role::Replica, gap))
    }

    /// Why the answers are not those of one master and of a replica of it, where the addresses lead
    /// to other servers than two.
    fn mix_up(&self, now: Timestamp) -> Option<StateReason> {
        for (who, server) in [(Role::Master, self.master), (Role::Replica, self.replica)] {
            if server.takes_turns(now) {
                return Some(StateReason::SeveralServers { who });
            }
        }
        let process = self.master.process()?;
        if self.replica.process() == Some(process) {
            return Some(StateReason::OneServer);
        }
        None
    }

    fn master_is_unpolled(&self, now: Timestamp) -> bool {
        self.master.gap(now, self.pair.interval).is_some()
    }

    fn master_is_silent(&self, now: Timestamp) -> bool {
        self.master.is_silent(now, self.pair.interval)
    }
}

/// What the evidence proves at the instant `now`.
pub fn assess(evidence: Evidence<'_>, now: Timestamp) -> Assessment {
    let pair = evidence.pair;
    let (state, reason) = state::at(evidence, now);
    let lag::CurrentLag { lag, stale } = lag::seconds_at(evidence, now);
    let bytes = lag::bytes_at(evidence, now);
    Assessment {
        state,
        gap: evidence.gap(now).map(|(_, gap)| gap),
        lag,
        stale,
        deserves_replica_poll: deserves_replica_poll(evidence, now),
        bytes,
        sampled_at: sampled_at(pair, lag),
        last_known: pair.last_known,
        link_down_for: link_down_for(&reason),
        diverged: diverged(&reason),
        backlog_headroom: backlog_headroom(pair, bytes),
        reason,
    }
}

/// Whether polling the replica once more, at once, would settle a doubt. Without the master's
/// answers it would settle nothing.
fn deserves_replica_poll(evidence: Evidence<'_>, now: Timestamp) -> bool {
    if evidence.master_is_silent(now) {
        return false;
    }
    evidence.pair.deserves_replica_poll() || has_just_changed_history(evidence.pair, now)
}

/// Whether the master has shown another history, or no own one, for a few seconds only: the next
/// answers show what that history is and which server continues it.
fn has_just_changed_history(pair: &PairFacts, now: Timestamp) -> bool {
    let has_changed = matches!(
        pair.relation,
        Relation::MasterIsReplica { .. } | Relation::NotComparable(_)
    );
    let Some(located) = &pair.located else {
        return false;
    };
    has_changed && now - located.received() < HISTORY_CHANGE_WATCHED_FOR
}

/// When the position was learned from which the lag follows.
fn sampled_at(pair: &PairFacts, lag: LagInterval) -> Option<Timestamp> {
    if let Some(at) = pair.comparable_at() {
        return Some(at);
    }
    // During a handover the estimate still rests on the last position.
    lag.estimate?;
    pair.located.as_ref().map(Located::received)
}

fn link_down_for(reason: &StateReason) -> Option<Span> {
    match reason {
        StateReason::LinkDown { for_ } => *for_,
        StateReason::Stalled { for_ }
        | StateReason::AlreadyStalled { for_, .. }
        | StateReason::ParentCutOff { for_ } => Some(*for_),
        _ => None,
    }
}

fn diverged(reason: &StateReason) -> Option<Diverged> {
    match reason {
        StateReason::TwoMasters { split } => split.map(Diverged::Both),
        StateReason::UnsharedBytes { bytes } => Some(Diverged::Replica(*bytes)),
        _ => None,
    }
}

/// `repl_backlog_size - (M - R)`: zero when the replica is further behind than the backlog reaches.
fn backlog_headroom(pair: &PairFacts, bytes: LagBytes) -> Option<Bytes> {
    let size = pair.backlog_size?.get();
    let lag = bytes.estimate?.get();
    Some(Bytes::new(size.saturating_sub(lag)))
}
