//! The exporter's own process metrics, beside those of the fleet.

use std::error::Error;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::metrics;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;

/// One scrape: the fleet's families and `process_*`, as text.
pub(super) fn encode_with_process(
    snapshot: &FleetSnapshot,
    now: Timestamp,
) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut families = metrics::collect(snapshot, now);
    families.extend(ProcessCollector::for_self().collect());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(metrics::encode(&families)?.into_bytes())
}
