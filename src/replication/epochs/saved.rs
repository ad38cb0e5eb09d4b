//! A master's histories as plain state, so that they survive a restart of the exporter.

use std::collections::VecDeque;

use super::super::write_peaks::WritePeaks;
use super::{CLOSED_KEPT, Epoch, MasterHistory, ReportedIds};
use crate::model::{ReplicationId, ReplicationOffset, Timestamp};
use crate::replication::history::{Contradiction, HistoryLimits, OffsetHistory, Plateau};

/// One history as plain state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRecord {
    /// Its identity.
    pub replid: ReplicationId,
    /// The history it continued and the last shared offset.
    pub continues: Option<(ReplicationId, ReplicationOffset)>,
    /// Its table.
    pub plateaus: Vec<Plateau>,
}

/// Everything that is known of one master's stream as plain state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryRecord {
    /// See [`MasterHistory::generation`].
    pub generation: u64,
    /// The history that the master writes.
    pub current: Option<EpochRecord>,
    /// Those that have ended, the last one first.
    pub closed: Vec<EpochRecord>,
}

/// What was added to the current history since it was last saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaRecord {
    /// The generation in which it was added.
    pub generation: u64,
    /// The current history: its `plateaus` begin where the last ones ended, at their newest offset.
    pub current: EpochRecord,
}

impl Epoch {
    fn record(&self, from: ReplicationOffset) -> EpochRecord {
        let all = self.history.plateaus();
        let first = all.partition_point(|p| p.offset < from);
        let newer = all.get(first..).unwrap_or_default();
        EpochRecord {
            replid: self.replid.clone(),
            continues: self.continues.clone(),
            plateaus: newer.to_vec(),
        }
    }

    fn restore(
        limits: HistoryLimits,
        record: EpochRecord,
        now: Timestamp,
    ) -> Result<Self, Contradiction> {
        let history = OffsetHistory::restore(limits, record.plateaus, now)?;
        Ok(Self {
            replid: record.replid,
            continues: record.continues,
            history,
        })
    }
}

impl MasterHistory {
    /// Everything, as plain state.
    pub fn record(&self) -> HistoryRecord {
        let whole = |epoch: &Epoch| epoch.record(ReplicationOffset::default());
        HistoryRecord {
            generation: self.generation,
            current: self.current.as_ref().map(whole),
            closed: self.closed.iter().map(whole).collect(),
        }
    }

    /// How many records all tables have together.
    pub fn size(&self) -> usize {
        let mut records = 0;
        for epoch in self.epochs() {
            records += epoch.history.len();
        }
        records
    }

    /// The oldest and the newest record of the current table.
    pub fn ends(&self) -> Option<(Plateau, Plateau)> {
        let plateaus = self.current.as_ref()?.history.plateaus();
        Some((*plateaus.first()?, *plateaus.last()?))
    }

    /// What the current table holds from the offset `from` on.
    pub fn delta(&self, from: ReplicationOffset) -> Option<DeltaRecord> {
        let current = self.current.as_ref()?.record(from);
        Some(DeltaRecord {
            generation: self.generation,
            current,
        })
    }

    /// The stream that was saved as `record`. The next poll of the master shows whether it still is
    /// the same.
    ///
    /// # Errors
    /// The record contradicts itself.
    pub fn restore(
        limits: HistoryLimits,
        record: HistoryRecord,
        now: Timestamp,
    ) -> Result<Self, Contradiction> {
        let mut current = None;
        let mut reported = None;
        if let Some(record) = record.current {
            reported = Some(ReportedIds::new(&record.replid, record.continues.as_ref()));
            current = Some(Epoch::restore(limits, record, now)?);
        }
        let mut closed = VecDeque::new();
        for record in record.closed.into_iter().take(CLOSED_KEPT) {
            closed.push_back(Epoch::restore(limits, record, now)?);
        }
        Ok(Self {
            limits,
            current,
            closed,
            last_received: None,
            generation: record.generation,
            reported,
            peaks: WritePeaks::default(),
        })
    }

    /// Adds what was saved after the record that this was restored from. Returns whether it belongs
    /// to that record.
    ///
    /// # Errors
    /// It contradicts the record. What it was restored from must not be used either.
    pub fn extend(&mut self, delta: DeltaRecord, now: Timestamp) -> Result<bool, Contradiction> {
        let Some(epoch) = &mut self.current else {
            return Ok(false);
        };
        if epoch.replid != delta.current.replid || self.generation != delta.generation {
            return Ok(false);
        }
        epoch.continues = delta.current.continues;
        epoch.history.append(delta.current.plateaus, now)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, id, sample};
    use super::super::{Comparison, HistoryChange, MasterSample};
    use super::*;

    fn history(samples: &[MasterSample]) -> MasterHistory {
        let mut history = MasterHistory::new(HistoryLimits::default());
        for sample in samples {
            history.observe(sample);
        }
        history
    }

    fn restored(history: &MasterHistory) -> MasterHistory {
        MasterHistory::restore(HistoryLimits::default(), history.record(), at(100)).unwrap()
    }

    #[test]
    fn a_restored_history_continues_where_it_was() {
        let mut back = restored(&history(&[
            sample('a', 9, 0),
            sample('b', 100, 1),
            sample('b', 200, 2),
        ]));
        assert_eq!(
            back.observe(&sample('b', 300, 50)),
            HistoryChange::Continued
        );
        assert_eq!(
            back.bracket(Comparison::Current, ReplicationOffset::new(200))
                .hi,
            Some(at(50))
        );
        assert_eq!(
            back.compare(&id('a'), ReplicationOffset::new(9)),
            Comparison::Closed(0)
        );
    }

    #[test]
    fn the_next_poll_shows_whether_a_restored_history_still_is_the_current_one() {
        let before = history(&[sample('a', 100, 0), sample('a', 200, 1)]);
        assert_eq!(
            restored(&before).observe(&sample('a', 50, 50)),
            HistoryChange::Reset
        );
        assert_eq!(
            restored(&before).observe(&sample('c', 50, 50)),
            HistoryChange::Reset
        );
        let continued = Some((id('a'), ReplicationOffset::new(150)));
        let promoted = MasterSample {
            continues: continued,
            ..sample('c', 160, 50)
        };
        assert_eq!(
            restored(&before).observe(&promoted),
            HistoryChange::Promoted
        );
    }

    #[test]
    fn a_delta_is_added_only_to_the_history_that_it_came_from() {
        let mut live = history(&[sample('a', 100, 0), sample('a', 200, 1)]);
        let snapshot = live.record();
        live.observe(&sample('a', 300, 2));
        let delta = live.delta(ReplicationOffset::new(200)).unwrap();
        assert_eq!(delta.current.plateaus.len(), 2);
        let restore =
            || MasterHistory::restore(HistoryLimits::default(), snapshot.clone(), at(100)).unwrap();
        let mut back = restore();
        assert_eq!(back.extend(delta.clone(), at(100)), Ok(true));
        assert_eq!(back.newest(), Some(ReplicationOffset::new(300)));
        let of_another = DeltaRecord {
            generation: delta.generation + 1,
            ..delta.clone()
        };
        assert_eq!(restore().extend(of_another, at(100)), Ok(false));
        let foreign = DeltaRecord {
            current: EpochRecord {
                replid: id('f'),
                ..delta.current.clone()
            },
            ..delta
        };
        assert_eq!(restore().extend(foreign, at(100)), Ok(false));
    }
}
