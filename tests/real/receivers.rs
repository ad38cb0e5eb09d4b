//! What receivers get, and what becomes of a notification when they refuse, stall or break.

use std::collections::BTreeSet;

use redis_cross_dc_exporter::lab::{Answer, Received, RedisServer, Response, eventually};
use serde_json::Value;

use crate::command;
use crate::exporter::Exporter;
use crate::planted;
use crate::receiver::Receiver;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

/// A server that is silent for a second raises the alert, and one that answers ends it.
const QUICK: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
alerts: {unreachable: {warning: 1s, critical: 3s}}
";

/// The configuration for `stage` with these entries of `receivers`.
fn configuration(stage: &Stage, receivers: &[String]) -> String {
    let receivers = receivers.join(", ");
    let notify =
        format!("notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{receivers}]}}");
    format!("{QUICK}pairs: [{}]\n{notify}\n", stage.entry("orders"))
}

/// A receiver of what is about servers: that another receiver fails is not its business here.
fn webhook(name: &str, receiver: &Receiver) -> String {
    format!(
        "{{name: {name}, match: {{alertname: '*Unreachable'}}, webhook: {{url: '{}'}}}}",
        receiver.url("/hook")
    )
}

fn status(code: u16) -> Answer {
    Answer::Respond(Response::new(code))
}

async fn receiver(script: impl IntoIterator<Item = Answer>) -> Receiver {
    Receiver::start(script).await.unwrap()
}

/// The next request, past or future, whose `status` is this.
async fn hooked(receiver: &Receiver, status: &str) -> Received {
    let fits = |received: &Received| received.json().is_ok_and(|body| body["status"] == status);
    receiver.wait_for(status, LIMIT, fits).await.unwrap()
}

/// Waits until `receiver` has had this many requests.
async fn requests(receiver: &Receiver, count: usize) -> Vec<Received> {
    let enough = || async { Some(receiver.requests()).filter(|all| all.len() >= count) };
    eventually("enough requests", LIMIT, enough).await.unwrap()
}

/// Waits until the series has at least this value.
async fn metric_reaches(exporter: &Exporter, name: &str, labels: &[(&str, &str)], least: f64) {
    let reached = || async {
        let value = Scrape::of(exporter).await.value(name, labels);
        if value.is_some_and(|v| v >= least) {
            Ok(())
        } else {
            Err(format!("{value:?}"))
        }
    };
    eventually(
        &format!("{name} {labels:?} reaching {least}"),
        LIMIT,
        reached,
    )
    .await
    .unwrap();
}

const ATTEMPTS: &str = "redis_cross_dc_notifications_total";
const FAILED: &str = "redis_cross_dc_notifications_failed_total";
const DEAD: &str = "redis_cross_dc_notification_dead_letters_total";

#[tokio::test]
async fn each_answer_has_its_consequence_and_no_receiver_waits_for_another() {
    let mut stage = Stage::set().await;
    let failing = receiver([status(500), status(500)]).await;
    let limited = receiver([Answer::Respond(
        Response::new(429).header("Retry-After", "2"),
    )])
    .await;
    let (hanging, refusing, good) = (receiver([]).await, receiver([]).await, receiver([]).await);
    hanging.always(Answer::Hang);
    refusing.always(status(400));
    let closing = receiver([Answer::Close]).await;
    let named = [
        ("failing", &failing),
        ("limited", &limited),
        ("hanging", &hanging),
        ("refusing", &refusing),
        ("closing", &closing),
        ("good", &good),
    ];
    let receivers = named.map(|(name, receiver)| webhook(name, receiver));
    // Without a second level: its notification would take the place of one that is still tried
    // again.
    let yaml = configuration(&stage, &receivers).replace("critical: 3s", "critical: null");
    let exporter = Exporter::start(&yaml).await;
    stage.replica.kill();

    let first = hooked(&good, "firing").await;
    assert_eq!(
        requests(&hanging, 1).await.len(),
        1,
        "its one request is still unanswered"
    );
    let attempts = requests(&failing, 3).await;
    same_notification_until_taken(&attempts[..3]);
    let pause = requests(&limited, 2).await;
    assert!(
        (pause[1].at - pause[0].at).as_secs_f64() >= 2.0,
        "tried again before Retry-After"
    );
    same_notification_until_taken(&pause[..2]);
    same_notification_until_taken(&requests(&closing, 2).await[..2]);
    assert_ne!(
        first.header("webhook-id"),
        attempts[0].header("webhook-id"),
        "receivers do not share ids"
    );

    for (name, metric, reason, count) in [
        ("failing", FAILED, "server_error", 2.0),
        ("limited", FAILED, "rate_limited", 1.0),
        ("closing", FAILED, "connect", 1.0),
        ("refusing", FAILED, "client_error", 1.0),
        ("hanging", FAILED, "timeout", 1.0),
    ] {
        metric_reaches(
            &exporter,
            metric,
            &[("receiver", name), ("reason", reason)],
            count,
        )
        .await;
    }
    metric_reaches(&exporter, DEAD, &[("receiver", "refusing")], 1.0).await;
    let scrape = Scrape::of(&exporter).await;
    assert_eq!(
        scrape.value(ATTEMPTS, &[("receiver", "refusing")]),
        Some(1.0)
    );
    for (name, failed) in [
        ("failing", 2.0),
        ("limited", 1.0),
        ("closing", 1.0),
        ("good", 0.0),
    ] {
        let attempts = scrape.value(ATTEMPTS, &[("receiver", name)]);
        assert!(
            attempts.is_some_and(|attempts| attempts > failed),
            "{name}: {attempts:?}"
        );
        assert_eq!(
            scrape.value(DEAD, &[("receiver", name)]),
            Some(0.0),
            "{name}"
        );
    }
}

