//! Pairs that stay as they are until the next poll. Their rules need no evaluation before it.
//!
//! What is true of a pair follows from evidence and from the present instant. Between polls only
//! the instant changes, and with it nothing at a healthy pair but the age of what bounds its lag
//! from above. Whether that is so is not worked out from thresholds but tried: see
//! [`Monitor::tick`](crate::monitor::Monitor::tick).

use super::PairEntry;
use crate::model::{Span, Timestamp};
use crate::replication::Assessment;

/// What is true of a pair until its rules are next evaluated.
#[derive(Debug)]
pub(super) struct Steady {
    seen: Assessment,
    /// When that was last recorded.
    recorded: Timestamp,
}

impl PairEntry {
    /// What was evaluated at `now` stays true until the next evaluation.
    pub(in crate::monitor::fleet) fn set_steady(&mut self, seen: Assessment, now: Timestamp) {
        self.steady = Some(Steady {
            seen,
            recorded: now,
        });
    }

    /// The next evaluation is in the next tick.
    pub(in crate::monitor::fleet) fn set_changing(&mut self) {
        self.steady = None;
    }

    /// The lag while it is steady and there is an estimate.
    pub(in crate::monitor::fleet) fn steady_lag(&self) -> Option<Span> {
        self.steady.as_ref()?.seen.lag.estimate
    }

    /// Until when it stays steady at most: then a step of its chart ends, or the highest lag of the
    /// last minute is another one.
    pub(in crate::monitor::fleet) fn steady_until(&self, now: Timestamp) -> Timestamp {
        let step_ends = self.chart.closes_at(now);
        match self.lag_max.falls_at(now) {
            Some(falls) if falls > now => step_ends.min(falls),
            _ => step_ends,
        }
    }

    /// Records what has been true in the ticks up to `last` in which it was not evaluated. The last
    /// of them is enough, as its chart and its highest lag keep extremes.
    pub(in crate::monitor::fleet) fn record_steady(&mut self, last: Timestamp) {
        let Some(steady) = &mut self.steady else {
            return;
        };
        if steady.recorded >= last {
            return;
        }
        steady.seen.age(last - steady.recorded);
        steady.recorded = last;
        self.chart.record(&steady.seen, last);
        if let Some(lag) = steady.seen.lag.estimate {
            self.lag_max.observe(lag, last);
        }
    }
}
