//! What is saved of a pair, so that it survives a restart of the exporter.
//!
//! Nothing of it is shown as fresh: the relation of what is restored is [`Relation::Unseen`] until
//! the master has answered, and its instants show how old it is.

use super::located::{LinkLoss, Position};
use super::usual::UsualLag;
use super::{Located, PairTracker, Relation};
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
    /// When its link was lost, while it hides its offset.
    pub lost: Option<LinkLossRecord>,
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
    /// How many of them also had the same received offset.
    pub same_received: u32,
}

/// When a link was lost, and the lag then. The likeliest instant of a replica that hides its offset
/// is computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLossRecord {
    /// Not before this.
    pub after: Timestamp,
    /// Not after this.
    pub before: Timestamp,
    /// The lag.
    pub lag: Span,
}

/// What is saved of one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairRecord {
    /// The last position that could be located.
    pub located: Option<LocatedRecord>,
    /// The last certified upper bounds.
    pub last_known: Option<LastKnown>,
    /// Stream bytes that the replica applied.
    pub applied_total: Option<u64>,
    /// Up to where they were counted.
    pub counted_to: Option<(ReplicationId, ReplicationOffset)>,
    /// Whether a full sync was seen since then: what it brings did not come through the stream.
    pub resynced: bool,
    /// The lag that the link usually shows, and its standard deviation.
    pub usual: Option<(Span, Span)>,
    /// Since when the replica has not answered.
    pub silent_since: Option<Timestamp>,
    /// Whether some answer of the master had a line that certainly is the replica's.
    pub ack_seen: bool,
    /// Whether the master synced some replica since this one last answered.
    pub synced_since: bool,
    /// The syncs that the direct master counted at its last answer, full and partial.
    pub syncs: [Option<u64>; 2],
}

impl PairTracker {
    /// What must survive a restart. The silence of the replica in this process is recorded by
    /// the caller, from the server's facts.
    pub fn record(&self) -> PairRecord {
        let silent_since = match self.facts.relation {
            Relation::Restored => self.facts.silent_before,
            _ => None,
        };
        let mut resynced = self.resynced;
        for position in &self.pending {
            resynced |= position.resynced;
        }
        PairRecord {
            located: self.facts.located.as_ref().map(Located::record),
            last_known: self.facts.last_known,
            applied_total: self.facts.applied_total,
            counted_to: self.counted_to.clone(),
            resynced,
            usual: Some(self.usual.parts()),
            silent_since,
            ack_seen: self.facts.ack.seen,
            synced_since: self.facts.ack.synced_since,
            syncs: self.syncs,
        }
    }

