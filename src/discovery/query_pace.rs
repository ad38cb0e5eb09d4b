//! When a reporter is queried again. Pure: chance is an argument.

use crate::model::Span;

/// By how much of it an interval may be shorter, at random, so that the reporters of a fleet are
/// not queried in step.
const JITTER: f64 = 0.2;

/// The longest time between two attempts to reach a reporter that does not answer.
const LONGEST: Span = Span::from_secs(5);

/// The shortest time between two queries, however many events there are.
pub(super) const SHORTEST: Span = Span::from_millis(50);

/// How long to wait before the next query.
#[derive(Clone, Debug)]
pub(super) struct QueryPace {
    /// The time between two queries of a reporter that answers.
    interval: Span,
    failures: u32,
}

impl QueryPace {
    pub(super) const fn new(interval: Span) -> Self {
        Self {
            interval,
            failures: 0,
        }
    }

    /// The wait after an answer. `chance` is in `[0, 1)`.
    pub(super) fn after_answer(&mut self, chance: f64) -> Span {
        self.failures = 0;
        jittered(self.interval, chance)
    }

    /// The wait after one more failure: doubled each time, up to 5 s.
    pub(super) fn after_failure(&mut self, chance: f64) -> Span {
        let doubled = self
            .interval
            .mul_f64(f64::from(2_u32.saturating_pow(self.failures)));
        self.failures = self.failures.saturating_add(1);
        jittered(doubled.min(LONGEST), chance)
    }
}

pub(super) fn jittered(span: Span, chance: f64) -> Span {
    span.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span::from_secs(1);

    fn millis(span: Span) -> i64 {
        span.as_nanos() / 1_000_000
    }

    #[test]
    fn an_answer_is_followed_by_a_query_within_a_second() {
        let mut pace = QueryPace::new(SECOND);
        assert_eq!(
            (
                millis(pace.after_answer(0.0)),
                millis(pace.after_answer(1.0))
            ),
            (1000, 800)
        );
    }

    #[test]
    fn waits_after_failures_double_up_to_five_seconds() {
        let mut pace = QueryPace::new(SECOND);
        let waits: Vec<_> = (0..5).map(|_| millis(pace.after_failure(0.0))).collect();
        assert_eq!(waits, [1000, 2000, 4000, 5000, 5000]);
        for _ in 0..1000 {
            pace.after_failure(0.5);
        }
        assert_eq!(millis(pace.after_failure(0.0)), 5000);
        pace.after_answer(0.0);
        assert_eq!(millis(pace.after_failure(0.0)), 1000);
    }
}
