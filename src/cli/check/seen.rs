//! Everything that the screen is made of.

use std::cmp::Reverse;

use super::source::Source;
use crate::report::{
    AlertReport, AlertsReport, DeliveriesReport, Level, ListedState, PairReport, PairsReport,
};

/// What was learned, and from whom.
pub(super) struct Seen {
    /// The pairs and servers.
    pub(super) report: PairsReport,
    /// Who says so.
    pub(super) source: Source,
    /// The alerts; `None` where they are not known.
    pub(super) alerts: Option<AlertsReport>,
    /// Who was notified; `None` where that is not known.
    pub(super) deliveries: Option<DeliveriesReport>,
}

impl Seen {
    /// The instant that the report is about, as a Unix time.
    pub(super) const fn now(&self) -> f64 {
        self.report.exporter.now_timestamp
    }

    /// Whether nothing is wrong with the pair.
    pub(super) fn is_ok(&self, pair: &PairReport) -> bool {
        self.source.level(pair) == Level::Ok
    }

    /// The pairs, worst first, as the levels of this source say.
    pub(super) fn worst_first(&self) -> Vec<&PairReport> {
        let mut pairs = self.report.worst_first();
        pairs.sort_by_key(|pair| Reverse(self.source.level(pair)));
        pairs
    }

    /// The alerts about the pair or one of its servers that fire or are pending, in the order of
    /// attention.
    pub(super) fn alerts_about(&self, pair: &PairReport) -> Vec<&AlertReport> {
        let known = self.alerts.iter().flat_map(|report| &report.alerts);
        known
            .filter(|alert| alert.state != ListedState::Resolved && is_about(alert, pair))
            .collect()
    }
}

fn is_about(alert: &AlertReport, pair: &PairReport) -> bool {
    let label = |name| alert.labels.get(name).map(String::as_str);
    match (label("pair"), label("replica"), label("server")) {
        (Some(name), Some(replica), _) => name == pair.pair && replica == pair.replica,
        (Some(name), None, _) => name == pair.pair,
        (None, _, Some(server)) => server == pair.master || server == pair.replica,
        (None, _, None) => false,
    }
}
