//! The exporter's own metrics, beside those of the fleet: its process, and its web configuration's fate.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::metrics;
use crate::web::{MetricsEncoder, WebConfigStatus};

/// Writes one scrape: the fleet's families, the web configuration's where there is one, and `process_*`, as text.
pub(super) fn encoder(web_config: Option<WebConfigStatus>) -> MetricsEncoder {
    Arc::new(move |snapshot, now| {
        let mut families = metrics::collect(snapshot, now);
        families.extend(web_config.iter().flat_map(|status| metrics::web_config(status.successful())));
        families.extend(ProcessCollector::for_self().collect());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(metrics::encode(&families)?.into_bytes())
    })
}
