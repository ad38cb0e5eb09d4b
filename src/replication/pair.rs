//! One pair's evidence: what its replica showed, placed in its master's history.
//!
//! A replica's poll is *located* only once the master has answered a poll that was sent after it: before that, "the
//! replica has all that the master showed" says nothing, and a dead datacenter would show no lag in the very disaster.

use super::ack::Ack;
use super::epochs::{Comparison, MasterHistory, MasterSample, continued_history};
use super::history::Bracket;
use super::lag::{LagBytes, LagInterval};
use crate::info::{LinkStatus, Observation, ReplicationInfo, Role, UpstreamInfo};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};

/// A lower bound of this much proves that the replica really lacks data, rather than that data is on its way: the links
/// between datacenters take less.
const PROVEN_LACK: Span = Span::from_millis(100);

/// A link that claims to be up is stalled when nothing arrived for this long, or for three polls if that is longer.
const STALLED_AFTER: Span = Span::from_secs(3);

/// An offset up to this is Redis's fallback for "none" while the link is down (it prints literally 1).
const NO_OFFSET: ReplicationOffset = ReplicationOffset::new(1);

/// A replica's position and when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    replid: ReplicationId,
    applied: ReplicationOffset,
    /// It certainly has not applied more than this; `None` until the master's next answer says. Differs from `applied`
    /// only while the replica hides its offset: between its last answer and the loss of its link it went on applying.
    at_most: Option<ReplicationOffset>,
    /// When the poll was sent whose answer showed `applied`; `sent`, unless the replica hides its offset.
    shown: Timestamp,
    /// Bytes received; equal to `applied` where the server does not tell (before 6.2).
    read: ReplicationOffset,
    sent: Timestamp,
    received: Timestamp,
    /// The newest master offset that was known for certain before the replica was asked.
    master_before: Option<(ReplicationOffset, Timestamp)>,
    /// Half the smallest round trip: how long before `received` the server read its offset, at the least.
    half_rtt: Span,
}

impl Position {
    /// Whether the answer took longer than a poll: the server stood still, or the network held the answer back, so it
    /// may be as old as the question.
    fn is_late(&self, interval: Span) -> bool {
        self.received - self.sent > interval + self.half_rtt + self.half_rtt
    }
}

/// A replica's position, located in its master's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    position: Position,
    comparison: Comparison,
    /// Which history of the master was current then: brackets of two histories say nothing about each other.
    generation: u64,
    /// Holds the instant at which the master went beyond the position.
    pub bracket: Bracket,
    /// The likeliest such instant.
    pub point: Option<Timestamp>,
    /// The lag when the replica answered.
    pub at_sample: LagInterval,
    /// The bytes it lacked then.
    pub bytes: LagBytes,
    /// How many polls in a row, this one included, showed the same applied offset.
    pub same_applied: u32,
    /// How many of them showed the same received offset, too, over a link that was up: a long transaction or script
    /// freezes only the applied one.
    pub same_received: u32,
    /// The estimate of the poll before this one, and when it was answered.
    pub previous: Option<(Timestamp, Span)>,
}

/// What the master says of a replica, placed in the history; evidence while the replica itself is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckEvidence {
    /// What the master's last answer said; `None` when no line can be meant.
    pub last: Option<Ack>,
    /// Whether some answer had a line that can be meant: only then does its absence mean that the replica is gone.
    pub seen: bool,
    /// The ACKed position's bracket and likeliest instant, where the history knows it.
    pub located: Option<(ReplicationOffset, Bracket, Option<Timestamp>)>,
    /// Bytes that the master has written and the replica has not ACKed, both from one reply.
    pub lag: Option<Bytes>,
}

/// How the replica's last answer relates to the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relation {
    /// It has not answered yet, or not since a poll of the master.
    #[default]
    Unseen,
    /// Its position is in the master's history.
    Comparable,
    /// Its position is in no history of the master.
    NotComparable(Comparison),
    /// It shows an offset beyond what its master has: not the history it claims to be.
    Ahead,
    /// It has never had a position.
    NeverSynced,
    /// It is a master itself; with the bytes that the other master has and it does not share, where that is known.
    IsMaster {
        /// Unshared history of the configured master.
        unshared: Option<Bytes>,
    },
    /// The configured master says that it is a replica, so it has no stream of its own to compare with.
    MasterIsReplica,
    /// The configured master's answer lacks the fields that say where its stream stands.
    MasterIncomplete,
    /// The replica's answer lacks the fields that say where it stands.
    Incomplete,
}