/// Checks that all of `attempts` are one notification, and that nothing in between was another.
fn same_notification_until_taken(attempts: &[Received]) {
    for attempt in &attempts[1..] {
        let ids = |received: &Received| {
            received
                .header("webhook-id")
                .expect("a webhook-id")
                .to_owned()
        };
        assert_eq!(ids(attempt), ids(&attempts[0]));
        assert_eq!(
            attempt.header("idempotency-key"),
            attempt.header("webhook-id")
        );
    }
}

#[tokio::test]
async fn each_kind_of_receiver_gets_start_and_end_in_its_format() {
    let mut stage = Stage::set().await;
    let [chat, pager, hook, urgent] = [
        receiver([]).await,
        receiver([]).await,
        receiver([]).await,
        receiver([]).await,
    ];
    let receivers = [
        format!(
            "{{name: chat, slack: {{webhook_url: '{}'}}}}",
            chat.url("/services/T0/B0/x")
        ),
        format!(
            "{{name: pager, pagerduty: {{routing_key: {}, url: '{}'}}}}",
            planted::ROUTING_KEY,
            pager.url("/v2/enqueue")
        ),
        webhook("hook", &hook),
        webhook("urgent", &urgent)
            .replace("name: urgent,", "name: urgent, min_severity: critical,"),
    ];
    let exporter = Exporter::start(&configuration(&stage, &receivers)).await;
    stage.replica.kill();

    let address = stage.replica.addr().to_string();
    let first = hooked(&hook, "firing").await;
    is_alertmanagers(&first, "firing", &address);
    let severity =
        |received: &Received| received.json().unwrap()["commonLabels"]["severity"].clone();
    assert_eq!(
        (severity(&first), first.method.as_str()),
        ("warning".into(), "POST")
    );
    let critical = hooked(&urgent, "firing").await;
    assert_eq!(severity(&critical), "critical", "a warning is not for it");
    assert!(
        (critical.at - first.at).as_secs_f64() > 1.0,
        "critical comes two seconds after the warning"
    );

    let text = |received: &Received| {
        received.json().unwrap()["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let says = |word: &'static str| {
        move |received: &Received| text(received).starts_with(&format!("[{word}]"))
    };
    let warning = chat
        .wait_for("the warning in the chat", LIMIT, says("WARNING"))
        .await
        .unwrap();
    let blocks = warning.json().unwrap();
    assert!(
        blocks["blocks"][0]["type"] == "header" && text(&warning).contains(&address),
        "{blocks}"
    );
    chat.wait_for("the escalation in the chat", LIMIT, says("CRITICAL"))
        .await
        .unwrap();

    let event = |action: &'static str| {
        move |received: &Received| received.json().unwrap()["event_action"] == action
    };
    let trigger = pager
        .wait_for("a trigger", LIMIT, event("trigger"))
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(
        (&trigger["routing_key"], &trigger["payload"]["severity"]),
        (&planted::ROUTING_KEY.into(), &"warning".into())
    );
    assert_eq!(trigger["payload"]["source"], address.as_str());
    assert!(
        trigger["payload"]["summary"]
            .as_str()
            .is_some_and(|text| text.contains(&address)),
        "{trigger}"
    );

    stage.replica.restart().await.unwrap();
    is_alertmanagers(&hooked(&hook, "resolved").await, "resolved", &address);
    hooked(&urgent, "resolved").await;
    chat.wait_for("the end in the chat", LIMIT, says("RESOLVED"))
        .await
        .unwrap();
    let resolve = pager
        .wait_for("a resolve", LIMIT, event("resolve"))
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(resolve["dedup_key"], trigger["dedup_key"]);
    assert_eq!(resolve["routing_key"], planted::ROUTING_KEY);
    let told: BTreeSet<_> = urgent
        .requests()
        .iter()
        .map(|r| severity(r).to_string())
        .collect();
    assert_eq!(
        told,
        ["\"critical\"".to_owned()].into(),
        "{}",
        exporter.log()
    );
}

