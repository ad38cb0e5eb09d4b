//! One pair's evidence: what its replica showed, placed in its master's history.
//!
//! A replica's poll is *located* only once the master has answered a poll that was sent after it: before that, "the
//! replica has all that the master showed" says nothing, and a dead datacenter would show no lag in the very disaster.

mod facts;
mod link;
mod located;

use super::ack::Ack;
use super::beat::{Beat, BeatWatch, ReplicaLook};
use super::epochs::{Comparison, MasterHistory, MasterSample, continued_history};
use crate::info::{LinkStatus, Observation, ReplicationInfo, Role, UpstreamInfo};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, RunId, Span, Timestamp};

pub use facts::{AckEvidence, LastKnown, PairFacts, Relation};
pub use link::LinkFacts;
pub use located::Located;

use link::Hints;
use located::{PROVEN_LACK, Position, bytes_at_sample, lag_at_sample};

/// An offset up to this is Redis's fallback for "none" while the link is down (it prints literally 1).
const NO_OFFSET: ReplicationOffset = ReplicationOffset::new(1);

/// Turns polls of both servers into [`PairFacts`].
#[derive(Clone, Debug, Default)]
pub struct PairTracker {
    facts: PairFacts,
    pending: Option<Position>,
    /// The last two offsets of the master with the instant each was certainly known.
    master_seen: [Option<(ReplicationOffset, Timestamp)>; 2],
    /// Which history of the master was current at its last answer.
    generation: u64,
    counted_to: Option<(ReplicationId, ReplicationOffset)>,
    resynced: bool,
    beats: BeatWatch,
}

impl PairTracker {
    /// A pair that nothing is known of, polled each `interval`.
    pub fn new(interval: Span) -> Self {
        Self { facts: PairFacts { interval, ..PairFacts::default() }, ..Self::default() }
    }

    /// What is known.
    pub fn facts(&self) -> &PairFacts {
        &self.facts
    }

    /// The period of polling changed.
    pub fn set_interval(&mut self, interval: Span) {
        self.facts.interval = interval;
    }

