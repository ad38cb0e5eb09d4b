//! What is known of a pair that outlives its process.
//!
//! Nothing of it is shown as fresh: the relation of what is restored is [`Relation::Unseen`] until the master has
//! answered, and then it is as old as it says.

use super::located::Position;
use super::{Located, PairTracker};
use crate::model::{ReplicationId, ReplicationOffset, Span, Timestamp};
use crate::replication::epochs::{Comparison, MasterHistory};
use crate::replication::history::Bracket;
use crate::replication::lag::{LagBytes, LagInterval};
use crate::replication::pair::LastKnown;

/// A located position as plain state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedRecord {
    /// The history that the replica names.
    pub replid: ReplicationId,
    /// What it had applied.
    pub applied: ReplicationOffset,
    /// It certainly had not applied more than this.
    pub at_most: Option<ReplicationOffset>,
    /// What it had received.
    pub read: ReplicationOffset,
    /// When the poll was sent whose answer showed `applied`.
    pub shown: Timestamp,
    /// When the last poll was sent.
    pub sent: Timestamp,
    /// When it was answered.
    pub received: Timestamp,
    /// Half the smallest round trip then.
    pub half_rtt: Span,
    /// See [`MasterHistory::generation`].
    pub generation: u64,
    /// Holds the instant at which the master went beyond the position.
    pub bracket: Bracket,
    /// The lag when the replica answered.
    pub at_sample: LagInterval,
    /// The bytes it lacked then.
    pub bytes: LagBytes,
    /// Polls in a row with this applied offset.
    pub same_applied: u32,
    /// Those of them with the same received offset, too.
    pub same_received: u32,
}

/// What is kept of one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairRecord {
    /// The last position that could be located.
    pub located: Option<LocatedRecord>,
    /// The last certified statement.
    pub last_known: Option<LastKnown>,
    /// Stream bytes that the replica applied.
    pub applied_total: Option<u64>,
    /// Up to where they were counted.
    pub counted_to: Option<(ReplicationId, ReplicationOffset)>,
}

impl PairTracker {
    /// What a restart must not forget.
    pub fn record(&self) -> PairRecord {
        PairRecord {
            located: self.facts.located.as_ref().map(Located::record),
            last_known: self.facts.last_known,
            applied_total: self.facts.applied_total,
            counted_to: self.counted_to.clone(),
        }
    }

    /// Takes in what was kept. The position counts only as far as the restored `history` of the master still knows it:
    /// in the generation in which it was located.
    pub fn restore(&mut self, record: PairRecord, history: Option<&MasterHistory>) {
        self.facts.last_known = record.last_known;
        self.facts.applied_total = record.applied_total;
        self.counted_to = record.counted_to;
        self.facts.located = record.located.zip(history).and_then(|(located, history)| located.restore(history));
        self.generation = history.map_or(0, MasterHistory::generation);
    }
}

impl Located {
    fn record(&self) -> LocatedRecord {
        let position = self.position.clone();
        LocatedRecord {
            replid: position.replid,
            applied: position.applied,
            at_most: position.at_most,
            read: position.read,
            shown: position.shown,
            sent: position.sent,
            received: position.received,
            half_rtt: position.half_rtt,
            generation: self.generation,
            bracket: self.bracket,
            at_sample: self.at_sample,
            bytes: self.bytes,
            same_applied: self.same_applied,
            same_received: self.same_received,
        }
    }
}

impl LocatedRecord {
    fn restore(self, history: &MasterHistory) -> Option<Located> {
        let comparison = history.compare(&self.replid, self.applied);
        let placed = matches!(comparison, Comparison::Current | Comparison::Closed(_));
        if !placed || self.generation != history.generation() {
            return None;
        }
        let bracket = history.bracket(comparison, self.applied).intersect(self.bracket);
        if bracket.lo.zip(bracket.hi).is_some_and(|(lo, hi)| lo > hi) {
            return None;
        }
        let position = Position {
            replid: self.replid,
            applied: self.applied,
            at_most: self.at_most,
            shown: self.shown,
            read: self.read,
            sent: self.sent,
            received: self.received,
            master_before: None,
            half_rtt: self.half_rtt,
        };
        Some(Located {
            point: history.point(comparison, position.applied, bracket),
            position,
            comparison,
            generation: self.generation,
            bracket,
            at_sample: self.at_sample.ordered(),
            bytes: self.bytes,
            same_applied: self.same_applied,
            same_received: self.same_received,
            previous: None,
        })
    }
}
