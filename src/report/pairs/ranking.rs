//! The level of a pair, why it has it, and the order of pairs: the worst first wherever pairs are
//! listed.

use std::cmp::{Ordering, Reverse};

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::{PairReport, PairsReport};
use crate::alert::Rule;
use crate::replication::PairState;
use crate::report::alert_brief::AlertBrief;
use crate::report::alerts::ListedState;
use crate::report::level::{Level, LevelReason};

/// A lag below this does not rank a pair before others.
const RANKED_FROM_SECONDS: f64 = 1.0;

/// The rule that judges a state; `None` where there is none and the state itself decides.
const fn rule_of(state: PairState) -> Option<Rule> {
    match state {
        PairState::LinkDown | PairState::Stalled => Some(Rule::LinkDown),
        PairState::MasterUnreachable | PairState::ReplicaUnreachable => Some(Rule::Unreachable),
        PairState::FullSync => Some(Rule::FullSync),
        PairState::Diverged => Some(Rule::Diverged),
        PairState::NeverSynced | PairState::Unknown => Some(Rule::Unknown),
        PairState::Streaming | PairState::WrongMaster | PairState::Unsupported => None,
    }
}

impl PairReport {
    /// The pair's level: that of its worst firing alert, so that the page, `check`, the API and
    /// notifications agree.
    pub fn level(&self) -> Level {
        self.level_reason().level()
    }

    /// What sets the level.
    ///
    /// Where a rule judges a fault, the pair is fine until the rule's alert fires: a pending alert
    /// is named ([`PairReport::why`]) and does not raise the level. A state decides only where no
    /// rule judges it. An unknown lag is never ok.
    pub fn level_reason(&self) -> LevelReason<'_> {
        let by_state = self.state_reason();
        let Some(worst) = self.worst(ListedState::Firing) else {
            return by_state;
        };
        let by_alert = LevelReason::Alert(worst);
        if by_alert.level() >= by_state.level() {
            by_alert
        } else {
            by_state
        }
    }

    /// The part of state and lag in the level.
    fn state_reason(&self) -> LevelReason<'_> {
        let rule = rule_of(self.state);
        let is_judged = match rule {
            Some(rule) => self.thresholds.has(rule),
            None => false,
        };
        if !is_judged && Level::from_state(self.state) != Level::Ok {
            return LevelReason::State(self.state);
        }
        if self.lag_seconds.is_none() && !self.has_alert_for_unknown_lag() {
            return LevelReason::LagUnknown;
        }
        LevelReason::Fine
    }

    /// Whether an alert fires that explains why the lag is not known.
    fn has_alert_for_unknown_lag(&self) -> bool {
        let rule = rule_of(self.state);
        let mut firing = self.alerts_that(ListedState::Firing);
        firing.any(|alert| alert.is_of(Rule::Unknown) || alert.is_of_any(rule))
    }

    /// The most severe alert in a state; of equally severe ones the first by name.
    fn worst(&self, state: ListedState) -> Option<&AlertBrief> {
        self.alerts_that(state)
            .min_by_key(|alert| (Reverse(alert.severity), &alert.alertname))
    }

    fn alerts_that(&self, state: ListedState) -> impl Iterator<Item = &AlertBrief> {
        self.alerts.iter().filter(move |alert| alert.state == state)
    }

    /// Why the pair is as bad as it is, as a sentence: the alert that sets the level, or the one
    /// that is pending, and the reason of its state.
    pub fn why(&self) -> String {
        let reason = &self.reason;
        if let LevelReason::Alert(alert) = self.level_reason() {
            let name = &alert.alertname;
            if alert.is_of_any(rule_of(self.state)) {
                return format!("{name}: {reason}");
            }
            return match &alert.reason {
                Some(own) => format!("{name}: {own}; {reason}"),
                None => format!("{name}; {reason}"),
            };
        }
        match self.worst(ListedState::Pending) {
            Some(pending) => format!("{reason}; pending: {}", pending.alertname),
            None => reason.clone(),
        }
    }

    /// The lag for sorting: the estimate, or the lower bound. The small lag of healthy pairs
    /// changes all the time and counts as zero: rows that keep changing places cannot be read.
    fn rank_seconds(&self) -> f64 {
        match self.lag_seconds.or(self.lag_lower_seconds) {
            Some(seconds) if seconds >= RANKED_FROM_SECONDS => seconds,
            _ => 0.0,
        }
    }
}

