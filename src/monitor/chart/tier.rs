//! Points of one length, as many as are kept.

use std::sync::Arc;

use super::point::ChartPoint;
use crate::model::{Span, Timestamp};

/// Points of one length. The last one is still open.
#[derive(Clone, Debug)]
pub struct ChartTier {
    step: Span,
    most: usize,
    phase: Span,
    /// The number of the open point; `None` before the first.
    number: Option<i64>,
    open: ChartPoint,
    /// Those before the open one, without a gap.
    closed: Arc<[ChartPoint]>,
}

impl ChartTier {
    /// Nothing yet.
    pub(super) fn new(step: Span, most: usize, phase: Span) -> Self {
        Self {
            step,
            most,
            phase,
            number: None,
            open: ChartPoint::NOTHING,
            closed: Arc::from([]),
        }
    }

    /// The same with these points, oldest first, of which the first begins where the step nearest
    /// to `begin` does. What is more than it keeps is left out, the oldest first.
    pub(super) fn with(&self, begin: Timestamp, points: &[ChartPoint]) -> Self {
        let mut tier = Self::new(self.step, self.most, self.phase);
        let Some((open, closed)) = points.split_last() else {
            return tier;
        };
        let first = self.number_at(begin + self.step.half());
        let number = first.saturating_add(i64::try_from(closed.len()).unwrap_or(i64::MAX));
        let left_out = closed.len().saturating_sub(self.most);
        tier.closed = closed.iter().skip(left_out).copied().collect();
        tier.number = Some(number);
        tier.open = *open;
        tier
    }

    /// How long a point is.
    pub const fn step(&self) -> Span {
        self.step
    }

    /// How far back the points reach once all are there.
    pub(super) fn reach(&self) -> Span {
        self.step.mul_f64(self.most as f64)
    }

    /// When each point began, oldest first, and what was true during it.
    pub fn points(&self) -> impl Iterator<Item = (Timestamp, ChartPoint)> {
        let all = self
            .closed
            .iter()
            .copied()
            .chain(self.number.map(|_| self.open));
        let first = self.number.unwrap_or(0) - i64::try_from(self.closed.len()).unwrap_or(i64::MAX);
        all.zip(first..)
            .map(|(point, number)| (self.begin(number), point))
    }

    /// Takes in what was true at or from `at` on. When that closes the open point, it is returned
    /// with its begin.
    pub(super) fn take_in(
        &mut self,
        point: ChartPoint,
        at: Timestamp,
    ) -> Option<(ChartPoint, Timestamp)> {
        let number = self.number_at(at);
        match self.number {
            Some(open) if number > open => {
                let closed = (self.open, self.begin(open));
                self.close(usize::try_from(number - open).unwrap_or(usize::MAX));
                (self.number, self.open) = (Some(number), point);
                Some(closed)
            }
            _ => {
                self.number.get_or_insert(number);
                self.open = self.open.and(point);
                None
            }
        }
    }

    /// Closes the open point, which is followed by as many that nobody looked during as make
    /// `steps` with it.
    fn close(&mut self, steps: usize) {
        let added = steps.min(self.most);
        // Of a long silence the last steps remain, and the open point is older than those.
        let new = std::iter::repeat_n(self.open, usize::from(steps <= self.most));
        let silence =
            std::iter::repeat_n(ChartPoint::NOTHING, added - usize::from(steps <= self.most));
        let kept = self.closed.len().min(self.most - added);
        let old = &self.closed[self.closed.len() - kept..];
        self.closed = old.iter().copied().chain(new).chain(silence).collect();
    }

    /// The same with what is open in a finer tier.
    pub(super) fn with_open(&self, finer: &Self) -> Self {
        let mut all = self.clone();
        if let Some(open) = finer.number {
            all.take_in(finer.open, finer.begin(open));
        }
        all
    }

    fn number_at(&self, at: Timestamp) -> i64 {
        (at + self.phase)
            .as_nanos()
            .div_euclid(self.step.as_nanos())
    }

    fn begin(&self, number: i64) -> Timestamp {
        Timestamp::from_nanos(number.saturating_mul(self.step.as_nanos())) - self.phase
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::tests::point;
    use super::*;
    use crate::replication::PairState;

    const STEP: Span = Span::from_secs(5);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(0) + Span::from_secs(secs)
    }

    fn streaming(millis: u64) -> ChartPoint {
        point(Some(millis), PairState::Streaming)
    }

    fn shown(tier: &ChartTier) -> Vec<(i64, Option<i64>)> {
        let secs = |at: Timestamp| at.as_nanos().div_euclid(1_000_000_000);
        let millis = |point: ChartPoint| point.lag_min().map(|lag| lag.as_nanos() / 1_000_000);
        tier.points()
            .map(|(begin, point)| (secs(begin), millis(point)))
            .collect()
    }

    #[test]
    fn a_point_closes_when_its_step_is_over() {
        let mut tier = ChartTier::new(STEP, 3, Span::ZERO);
        assert_eq!(shown(&tier), []);
        assert_eq!(tier.take_in(streaming(1), at(12)), None);
        assert_eq!(tier.take_in(streaming(2), at(14)), None);
        let closed = tier.take_in(streaming(3), at(15)).unwrap();
        assert_eq!(
            (closed.0, closed.1),
            (streaming(1).and(streaming(2)), at(10))
        );
        assert_eq!(shown(&tier), [(10, Some(1)), (15, Some(3))]);
    }

    #[test]
    fn a_silence_is_a_gap_and_a_long_one_all_that_is_left() {
        let mut tier = ChartTier::new(STEP, 3, Span::ZERO);
        tier.take_in(streaming(1), at(10));
        tier.take_in(streaming(2), at(25));
        assert_eq!(
            shown(&tier),
            [(10, Some(1)), (15, None), (20, None), (25, Some(2))]
        );
        tier.take_in(streaming(3), at(1000));
        assert_eq!(
            shown(&tier),
            [(985, None), (990, None), (995, None), (1000, Some(3))]
        );
    }

    #[test]
    fn a_phase_moves_the_steps_and_time_that_stands_still_or_goes_back_closes_nothing() {
        let mut tier = ChartTier::new(STEP, 3, Span::from_secs(2));
        tier.take_in(streaming(1), at(8));
        assert_eq!(tier.take_in(streaming(2), at(12)), None);
        assert_eq!(tier.take_in(streaming(3), at(7)), None);
        assert_eq!(shown(&tier), [(8, Some(1))]);
        assert!(tier.take_in(streaming(4), at(13)).is_some());
    }
}
