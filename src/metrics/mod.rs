//! Metrics: a snapshot of the fleet becomes Prometheus families at the instant of the scrape.
//!
//! There is no registry of gauges to keep in step: families are built from the snapshot, so that a
//! pair that vanished vanishes from the scrape, too.

pub mod catalogue;
mod collector;
mod sentinels;
mod sheet;

use prometheus::proto::MetricFamily;
use prometheus::{Error, TextEncoder};

pub use collector::{collect, state_store, tasks, web_config};

/// The families as text, in Prometheus' format 0.0.4. Families without a series are left out.
pub fn encode(families: &[MetricFamily]) -> Result<String, Error> {
    let mut text = String::new();
    for family in families
        .iter()
        .filter(|family| !family.get_metric().is_empty())
    {
        TextEncoder::new().encode_utf8(std::slice::from_ref(family), &mut text)?;
    }
    Ok(text)
}
