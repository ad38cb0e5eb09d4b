//! Tracks one pair: the polls of its replica, placed in its master's history.
//!
//! A replica's answer is *located* only once the master has answered a poll that was sent after it.
//! Before that, "the replica has all that the master showed" proves nothing, and a datacenter that
//! has just died would show no lag.

mod ack;
mod facts;
mod forecast;
mod heartbeats;
mod link;
mod link_idle;
mod locate;
mod located;
mod loss;
mod saved;
mod split;
mod sync_attempts;
mod sync_size;
mod transfer_rate;
mod usual;

use std::collections::VecDeque;

use super::epochs::{MasterHistory, MasterSample};
use super::heartbeat::HeartbeatWatch;
use crate::info::{LinkStatus, Observation, Role, UpstreamInfo};
use crate::model::{ReplicationId, ReplicationOffset, Span, Timestamp};

pub(super) use facts::ACK_PERIOD;
pub use facts::{AckArrival, AckEvidence, Acked, LastKnown, PairFacts, Relation};
pub use forecast::{BufferAnswer, ForecastFacts};
pub use link::LinkFacts;
pub use link_idle::LinkIdle;
pub use located::Located;
pub use saved::{LinkLossRecord, LocatedRecord, PairRecord};

use link::Hints;
use locate::PollTimes;
use located::Position;
use split::split;
use usual::UsualLag;

/// Answers of the replica that wait for the master's.
const PENDING: usize = 2;

/// How far an age may be off that a server computes from two clock readings in whole seconds.
const WHOLE_SECONDS: Span = Span::from_secs(1);

/// The answer of a master that shows no own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMasterAnswer {
    /// It is a replica.
    Replica,
    /// It is a replica of the pair's replica.
    FollowsReplica,
    /// It lacks fields.
    Incomplete,
}

/// Turns the polls of both servers into [`PairFacts`].
#[derive(Clone, Debug, Default)]
pub struct PairTracker {
    facts: PairFacts,
    /// Answers of the replica after which the master has not answered yet, oldest first. Two: where
    /// the master is polled together with its replicas and not after them, its next answer places
    /// the one before the newest.
    pending: VecDeque<Position>,
    /// The last two offsets of the master, newest first, with the instant each was certainly known.
    master_seen: [Option<(ReplicationOffset, Timestamp)>; 2],
    /// Which history of the master was current at its last answer.
    generation: u64,
    /// Up to where applied bytes were counted.
    counted_to: Option<(ReplicationId, ReplicationOffset)>,
    /// Whether a full sync was seen since the last answer that showed a position.
    resynced: bool,
    usual: UsualLag,
    /// The syncs that the direct master counted at its last answer, full and partial.
    syncs: [Option<u64>; 2],
    heartbeats: HeartbeatWatch,
    /// Whether what is known of a lost history changed since the last
    /// [`Self::take_loss_changed`].
    loss_changed: bool,
}

impl PairTracker {
    /// A pair of which nothing is known, polled each `interval`.
    pub fn new(interval: Span) -> Self {
        Self {
            facts: PairFacts {
                interval,
                ..PairFacts::default()
            },
            ..Self::default()
        }
    }

    /// What is known.
    pub fn facts(&self) -> &PairFacts {
        &self.facts
    }

    /// Continues the count of applied bytes of a pair that is watched again after its replica was a
    /// master.
    pub fn resume_count(&mut self, applied_total: Option<u64>) {
        self.facts.applied_total = applied_total;
    }

    /// Changes the period of polling.
    pub fn set_interval(&mut self, interval: Span) {
        self.facts.interval = interval;
    }

    /// Records the replica's answer to a poll.
    pub fn replica_answered(
        &mut self,
        seen: &Observation,
        sent: Timestamp,
        received: Timestamp,
        min_rtt: Span,
        history: &MasterHistory,
    ) {
        let info = &seen.replication;
        self.watch_for_steps_back(seen, received);
        self.loss_replica_answered(seen);
        if info.role.value() == Some(Role::Master) {
            self.forget_pending();
            self.facts.link = LinkFacts::default();
            let split = split(history, info);
            self.facts.relation = Relation::IsMaster { split };
            return;
        }
        let Some(upstream) = &info.upstream else {
            self.facts.relation = Relation::Incomplete;
            return;
        };
        let loading = seen.persistence.loading.value() == Some(true);
        self.observe_link(upstream, loading, sent, received);
        self.facts.ack.synced_since = false;
        let poll = PollTimes {
            sent,
            received,
            min_rtt,
        };
        match self.position(upstream, info.replid.get(), poll, history) {
            Some(position) => self.await_master(position),
            None => self.forget_pending(),
        }
    }

