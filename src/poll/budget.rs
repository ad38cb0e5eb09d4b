//! The whole exporter's budget of polls a second. Pure.
//!
//! Base rounds are planned so that they fit (see [`sustainable_interval`]) and always run. What is left pays for extra
//! rounds: when a datacenter is cut, not everything may speed up at once.

use crate::model::{Span, Timestamp};

/// A token bucket: one token a poll, one second's worth at most.
#[derive(Clone, Debug)]
pub(super) struct PollBudget {
    per_second: f64,
    tokens: f64,
    at: Timestamp,
}

impl PollBudget {
    /// A full bucket for `per_second` polls a second.
    pub(super) fn new(per_second: u32, now: Timestamp) -> Self {
        Self { per_second: f64::from(per_second), tokens: f64::from(per_second), at: now }
    }

    /// Changes the budget.
    pub(super) fn set_rate(&mut self, per_second: u32) {
        self.per_second = f64::from(per_second);
        self.tokens = self.tokens.min(self.per_second);
    }

    /// Takes `polls` for a base round, which runs in any case; a debt is paid back before the next extra round.
    pub(super) fn charge(&mut self, polls: usize, now: Timestamp) {
        self.refill(now);
        // A debt of more than a second's worth would only keep extra rounds away for longer, to no use.
        self.tokens = (self.tokens - polls as f64).max(-self.per_second);
    }

    /// Takes `polls` for an extra round, if they are left.
    pub(super) fn try_take(&mut self, polls: usize, now: Timestamp) -> bool {
        self.refill(now);
        let enough = self.tokens >= polls as f64;
        if enough {
            self.tokens -= polls as f64;
        }
        enough
    }

    fn refill(&mut self, now: Timestamp) {
        let earned = (now - self.at).or_zero().as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.per_second);
        self.at = self.at.max(now);
    }
}

/// The interval at which base rounds of `polls_per_round` polls in all stay within `per_second` polls a second: the
/// configured one, or longer.
pub(super) fn sustainable_interval(interval: Span, polls_per_round: usize, per_second: u32) -> Span {
    interval.max(Span::from_secs_f64(polls_per_round as f64 / f64::from(per_second.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::default() + Span::from_millis(millis)
    }

    #[test]
    fn extra_rounds_stop_when_the_budget_is_spent_and_go_on_as_it_refills() {
        let mut budget = PollBudget::new(10, at(0));
        assert!(budget.try_take(10, at(0)));
        assert!(!budget.try_take(1, at(50)));
        assert!(budget.try_take(1, at(100)));
        assert!(!budget.try_take(11, at(60_000)), "never more than a second's worth");
    }

    #[test]
    fn base_rounds_always_run_and_come_first() {
        let mut budget = PollBudget::new(10, at(0));
        for _ in 0..1000 {
            budget.charge(10, at(0));
        }
        assert!(!budget.try_take(1, at(1000)), "a debt is paid back first");
        assert!(budget.try_take(1, at(1200)), "and is never more than a second's worth");
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
        assert_eq!(sustainable_interval(second, 60_000, 30_000), Span::from_secs(2));
        assert_eq!(sustainable_interval(second, 0, 0), second);
    }
}
