//! How fast a replica that is behind catches up.

use super::trend::{APART, STALE_AFTER};
use crate::model::{Bytes, ReplicationOffset, Span, Timestamp};

/// How many positions are kept.
const KEPT: usize = 8;

/// With fewer positions since the replica was farthest behind, nothing is known.
const FEWEST: usize = 3;

/// A replica that is less far behind is not catching up: this is what a healthy link shows. Nothing
/// is kept of it.
pub(super) const BEHIND_FROM: Span = Span::from_secs(1);

/// The last positions of a replica that is behind, about a poll apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Drain {
    /// The oldest first; `None` comes before the positions that are there.
    positions: [Option<DrainPosition>; KEPT],
}

/// Where a replica was in its master's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DrainPosition {
    /// When it answered.
    pub(super) at: Timestamp,
    /// What it had applied.
    pub(super) applied: ReplicationOffset,
    /// What it lacked.
    pub(super) lacks: Bytes,
}

/// How fast a replica catches up since it was farthest behind, in bytes a second. Both are medians
/// of the slopes between every two positions, which chance moves less than any two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrainSpeed {
    /// What it applies.
    pub applies: f64,
    /// By how much less it lacks; above zero.
    pub shrinks: f64,
}

impl Drain {
    /// Records a position; the replica is polled each `interval`.
    pub(super) fn observe(&mut self, position: DrainPosition, interval: Span) {
        if let Some(last) = self.positions.last().copied().flatten() {
            let passed = position.at - last.at;
            if passed > interval.mul_f64(STALE_AFTER) || position.applied < last.applied {
                *self = Self::default();
            } else if passed < interval.mul_f64(APART) {
                return;
            }
        }
        self.positions.rotate_left(1);
        if let Some(newest) = self.positions.last_mut() {
            *newest = Some(position);
        }
    }

    /// Forgets every position.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How fast the replica comes closer; `None` where it does not, or that is not known yet.
    pub(super) fn speed(&self) -> Option<DrainSpeed> {
        let positions: Vec<_> = self.positions.iter().flatten().copied().collect();
        let farthest = positions.iter().map(|position| position.lacks).max()?;
        let turn = positions
            .iter()
            .rposition(|position| position.lacks == farthest)?;
        let (_, since) = positions.split_at(turn);
        if since.len() < FEWEST {
            return None;
        }
        let applies = median_slope(since, |position| position.applied.get() as f64)?;
        let grows = median_slope(since, |position| position.lacks.as_f64())?;
        (grows < 0.0).then_some(DrainSpeed {
            applies,
            shrinks: -grows,
        })
    }
}

/// The median of the slopes between every two positions, a second.
fn median_slope(positions: &[DrainPosition], value: impl Fn(&DrainPosition) -> f64) -> Option<f64> {
    let mut slopes = Vec::with_capacity(KEPT * KEPT / 2);
    for (index, before) in positions.iter().enumerate() {
        for after in positions.iter().skip(index + 1) {
            let passed = (after.at - before.at).as_secs_f64();
            if passed > 0.0 {
                slopes.push((value(after) - value(before)) / passed);
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span::from_secs(1);

    /// A replica with these missing bytes, one a second, whose master writes 10 bytes a second.
    fn drain(lacking: &[u64]) -> Drain {
        let mut drain = Drain::default();
        for (second, lacks) in (0_u64..).zip(lacking) {
            let position = DrainPosition {
                at: Timestamp::from_nanos(i64::try_from(second).unwrap() * 1_000_000_000),
                applied: ReplicationOffset::new(1000 + second * 10 - lacks),
                lacks: Bytes::new(*lacks),
            };
            drain.observe(position, SECOND);
        }
        drain
    }

    fn shrinks(lacking: &[u64]) -> Option<f64> {
        Some(drain(lacking).speed()?.shrinks)
    }

    #[test]
    fn a_replica_comes_closer_from_where_it_was_farthest_behind() {
        assert_eq!(shrinks(&[100, 500, 900, 800]), None, "two positions");
        assert_eq!(shrinks(&[100, 500, 900, 800, 700]), Some(100.0));
        let uneven = shrinks(&[900, 780, 700, 600, 490, 400]).unwrap();
        assert!((95.0..=105.0).contains(&uneven), "{uneven}");
        assert_eq!(shrinks(&[700, 800, 900]), None, "it falls behind");
        assert_eq!(shrinks(&[700, 700, 700]), None);
        assert_eq!(shrinks(&[]), None);
    }

    #[test]
    fn what_it_applies_is_what_it_comes_closer_and_what_is_written_meanwhile() {
        let speed = drain(&[900, 800, 700]).speed().unwrap();
        assert!(
            (speed.applies - speed.shrinks - 10.0).abs() < 1e-9,
            "{speed:?}"
        );
    }

    #[test]
    fn what_is_old_or_of_another_history_says_nothing() {
        let mut late = drain(&[900, 800, 700]);
        let position = |second: i64, applied: u64| DrainPosition {
            at: Timestamp::from_nanos(second * 1_000_000_000),
            applied: ReplicationOffset::new(applied),
            lacks: Bytes::new(600),
        };
        late.observe(position(20, 2000), SECOND);
        assert_eq!(late.speed(), None);
        let mut back = drain(&[900, 800, 700]);
        back.observe(position(3, 5), SECOND);
        assert_eq!(back.speed(), None);
        let mut close = drain(&[900, 800]);
        let soon = DrainPosition {
            at: Timestamp::from_nanos(1_100_000_000),
            ..position(1, 400)
        };
        close.observe(soon, SECOND);
        assert_eq!(close.speed(), None, "closer than polls are");
        close.clear();
        assert_eq!(close, Drain::default());
    }
}
