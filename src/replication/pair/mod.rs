//! One pair's evidence: what its replica showed, placed in its master's history.
//!
//! A replica's poll is *located* only once the master has answered a poll that was sent after it:
//! before that, "the replica has all that the master showed" says nothing, and a dead datacenter
//! would show no lag in the very disaster.

mod facts;
mod link;
mod link_idle;
mod located;
mod loss;
mod saved;
mod transfer_rate;
mod usual;

use std::collections::VecDeque;

use super::ack::Ack;
use super::epochs::{Comparison, MasterHistory, MasterSample, continued_history};
use super::heartbeat::{HeartbeatWatch, ReceivedHeartbeat, ReplicaPoll};
use super::history::Point;
use super::lag::LagInterval;
use crate::info::{Field, LinkStatus, Observation, ReplicationInfo, Role, UpstreamInfo};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, RunId, Span, Timestamp};

pub(super) use facts::ACK_PERIOD;
pub use facts::{AckArrival, AckEvidence, Acked, LastKnown, PairFacts, Relation, Split};
pub use link::LinkFacts;
pub use link_idle::LinkIdle;
pub use located::Located;
pub use saved::{LinkLossRecord, LocatedRecord, PairRecord};

use link::Hints;
use located::{ANYWHERE, LinkLoss, Position, bytes_at_sample, lag_at_sample};
use usual::UsualLag;

/// An offset up to this is Redis's fallback for "none" while the link is down (it prints literally
/// 1).
const NO_OFFSET: ReplicationOffset = ReplicationOffset::new(1);

/// A master's PING in the stream, `*1\r\n$4\r\nPING\r\n`: no command that writes is so short, so a
/// replica that lacks no more than this lacks no write.
const PING: Bytes = Bytes::new(14);

/// Answers that wait for the master's.
const PENDING: usize = 2;

/// How far apart the ages may be that a server computes in whole seconds from two clock readings.
const WHOLE_SECONDS: Span = Span::from_secs(1);

/// Turns polls of both servers into [`PairFacts`].
#[derive(Clone, Debug, Default)]
pub struct PairTracker {
    facts: PairFacts,
    /// Answers that the master was not asked after yet, oldest first. Two: where the master is not
    /// polled after its replicas but beside them, the one that the next answer places comes before
    /// the newest.
    pending: VecDeque<Position>,
    /// The last two offsets of the master with the instant each was certainly known.
    master_seen: [Option<(ReplicationOffset, Timestamp)>; 2],
    /// Which history of the master was current at its last answer.
    generation: u64,
    counted_to: Option<(ReplicationId, ReplicationOffset)>,
    /// Whether a full sync was seen since the last answer that showed a position.
    resynced: bool,
    usual: UsualLag,
    /// The syncs that the direct master counted at its last answer, full and partial.
    syncs: [Option<u64>; 2],
    heartbeats: HeartbeatWatch,
    /// Whether what is known of a lost history changed since somebody asked.
    loss_changed: bool,
}

impl PairTracker {
    /// A pair that nothing is known of, polled each `interval`.
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

    /// The pair is watched again after its replica was a master: what it had applied before stays
    /// counted.
    pub fn resume_count(&mut self, applied_total: Option<u64>) {
        self.facts.applied_total = applied_total;
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
        self.loss_replica_answered(seen);
        if info.role.value() == Some(Role::Master) {
            self.forget_pending();
            self.facts.link = LinkFacts::default();
            self.facts.relation = Relation::IsMaster {
                split: split(history, info),
            };
            return;
        }
        let Some(upstream) = &info.upstream else {
            self.facts.relation = Relation::Incomplete;
            return;
        };
        let loading = seen.persistence.loading.value() == Some(true);
        self.observe_link(upstream, loading, sent, received);
        self.facts.ack.synced_since = false;
        let Some(mut position) = self.position(
            upstream,
            info.replid.get(),
            sent,
            received,
            min_rtt,
            history,
        ) else {
            self.forget_pending();
            return;
        };
        while self.pending.len() >= PENDING
            && let Some(dropped) = self.pending.pop_back()
        {
            position.resynced |= dropped.resynced;
        }
        position.resynced |= std::mem::replace(&mut self.resynced, self.facts.link.syncing);
        self.pending.push_back(position);
    }

