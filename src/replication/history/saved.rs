//! A table as its plateaus, so that it survives a restart; its invariants are checked when it is
//! restored.

use super::{HistoryLimits, OffsetHistory, Plateau};
use crate::model::{ReplicationOffset, Timestamp};

/// The plateaus do not fit together: they are not of one history, or their times are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its offsets or times contradict each other")]
pub struct Contradiction;

impl OffsetHistory {
    /// The records, by rising offset.
    pub fn plateaus(&self) -> &[Plateau] {
        &self.plateaus
    }

    /// The table of these plateaus, by rising offset, as of `now`.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn restore(
        limits: HistoryLimits,
        plateaus: impl IntoIterator<Item = Plateau>,
        now: Timestamp,
    ) -> Result<Self, Contradiction> {
        let mut history = Self::new(limits);
        history.append(plateaus, now)?;
        Ok(history)
    }

    /// Adds plateaus that were recorded later than what the table holds, by rising offset. They
    /// replace the table's own from the first of their offsets on.
    ///
    /// Each plateau is a fact by itself, so any two of one history may be neighbours. Where their
    /// times were widened and overlap, the tighter end holds for both.
    ///
    /// # Errors
    /// They contradict each other or the table. The table must not be used any more then.
    pub fn append(
        &mut self,
        plateaus: impl IntoIterator<Item = Plateau>,
        now: Timestamp,
    ) -> Result<(), Contradiction> {
        let mut plateaus = plateaus.into_iter().peekable();
        if let Some(first) = plateaus.peek() {
            self.forget_from(first.offset);
        }
        for plateau in plateaus {
            self.push(plateau)?;
        }
        if !self.plateaus.is_empty() {
            self.thin(now);
        }
        Ok(())
    }

    fn forget_from(&mut self, offset: ReplicationOffset) {
        let keep = self.plateaus.partition_point(|p| p.offset < offset);
        self.plateaus.truncate(keep);
    }

    fn push(&mut self, mut plateau: Plateau) -> Result<(), Contradiction> {
        if let Some(last) = self.plateaus.last() {
            plateau.last_sent = plateau.last_sent.max(last.last_sent);
            if plateau.offset <= last.offset || plateau.first_seen < last.last_sent {
                return Err(Contradiction);
            }
        }
        // A master that was at a later offset was beyond the earlier ones, too.
        for earlier in self.plateaus.iter_mut().rev() {
            if earlier.first_seen <= plateau.first_seen {
                break;
            }
            earlier.first_seen = plateau.first_seen;
        }
        self.push_newest(plateau);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn plateau(offset: u64, first_seen: i64, last_sent: i64) -> Plateau {
        Plateau {
            offset: ReplicationOffset::new(offset),
            first_seen: at(first_seen),
            last_sent: at(last_sent),
        }
    }

    fn restored(plateaus: &[Plateau]) -> Result<OffsetHistory, Contradiction> {
        OffsetHistory::restore(
            HistoryLimits::default(),
            plateaus.iter().copied(),
            at(1_000_000),
        )
    }

    #[test]
    fn plateaus_that_contradict_each_other_are_refused() {
        let cases: [(&[Plateau], bool); 5] = [
            (&[], true),
            (&[plateau(1, 10, 0), plateau(2, 20, 15)], true),
            (&[plateau(2, 10, 0), plateau(2, 20, 15)], false),
            (&[plateau(2, 10, 0), plateau(1, 20, 15)], false),
            (&[plateau(1, 10, 100), plateau(2, 20, 15)], false),
        ];
        for (plateaus, fits) in cases {
            assert_eq!(restored(plateaus).is_ok(), fits, "{plateaus:?}");
        }
    }

    #[test]
    fn where_ends_overlap_the_tighter_one_holds() {
        let history = restored(&[
            plateau(1, 900, -400),
            plateau(2, 1300, -500),
            plateau(3, 800, 700),
        ])
        .unwrap();
        let bracket = history.bracket(ReplicationOffset::new(1));
        assert_eq!((bracket.lo, bracket.hi), (Some(at(-400)), Some(at(800))));
        assert_eq!(
            history.bracket(ReplicationOffset::new(2)).lo,
            Some(at(-400))
        );
    }

    #[test]
    fn appended_plateaus_replace_what_they_overlap() {
        let mut history = restored(&[plateau(1, 10, 0), plateau(5, 1010, 1000)]).unwrap();
        history
            .append([plateau(5, 1010, 5000), plateau(9, 6010, 6000)], at(7000))
            .unwrap();
        assert_eq!(
            history.bracket(ReplicationOffset::new(5)).lo,
            Some(at(5000))
        );
        assert_eq!(
            history.newest(),
            Some((ReplicationOffset::new(9), at(6000)))
        );
    }

    proptest! {
        /// A table that was saved and restored in pieces gives the brackets of one that stayed in
        /// memory, or wider ones.
        #[test]
        fn a_restored_table_agrees_with_the_one_that_was_saved(
            steps in proptest::collection::vec((1_i64..3000, 0_i64..200, 0_u64..1000), 2..300),
            cut in 0.0_f64..1.0,
        ) {
            let limits = HistoryLimits { capacity: 40, batch: 8, ..HistoryLimits::default() };
            let mut live = OffsetHistory::new(limits);
            let (mut now, mut m) = (0, 0);
            let mut saved: Option<(Vec<Plateau>, ReplicationOffset)> = None;
            let count = steps.len();
            for (i, (gap, takes, bytes)) in steps.into_iter().enumerate() {
                m += bytes;
                live.insert(at(now + gap), at(now + gap + takes), ReplicationOffset::new(m));
                now += gap + takes;
                if saved.is_none() && i as f64 >= count as f64 * cut {
                    saved = live.newest().map(|(newest, _)| (live.plateaus().to_vec(), newest));
                }
            }
            let Some((snapshot, newest)) = saved else { return Ok(()) };
            let delta: Vec<_> = live.plateaus().iter().copied().filter(|p| p.offset >= newest).collect();
            let mut back = OffsetHistory::restore(limits, snapshot, at(now)).unwrap();
            back.append(delta, at(now)).unwrap();
            prop_assert!(back.len() <= limits.capacity);
            prop_assert_eq!(back.newest(), live.newest());
            let grain = Span::from_millis(1);
            for r in (0..=m).step_by(97) {
                let (a, b) = (live.bracket(ReplicationOffset::new(r)), back.bracket(ReplicationOffset::new(r)));
                // Both hold the truth, so they always have an instant in common.
                let both = a.intersect(b);
                if let (Some(lo), Some(hi)) = (both.lo, both.hi) {
                    prop_assert!(lo <= hi + grain, "{a:?} {b:?}");
                }
            }
        }
    }
}