/// The replica's link to its master, as the replica tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkFacts {
    /// `master_link_status`.
    pub status: Option<LinkStatus>,
    /// Since when it is not up: by the replica's own clock where it tells, else since it was first seen so.
    pub down_since: Option<Timestamp>,
    /// A full sync is being transferred or prepared, or its data set is being loaded.
    pub syncing: bool,
    /// Bytes of the transfer that were read so far, and of how many where that is known.
    pub sync_read: Option<(Bytes, Option<Bytes>)>,
    /// When a full sync last made progress.
    pub sync_progress_at: Option<Timestamp>,
    /// `master_last_io_seconds_ago`.
    pub last_io: Option<Span>,
    /// Received and not yet applied.
    pub unapplied: Option<Bytes>,
}

/// The last certified statement about a pair; it stays when the master is lost: this much may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastKnown {
    /// Upper bound of the lag in seconds.
    pub upper: Span,
    /// Upper bound in bytes.
    pub upper_bytes: Option<Bytes>,
    /// When the replica answered.
    pub at: Timestamp,
}

/// Everything that is known of one pair. Cheap to clone: it is copied into every snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairFacts {
    /// The last position that could be located.
    pub located: Option<Located>,
    /// How the last answer relates to the master.
    pub relation: Relation,
    /// The link.
    pub link: LinkFacts,
    /// What the master says of the replica.
    pub ack: AckEvidence,
    /// The master's newest offset.
    pub master_offset: Option<ReplicationOffset>,
    /// `repl_backlog_size` of the master.
    pub backlog_size: Option<Bytes>,
    /// The last certified statement.
    pub last_known: Option<LastKnown>,
    /// Stream bytes that the replica applied since this program first saw it.
    pub applied_total: Option<u64>,
    /// The period of polling, by which silence is judged.
    pub interval: Span,
}

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
        let link = &mut self.facts.link;
        let was_up = link.status == Some(LinkStatus::Up);
        link.status = upstream.link.value();
        let told = upstream.link_down_since.value().map(|ago| sent - ago);
        // A stalled link is given up after repl-timeout: the outage began with the stall, not with that.
        let comparable = self.facts.relation == Relation::Comparable;
        let stalled =
            self.facts.located.as_ref().filter(|_| was_up && comparable).and_then(|l| l.stalled_since(sent, interval));
        link.down_since = match link.status {
            Some(LinkStatus::Down) => link.down_since.into_iter().chain(told).chain(stalled).min().or(Some(sent)),
            _ => None,
        };
        let transfer = upstream.sync_in_progress.value() == Some(true);
        let being_sent = self.facts.ack.last.is_some_and(|ack| ack.is_full_sync());
        link.syncing = link.status != Some(LinkStatus::Up) && (transfer || loading || being_sent);
        let read = upstream.sync_read.value().filter(|_| transfer);
        if link.syncing && (loading || read != link.sync_read.map(|(read, _)| read)) {
            link.sync_progress_at = Some(received);
        }
        link.sync_read = read.map(|read| (read, upstream.sync_total.value()));
        link.last_io = upstream.last_io.value();
        link.unapplied = match (upstream.read_offset.value(), upstream.applied_offset.value()) {
            (Some(read), Some(applied)) if link.status == Some(LinkStatus::Up) => Some(read.since(applied)),
            _ => None,
        };
        self.resynced |= link.syncing;
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

impl PairFacts {
    /// When the replica's position was last learned, as long as it still can be compared.
    pub fn comparable_at(&self) -> Option<Timestamp> {
        self.located.as_ref().filter(|_| self.relation == Relation::Comparable).map(Located::received)
    }
}

impl Located {
    /// When the replica was asked.
    pub fn sent(&self) -> Timestamp {
        self.position.sent
    }

