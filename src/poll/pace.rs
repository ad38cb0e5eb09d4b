//! When the rounds of one replication tree begin. Pure.
//!
//! Rounds are planned from the plan, not from when they really began, so the rate does not drift. Exact periods would
//! lock in step with the 1 Hz timers of the servers themselves, so each period differs by a few percent.

use fastrand::Rng;

use crate::model::{Span, Timestamp};

/// How far a period may differ from the configured one, both ways.
pub(super) const DITHER: f64 = 0.03;

/// The beginnings of rounds.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    interval: Span,
    min_interval: Span,
    chance: Rng,
    /// When the next base round is due.
    base_due: Timestamp,
    /// When the next extra round would be due.
    extra_due: Timestamp,
    /// Extra rounds run until here.
    urgent_until: Timestamp,
    /// One extra round was asked for.
    refresh: bool,
    missed: u64,
}

impl Pace {
    /// The first round begins within one `interval` after `now`, at a place that `seed` chooses.
    pub(super) fn new(interval: Span, min_interval: Span, seed: u64, now: Timestamp) -> Self {
        let period = interval.as_nanos().max(1);
        let phase = i64::try_from(seed % period.unsigned_abs()).unwrap_or(0);
        let wait = Span::from_nanos((phase - now.as_nanos()).rem_euclid(period));
        Self {
            interval,
            min_interval,
            chance: Rng::with_seed(seed),
            base_due: now + wait,
            extra_due: now,
            urgent_until: Timestamp::default(),
            refresh: false,
            missed: 0,
        }
    }

    /// When the next round is due.
    pub(super) fn next(&self) -> Timestamp {
        if self.is_extra() { self.extra_due } else { self.base_due }
    }

    /// Whether the next round is one more than the base period asks for.
    pub(super) fn is_extra(&self) -> bool {
        (self.refresh || self.extra_due < self.urgent_until) && self.extra_due < self.base_due
    }

    /// Rounds that were skipped because their time had passed.
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// The next round begins at `now`: returns when it was planned. Whole periods that passed meanwhile (the process
    /// was suspended, or a round took longer) are skipped and counted, never made up for.
    pub(super) fn begin(&mut self, now: Timestamp) -> Timestamp {
        let period = if self.is_extra() { self.min_interval } else { self.interval }.as_nanos().max(1);
        let periods = (now - self.next()).or_zero().as_nanos() / period;
        let planned = self.next() + Span::from_nanos(periods.saturating_mul(period));
        self.missed = self.missed.saturating_add(periods.unsigned_abs());
        self.refresh = false;
        self.base_due = planned + self.dithered(self.interval);
        self.extra_due = planned + self.dithered(self.min_interval);
        planned
    }

    /// The next extra round does not run; the one after it is tried a period later.
    pub(super) fn put_off(&mut self, now: Timestamp) {
        self.refresh = false;
        self.extra_due = now + self.dithered(self.min_interval);
    }

    /// Rounds follow at the shorter period until `until`.
    pub(super) fn set_urgent(&mut self, until: Timestamp, now: Timestamp) {
        self.urgent_until = self.urgent_until.max(until);
        self.extra_due = self.extra_due.max(now);
    }

    /// The next round is to begin at once.
    pub(super) fn refresh(&mut self, now: Timestamp) {
        self.refresh = true;
        self.extra_due = now;
    }

    /// Changes the periods; the next round comes no later than the new ones allow.
    pub(super) fn set_intervals(&mut self, interval: Span, min_interval: Span, now: Timestamp) {
        self.interval = interval;
        self.min_interval = min_interval;
        self.base_due = self.base_due.min(now + interval);
        self.extra_due = self.extra_due.min(now + min_interval);
    }

