//! The links between datacenters: how the pairs between two of them are, taken together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::level::Level;
use super::pairs::{PairReport, PairsReport};
use super::words;
use crate::replication::PairState;

/// All pairs from one datacenter to another, or inside one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkReport {
    /// Where the masters are.
    pub source_dc: String,
    /// Where the replicas are.
    pub target_dc: String,
    /// How bad the worst pair is.
    #[serde(with = "words::level")]
    pub level: Level,
    /// The state of the worst pair.
    #[serde(with = "words::state")]
    pub state: PairState,
    /// How many pairs there are.
    pub pairs: usize,
    /// How many of them stream.
    pub streaming: usize,
    /// Of how many of them neither the lag nor a bound of it is known.
    pub lag_unknown: usize,
    /// The largest lag: the best estimate, or the lower bound where there is none.
    pub worst_lag_seconds: Option<f64>,
    /// What may be gone with the source: the bytes behind of all pairs of which they are known.
    pub bytes_behind: Option<u64>,
}

/// How many pairs are how bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Somebody must look now.
    pub critical: usize,
    /// Nobody can say how they are.
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
    /// How many pairs are how bad.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        self.pairs
            .iter()
            .for_each(|pair| summary.count(pair.level()));
        summary
    }

    /// The links between datacenters, by their names.
    pub fn links(&self) -> Vec<LinkReport> {
        let mut links: BTreeMap<(&str, &str), LinkReport> = BTreeMap::new();
        for pair in &self.pairs {
            let link = links
                .entry((&pair.source_dc, &pair.target_dc))
                .or_insert_with(|| LinkReport::of(pair));
            link.take_in(pair);
        }
        links.into_values().collect()
    }
}

impl LinkReport {
    fn of(pair: &PairReport) -> Self {
        Self {
            source_dc: pair.source_dc.clone(),
            target_dc: pair.target_dc.clone(),
            level: pair.level(),
            state: pair.state,
            pairs: 0,
            streaming: 0,
            lag_unknown: 0,
            worst_lag_seconds: None,
            bytes_behind: None,
        }
    }

    fn take_in(&mut self, pair: &PairReport) {
        let lag = pair.lag_seconds.or(pair.lag_lower_seconds);
        let level = pair.level();
        // As in the table: what is worse comes first, and of what is equally bad the state that
        // precedes.
        if (self.level, std::cmp::Reverse(self.state)) < (level, std::cmp::Reverse(pair.state)) {
            (self.level, self.state) = (level, pair.state);
        }
        self.pairs += 1;
        self.streaming += usize::from(pair.state == PairState::Streaming);
        self.lag_unknown += usize::from(lag.is_none());
        self.worst_lag_seconds = lag
            .into_iter()
            .chain(self.worst_lag_seconds)
            .reduce(f64::max);
        self.bytes_behind = pair
            .lag_bytes
            .into_iter()
            .chain(self.bytes_behind)
            .reduce(u64::saturating_add);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{pair, report};
    use super::*;

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
            (link.level, link.state),
            (Level::Warning, PairState::LinkDown)
        );
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
    fn what_nobody_knows_of_any_pair_is_not_known_of_the_link() {
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
}
