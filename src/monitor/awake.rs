//! Whether this program runs: a process that was stopped, or whose machine was suspended, must not
//! take its own absence for the silence of others.

use super::EVALUATION_TICK;
use crate::model::{Span, Timestamp};
use crate::replication::Pause;

/// Being late by less than this is an ordinary delay on a busy machine.
const LEAST_PAUSE: Span = Span::from_secs(1);

/// How much later than planned the next sign of life may come before that is a pause: `interval`,
/// which is the period of polling, but at least a second.
pub(super) fn pause_limit(interval: Span) -> Span {
    interval.max(LEAST_PAUSE)
}

/// When this program was last seen to run.
#[derive(Debug, Default)]
pub(super) struct Awake {
    /// The last sign of life; `None` before the first evaluation: whoever does not evaluate rules
    /// has no plan that could be missed.
    last: Option<Timestamp>,
    /// Whether rules are evaluated.
    ticks: bool,
    /// A pause that nobody was told of yet.
    untold: Option<Pause>,
}

impl Awake {
    /// It runs at `now`; the pause that this ends, if there was one. A sign of life is planned each
    /// [`EVALUATION_TICK`].
    pub(super) fn note(&mut self, now: Timestamp, interval: Span) -> Option<Pause> {
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
        self.untold = Some(pause);
        Some(pause)
    }

    /// Rules are evaluated.
    pub(super) fn tick(&mut self) {
        self.ticks = true;
    }

    /// The pause that nobody was told of yet.
    pub(super) fn take(&mut self) -> Option<Pause> {
        self.untold.take()
    }
}