    /// Takes in what the direct master's answer to a poll says of the replica and of its backlog.
    pub fn direct_master_answered(
        &mut self,
        ack: Option<Ack>,
        seen: &Observation,
        sent: Timestamp,
        received: Timestamp,
    ) {
        let master = &seen.replication;
        let lag = ack.and_then(|a| Some(master.master_offset.value()?.since(a.offset?)));
        let syncs = [&seen.stats.sync_full, &seen.stats.sync_partial_ok].map(Field::value);
        let before = std::mem::replace(&mut self.syncs, syncs);
        let counted = before
            .iter()
            .zip(&syncs)
            .any(|(before, now)| before.is_some() && before != now);
        let synced = counted || ack.is_some_and(|a| a.is_full_sync());
        let known = &self.facts.ack;
        self.facts.ack = AckEvidence {
            last: ack,
            seen: known.seen || ack.is_some(),
            heard: heard(ack, known, known.asked_at, sent, received).or(known.heard),
            lag,
            synced_since: known.synced_since || synced,
            asked_at: Some(sent),
            ..*known
        };
        self.facts.backlog_size = master.backlog.size.value();
    }

    /// Takes in the link of the direct master to its own master, in a chain; `None` where it is
    /// nobody's replica.
    pub fn parent_answered(&mut self, link: Option<&LinkFacts>) {
        self.facts.parent_down_since = link
            .filter(|link| link.status == Some(LinkStatus::Down))
            .and_then(|link| link.down_since);
    }

    /// Takes in the answer of the master at the top of the chain, which `history` has already taken
    /// in.
    pub fn master_answered(&mut self, master: &MasterSample, history: &MasterHistory) {
        if self.generation != history.generation() {
            // Offsets of two histories do not compare: what was known of the old one bounds nothing
            // in the new one.
            self.generation = history.generation();
            self.master_seen = [None; 2];
            self.facts.ack.located = None;
            self.pending
                .iter_mut()
                .for_each(|pending| pending.master_before = None);
        }
        self.facts.master_offset = history.newest();
        self.facts.master_at = Some(master.sent);
        let answered = self
            .pending
            .iter()
            .take_while(|p| master.sent >= p.received)
            .count();
        let resynced = self
            .pending
            .iter()
            .take(answered)
            .any(|position| position.resynced);
        let answer = self
            .pending
            .drain(..answered)
            .next_back()
            .map(|position| Position {
                resynced,
                ..position
            });
        if answer
            .as_ref()
            .is_some_and(|position| !position.is_late(self.facts.interval))
        {
            self.facts.ack.located = None; // its own answer says more than what it ACKed before
        }
        self.locate_ack(history);
        if let Some(offset) = history.newest() {
            self.master_seen = [Some((offset, master.received)), self.master_seen[0]];
        }
        if let Some(position) = answer {
            self.locate(
                position,
                history,
                master.sent + (master.received - master.sent).half(),
            );
        } else {
            self.refresh(history);
        }
    }

    /// Takes in that the master's answer shows no stream of its own: it is a replica, or the answer
    /// lacks fields.
    pub fn master_is_no_master(&mut self, is_replica: bool) {
        self.forget_pending();
        if !matches!(self.facts.relation, Relation::IsMaster { .. }) {
            self.facts.relation = if is_replica {
                Relation::MasterIsReplica
            } else {
                Relation::MasterIncomplete
            };
        }
    }

    /// Takes in a heartbeat that came out of the replica.
    pub fn heartbeat_arrived(&mut self, beat: &ReceivedHeartbeat) {
        self.heartbeats.arrived(beat);
        self.update_heartbeats();
    }

    /// Takes in that the replica's process `replica` let out a heartbeat twice, or after a later
    /// one.
    pub fn heartbeat_repeated(&mut self, replica: RunId) {
        self.heartbeats.repeated(replica);
        self.update_heartbeats();
    }

    /// Takes in which process answered as the master at the top, whose history `history` is.
    pub fn top_answered(
        &mut self,
        run_id: Option<&RunId>,
        history: &MasterHistory,
        received: Timestamp,
    ) {
        self.heartbeats
            .master_answered(run_id, history.generation(), received);
        if let Some(located) = &self.facts.located {
            self.heartbeats
                .placed(located.sent(), located.bracket.hi, received);
        }
        self.update_heartbeats();
    }

