//! What the charts of a pair show: a bounded history in memory, finer for what is recent.

mod point;
mod rough;
mod saved;
mod tier;

use std::sync::Arc;

pub use point::ChartPoint;
pub(super) use saved::MAX_DOCUMENT;
pub use tier::ChartTier;

use crate::model::{Span, Timestamp};
use crate::replication::{Assessment, PairState};

/// The steps of the tiers and how many of each are kept: 15 minutes, 2 hours, 24 hours.
///
/// Together 588 points of 12 bytes: 7 KB a pair, 70 MB for 10000 pairs that are watched for a day.
const TIERS: [(Span, usize); 3] = [
    (Span::from_secs(5), 180),
    (Span::from_secs(60), 120),
    (Span::from_secs(300), 288),
];

/// Changes of its state that are kept of a pair: one a minute for an hour, nearly; what flaps
/// faster shows in the charts.
const MAX_CHANGES: usize = 50;

/// What the charts of one pair show. A copy is cheap: it shares what is past.
#[derive(Clone, Debug)]
pub struct PairChart {
    tiers: [ChartTier; 3],
    changes: Arc<[PastState]>,
}

/// A state that a pair came into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastState {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub state: PairState,
    /// Why, as a sentence.
    pub reason: Arc<str>,
}

impl PairChart {
    /// An empty chart. Steps begin `phase` before multiples of their length: what all pairs close
    /// at once costs the core a moment.
    pub fn new(phase: Span) -> Self {
        Self {
            tiers: TIERS.map(|(step, most)| ChartTier::new(step, most, phase)),
            changes: Arc::from([]),
        }
    }

    /// How long a step of the finest tier is: phases differ within it.
    pub const fn finest_step() -> Span {
        TIERS[0].0
    }

    /// Takes in what is true at `now`.
    pub fn note(&mut self, seen: &Assessment, now: Timestamp) {
        self.take_in(ChartPoint::of(seen), now);
    }

    /// Takes in that the pair is in a state, which is a change unless it was in it before.
    pub fn note_state(&mut self, now: PastState) {
        if self.last_state() == Some(now.state) {
            return;
        }
        let kept = self.changes.len().saturating_sub(MAX_CHANGES - 1);
        let past = self.changes.iter().skip(kept).cloned();
        self.changes = past.chain([now]).collect();
    }

    /// Takes in that nobody looked from `at` on.
    pub fn note_absence(&mut self, at: Timestamp, reason: &str) {
        if self.last_state().is_some() {
            self.note_state(PastState {
                at,
                state: PairState::Unknown,
                reason: reason.into(),
            });
        }
    }

    /// The state that it came into last.
    pub fn last_state(&self) -> Option<PairState> {
        self.changes.last().map(|change| change.state)
    }

    fn take_in(&mut self, point: ChartPoint, now: Timestamp) {
        let mut news = Some((point, now));
        for tier in &mut self.tiers {
            // What a tier closes is what the next one takes in, at the instant that it began.
            news = news.and_then(|(point, at)| tier.take_in(point, at));
        }
    }

    /// The finest tier that reaches back to `since`; the coarsest, where none does.
    pub fn tier(&self, since: Timestamp, now: Timestamp) -> ChartTier {
        let [fine, middle, coarse] = &self.tiers;
        // What is still open in a finer tier belongs to the coarser ones, too.
        let middle = middle.with_open(fine);
        let coarse = coarse.with_open(&middle);
        let reaches = |tier: &ChartTier| now - since <= tier.reach();
        [fine.clone(), middle]
            .into_iter()
            .find(reaches)
            .unwrap_or(coarse)
    }

    /// The last changes of the state, oldest first.
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

    /// A chart that was told a lag of `lag(second)` milliseconds ten times a second.
    fn told(seconds: i64, lag: impl Fn(i64) -> u64) -> PairChart {
        let mut chart = PairChart::new(Span::ZERO);
        for tick in 0..seconds * 10 {
            chart.take_in(
                point(Some(lag(tick / 10)), PairState::Streaming),
                at(tick * 100),
            );
        }
        chart
    }

    #[test]
    fn the_finest_tier_that_reaches_back_answers() {
        let (chart, now) = (told(60, |_| 1), at(60_000));
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
    fn a_peak_of_one_second_is_seen_in_every_tier() {
        let (chart, now) = (
            told(1000, |second| if second == 431 { 9000 } else { 2 }),
            at(1_000_000),
        );
        for ago in [900, 7200, 86400] {
            let tier = chart.tier(now - Span::from_secs(ago), now);
            let peak = tier
                .points()
                .filter_map(|(_, point)| point.lag_max())
                .max()
                .unwrap();
            assert!((9.0..9.01).contains(&peak.as_secs_f64()), "{ago}: {peak}");
            let (from, until) = (at(431_000) - tier.step(), at(432_000));
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
        let (chart, now) = (told(day, i64::unsigned_abs), at(day * 1000));
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
    fn what_a_pair_costs_is_bounded() {
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
            chart.note_state(PastState {
                at: at(n),
                state,
                reason: "why".into(),
            });
        }
        assert_eq!(chart.changes().len(), MAX_CHANGES);
        assert_eq!(chart.changes().last().unwrap().at, at(999));
    }

    #[test]
    fn a_copy_does_not_change_with_the_original() {
        let mut chart = told(100, |_| 1);
        let copy = chart.clone();
        let before: Vec<_> = copy.tier(at(0), at(100_000)).points().collect();
        chart.take_in(point(Some(5000), PairState::Stalled), at(200_000));
        assert_eq!(
            copy.tier(at(0), at(100_000)).points().collect::<Vec<_>>(),
            before
        );
    }
}
