//! One tier of a chart: a bounded number of points of the same length.

use std::sync::Arc;

use super::point::ChartPoint;
use crate::model::{Span, Timestamp};

/// Points of one length. The last one is still open.
#[derive(Clone, Debug)]
pub struct ChartTier {
    step: Span,
    /// How many closed points are kept.
    capacity: usize,
    phase: Span,
    /// The number of the open point, counted in steps since the clock's zero; `None` before the
    /// first.
    open_number: Option<i64>,
    open: ChartPoint,
    /// The points before the open one, without a gap.
    closed: Arc<[ChartPoint]>,
}

impl ChartTier {
    /// An empty tier.
    pub(super) fn new(step: Span, capacity: usize, phase: Span) -> Self {
        Self {
            step,
            capacity,
            phase,
            open_number: None,
            open: ChartPoint::UNOBSERVED,
            closed: Arc::from([]),
        }
    }

    /// A tier of the same shape that holds these points, oldest first. The first one takes the step
    /// that begins nearest to `begin`. The oldest points are dropped if there are too many.
    pub(super) fn with_points(&self, begin: Timestamp, points: &[ChartPoint]) -> Self {
        let mut tier = Self::new(self.step, self.capacity, self.phase);
        let Some((open, closed)) = points.split_last() else {
            return tier;
        };
        let first = self.number_at(begin + self.step.half());
        let too_many = closed.len().saturating_sub(self.capacity);
        tier.closed = closed.get(too_many..).unwrap_or_default().into();
        tier.open_number = Some(first.saturating_add(step_count(closed)));
        tier.open = *open;
        tier
    }

    /// How long a step is.
    pub const fn step(&self) -> Span {
        self.step
    }

    /// How far back the points reach when the tier is full.
    pub(super) fn reach(&self) -> Span {
        self.step.mul_f64(self.capacity as f64)
    }

    /// The points, oldest first and the open one last, each with the beginning of its step.
    pub fn points(&self) -> impl Iterator<Item = (Timestamp, ChartPoint)> {
        let numbers = self
            .open_number
            .map(|open| open - step_count(&self.closed)..=open);
        let all = self.closed.iter().copied().chain([self.open]);
        let numbered = numbers.into_iter().flatten().zip(all);
        numbered.map(|(number, point)| (self.begin_of(number), point))
    }

    /// Adds what was true at `at`, or during a finer step that began then. Returns the open point
    /// and its beginning if that closes it. Time that goes back closes nothing.
    pub(super) fn add(
        &mut self,
        point: ChartPoint,
        at: Timestamp,
    ) -> Option<(ChartPoint, Timestamp)> {
        let number = self.number_at(at);
        let open_number = *self.open_number.get_or_insert(number);
        if number <= open_number {
            self.open = self.open.merge(point);
            return None;
        }
        let closed = (self.open, self.begin_of(open_number));
        let steps = usize::try_from(number - open_number).unwrap_or(usize::MAX);
        self.close(steps);
        self.open_number = Some(number);
        self.open = point;
        Some(closed)
    }

    /// Closes the open point and adds unobserved ones after it, `steps` points together.
    fn close(&mut self, steps: usize) {
        if steps > self.capacity {
            // After a long absence only unobserved points remain: the open one is too old.
            self.closed = vec![ChartPoint::UNOBSERVED; self.capacity].into();
            return;
        }
        let length = self.closed.len() + steps;
        let too_many = length.saturating_sub(self.capacity);
        let mut closed = Vec::with_capacity(length - too_many);
        closed.extend_from_slice(self.closed.get(too_many..).unwrap_or_default());
        closed.push(self.open);
        closed.resize(length - too_many, ChartPoint::UNOBSERVED);
        self.closed = closed.into();
    }

    /// When the step that `at` is in ends.
    pub(super) fn end_of_step(&self, at: Timestamp) -> Timestamp {
        self.begin_of(self.number_at(at).saturating_add(1))
    }

    /// A clone to which the open point of a finer tier is added.
    pub(super) fn with_open_of(&self, finer: &Self) -> Self {
        let mut all = self.clone();
        if let Some(number) = finer.open_number {
            all.add(finer.open, finer.begin_of(number));
        }
        all
    }

    /// The number of the step that `at` is in.
    fn number_at(&self, at: Timestamp) -> i64 {
        (at + self.phase)
            .as_nanos()
            .div_euclid(self.step.as_nanos())
    }

    /// When the step with this number begins.
    fn begin_of(&self, number: i64) -> Timestamp {
        Timestamp::from_nanos(number.saturating_mul(self.step.as_nanos())) - self.phase
    }
}

/// How many steps these points cover.
fn step_count(points: &[ChartPoint]) -> i64 {
    i64::try_from(points.len()).unwrap_or(i64::MAX)
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
        assert_eq!(tier.add(streaming(1), at(12)), None);
        assert_eq!(tier.add(streaming(2), at(14)), None);
        let closed = tier.add(streaming(3), at(15)).unwrap();
        assert_eq!(
            (closed.0, closed.1),
            (streaming(1).merge(streaming(2)), at(10))
        );
        assert_eq!(shown(&tier), [(10, Some(1)), (15, Some(3))]);
    }

    #[test]
    fn an_absence_is_a_gap_and_a_long_one_leaves_nothing_else() {
        let mut tier = ChartTier::new(STEP, 3, Span::ZERO);
        tier.add(streaming(1), at(10));
        tier.add(streaming(2), at(25));
        assert_eq!(
            shown(&tier),
            [(10, Some(1)), (15, None), (20, None), (25, Some(2))]
        );
        tier.add(streaming(3), at(1000));
        assert_eq!(
            shown(&tier),
            [(985, None), (990, None), (995, None), (1000, Some(3))]
        );
    }

    #[test]
    fn a_phase_moves_the_steps_and_time_that_does_not_move_on_closes_nothing() {
        let mut tier = ChartTier::new(STEP, 3, Span::from_secs(2));
        tier.add(streaming(1), at(8));
        assert_eq!(tier.add(streaming(2), at(12)), None);
        assert_eq!(tier.add(streaming(3), at(7)), None);
        assert_eq!(shown(&tier), [(8, Some(1))]);
        assert!(tier.add(streaming(4), at(13)).is_some());
    }
}
