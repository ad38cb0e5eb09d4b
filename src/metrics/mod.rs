//! Metrics: a snapshot of the fleet becomes Prometheus families at the instant of the scrape.
//!
//! There is no registry of gauges to keep up to date: families are built from the snapshot, so the
//! series of a pair that is no longer watched are gone with it.

pub mod catalogue;
mod doctor;
mod exporter;
mod families;
mod forecasts;
mod lost_writes;
mod pairs;
mod servers;
#[cfg(test)]
mod tests;

use prometheus::proto::MetricFamily;
use prometheus::{Error, TextEncoder};

use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::topology::SourceHealth;
pub use exporter::{state_store, tasks, web_config};
use families::Families;

/// The families of `snapshot` at the instant `now`.
pub fn collect(snapshot: &FleetSnapshot, now: Timestamp) -> Vec<MetricFamily> {
    let mut families = Families::default();
    let anchor = snapshot.anchor;
    for pair in &snapshot.pairs {
        pairs::add_pair(&mut families, pair, anchor, now);
    }
    for failovers in &*snapshot.failovers {
        pairs::add_failovers(&mut families, failovers);
    }
    doctor::add_findings(&mut families, snapshot);
    for server in &snapshot.servers {
        servers::add_server(&mut families, server, anchor);
    }
    for source in &*snapshot.sources {
        match source {
            SourceHealth::Sentinels(group) => servers::add_sentinels(&mut families, group),
        }
    }
    exporter::add_histograms(&mut families, snapshot);
    for alert in &*snapshot.alerts {
        exporter::add_alert(&mut families, alert);
    }
    for receiver in &snapshot.receivers {
        exporter::add_receiver(&mut families, receiver, anchor, now);
    }
    exporter::add_exporter(&mut families, snapshot);
    lost_writes::add(&mut families, &snapshot.captures);
    families.into_proto()
}

/// The families as text, in Prometheus' format 0.0.4. Families without a series are left out.
///
/// # Errors
/// A family that the encoder refuses: none of ours is.
pub fn encode(families: &[MetricFamily]) -> Result<String, Error> {
    let encoder = TextEncoder::new();
    let mut text = String::new();
    for family in families {
        if !family.get_metric().is_empty() {
            encoder.encode_utf8(std::slice::from_ref(family), &mut text)?;
        }
    }
    Ok(text)
}