    /// Restores what was saved. The position is dropped unless it still is in the restored
    /// `history` of the master, and of the generation in which it was located.
    pub fn restore(&mut self, record: PairRecord, history: Option<&MasterHistory>) {
        self.facts.last_known = record.last_known;
        self.facts.applied_total = record.applied_total;
        self.counted_to = record.counted_to;
        self.resynced = record.resynced;
        self.facts.located = None;
        self.generation = 0;
        if let Some(history) = history {
            self.facts.located = record.located.and_then(|saved| saved.restore(history));
            self.generation = history.generation();
        }
        self.usual = match record.usual {
            Some(parts) => UsualLag::from_parts(parts),
            None => UsualLag::default(),
        };
        self.facts.usual_lag = self.usual.lag();
        self.facts.silent_before = record.silent_since;
        self.facts.ack.seen = record.ack_seen;
        self.facts.ack.synced_since = record.synced_since;
        // A master whose counters differ in its next answer may have given this replica other data.
        self.syncs = record.syncs;
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
            lost: position.lost.map(LinkLoss::record),
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

impl LinkLoss {
    fn record(self) -> LinkLossRecord {
        LinkLossRecord {
            after: self.after,
            before: self.before,
            lag: self.lag,
        }
    }
}

impl LinkLossRecord {
    fn restore(self) -> LinkLoss {
        LinkLoss {
            after: self.after,
            before: self.before,
            lag: self.lag,
        }
    }
}

impl LocatedRecord {
    /// The position in the restored `history`; `None` where it is not in it any more.
    fn restore(self, history: &MasterHistory) -> Option<Located> {
        if self.generation != history.generation() {
            return None;
        }
        let comparison = history.compare(&self.replid, self.applied);
        if !matches!(comparison, Comparison::Current | Comparison::Closed(_)) {
            return None;
        }
        let bracket = history
            .bracket(comparison, self.applied)
            .intersect(self.bracket);
        if let (Some(lo), Some(hi)) = (bracket.lo, bracket.hi)
            && lo > hi
        {
            return None;
        }
        Some(self.into_located(history, comparison, bracket))
    }

    fn into_located(
        self,
        history: &MasterHistory,
        comparison: Comparison,
        bracket: Bracket,
    ) -> Located {
        let position = Position {
            replid: self.replid,
            applied: self.applied,
            at_most: self.at_most,
            shown: self.shown,
            resynced: false,
            lost: self.lost.map(LinkLossRecord::restore),
            read: self.read,
            sent: self.sent,
            received: self.received,
            master_before: None,
            half_rtt: self.half_rtt,
        };
        let by_link_loss = position.lost.and_then(|lost| lost.point(bracket));
        let by_history = history.point(comparison, position.applied, bracket);
        Located {
            point: by_link_loss.or(by_history),
            position,
            comparison,
            generation: self.generation,
            bracket,
            at_sample: self.at_sample.ordered(),
            bytes: self.bytes,
            same_applied: self.same_applied,
            same_received: self.same_received,
            previous: None,
            is_usual: false,
            is_doubtful: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::ReplicaConnState;
    use crate::replication::testing::{Scene, down, millis};
    use crate::replication::{HistoryLimits, PairState, StateReason};

    /// A replica that has stood at 100 since the first second while its master wrote on for five.
    fn frozen() -> Scene {
        let mut scene = Scene::new();
        scene.round(0, 100, 100);
        for second in 1..=5_u32 {
            scene.round(i64::from(second) * 1000, 100 + 10 * u64::from(second), 100);
        }
        scene
    }

    /// The exporter is restarted with what it kept, changed by `change`.
    fn restarted(before: &Scene, change: impl FnOnce(&mut PairRecord)) -> Scene {
        let mut record = before.tracker.record();
        change(&mut record);
        let mut scene = Scene::new();
        let now = crate::replication::testing::at(60_000);
        scene.history =
            MasterHistory::restore(HistoryLimits::default(), before.history.record(), now).unwrap();
        scene.tracker.restore(record, Some(&scene.history));
        scene
    }

    #[test]
    fn nothing_restored_is_shown_before_the_master_has_answered() {
        let scene = restarted(&frozen(), |_| ());
        let seen = scene.assess(60_000);
        assert_eq!(
            (seen.lag, seen.bytes, seen.sampled_at),
            (LagInterval::UNKNOWN, LagBytes::UNKNOWN, None)
        );
        assert_eq!(
            (seen.state, seen.reason),
            (PairState::Unknown, StateReason::Starting)
        );
        assert!(seen.last_known.is_some());
    }

    #[test]
    fn a_restored_replica_counts_as_silent_until_it_answers() {
        let mut scene = restarted(&frozen(), |_| ());
        scene.master(60_000, 'a', 900);
        let seen = scene.assess(60_020);
        assert_eq!(scene.tracker.facts().relation, Relation::Restored);
        assert_eq!(
            (seen.stale, seen.reason.clone(), seen.lag.lower),
            (true, StateReason::Starting, Some(Span::ZERO))
        );
        assert!(
            seen.lag
                .upper
                .is_some_and(|upper| (millis(59_000)..=millis(60_020)).contains(&upper)),
            "{seen:?}"
        );
    }

    #[test]
    fn a_restored_bracket_that_an_answer_confirms_stays_as_tight() {
        let mut scene = restarted(&frozen(), |_| ());
        scene.round(60_000, 900, 100);
        let seen = scene.assess(60_060);
        assert!(!seen.stale && scene.tracker.facts().relation == Relation::Comparable);
        assert!(
            seen.lag.lower >= Some(millis(59_000)) && seen.lag.upper <= Some(millis(60_060)),
            "{seen:?}"
        );
    }

    #[test]
    fn a_restored_position_means_nothing_to_a_master_with_another_history() {
        let mut scene = restarted(&frozen(), |_| ());
        scene
            .master(60_000, 'b', 900)
            .master(61_000, 'c', 10)
            .master(62_000, 'd', 10)
            .master(63_000, 'e', 10);
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
        assert_eq!(
            restarted(&frozen(), impossible).tracker.facts().located,
            None
        );
        let mut without_history = PairTracker::new(millis(1000));
        without_history.restore(frozen().tracker.record(), None);
        assert!(
            without_history.facts().located.is_none()
                && without_history.facts().last_known.is_some()
        );
    }

    #[test]
    fn a_replica_that_was_silent_before_stays_silent_since_then() {
        let mut before = frozen();
        before
            .acks(ReplicaConnState::Online, Some(100))
            .master(5100, 'a', 155);
        let mut scene = restarted(&before, |record| {
            record.silent_since = Some(crate::replication::testing::at(5_500));
        });
        scene
            .replica_fails(60_000)
            .master(60_010, 'a', 900)
            .replica_fails(61_000);
        let lag = scene.assess(61_020).lag;
        assert!(
            lag.estimate >= Some(millis(57_000)),
            "it has stood still for a minute and not for half of it: {lag:?}"
        );
    }

    #[test]
    fn a_master_that_counted_syncs_during_the_restart_leaves_no_bound_for_a_silent_replica() {
        let mut before = frozen();
        before
            .acks(ReplicaConnState::Online, Some(100))
            .master(5100, 'a', 155);
        let mut scene = restarted(&before, |record| record.syncs = [Some(1), Some(1)]);
        scene
            .replica_fails(60_000)
            .master(60_010, 'a', 900)
            .replica_fails(61_000);
        let lag = scene.assess(61_020).lag;
        assert_eq!((lag.lower, lag.upper), (Some(Span::ZERO), None));
        assert!(
            lag.estimate > Some(millis(59_000)),
            "what it had then is the newest that is known of: {lag:?}"
        );
    }

    #[test]
    fn the_usual_lag_survives_a_restart() {
        let record = PairRecord {
            usual: Some((millis(300), millis(4))),
            ..PairRecord::default()
        };
        let mut tracker = PairTracker::new(millis(1000));
        tracker.restore(record.clone(), None);
        assert_eq!(tracker.facts().usual_lag, millis(300));
        assert_eq!(tracker.record().usual, record.usual);
    }

    #[test]
    fn bytes_of_a_full_sync_are_not_counted_after_a_restart_either() {
        let mut scene = Scene::new();
        scene
            .round(0, 100, 100)
            .round(1000, 150, 150)
            .reports(2000, 'a', down(1, 1), true);
        let mut scene = restarted(&scene, |_| ());
        scene.round(60_000, 900, 800).round(61_000, 900, 850);
        assert_eq!(scene.tracker.facts().applied_total, Some(100));
    }

    #[test]
    fn the_count_of_applied_bytes_continues_after_a_restart() {
        let mut scene = Scene::new();
        scene.round(0, 100, 100).round(1000, 150, 150);
        let mut scene = restarted(&scene, |_| ());
        assert_eq!(scene.tracker.facts().applied_total, Some(50));
        scene.round(60_000, 900, 400);
        assert_eq!(scene.tracker.facts().applied_total, Some(300));
    }
}
