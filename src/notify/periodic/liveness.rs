//! Liveness for the dead man's switch: polls end and the monitor consumes their results. Pure.

use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;
use crate::report::stuck_for;

/// The longest time without the end of a poll. Every poll ends, if only by its timeout, so that
/// silence means that nothing is polled.
const SILENCE: Span = Span::from_secs(30);

/// The same, in periods of the slowest polling.
const SILENT_PERIODS: f64 = 3.0;

/// The number of polls so far, and its last change.
#[derive(Debug)]
pub(super) struct Liveness {
    polls: u64,
    /// When that number last changed.
    changed_at: Timestamp,
}

impl Liveness {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            polls: 0,
            changed_at: now,
        }
    }

    /// What is wrong with the exporter whose latest snapshot is `fleet`; `None` when it is healthy.
    pub(super) fn health_problem(
        &mut self,
        fleet: &FleetSnapshot,
        now: Timestamp,
    ) -> Option<String> {
        let mut polls = 0_u64;
        for server in &fleet.servers {
            polls = polls.wrapping_add(server.polls);
        }
        if polls != self.polls {
            *self = Self {
                polls,
                changed_at: now,
            };
        }
        if let Some(age) = stuck_for(fleet, now) {
            return Some(format!("the monitor has said nothing for {age}"));
        }
        if fleet.servers.is_empty() {
            return None;
        }
        if polls == 0 {
            return Some("no server has been polled yet".to_owned());
        }
        let intervals = fleet.pairs.iter().map(|pair| pair.facts.interval);
        let slowest = intervals.max().unwrap_or(Span::ZERO);
        let silence = now - self.changed_at;
        if silence > SILENCE.max(slowest.mul_f64(SILENT_PERIODS)) {
            return Some(format!("no poll has ended for {silence}"));
        }
        None
    }
}
