//! An alert that fires: the clocks that lead to a lower level or to its end.

use serde::{Deserialize, Serialize};

use super::{InstanceStatus, has_lasted};
use crate::alert::{AlertState, FlapSeries, LevelVerdict, Reading};
use crate::config::{LevelRule, Severity};
use crate::model::{Span, Timestamp};

/// An alert that fires; it is recovering while one of its clocks runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Firing {
    pub(super) severity: Severity,
    pub(super) started_at: Timestamp,
    /// Since when the level that it fires at has been clear.
    pub(super) level_clear_since: Option<Timestamp>,
    /// Since when the warning level has been clear as well.
    pub(super) all_clear_since: Option<Timestamp>,
    /// Whether it counts as an outage: for some time no other alert inhibited it.
    #[serde(default)]
    pub(super) counts: bool,
    /// Whether it is not notified because the alert flaps.
    #[serde(default)]
    pub(super) muted: bool,
}

/// How a firing alert recovers.
#[derive(Clone, Copy)]
pub(super) enum Recovery {
    /// It resolves.
    ToResolved,
    /// It falls from critical to warning.
    ToWarning,
}

/// The verdicts of one reading on both levels.
#[derive(Clone, Copy)]
pub(super) struct LevelVerdicts {
    pub(super) warning: LevelVerdict,
    pub(super) critical: LevelVerdict,
}

impl Firing {
    pub(super) const fn new(severity: Severity, started_at: Timestamp) -> Self {
        Self {
            severity,
            started_at,
            level_clear_since: None,
            all_clear_since: None,
            counts: false,
            muted: false,
        }
    }

    /// How it recovers now: `own` is the verdict on its level, `all` the one on its level and those
    /// below, and each has to have been clear for `keep_firing_for`.
    pub(super) fn recovery(
        self,
        now: Timestamp,
        own: LevelVerdict,
        all: LevelVerdict,
        keep_firing_for: Span,
    ) -> Option<Recovery> {
        let (recovery, clear_since) = match (all, own) {
            (LevelVerdict::Clear, _) => (Recovery::ToResolved, self.all_clear_since),
            (_, LevelVerdict::Clear) => (Recovery::ToWarning, self.level_clear_since),
            _ => return None,
        };
        if has_lasted(clear_since, now, keep_firing_for) {
            Some(recovery)
        } else {
            None
        }
    }

    /// Whether its level is clear, but not yet for long enough.
    pub(super) const fn is_recovering(self) -> bool {
        self.level_clear_since.is_some() || self.all_clear_since.is_some()
    }

    pub(super) const fn status(self, series: Option<FlapSeries>) -> InstanceStatus {
        let state = if self.is_recovering() {
            AlertState::Recovering
        } else {
            AlertState::Firing
        };
        InstanceStatus {
            state,
            severity: self.severity,
            started_at: self.started_at,
            resolved: None,
            series,
        }
    }
}

impl LevelVerdicts {
    pub(super) fn new<T: Copy + PartialOrd>(rule: &LevelRule<T>, reading: &Reading<T>) -> Self {
        Self {
            warning: reading.judge(Severity::Warning, rule.warning.as_ref()),
            critical: reading.judge(Severity::Critical, rule.critical.as_ref()),
        }
    }

    pub(super) const fn of_level(self, severity: Severity) -> LevelVerdict {
        match severity {
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }

    /// The verdict on a level together with the one below it: clear when both are, not clear as
    /// soon as one of them certainly is not.
    pub(super) fn up_to_level(self, severity: Severity) -> LevelVerdict {
        if severity == Severity::Warning {
            return self.warning;
        }
        let both = [self.warning, self.critical];
        let certainly_not = [LevelVerdict::Past, LevelVerdict::Below];
        if both.iter().any(|verdict| certainly_not.contains(verdict)) {
            LevelVerdict::Below
        } else if both.contains(&LevelVerdict::Unknown) {
            LevelVerdict::Unknown
        } else {
            LevelVerdict::Clear
        }
    }
}
