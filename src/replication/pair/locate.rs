//! Where a replica stands: its answer as a [`Position`], and the position placed in its master's
//! history.

use super::facts::{LastKnown, Relation};
use super::located::{LinkLoss, Located, Position, bytes_at_sample, lag_at_sample};
use super::{PairTracker, WHOLE_SECONDS};
use crate::info::{LinkStatus, UpstreamInfo};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};
use crate::replication::epochs::{Comparison, MasterHistory};
use crate::replication::history::{Bracket, Point};
use crate::replication::lag::LagInterval;

/// An offset up to this is Redis's fallback for "none" while the link is down (it prints literally
/// 1).
const NO_OFFSET: ReplicationOffset = ReplicationOffset::new(1);

/// A master's PING in the stream, `*1\r\n$4\r\nPING\r\n`: no command that writes is so short, so a
/// replica that lacks no more than this lacks no write.
const PING: Bytes = Bytes::new(14);

/// When a poll was sent and answered, and the smallest round trip to that server.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollTimes {
    pub(super) sent: Timestamp,
    pub(super) received: Timestamp,
    pub(super) min_rtt: Span,
}

impl PairTracker {
    /// Where the replica stands by its answer; `None` where it never showed that.
    ///
    /// While a full sync is loaded it shows no position, but still serves nothing newer than its
    /// last one: that position continues to age, so that an alert keeps firing.
    pub(super) fn position(
        &mut self,
        upstream: &UpstreamInfo,
        replid: Option<&ReplicationId>,
        poll: PollTimes,
        history: &MasterHistory,
    ) -> Option<Position> {
        let (Some(applied), Some(replid)) = (upstream.applied_offset.value(), replid) else {
            self.facts.relation = Relation::Incomplete;
            return None;
        };
        if applied <= NO_OFFSET && upstream.link.value() != Some(LinkStatus::Up) {
            return self.hidden_position(upstream, poll, history);
        }
        Some(Position {
            replid: replid.clone(),
            applied,
            at_most: Some(applied),
            shown: poll.sent,
            lost: None,
            resynced: false,
            read: upstream.read_offset.value().unwrap_or(applied),
            sent: poll.sent,
            received: poll.received,
            master_before: self.master_seen_before(poll.sent),
            half_rtt: poll.min_rtt.half(),
        })
    }

    /// Where a replica stands that hides its offset: where it last showed itself, or further by
    /// what it may have applied before it lost its link.
    fn hidden_position(
        &mut self,
        upstream: &UpstreamInfo,
        poll: PollTimes,
        history: &MasterHistory,
    ) -> Option<Position> {
        let Some(known) = &self.facts.located else {
            self.facts.relation = Relation::NeverSynced;
            return None;
        };
        let down_for = upstream.link_down_since.value();
        let reported = down_for.map(|for_| poll.received - for_);
        let (at_most, lost) = applied_until_lost(known, reported, poll.received, history);
        Some(Position {
            at_most,
            lost,
            resynced: false,
            sent: poll.sent,
            received: poll.received,
            master_before: self.master_seen_before(poll.sent),
            half_rtt: poll.min_rtt.half(),
            ..known.position.clone()
        })
    }

    /// The newest offset of the master that was certainly known before `sent`.
    fn master_seen_before(&self, sent: Timestamp) -> Option<(ReplicationOffset, Timestamp)> {
        let mut seen = self.master_seen.iter().flatten();
        seen.find(|(_, known)| *known <= sent).copied()
    }

