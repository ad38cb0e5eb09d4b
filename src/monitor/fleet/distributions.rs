//! Histograms over the whole fleet, by datacenter.

use std::collections::BTreeMap;

use super::pairs::Pairs;
use super::servers::Servers;
use crate::model::{Datacenter, Histogram, LAG_BOUNDS, Span};
use crate::monitor::snapshot::Operation;
use crate::topology::Pair;

/// Upper bounds of the latency histograms' buckets, in seconds: from the round trip of a loopback
/// to the longest timeout.
const LATENCY_BOUNDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Lag, latency and lateness since the start.
#[derive(Debug, Default)]
pub(in crate::monitor) struct Distributions {
    /// Lag at a fixed tick, by source and target datacenter.
    pub(in crate::monitor) lag: BTreeMap<(Datacenter, Datacenter), Histogram>,
    /// Round trips of polls.
    pub(in crate::monitor) latency: BTreeMap<(Operation, Datacenter), Histogram>,
    /// How late polls were sent.
    pub(in crate::monitor) lateness: BTreeMap<Datacenter, Histogram>,
}

impl Distributions {
    pub(super) fn observe_lag(&mut self, pair: &Pair, lag: Span) {
        let key = (pair.source_dc.clone(), pair.target_dc.clone());
        self.lag
            .entry(key)
            .or_insert_with(|| Histogram::new(LAG_BOUNDS))
            .observe(lag);
    }

    pub(super) fn observe_latency(&mut self, operation: Operation, dc: Datacenter, took: Span) {
        self.latency
            .entry((operation, dc))
            .or_insert_with(|| Histogram::new(LATENCY_BOUNDS))
            .observe(took);
    }

    pub(super) fn observe_lateness(&mut self, dc: Datacenter, late: Span) {
        self.lateness
            .entry(dc)
            .or_insert_with(|| Histogram::new(LATENCY_BOUNDS))
            .observe(late.or_zero());
    }

    /// Drops the series of datacenters that are no longer watched.
    pub(super) fn retain_watched(&mut self, servers: &Servers, pairs: &Pairs) {
        self.lateness.retain(|dc, _| servers.any_in(dc));
        self.latency.retain(|(_, dc), _| servers.any_in(dc));
        self.lag
            .retain(|(source, target), _| pairs.any_between(source, target));
    }
}