    /// When it answered.
    pub fn received(&self) -> Timestamp {
        self.position.received
    }

    /// Bytes that it had applied.
    pub fn applied(&self) -> ReplicationOffset {
        self.position.applied
    }

    /// Whether the answer took longer than a poll, so that it says little about the moment at which it came.
    pub fn is_late(&self, interval: Span) -> bool {
        self.position.is_late(interval)
    }

    /// Whether the master had certainly gone beyond the position well before the replica was asked.
    pub fn lacks_for_certain(&self) -> bool {
        self.bracket.hi.is_some_and(|hi| self.position.sent - hi >= PROVEN_LACK)
    }

    /// Whether it stands still below its master for certain.
    pub fn is_frozen(&self) -> bool {
        self.same_applied >= 2 && self.lacks_for_certain()
    }

    /// Since when nothing has arrived although the master wrote; `None` when something arrives, or not for long yet.
    pub fn stalled_since(&self, now: Timestamp, interval: Span) -> Option<Timestamp> {
        let enough = STALLED_AFTER.max(interval.mul_f64(3.0));
        let still = self.is_frozen() && self.same_received >= 2;
        self.point.filter(|point| still && now - *point > enough)
    }

    /// Whether it has all that the master showed after it was asked.
    pub fn is_caught_up(&self) -> bool {
        self.bracket.hi.is_none() && self.is_current()
    }

    /// Whether the position is in the history that the master writes now, and not in one that is over.
    pub fn is_current(&self) -> bool {
        self.comparison == Comparison::Current
    }

    /// Whether the missing data is certainly missing and not on its way.
    pub fn is_proven(&self) -> bool {
        self.at_sample.lower.is_some_and(|lower| lower >= PROVEN_LACK)
    }
}

impl Ack {
    /// Whether the master is preparing or sending a full sync.
    fn is_full_sync(&self) -> bool {
        use crate::info::ReplicaConnState as S;
        matches!(self.state, S::WaitBgsave | S::Transfer)
    }
}

/// The lag when the replica answered: docs/lag.md, "The certified interval". `passed` is when the master had certainly
/// gone beyond all that the replica can have applied;
/// `on_its_way` limits the estimate while the lack is not proven.
fn lag_at_sample(
    position: &Position,
    comparison: Comparison,
    bracket: Bracket,
    passed: Option<Timestamp>,
    point: Option<Timestamp>,
    on_its_way: Option<Span>,
) -> LagInterval {
    let lower = passed.map_or(Span::ZERO, |hi| (position.sent - hi).or_zero());
    let upper = bracket.lo.map(|lo| (position.received - lo).or_zero());
    let read_at = position.received - position.half_rtt;
    let estimate = match (bracket.hi, point) {
        (None, _) if comparison == Comparison::Current => bracket.lo.map(|_| Span::ZERO),
        (Some(_), Some(point)) => Some(read_at - point),
        _ => None,
    };
    let limit = on_its_way.filter(|_| lower < PROVEN_LACK);
    let estimate = estimate.map(|e| limit.map_or(e, |limit| e.min(limit)));
    LagInterval { lower: Some(lower), estimate, upper }.ordered()
}

/// The bytes that the replica lacked when it answered: between what the master certainly had before and after.
fn bytes_at_sample(position: &Position, after: Option<ReplicationOffset>) -> LagBytes {
    let lower = position.master_before.zip(position.at_most).map(|((before, _), most)| before.since(most));
    let upper = after.map(|after| after.since(position.applied));
    let estimate = match (lower, upper) {
        (Some(lower), Some(upper)) => Some(Bytes::new(lower.get() + upper.get().saturating_sub(lower.get()) / 2)),
        (_, upper) => upper,
    };
    LagBytes { lower: lower.filter(|_| after.is_some()), estimate, upper }
}

/// What the configured master has and a promoted replica does not share.
fn unshared_bytes(history: &MasterHistory, continues: Option<(ReplicationId, ReplicationOffset)>) -> Option<Bytes> {
    let (replid, last_shared) = continues?;
    (history.replid() == Some(&replid)).then(|| history.newest().map(|m| m.since(last_shared)))?
}

#[cfg(test)]
mod tests;
