//! The budget of polls a second for the whole exporter. Pure.
//!
//! Base rounds are planned to fit (see [`sustainable_interval`]) and always run. What is left pays
//! for extra rounds: when a datacenter is cut off, not all trees can speed up at once.
//!
//! Boost rounds share it fairly. Each tree reports its demand; if the demands together exceed what
//! is left, the boost period of every tree becomes longer by the same factor, so that small trees
//! do not starve a large one. The token bucket behind it enforces the limit in any second, with
//! refreshes included.

use crate::model::{Span, Timestamp};

/// A token bucket: one token is one poll, and it holds one second's worth.
#[derive(Clone, Debug)]
pub(super) struct PollBudget {
    per_second: f64,
    /// Polls a second that base rounds take.
    base: f64,
    /// Polls a second that all boosted trees together demand.
    demand: f64,
    /// May be negative: a debt.
    tokens: f64,
    refilled_at: Timestamp,
}

impl PollBudget {
    /// A full bucket for `per_second` polls a second.
    pub(super) fn new(per_second: u32, now: Timestamp) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            base: 0.0,
            demand: 0.0,
            tokens: per_second,
            refilled_at: now,
        }
    }

    /// Changes the budget, and how many polls a second base rounds take of it.
    pub(super) fn set_rate(&mut self, per_second: f64, base: f64) {
        self.per_second = per_second;
        self.base = base;
        self.tokens = self.tokens.min(self.per_second);
    }

    /// The part of the budget that base rounds take, in `[0, 1]`. As a part of the base period,
    /// this is also how long one round of all trees takes at the full rate.
    pub(super) fn share_of_base(&self) -> f64 {
        (self.base / self.per_second.max(1.0)).clamp(0.0, 1.0)
    }

    /// A tree's demand for boost rounds was `before` polls a second and is `after` now.
    pub(super) fn change_demand(&mut self, before: f64, after: f64) {
        self.demand = (self.demand + after - before).max(0.0);
    }

    /// The factor by which boost periods have to be longer so that all boosted trees together stay
    /// within what base rounds leave: 1 if they do anyway, infinite if nothing is left.
    pub(super) fn stretch(&self) -> f64 {
        let left = (self.per_second - self.base).max(0.0);
        if self.demand <= left {
            1.0
        } else {
            self.demand / left
        }
    }

    /// Takes `polls` for a base round, which always runs. A debt is paid back before the next extra
    /// round.
    pub(super) fn charge(&mut self, polls: usize, now: Timestamp) {
        self.refill(now);
        // A debt of more than a second's worth would only delay extra rounds for nothing.
        let least = (-self.per_second).min(self.tokens);
        self.tokens = (self.tokens - polls as f64).max(least);
    }

    /// Takes `polls` for an extra round, if any token is left; whether it did. A large round may
    /// leave a debt: it would never run otherwise.
    pub(super) fn try_take(&mut self, polls: usize, now: Timestamp) -> bool {
        self.refill(now);
        let may_take = self.tokens >= 1.0;
        if may_take {
            self.tokens -= polls as f64;
        }
        may_take
    }

    /// Takes `polls` if half of the budget stays unused; whether it did.
    pub(super) fn try_take_spare(&mut self, polls: usize, now: Timestamp) -> bool {
        self.refill(now);
        let left = self.tokens - polls as f64;
        let may_take = left >= self.per_second * 0.5;
        if may_take {
            self.tokens = left;
        }
        may_take
    }

    fn refill(&mut self, now: Timestamp) {
        let earned = (now - self.refilled_at).or_zero().as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.per_second);
        self.refilled_at = self.refilled_at.max(now);
    }
}

