//! The links between datacenters in a report: a summary of the pairs from one to another.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::level::Level;
use super::pairs::{PairReport, PairsReport};
use crate::replication::PairState;

/// All pairs from one datacenter to another, or inside one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkReport {
    /// Where the masters are.
    pub source_dc: String,
    /// Where the replicas are.
    pub target_dc: String,
    /// The level of the worst pair.
    pub level: Level,
    /// The state of the worst pair.
    pub state: PairState,
    /// What sets the level of the worst pair: an alert's name, `state` or `lag_unknown`; `None`
    /// where all is well.
    pub level_reason: Option<String>,
    /// How many pairs there are.
    pub pairs: usize,
    /// How many of them are in `state`; where that is `streaming`, only those at `level`.
    pub in_state: usize,
    /// How many of them stream.
    pub streaming: usize,
    /// For how many of them neither the lag nor a lower bound is known.
    pub lag_unknown: usize,
    /// The largest lag: the best estimate, or the lower bound where there is none.
    pub worst_lag_seconds: Option<f64>,
    /// Whether the worst lag may be larger: some pair's lag is unknown, or known from below only.
    pub worst_lag_is_at_least: bool,
    /// What may be lost with the source: the bytes behind of all pairs for which they are known.
    pub bytes_behind: Option<u64>,
    /// Whether there may be more: some pair's bytes are unknown, or known from below only.
    pub bytes_behind_is_at_least: bool,
    /// For how many pairs whose lag is unknown now an upper bound was certified before: those of a
    /// lost master.
    pub last_known: usize,
    /// The largest of those bounds.
    pub last_known_lag_upper_seconds: Option<f64>,
    /// The sum of those bounds in bytes.
    pub last_known_lag_upper_bytes: Option<u64>,
}

/// How many pairs there are at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Somebody must look now.
    pub critical: usize,
    /// It is not known how they are.
    pub unknown: usize,
    /// Somebody should look.
    pub warning: usize,
    /// All is well.
    pub ok: usize,
}

impl Summary {
    /// The counts with their levels, the worst first.
    pub const fn counts(&self) -> [(Level, usize); 4] {
        [
            (Level::Critical, self.critical),
            (Level::Unknown, self.unknown),
            (Level::Warning, self.warning),
            (Level::Ok, self.ok),
        ]
    }

    fn count(&mut self, level: Level) {
        let count = match level {
            Level::Critical => &mut self.critical,
            Level::Unknown => &mut self.unknown,
            Level::Warning => &mut self.warning,
            Level::Ok => &mut self.ok,
        };
        *count += 1;
    }
}

impl PairsReport {
    /// How many pairs there are at each level.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for pair in &self.pairs {
            summary.count(pair.level());
        }
        summary
    }

    /// The links between datacenters, by their names.
    pub fn links(&self) -> Vec<LinkReport> {
        let mut links: BTreeMap<(&str, &str), LinkReport> = BTreeMap::new();
        for pair in &self.pairs {
            let link = links
                .entry((&pair.source_dc, &pair.target_dc))
                .or_insert_with(|| LinkReport::new(pair));
            link.add(pair);
        }
        for pair in &self.pairs {
            if let Some(link) = links.get_mut(&(&*pair.source_dc, &*pair.target_dc)) {
                link.count_if_worst(pair);
            }
        }
        links.into_values().collect()
    }
}

impl LinkReport {
    fn new(pair: &PairReport) -> Self {
        Self {
            source_dc: pair.source_dc.clone(),
            target_dc: pair.target_dc.clone(),
            level: pair.level(),
            state: pair.state,
            level_reason: pair.level_reason().word().map(str::to_owned),
            pairs: 0,
            in_state: 0,
            streaming: 0,
            lag_unknown: 0,
            worst_lag_seconds: None,
            worst_lag_is_at_least: false,
            bytes_behind: None,
            bytes_behind_is_at_least: false,
            last_known: 0,
            last_known_lag_upper_seconds: None,
            last_known_lag_upper_bytes: None,
        }
    }

    fn add(&mut self, pair: &PairReport) {
        self.pairs += 1;
        self.streaming += usize::from(pair.state == PairState::Streaming);
        self.add_state(pair);
        self.add_lag(pair);
        self.add_bytes(pair);
        self.add_last_known(pair);
    }

    /// The order is that of the table: the worse level first, then the state that takes precedence.
    fn add_state(&mut self, pair: &PairReport) {
        let level = pair.level();
        if (self.level, Reverse(self.state)) < (level, Reverse(pair.state)) {
            self.level = level;
            self.state = pair.state;
            self.level_reason = pair.level_reason().word().map(str::to_owned);
        }
    }

    /// Counts the pair if it is in the state of the link's worst.
    fn count_if_worst(&mut self, pair: &PairReport) {
        let same_level = pair.state != PairState::Streaming || pair.level() == self.level;
        self.in_state += usize::from(pair.state == self.state && same_level);
    }

    fn add_lag(&mut self, pair: &PairReport) {
        let lag = pair.known_lag_seconds();
        self.lag_unknown += usize::from(lag.is_none());
        self.worst_lag_is_at_least |= pair.lag_seconds.is_none();
        let known = [self.worst_lag_seconds, lag].into_iter().flatten();
        self.worst_lag_seconds = known.reduce(f64::max);
    }

    fn add_bytes(&mut self, pair: &PairReport) {
        let lower = pair.lag_lower_bytes.filter(|lower| *lower > 0);
        let bytes = pair.lag_bytes.or(lower);
        self.bytes_behind_is_at_least |= pair.lag_bytes.is_none();
        let known = [self.bytes_behind, bytes].into_iter().flatten();
        self.bytes_behind = known.reduce(u64::saturating_add);
    }

