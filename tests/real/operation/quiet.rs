//! The running exporter knows of operations: planned work is shown and notifies nobody.

use redis_cross_dc_exporter::lab::eventually;
use serde_json::Value;

use super::{Duo, failover_with, last_line};
use crate::command::configuration;
use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

const FAILOVER: &str = "RedisCrossDcFailover";

async fn fires(exporter: &Exporter, name: &str) -> bool {
    let alerts = exporter.alerts().await.alerts;
    alerts.iter().any(|alert| alert.alertname == name)
}

#[tokio::test]
async fn a_planned_switch_over_is_shown_and_notifies_nobody() {
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let yaml = configuration(&[entry("orders", ("dc1", &addrs[0]), ("dc2", &addrs[1]))]);
    let exporter = Exporter::start_admin(&yaml).await;
    let done = failover_with(exporter.url(), duo.folder.path(), &["--execute"]).await;
    let done = done.ended_with(0);
    assert!(
        !done.stdout.contains("does not know of this operation"),
        "{done:#?}"
    );
    let report = exporter.get("/api/v1/operations").await;
    let report: Value = serde_json::from_str(&report).unwrap();
    let operation = &report["operations"][0];
    assert_eq!(operation["phase"], "done", "{report}");
    assert_eq!(operation["reason"], last_line(&done));
    assert_eq!(operation["quiet_until_timestamp"], Value::Null);
    let id = operation["id"].as_str().unwrap();
    let turned = || async {
        let pair = exporter.pair("orders").await;
        if pair.master == addrs[1].to_string() {
            Ok(())
        } else {
            Err(pair.master)
        }
    };
    eventually("the pair to turn", LIMIT, turned).await.unwrap();
    let metrics = exporter.get("/metrics").await;
    let info = format!(
        "redis_cross_dc_operation_info{{pair=\"orders\",id=\"{id}\",kind=\"switch-over\",state=\"done\"}} 1"
    );
    assert!(metrics.contains(&info), "{metrics}");
    let count = "redis_cross_dc_failovers_total{pair=\"orders\"} 1";
    assert!(metrics.contains(count), "{metrics}");
    assert!(!fires(&exporter, FAILOVER).await, "it was planned");
    let page = exporter.get("/").await;
    assert!(page.contains(id), "the notice and the journal");
    // By hand, nobody has said so.
    let follow = |port: u16| {
        [
            "REPLICAOF".to_owned(),
            "127.0.0.1".to_owned(),
            port.to_string(),
        ]
    };
    let follow = follow(addrs[0].port().unwrap());
    let follow: Vec<&str> = follow.iter().map(String::as_str).collect();
    duo.servers[1].command(&follow).await.unwrap();
    let promote = ["REPLICAOF", "NO", "ONE"];
    duo.servers[0].command(&promote).await.unwrap();
    let noticed = || async {
        if fires(&exporter, FAILOVER).await {
            Ok(())
        } else {
            Err("no alert")
        }
    };
    eventually("the failover by hand to be an alert", LIMIT, noticed)
        .await
        .unwrap();
}
