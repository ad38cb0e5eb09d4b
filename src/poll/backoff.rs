//! How long to wait before the next attempt to connect. Pure: chance is an argument.

use crate::model::Span;

/// The wait after the first failure: a restarting server is back within a poll or two.
const FIRST: Span = Span::from_millis(100);

/// The longest wait: half the shortest alert threshold on unreachable servers, so that a recovery is never seen late.
const LONGEST: Span = Span::from_secs(5);

/// Doubles the wait at each failure in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half and the whole of 100 ms, doubled at each failure up to 5 s.
    ///
    /// `chance` in `[0, 1)` picks the place between the two, so that the many connections which one cut broke do not
    /// come back in step.
    pub(super) fn after_failure(&mut self, chance: f64) -> Span {
        let doubled = FIRST.mul_f64(f64::from(2_u32.saturating_pow(self.failures)));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(LONGEST);
        whole.half() + whole.half().mul_f64(chance.clamp(0.0, 1.0))
    }

    /// The server answered: the next failure is a first one again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(chance: f64) -> Vec<i64> {
        let mut backoff = Backoff::default();
        (0..8).map(|_| backoff.after_failure(chance).as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        assert_eq!(waits(1.0), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(waits(0.0), [50, 100, 200, 400, 800, 1600, 2500, 2500]);
    }

    #[test]
    fn a_thousand_failures_wait_no_longer() {
        let mut backoff = Backoff::default();
        let last = (0..1000).map(|_| backoff.after_failure(1.0)).last();
        assert_eq!(last, Some(LONGEST));
    }

    #[test]
    fn an_answer_starts_from_the_beginning() {
        let mut backoff = Backoff::default();
        let first = backoff.after_failure(0.5);
        backoff.after_failure(0.5);
        backoff.reset();
        assert_eq!(backoff.after_failure(0.5), first);
    }
}