    /// Keeps the position until the master has answered a poll that was sent after it.
    fn await_master(&mut self, mut position: Position) {
        while self.pending.len() >= PENDING
            && let Some(dropped) = self.pending.pop_back()
        {
            position.resynced |= dropped.resynced;
        }
        position.resynced |= std::mem::replace(&mut self.resynced, self.facts.link.syncing);
        self.pending.push_back(position);
    }

    /// Records the link of the direct master to its own master, in a chain; `None` where the direct
    /// master is not a replica.
    pub fn parent_answered(&mut self, link: Option<&LinkFacts>) {
        self.facts.parent_down_since = match link {
            Some(link) if link.status == Some(LinkStatus::Down) => link.down_since,
            _ => None,
        };
    }

    /// Records the answer of the master at the top of the chain; `history` includes it already.
    pub fn master_answered(&mut self, master: &MasterSample, history: &MasterHistory) {
        if self.generation != history.generation() {
            self.forget_old_history(history.generation());
        }
        self.facts.master_offset = history.newest();
        self.facts.master_at = Some(master.sent);
        let answer = self.take_pending_before(master.sent);
        if let Some(position) = &answer
            && !position.is_late(self.facts.interval)
        {
            // Its own answer is newer than what it ACKed before.
            self.facts.ack.located = None;
        }
        self.locate_ack(history);
        if let Some(offset) = history.newest() {
            let [newest, _] = self.master_seen;
            self.master_seen = [Some((offset, master.received)), newest];
        }
        match answer {
            Some(position) => {
                let asked = master.sent + (master.received - master.sent).half();
                self.locate(position, history, asked);
                self.observe_drain();
            }
            None => self.refresh(history),
        }
    }

    /// Forgets the offsets of a history that is no longer current. Offsets of two histories cannot
    /// be compared: what was known of the old one bounds nothing in the new one.
    fn forget_old_history(&mut self, generation: u64) {
        self.generation = generation;
        self.master_seen = [None; 2];
        self.facts.ack.located = None;
        for position in &mut self.pending {
            position.master_before = None;
        }
    }

    /// The newest answer of the replica that came before the master was asked at `asked`; older
    /// ones are dropped with it.
    fn take_pending_before(&mut self, asked: Timestamp) -> Option<Position> {
        let mut newest: Option<Position> = None;
        while let Some(position) = self.pending.pop_front_if(|p| p.received <= asked) {
            let resynced_before = match &newest {
                Some(earlier) => earlier.resynced,
                None => false,
            };
            newest = Some(Position {
                resynced: position.resynced || resynced_before,
                ..position
            });
        }
        newest
    }

    /// Records that the master's answer shows no own stream.
    pub fn master_is_no_master(&mut self, shows: NoMasterAnswer) {
        self.forget_pending();
        if matches!(self.facts.relation, Relation::IsMaster { .. }) {
            return;
        }
        self.facts.relation = match shows {
            NoMasterAnswer::Replica => Relation::MasterIsReplica {
                of_its_replica: false,
            },
            NoMasterAnswer::FollowsReplica => Relation::MasterIsReplica {
                of_its_replica: true,
            },
            NoMasterAnswer::Incomplete => Relation::MasterIncomplete,
        };
    }

    /// Drops answers that no poll of the master will place, and remembers whether they showed a
    /// full sync.
    fn forget_pending(&mut self) {
        for position in self.pending.drain(..) {
            self.resynced |= position.resynced;
        }
    }

    /// Records that one of the two servers shows no position: its offsets are not bytes, or it is
    /// several servers. What was known before proves nothing about the present. What was certified
    /// once stays certified.
    pub fn shows_no_position(&mut self) {
        let known = std::mem::take(&mut self.facts);
        self.facts = PairFacts {
            last_known: known.last_known,
            applied_total: known.applied_total,
            interval: known.interval,
            usual_lag: known.usual_lag,
            loss: known.loss,
            ..PairFacts::default()
        };
        self.forget_pending();
        self.master_seen = [None; 2];
    }

    fn observe_link(
        &mut self,
        upstream: &UpstreamInfo,
        loading: bool,
        sent: Timestamp,
        received: Timestamp,
    ) {
        let stall = match self.facts.relation {
            Relation::Comparable => self.facts.stall(sent),
            _ => None,
        };
        let hints = Hints {
            stalled_since: stall.map(|stall| stall.since),
            loading,
            being_sent: self.facts.ack.shows_full_sync(),
        };
        self.facts.link.observe(upstream, hints, sent, received);
        self.resynced |= self.facts.link.syncing;
    }
}

#[cfg(test)]
mod tests;
