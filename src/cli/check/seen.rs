//! What `check` has found out, and where: all that it prints is made from it.

use std::cmp::Reverse;

use super::source::Source;
use crate::report::{
    AlertReport, AlertsReport, DeliveriesReport, Level, ListedState, PairReport, PairsReport,
};

/// What was found out, and where.
pub(super) struct Seen {
    /// The pairs and servers.
    pub(super) report: PairsReport,
    /// Where the report comes from.
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

    /// Forgets everything about pairs of other names.
    pub(super) fn retain_pair(&mut self, name: &str) {
        let report = &mut self.report;
        report.pairs.retain(|pair| pair.pair == name);
        report.sentinels.retain(|group| group.pair == name);
        report.clusters.retain(|cluster| {
            let rest = name.strip_prefix(&cluster.cluster);
            rest.is_some_and(|rest| rest.starts_with('/'))
        });
        // A file that cannot be used may be why the pair is missing, so the files stay.
        report.discovery.names.retain(|entry| entry.pair == name);
        report.failovers.retain(|entry| entry.pair == name);
        report.lost_writes.retain(|entry| entry.pair == name);
    }

    /// The level of the worst pair; `None` without a pair.
    pub(super) fn worst_level(&self) -> Option<Level> {
        let pairs = self.report.pairs.iter();
        pairs.map(|pair| self.source.level(pair)).max()
    }

    /// The pairs, worst first by the levels of this source.
    pub(super) fn worst_first(&self) -> Vec<&PairReport> {
        let mut pairs = self.report.worst_first();
        pairs.sort_by_key(|pair| Reverse(self.source.level(pair)));
        pairs
    }

    /// The alerts about the pair or one of its servers that fire or are pending, in the order of
    /// attention.
    pub(super) fn alerts_about(&self, pair: &PairReport) -> Vec<&AlertReport> {
        let Some(report) = &self.alerts else {
            return Vec::new();
        };
        let open = report
            .alerts
            .iter()
            .filter(|alert| alert.state != ListedState::Resolved);
        open.filter(|alert| is_about(alert, pair)).collect()
    }
}

fn is_about(alert: &AlertReport, pair: &PairReport) -> bool {
    let labels = &alert.labels;
    if let Some(name) = labels.get("pair") {
        let is_this_replica = match labels.get("replica") {
            Some(replica) => *replica == pair.replica,
            None => true,
        };
        return *name == pair.pair && is_this_replica;
    }
    match labels.get("server") {
        Some(server) => *server == pair.master || *server == pair.replica,
        None => false,
    }
}
