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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::testing::{Scene, millis};
    use crate::replication::{HistoryLimits, PairState, Relation, StateReason};

    /// A replica that has stood at 100 since the first second while its master wrote on for five.
    fn frozen() -> Scene {
        let mut scene = Scene::new();
        scene.round(0, 100, 100);
        for second in 1..=5_u32 {
            scene.round(i64::from(second) * 1000, 100 + 10 * u64::from(second), 100);
        }
        scene
    }

    /// The exporter is started anew with what it kept, changed by `change`.
    fn restarted(before: &Scene, change: impl FnOnce(&mut PairRecord)) -> Scene {
        let mut record = before.tracker.record();
        change(&mut record);
        let mut scene = Scene::new();
        let now = crate::replication::testing::at(60_000);
        scene.history = MasterHistory::restore(HistoryLimits::default(), before.history.record(), now).unwrap();
        scene.tracker.restore(record, Some(&scene.history));
        scene
    }

    #[test]
    fn nothing_is_shown_before_the_master_has_answered() {
        let scene = restarted(&frozen(), |_| ());
        let seen = scene.assess(60_000);
        assert_eq!((seen.lag, seen.bytes, seen.sampled_at), (LagInterval::UNKNOWN, LagBytes::UNKNOWN, None));
        assert_eq!((seen.state, seen.reason), (PairState::Unknown, StateReason::Starting));
        assert!(seen.last_known.is_some());
    }

    #[test]
    fn before_the_replica_has_answered_it_counts_as_silent() {
        let mut scene = restarted(&frozen(), |_| ());
        scene.master(60_000, 'a', 900);
        let seen = scene.assess(60_020);
        assert_eq!(scene.tracker.facts().relation, Relation::Restored);
        assert_eq!((seen.stale, seen.reason, seen.lag.lower), (true, StateReason::Starting, Some(Span::ZERO)));
        assert!(seen.lag.upper.is_some_and(|upper| (millis(59_000)..=millis(60_020)).contains(&upper)), "{seen:?}");
    }

    #[test]
    fn what_its_answer_confirms_is_as_certain_as_it_was() {
        let mut scene = restarted(&frozen(), |_| ());
        scene.round(60_000, 900, 100);
        let seen = scene.assess(60_060);
        assert!(!seen.stale && scene.tracker.facts().relation == Relation::Comparable);
        assert!(seen.lag.lower >= Some(millis(59_000)) && seen.lag.upper <= Some(millis(60_060)), "{seen:?}");
    }

    #[test]
    fn a_master_with_another_history_leaves_the_kept_position_without_meaning() {
        let mut scene = restarted(&frozen(), |_| ());
        scene.master(60_000, 'b', 900).master(61_000, 'c', 10).master(62_000, 'd', 10).master(63_000, 'e', 10);
        assert_eq!(scene.tracker.facts().relation, Relation::Unseen);
        assert_eq!(scene.assess(63_020).lag, LagInterval::UNKNOWN);
    }

    /// Its bracket is of a history that was not kept, or not yet.
    #[test]
    fn a_position_of_another_generation_is_dropped() {
        let other = |record: &mut PairRecord| record.located.as_mut().unwrap().generation += 1;
        assert_eq!(restarted(&frozen(), other).tracker.facts().located, None);
        let impossible = |record: &mut PairRecord| {
            let bracket = &mut record.located.as_mut().unwrap().bracket;
            (bracket.lo, bracket.hi) = (bracket.hi, bracket.lo);
        };
        assert_eq!(restarted(&frozen(), impossible).tracker.facts().located, None);
        let mut without_history = PairTracker::new(millis(1000));
        without_history.restore(frozen().tracker.record(), None);
        assert!(without_history.facts().located.is_none() && without_history.facts().last_known.is_some());
    }

    #[test]
    fn bytes_are_counted_on() {
        let mut scene = Scene::new();
        scene.round(0, 100, 100).round(1000, 150, 150);
        let mut scene = restarted(&scene, |_| ());
        assert_eq!(scene.tracker.facts().applied_total, Some(50));
        scene.round(60_000, 900, 400);
        assert_eq!(scene.tracker.facts().applied_total, Some(300));
    }
}
