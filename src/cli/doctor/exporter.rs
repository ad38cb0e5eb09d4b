//! What a running exporter has seen masters write, where one answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cli::args::{ExporterArgs, Global};
use crate::cli::exporter::Exporter;
use crate::doctor::WriteHistory;
use crate::http_client::HttpTimeouts;
use crate::model::ServerAddr;
use crate::report::DoctorStatusReport;

/// A running exporter answers at once; where there is none, a measurement does.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(1),
    total: Duration::from_secs(3),
};

/// The history of each master that the exporter polls; none where no exporter answers, or not to
/// this client. The report says of each number what it rests on.
pub(super) async fn histories(
    global: &Global,
    args: &ExporterArgs,
) -> BTreeMap<ServerAddr, WriteHistory> {
    let mut histories = BTreeMap::new();
    let Ok(exporter) = Exporter::new(global, args, TIMEOUTS) else {
        return histories;
    };
    let url = format!("{}/api/v1/doctor", exporter.url);
    let answer = exporter.client.get_json::<DoctorStatusReport>(&url).await;
    if let Ok(status) = answer {
        for writes in &status.writes {
            histories.extend(writes.history());
        }
    }
    histories
}