    /// Places the replica's answer in the history, now that the master has answered a poll after
    /// it, which was `asked` at that instant.
    pub(super) fn locate(
        &mut self,
        mut position: Position,
        history: &MasterHistory,
        asked: Timestamp,
    ) {
        let comparison = history.compare(&position.replid, position.applied);
        let newest = match comparison {
            Comparison::Current => history.newest(),
            _ => None,
        };
        let relation = relation(comparison, position.applied, newest);
        self.facts.relation = relation;
        if relation != Relation::Comparable {
            self.resynced |= position.resynced;
            return;
        }
        self.count(&position, history);
        if position.at_most != Some(position.applied) {
            // It hides its offset: it cannot have applied more than its master has written.
            let most = |newest| position.at_most.unwrap_or(newest).max(position.applied);
            position.at_most = newest.map(most);
        }
        let placed = self.place(&position, comparison, history);
        let at_sample = lag_at_sample(
            &position,
            comparison,
            placed.bracket,
            passed_at_most(&position, comparison, placed.bracket, history),
            placed.point.map(|point| point.at),
        );
        let bytes = bytes_at_sample(&position, newest.map(|newest| (newest, asked)));
        self.certify(at_sample, bytes.upper, &position, comparison);

        let link_up = self.facts.link.status == Some(LinkStatus::Up);
        let last = self.last_in(&position.replid);
        let same = last.filter(|last| last.position.applied == position.applied);
        let moved = last.is_some() && same.is_none();
        let same_received = same.filter(|same| link_up && same.position.read == position.read);
        let mut located = Located {
            comparison,
            generation: history.generation(),
            bracket: placed.bracket,
            point: placed.point,
            at_sample,
            bytes,
            same_applied: same.map_or(1, |same| same.same_applied.saturating_add(1)),
            same_received: same_received.map_or(1, |same| same.same_received.saturating_add(1)),
            previous: last.and_then(|last| Some((last.received(), last.at_sample.estimate?))),
            is_usual: false,
            is_doubtful: false,
            position,
        };
        if link_up && self.facts.parent_down_since.is_none() && located.is_current() {
            self.judge(&mut located, moved);
        }
        self.facts.located = Some(located);
    }

    /// The last located position, if it is in the history `replid`.
    fn last_in(&self, replid: &ReplicationId) -> Option<&Located> {
        let last = self.facts.located.as_ref()?;
        (last.position.replid == *replid).then_some(last)
    }

    /// When the master passed the position. What was known of this position before stays known:
    /// the table forgets, the tracker does not.
    fn place(
        &self,
        position: &Position,
        comparison: Comparison,
        history: &MasterHistory,
    ) -> PlacedAt {
        let known = self.last_in(&position.replid).filter(|last| {
            last.applied() == position.applied && last.generation == history.generation()
        });
        let mut bracket = history.bracket(comparison, position.applied);
        if let Some(known) = known {
            bracket = bracket.intersect(known.bracket);
        }
        let by_link_loss = position.lost.and_then(|lost| lost.point(bracket));
        let unchanged = known.filter(|known| known.bracket == bracket);
        let point = by_link_loss
            .or_else(|| unchanged.and_then(|known| known.point))
            .or_else(|| history.point(comparison, position.applied, bracket));
        PlacedAt { bracket, point }
    }

    /// Remembers the upper bounds as the last certified statement. How long ago a history ended
    /// says nothing of what is lost with it.
    fn certify(
        &mut self,
        lag: LagInterval,
        upper_bytes: Option<Bytes>,
        position: &Position,
        comparison: Comparison,
    ) {
        let is_lost = self.facts.loss.is_some() && comparison != Comparison::Current;
        let Some(upper) = lag.upper else {
            return;
        };
        if !is_lost {
            self.facts.last_known = Some(LastKnown {
                upper,
                upper_bytes,
                at: position.received,
            });
        }
    }

    /// Compares the computed lag with what the link usually shows: while they agree, the usual lag
    /// is the better estimate. A PING on its way is no lag. Nothing is usual about a link that is
    /// down, or a replica that certainly applies nothing.
    fn judge(&mut self, located: &mut Located, moved: bool) {
        let point = match located.point {
            Some(point) if located.bracket.hi.is_some() && !located.is_frozen() => point,
            _ => {
                located.is_usual = located.is_caught_up();
                return;
            }
        };
        if self.lacks_a_ping_at_most(located) {
            located.is_usual = true;
            located.at_sample.lower = Some(Span::ZERO);
            located.at_sample.estimate = Some(Span::ZERO);
            return;
        }
        let computed = located.position.read_at() - point.at;
        let judgement = self.usual.judge(computed, point.spread);
        located.is_usual = judgement.is_usual;
        located.is_doubtful = judgement.is_doubtful;
        located.at_sample.estimate = Some(judgement.estimate);
        located.at_sample = located.at_sample.ordered();
        if moved {
            let width = located.bracket.width().unwrap_or(Span::ZERO);
            self.usual.learn(computed, point.spread, width);
            self.facts.usual_lag = self.usual.lag();
        }
    }

    fn lacks_a_ping_at_most(&self, located: &Located) -> bool {
        match self.facts.master_offset {
            Some(newest) => newest.since(located.applied()) <= PING,
            None => false,
        }
    }

