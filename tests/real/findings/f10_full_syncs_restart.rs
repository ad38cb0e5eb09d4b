//! F10: a restart forgot when full syncs were, and what the charts had shown.

use redis_cross_dc_exporter::lab::{Received, eventually};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{AlertReport, ListedState, PairReport};
use serde_json::Value;

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

fn configuration(stage: &Stage, hook: &Receiver) -> String {
    let url = hook.url("/hook");
    format!(
        "poll: {{interval: 300ms, min_interval: 200ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{full_sync: {{warning: 1, critical: 20, window: 10m}}}}\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{{name: hook, webhook: {{url: '{url}'}}}}]}}\n\
         pairs: [{}]\n",
        stage.entry("orders")
    )
}

async fn full_sync_alert(exporter: &Exporter) -> Option<AlertReport> {
    let alerts = exporter.alerts().await.alerts;
    let mut of_full_syncs = alerts
        .into_iter()
        .filter(|alert| alert.alertname == "RedisCrossDcFullSync");
    of_full_syncs.next()
}

async fn until_counted(exporter: &Exporter, wanted: f64) {
    let counted = || async {
        let alert = full_sync_alert(exporter).await;
        let is_there = alert
            .as_ref()
            .is_some_and(|alert| alert.value == Some(wanted));
        is_there.then_some(()).ok_or(format!("{alert:?}"))
    };
    eventually("the full syncs to be counted", LIMIT, counted)
        .await
        .unwrap();
}

async fn streams(exporter: &Exporter) {
    let is_fine = |pair: &PairReport| pair.state == PairState::Streaming;
    exporter
        .wait_for("orders", "it streams", LIMIT, is_fine)
        .await;
}

/// A replica that forgets where it stood takes a full sync.
async fn full_sync(stage: &Stage) {
    let (host, port) = (
        stage.master.addr().host().unwrap(),
        stage.master.addr().port(),
    );
    let port = port.unwrap().to_string();
    let as_replica = ["REPLICAOF", host, &port];
    stage
        .replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    stage.replica.command(&as_replica).await.unwrap();
    stage.replica.wait_until_in_sync(LIMIT).await.unwrap();
}

async fn give_a_full_sync(stage: &Stage, exporter: &Exporter) {
    full_sync(stage).await;
    streams(exporter).await;
}

#[tokio::test]
async fn f10_full_syncs_keep_their_times_over_a_restart() {
    let stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let mut exporter = Exporter::start(&configuration(&stage, &hook)).await;
    streams(&exporter).await;
    give_a_full_sync(&stage, &exporter).await;
    until_counted(&exporter, 1.0).await;
    give_a_full_sync(&stage, &exporter).await;
    until_counted(&exporter, 2.0).await;
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    exporter.relaunch();
    exporter.until_ready().await;
    streams(&exporter).await;
    until_counted(&exporter, 2.0).await;
    let alert = full_sync_alert(&exporter).await.unwrap();
    assert_eq!(alert.state, ListedState::Firing);
    give_a_full_sync(&stage, &exporter).await;
    until_counted(&exporter, 3.0).await;
    let is_over = |request: &&Received| {
        request.text().contains("FullSync") && request.text().contains("\"resolved\"")
    };
    assert!(!hook.requests().iter().any(|request| is_over(&request)));
}

/// The full syncs within the window are those since the window began, whatever was counted when an
/// alert last changed.
#[tokio::test]
async fn f10_a_full_sync_while_nothing_ran_is_counted_with_those_before() {
    let stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let mut exporter = Exporter::start(&configuration(&stage, &hook)).await;
    streams(&exporter).await;
    give_a_full_sync(&stage, &exporter).await;
    until_counted(&exporter, 1.0).await;
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    full_sync(&stage).await;
    exporter.relaunch();
    exporter.until_ready().await;
    until_counted(&exporter, 2.0).await;
}

#[tokio::test]
async fn f10_charts_go_on_over_a_restart_and_the_time_between_is_unknown() {
    let stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let mut exporter = Exporter::start(&configuration(&stage, &hook)).await;
    streams(&exporter).await;
    let history = async |exporter: &Exporter| -> Value {
        let replica = stage.replica.addr();
        let path = format!("/api/v1/pairs/orders/history?replica={replica}&since=10m");
        serde_json::from_str(&exporter.get(&path).await).unwrap()
    };
    let points = |history: &Value| -> Vec<(f64, Value)> {
        let points = history["points"].as_array().unwrap();
        let point = |point: &Value| (point["timestamp"].as_f64().unwrap(), point["state"].clone());
        points.iter().map(point).collect()
    };
    let three = || async {
        let seen = points(&history(&exporter).await);
        (seen.len() >= 3).then_some(seen)
    };
    let before = eventually("three points", LIMIT, three).await.unwrap();
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    // More than two steps of the finest tier.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    exporter.relaunch();
    exporter.until_ready().await;
    streams(&exporter).await;
    let after = points(&history(&exporter).await);
    for (timestamp, state) in &before {
        let same = after.iter().find(|(at, _)| (at - timestamp).abs() < 0.01);
        assert!(same.is_some(), "{state} at {timestamp} is gone: {after:?}");
    }
    assert_eq!(after[0].1, before[0].1);
    let unknown = after.iter().filter(|(_, state)| state.is_null());
    assert!(unknown.count() >= 1, "{after:?}");
}
