//! What the predictions about a pair rest on, for its alerts and snapshots.

use std::sync::Arc;

use super::alerting::ObservedPair;
use crate::model::{Bytes, Span, Timestamp};
use crate::replication::{Headroom, MasterHistory, NoForecast, OutputBuffer, Writes};

/// How fast the backlog fills is measured over the writes of this time.
const RECENT_WRITES: Span = Span::from_secs(300);

/// Bytes that a master wrote in the last minutes, and over how long they were counted.
fn recent_writes(history: &MasterHistory) -> Option<(Bytes, Span)> {
    history.written_within(RECENT_WRITES)
}

/// What a master has written.
pub(super) fn writes(history: &MasterHistory) -> Writes {
    Writes {
        recent: recent_writes(history),
        peaks: Some(history.write_peaks()),
        course: None,
    }
}

/// The same with its course, for a replica that catches up.
pub(super) fn writes_of_drain(history: &MasterHistory) -> Writes {
    Writes {
        course: Some(Arc::new(history.write_course())),
        ..writes(history)
    }
}

impl ObservedPair<'_> {
    /// What its master has written.
    pub(in crate::monitor) fn writes(&self) -> Writes {
        self.history.map(writes).unwrap_or_default()
    }

    /// How long its link may be cut, as it is expected.
    pub(in crate::monitor) fn expected_headroom(&self) -> Result<Span, NoForecast> {
        let recent = self.history.and_then(recent_writes);
        Headroom::expected(self.seen, recent)
    }

    /// The output buffer for its replica.
    pub(in crate::monitor) fn output_buffer(
        &self,
        now: Timestamp,
    ) -> Result<OutputBuffer, NoForecast> {
        self.facts.output_buffer(now)
    }
}
