//! Levels: how bad a pair is, and what makes it so.

use super::alert_brief::AlertBrief;
use crate::config::Severity;
use crate::model::{closed_set, serde_as_label};
use crate::replication::PairState;

closed_set! {
    /// How bad a pair is. Ordered: an unknown state is worse than a warning, because it may hide
    /// any fault.
    pub enum Level {
        /// All is well.
        Ok => "ok",
        /// Somebody should look.
        Warning => "warning",
        /// It is not known how it is.
        Unknown => "unknown",
        /// Somebody must look now.
        Critical => "critical",
    }
}
serde_as_label!(Level, write only);

impl Level {
    /// The level of a state that no rule judges: data that may be lost is critical, a link that may
    /// recover by itself is a warning.
    pub const fn from_state(state: PairState) -> Self {
        match state {
            PairState::Streaming => Self::Ok,
            PairState::FullSync
            | PairState::LinkDown
            | PairState::Stalled
            | PairState::NeverSynced => Self::Warning,
            PairState::Unknown | PairState::Unsupported => Self::Unknown,
            PairState::MasterUnreachable
            | PairState::ReplicaUnreachable
            | PairState::Diverged
            | PairState::WrongMaster => Self::Critical,
        }
    }
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

/// What sets a pair's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelReason<'a> {
    /// Nothing: no alert fires, and the lag is known.
    Fine,
    /// This alert fires, and none that is more severe.
    Alert(&'a AlertBrief),
    /// The state alone: no rule judges it, or the rule that does is off.
    State(PairState),
    /// The lag is not known, and no alert about that fires yet.
    LagUnknown,
}

impl<'a> LevelReason<'a> {
    /// How bad that is.
    pub fn level(self) -> Level {
        match self {
            Self::Fine => Level::Ok,
            Self::Alert(alert) => alert.severity.into(),
            Self::State(state) => Level::from_state(state),
            Self::LagUnknown => Level::Unknown,
        }
    }

    /// The reason's word in JSON: the alert's name, `state` or `lag_unknown`; `None` where all is
    /// well.
    pub fn word(self) -> Option<&'a str> {
        match self {
            Self::Fine => None,
            Self::Alert(alert) => Some(&alert.alertname),
            Self::State(_) => Some("state"),
            Self::LagUnknown => Some("lag_unknown"),
        }
    }
}
