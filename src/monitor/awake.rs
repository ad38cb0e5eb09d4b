//! Pauses of this program itself: a process that was stopped, or whose machine was suspended, must
//! not take its own pause for the silence of servers.

use super::EVALUATION_TICK;
use crate::model::{Span, Timestamp};
use crate::replication::Pause;

/// Delays shorter than this are ordinary on a busy machine.
const LEAST_PAUSE: Span = Span::from_secs(1);

/// A tick that is delayed by more than this was delayed by a pause: `interval`, the period of
/// polling, but at least a second.
pub(super) fn pause_limit(interval: Span) -> Span {
    interval.max(LEAST_PAUSE)
}

/// When this program was last observed to run.
#[derive(Debug, Default)]
pub(super) struct Awake {
    /// `None` before the first tick: only once there are ticks can one be late.
    last: Option<Timestamp>,
    /// Whether there are ticks.
    ticks: bool,
    /// A pause that was not reported yet.
    unreported: Option<Pause>,
}

impl Awake {
    /// Records that the program runs at `now`. Returns the pause that this ends, if there was one.
    /// The program is expected to run every [`EVALUATION_TICK`].
    pub(super) fn observe(&mut self, now: Timestamp, interval: Span) -> Option<Pause> {
        if !self.ticks {
            return None;
        }
        let last = self.last.unwrap_or(now);
        self.last = Some(last.max(now));
        let pause = Pause {
            from: last,
            until: now,
        };
        if pause.length() <= EVALUATION_TICK + pause_limit(interval) {
            return None;
        }
        self.unreported = Some(pause);
        Some(pause)
    }

    /// Records that there are ticks.
    pub(super) fn begin_ticks(&mut self) {
        self.ticks = true;
    }

    /// The pause that was not reported yet.
    pub(super) fn take_unreported(&mut self) -> Option<Pause> {
        self.unreported.take()
    }
}