    /// Takes in the replica's answer to a poll.
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
        if info.role.value() == Some(Role::Master) {
            self.pending = None;
            self.facts.link = LinkFacts::default();
            self.facts.relation = Relation::IsMaster { unshared: unshared_bytes(history, continued_history(info)) };
            return;
        }
        let Some(upstream) = &info.upstream else {
            self.facts.relation = Relation::Incomplete;
            return;
        };
        let loading = seen.persistence.loading.value() == Some(true);
        self.observe_link(upstream, loading, sent, received);
        self.pending = self.position(upstream, info.replid.get(), sent, received, min_rtt, history);
    }

    /// Takes in what the direct master's answer says of the replica and of its backlog.
    pub fn direct_master_answered(&mut self, ack: Option<Ack>, master: &ReplicationInfo) {
        let seen = self.facts.ack.seen || ack.is_some();
        let lag = ack.and_then(|a| Some(master.master_offset.value()?.since(a.offset?)));
        self.facts.ack = AckEvidence { last: ack, seen, lag, ..self.facts.ack };
        self.facts.backlog_size = master.backlog.size.value();
    }

    /// Takes in the answer of the master at the top of the chain, which `history` has already taken in.
    pub fn master_answered(&mut self, master: &MasterSample, history: &MasterHistory) {
        if self.generation != history.generation() {
            // Offsets of two histories do not compare: what was known of the old one bounds nothing in the new one.
            self.generation = history.generation();
            self.master_seen = [None; 2];
            self.facts.ack.located = None;
            if let Some(pending) = &mut self.pending {
                pending.master_before = None;
            }
        }
        self.facts.master_offset = history.newest();
        let answer = self.pending.take_if(|p| master.sent >= p.received);
        if answer.as_ref().is_some_and(|position| !position.is_late(self.facts.interval)) {
            self.facts.ack.located = None; // its own answer says more than what it ACKed before
        }
        self.locate_ack(history);
        if let Some(offset) = history.newest() {
            self.master_seen = [Some((offset, master.received)), self.master_seen[0]];
        }
        if let Some(position) = answer {
            self.locate(position, history);
        } else {
            self.refresh(history);
        }
    }

    /// Takes in that the master's answer shows no stream of its own: it is a replica, or the answer lacks fields.
    pub fn master_is_no_master(&mut self, is_replica: bool) {
        self.pending = None;
        if !matches!(self.facts.relation, Relation::IsMaster { .. }) {
            self.facts.relation = if is_replica { Relation::MasterIsReplica } else { Relation::MasterIncomplete };
        }
    }

    /// Takes in a heartbeat that came out of the replica.
    pub fn beat_arrived(&mut self, beat: &Beat) {
        self.beats.arrived(beat);
        self.note_beats();
    }

    /// Takes in that the replica's process `replica` let out a heartbeat twice, or after a later one.
    pub fn beat_repeated(&mut self, replica: RunId) {
        self.beats.repeated(replica);
        self.note_beats();
    }

    /// Takes in which process answered as the master at the top, whose history `history` is.
    pub fn top_lives(&mut self, run_id: Option<&RunId>, history: &MasterHistory, received: Timestamp) {
        self.beats.master_answered(run_id, history.generation(), received);
        if let Some(located) = &self.facts.located {
            self.beats.placed(located.sent(), located.bracket.hi, received);
        }
        self.note_beats();
    }

    /// Takes in how many full syncs the direct master has given, as it answered at `received`.
    pub fn direct_master_synced(&mut self, full_syncs: Option<u64>, received: Timestamp) {
        self.beats.full_syncs(full_syncs, received);
        self.note_beats();
    }

    fn watch_for_steps_back(&mut self, seen: &Observation, received: Timestamp) {
        let upstream = seen.replication.upstream.as_ref();
        let syncing = upstream.is_some_and(|up| up.sync_in_progress.value() == Some(true));
        let loading = seen.persistence.loading.value() == Some(true);
        let is_replica = seen.replication.role.value() == Some(Role::Replica);
        self.beats.replica_answered(&ReplicaLook {
            run_id: seen.server.run_id.get(),
            replid: seen.replication.replid.get(),
            applied: upstream.and_then(|up| up.applied_offset.value()),
            link_up: upstream.is_some_and(|up| up.link.value() == Some(LinkStatus::Up)),
            unsettled: syncing || loading || !is_replica,
            received,
        });
        self.note_beats();
    }

    fn note_beats(&mut self) {
        self.facts.beats = self.beats.facts().clone();
    }

    /// Takes in that a server of the pair is of a kind whose offsets are no bytes. Nothing that it says is a position,
    /// and what was known before says nothing of now; what was certain once stays said.
    pub fn unsupported(&mut self) {
        let PairFacts { last_known, applied_total, interval, .. } = self.facts;
        self.facts = PairFacts { last_known, applied_total, interval, ..PairFacts::default() };
        self.pending = None;
        self.master_seen = [None; 2];
    }

    fn observe_link(&mut self, upstream: &UpstreamInfo, loading: bool, sent: Timestamp, received: Timestamp) {
        let interval = self.facts.interval;
        let comparable = self.facts.relation == Relation::Comparable;
        let stalled_since =
            self.facts.located.as_ref().filter(|_| comparable).and_then(|l| l.stalled_since(sent, interval));
        let being_sent = self.facts.ack.last.is_some_and(|ack| ack.is_full_sync());
        self.facts.link.observe(upstream, Hints { stalled_since, loading, being_sent }, sent, received);
        self.resynced |= self.facts.link.syncing;
    }

    /// Where the replica stands. While a full sync is loaded it shows no position, but still serves nothing newer than
    /// the last one: that position goes on ageing, so that an alert keeps firing.
    fn position(
        &mut self,
        upstream: &UpstreamInfo,
        replid: Option<&ReplicationId>,
        sent: Timestamp,
        received: Timestamp,
        min_rtt: Span,
        history: &MasterHistory,
    ) -> Option<Position> {
        let before = self.master_seen.iter().flatten().find(|(_, known)| *known <= sent).copied();
        let (half_rtt, master_before) = (min_rtt.half(), before);
        let (Some(applied), Some(replid)) = (upstream.applied_offset.value(), replid) else {
            self.facts.relation = Relation::Incomplete;
            return None;
        };
        if applied <= NO_OFFSET && upstream.link.value() != Some(LinkStatus::Up) {
            let Some(last) = &self.facts.located else {
                self.facts.relation = Relation::NeverSynced;
                return None;
            };
            let last = last.position.clone();
            // An offset that was shown while the link was down already is final. Else the replica may have applied
            // what the master had when the link went down; the server tells that in whole seconds.
            let down_by = upstream.link_down_since.value().map(|ago| received - ago + Span::from_secs(1));
            let at_most = down_by.and_then(|by| match last.at_most {
                _ if by <= last.shown => Some(last.applied),
                Some(known) if by <= last.sent => Some(known), // the same outage: no reason to judge it anew
                _ => history.reached(by),
            });
            return Some(Position { at_most, sent, received, master_before, half_rtt, ..last });
        }
        let read = upstream.read_offset.value().unwrap_or(applied);
        let (replid, at_most, shown) = (replid.clone(), Some(applied), sent);
        Some(Position { replid, applied, at_most, shown, read, sent, received, master_before, half_rtt })
    }

    /// Places the ACKed position in the history. What is ahead of the history is a later reply's business. A position
    /// stays ACKed when the line is gone: the replica does not unlearn it, unless a full sync replaces its data.
    fn locate_ack(&mut self, history: &MasterHistory) {
        let known = self.facts.ack.located.map(|(offset, _, _)| offset);
        let offset = match self.facts.ack.last {
            Some(ack) if ack.is_full_sync() => None,
            Some(ack) => ack.offset.max(known),
            None => known,
        };
        let newest = history.newest();
        self.facts.ack.located = offset.filter(|o| newest.is_some_and(|m| *o <= m)).map(|o| {
            let bracket = history.bracket(Comparison::Current, o);
            (o, bracket, history.point(Comparison::Current, o, bracket))
        });
    }

    /// Places the replica's answer in the history, now that the master has answered after it.
    fn locate(&mut self, mut position: Position, history: &MasterHistory) {
        let comparison = history.compare(&position.replid, position.applied);
        if !matches!(comparison, Comparison::Current | Comparison::Closed(_)) {
            self.facts.relation = Relation::NotComparable(comparison);
            return;
        }
        let newest = history.newest();
        if comparison == Comparison::Current && newest.is_some_and(|m| position.applied > m) {
            self.facts.relation = Relation::Ahead;
            return;
        }
        self.facts.relation = Relation::Comparable;
        self.count(&position, history);
        let newest = newest.filter(|_| comparison == Comparison::Current);
        if position.at_most != Some(position.applied) {
            position.at_most = newest.map(|newest| position.at_most.unwrap_or(newest).max(position.applied));
        }
        let last = self.facts.located.as_ref().filter(|l| l.position.replid == position.replid);
        let same = last.filter(|l| l.position.applied == position.applied);
        let generation = history.generation();
        let bracket = history.bracket(comparison, position.applied);
        let pinned = same.filter(|l| l.generation == generation);
        let bracket = pinned.map_or(bracket, |l| bracket.intersect(l.bracket));
        let point = history.point(comparison, position.applied, bracket);
        let previous = last.and_then(|l| Some((l.position.received, l.at_sample.estimate?)));
        let same_applied = same.map_or(1, |l| l.same_applied.saturating_add(1));
        let link_up = self.facts.link.status == Some(LinkStatus::Up);
        let same_received = same
            .filter(|l| link_up && l.position.read == position.read)
            .map_or(1, |l| l.same_received.saturating_add(1));
        let passed = position
            .at_most
            .and_then(|most| if most == position.applied { bracket.hi } else { history.bracket(comparison, most).hi });
        // Unless the lack is proven, the write that is missing is more likely on its way than half a poll old; but
        // nothing is on its way over a link that is down.
        let on_its_way = link_up.then(|| previous.map_or(PROVEN_LACK, |(_, e)| e.max(PROVEN_LACK)));
        let at_sample = lag_at_sample(&position, comparison, bracket, passed, point, on_its_way);
        let bytes = bytes_at_sample(&position, newest);
        if let Some(upper) = at_sample.upper {
            self.facts.last_known = Some(LastKnown { upper, upper_bytes: bytes.upper, at: position.received });
        }
        self.facts.located = Some(Located {
            position,
            comparison,
            generation,
            bracket,
            point,
            at_sample,
            bytes,
            same_applied,
            same_received,
            previous,
        });
    }

    /// A later poll of the master may close an open bracket, or end the history.
    fn refresh(&mut self, history: &MasterHistory) {
        let comparable = self.facts.relation == Relation::Comparable;
        let Some(located) = self.facts.located.as_mut().filter(|_| comparable) else { return };
        let comparison = history.compare(&located.position.replid, located.position.applied);
        if !matches!(comparison, Comparison::Current | Comparison::Closed(_)) {
            self.facts.relation = Relation::NotComparable(comparison);
            return;
        }
        let bracket = history.bracket(comparison, located.position.applied);
        let same_history = located.generation == history.generation();
        let bracket = if same_history { located.bracket.intersect(bracket) } else { bracket };
        if bracket != located.bracket || comparison != located.comparison {
            located.point = history.point(comparison, located.position.applied, bracket);
        }
        (located.comparison, located.bracket, located.generation) = (comparison, bracket, history.generation());
    }

    /// Counts applied stream bytes. What a full sync brought did not come through the stream.
    fn count(&mut self, position: &Position, history: &MasterHistory) {
        let shared = |id: &ReplicationId, to| *id == position.replid || history.compare(id, to) == Comparison::Current;
        let grown = match &self.counted_to {
            Some((id, to)) if !self.resynced && shared(id, *to) => position.applied.since(*to).get(),
            _ => 0,
        };
        self.facts.applied_total = Some(self.facts.applied_total.unwrap_or(0).saturating_add(grown));
        self.counted_to = Some((position.replid.clone(), position.applied));
        self.resynced = self.facts.link.syncing;
    }
}
impl Ack {
    /// Whether the master is preparing or sending a full sync.
    fn is_full_sync(&self) -> bool {
        use crate::info::ReplicaConnState as S;
        matches!(self.state, S::WaitBgsave | S::Transfer)
    }
}

/// What the configured master has and a promoted replica does not share.
fn unshared_bytes(history: &MasterHistory, continues: Option<(ReplicationId, ReplicationOffset)>) -> Option<Bytes> {
    let (replid, last_shared) = continues?;
    (history.replid() == Some(&replid)).then(|| history.newest().map(|m| m.since(last_shared)))?
}

#[cfg(test)]
mod tests;
