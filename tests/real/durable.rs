//! What alerts and their delivery are after a restart, a reload, a refusal, and without a disk.

use std::time::Duration;

use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::{Answer, Received, Response, eventually};
use redis_cross_dc_exporter::report::DeliveriesReport;

use crate::exporter::Exporter;
use crate::planted;
use crate::receiver::Receiver;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

/// A server that is silent for a second raises the alert, and nothing is repeated.
fn configuration(stage: &Stage, receivers: &[String], keeping: &str) -> String {
    let quick = "poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}\n\
                 alerts: {unreachable: {warning: 1s, critical: null}}\n";
    let receivers = receivers.join(", ");
    let notify =
        format!("notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{receivers}]}}");
    format!(
        "{quick}pairs: [{}]\n{notify}\n{keeping}",
        stage.entry("orders")
    )
}

fn webhook(name: &str, receiver: &Receiver) -> String {
    format!(
        "{{name: {name}, webhook: {{url: '{}'}}}}",
        receiver.url("/hook")
    )
}

fn pager(receiver: &Receiver) -> String {
    let (key, url) = (planted::ROUTING_KEY, receiver.url("/v2/enqueue"));
    format!("{{name: pager, pagerduty: {{routing_key: {key}, url: '{url}'}}}}")
}

async fn receiver() -> Receiver {
    Receiver::start([]).await.unwrap()
}

async fn hooked(receiver: &Receiver, status: &str) -> Received {
    let fits = |received: &Received| received.json().is_ok_and(|body| body["status"] == status);
    receiver.wait_for(status, LIMIT, fits).await.unwrap()
}

async fn paged(receiver: &Receiver, action: &str) -> Received {
    let fits = |received: &Received| {
        received
            .json()
            .is_ok_and(|body| body["event_action"] == action)
    };
    receiver.wait_for(action, LIMIT, fits).await.unwrap()
}

async fn metric_is(exporter: &Exporter, name: &str, labels: &[(&str, &str)], wanted: f64) {
    let reached = || async {
        let value = Scrape::of(exporter).await.value(name, labels);
        if value == Some(wanted) {
            Ok(())
        } else {
            Err(format!("{value:?}"))
        }
    };
    eventually(&format!("{name} {labels:?} to be {wanted}"), LIMIT, reached)
        .await
        .unwrap();
}

const ATTEMPTS: &str = "redis_cross_dc_notifications_total";

#[tokio::test]
async fn across_a_kill_and_an_orderly_stop_each_receiver_gets_one_alert_and_its_resolution() {
    let mut stage = Stage::set().await;
    let (hook, duty) = (receiver().await, receiver().await);
    let yaml = configuration(&stage, &[webhook("hook", &hook), pager(&duty)], "");
    let mut exporter = Exporter::start(&yaml).await;
    stage.replica.kill();
    hooked(&hook, "firing").await;
    let trigger = paged(&duty, "trigger").await.json().unwrap();
    for receiver in ["hook", "pager"] {
        metric_is(&exporter, ATTEMPTS, &[("receiver", receiver)], 1.0).await;
    }
    for end in ["KILL", "TERM"] {
        exporter.signal(end);
        exporter.ended(LIMIT).await;
        exporter.relaunch();
        exporter.until_ready().await;
        assert_eq!(
            exporter
                .alerts()
                .await
                .alerts
                .iter()
                .filter(|alert| alert.state.label() == "firing")
                .count(),
            1
        );
    }
    stage.replica.restart().await.unwrap();
    hooked(&hook, "resolved").await;
    let resolve = paged(&duty, "resolve").await.json().unwrap();
    assert_eq!(
        (&resolve["dedup_key"], &resolve["routing_key"]),
        (&trigger["dedup_key"], &trigger["routing_key"])
    );
    assert_eq!(
        [hook.requests().len(), duty.requests().len()],
        [2, 2],
        "{}",
        exporter.log()
    );
}

#[tokio::test]
async fn a_removed_pagerduty_receiver_gets_the_resolution_even_across_a_restart() {
    for by_reload in [true, false] {
        let mut stage = Stage::set().await;
        let (hook, duty) = (receiver().await, receiver().await);
        let mut exporter = Exporter::start(&configuration(
            &stage,
            &[webhook("hook", &hook), pager(&duty)],
            "",
        ))
        .await;
        stage.replica.kill();
        paged(&duty, "trigger").await;
        metric_is(&exporter, ATTEMPTS, &[("receiver", "pager")], 1.0).await;
        std::fs::write(
            exporter.config(),
            configuration(&stage, &[webhook("hook", &hook)], ""),
        )
        .unwrap();
        if by_reload {
            exporter.signal("HUP");
            let gone = || async {
                !Scrape::of(&exporter)
                    .await
                    .text()
                    .contains("receiver=\"pager\"")
            };
            eventually("the reload", LIMIT, gone).await.unwrap();
        } else {
            exporter.signal("KILL");
            exporter.ended(LIMIT).await;
            exporter.relaunch();
            exporter.until_ready().await;
        }
        stage.replica.restart().await.unwrap();
        assert_eq!(
            paged(&duty, "resolve").await.json().unwrap()["routing_key"],
            planted::ROUTING_KEY
        );
        assert_eq!(duty.requests().len(), 2);
    }
}

async fn deliveries(exporter: &Exporter) -> DeliveriesReport {
    serde_json::from_str(&exporter.get("/api/v1/deliveries").await).unwrap()
}

