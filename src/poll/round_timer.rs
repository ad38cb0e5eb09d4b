//! When the rounds of one replication tree begin. Pure.
//!
//! Rounds are planned from the plan, not from when they really began, so the rate does not drift.
//! Exact periods would lock in step with the 1 Hz timers of the servers themselves, so each period
//! differs by a few percent. Rounds begin at a [`super::beat`], so that trees whose rounds are
//! due within the same few milliseconds begin them together.

use fastrand::Rng;

use super::beat;
use crate::model::{Span, Timestamp};

/// By how much a period may differ from the configured one, in both directions.
pub(super) const DITHER: f64 = 0.03;

/// The configured periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// The period of base rounds.
    pub base: Span,
    /// The period of boost rounds, as far as the budget allows.
    pub boosted: Span,
}

/// Why a round runs, which decides which servers are polled in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The base period has passed. All servers are polled, replicas after their replica delay.
    Base,
    /// A refresh was requested. All servers are polled at once.
    Refresh,
    /// Some servers are boosted. Only they and the roots are polled.
    Boost,
    /// Midway between two base rounds, if no server is boosted. The replicas that answer are
    /// polled, then the roots once: writes in between are dated twice as finely, and the ACKs of
    /// the replicas are seen.
    HalfInterval,
}

/// When the next round of each kind begins.
#[derive(Clone, Debug)]
pub(super) struct RoundTimer {
    intervals: Intervals,
    /// Whether there are half-interval rounds at all.
    half_interval_rounds: bool,
    /// The factor by which the budget lengthens the period of boost rounds; at least 1.
    stretch: f64,
    rng: Rng,
    base_due: Timestamp,
    /// When the next boost round is due, if it begins before `boosted_until`.
    boost_due: Timestamp,
    boosted_until: Timestamp,
    /// When one more boost round is due.
    extra_due: Option<Timestamp>,
    /// Since when a refresh has been requested.
    refresh_due: Option<Timestamp>,
    /// When the half-interval round after this base round is due; `None` once another round has
    /// made it needless.
    half_interval_due: Option<Timestamp>,
    missed: u64,
}

impl RoundTimer {
    /// The first round begins within one base period after `now`, at a point that `seed` chooses.
    pub(super) fn new(
        intervals: Intervals,
        half_interval_rounds: bool,
        seed: u64,
        now: Timestamp,
    ) -> Self {
        let period = intervals.base.as_nanos().max(1);
        let phase = i64::try_from(seed % period.unsigned_abs()).unwrap_or(0);
        let wait = Span::from_nanos((phase - now.as_nanos()).rem_euclid(period));
        Self {
            intervals,
            half_interval_rounds,
            stretch: 1.0,
            rng: Rng::with_seed(seed),
            base_due: beat::at_or_after_in(now + wait, intervals.base),
            boost_due: now,
            boosted_until: Timestamp::default(),
            extra_due: None,
            refresh_due: None,
            half_interval_due: None,
            missed: 0,
        }
    }

    /// When the next round is due.
    pub(super) fn next(&self) -> Timestamp {
        let others = [self.refresh_due, self.next_boost(), self.half_interval_due];
        let others = others.into_iter().flatten();
        others.fold(self.base_due, Timestamp::min)
    }

    /// The round that is due at `now`; `None` if none is.
    pub(super) fn due(&self, now: Timestamp) -> Option<Round> {
        let has_come = |due: Option<Timestamp>| due.is_some_and(|at| at <= now);
        if self.base_due <= now {
            Some(Round::Base)
        } else if has_come(self.refresh_due) {
            Some(Round::Refresh)
        } else if has_come(self.next_boost()) {
            Some(Round::Boost)
        } else if has_come(self.half_interval_due) {
            Some(Round::HalfInterval)
        } else {
            None
        }
    }

    /// Whether a refresh was requested and has not begun.
    pub(super) fn wants_refresh(&self) -> bool {
        self.refresh_due.is_some()
    }