impl PairsReport {
    /// The pairs, worst first: by [`PairReport::level`], then by the precedence of states, then by
    /// lag; equal ones by their names.
    pub fn worst_first(&self) -> Vec<&PairReport> {
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for place in self.places_worst_first() {
            pairs.extend(self.pairs.get(place));
        }
        pairs
    }

    /// The same as places in [`PairsReport::pairs`].
    pub fn places_worst_first(&self) -> Vec<usize> {
        let mut ranked = Vec::with_capacity(self.pairs.len());
        for (place, pair) in self.pairs.iter().enumerate() {
            ranked.push(RankedPair {
                place,
                level: pair.level(),
                pair,
            });
        }
        ranked.sort_by(RankedPair::compare);
        ranked.into_iter().map(|ranked| ranked.place).collect()
    }
}

/// A pair with its level, which is computed once for all comparisons.
struct RankedPair<'a> {
    place: usize,
    level: Level,
    pair: &'a PairReport,
}

impl RankedPair<'_> {
    /// Orders the worse pair first.
    fn compare(&self, other: &Self) -> Ordering {
        let by_level = other.level.cmp(&self.level);
        by_level
            .then_with(|| self.pair.state.cmp(&other.pair.state))
            .then_with(|| {
                let lag = self.pair.rank_seconds();
                other.pair.rank_seconds().total_cmp(&lag)
            })
            .then_with(|| self.pair.pair.cmp(&other.pair.pair))
            .then_with(|| self.pair.replica.cmp(&other.pair.replica))
    }
}

/// A pair as it is written: with its level.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    pair: &'a PairReport,
    level: Level,
    level_reason: Option<&'a str>,
}

