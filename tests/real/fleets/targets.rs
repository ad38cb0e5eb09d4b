//! `/api/v1/sd`, read by a Prometheus.

use serde_json::Value;

use super::POLL;
use crate::exporter::Exporter;
use crate::prometheus::address;
use crate::prometheus::servers::Prometheus;
use crate::stage::{LIMIT, Stage};

#[tokio::test]
async fn prometheus_finds_the_monitored_servers() {
    let orders = Stage::set().await;
    let carts = Stage::set().await;
    let labelled = |entry: String, environment: &str| {
        entry.replacen(
            "{name",
            &format!("{{labels: {{environment: {environment}}}, name"),
            1,
        )
    };
    let pairs = [
        labelled(orders.entry("orders"), "production"),
        labelled(carts.entry("carts"), "test"),
    ];
    let exporter = Exporter::start(&format!("{POLL}pairs: [{}]\n", pairs.join(", "))).await;
    for name in ["orders", "carts"] {
        exporter
            .wait_for(name, "the pair to be up", LIMIT, |pair| pair.link_up)
            .await;
    }
    let listed: Vec<Value> = serde_json::from_str(&exporter.get("/api/v1/sd").await).unwrap();
    assert_eq!(listed.len(), 4, "{listed:?}");
    let prometheus = Prometheus::with_config(&format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: redis\n  scrape_timeout: 1s\n  \
           http_sd_configs: [{{url: 'http://{}/api/v1/sd', refresh_interval: 1s}}]\n  \
           relabel_configs:\n  \
           - {{source_labels: [__meta_redis_cross_dc_url], target_label: url}}\n",
        address(&exporter)
    ))
    .await;
    // The targets are Redis servers and no exporters, so Prometheus reports them as down; what
    // counts is which they are, and their labels.
    for (stage, name, environment) in [(&orders, "orders", "production"), (&carts, "carts", "test")]
    {
        for (server, dc, role) in [
            (&stage.master, "dc1", "master"),
            (&stage.replica, "dc2", "replica"),
        ] {
            let addr = server.addr();
            let expr = format!(
                "up{{instance=\"{addr}\", pair=\"{name}\", dc=\"{dc}\", role=\"{role}\", \
                 environment=\"{environment}\", url=\"redis://{addr}\"}}"
            );
            prometheus.wait_for(&expr, "a target", LIMIT).await;
        }
    }
    assert_eq!(prometheus.query("count(up)").await.len(), 1);
    assert_eq!(
        prometheus.query("count(up) == 4").await.len(),
        1,
        "and no others"
    );
}
