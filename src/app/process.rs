//! The text of a scrape: the fleet's metrics, and the exporter's own about its process, its web
//! configuration and its saved state.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::metrics;
use crate::store::StoreStatus;
use crate::web::{MetricsEncoder, WebConfigStatus};

/// Writes one scrape: the fleet's families, the web configuration's where there is one, the
/// state's, and `process_*`, as text.
pub(super) fn encoder(
    web_config: Option<WebConfigStatus>,
    store: watch::Receiver<StoreStatus>,
) -> MetricsEncoder {
    Arc::new(move |snapshot, now| {
        let mut families = metrics::collect(snapshot, now);
        if let Some(status) = &web_config {
            families.extend(metrics::web_config(status.successful()));
        }
        families.extend(metrics::state_store(*store.borrow()));
        families.extend(metrics::tasks(alive_tasks()));
        families.extend(ProcessCollector::for_self().collect());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(metrics::encode(&families)?.into_bytes())
    })
}

/// The tasks of the current runtime; `None` outside of one.
fn alive_tasks() -> Option<usize> {
    let runtime = Handle::try_current().ok()?;
    Some(runtime.metrics().num_alive_tasks())
}
