//! What mutes alerts: silences, which operators create, maintenance windows of the configuration,
//! and operations that are under way.
//!
//! A muted alert is not notified, and not repeated. The resolve of an alert that was notified
//! before is notified all the same.

mod maintenance;
mod matchers;
mod planned;
mod silences;

pub use maintenance::Maintenance;
pub use matchers::Matchers;
pub use planned::PlannedWork;
pub use silences::{
    MAX_SILENCES, NewSilence, Silence, SilenceError, SilenceRecord, SilenceState, Silences,
};

use std::sync::Arc;

use super::{AlertSnapshot, MutedBy, SilenceId};
use crate::config::MaintenanceWindow;
use crate::model::WallTime;

/// Silences and maintenance windows, and which of them are active.
#[derive(Clone, Debug, Default)]
pub struct Mutes {
    /// The silences, active or not.
    pub silences: Silences,
    maintenance: Maintenance,
    planned: Vec<PlannedWork>,
    active: ActiveSet,
    changed: bool,
}

/// What is active at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ActiveSet {
    silences: Vec<SilenceId>,
    /// Indices of maintenance windows.
    windows: Vec<usize>,
}

impl Mutes {
    /// These maintenance windows, and no silences yet.
    pub fn new(windows: &[MaintenanceWindow]) -> Self {
        Self {
            maintenance: Maintenance::new(windows),
            ..Self::default()
        }
    }

    /// Changes the maintenance windows.
    pub fn reconfigure(&mut self, windows: &[MaintenanceWindow]) {
        self.maintenance = Maintenance::new(windows);
        self.changed = true;
    }

    /// Replaces the work that is under way.
    pub fn set_planned(&mut self, planned: Vec<PlannedWork>) {
        self.changed |= planned != self.planned;
        self.planned = planned;
    }

    /// Determines what is active now. Returns whether that changed since the last call.
    pub fn update(&mut self, now: WallTime) -> bool {
        let active = ActiveSet {
            silences: self.silences.active(now),
            windows: self.maintenance.open(now),
        };
        let changed = std::mem::take(&mut self.changed) || active != self.active;
        self.active = active;
        changed
    }

    /// The active silence that mutes the alert, or else the maintenance window, or else the
    /// operation that causes it.
    pub fn mute_for(&self, alert: &AlertSnapshot) -> Option<MutedBy> {
        let label = |name: &str| alert.label(name);
        if let Some(silence) = self.silences.find(&self.active.silences, label) {
            return Some(MutedBy::Silence(silence.clone()));
        }
        if let Some(window) = self.maintenance.find(&self.active.windows, label) {
            return Some(MutedBy::Maintenance(window));
        }
        let work = self.planned.iter().find(|work| work.causes(alert))?;
        Some(MutedBy::Operation(Arc::clone(&work.id)))
    }

    /// The names of the open maintenance windows.
    pub fn open_windows(&self) -> Vec<Arc<str>> {
        self.maintenance.names(&self.active.windows)
    }
}
