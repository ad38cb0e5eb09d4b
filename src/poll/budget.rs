//! The whole exporter's budget of polls a second. Pure.
//!
//! Base rounds are planned so that they fit (see [`sustainable_interval`]) and always run. What is
//! left pays for extra rounds: when a datacenter is cut, not everything may speed up at once.
//!
//! Boost rounds share it fairly: each tree says how much it would like, and when all together
//! would like more than is left, the boosted period of every tree becomes longer by the same factor,
//! so that a large tree does not starve beside small ones. The token bucket behind it holds the
//! limit in any second, refreshes included.

use crate::model::{Span, Timestamp};

/// A token bucket: one token a poll, one second's worth at most.
#[derive(Clone, Debug)]
pub(super) struct PollBudget {
    per_second: f64,
    /// What base rounds take of it.
    base: f64,
    /// Polls a second that all boosted trees together would like.
    demand: f64,
    tokens: f64,
    at: Timestamp,
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
            at: now,
        }
    }

    /// Changes the budget, and what base rounds take of it in polls a second.
    pub(super) fn set_rate(&mut self, per_second: u32, base: f64) {
        self.per_second = f64::from(per_second);
        self.base = base;
        self.tokens = self.tokens.min(self.per_second);
    }

    /// The part of a second's worth that base rounds take: how long one round of everybody takes at
    /// the full rate, as a part of the base period.
    pub(super) fn share_of_base(&self) -> f64 {
        (self.base / self.per_second.max(1.0)).clamp(0.0, 1.0)
    }

    /// A tree that would have liked `before` polls a second for boost rounds now would like
    /// `after`.
    pub(super) fn change_demand(&mut self, before: f64, after: f64) {
        self.demand = (self.demand + after - before).max(0.0);
    }

    /// The factor by which boosted periods have to be longer so that all boosted trees together stay
    /// within what base rounds leave: 1 when they do anyway, infinite when nothing is left.
    pub(super) fn stretch(&self) -> f64 {
        let left = (self.per_second - self.base).max(0.0);
        if self.demand <= left {
            1.0
        } else {
            self.demand / left
        }
    }

    /// Takes `polls` for a base round, which runs in any case; a debt is paid back before the next
    /// extra round.
    pub(super) fn charge(&mut self, polls: usize, now: Timestamp) {
        self.refill(now);
        // A debt of more than a second's worth would only keep extra rounds away for longer, to no
        // use.
        let least = (-self.per_second).min(self.tokens);
        self.tokens = (self.tokens - polls as f64).max(least);
    }

    /// Takes `polls` for an extra round, if any are left. A large round may go into debt: it would
    /// never run else.
    pub(super) fn try_take(&mut self, polls: usize, now: Timestamp) -> bool {
        self.refill(now);
        let left = self.tokens >= 1.0;
        if left {
            self.tokens -= polls as f64;
        }
        left
    }

    /// Takes `polls` for what is only worth them while half of the budget lies idle.
    pub(super) fn try_take_spare(&mut self, polls: usize, now: Timestamp) -> bool {
        self.refill(now);
        let spare = self.tokens - polls as f64 >= self.per_second * 0.5;
        if spare {
            self.tokens -= polls as f64;
        }
        spare
    }

    fn refill(&mut self, now: Timestamp) {
        let earned = (now - self.at).or_zero().as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.per_second);
        self.at = self.at.max(now);
    }
}

/// The interval at which base rounds of `polls_per_round` polls in all stay within `per_second`
/// polls a second: the configured one, or longer.
pub(super) fn sustainable_interval(
    interval: Span,
    polls_per_round: usize,
    per_second: u32,
) -> Span {
    interval.max(Span::from_secs_f64(
        polls_per_round as f64 / f64::from(per_second.max(1)),
    ))
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
            budget.set_rate(per_second, base);
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
    fn a_large_round_runs_beside_small_ones_and_the_rate_holds() {
        let mut budget = PollBudget::new(100, at(0));
        let (mut small, mut large, mut polls) = (0, 0, 0);
        for millis in (0..10_000).step_by(10) {
            let mut rounds = [(3, &mut small), (150, &mut large)];
            rounds.rotate_left(usize::from(millis % 20 == 0)); // now the one, now the other asks first
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
        budget.set_rate(100, 40.0);
        let check = |budget: &PollBudget, expected: f64| {
            assert!((budget.stretch() - expected).abs() < 1e-9);
        };
        budget.change_demand(0.0, 60.0);
        check(&budget, 1.0);
        budget.change_demand(0.0, 120.0);
        check(&budget, 3.0);
        budget.change_demand(60.0, 0.0);
        check(&budget, 2.0);
        budget.set_rate(100, 100.0);
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
    fn what_is_only_nice_to_have_leaves_half_of_the_budget() {
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