/// Checks a body against Alertmanager's, version 4.
fn is_alertmanagers(received: &Received, status: &str, server: &str) {
    let body = received.json().unwrap();
    let alert = &body["alerts"][0];
    assert_eq!(
        (&body["version"], &body["status"], &alert["status"]),
        (&"4".into(), &status.into(), &status.into())
    );
    assert_eq!(
        alert["labels"]["alertname"],
        "RedisCrossDcServerUnreachable"
    );
    assert_eq!(
        (&alert["labels"]["server"], &alert["labels"]["dc"]),
        (&server.into(), &"dc2".into())
    );
    assert_eq!(
        alert["endsAt"] == "0001-01-01T00:00:00Z",
        status == "firing",
        "{alert}"
    );
    let texts = [
        "/groupKey",
        "/receiver",
        "/reason",
        "/alerts/0/fingerprint",
        "/alerts/0/annotations/summary",
    ];
    let advice = "/alerts/0/annotations/what_to_do";
    let is_firing = status == "firing";
    assert_eq!(body.pointer(advice).is_some(), is_firing, "{body}");
    for path in texts.into_iter().chain(["/alerts/0/startsAt"]) {
        assert!(
            body.pointer(path)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty()),
            "{path}: {body}"
        );
    }
    assert!(
        body["groupLabels"].is_object() && body["truncatedAlerts"] == 0,
        "{body}"
    );
}

/// Secrets that may be in requests to their own receiver or server, and nowhere else.
const PLANTED: [&str; 6] = [
    planted::REDIS,
    planted::SLACK,
    planted::ROUTING_KEY,
    planted::WEBHOOK,
    planted::HEADER,
    planted::FILE,
];

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    let master = RedisServer::builder()
        .password(PLANTED[0])
        .start()
        .await
        .unwrap();
    let replica = RedisServer::builder()
        .password(PLANTED[0])
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let mut stage = Stage { master, replica };
    let [chat, pager, hook, broken] = [
        receiver([]).await,
        receiver([]).await,
        receiver([]).await,
        receiver([]).await,
    ];
    pager.always(status(400));
    broken.always(Answer::Close);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, PLANTED[5]).unwrap();
    let headers = format!(
        "{{Authorization: 'Bearer {}', X-Token_file: '{}'}}",
        PLANTED[4],
        file.display()
    );
    let hook_url =
        |receiver: &Receiver| receiver.url(&format!("/{}?token={}", PLANTED[3], PLANTED[3]));
    let receivers = [
        format!(
            "{{name: chat, slack: {{webhook_url: '{}'}}}}",
            chat.url(&format!("/services/{}", PLANTED[1]))
        ),
        format!(
            "{{name: pager, pagerduty: {{routing_key: {}, url: '{}'}}}}",
            PLANTED[2],
            pager.url("/v2/enqueue")
        ),
        format!(
            "{{name: hook, webhook: {{url: '{}', headers: {headers}}}}}",
            hook_url(&hook)
        ),
        format!(
            "{{name: broken, webhook: {{url: '{}'}}}}",
            hook_url(&broken)
        ),
    ];
    let yaml = format!(
        "redis: {{password: {}}}\n{}",
        PLANTED[0],
        configuration(&stage, &receivers)
    );
    let exporter = Exporter::start(&yaml).await;
    exporter
        .wait_for("orders", "a login on both servers", LIMIT, |pair| {
            pair.link_up
        })
        .await;
    stage.replica.kill();

    let told = hooked(&hook, "firing").await;
    assert_eq!(
        told.header("authorization"),
        Some(format!("Bearer {}", PLANTED[4]).as_str())
    );
    assert_eq!(told.header("x-token"), Some(PLANTED[5]));
    assert!(requests(&chat, 1).await[0].path.contains(PLANTED[1]));
    assert!(requests(&pager, 1).await[0].text().contains(PLANTED[2]));
    metric_reaches(&exporter, DEAD, &[("receiver", "pager")], 1.0).await;
    metric_reaches(
        &exporter,
        FAILED,
        &[("receiver", "broken"), ("reason", "connect")],
        1.0,
    )
    .await;
    // A reload that is refused must not show the file's content, either.
    let wrong = yaml.replace(
        &format!("{}/{}", hook.url(""), PLANTED[3]),
        &format!("ftp://{}", PLANTED[3]),
    );
    assert_ne!(wrong, yaml);
    std::fs::write(exporter.config(), &wrong).unwrap();
    exporter.signal("HUP");
    let refused = || async { Scrape::of(&exporter).await.value(RELOADED, &[]) == Some(0.0) };
    eventually("the refusal of the reload", LIMIT, refused)
        .await
        .unwrap();

    let folder = exporter.config().parent().unwrap().to_owned();
    let refused = command::run(&folder, &["check-config", "--config.file", "config.yml"])
        .await
        .ended_with(64);
    std::fs::write(exporter.config(), yaml).unwrap();
    let checked = command::run(&folder, &["check-config", "--config.file", "config.yml"])
        .await
        .ended_with(0);
    assert!(checked.stdout.contains("***"), "{}", checked.stdout);
    let mut shown = vec![
        ("log", exporter.log()),
        ("refused", refused.stderr),
        ("check-config", checked.stdout),
    ];
    for path in [
        "/metrics",
        "/api/v1/pairs",
        "/api/v1/alerts",
        "/",
        "/-/ready",
    ] {
        shown.push((path, exporter.get(path).await));
    }
    for (place, text) in shown {
        planted::assert_absent(place, &text);
    }
}

const RELOADED: &str = "redis_cross_dc_exporter_config_last_reload_successful";
