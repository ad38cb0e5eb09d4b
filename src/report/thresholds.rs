//! The thresholds of a pair's rules, in a report.

use serde::{Deserialize, Serialize};

use crate::alert::Rule;
use crate::config::{LevelRule, LevelThreshold, Severity};
use crate::model::Span;
use crate::monitor::PairSnapshot;

/// The thresholds of a pair's rules, each in the unit of its rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// `lag_seconds`: warning on the estimate, critical on the lower bound.
    pub lag_seconds: Levels,
    /// `lag_bytes`, likewise.
    pub lag_bytes: Levels,
    /// `link_down`, in seconds.
    pub link_down: Levels,
    /// `unknown`, in seconds.
    pub unknown: Levels,
    /// `diverged`, in seconds.
    #[serde(default)]
    pub diverged: Levels,
    /// `failover`: how often in the rule's window.
    #[serde(default)]
    pub failover: Levels,
    /// `unreachable`, in seconds: of the pair's servers.
    #[serde(default)]
    pub unreachable: Levels,
    /// `full_sync`: how many within the rule's window, of the pair's servers.
    #[serde(default)]
    pub full_sync: Levels,
    /// `backlog_headroom`, in seconds: reached at or below it.
    #[serde(default)]
    pub backlog_headroom: Levels,
    /// `output_buffer`, as a part of the limit.
    #[serde(default)]
    pub output_buffer: Levels,
}

/// A rule's two levels; `null` is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The warning threshold.
    pub warning: Option<f64>,
    /// The critical threshold.
    pub critical: Option<f64>,
}

impl Thresholds {
    /// Whether the rule has a threshold.
    pub(super) fn has(&self, rule: Rule) -> bool {
        let levels = match rule {
            Rule::LagSeconds => self.lag_seconds,
            Rule::LagBytes => self.lag_bytes,
            Rule::LinkDown => self.link_down,
            Rule::Unknown => self.unknown,
            Rule::Diverged => self.diverged,
            Rule::Failover => self.failover,
            Rule::Unreachable => self.unreachable,
            Rule::FullSync => self.full_sync,
            Rule::BacklogHeadroom => self.backlog_headroom,
            Rule::OutputBuffer => self.output_buffer,
            _ => Levels::default(),
        };
        levels.warning.is_some() || levels.critical.is_some()
    }

    pub(super) fn new(pair: &PairSnapshot) -> Self {
        let rules = &pair.meta.alerts;
        let mut all = Self {
            unreachable: Levels::new(&rules.unreachable, Span::as_secs_f64),
            full_sync: Levels::new(&rules.full_sync.levels, |count| count as f64),
            ..Self::default()
        };
        for threshold in pair.thresholds() {
            let levels = match threshold.rule {
                Rule::LagSeconds => &mut all.lag_seconds,
                Rule::LagBytes => &mut all.lag_bytes,
                Rule::LinkDown => &mut all.link_down,
                Rule::Unknown => &mut all.unknown,
                Rule::Diverged => &mut all.diverged,
                Rule::Failover => &mut all.failover,
                Rule::BacklogHeadroom => &mut all.backlog_headroom,
                Rule::OutputBuffer => &mut all.output_buffer,
                _ => continue,
            };
            if threshold.severity == Severity::Critical.label() {
                levels.critical = Some(threshold.value);
            } else {
                levels.warning = Some(threshold.value);
            }
        }
        all
    }
}

impl Levels {
    fn new<T: Copy>(rule: &LevelRule<T>, number: impl Fn(T) -> f64) -> Self {
        let at = |level: Option<LevelThreshold<T>>| level.map(|level| number(level.at));
        Self {
            warning: at(rule.warning),
            critical: at(rule.critical),
        }
    }
}
