//! What asks for quiet: silences that somebody made and maintenance windows of the configuration.
//!
//! They hold back that an alert fires and that it still does, never that what was told before is
//! over.

mod maintenance;
mod matchers;
mod silences;

pub use maintenance::Maintenance;
pub use matchers::Matchers;
pub use silences::{
    MAX_SILENCES, NewSilence, Silence, SilenceError, SilenceRecord, SilenceState, Silences,
};

use super::{AlertSnapshot, MutedBy};
use crate::config::MaintenanceWindow;
use crate::model::WallTime;

/// Silences and maintenance windows, and which of them are in force.
#[derive(Clone, Debug, Default)]
pub struct Mutes {
    /// The silences.
    pub silences: Silences,
    maintenance: Maintenance,
    active: ActiveSet,
    changed: bool,
}

/// What is in force at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ActiveSet {
    silences: Vec<super::SilenceId>,
    windows: Vec<usize>,
}

impl Mutes {
    /// No silences yet, and these windows.
    pub fn new(windows: &[MaintenanceWindow]) -> Self {
        Self {
            maintenance: Maintenance::new(windows),
            ..Self::default()
        }
    }

    /// Changes the windows.
    pub fn reconfigure(&mut self, windows: &[MaintenanceWindow]) {
        self.maintenance = Maintenance::new(windows);
        self.changed = true;
    }

    /// Looks at the clock. Returns whether something else is in force than before.
    pub fn turn(&mut self, now: WallTime) -> bool {
        let active = ActiveSet {
            silences: self.silences.active(now),
            windows: self.maintenance.open(now),
        };
        let changed = std::mem::take(&mut self.changed) || active != self.active;
        self.active = active;
        changed
    }

    /// What in force keeps the alert from being told: a silence before a window.
    pub fn mute_for(&self, alert: &AlertSnapshot) -> Option<MutedBy> {
        let label = |name: &str| alert.label(name);
        let silence = self
            .silences
            .find(&self.active.silences, label)
            .cloned()
            .map(MutedBy::Silence);
        silence.or_else(|| {
            self.maintenance
                .find(&self.active.windows, label)
                .map(MutedBy::Maintenance)
        })
    }

    /// The names of the windows in force.
    pub fn open_windows(&self) -> Vec<std::sync::Arc<str>> {
        self.maintenance.names(&self.active.windows)
    }
}
