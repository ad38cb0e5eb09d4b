//! The exporter's own metrics, beside those of the fleet: its process, its web configuration's
//! fate, its state's.

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
        families.extend(
            web_config
                .iter()
                .flat_map(|status| metrics::web_config(status.successful())),
        );
        families.extend(metrics::state_store(*store.borrow()));
        families.extend(metrics::tasks(
            Handle::try_current()
                .ok()
                .map(|runtime| runtime.metrics().num_alive_tasks()),
        ));
        families.extend(ProcessCollector::for_self().collect());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(metrics::encode(&families)?.into_bytes())
    })
}
