//! Captures of lost writes in a report, and the files that wait for a person.

use serde::{Deserialize, Serialize};

use crate::lost_writes::{CaptureState, CaptureStatus};
use crate::monitor::FleetSnapshot;

/// The capture of the writes that only one deposed master has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostWritesReport {
    /// The name of the configuration's entry.
    pub pair: String,
    /// The master that was deposed, `host:port`.
    pub server: String,
    /// `running`, `saved`, `nothing`, `failed` or `gone`.
    pub state: CaptureState,
    /// The file with the commands; `null` where there is none.
    pub file: Option<String>,
    /// The whole news as a sentence without its end.
    pub reason: String,
    /// When that was so, in Unix seconds.
    pub timestamp: f64,
}

impl LostWritesReport {
    /// Every capture, and every file until a person has dealt with it.
    pub(super) fn all(fleet: &FleetSnapshot) -> Vec<Self> {
        fleet.captures.iter().map(Self::new).collect()
    }

    fn new(status: &CaptureStatus) -> Self {
        let file = status.file.as_ref();
        Self {
            pair: status.pair.to_string(),
            server: status.deposed.to_string(),
            state: status.state,
            file: file.map(|file| file.display().to_string()),
            reason: status.to_string(),
            timestamp: status.timestamp,
        }
    }

    /// Whether somebody has to do something, or should know of it.
    pub fn is_open(&self) -> bool {
        self.state != CaptureState::Nothing
    }
}
