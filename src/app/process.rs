//! The text of a scrape: the fleet's metrics, and the exporter's own about its process, its web
//! configuration and its saved state.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::metrics::{self, Exposition};
use crate::store::StoreStatus;
use crate::web::{MetricsEncoder, WebConfigStatus};

/// What a scrape shows besides the fleet.
pub(super) struct Sources {
    /// Which series there are.
    pub(super) exposition: watch::Receiver<Exposition>,
    pub(super) web_config: Option<WebConfigStatus>,
    pub(super) store: watch::Receiver<StoreStatus>,
    /// Where polls run, if not on the current runtime.
    pub(super) poll_runtime: Option<Handle>,
}

/// Writes one scrape: `process_*`, the fleet's families, the web configuration's where there is
/// one, and the state's.
pub(super) fn encoder(sources: Sources) -> MetricsEncoder {
    let Sources {
        exposition,
        web_config,
        store,
        poll_runtime,
    } = sources;
    Arc::new(move |snapshot, now| {
        let shown = exposition.borrow().clone();
        let mut families = metrics::collect(snapshot, now, &shown);
        if let Some(status) = &web_config {
            families.add_web_config(status.successful());
        }
        families.add_state_store(*store.borrow());
        families.add_tasks(alive_tasks(poll_runtime.as_ref()));
        let mut process = ProcessCollector::for_self().collect();
        process.retain(|family| !family.get_metric().is_empty());
        let mut text = metrics::encode(&process)?;
        families.write_to(&mut text);
        Ok(text.into_bytes())
    })
}

/// The tasks of the current runtime and that of the polls; `None` outside of one.
fn alive_tasks(poll_runtime: Option<&Handle>) -> Option<usize> {
    let runtime = Handle::try_current().ok()?;
    let tasks = |runtime: &Handle| runtime.metrics().num_alive_tasks();
    Some(tasks(&runtime) + poll_runtime.map_or(0, tasks))
}
