//! A stream's histories that outlive their process.

use super::{CLOSED_KEPT, Epoch, MasterHistory};
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
    /// Those that are over, the last one first.
    pub closed: Vec<EpochRecord>,
}

/// What has come to the current history since it was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaRecord {
    /// The generation in which it came.
    pub generation: u64,
    /// The current history: its `plateaus` begin where the last ones ended, at their newest offset.
    pub current: EpochRecord,
}

impl Epoch {
    fn record(&self, from: ReplicationOffset) -> EpochRecord {
        let all = self.history.plateaus();
        let first = all.partition_point(|p| p.offset < from);
        EpochRecord {
            replid: self.replid.clone(),
            continues: self.continues.clone(),
            plateaus: all.get(first..).unwrap_or_default().to_vec(),
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

    /// The records of all tables together.
    pub fn size(&self) -> usize {
        self.current
            .iter()
            .chain(&self.closed)
            .map(|epoch| epoch.history.len())
            .sum()
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

    /// The stream of which `record` was kept. The next poll of the master decides whether it still
    /// is the same.
    ///
    /// # Errors
    /// The record contradicts itself.
    pub fn restore(
        limits: HistoryLimits,
        record: HistoryRecord,
        now: Timestamp,
    ) -> Result<Self, Contradiction> {
        let epoch = |record| Epoch::restore(limits, record, now);
        let current = record.current.map(epoch).transpose()?;
        let closed = record
            .closed
            .into_iter()
            .take(CLOSED_KEPT)
            .map(epoch)
            .collect::<Result<_, _>>()?;
        let named = current.as_ref().map(|e| {
            (
                e.replid.clone(),
                e.continues.as_ref().map(|(id, _)| id.clone()),
            )
        });
        Ok(Self {
            limits,
            current,
            closed,
            last_received: None,
            generation: record.generation,
            named,
        })
    }

    /// Takes in what was kept after the record that this was restored from. Says whether it belongs
    /// to it.
    ///
    /// # Errors
    /// It contradicts the record. What it was restored from must not be used either.
    pub fn extend(&mut self, delta: DeltaRecord, now: Timestamp) -> Result<bool, Contradiction> {
        let same = |epoch: &&mut Epoch| {
            epoch.replid == delta.current.replid && delta.generation == self.generation
        };
        let Some(epoch) = self.current.as_mut().filter(same) else {
            return Ok(false);
        };
        epoch.continues = delta.current.continues;
        epoch.history.append(delta.current.plateaus, now)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, id, sample};
    use super::super::{Comparison, MasterNews, MasterSample};
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
    fn what_is_restored_goes_on_where_it_was() {
        let mut back = restored(&history(&[
            sample('a', 9, 0),
            sample('b', 100, 1),
            sample('b', 200, 2),
        ]));
        assert_eq!(back.observe(&sample('b', 300, 50)), MasterNews::Continued);
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
    fn the_next_poll_decides_whether_it_still_is_the_same_history() {
        let before = history(&[sample('a', 100, 0), sample('a', 200, 1)]);
        assert_eq!(
            restored(&before).observe(&sample('a', 50, 50)),
            MasterNews::Reset
        );
        assert_eq!(
            restored(&before).observe(&sample('c', 50, 50)),
            MasterNews::Reset
        );
        let continued = Some((id('a'), ReplicationOffset::new(150)));
        let promoted = MasterSample {
            continues: continued,
            ..sample('c', 160, 50)
        };
        assert_eq!(restored(&before).observe(&promoted), MasterNews::Promoted);
    }

    #[test]
    fn a_tail_goes_only_to_the_history_that_it_came_from() {
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