    /// Takes in how many full syncs the direct master has given, as it answered at `received`.
    pub fn direct_master_synced(&mut self, full_syncs: Option<u64>, received: Timestamp) {
        self.heartbeats.full_syncs(full_syncs, received);
        self.update_heartbeats();
    }

    fn watch_for_steps_back(&mut self, seen: &Observation, received: Timestamp) {
        let upstream = seen.replication.upstream.as_ref();
        let syncing = upstream.is_some_and(|up| up.sync_in_progress.value() == Some(true));
        let loading = seen.persistence.loading.value() == Some(true);
        let is_replica = seen.replication.role.value() == Some(Role::Replica);
        self.heartbeats.replica_answered(&ReplicaPoll {
            run_id: seen.server.run_id.get(),
            replid: seen.replication.replid.get(),
            applied: upstream.and_then(|up| up.applied_offset.value()),
            link_up: upstream.is_some_and(|up| up.link.value() == Some(LinkStatus::Up)),
            unsettled: syncing || loading || !is_replica,
            received,
        });
        self.update_heartbeats();
    }

    /// Answers that nobody places any more; that a full sync was seen stays true.
    fn forget_pending(&mut self) {
        self.resynced |= self.pending.drain(..).any(|position| position.resynced);
    }

    fn update_heartbeats(&mut self) {
        self.facts.heartbeats = self.heartbeats.facts().clone();
    }