    /// Places the last position again after a poll of the master alone, which may close an open
    /// bracket or end the history.
    pub(super) fn refresh(&mut self, history: &MasterHistory) {
        let relation = self.facts.relation;
        let Some(located) = &mut self.facts.located else {
            return;
        };
        let comparison = history.compare(&located.position.replid, located.position.applied);
        let is_placed = matches!(comparison, Comparison::Current | Comparison::Closed(_));
        self.facts.relation = match relation {
            // It is from before a restart of this program: the master's answer says whether it
            // still means anything.
            Relation::Restored | Relation::Unseen if is_placed => Relation::Restored,
            Relation::Restored | Relation::Unseen => Relation::Unseen,
            // So does that of a master that continues the history of one that is a replica now.
            Relation::Comparable | Relation::MasterIsReplica if is_placed => Relation::Comparable,
            Relation::Comparable | Relation::MasterIsReplica => Relation::NotComparable(comparison),
            _ => return,
        };
        if !is_placed {
            return;
        }
        let mut bracket = history.bracket(comparison, located.position.applied);
        if located.generation == history.generation() {
            bracket = bracket.intersect(located.bracket);
        }
        if bracket != located.bracket || comparison != located.comparison {
            located.point = history.point(comparison, located.position.applied, bracket);
        }
        located.comparison = comparison;
        located.bracket = bracket;
        located.generation = history.generation();
    }

    /// Counts applied stream bytes. What a full sync brought did not come through the stream.
    fn count(&mut self, position: &Position, history: &MasterHistory) {
        let grown = self.applied_since_counted(position, history);
        let total = self.facts.applied_total.unwrap_or(0);
        self.facts.applied_total = Some(total.saturating_add(grown));
        self.counted_to = Some((position.replid.clone(), position.applied));
    }

    fn applied_since_counted(&self, position: &Position, history: &MasterHistory) -> u64 {
        let Some((replid, counted_to)) = &self.counted_to else {
            return 0;
        };
        let is_shared = *replid == position.replid
            || history.compare(replid, *counted_to) == Comparison::Current;
        if position.resynced || !is_shared {
            return 0;
        }
        position.applied.since(*counted_to).get()
    }
}

/// When the master passed a position.
#[derive(Clone, Copy, Debug)]
struct PlacedAt {
    bracket: Bracket,
    point: Option<Point>,
}

/// How a replica that has `applied` so much relates to its master, whose current history ends at
/// `newest`.
fn relation(
    comparison: Comparison,
    applied: ReplicationOffset,
    newest: Option<ReplicationOffset>,
) -> Relation {
    match comparison {
        Comparison::Current if newest.is_some_and(|newest| applied > newest) => Relation::Ahead,
        Comparison::Current | Comparison::Closed(_) => Relation::Comparable,
        _ => Relation::NotComparable(comparison),
    }
}

/// When the master had certainly passed all that the replica can have applied.
fn passed_at_most(
    position: &Position,
    comparison: Comparison,
    bracket: Bracket,
    history: &MasterHistory,
) -> Option<Timestamp> {
    let most = position.at_most?;
    if most == position.applied {
        return bracket.hi;
    }
    history.bracket(comparison, most).hi
}

/// What a replica that hides its offset can have applied at most; and when its link was lost, if it
/// may have applied anything after it last showed its offset. `reported` is when the link was lost
/// by the replica's own whole seconds.
///
/// An offset that it showed when the link was down already is final. Otherwise it may have applied
/// what the master had when the link went down.
fn applied_until_lost(
    known: &Located,
    reported: Option<Timestamp>,
    received: Timestamp,
    history: &MasterHistory,
) -> (Option<ReplicationOffset>, Option<LinkLoss>) {
    let before = &known.position;
    let down_by = reported.map(|since| since + WHOLE_SECONDS);
    let at_most = match (down_by, before.at_most) {
        (None, _) => None,
        (Some(by), _) if by <= before.shown => Some(before.applied),
        // The same outage: no reason to judge it again.
        (Some(by), Some(most)) if by <= before.sent => Some(most),
        (Some(by), _) => history.reached(by),
    };
    if at_most == Some(before.applied) {
        return (at_most, None);
    }
    let down_after = reported.map(|since| since - WHOLE_SECONDS);
    let lost = LinkLoss {
        after: down_after.map_or(before.shown, |after| after.max(before.shown)),
        before: down_by.map_or(received, |by| by.min(received)),
        lag: known.at_sample.estimate.unwrap_or_default(),
    };
    let is_same_outage = down_after.is_none_or(|after| after <= before.sent);
    let lost = match before.lost {
        Some(earlier) if is_same_outage => earlier.intersect(lost),
        _ => lost,
    };
    (at_most, Some(lost))
}
