//! Two servers fail, one after the other: the second one pages, too, and its page is about it.

use redis_cross_dc_exporter::lab::Received;
use serde_json::Value;

use crate::exporter::Exporter;
use crate::planted;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage, entry};

/// An exporter of these pairs that pages when a server is silent.
async fn exporter(pairs: &[String], pager: &Receiver) -> Exporter {
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{unreachable: {{warning: null, critical: 1s}}}}\n\
         pairs: [{}]\n\
         notify: {{group_wait: 0s, group_interval: 500ms, receivers: [{{name: oncall, \
         match: {{alertname: '*Unreachable'}}, pagerduty: {{routing_key: {}, url: '{}'}}}}]}}\n",
        pairs.join(", "),
        planted::ROUTING_KEY,
        pager.url("/v2/enqueue"),
    );
    Exporter::start(&yaml).await
}

/// The first page that names the server.
async fn page_about(pager: &Receiver, server: &str) -> Value {
    let names = |received: &Received| {
        let body = received.json().unwrap_or_default();
        let summary = body["payload"]["summary"].as_str().unwrap_or_default();
        body["event_action"] == "trigger" && summary.contains(server)
    };
    let page = pager
        .wait_for("a page about the server", LIMIT, names)
        .await;
    page.unwrap().json().unwrap()
}

#[tokio::test]
async fn i08_servers_of_two_datacenters_are_two_incidents() {
    let (mut one, mut other) = (Stage::set().await, Stage::set().await);
    let pager = Receiver::start([]).await.unwrap();
    let _exporter = exporter(&[one.entry("orders"), other.entry("carts")], &pager).await;
    one.replica.kill();
    let first = page_about(&pager, &one.replica.addr().to_string()).await;
    other.master.kill();
    let second = page_about(&pager, &other.master.addr().to_string()).await;
    assert_ne!(first["dedup_key"], second["dedup_key"]);
}

#[tokio::test]
async fn i08_another_server_of_the_same_datacenter_pages_by_its_name() {
    let (mut one, mut other) = (Stage::set().await, Stage::set().await);
    let pager = Receiver::start([]).await.unwrap();
    let of = |stage: &Stage, name: &str| {
        entry(
            name,
            ("dc1", stage.master.addr()),
            ("dc2", stage.replica.addr()),
        )
    };
    let _exporter = exporter(&[of(&one, "orders"), of(&other, "carts")], &pager).await;
    one.replica.kill();
    let first = page_about(&pager, &one.replica.addr().to_string()).await;
    other.replica.kill();
    let address = other.replica.addr().to_string();
    let second = page_about(&pager, &address).await;
    assert_ne!(first["dedup_key"], second["dedup_key"]);
    // The news comes before what was known.
    let summary = second["payload"]["summary"].as_str().unwrap();
    let known = summary.find(&one.replica.addr().to_string());
    assert!(
        known.is_none_or(|known| known > summary.find(&address).unwrap()),
        "{summary}"
    );
}
