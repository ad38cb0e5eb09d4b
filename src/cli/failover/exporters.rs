//! What running exporters know: the local one certifies the loss, observers elsewhere see the
//! master from other places.

use std::time::Duration;

use crate::app::operation::ExporterView;
use crate::cli::exporter::Exporter;
use crate::http_client::{HttpClient, HttpTimeouts};
use crate::report::PairsReport;

/// A running exporter answers at once, also for a large fleet.
pub(super) const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(5),
};

/// Asks the local exporter, and then the observers.
pub(super) async fn ask(local: &Exporter, observers: &[String]) -> Vec<ExporterView> {
    let mut views = vec![ExporterView {
        url: local.url.clone(),
        is_observer: false,
        report: report(&local.client, &local.url).await,
    }];
    for url in observers {
        let report = match HttpClient::for_receivers(TIMEOUTS) {
            Ok(client) => report(&client, url).await,
            Err(error) => Err(error.to_string()),
        };
        views.push(ExporterView {
            url: url.clone(),
            is_observer: true,
            report,
        });
    }
    views
}

async fn report(client: &HttpClient, url: &str) -> Result<PairsReport, String> {
    let report = client.get_json(&format!("{url}/api/v1/pairs")).await;
    report.map_err(|error| error.to_string())
}
