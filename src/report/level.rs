//! How bad a pair is, so that the worst stands first wherever pairs are listed.

use std::cmp::Reverse;

use super::alerts::ListedState;
use super::pairs::{Levels, PairReport, PairsReport};
use crate::config::Severity;
use crate::replication::PairState;

/// How bad a pair is. Ordered: what nobody knows is worse than a warning, for it may hide anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All is well.
    Ok,
    /// Somebody should look.
    Warning,
    /// Nobody can say how it is.
    Unknown,
    /// Somebody must look now.
    Critical,
}

impl Level {
    /// The level's word.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }

    /// What a state alone says: data that may be lost is critical, a link that may heal by itself
    /// is a warning.
    pub const fn of_state(state: PairState) -> Self {
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

impl PairReport {
    /// The worst of what the pair's state, its values against the configured thresholds and its
    /// firing alerts say.
    ///
    /// As the rules do: warning looks at the estimate (at the lower bound where there is none),
    /// critical at what is certain. `for` is not waited for.
    pub fn level(&self) -> Level {
        let limits = &self.thresholds;
        let by_value = [
            past(
                &limits.lag_seconds,
                self.lag_seconds,
                self.lag_lower_seconds,
            ),
            past(
                &limits.lag_bytes,
                self.lag_bytes.map(as_f64),
                self.lag_lower_bytes.map(as_f64),
            ),
            past(
                &limits.link_down,
                self.link_down_seconds,
                self.link_down_seconds,
            ),
        ];
        let firing = self
            .alerts
            .iter()
            .filter(|alert| alert.state == ListedState::Firing);
        let by_alert = firing.map(|alert| Level::from(alert.severity));
        let of_state = [Level::of_state(self.state)];
        by_alert
            .chain(by_value)
            .chain(of_state)
            .max()
            .unwrap_or(Level::Unknown)
    }

    /// Lag as far as it is certain to be worth a place in an order: the estimate, or the lower
    /// bound.
    fn rank_seconds(&self) -> f64 {
        self.lag_seconds.or(self.lag_lower_seconds).unwrap_or(0.0)
    }
}

impl PairsReport {
    /// The pairs, worst first: by [`PairReport::level`], then by the precedence of states, then by
    /// lag; equals stay in the configuration's order.
    pub fn worst_first(&self) -> Vec<&PairReport> {
        self.places_worst_first()
            .into_iter()
            .filter_map(|place| self.pairs.get(place))
            .collect()
    }

    /// The same as places in [`PairsReport::pairs`].
    pub fn places_worst_first(&self) -> Vec<usize> {
        let mut pairs: Vec<_> = self
            .pairs
            .iter()
            .map(|pair| (pair.level(), pair))
            .enumerate()
            .collect();
        pairs.sort_by(|(_, (level, pair)), (_, (other_level, other))| {
            (Reverse(level), pair.state)
                .cmp(&(Reverse(other_level), other.state))
                .then_with(|| other.rank_seconds().total_cmp(&pair.rank_seconds()))
        });
        pairs.into_iter().map(|(place, _)| place).collect()
    }
}

fn past(levels: &Levels, estimate: Option<f64>, lower: Option<f64>) -> Level {
    let reached = |value: Option<f64>, level: Option<f64>| {
        level.is_some_and(|at| value.is_some_and(|v| v >= at))
    };
    if reached(lower, levels.critical) {
        Level::Critical
    } else if reached(estimate.or(lower), levels.warning) {
        Level::Warning
    } else {
        Level::Ok
    }
}

#[allow(clippy::cast_precision_loss)] // exact below 2^53 bytes, and only compared with a threshold
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::super::testing::pair;
    use super::*;
    use crate::report::AlertBrief;

    fn check(expected: Level, change: impl FnOnce(&mut PairReport)) {
        let mut report = pair("orders");
        report.thresholds.lag_seconds = Levels {
            warning: Some(30.0),
            critical: Some(120.0),
        };
        report.thresholds.link_down = Levels {
            warning: Some(10.0),
            critical: Some(60.0),
        };
        change(&mut report);
        assert_eq!(report.level(), expected, "{report:?}");
    }

    #[test]
    fn warning_looks_at_the_estimate_and_critical_at_what_is_certain() {
        check(Level::Ok, |_| {});
        check(Level::Ok, |p| p.lag_seconds = Some(29.9));
        check(Level::Warning, |p| p.lag_seconds = Some(30.0));
        check(Level::Warning, |p| {
            (p.lag_lower_seconds, p.lag_seconds) = (Some(119.0), Some(500.0));
        });
        check(Level::Critical, |p| {
            (p.lag_lower_seconds, p.lag_seconds) = (Some(120.0), Some(500.0));
        });
        check(Level::Warning, |p| {
            (p.lag_lower_seconds, p.lag_seconds) = (Some(31.0), None);
        });
        check(Level::Ok, |p| {
            (p.thresholds.lag_seconds, p.lag_seconds) = (Levels::default(), Some(1e6));
        });
        check(Level::Ok, |p| {
            (p.lag_bytes, p.lag_lower_bytes) = (Some(u64::MAX), Some(u64::MAX));
        });
    }

    #[test]
    fn states_and_alerts_raise_the_level_and_never_lower_it() {
        check(Level::Warning, |p| {
            (p.state, p.link_down_seconds) = (PairState::LinkDown, Some(1.0));
        });
        check(Level::Critical, |p| {
            (p.state, p.link_down_seconds) = (PairState::LinkDown, Some(60.0));
        });
        check(Level::Unknown, |p| p.state = PairState::Unknown);
        check(Level::Critical, |p| p.state = PairState::MasterUnreachable);
        let alert = |severity, state| AlertBrief {
            alertname: "A".into(),
            severity,
            state,
            recovering: false,
        };
        check(Level::Critical, |p| {
            p.alerts = vec![alert(Severity::Critical, ListedState::Firing)];
        });
        check(Level::Warning, |p| {
            p.alerts = vec![alert(Severity::Warning, ListedState::Firing)];
        });
        check(Level::Ok, |p| {
            p.alerts = vec![alert(Severity::Critical, ListedState::Pending)];
        });
    }

    #[test]
    fn the_worst_stands_first_and_equals_keep_their_order() {
        let mut report = super::super::testing::report(
            ["calm", "calm too", "slow", "cut", "lost", "odd"].map(pair),
        );
        let [_, _, slow, cut, lost, odd] = report.pairs.as_mut_slice() else {
            panic!("six pairs")
        };
        slow.lag_seconds = Some(2.0);
        cut.state = PairState::LinkDown;
        lost.state = PairState::MasterUnreachable;
        odd.state = PairState::Unknown;
        let order: Vec<_> = report
            .worst_first()
            .iter()
            .map(|p| p.pair.as_str())
            .collect();
        assert_eq!(order, ["lost", "odd", "cut", "slow", "calm", "calm too"]);
    }
}
