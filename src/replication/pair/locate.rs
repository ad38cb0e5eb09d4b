//! Locates a replica: its answer becomes a [`Position`], and the position is placed in its master's
//! history.

use super::facts::{LastKnown, Relation};
use super::located::{LinkLoss, Located, Position, bytes_at_sample, lag_at_sample};
use super::{PairTracker, WHOLE_SECONDS};
use crate::info::{LinkStatus, UpstreamInfo};
use crate::model::{Bytes, ReplicationId, ReplicationOffset, Span, Timestamp};
use crate::replication::epochs::{Comparison, MasterHistory};
use crate::replication::history::{Bracket, Point};

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
    /// The replica's position by its answer; `None` where it never showed one.
    ///
    /// While it loads a full sync it shows no position, but serves nothing newer than its last one:
    /// that position continues to age, so that an alert keeps firing.
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
        let link = upstream.link.value();
        if applied <= NO_OFFSET && link == Some(LinkStatus::Down) {
            return self.hidden_position(upstream, poll, history);
        }
        if applied <= NO_OFFSET && link.is_none() {
            // An offset so small may mean that there is none.
            self.facts.relation = Relation::Incomplete;
            return None;
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

    /// The position of a replica that hides its offset: the last one that it showed, or further by
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
        let mut outage = Outage {
            reported: None,
            seen: poll.received,
        };
        if let Some(down_for) = upstream.link_down_since.value() {
            outage.reported = Some(poll.received - down_for);
        }
        let at_most = outage.applied_at_most(&known.position, history);
        let is_final = at_most == Some(known.position.applied);
        let lost = if is_final {
            None
        } else {
            Some(outage.link_loss(known))
        };
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
        self.facts.relation = relation(comparison, position.applied, newest);
        if self.facts.relation != Relation::Comparable {
            self.resynced |= position.resynced;
            return;
        }
        self.count(&position, history);
        position.limit_to_written(newest);
        let placed = self.place(&position, comparison, history);
        let at_sample = lag_at_sample(
            &position,
            comparison,
            placed.bracket,
            passed_at_most(&position, comparison, placed.bracket, history),
            placed.point.map(|point| point.at),
        );
        let bytes = bytes_at_sample(&position, newest.map(|newest| (newest, asked)));
        let mut located = Located {
            comparison,
            generation: history.generation(),
            bracket: placed.bracket,
            point: placed.point,
            at_sample,
            bytes,
            same_applied: 1,
            same_received: 1,
            previous: None,
            is_usual: false,
            is_doubtful: false,
            position,
        };
        self.certify(&located);
        let has_moved = self.compare_with_last(&mut located);
        if self.is_link_up() && self.facts.parent_down_since.is_none() && located.is_current() {
            self.judge(&mut located, has_moved);
        }
        self.facts.located = Some(located);
    }

    fn is_link_up(&self) -> bool {
        self.facts.link.status == Some(LinkStatus::Up)
    }

    /// The last located position, if it is in the history `replid`.
    fn last_in(&self, replid: &ReplicationId) -> Option<&Located> {
        let last = self.facts.located.as_ref()?;
        if last.position.replid != *replid {
            return None;
        }
        Some(last)
    }

    /// Adds to a new position how it continues the last one in the same history. Returns whether
    /// the applied offset has moved.
    fn compare_with_last(&self, located: &mut Located) -> bool {
        let Some(last) = self.last_in(&located.position.replid) else {
            return false;
        };
        if let Some(estimate) = last.at_sample.estimate {
            located.previous = Some((last.received(), estimate));
        }
        if last.applied() != located.applied() {
            return true;
        }
        located.same_applied = last.same_applied.saturating_add(1);
        if self.is_link_up() && last.position.read == located.position.read {
            located.same_received = last.same_received.saturating_add(1);
        }
        false
    }

    /// When the master passed the position. What was known of this position before stays known,
    /// even where the history has forgotten it meanwhile.
    fn place(
        &self,
        position: &Position,
        comparison: Comparison,
        history: &MasterHistory,
    ) -> PlacedAt {
        let mut bracket = history.bracket(comparison, position.applied);
        let mut known_point = None;
        if let Some(last) = self.last_in(&position.replid)
            && last.applied() == position.applied
            && last.generation == history.generation()
        {
            bracket = bracket.intersect(last.bracket);
            if bracket == last.bracket {
                known_point = last.point;
            }
        }
        let by_link_loss = position.lost.and_then(|lost| lost.point(bracket));
        let point = match by_link_loss.or(known_point) {
            Some(point) => Some(point),
            None => history.point(comparison, position.applied, bracket),
        };
        PlacedAt { bracket, point }
    }

    /// Remembers the upper bounds as the last certified ones. In a history that the master lost,
    /// the lag does not tell how much was lost.
    fn certify(&mut self, located: &Located) {
        if self.facts.loss.is_some() && !located.is_current() {
            return;
        }
        if let Some(upper) = located.at_sample.upper {
            self.facts.last_known = Some(LastKnown {
                upper,
                upper_bytes: located.bytes.upper,
                at: located.received(),
            });
        }
    }

    /// Compares the computed lag with what the link usually shows: while they agree, the usual lag
    /// is the better estimate. A PING on its way is no lag. For a link that is down, or a replica
    /// that certainly applies nothing, no lag is usual.
    fn judge(&mut self, located: &mut Located, has_moved: bool) {
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
        if has_moved {
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
            // The position is from before a restart of this program: the master's answer shows
            // whether it is still in its history.
            Relation::Restored | Relation::Unseen if is_placed => Relation::Restored,
            Relation::Restored | Relation::Unseen => Relation::Unseen,
            // As does the answer of a master that continues the history of one that is a replica
            // now.
            Relation::Comparable | Relation::MasterIsReplica { .. } if is_placed => {
                Relation::Comparable
            }
            Relation::Comparable | Relation::MasterIsReplica { .. } => {
                Relation::NotComparable(comparison)
            }
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

impl Position {
    /// Limits what a replica that hides its offset can have applied to what its master has written.
    fn limit_to_written(&mut self, newest: Option<ReplicationOffset>) {
        if self.at_most == Some(self.applied) {
            return; // it shows its offset
        }
        let most = |newest| self.at_most.unwrap_or(newest).max(self.applied);
        self.at_most = newest.map(most);
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

/// The loss of the link of a replica that hides its offset.
#[derive(Clone, Copy, Debug)]
struct Outage {
    /// When it began, by the replica's own count in whole seconds.
    reported: Option<Timestamp>,
    /// When an answer showed it.
    seen: Timestamp,
}

impl Outage {
    /// What the replica, whose last known position is `known`, can have applied at most before it
    /// lost its link; `None` while nothing bounds it.
    ///
    /// An offset that it showed when the link was down already is final. Otherwise it may have
    /// applied what the master had when the link went down.
    fn applied_at_most(
        &self,
        known: &Position,
        history: &MasterHistory,
    ) -> Option<ReplicationOffset> {
        let down_by = self.reported? + WHOLE_SECONDS;
        if down_by <= known.shown {
            return Some(known.applied);
        }
        if down_by <= known.sent && known.at_most.is_some() {
            return known.at_most; // the same outage was judged before
        }
        history.reached(down_by)
    }

    /// When the link was lost, by all that is known of this outage.
    fn link_loss(&self, known: &Located) -> LinkLoss {
        let before = &known.position;
        let mut lost = LinkLoss {
            after: before.shown,
            before: self.seen,
            lag: known.at_sample.estimate.unwrap_or_default(),
        };
        if let Some(reported) = self.reported {
            lost.after = lost.after.max(reported - WHOLE_SECONDS);
            lost.before = lost.before.min(reported + WHOLE_SECONDS);
        }
        match before.lost {
            Some(earlier) if self.may_have_begun_by(before.sent) => earlier.intersect(lost),
            _ => lost,
        }
    }

    /// Whether the link may have been down at the instant `at`.
    fn may_have_begun_by(&self, at: Timestamp) -> bool {
        match self.reported {
            Some(reported) => reported - WHOLE_SECONDS <= at,
            None => true,
        }
    }
}