/// Writes pairs with their levels. A reader computes them by [`PairReport::level`].
pub(super) fn write_pairs<S: Serializer>(pairs: &[PairReport], to: S) -> Result<S::Ok, S::Error> {
    let mut list = to.serialize_seq(Some(pairs.len()))?;
    for pair in pairs {
        let reason = pair.level_reason();
        list.serialize_element(&Written {
            pair,
            level: reason.level(),
            level_reason: reason.word(),
        })?;
    }
    list.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use crate::report::Levels;
    use crate::report::testing::pair;

    /// A pair whose rules are all on.
    fn guarded() -> PairReport {
        let on = Levels {
            warning: Some(10.0),
            critical: Some(60.0),
        };
        let mut report = pair("orders");
        let limits = &mut report.thresholds;
        for levels in [
            &mut limits.lag_seconds,
            &mut limits.link_down,
            &mut limits.unknown,
            &mut limits.diverged,
            &mut limits.failover,
            &mut limits.unreachable,
            &mut limits.full_sync,
        ] {
            *levels = on;
        }
        report
    }

    fn alert(rule: Rule, severity: Severity, state: ListedState) -> AlertBrief {
        AlertBrief {
            alertname: rule.alert_name().to_owned(),
            severity,
            state,
            recovering: false,
            reason: None,
        }
    }

    fn check(expected: (Level, Option<&str>), change: impl FnOnce(&mut PairReport)) {
        let mut report = guarded();
        change(&mut report);
        let reason = report.level_reason();
        assert_eq!((reason.level(), reason.word()), expected, "{report:?}");
    }

    const FIRING: ListedState = ListedState::Firing;
    const PENDING: ListedState = ListedState::Pending;
    const FINE: (Level, Option<&str>) = (Level::Ok, None);
    const LAG_UNKNOWN: (Level, Option<&str>) = (Level::Unknown, Some("lag_unknown"));

    #[test]
    fn the_level_is_that_of_the_worst_firing_alert() {
        check(FINE, |_| {});
        let high = Some("RedisCrossDcLagHigh");
        check((Level::Warning, high), |p| {
            p.alerts = vec![
                alert(Rule::LagSeconds, Severity::Warning, FIRING),
                alert(Rule::LagBytes, Severity::Critical, PENDING),
            ];
        });
        check((Level::Critical, high), |p| {
            p.alerts = vec![
                alert(Rule::Failover, Severity::Warning, FIRING),
                alert(Rule::LagSeconds, Severity::Critical, FIRING),
            ];
        });
        // A threshold that is passed does not count before the rule's alert fires.
        check(FINE, |p| p.lag_seconds = Some(1e6));
    }

    #[test]
    fn a_state_that_a_rule_judges_waits_for_its_alert() {
        check(FINE, |p| p.state = PairState::LinkDown);
        check(FINE, |p| p.state = PairState::Diverged);
        check(FINE, |p| p.state = PairState::ReplicaUnreachable);
        let unreachable = Some("RedisCrossDcServerUnreachable");
        check((Level::Warning, unreachable), |p| {
            p.state = PairState::MasterUnreachable;
            p.lag_seconds = None;
            p.alerts = vec![alert(Rule::Unreachable, Severity::Warning, FIRING)];
        });
    }

    #[test]
    fn a_state_without_a_rule_sets_the_level_itself() {
        let state = Some("state");
        check((Level::Critical, state), |p| {
            p.state = PairState::WrongMaster;
        });
        check((Level::Unknown, state), |p| {
            p.state = PairState::Unsupported;
        });
        check((Level::Warning, state), |p| {
            p.state = PairState::Stalled;
            p.thresholds.link_down = Levels::default();
        });
        check((Level::Critical, state), |p| {
            p.state = PairState::MasterUnreachable;
            p.thresholds.unreachable = Levels::default();
        });
    }

    #[test]
    fn a_lag_that_is_not_known_is_never_ok() {
        for state in PairState::ALL {
            let mut report = guarded();
            report.state = state;
            report.lag_seconds = None;
            assert!(report.level() >= Level::Unknown, "{state:?}");
        }
        check(LAG_UNKNOWN, |p| {
            p.state = PairState::MasterUnreachable;
            p.lag_seconds = None;
            p.alerts = vec![alert(Rule::Unreachable, Severity::Warning, PENDING)];
        });
        // A warning about something else does not explain why the lag is not known.
        check(LAG_UNKNOWN, |p| {
            p.state = PairState::MasterUnreachable;
            p.lag_seconds = None;
            p.alerts = vec![alert(Rule::FullSync, Severity::Warning, FIRING)];
        });
        check((Level::Warning, Some("RedisCrossDcLagUnknown")), |p| {
            p.state = PairState::Unknown;
            p.lag_seconds = None;
            p.alerts = vec![alert(Rule::Unknown, Severity::Warning, FIRING)];
        });
    }

    #[test]
    fn the_sentence_names_the_alert_that_sets_the_level() {
        let mut report = guarded();
        assert_eq!(report.why(), "the link is up");
        report.alerts = vec![alert(Rule::LagSeconds, Severity::Warning, PENDING)];
        assert_eq!(report.why(), "the link is up; pending: RedisCrossDcLagHigh");
        report.alerts = vec![alert(Rule::LagSeconds, Severity::Warning, FIRING)];
        assert_eq!(report.why(), "RedisCrossDcLagHigh; the link is up");
        report.alerts = vec![AlertBrief {
            reason: Some("r:1 took over".to_owned()),
            ..alert(Rule::Failover, Severity::Warning, FIRING)
        }];
        assert_eq!(
            report.why(),
            "RedisCrossDcFailover: r:1 took over; the link is up"
        );
        report.state = PairState::LinkDown;
        report.reason = "the link is down".to_owned();
        report.alerts = vec![alert(Rule::LinkDown, Severity::Critical, FIRING)];
        assert_eq!(report.why(), "RedisCrossDcLinkDown: the link is down");
    }

    #[test]
    fn pairs_are_written_with_their_levels() {
        let mut slow = guarded();
        slow.alerts = vec![alert(Rule::LagSeconds, Severity::Warning, FIRING)];
        let report = crate::report::testing::report([pair("calm"), slow]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["pairs"][0]["level"], "ok");
        assert_eq!(json["pairs"][0]["level_reason"], serde_json::Value::Null);
        assert_eq!(json["pairs"][1]["level"], "warning");
        assert_eq!(json["pairs"][1]["level_reason"], "RedisCrossDcLagHigh");
        let read: PairsReport = serde_json::from_value(json).unwrap();
        assert_eq!(read, report);
    }

    #[test]
    fn the_worst_pair_comes_first_and_equal_pairs_by_their_names() {
        let mut report = crate::report::testing::report(
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
