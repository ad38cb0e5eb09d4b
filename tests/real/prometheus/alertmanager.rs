//! The exporter as a client of a real Alertmanager: two exporters, two members, escalation,
//! recovery, and their end.

use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::eventually;
use serde_json::Value;
use std::time::Duration;

use super::servers::Alertmanager;
use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

/// The severities of the alerts that are active at the member.
async fn active(member: &Alertmanager) -> Result<Vec<String>, String> {
    let timeouts = HttpTimeouts {
        connect: Duration::from_secs(2),
        total: Duration::from_secs(10),
    };
    let client = HttpClient::for_exporter(timeouts).unwrap();
    let url = format!("http://{}/api/v2/alerts", member.address);
    let alerts: Value = client
        .get_json(&url)
        .await
        .map_err(|error| error.to_string())?;
    let alerts = alerts.as_array().unwrap();
    Ok(alerts
        .iter()
        .map(|alert| alert["labels"]["severity"].as_str().unwrap().to_owned())
        .collect())
}

/// Waits until every member has exactly these active alerts.
async fn until_active(members: &[Alertmanager], what: &str, expected: &[&str]) {
    for member in members {
        let probe = || async {
            let found = active(member).await?;
            if found == expected {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        };
        eventually(what, LIMIT, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test]
async fn two_exporters_are_one_alert_in_every_member_that_escalates_resolves_and_dies_with_them() {
    let mut stage = Stage::set().await;
    let pages = Receiver::start([]).await.unwrap();
    let members = [
        Alertmanager::start(&pages.url("/page")).await,
        Alertmanager::start(&pages.url("/page")).await,
    ];
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts: {{unreachable: {{warning: 1s, critical: 4s}}, link_down: {{warning: null, critical: null}}}}\n\
         pairs: [{}]\nnotify: {{receivers: [{{name: am, alertmanager: {{interval: 1s, urls: ['http://{}', 'http://{}']}}}}]}}\n",
        stage.entry("orders"),
        members[0].address,
        members[1].address,
    );
    let exporters = [Exporter::start(&yaml).await, Exporter::start(&yaml).await];
    for exporter in &exporters {
        exporter
            .wait_for("orders", "the pair to be up", LIMIT, |pair| pair.link_up)
            .await;
    }

    stage.replica.kill();
    until_active(&members, "the warning", &["warning"]).await;
    until_active(
        &members,
        "the escalation, and the end of the warning",
        &["critical"],
    )
    .await;
    let severity = |wanted: &'static str, status: &'static str| {
        move |request: &redis_cross_dc_exporter::lab::Received| {
            let body = request.json().unwrap();
            body["alerts"]
                .as_array()
                .unwrap()
                .iter()
                .any(|alert| alert["labels"]["severity"] == wanted && alert["status"] == status)
        }
    };
    let page = pages
        .wait_for("the critical page", LIMIT, severity("critical", "firing"))
        .await
        .unwrap();
    let alert = page.json().unwrap()["alerts"][0].clone();
    assert_eq!(
        alert["labels"]["alertname"], "RedisCrossDcServerUnreachable",
        "{alert}"
    );
    assert!(
        alert["annotations"]["what_to_do"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{alert}"
    );

    stage.replica.restart().await.unwrap();
    until_active(&members, "the end", &[]).await;
    pages
        .wait_for(
            "the end of the page",
            LIMIT,
            severity("critical", "resolved"),
        )
        .await
        .unwrap();

    // What no exporter sends any more ends by itself.
    stage.replica.kill();
    until_active(&members, "the warning again", &["warning"]).await;
    drop(exporters);
    until_active(&members, "the end of what nobody tells any more", &[]).await;
}