    fn dithered(&mut self, period: Span) -> Span {
        period.mul_f64(1.0 - DITHER + 2.0 * DITHER * self.chance.f64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Span = Span::from_secs(1);
    const QUARTER: Span = Span::from_millis(250);

    fn at(millis: i64) -> Timestamp {
        Timestamp::default() + Span::from_millis(millis)
    }

    fn pace(seed: u64) -> Pace {
        Pace::new(SECOND, QUARTER, seed, at(0))
    }

    fn run(pace: &mut Pace, rounds: usize) -> Vec<Span> {
        (0..rounds)
            .map(|_| {
                let began = pace.begin(pace.next());
                pace.next() - began
            })
            .collect()
    }

    fn assert_within(periods: &[Span], nominal: Span) {
        let off = |period: &Span| (period.as_secs_f64() / nominal.as_secs_f64() - 1.0).abs();
        assert!(periods.iter().all(|p| off(p) <= DITHER + 1e-6), "{periods:?}");
    }

    proptest! {
        #[test]
        fn periods_are_dithered_within_bounds_and_right_on_average(seed: u64) {
            let mut pace = pace(seed);
            let periods = run(&mut pace, 1000);
            assert_within(&periods, SECOND);
            let mean = periods.iter().map(|p| p.as_secs_f64()).sum::<f64>() / 1000.0;
            // The mean of 1000 uniform draws of +-3 % is within 0.3 % but once in ten million times (5.5 sigma).
            prop_assert!((mean - 1.0).abs() < 0.003, "{}", mean);
            prop_assert!(periods.windows(2).any(|w| w[0] != w[1]));
            prop_assert_eq!(pace.missed(), 0);
        }

        #[test]
        fn the_phase_is_a_matter_of_the_seed_alone(seed: u64, start in 0_i64..10_000_000_000) {
            let now = Timestamp::from_nanos(start);
            let first = Pace::new(SECOND, QUARTER, seed, now).next();
            prop_assert!(first >= now && first - now < SECOND);
            let phase = i64::try_from(seed % 1_000_000_000).unwrap();
            prop_assert_eq!(first.as_nanos() % 1_000_000_000, phase);
        }
    }

    #[test]
    fn urgency_shortens_the_period_until_it_ends() {
        let mut pace = pace(0);
        let began = pace.begin(at(0));
        pace.set_urgent(at(2000), at(100));
        assert!(pace.is_extra() && pace.next() - began <= QUARTER.mul_f64(1.0 + DITHER));
        let mut urgent = 0;
        while pace.is_extra() {
            pace.begin(pace.next());
            urgent += 1;
        }
        assert!((7..=8).contains(&urgent), "2 s at 250 ms: {urgent}");
        assert_within(&run(&mut pace, 5), SECOND);
    }

    #[test]
    fn urgency_does_not_wait_for_the_first_base_round() {
        let half_an_hour = 1_800_000_000_000;
        let mut pace = Pace::new(Span::from_secs(3600), QUARTER, half_an_hour, at(0));
        assert_eq!(pace.next(), at(1_800_000));
        pace.set_urgent(at(9000), at(10));
        assert_eq!(pace.next(), at(10));
    }

    #[test]
    fn urgency_that_comes_late_in_a_period_starts_a_round_at_once_and_not_late() {
        let mut pace = pace(0);
        pace.begin(at(0));
        pace.set_urgent(at(9000), at(700));
        assert_eq!(pace.next(), at(700));
        assert_eq!(pace.begin(at(700)), at(700));
        assert_eq!(pace.missed(), 0);
    }

    #[test]
    fn an_extra_round_without_budget_is_put_off_and_the_base_round_is_not() {
        let mut pace = pace(0);
        pace.begin(at(0));
        pace.set_urgent(at(9000), at(0));
        let mut now = at(0);
        let mut refused = 0;
        while pace.is_extra() {
            now = pace.next();
            pace.put_off(now);
            refused += 1;
        }
        assert_eq!(refused, 4, "after 250, 500, 750 ms, and a little before the second");
        assert!(pace.next() - now < QUARTER && pace.next() >= at(970));
    }

    #[test]
    fn time_that_was_slept_through_is_skipped_and_counted() {
        let mut pace = pace(0);
        pace.begin(at(0));
        let due = pace.next();
        let woke = due + Span::from_millis(3_600_400);
        assert_eq!(woke - pace.begin(woke), Span::from_millis(400));
        assert_eq!(pace.missed(), 3600);
        assert!(pace.next() > woke, "nothing is made up for");
    }

    #[test]
    fn one_refresh_is_one_round() {
        let mut pace = pace(0);
        pace.begin(at(0));
        pace.refresh(at(300));
        assert!(pace.is_extra());
        assert_eq!(pace.begin(at(300)), at(300));
        assert!(!pace.is_extra() && pace.next() >= at(1270));
    }

    #[test]
    fn a_shorter_interval_takes_effect_at_once() {
        let mut pace = Pace::new(Span::from_secs(3600), SECOND, 0, at(0));
        pace.begin(at(0));
        pace.set_intervals(SECOND, QUARTER, at(10));
        assert_eq!(pace.next(), at(1010));
    }
}
