//! What managed services put before their servers, as fakes before real ones: proxies and load
//! balancers, commands that are blocked, and INFO that lacks fields (docs/managed-services.md).

mod endpoint;
mod restricted;
mod turns;

use std::time::Duration;

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, entry};

pub(crate) use endpoint::Endpoint;

/// Quick polls, and alerts that need no time.
const SECTIONS: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 1s, remote: 1s}}
alerts: {unknown: {warning: 1s}, link_down: {warning: 1s}, unreachable: {warning: 1s}}
";

/// An exporter of the pair `orders` with these addresses.
async fn exporter_of(master: &ServerAddr, replica: &ServerAddr) -> Exporter {
    let pair = entry("orders", ("dc1", master), ("dc2", replica));
    Exporter::start(&format!("{SECTIONS}pairs: [{pair}]\n")).await
}

/// Waits until the pair is in `state` for a reason that contains `reason`.
async fn wait_for_state(exporter: &Exporter, state: PairState, reason: &str) -> PairReport {
    let reached = |pair: &PairReport| pair.state == state && pair.reason.contains(reason);
    exporter
        .wait_for("orders", &format!("{state:?}: {reason}"), LIMIT, reached)
        .await
}

/// Waits until servers at `addr` have answered `polls` more times: whatever they cause has
/// happened.
async fn after_polls(exporter: &Exporter, addr: &ServerAddr, polls: f64) {
    let server = addr.to_string();
    let polled = || async {
        let scrape = Scrape::of(exporter).await;
        scrape.value("redis_cross_dc_polls_total", &[("server", &server)])
    };
    let before = polled().await.unwrap_or(0.0);
    let done = || async { polled().await.is_some_and(|now| now >= before + polls) };
    eventually("some more polls", LIMIT, done).await.unwrap();
}

/// Nothing was said that is not true: no failover, no two masters, no history that was lost, no
/// server that does not answer.
async fn nothing_false_was_said(exporter: &Exporter) {
    let report = exporter.pairs().await;
    assert_eq!(report.failovers[0].total, 0, "{:?}", report.failovers);
    // What is firing is logged a little later than it is shown.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let log = exporter.log();
    let wrong = [
        "RedisCrossDcDiverged",
        "RedisCrossDcFailover",
        "RedisCrossDcServerUnreachable",
        "RedisCrossDcFullSync",
        "history was lost",
    ];
    for word in wrong {
        assert!(!log.contains(word), "{word}:\n{log}");
    }
}
