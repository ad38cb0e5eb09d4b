//! Metrics: a snapshot of the fleet becomes Prometheus' text format at the instant of the scrape.
//!
//! There is no registry of gauges to keep up to date: lines are written from the snapshot, so the
//! series of a pair that is no longer watched are gone with it.

mod active_active;
pub mod catalogue;
mod clusters;
mod discovery;
mod doctor;
pub mod documentation;
mod exporter;
mod families;
mod forecasts;
mod labels;
mod lost_writes;
mod operations;
mod pairs;
mod servers;
mod switches;
#[cfg(test)]
mod tests;

use prometheus::proto::MetricFamily;
use prometheus::{Error, TextEncoder};

use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::topology::SourceHealth;
pub use families::Families;
pub use switches::Exposition;

/// The families of `snapshot` at the instant `now`, with the series that `exposition` shows.
pub fn collect(snapshot: &FleetSnapshot, now: Timestamp, exposition: &Exposition) -> Families {
    let mut families = Families::default();
    let anchor = snapshot.anchor;
    for pair in &snapshot.pairs {
        pairs::add_pair(&mut families, pair, exposition, anchor, now);
    }
    for failovers in &*snapshot.failovers {
        pairs::add_failovers(&mut families, failovers);
    }
    doctor::add_findings(&mut families, snapshot);
    for server in &snapshot.servers {
        servers::add_server(&mut families, server, exposition, anchor);
    }
    for source in &*snapshot.sources {
        match source {
            SourceHealth::Sentinels(group) => servers::add_sentinels(&mut families, group),
            SourceHealth::Cluster(group) => clusters::add_cluster(&mut families, group),
            SourceHealth::Names(group) => discovery::add_names(&mut families, group),
            SourceHealth::Files(group) => discovery::add_files(&mut families, group),
        }
    }
    exporter::add_histograms(&mut families, snapshot);
    pairs::add_default_thresholds(&mut families, exposition);
    for alert in &*snapshot.alerts {
        exporter::add_alert(&mut families, alert);
    }
    for receiver in &snapshot.receivers {
        exporter::add_receiver(&mut families, receiver, anchor, now);
    }
    exporter::add_exporter(&mut families, snapshot);
    lost_writes::add(&mut families, &snapshot.captures);
    operations::add(&mut families, &snapshot.operations);
    operations::add_drills(&mut families, &snapshot.drills);
    for entry in &*snapshot.active_active {
        active_active::add(&mut families, entry, anchor, now);
    }
    families
}

/// Families that the `prometheus` crate collected, as text: those about the process.
///
/// # Errors
/// A family that the encoder refuses: one without a series.
pub fn encode(families: &[MetricFamily]) -> Result<String, Error> {
    TextEncoder::new().encode_to_string(families)
}
