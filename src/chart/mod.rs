//! The charts of a pair: a bounded history of its lag and state in memory, finer for what is
//! recent.

mod compact;
mod point;
mod saved;
mod tier;

use std::sync::Arc;

pub use point::ChartPoint;
pub use saved::MAX_DOCUMENT;
pub use tier::ChartTier;

use crate::model::{Span, Timestamp};
use crate::replication::{Assessment, PairState};

/// The finest tier's step.
const FINEST_STEP: Span = Span::from_secs(5);

/// The steps of the tiers and how many of each are kept: 15 minutes, 2 hours, 24 hours.
///
/// Together 588 points of 12 bytes: 7 KB a pair, 70 MB for 10000 pairs that are watched for a day.
const TIERS: [(Span, usize); 3] = [
    (FINEST_STEP, 180),
    (Span::from_secs(60), 120),
    (Span::from_secs(300), 288),
];

/// How many changes of state are kept of a pair: almost one a minute for an hour. A pair that flaps
/// faster shows it in the points.
const MAX_CHANGES: usize = 50;

/// The charts of one pair. A clone is cheap: it shares the past.
#[derive(Clone, Debug)]
pub struct PairChart {
    tiers: [ChartTier; 3],
    /// Oldest first.
    changes: Arc<[PastState]>,
}

/// A state that a pair entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastState {
    /// When it entered the state.
    pub at: Timestamp,
    /// The state.
    pub state: PairState,
    /// The reason, as a sentence.
    pub reason: Arc<str>,
}

impl PairChart {
    /// An empty chart. Steps begin `phase` before multiples of their length, so that the charts of
    /// a fleet do not all close their steps in the same tick.
    pub fn new(phase: Span) -> Self {
        Self {
            tiers: TIERS.map(|(step, capacity)| ChartTier::new(step, capacity, phase)),
            changes: Arc::from([]),
        }
    }

    /// The step of the finest tier. The phases of charts differ within it.
    pub const fn finest_step() -> Span {
        FINEST_STEP
    }

    /// When the point that is open at `now` closes. Steps of coarser tiers end with one of the
    /// finest.
    pub fn closes_at(&self, now: Timestamp) -> Timestamp {
        let [finest, ..] = &self.tiers;
        finest.end_of_step(now)
    }

    /// Adds the assessment at `now`.
    pub fn record(&mut self, assessment: &Assessment, now: Timestamp) {
        self.add(ChartPoint::from_assessment(assessment), now);
    }

    /// Adds that the pair entered a state, unless it was in that state already.
    pub fn record_state(&mut self, entered: PastState) {
        if self.last_state() == Some(entered.state) {
            return;
        }
        let too_many = self.changes.len().saturating_sub(MAX_CHANGES - 1);
        let mut changes = self.changes.to_vec();
        changes.drain(..too_many);
        changes.push(entered);
        self.changes = changes.into();
    }

    /// Adds that nothing was observed from `at` on: the state is unknown, for this reason.
    pub fn record_absence(&mut self, at: Timestamp, reason: &str) {
        if self.last_state().is_none() {
            return;
        }
        self.record_state(PastState {
            at,
            state: PairState::Unknown,
            reason: reason.into(),
        });
    }

    /// The state that the pair entered last.
    pub fn last_state(&self) -> Option<PairState> {
        let last = self.changes.last()?;
        Some(last.state)
    }

    /// Adds a point to the finest tier. A point that this closes is added to the next tier, at the
    /// instant at which it began.
    fn add(&mut self, mut point: ChartPoint, mut at: Timestamp) {
        for tier in &mut self.tiers {
            let Some((closed, began)) = tier.add(point, at) else {
                return;
            };
            point = closed;
            at = began;
        }
    }

    /// The finest tier that reaches back to `since`; the coarsest, where none does.
    pub fn tier(&self, since: Timestamp, now: Timestamp) -> ChartTier {
        let [fine, middle, coarse] = &self.tiers;
        let age = now - since;
        if age <= fine.reach() {
            return fine.clone();
        }
        // What is still open in a finer tier belongs to the coarser ones as well.
        let middle = middle.with_open_of(fine);
        if age <= middle.reach() {
            return middle;
        }
        coarse.with_open_of(&middle)
    }