    /// Rounds that were skipped because their time had passed.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Begins the `round` that is due at `now`; returns when it was planned. Whole periods that
    /// have passed (the process was suspended, or a round took longer) are skipped and counted,
    /// never made up for.
    pub(super) fn begin(&mut self, round: Round, now: Timestamp) -> Timestamp {
        let planned = match round {
            Round::Base => self.skip_missed(self.base_due, self.intervals.base, now),
            Round::Boost => match self.extra_due.take() {
                Some(planned) => return planned, // the other rounds keep their times
                None => self.skip_missed(self.boost_due, self.boost_period(), now),
            },
            Round::Refresh => self.refresh_due.unwrap_or(now),
            Round::HalfInterval => self.half_interval_due.unwrap_or(now),
        };
        self.half_interval_due = None;
        self.extra_due = None;
        if round == Round::Base {
            let base = self.intervals.base;
            self.base_due = beat::nearest(planned + self.dithered(base), base);
            if self.half_interval_rounds {
                self.half_interval_due = Some(beat::nearest(planned + base.half(), base));
            }
        }
        if matches!(round, Round::Base | Round::Refresh) {
            self.refresh_due = None;
        }
        if round != Round::HalfInterval {
            let period = self.boost_period();
            self.boost_due = beat::nearest(planned + self.dithered(period), period);
        }
        planned
    }

    /// Cancels the `round` that is due. A boost round is tried again a period later.
    pub(super) fn put_off(&mut self, round: Round, now: Timestamp) {
        match round {
            Round::Base => {}
            Round::Refresh => self.refresh_due = None,
            Round::Boost if self.extra_due.is_some() => self.extra_due = None,
            Round::Boost => self.boost_due = now + self.dithered(self.boost_period()),
            Round::HalfInterval => self.half_interval_due = None,
        }
    }

    /// Adds boost rounds until `until`.
    pub(super) fn boost(&mut self, until: Timestamp, now: Timestamp) {
        self.boosted_until = self.boosted_until.max(until);
        self.boost_due = self.boost_due.max(now);
    }

    /// Adds one boost round at once, if there are any. The others keep their times: they observe
    /// what this one comes too early for.
    pub(super) fn add_boost_round(&mut self, now: Timestamp) {
        if self.next_boost().is_some() {
            self.extra_due = Some(now);
        }
    }

    /// Multiplies the period of boost rounds by `factor`. There are none at the base period.
    pub(super) fn set_stretch(&mut self, factor: f64) {
        self.stretch = factor.max(1.0);
    }

