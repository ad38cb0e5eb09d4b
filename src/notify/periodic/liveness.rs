//! Whether the exporter is alive in the sense that a dead man's switch wants to know: it polls, and
//! the monitor takes in what comes of it. Pure.

use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;
use crate::report::stuck_for;

/// How long no poll may end. Polls end by their timeouts, so that silence means that nothing is
/// asked any more.
const SILENCE: Span = Span::from_secs(30);

/// The same, in periods of the slowest polling.
const SILENT_PERIODS: f64 = 3.0;

/// What was seen of the polls.
#[derive(Debug)]
pub(super) struct Liveness {
    polls: u64,
    /// When their number last changed.
    moved_at: Timestamp,
}

impl Liveness {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            polls: 0,
            moved_at: now,
        }
    }

    /// What is wrong with the exporter that `fleet` is the newest word of; `None` when all is well.
    pub(super) fn health_problem(
        &mut self,
        fleet: &FleetSnapshot,
        now: Timestamp,
    ) -> Option<String> {
        let polls = fleet
            .servers
            .iter()
            .map(|server| server.polls)
            .fold(0, u64::wrapping_add);
        if polls != self.polls {
            *self = Self {
                polls,
                moved_at: now,
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
        let slowest = fleet
            .pairs
            .iter()
            .map(|pair| pair.facts.interval)
            .max()
            .unwrap_or(Span::ZERO);
        let silence = now - self.moved_at;
        (silence > SILENCE.max(slowest.mul_f64(SILENT_PERIODS)))
            .then(|| format!("no poll has ended for {silence}"))
    }
}