    /// The most recent changes of state, oldest first.
    pub fn changes(&self) -> &[PastState] {
        &self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::point::tests::point;
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(0) + Span::from_millis(millis)
    }

    /// A chart with a lag of `lag(second)` milliseconds ten times a second.
    fn filled(seconds: i64, lag: impl Fn(i64) -> u64) -> PairChart {
        let mut chart = PairChart::new(Span::ZERO);
        for tick in 0..seconds * 10 {
            chart.add(
                point(Some(lag(tick / 10)), PairState::Streaming),
                at(tick * 100),
            );
        }
        chart
    }

    #[test]
    fn the_finest_tier_that_reaches_back_answers() {
        let chart = filled(60, |_| 1);
        let now = at(60_000);
        for (ago, step) in [
            (0, 5),
            (900, 5),
            (901, 60),
            (7200, 60),
            (7201, 300),
            (1_000_000, 300),
        ] {
            assert_eq!(
                chart.tier(now - Span::from_secs(ago), now).step(),
                Span::from_secs(step),
                "{ago}"
            );
        }
    }

    #[test]
    fn a_peak_of_one_second_is_visible_in_every_tier() {
        let chart = filled(1000, |second| if second == 431 { 9000 } else { 2 });
        let now = at(1_000_000);
        for ago in [900, 7200, 86400] {
            let tier = chart.tier(now - Span::from_secs(ago), now);
            let peak = tier
                .points()
                .filter_map(|(_, point)| point.lag_max())
                .max()
                .unwrap();
            assert!((9.0..9.01).contains(&peak.as_secs_f64()), "{ago}: {peak}");
            let from = at(431_000) - tier.step();
            let until = at(432_000);
            let peaks = tier
                .points()
                .filter(|(_, point)| point.lag_max() == Some(peak))
                .collect::<Vec<_>>();
            assert!(
                peaks.len() == 1 && peaks[0].0 > from && peaks[0].0 < until,
                "{peaks:?}"
            );
        }
    }

    #[test]
    fn every_tier_shows_the_present_and_forgets_what_is_too_old() {
        let day = 86_400 + 5_000;
        let chart = filled(day, i64::unsigned_abs);
        let now = at(day * 1000);
        for (ago, most) in [(900, 180), (7200, 120), (86_400, 288)] {
            let tier = chart.tier(now - Span::from_secs(ago), now);
            let points: Vec<_> = tier.points().collect();
            assert_eq!(points.len(), most + 1, "and the open one");
            let newest = points.last().unwrap().1.lag_max().unwrap().as_secs_f64();
            assert!((newest * 1000.0 - day as f64).abs() < 200.0, "{newest}");
            let steps = points
                .windows(2)
                .all(|pair| pair[1].0 - pair[0].0 == tier.step());
            assert!(steps && points[0].0 <= now - Span::from_secs(ago));
        }
    }

    #[test]
    fn the_memory_of_a_pair_is_bounded() {
        let bytes: usize = TIERS
            .iter()
            .map(|(_, most)| most * size_of::<ChartPoint>())
            .sum();
        assert_eq!(bytes, 7056);
        let mut chart = PairChart::new(Span::ZERO);
        for n in 0..1000 {
            let state = if n % 2 == 0 {
                PairState::Streaming
            } else {
                PairState::Stalled
            };
            chart.record_state(PastState {
                at: at(n),
                state,
                reason: "why".into(),
            });
        }
        assert_eq!(chart.changes().len(), MAX_CHANGES);
        assert_eq!(chart.changes().last().unwrap().at, at(999));
    }

    #[test]
    fn a_clone_does_not_change_with_the_original() {
        let mut chart = filled(100, |_| 1);
        let copy = chart.clone();
        let before: Vec<_> = copy.tier(at(0), at(100_000)).points().collect();
        chart.add(point(Some(5000), PairState::Stalled), at(200_000));
        assert_eq!(
            copy.tier(at(0), at(100_000)).points().collect::<Vec<_>>(),
            before
        );
    }
}