    /// Requests a round that polls all servers at once.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        self.refresh_due.get_or_insert(now);
    }

    /// Requests a round that polls all servers before the first base round, after `part` of the
    /// wait for that one. A part of 1 is the base round itself.
    pub(super) fn poll_early(&mut self, part: f64, now: Timestamp) {
        let wait = (self.base_due - now).or_zero();
        let first = now + wait.mul_f64(part.clamp(0.0, 1.0));
        self.refresh_due = (first < self.base_due).then_some(first);
    }

    /// Changes the periods; the next round begins no later than the new ones allow. If the base
    /// period becomes longer, so does the wait for the next base round: the rounds of many trees
    /// are spread over the whole of the new period then, too.
    pub(super) fn set_intervals(&mut self, intervals: Intervals, now: Timestamp) {
        let longer = intervals.base.as_secs_f64() / self.intervals.base.as_secs_f64().max(1e-9);
        let wait = (self.base_due - now).or_zero().mul_f64(longer.max(1.0));
        self.intervals = intervals;
        self.base_due = now + wait.min(intervals.base);
        self.half_interval_due = self.half_interval_due.filter(|at| *at < self.base_due);
        self.boost_due = self.boost_due.min(now + intervals.boosted);
    }

    /// When the next boost round is due, if there is one. One just before a base round would show
    /// nothing new.
    fn next_boost(&self) -> Option<Timestamp> {
        if self.extra_due.is_some() {
            return self.extra_due;
        }
        let is_useful = self.boost_due + self.boost_period().half() < self.base_due;
        (self.boost_due < self.boosted_until && is_useful).then_some(self.boost_due)
    }

    fn boost_period(&self) -> Span {
        let stretched = self.intervals.boosted.mul_f64(self.stretch);
        stretched.min(self.intervals.base)
    }

    /// The last of the instants `due`, `due + period`, ... up to `now`.
    fn skip_missed(&mut self, due: Timestamp, period: Span, now: Timestamp) -> Timestamp {
        let period = period.as_nanos().max(1);
        let periods = (now - due).or_zero().as_nanos() / period;
        self.missed = self.missed.saturating_add(periods.unsigned_abs());
        due + Span::from_nanos(periods.saturating_mul(period))
    }

    fn dithered(&mut self, period: Span) -> Span {
        period.mul_f64(1.0 - DITHER + 2.0 * DITHER * self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Span = Span::from_secs(1);
    const QUARTER: Span = Span::from_millis(250);
    const INTERVALS: Intervals = Intervals {
        base: SECOND,
        boosted: QUARTER,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::default() + Span::from_millis(millis)
    }

    fn timer(seed: u64) -> RoundTimer {
        RoundTimer::new(INTERVALS, true, seed, at(0))
    }

    /// Begins the next round when it is due.
    fn step(timer: &mut RoundTimer) -> (Round, Timestamp) {
        let now = timer.next();
        let round = timer.due(now).expect("what is due");
        (round, timer.begin(round, now))
    }

    /// The rounds that begin before `end`.
    fn run_until(timer: &mut RoundTimer, end: Timestamp) -> Vec<(Round, Timestamp)> {
        let mut rounds = Vec::new();
        while timer.next() < end {
            rounds.push(step(timer));
        }
        rounds
    }

    fn periods(rounds: &[(Round, Timestamp)], of: Round) -> Vec<Span> {
        let begun: Vec<_> = rounds
            .iter()
            .filter(|(round, _)| *round == of)
            .map(|(_, at)| *at)
            .collect();
        begun.windows(2).map(|w| w[1] - w[0]).collect()
    }

    fn count(rounds: &[(Round, Timestamp)], of: Round) -> usize {
        rounds.iter().filter(|(round, _)| *round == of).count()
    }

    fn assert_within(periods: &[Span], nominal: Span) {
        let off = |period: &Span| (period.as_secs_f64() / nominal.as_secs_f64() - 1.0).abs();
        let to_beat = beat::LENGTH.half().as_secs_f64() / nominal.as_secs_f64();
        let longest = DITHER + to_beat + 1e-6;
        assert!(periods.iter().all(|p| off(p) <= longest), "{periods:?}");
    }

    proptest! {
        #[test]
        fn periods_are_dithered_within_bounds_and_right_on_average(seed: u64) {
            let mut timer = timer(seed);
            let rounds: Vec<_> = (0..2001).map(|_| step(&mut timer)).collect();
            let half_interval_rounds: Vec<_> = rounds.chunks_exact(2).map(|pair| (pair[1].0, pair[1].1 - pair[0].1)).collect();
            prop_assert!(half_interval_rounds.iter().all(|(round, _)| *round == Round::HalfInterval));
            assert_within(&half_interval_rounds.into_iter().map(|(_, after)| after).collect::<Vec<_>>(), SECOND.half());
            let periods = periods(&rounds, Round::Base);
            assert_within(&periods, SECOND);
            let mean = periods.iter().map(|p| p.as_secs_f64()).sum::<f64>() / 1000.0;
            // The mean of 1000 uniform draws of +-3 % is within 0.3 % but once in ten million times
            // (5.5 sigma).
            prop_assert!((mean - 1.0).abs() < 0.003, "{}", mean);
            prop_assert!(periods.windows(2).any(|w| w[0] != w[1]));
            prop_assert_eq!(timer.missed(), 0);
        }

        #[test]
        fn the_phase_is_a_matter_of_the_seed_alone(seed: u64, start in 0_i64..10_000_000_000) {
            let now = Timestamp::from_nanos(start);
            let first = RoundTimer::new(INTERVALS, true, seed, now).next();
            prop_assert!(first >= now && first - now < SECOND + beat::LENGTH);
            let phase = i64::try_from(seed % 1_000_000_000).unwrap();
            let phase = beat::at_or_after(Timestamp::from_nanos(phase)).as_nanos();
            prop_assert_eq!(first.as_nanos() % 1_000_000_000, phase % 1_000_000_000);
        }

        /// Whatever else is requested, all servers are polled each base period.
        #[test]
        fn base_rounds_keep_their_period(seed: u64, stretch in 1.0_f64..6.0, refreshes in proptest::collection::vec(0_i64..60_000, 0..50)) {
            let mut timer = timer(seed);
            timer.boost(at(60_000), at(0));
            timer.set_stretch(stretch);
            let mut rounds = Vec::new();
            let mut refreshes = refreshes;
            refreshes.sort_unstable();
            for refresh in refreshes {
                rounds.extend(run_until(&mut timer, at(refresh)));
                timer.refresh(at(refresh));
            }
            rounds.extend(run_until(&mut timer, at(60_000)));
            assert_within(&periods(&rounds, Round::Base), SECOND);
            prop_assert!(count(&rounds, Round::Base) >= 58);
        }
    }

    #[test]
    fn boosting_adds_rounds_between_the_base_rounds_until_it_ends() {
        let mut timer = timer(0);
        timer.boost(at(20_000), at(0));
        let rounds = run_until(&mut timer, at(20_000));
        assert!(
            (59..=61).contains(&count(&rounds, Round::Boost)),
            "three between two base rounds: {rounds:?}"
        );
        assert!(
            count(&rounds, Round::HalfInterval) <= 2,
            "before it took hold"
        );
        let gaps: Vec<_> = rounds.windows(2).map(|w| w[1].1 - w[0].1).collect();
        assert!(
            gaps.iter()
                .all(|gap| (Span::from_millis(200)..=Span::from_millis(300)).contains(gap)),
            "{gaps:?}"
        );
        assert_eq!(count(&run_until(&mut timer, at(40_000)), Round::Boost), 0);
    }

    #[test]
    fn a_short_budget_stretches_the_period_of_boost_rounds_and_of_no_other() {
        for (stretch, expected) in [
            (1.0, 60),
            (2.0, 20),
            (3.9, 0),
            (1e300, 0),
            (f64::INFINITY, 0),
        ] {
            let mut timer = timer(0);
            timer.set_stretch(stretch);
            timer.boost(at(20_000), at(0));
            let rounds = run_until(&mut timer, at(20_000));
            assert!(
                count(&rounds, Round::Boost).abs_diff(expected) <= 1,
                "{stretch}: {rounds:?}"
            );
            assert!(count(&rounds, Round::Base).abs_diff(20) <= 1, "{stretch}");
        }
    }

    #[test]
    fn a_boost_does_not_wait_for_the_first_base_round() {
        let half_an_hour = 1_800_000_000_000;
        let intervals = Intervals {
            base: Span::from_secs(3600),
            boosted: QUARTER,
        };
        let mut timer = RoundTimer::new(intervals, true, half_an_hour, at(0));
        assert_eq!(timer.next(), at(1_800_000));
        timer.boost(at(9000), at(10));
        assert_eq!(
            (timer.next(), timer.due(at(10))),
            (at(10), Some(Round::Boost))
        );
    }

    #[test]
    fn a_boost_late_in_a_period_starts_a_round_at_once_that_is_not_late() {
        let mut timer = timer(0);
        step(&mut timer);
        assert_eq!(step(&mut timer).0, Round::HalfInterval);
        timer.boost(at(9000), at(700));
        assert_eq!(step(&mut timer), (Round::Boost, at(700)));
        assert_eq!(timer.missed(), 0);
    }

    #[test]
    fn a_boost_round_without_budget_is_put_off_and_the_base_round_is_not() {
        let mut timer = timer(0);
        step(&mut timer);
        timer.boost(at(9000), at(0));
        let mut refused = Vec::new();
        while let Some(round @ (Round::Boost | Round::HalfInterval)) = timer.due(timer.next()) {
            timer.put_off(round, timer.next());
            refused.push(round);
        }
        refused.retain(|round| *round == Round::Boost);
        assert_eq!(refused.len(), 3, "after 250, 500 and 750 ms");
        assert!(timer.next() >= at(970) && timer.next() <= at(1030));
    }

    #[test]
    fn rounds_missed_while_suspended_are_skipped_and_counted() {
        let mut timer = timer(0);
        step(&mut timer);
        step(&mut timer);
        let due = timer.next();
        let woke = due + Span::from_millis(3_600_400);
        assert_eq!(
            woke - timer.begin(Round::Base, woke),
            Span::from_millis(400)
        );
        assert_eq!(timer.missed(), 3600);
        assert!(timer.next() > woke, "nothing is made up for");
    }

    #[test]
    fn a_refresh_adds_one_round_and_moves_no_other() {
        let mut timer = timer(0);
        step(&mut timer);
        let base = timer.base_due;
        timer.refresh(at(300));
        timer.refresh(at(301));
        assert!(timer.wants_refresh());
        assert_eq!(step(&mut timer), (Round::Refresh, at(300)));
        assert!(!timer.wants_refresh() && timer.next() == base);
        timer.refresh(at(400));
        timer.put_off(Round::Refresh, at(400));
        assert_eq!(timer.next(), base, "no budget, no refresh");
        timer.refresh(base);
        assert_eq!(
            step(&mut timer).0,
            Round::Base,
            "which polls all servers too"
        );
        assert!(!timer.wants_refresh());
    }

    #[test]
    fn an_added_boost_round_moves_no_other() {
        let mut timer = timer(0);
        step(&mut timer);
        timer.add_boost_round(at(40));
        assert_eq!(timer.due(at(40)), None, "no server is boosted");
        timer.boost(at(9000), at(50));
        let next = timer.next();
        timer.add_boost_round(at(60));
        assert_eq!(
            (step(&mut timer), timer.next()),
            ((Round::Boost, at(60)), next)
        );
        timer.add_boost_round(at(70));
        timer.put_off(Round::Boost, at(70));
        assert_eq!(timer.next(), next, "no budget for it");
        assert_eq!(timer.missed(), 0);
    }

    #[test]
    fn an_early_round_comes_before_the_first_base_round_and_does_not_move_it() {
        for (part, first) in [(0.0, Some(0)), (0.1, Some(80)), (1.0, None)] {
            let mut timer = timer(800_000_000);
            timer.poll_early(part, at(0));
            let rounds = run_until(&mut timer, at(1000));
            let expected: Vec<_> = first
                .map(|millis| (Round::Refresh, at(millis)))
                .into_iter()
                .collect();
            assert_eq!(
                rounds,
                [expected, vec![(Round::Base, at(800))]].concat(),
                "{part}"
            );
        }
    }

    #[test]
    fn rounds_are_spread_over_the_whole_of_a_longer_interval() {
        let longer = Intervals {
            base: SECOND.mul_f64(3.0),
            boosted: QUARTER,
        };
        for wait in [0, 100, 500, 990] {
            let mut timer = timer(0);
            timer.base_due = at(wait);
            timer.set_intervals(longer, at(0));
            let off = timer.base_due.max(at(3 * wait)) - timer.base_due.min(at(3 * wait));
            assert!(off < Span::from_millis(1), "{wait}: off by {off}");
        }
    }

    #[test]
    fn a_shorter_interval_takes_effect_at_once() {
        let mut timer = RoundTimer::new(
            Intervals {
                base: Span::from_secs(3600),
                boosted: SECOND,
            },
            true,
            0,
            at(0),
        );
        step(&mut timer);
        timer.set_intervals(INTERVALS, at(10));
        assert_eq!(
            (timer.next(), timer.due(at(1010))),
            (at(1010), Some(Round::Base))
        );
    }
}