/// The interval at which base rounds of `polls_per_round` polls in all stay within `per_second`
/// polls a second: `interval`, or longer.
pub(super) fn sustainable_interval(
    interval: Span,
    polls_per_round: usize,
    per_second: u32,
) -> Span {
    let shortest = polls_per_round as f64 / f64::from(per_second.max(1));
    interval.max(Span::from_secs_f64(shortest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::default() + Span::from_millis(millis)
    }

    #[test]
    fn base_rounds_take_a_part_of_a_second() {
        for (per_second, base, share) in [
            (100, 0.0, 0.0),
            (100, 25.0, 0.25),
            (100, 100.0, 1.0),
            (0, 3.0, 1.0),
        ] {
            let mut budget = PollBudget::new(per_second, at(0));
            budget.set_rate(f64::from(per_second), base);
            assert!(
                (budget.share_of_base() - share).abs() < 1e-9,
                "{base} of {per_second}"
            );
        }
    }

    #[test]
    fn extra_rounds_stop_when_the_budget_is_spent_and_go_on_as_it_refills() {
        let mut budget = PollBudget::new(10, at(0));
        assert!(budget.try_take(10, at(0)));
        assert!(!budget.try_take(1, at(50)));
        assert!(budget.try_take(1, at(100)));
        assert!(
            budget.try_take(11, at(60_000)),
            "never more than a second's worth, so this is a debt"
        );
        assert!(!budget.try_take(1, at(60_100)));
        assert!(budget.try_take(1, at(60_200)));
    }

    #[test]
    fn a_large_round_runs_in_spite_of_small_ones_within_the_rate() {
        let mut budget = PollBudget::new(100, at(0));
        let (mut small, mut large, mut polls) = (0, 0, 0);
        for millis in (0..10_000).step_by(10) {
            let mut rounds = [(3, &mut small), (150, &mut large)];
            rounds.rotate_left(usize::from(millis % 20 == 0)); // they take turns in asking first
            for (size, count) in rounds {
                if budget.try_take(size, at(millis)) {
                    *count += 1;
                    polls += size;
                }
            }
        }
        assert!(large >= 3 && small >= 1, "{small} small, {large} large");
        assert!(
            polls <= 100 * 11 + 150,
            "{polls} polls in 10 s, with a full bucket"
        );
    }

    #[test]
    fn boosted_trees_share_what_base_rounds_leave() {
        let mut budget = PollBudget::new(100, at(0));
        budget.set_rate(100.0, 40.0);
        let check = |budget: &PollBudget, expected: f64| {
            assert!((budget.stretch() - expected).abs() < 1e-9);
        };
        budget.change_demand(0.0, 60.0);
        check(&budget, 1.0);
        budget.change_demand(0.0, 120.0);
        check(&budget, 3.0);
        budget.change_demand(60.0, 0.0);
        check(&budget, 2.0);
        budget.set_rate(100.0, 100.0);
        assert!(budget.stretch().is_infinite(), "nothing is left");
        budget.change_demand(120.0, 0.0);
        check(&budget, 1.0);
    }

    #[test]
    fn base_rounds_always_run_and_come_first() {
        let mut budget = PollBudget::new(10, at(0));
        for _ in 0..1000 {
            budget.charge(10, at(0));
        }
        assert!(!budget.try_take(1, at(1000)), "a debt is paid back first");
        assert!(
            budget.try_take(1, at(1200)),
            "and is never more than a second's worth"
        );
    }

    #[test]
    fn spare_polls_leave_half_of_the_budget() {
        let mut budget = PollBudget::new(10, at(0));
        let taken = (0..20).filter(|_| budget.try_take_spare(1, at(0))).count();
        assert_eq!(taken, 5);
        assert!(budget.try_take(5, at(0)));
        assert!(!budget.try_take_spare(1, at(500)) && budget.try_take_spare(1, at(600)));
    }

    #[test]
    fn a_clock_that_steps_back_earns_nothing() {
        let mut budget = PollBudget::new(10, at(5000));
        assert!(budget.try_take(10, at(5000)));
        assert!(!budget.try_take(1, at(0)));
        assert!(!budget.try_take(1, at(5000)));
    }

    #[test]
    fn a_fleet_that_is_too_big_for_its_budget_is_polled_more_slowly() {
        let second = Span::from_secs(1);
        assert_eq!(sustainable_interval(second, 30_000, 30_000), second);
        assert_eq!(
            sustainable_interval(second, 60_000, 30_000),
            Span::from_secs(2)
        );
        assert_eq!(sustainable_interval(second, 0, 0), second);
    }
}
