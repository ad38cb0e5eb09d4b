//! Why an alert is not notified: it is muted, inhibited by another alert, or flapping.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AlertKey;
use crate::config::Severity;

/// The silence, maintenance window or operation that mutes an alert. A resolve of something that
/// was notified before is still notified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutedBy {
    /// A silence.
    Silence(SilenceId),
    /// A maintenance window, by its name in the configuration.
    Maintenance(Arc<str>),
    /// An operation that is under way and causes it, by its name.
    Operation(Arc<str>),
}

/// Why an alert was not notified, or not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suppression {
    /// A silence.
    Silenced,
    /// A maintenance window.
    Maintenance,
    /// An operation that is under way and causes it.
    Operation,
    /// Another alert inhibits it.
    Inhibited,
    /// It flaps.
    Flapping,
}

impl From<&MutedBy> for Suppression {
    fn from(muted_by: &MutedBy) -> Self {
        match muted_by {
            MutedBy::Silence(_) => Self::Silenced,
            MutedBy::Maintenance(_) => Self::Maintenance,
            MutedBy::Operation(_) => Self::Operation,
        }
    }
}

/// The name of a silence: sixteen hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceId(pub Arc<str>);

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An alert that inhibits another one while it fires, and for a moment after its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inhibitor {
    /// The alert that inhibits.
    pub key: AlertKey,
    /// The highest severity that it inhibits: an unreachable replica does not inhibit a critical
    /// lag, which its master's ACKs prove.
    pub up_to: Severity,
}