    /// Takes in that a server of the pair is of a kind whose offsets are no bytes. Nothing that it
    /// says is a position, and what was known before says nothing of now; what was certain once
    /// stays said.
    pub fn unsupported(&mut self) {
        let loss = self.facts.loss.take();
        let PairFacts {
            last_known,
            applied_total,
            interval,
            usual_lag,
            ..
        } = self.facts;
        self.facts = PairFacts {
            last_known,
            applied_total,
            interval,
            usual_lag,
            loss,
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
        let comparable = self.facts.relation == Relation::Comparable;
        let stall = self.facts.stall(sent).filter(|_| comparable);
        let stalled_since = stall.map(|stall| stall.since);
        let being_sent = self.facts.ack.last.is_some_and(|ack| ack.is_full_sync());
        self.facts.link.observe(
            upstream,
            Hints {
                stalled_since,
                loading,
                being_sent,
            },
            sent,
            received,
        );
        self.resynced |= self.facts.link.syncing;
    }

    /// Where the replica stands. While a full sync is loaded it shows no position, but still serves
    /// nothing newer than the last one: that position goes on ageing, so that an alert keeps
    /// firing.
    fn position(
        &mut self,
        upstream: &UpstreamInfo,
        replid: Option<&ReplicationId>,
        sent: Timestamp,
        received: Timestamp,
        min_rtt: Span,
        history: &MasterHistory,
    ) -> Option<Position> {
        let before = self
            .master_seen
            .iter()
            .flatten()
            .find(|(_, known)| *known <= sent)
            .copied();
        let (half_rtt, master_before) = (min_rtt.half(), before);
        let (Some(applied), Some(replid)) = (upstream.applied_offset.value(), replid) else {
            self.facts.relation = Relation::Incomplete;
            return None;
        };
        if applied <= NO_OFFSET && upstream.link.value() != Some(LinkStatus::Up) {
            let Some(known) = &self.facts.located else {
                self.facts.relation = Relation::NeverSynced;
                return None;
            };
            let told = upstream.link_down_since.value().map(|ago| received - ago);
            let (at_most, lost) = applied_until_lost(known, told, received, history);
            let known = known.position.clone();
            return Some(Position {
                at_most,
                lost,
                resynced: false,
                sent,
                received,
                master_before,
                half_rtt,
                ..known
            });
        }
        let read = upstream.read_offset.value().unwrap_or(applied);
        let (replid, at_most, shown) = (replid.clone(), Some(applied), sent);
        Some(Position {
            replid,
            applied,
            at_most,
            shown,
            lost: None,
            resynced: false,
            read,
            sent,
            received,
            master_before,
            half_rtt,
        })
    }

    /// Places the ACKed position in the history. What is ahead of the history is a later reply's
    /// business. A position stays ACKed when the line is gone: the replica does not unlearn it,
    /// unless it begins anew with other data.
    fn locate_ack(&mut self, history: &MasterHistory) {
        let ack = &self.facts.ack;
        let known = ack
            .located
            .as_ref()
            .filter(|_| !ack.synced_since)
            .map(|acked| acked.offset);
        let offset = match ack.last {
            Some(last) if last.is_full_sync() => None,
            Some(last) => last.offset.max(known),
            None => known,
        };
        let newest = history.newest();
        let offset = offset.filter(|o| newest.is_some_and(|m| *o <= m));
        self.facts.ack.located = offset.map(|offset| self.acked(offset, history));
    }

    /// The ACKed `offset`, located. A bracket that was known before is kept: the table forgets, the
    /// tracker does not.
    fn acked(&self, offset: ReplicationOffset, history: &MasterHistory) -> Acked {
        let generation = history.generation();
        let ack = &self.facts.ack;
        let pinned = ack
            .located
            .as_ref()
            .filter(|a| a.offset == offset && a.generation == generation);
        let bracket = history.bracket(Comparison::Current, offset);
        let bracket = pinned.map_or(bracket, |a| bracket.intersect(a.bracket));
        let known = pinned
            .filter(|a| a.bracket == bracket)
            .and_then(|a| a.point);
        let point = known.or_else(|| history.point(Comparison::Current, offset, bracket));
        let lag = match (point, ack.heard, pinned.and_then(|a| a.lag)) {
            (_, _, Some(known)) => Some(known),
            (None, _, _) => bracket.lo.map(|_| Span::ZERO),
            (Some(point), Some(heard), None) => Some(self.lag_at_ack(point, heard)),
            (Some(_), None, None) => None,
        };
        Acked {
            offset,
            bracket,
            point,
            lag,
            generation,
        }
    }

    /// The lag of a replica whose ACK came when it was `heard`, and whose position the master
    /// passed at `point`.
    fn lag_at_ack(&self, point: Point, heard: AckArrival) -> Span {
        let between = heard.before - heard.after;
        let came = heard.after + between.half();
        let spread = point
            .spread
            .as_secs_f64()
            .hypot(between.as_secs_f64() * ANYWHERE);
        self.usual
            .judge((came - point.at).or_zero(), Span::from_secs_f64(spread))
            .estimate
    }

    /// Places the replica's answer in the history, now that the master has answered after it,
    /// `asked` at that instant.
    fn locate(&mut self, mut position: Position, history: &MasterHistory, asked: Timestamp) {
        let comparison = history.compare(&position.replid, position.applied);
        if !matches!(comparison, Comparison::Current | Comparison::Closed(_)) {
            self.facts.relation = Relation::NotComparable(comparison);
            self.resynced |= position.resynced;
            return;
        }
        let newest = history.newest();
        if comparison == Comparison::Current && newest.is_some_and(|m| position.applied > m) {
            self.facts.relation = Relation::Ahead;
            self.resynced |= position.resynced;
            return;
        }
        self.facts.relation = Relation::Comparable;
        self.count(&position, history);
        let newest = newest.filter(|_| comparison == Comparison::Current);
        if position.at_most != Some(position.applied) {
            position.at_most =
                newest.map(|newest| position.at_most.unwrap_or(newest).max(position.applied));
        }
        let last = self
            .facts
            .located
            .as_ref()
            .filter(|l| l.position.replid == position.replid);
        let same = last.filter(|l| l.position.applied == position.applied);
        let generation = history.generation();
        let bracket = history.bracket(comparison, position.applied);
        let pinned = same.filter(|l| l.generation == generation);
        let bracket = pinned.map_or(bracket, |l| bracket.intersect(l.bracket));
        let known = pinned
            .filter(|l| l.bracket == bracket)
            .and_then(|l| l.point);
        let known = position.lost.and_then(|lost| lost.point(bracket)).or(known);
        let point = known.or_else(|| history.point(comparison, position.applied, bracket));
        let previous = last.and_then(|l| Some((l.position.received, l.at_sample.estimate?)));
        let same_applied = same.map_or(1, |l| l.same_applied.saturating_add(1));
        let link_up = self.facts.link.status == Some(LinkStatus::Up);
        let same_received = same
            .filter(|l| link_up && l.position.read == position.read)
            .map_or(1, |l| l.same_received.saturating_add(1));
        let passed = position.at_most.and_then(|most| {
            if most == position.applied {
                bracket.hi
            } else {
                history.bracket(comparison, most).hi
            }
        });
        let moved = last.is_some() && same.is_none();
        let at_sample = lag_at_sample(&position, comparison, bracket, passed, point.map(|p| p.at));
        let bytes = bytes_at_sample(&position, newest.map(|newest| (newest, asked)));
        // How long ago a history ended says nothing of what is lost with it.
        let ended = self.facts.loss.is_some() && comparison != Comparison::Current;
        if let Some(upper) = at_sample.upper.filter(|_| !ended) {
            self.facts.last_known = Some(LastKnown {
                upper,
                upper_bytes: bytes.upper,
                at: position.received,
            });
        }
        let mut located = Located {
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
            is_usual: false,
            is_doubtful: false,
        };
        if link_up && self.facts.parent_down_since.is_none() && located.is_current() {
            self.judge(&mut located, moved);
        }
        self.facts.located = Some(located);
    }

    /// A PING on its way is no lag. While the computed lag is what the link usually shows, that is
    /// the better estimate. Nothing is usual about a link that is down, or a replica that certainly
    /// stands still.
    fn judge(&mut self, located: &mut Located, moved: bool) {
        let Some(point) = located
            .point
            .filter(|_| located.bracket.hi.is_some() && !located.is_frozen())
        else {
            located.is_usual = located.is_caught_up();
            return;
        };
        let missing = self
            .facts
            .master_offset
            .map(|newest| newest.since(located.applied()));
        if missing.is_some_and(|missing| missing <= PING) {
            located.is_usual = true;
            located.at_sample = LagInterval {
                lower: Some(Span::ZERO),
                estimate: Some(Span::ZERO),
                ..located.at_sample
            };
            return;
        }
        let computed = located.position.read_at() - point.at;
        let judged = self.usual.judge(computed, point.spread);
        (located.is_usual, located.is_doubtful) = (judged.is_usual, judged.is_doubtful);
        located.at_sample = LagInterval {
            estimate: Some(judged.estimate),
            ..located.at_sample
        }
        .ordered();
        if moved {
            let width = located
                .bracket
                .hi
                .zip(located.bracket.lo)
                .map_or(Span::ZERO, |(hi, lo)| hi - lo);
            self.usual.learn(computed, point.spread, width);
            self.facts.usual_lag = self.usual.lag();
        }
    }

    /// A later poll of the master may close an open bracket, or end the history.
    fn refresh(&mut self, history: &MasterHistory) {
        let known = matches!(
            self.facts.relation,
            Relation::Comparable
                | Relation::MasterIsReplica
                | Relation::Restored
                | Relation::Unseen
        );
        let Some(located) = self.facts.located.as_mut().filter(|_| known) else {
            return;
        };
        let comparison = history.compare(&located.position.replid, located.position.applied);
        let placed = matches!(comparison, Comparison::Current | Comparison::Closed(_));
        self.facts.relation = match self.facts.relation {
            // It is from before a restart of this program: the master's answer says whether it
            // still means anything.
            Relation::Restored | Relation::Unseen if placed => Relation::Restored,
            Relation::Restored | Relation::Unseen => Relation::Unseen,
            // So does that of a master that goes on with the history of one that is a replica now.
            _ if placed => Relation::Comparable,
            _ => Relation::NotComparable(comparison),
        };
        if !placed {
            return;
        }
        let bracket = history.bracket(comparison, located.position.applied);
        let same_history = located.generation == history.generation();
        let bracket = if same_history {
            located.bracket.intersect(bracket)
        } else {
            bracket
        };
        if bracket != located.bracket || comparison != located.comparison {
            located.point = history.point(comparison, located.position.applied, bracket);
        }
        (located.comparison, located.bracket, located.generation) =
            (comparison, bracket, history.generation());
    }

    /// Counts applied stream bytes. What a full sync brought did not come through the stream.
    fn count(&mut self, position: &Position, history: &MasterHistory) {
        let shared = |id: &ReplicationId, to| {
            *id == position.replid || history.compare(id, to) == Comparison::Current
        };
        let grown = match &self.counted_to {
            Some((id, to)) if !position.resynced && shared(id, *to) => {
                position.applied.since(*to).get()
            }
            _ => 0,
        };
        self.facts.applied_total =
            Some(self.facts.applied_total.unwrap_or(0).saturating_add(grown));
        self.counted_to = Some((position.replid.clone(), position.applied));
    }
}
impl Ack {
    /// Whether the master is preparing or sending a full sync.
    fn is_full_sync(&self) -> bool {
        use crate::info::ReplicaConnState as S;
        matches!(self.state, S::WaitBgsave | S::Transfer)
    }
}

/// When the newest ACK came, by the master's answer to a poll: after the poll before it, when it
/// shows an offset that this one did not; and by its age, which the server tells in whole seconds.
fn heard(
    ack: Option<Ack>,
    known: &AckEvidence,
    asked_before: Option<Timestamp>,
    sent: Timestamp,
    received: Timestamp,
) -> Option<AckArrival> {
    // Before the first ACK the master shows the offset 0 and counts the age from the connection.
    let ack = ack.filter(|ack| ack.offset.is_some())?;
    let is_new = known
        .last
        .is_some_and(|last| last.offset.is_some() && last.offset < ack.offset);
    let by_offset = asked_before.filter(|_| is_new).map(|after| AckArrival {
        after,
        before: received,
    });
    let by_age = ack.age.map(|age| {
        let (after, before) = (
            sent - age - WHOLE_SECONDS,
            received.min(received - age + WHOLE_SECONDS),
        );
        AckArrival { after, before }
    });
    let newest = match (by_offset, by_age) {
        (Some(a), Some(b)) => AckArrival {
            after: a.after.max(b.after),
            before: a.before.min(b.before),
        },
        (a, b) => a.or(b)?,
    };
    // The same ACK is told of again and again: what is known of it stays known.
    let same = known
        .heard
        .filter(|heard| !is_new && newest.after <= heard.before);
    Some(same.map_or(newest, |heard| AckArrival {
        after: heard.after.max(newest.after).min(heard.before),
        before: heard.before,
    }))
}

/// What a replica that hides its offset can have applied at most, and when its link was lost if it
/// may have applied anything since it last showed where it was. `told` is when the link was lost,
/// by its own whole seconds.
///
/// An offset that was shown while the link was down already is final. Else it may have applied what
/// the master had when the link went down.
fn applied_until_lost(
    known: &Located,
    told: Option<Timestamp>,
    received: Timestamp,
    history: &MasterHistory,
) -> (Option<ReplicationOffset>, Option<LinkLoss>) {
    let before = &known.position;
    let down_by = told.map(|since| since + WHOLE_SECONDS);
    let at_most = down_by.and_then(|by| match before.at_most {
        _ if by <= before.shown => Some(before.applied),
        Some(most) if by <= before.sent => Some(most), // the same outage: no reason to judge it anew
        _ => history.reached(by),
    });
    if at_most == Some(before.applied) {
        return (at_most, None);
    }
    let same_outage = before
        .lost
        .filter(|_| told.is_none_or(|since| since - WHOLE_SECONDS <= before.sent));
    let began = LinkLoss {
        after: told.map_or(before.shown, |since| {
            before.shown.max(since - WHOLE_SECONDS)
        }),
        before: down_by.map_or(received, |by| received.min(by)),
        lag: known.at_sample.estimate.unwrap_or_default(),
    };
    (
        at_most,
        Some(same_outage.map_or(began, |lost| lost.intersect(began))),
    )
}

/// What each of two masters has alone: the one whose `history` is known, and the one that says
/// `other`. Their histories part where one of them was promoted out of the other's, or both out of
/// the same third one.
fn split(history: &MasterHistory, other: &ReplicationInfo) -> Option<Split> {
    let (own, own_before) = (history.replid()?, history.continues());
    let (id, before) = (other.replid.get()?, continued_history(other));
    let promoted_out_of = |before: Option<&(ReplicationId, ReplicationOffset)>,
                           of: &ReplicationId| {
        before
            .filter(|(replid, _)| replid == of)
            .map(|(_, last_shared)| *last_shared)
    };
    let of_master = promoted_out_of(own_before, id);
    let of_replica = promoted_out_of(before.as_ref(), own);
    let of_third = own_before
        .zip(before.as_ref())
        .filter(|(a, b)| a.0 == b.0)
        .map(|(a, b)| a.1.min(b.1));
    let last_shared = of_master.or(of_replica).or(of_third)?;
    Some(Split {
        master: history.newest()?.since(last_shared),
        replica: other.master_offset.value()?.since(last_shared),
        master_was_promoted: of_master.is_some(),
    })
}

#[cfg(test)]
mod tests;