#[tokio::test]
async fn a_rejected_notification_is_shown_goes_to_the_fallback_and_can_be_replayed() {
    let mut stage = Stage::set().await;
    let (hook, refusing) = (receiver().await, receiver().await);
    refusing.always(Answer::Respond(Response::new(403)));
    let with_fallback =
        webhook("oncall", &refusing).replace("{name: oncall,", "{name: oncall, fallback: chat,");
    let chat =
        webhook("chat", &hook).replace("{name: chat,", "{name: chat, match: {pair: nobodys},");
    let exporter = Exporter::start_admin(&configuration(&stage, &[with_fallback, chat], "")).await;
    stage.replica.kill();
    let copy = hooked(&hook, "firing").await.json().unwrap();
    assert_eq!(copy["groupLabels"]["undelivered_to"], "oncall");
    metric_is(
        &exporter,
        "redis_cross_dc_notification_dead_letters_total",
        &[("receiver", "oncall")],
        1.0,
    )
    .await;
    let report = deliveries(&exporter).await;
    let letter = &report.dead_letters[0].delivery;
    assert_eq!(
        (letter.failure.as_deref(), report.dead_letters[0].over),
        (Some("auth_error"), false)
    );
    assert_eq!(
        Some(&*letter.subject.id),
        refusing.requests()[0].header("webhook-id")
    );

    refusing.always(Answer::Accept);
    let second = Duration::from_secs(10);
    let client = HttpClient::for_receivers(HttpTimeouts {
        connect: second,
        total: second,
    })
    .unwrap();
    let replay = |id: &str| {
        let (client, url) = (
            client.clone(),
            format!("{}/api/v1/deliveries/{id}/replay", exporter.url()),
        );
        async move {
            client
                .post_json(&url, &[], Vec::new())
                .await
                .unwrap()
                .status
        }
    };
    assert_eq!(replay("msg_unknown").await, 404);
    assert_eq!(replay(&letter.subject.id).await, 202);
    let again = || async { refusing.requests().len() == 2 };
    eventually("the dead letter", LIMIT, again).await.unwrap();
    assert_eq!(
        refusing.requests()[1].header("webhook-id"),
        Some(&*letter.subject.id)
    );
    metric_is(&exporter, ATTEMPTS, &[("receiver", "oncall")], 2.0).await;
    stage.replica.restart().await.unwrap();
    hooked(&refusing, "resolved").await;
    assert_eq!(
        hooked(&hook, "resolved").await.json().unwrap()["groupLabels"]["undelivered_to"],
        "oncall"
    );
    assert!(deliveries(&exporter).await.dead_letters.is_empty());
}

#[tokio::test]
async fn a_receiver_that_answers_410_has_an_open_circuit_even_after_a_restart() {
    let mut stage = Stage::set().await;
    let gone = receiver().await;
    gone.always(Answer::Respond(Response::new(410)));
    let mut exporter = Exporter::start(&configuration(&stage, &[webhook("hook", &gone)], "")).await;
    let circuit = "redis_cross_dc_notification_circuit_open";
    metric_is(&exporter, circuit, &[("receiver", "hook")], 0.0).await;
    stage.replica.kill();
    metric_is(&exporter, circuit, &[("receiver", "hook")], 1.0).await;
    let until = deliveries(&exporter).await.receivers[0]
        .circuit_open_until_timestamp
        .unwrap();
    let report = deliveries(&exporter).await;
    assert!(
        (until - report.exporter.now_timestamp - 900.0).abs() < 60.0,
        "{report:?}"
    );
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    exporter.relaunch();
    exporter.until_ready().await;
    assert_eq!(
        (
            gone.requests().len(),
            deliveries(&exporter).await.waiting.len()
        ),
        (1, 1)
    );
    // Only its own word opens a circuit, and a person may close it with a reload that changes its
    // settings.
    gone.always(Answer::Accept);
    let changed = webhook("hook", &gone).replace("/hook'", "/another'");
    std::fs::write(exporter.config(), configuration(&stage, &[changed], "")).unwrap();
    exporter.signal("HUP");
    metric_is(&exporter, ATTEMPTS, &[("receiver", "hook")], 1.0).await;
    metric_is(&exporter, circuit, &[("receiver", "hook")], 0.0).await;
}

#[tokio::test]
async fn without_a_state_file_everything_is_notified_from_memory() {
    let mut stage = Stage::set().await;
    let hook = receiver().await;
    let nowhere = "state: {path: /proc/nothing/can/be/made/here}\n";
    let exporter =
        Exporter::start(&configuration(&stage, &[webhook("hook", &hook)], nowhere)).await;
    metric_is(&exporter, "redis_cross_dc_state_store_up", &[], 0.0).await;
    stage.replica.kill();
    hooked(&hook, "firing").await;
    stage.replica.restart().await.unwrap();
    hooked(&hook, "resolved").await;
    assert_eq!(hook.requests().len(), 2);
}

#[tokio::test]
async fn a_state_damaged_during_an_alert_is_reported_and_alerts_continue() {
    let mut stage = Stage::set().await;
    let hook = receiver().await;
    let mut exporter = Exporter::start(&configuration(&stage, &[webhook("hook", &hook)], "")).await;
    stage.replica.kill();
    hooked(&hook, "firing").await;
    metric_is(&exporter, ATTEMPTS, &[("receiver", "hook")], 1.0).await;
    exporter.signal("KILL");
    exporter.ended(LIMIT).await;
    let file = exporter.folder().path().join("data/state.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..]
        .iter_mut()
        .step_by(7)
        .for_each(|byte| *byte ^= 0x55);
    std::fs::write(&file, bytes).unwrap();
    exporter.relaunch();
    exporter.until_ready().await;
    assert!(
        exporter
            .log()
            .contains("the state was damaged: it is kept under another name"),
        "{}",
        exporter.log()
    );
    // What was forgotten is announced again, and ends.
    let again = || async { hook.requests().len() == 2 };
    eventually("the alert again", LIMIT, again).await.unwrap();
    stage.replica.restart().await.unwrap();
    hooked(&hook, "resolved").await;
}
