//! How long to wait before the next attempt to connect. Pure: chance is an argument.

use crate::model::Span;

/// The wait after the first failure: a restarting server is back within a poll or two.
const FIRST: Span = Span::from_millis(100);

/// The longest wait: half the shortest alert threshold for unreachable servers, so that a recovery
/// is never seen late.
const LONGEST: Span = Span::from_secs(5);

/// Doubles the wait with each consecutive failure that costs anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// Whether a wait was cut short since the server last answered.
    was_cut_short: bool,
}

impl Backoff {
    /// The wait after one more failure: between half and the whole of 100 ms, doubled at each
    /// failure up to 5 s.
    ///
    /// `chance` in `[0, 1)` picks the point between the two, so that the connections that one cut
    /// broke do not come back in step.
    pub(super) fn after_failure(&mut self, chance: f64) -> Span {
        let wait = self.after_refusal(chance);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// The wait after a refused connection. That costs one packet each way and no handshake, login
    /// or timeout, so it does not lengthen the next wait: a restarted server is found at the next
    /// poll.
    pub(super) fn after_refusal(&self, chance: f64) -> Span {
        let factor = f64::from(2_u32.saturating_pow(self.failures));
        let half = FIRST.mul_f64(factor).min(LONGEST).half();
        half + half.mul_f64(chance.clamp(0.0, 1.0))
    }

    /// The server answered: the next failure is a first one again.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The server's master has reported it connected again: whether to stop waiting. Only once
    /// until the server answers, because what its master reaches need not be reachable from here.
    pub(super) fn cut_short(&mut self) -> bool {
        if self.was_cut_short {
            return false;
        }
        self.was_cut_short = true;
        self.failures = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(chance: f64) -> Vec<i64> {
        let mut backoff = Backoff::default();
        (0..8)
            .map(|_| backoff.after_failure(chance).as_nanos() / 1_000_000)
            .collect()
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
    fn a_refused_connection_is_tried_again_at_the_next_poll() {
        let mut backoff = Backoff::default();
        assert!((0..9).all(|_| backoff.after_refusal(1.0) == FIRST));
        backoff.after_failure(1.0);
        assert_eq!(backoff.after_refusal(1.0), FIRST + FIRST);
        assert_eq!(
            backoff.after_failure(1.0),
            FIRST + FIRST,
            "what was costly stays so"
        );
    }

    #[test]
    fn a_wait_is_cut_short_once_until_the_server_answers() {
        let mut backoff = Backoff::default();
        assert_eq!(
            (0..9).map(|_| backoff.after_failure(1.0)).last(),
            Some(LONGEST)
        );
        assert!(backoff.cut_short() && !backoff.cut_short());
        assert_eq!(
            backoff.after_failure(1.0),
            FIRST,
            "and then it starts again"
        );
        backoff.reset();
        assert!(backoff.cut_short());
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
