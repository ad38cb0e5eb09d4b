//! Page, `check`, API and alerts have one severity: that of the alert that fires, which is named.

use std::path::Path;

use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{ListedState, PairReport};
use serde_json::Value;

use crate::command::{Outcome, folder_with, run};
use crate::exporter::Exporter;
use crate::failover::replicaof;
use crate::stage::{LIMIT, Stage};

/// Quick rounds, and these rules.
fn configuration(stage: &Stage, alerts: &str) -> String {
    format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 2s, remote: 2s}}}}\n\
         alerts: {{{alerts}}}\npairs: [{}]\n",
        stage.entry("orders")
    )
}

async fn check(folder: &Path, exporter: &Exporter) -> Outcome {
    let url = exporter.url();
    let args = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        url,
    ];
    run(folder, &args).await
}

/// The row of the pair in `check`'s table, and the lines below it.
fn row(table: &Outcome) -> String {
    let is_row = |line: &&str| line.split_whitespace().nth(1) == Some("orders");
    let mut lines = table.stdout.lines().skip_while(|line| !is_row(line));
    let row = lines.next().expect("a row of the pair");
    let below = lines.take_while(|line| line.starts_with(' '));
    [row]
        .into_iter()
        .chain(below)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The pair as JSON, as the API has it.
async fn raw(exporter: &Exporter) -> Value {
    let body: Value = serde_json::from_str(&exporter.get("/api/v1/pairs").await).unwrap();
    body["pairs"][0].clone()
}

fn streams(pair: &PairReport) -> bool {
    pair.state == PairState::Streaming && pair.lag_seconds.is_some()
}

fn fires(pair: &PairReport, name: &str) -> bool {
    let mut alerts = pair.alerts.iter();
    alerts.any(|alert| alert.alertname == name && alert.state == ListedState::Firing)
}

#[tokio::test]
async fn one_severity_a_silent_server_is_not_critical_before_its_alert() {
    let mut stage = Stage::set().await;
    let yaml = configuration(&stage, "unreachable: {warning: 1h, critical: 2h}");
    let (exporter, folder) = (Exporter::start(&yaml).await, folder_with(&yaml));
    exporter
        .wait_for("orders", "the pair to stream", LIMIT, streams)
        .await;
    stage.master.kill();
    let lost = |pair: &PairReport| pair.state == PairState::MasterUnreachable;
    exporter
        .wait_for("orders", "the loss of the master", LIMIT, lost)
        .await;
    // Nothing fires, and the lag is unknown: neither critical nor green.
    let table = check(folder.path(), &exporter).await.ended_with(3);
    assert!(row(&table).starts_with("unknown"), "{table:#?}");
    let raw = raw(&exporter).await;
    assert_eq!(raw["level"], "unknown");
    assert_eq!(raw["level_reason"], "lag_unknown");
}

#[tokio::test]
async fn one_severity_check_and_api_show_the_alert_and_its_level() {
    let mut stage = Stage::set().await;
    let yaml = configuration(&stage, "unreachable: {warning: 1s, critical: 1h}");
    let (exporter, folder) = (Exporter::start(&yaml).await, folder_with(&yaml));
    exporter
        .wait_for("orders", "the pair to stream", LIMIT, streams)
        .await;
    stage.master.kill();
    let unreachable = "RedisCrossDcServerUnreachable";
    exporter
        .wait_for("orders", "the alert", LIMIT, |pair| {
            fires(pair, unreachable)
        })
        .await;
    let table = check(folder.path(), &exporter).await.ended_with(1);
    let row = row(&table);
    assert!(row.starts_with("warning"), "{table:#?}");
    assert!(
        row.contains("RedisCrossDcServerUnreachable: "),
        "{table:#?}"
    );
    let raw = raw(&exporter).await;
    assert_eq!(raw["level"], "warning");
    assert_eq!(raw["level_reason"], unreachable);
}

#[tokio::test]
async fn one_severity_what_makes_a_streaming_pair_a_warning_is_named() {
    let stage = Stage::set().await;
    let yaml = configuration(&stage, "full_sync: {warning: 1, critical: null}");
    let (exporter, folder) = (Exporter::start(&yaml).await, folder_with(&yaml));
    exporter
        .wait_for("orders", "the pair to stream", LIMIT, streams)
        .await;
    // The replica forgets where it stood.
    replicaof(&stage.replica, None).await;
    replicaof(&stage.replica, Some(stage.master.addr())).await;
    let full_sync = "RedisCrossDcFullSync";
    let synced = |pair: &PairReport| streams(pair) && fires(pair, full_sync);
    exporter
        .wait_for("orders", "the full sync and its alert", LIMIT, synced)
        .await;
    let table = check(folder.path(), &exporter).await.ended_with(1);
    let row = row(&table);
    assert!(row.contains("streaming"), "{table:#?}");
    assert!(row.contains("RedisCrossDcFullSync: "), "{table:#?}");
    let page = exporter.get("/").await;
    let reason = page.split("id=\"pairs\"").nth(1).unwrap_or_default();
    assert!(reason.contains("RedisCrossDcFullSync: "), "{page}");
    assert_eq!(raw(&exporter).await["level_reason"], full_sync);
}
