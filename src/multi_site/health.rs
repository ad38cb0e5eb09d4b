//! Whether it is worth asking a site at once, or only now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// After so many failures in a row a site counts as away.
const FAILURES: u32 = 3;

/// How often a site that is away is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is known of a site's availability, shared by everybody who uses it. Without it each read
/// would wait for the local site's timeout, and each write for the remote one's, as long as a site
/// is away.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    next_try: Duration,
}

impl Health {
    /// Whether to ask the site at the instant `now`. While it is away one caller a second may.
    pub(super) fn may_try(&self, now: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures < FAILURES {
            return true;
        }
        if now < state.next_try {
            return false;
        }
        state.next_try = now + RETRY_AFTER;
        true
    }

    /// Notes whether the site served.
    pub(super) fn note(&self, served: bool, now: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if served {
            state.failures = 0;
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures == FAILURES {
            state.next_try = now + RETRY_AFTER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_that_is_away_is_tried_once_a_second() {
        let at = Duration::from_millis;
        let health = Health::default();
        for _ in 0..FAILURES {
            assert!(health.may_try(at(0)));
            health.note(false, at(0));
        }
        assert!(!health.may_try(at(999)));
        assert!(health.may_try(at(1000)));
        assert!(!health.may_try(at(1001)), "one caller is enough");
        health.note(false, at(1100));
        assert!(!health.may_try(at(1900)));
        assert!(health.may_try(at(2000)));
        health.note(true, at(2001));
        assert!(health.may_try(at(2002)) && health.may_try(at(2002)));
    }
}
