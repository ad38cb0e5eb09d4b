//! Calm: nothing can happen before the next poll but that evidence grows older. Ticks are left out
//! then, each of which would wake the program for nothing.

use super::Monitor;
use crate::model::{Span, Timestamp};
use crate::monitor::overload::PollingLoad;

/// For how long ticks are left out at most: longer than the half of an ordinary polling interval,
/// so that the polls of a calm fleet wake the program and nothing else does, and shorter than a
/// pause of the program.
const LONGEST_CALM: Span = Span::from_millis(600);

/// The shortest time.
const RIGHT_BEFORE: Span = Span::from_nanos(1);

impl Monitor {
    /// When [`Monitor::tick`] has to be called next, unless something happens before: after an
    /// event it may be earlier.
    pub fn next_wakeup(&self) -> Timestamp {
        if !self.is_calm() {
            return self.next_evaluation;
        }
        let calm_until = self.fleet.next_due().min(self.next_distribution);
        let latest = self.next_evaluation + LONGEST_CALM;
        calm_until.min(latest).max(self.next_evaluation)
    }

    /// Records that ticks were left out up to `now`, if none was due: what was true in the last one
    /// has been true since. To be called before the events, or the tick, that end such a time are
    /// handled.
    pub fn skip_ticks(&mut self, now: Timestamp) {
        let wakeup = self.next_wakeup();
        let were_left_out = self.next_evaluation < wakeup && self.next_evaluation <= now;
        if were_left_out {
            // A tick that is due and late shows what comes after this.
            self.fleet.end_tick(now.min(wakeup - RIGHT_BEFORE));
        }
    }

    /// Whether no rule but those of pairs and servers, of which it is known when they are due,
    /// could change anything by time alone.
    fn is_calm(&self) -> bool {
        let is_overloaded = |load: PollingLoad| load.overloaded_since.is_some();
        !self.evaluates_all
            && self.alerting.is_calm()
            && self.sources.is_empty()
            && self.sites.is_empty()
            && self.operations.is_empty()
            && self.receivers.are_fine()
            && self.reload.failure.is_none()
            && !self.overload.load().is_some_and(is_overloaded)
    }
}
