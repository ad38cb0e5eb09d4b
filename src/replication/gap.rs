//! Gaps in the observation of a server that the exporter causes itself: it has not polled the
//! server yet, it did not run, or it got no time to poll.

use super::state::StateReason;
use crate::info::Role;
use crate::model::{Span, Timestamp};

/// A time during which the exporter did not run: its process was stopped, or its machine suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it was last seen to run.
    pub from: Timestamp,
    /// When it ran again.
    pub until: Timestamp,
}

/// Why the exporter knows nothing of a server now, where the cause is the exporter itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No poll of it has ended in this process.
    FirstPolls,
    /// The exporter was paused, and no poll that began since has ended.
    Paused {
        /// For how long.
        for_: Span,
    },
    /// The exporter has read no answer of it for several intervals, and no poll has failed or is
    /// overdue: it is late itself.
    NotPolled {
        /// Since its last answer.
        for_: Span,
    },
}

impl Pause {
    /// How long it was; never negative.
    pub fn length(&self) -> Span {
        (self.until - self.from).or_zero()
    }

    /// How much of it lies after `since`.
    pub fn after(&self, since: Timestamp) -> Span {
        (self.until - self.from.max(since)).or_zero()
    }
}

impl Gap {
    /// Whether it ends with the next polls: until then nothing is judged, and no change is
    /// reported.
    pub const fn awaits_polls(self) -> bool {
        matches!(self, Self::FirstPolls | Self::Paused { .. })
    }

    /// The gap as the reason for a pair's state. `who` is the server with the gap.
    pub const fn reason(self, who: Role) -> StateReason {
        match self {
            Self::FirstPolls => StateReason::Starting,
            Self::Paused { for_ } => StateReason::ExporterPaused { for_ },
            Self::NotPolled { for_ } => StateReason::NotPolled { who, for_ },
        }
    }
}