    fn add_last_known(&mut self, pair: &PairReport) {
        if pair.known_lag_seconds().is_some() {
            return;
        }
        let Some(known) = pair.last_known else {
            return;
        };
        self.last_known += 1;
        let upper = known.lag_upper_seconds;
        let largest = self.last_known_lag_upper_seconds.unwrap_or(upper);
        self.last_known_lag_upper_seconds = Some(largest.max(upper));
        if let Some(bytes) = known.lag_upper_bytes {
            let sum = self.last_known_lag_upper_bytes.unwrap_or(0);
            self.last_known_lag_upper_bytes = Some(sum.saturating_add(bytes));
        }
    }
}

impl PairReport {
    /// The lag as far as it is known now: the estimate, or a lower bound above zero.
    fn known_lag_seconds(&self) -> Option<f64> {
        let lower = self.lag_lower_seconds.filter(|lower| *lower > 0.0);
        self.lag_seconds.or(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{pair, report};
    use super::*;
    use crate::config::Severity;
    use crate::report::{AlertBrief, LastKnownReport, ListedState};

    #[test]
    fn a_link_is_as_bad_as_its_worst_pair() {
        let mut report = report(["calm", "slow", "cut", "inside"].map(pair));
        let [_, slow, cut, inside] = report.pairs.as_mut_slice() else {
            panic!("four pairs")
        };
        (slow.lag_seconds, slow.lag_bytes) = (Some(2.0), Some(10));
        (
            cut.state,
            cut.lag_seconds,
            cut.lag_lower_seconds,
            cut.lag_bytes,
        ) = (PairState::LinkDown, None, None, None);
        "dc1".clone_into(&mut inside.target_dc);
        let links = report.links();
        let names: Vec<_> = links
            .iter()
            .map(|link| (link.source_dc.as_str(), link.target_dc.as_str()))
            .collect();
        assert_eq!(names, [("dc1", "dc1"), ("dc1", "dc2")]);
        let link = &links[1];
        assert_eq!(
            (link.level, link.state, link.in_state),
            (Level::Warning, PairState::LinkDown, 1)
        );
        assert!(link.worst_lag_is_at_least && link.bytes_behind_is_at_least);
        assert_eq!((link.pairs, link.streaming, link.lag_unknown), (3, 2, 1));
        assert_eq!(
            (link.worst_lag_seconds, link.bytes_behind),
            (Some(2.0), Some(10))
        );
        assert_eq!(
            report.summary(),
            Summary {
                warning: 1,
                ok: 3,
                ..Summary::default()
            }
        );
    }

    #[test]
    fn what_is_known_of_no_pair_is_not_known_of_the_link() {
        let mut report = report([pair("dark")]);
        let dark = &mut report.pairs[0];
        (
            dark.state,
            dark.lag_seconds,
            dark.lag_lower_seconds,
            dark.lag_bytes,
        ) = (PairState::Unknown, None, None, None);
        let link = &report.links()[0];
        assert_eq!(
            (link.level, link.worst_lag_seconds, link.bytes_behind),
            (Level::Unknown, None, None)
        );
    }

    #[test]
    fn pairs_in_the_worst_state_are_counted_and_no_others() {
        let mut report = report(["calm", "cut", "lost", "cut too"].map(pair));
        for place in [1, 3] {
            report.pairs[place].state = PairState::Stalled;
        }
        report.pairs[1].link_down_seconds = Some(1.0);
        let link = &report.links()[0];
        assert_eq!((link.state, link.in_state), (PairState::Stalled, 2));
        report.pairs[2].state = PairState::MasterUnreachable;
        let link = &report.links()[0];
        assert_eq!(
            (link.state, link.in_state),
            (PairState::MasterUnreachable, 1)
        );
    }

    #[test]
    fn only_streaming_pairs_at_the_worst_level_are_counted() {
        let mut report = report(["calm", "slow"].map(pair));
        report.pairs[1].alerts = vec![AlertBrief {
            alertname: "RedisCrossDcLagHigh".to_owned(),
            severity: Severity::Warning,
            state: ListedState::Firing,
            recovering: false,
            reason: None,
        }];
        let link = &report.links()[0];
        let worst = (link.level, link.state, link.in_state);
        assert_eq!(worst, (Level::Warning, PairState::Streaming, 1));
        assert_eq!(link.level_reason.as_deref(), Some("RedisCrossDcLagHigh"));
    }

    #[test]
    fn a_pair_of_a_lost_master_counts_with_its_last_certified_bounds() {
        let mut report = report(["calm", "lost"].map(pair));
        report.pairs[0].lag_bytes = Some(12);
        let lost = &mut report.pairs[1];
        lost.state = PairState::MasterUnreachable;
        lost.lag_seconds = None;
        lost.lag_lower_seconds = Some(0.0);
        lost.lag_bytes = None;
        lost.last_known = Some(LastKnownReport {
            lag_upper_seconds: 0.018,
            lag_upper_bytes: Some(305),
            timestamp: 0.0,
        });
        let link = &report.links()[0];
        assert_eq!((link.lag_unknown, link.last_known), (1, 1));
        assert!(link.worst_lag_is_at_least && link.bytes_behind_is_at_least);
        assert_eq!(link.bytes_behind, Some(12));
        assert_eq!(link.last_known_lag_upper_seconds, Some(0.018));
        assert_eq!(link.last_known_lag_upper_bytes, Some(305));
    }
}
