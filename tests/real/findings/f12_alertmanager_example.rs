//! F12: what the Alertmanager example sends. A resolved alert was listed among those that fire, in
//! their words; `PagerDuty` had no severity and the summary of a resolved alert; chat never had a
//! critical one. And section 5 of the review: what mutes what.

use std::time::Duration;

use redis_cross_dc_exporter::http_client::{HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::{Received, eventually};
use serde_json::{Value, json};

use crate::planted;
use crate::prometheus::servers::Alertmanager;
use crate::receiver::Receiver;
use crate::stage::LIMIT;

/// How long an alert that is posted lives: longer than any test.
const LIFETIME: Duration = Duration::from_mins(10);

/// The example with an Alertmanager that runs it, and what receives its notifications.
struct Example {
    alertmanager: Alertmanager,
    client: HttpClient,
    receiver: Receiver,
    _secrets: tempfile::TempDir,
}

/// An alert's labels.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Example {
    async fn start() -> Self {
        let receiver = Receiver::start([]).await.unwrap();
        let secrets = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = secrets.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let slack = file("slack", &receiver.url("/slack"));
        let key = file("key", planted::ROUTING_KEY);
        let example = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/alerts/alertmanager.example.yml"
        );
        let example = std::fs::read_to_string(example)
            .unwrap()
            .replace("/run/secrets/slack-webhook", &slack)
            .replace("/run/secrets/pagerduty-routing-key", &key)
            .replace("http://dead-mans-switch.example.com", &receiver.url(""))
            .replace("group_wait: 10s", "group_wait: 1s")
            .replace("group_interval: 1m", "group_interval: 1s");
        let config = format!(
            "global: {{pagerduty_url: '{}'}}\n{example}",
            receiver.url("/v2/enqueue")
        );
        let timeouts = HttpTimeouts {
            connect: Duration::from_secs(2),
            total: Duration::from_secs(10),
        };
        Self {
            alertmanager: Alertmanager::with_config(&config).await,
            client: HttpClient::for_exporter(timeouts).unwrap(),
            receiver,
            _secrets: secrets,
        }
    }

    /// Posts alerts as Prometheus does; `lives` is zero for those that are resolved.
    async fn post(&self, alerts: &[Labels<'_>], lives: Duration) {
        let now = jiff::Timestamp::now();
        let start = (now - Duration::from_mins(1)).to_string();
        let end = (now + lives).to_string();
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|labels| {
                let named: serde_json::Map<String, Value> = labels
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), json!(value)))
                    .collect();
                let annotations = json!({
                    "summary": summary(labels),
                    "description": "What would be lost.",
                    "runbook_url": "http://runbooks/RedisCrossDc",
                });
                json!({"labels": named, "annotations": annotations, "startsAt": start, "endsAt": end})
            })
            .collect();
        let url = format!("http://{}/api/v2/alerts", self.alertmanager.address);
        let body = serde_json::to_vec(&alerts).unwrap();
        let answer = self.client.post_json(&url, &[], body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn fire(&self, alerts: &[Labels<'_>]) {
        self.post(alerts, LIFETIME).await;
    }

    async fn resolve(&self, alerts: &[Labels<'_>]) {
        self.post(alerts, Duration::ZERO).await;
    }

    /// Waits for a message to a path whose text fits.
    async fn message(&self, path: &str, what: &str, fits: impl Fn(&str) -> bool) -> Value {
        let request = self
            .receiver
            .wait_for(what, LIMIT, |request| {
                request.path == path && fits(&request.text())
            })
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.said()));
        request.json().unwrap()
    }

    /// Everything that was received, for a failure.
    fn said(&self) -> String {
        let texts = self.receiver.requests();
        let texts = texts.iter().map(Received::text);
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Waits until exactly these alerts are muted, each named by its value of the label `name`.
    async fn until_muted(&self, what: &str, expected: &[&str]) {
        let url = format!("http://{}/api/v2/alerts", self.alertmanager.address);
        let probe = || async {
            let alerts: Value = self
                .client
                .get_json(&url)
                .await
                .map_err(|error| error.to_string())?;
            let muted = alerts.as_array().unwrap().iter().filter(|alert| {
                let by = &alert["status"]["inhibitedBy"];
                by.as_array().is_some_and(|by| !by.is_empty())
            });
            let mut muted: Vec<String> = muted
                .map(|alert| alert["labels"]["name"].as_str().unwrap().to_owned())
                .collect();
            muted.sort();
            if muted == expected {
                Ok(())
            } else {
                Err(format!("muted: {muted:?}"))
            }
        };
        eventually(what, LIMIT, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The summary of an alert while it fires.
fn summary(labels: Labels<'_>) -> String {
    let about = |name: &str| {
        let found = labels.iter().find(|(label, _)| *label == name);
        found.map(|(_, value)| *value).unwrap_or_default()
    };
    format!("{}{} is broken now", about("server"), about("pair"))
}

const fn server<'a>(address: &'a str, severity: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("alertname", "RedisCrossDcServerUnreachable"),
        ("severity", severity),
        ("dc", "dc1"),
        ("server", address),
    ]
}

fn text_of(slack: &Value) -> (String, String) {
    let attachment = &slack["attachments"][0];
    let part = |name: &str| attachment[name].as_str().unwrap_or_default().to_owned();
    (part("title"), part("text"))
}

#[tokio::test]
async fn f12_a_resolved_alert_is_never_among_those_that_fire() {
    let example = Example::start().await;
    let first = server("10.0.0.1:6379", "critical");
    let second = server("10.0.0.2:6379", "critical");
    example.fire(&[&first, &second]).await;
    let both = |text: &str| text.contains("10.0.0.1:6379 is") && text.contains("10.0.0.2:6379 is");
    let slack = example
        .message("/slack", "chat has both, critical", both)
        .await;
    let (title, _) = text_of(&slack);
    assert_eq!(title, "[FIRING: 2] RedisCrossDcServerUnreachable in dc1");

    example.resolve(&[&first]).await;
    let partly = |text: &str| text.contains("*resolved*");
    let slack = example.message("/slack", "one is resolved", partly).await;
    let (title, text) = text_of(&slack);
    assert_eq!(title, "[FIRING: 1] RedisCrossDcServerUnreachable in dc1");
    assert!(!text.contains("10.0.0.1:6379 is broken"), "{text}");
    assert!(text.contains("10.0.0.2:6379 is broken now"), "{text}");
    assert!(
        text.contains("*resolved*: 10.0.0.1:6379 critical from "),
        "{text}"
    );

    example.resolve(&[&second]).await;
    let over = |text: &str| text.contains("[RESOLVED]");
    let slack = example.message("/slack", "all is resolved", over).await;
    let (title, text) = text_of(&slack);
    assert_eq!(title, "[RESOLVED] RedisCrossDcServerUnreachable in dc1");
    assert!(!text.contains("is broken"), "{text}");
}

#[tokio::test]
async fn f12_pagerduty_has_the_severity_and_what_still_fires() {
    let example = Example::start().await;
    let first = server("10.0.0.1:6379", "critical");
    let second = server("10.0.0.2:6379", "critical");
    let page = "/v2/enqueue";
    example.fire(&[&first, &second]).await;
    // On a busy machine the group may be notified of before both are in it.
    let both = |text: &str| text.contains("\"summary\":\"2 alerts.");
    let event = example.message(page, "the page has both", both).await;
    assert_eq!(event["payload"]["severity"], "critical", "{event}");
    assert_eq!(
        event["payload"]["summary"],
        "2 alerts. 10.0.0.1:6379 is broken now"
    );
    assert_eq!(event["links"][0]["href"], "http://runbooks/RedisCrossDc");

    example.resolve(&[&first]).await;
    let update = |text: &str| {
        text.contains("\"summary\":\"10.0.0.2:6379 is broken now\"")
            && text.contains("10.0.0.1:6379 at ")
    };
    let event = example
        .message(page, "the update names what fires", update)
        .await;
    let details = &event["payload"]["custom_details"];
    assert_eq!(
        details["firing"].as_str().unwrap().trim(),
        "10.0.0.2:6379 is broken now. What would be lost."
    );
    assert!(
        details["resolved"]
            .as_str()
            .unwrap()
            .contains("10.0.0.1:6379 at "),
        "{event}"
    );

    example.resolve(&[&second]).await;
    let over = |text: &str| text.contains("\"event_action\":\"resolve\"");
    let event = example.message(page, "the end", over).await;
    assert!(!event.to_string().contains("is broken"), "{event}");
}

#[tokio::test]
async fn f12_titles_name_the_problem_and_warnings_do_not_page() {
    let example = Example::start().await;
    let pair: Labels<'_> = &[
        ("alertname", "RedisCrossDcLagHigh"),
        ("severity", "warning"),
        ("pair", "orders"),
        ("source_dc", "dc1"),
        ("target_dc", "dc2"),
        ("replica", "10.2.0.1:6379"),
    ];
    let inhibitor: Labels<'_> = &[
        ("alertname", "RedisCrossDcInhibitor"),
        ("severity", "none"),
        ("pair", "other"),
        ("cause", "master_unreachable"),
        ("explains", "critical"),
    ];
    let exporter: Labels<'_> = &[
        ("alertname", "RedisCrossDcExporterDown"),
        ("severity", "critical"),
        ("instance", "exporter:10121"),
    ];
    example.fire(&[inhibitor, pair]).await;
    example.fire(&[exporter]).await;
    let about = |name: &'static str| move |text: &str| text.contains(name);
    let slack = example.message("/slack", "the lag", about("LagHigh")).await;
    let (title, _) = text_of(&slack);
    assert_eq!(title, "[FIRING: 1] RedisCrossDcLagHigh dc1 → dc2");
    let slack = example
        .message("/slack", "the exporter", about("ExporterDown"))
        .await;
    let (title, _) = text_of(&slack);
    assert_eq!(title, "[FIRING: 1] RedisCrossDcExporterDown");
    example
        .message("/v2/enqueue", "the page", about("ExporterDown"))
        .await;
    let all = example.said();
    assert!(!all.contains("RedisCrossDcInhibitor"), "{all}");
    let pages = example.receiver.requests();
    let pages = pages.iter().filter(|request| request.path == "/v2/enqueue");
    for page in pages {
        assert!(!page.text().contains("LagHigh"), "{}", page.text());
    }
}

/// An alert of one pair, called `name` in the test.
const fn of_pair<'a>(
    name: &'a str,
    alert: &'a str,
    severity: &'a str,
    pair: &'a str,
) -> [(&'a str, &'a str); 7] {
    [
        ("name", name),
        ("alertname", alert),
        ("severity", severity),
        ("pair", pair),
        ("source_dc", "dc1"),
        ("target_dc", "dc2"),
        ("replica", "10.2.0.1:6379"),
    ]
}

/// An inhibitor of one pair.
fn inhibitor<'a>(cause: &'a str, explains: &'a str) -> Vec<(&'a str, &'a str)> {
    let alert = of_pair("inhibitor", "RedisCrossDcInhibitor", "none", "orders");
    let mut labels = alert.to_vec();
    labels.extend([("cause", cause), ("explains", explains)]);
    labels
}

#[tokio::test]
async fn r5_a_link_that_is_down_mutes_what_is_no_more_severe() {
    let example = Example::start().await;
    let lag = of_pair("lag", "RedisCrossDcLagHigh", "critical", "orders");
    let lag_warning = of_pair("lag warning", "RedisCrossDcLagHigh", "warning", "orders");
    let unknown = of_pair("unknown", "RedisCrossDcLagUnknown", "warning", "orders");
    let other = of_pair("other", "RedisCrossDcLagHigh", "warning", "carts");
    let link = of_pair("link", "RedisCrossDcLinkDown", "warning", "orders");
    example
        .fire(&[&lag, &lag_warning, &unknown, &other, &link])
        .await;
    example
        .until_muted("a warning mutes warnings only", &["lag warning", "unknown"])
        .await;
    let worse = of_pair("worse", "RedisCrossDcLinkDown", "critical", "orders");
    example.fire(&[&worse]).await;
    example
        .until_muted(
            "critical mutes all of the pair",
            &["lag", "lag warning", "link", "unknown"],
        )
        .await;
}

#[tokio::test]
async fn r5_a_server_that_does_not_answer_mutes_the_alerts_of_its_pairs() {
    let example = Example::start().await;
    let lag = of_pair("lag", "RedisCrossDcLagHigh", "critical", "orders");
    let unknown = of_pair("unknown", "RedisCrossDcLagUnknown", "critical", "orders");
    let link = of_pair("link", "RedisCrossDcLinkDown", "warning", "orders");
    let other = of_pair("other", "RedisCrossDcLagHigh", "critical", "carts");
    example.fire(&[&lag, &unknown, &link, &other]).await;
    let warning = inhibitor("master_unreachable", "warning");
    example.fire(&[&warning]).await;
    example
        .until_muted("a warning explains warnings", &["link"])
        .await;
    let replica = inhibitor("replica_unreachable", "critical");
    example.fire(&[&replica]).await;
    example
        .until_muted(
            "a silent replica is no reason for a critical lag",
            &["link", "unknown"],
        )
        .await;
    let master = inhibitor("master_unreachable", "critical");
    example.fire(&[&master]).await;
    example
        .until_muted("a silent master explains all", &["lag", "link", "unknown"])
        .await;
}

/// An alert of one server, called `name` in the test.
fn of_server<'a>(
    name: &'a str,
    alert: &'a str,
    severity: &'a str,
    server: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("alertname", alert),
        ("severity", severity),
        ("dc", "dc2"),
        ("server", server),
    ]
}

#[tokio::test]
async fn f12_a_lost_history_mutes_what_follows_from_it() {
    let example = Example::start().await;
    let link = of_pair("link", "RedisCrossDcLinkDown", "critical", "orders");
    let lag = of_pair("lag", "RedisCrossDcLagHigh", "warning", "orders");
    let diverged = of_pair("diverged", "RedisCrossDcDiverged", "critical", "orders");
    let other = of_pair("other", "RedisCrossDcLinkDown", "critical", "carts");
    let sync = of_server("sync", "RedisCrossDcFullSync", "warning", "master:1");
    let other_sync = of_server("other sync", "RedisCrossDcFullSync", "warning", "master:2");
    let lost = of_pair("lost", "RedisCrossDcHistoryLost", "critical", "orders");
    example
        .fire(&[&link, &lag, &diverged, &other, &sync, &other_sync, &lost])
        .await;
    let pair = ["diverged", "lag", "link"];
    example.until_muted("the alerts of its pair", &pair).await;
    let mut inhibitor = of_server("inhibitor", "RedisCrossDcInhibitor", "none", "master:1");
    inhibitor.extend([("cause", "history_lost"), ("explains", "critical")]);
    example.fire(&[&inhibitor]).await;
    let all = ["diverged", "lag", "link", "sync"];
    example
        .until_muted("the full syncs of its master", &all)
        .await;
}

#[tokio::test]
async fn f12_isolation_mutes_the_faults_that_it_explains() {
    let example = Example::start().await;
    let fault = "RedisCrossDcExporterFault";
    let warning = of_server("warning", fault, "warning", "remote:1");
    let critical = of_server("critical", fault, "critical", "remote:1");
    let local = of_server("local", fault, "critical", "local:1");
    let mut inhibitor = of_server("inhibitor", "RedisCrossDcInhibitor", "none", "remote:1");
    inhibitor.extend([("cause", "isolated"), ("explains", "critical")]);
    example
        .fire(&[&warning, &critical, &local, &inhibitor])
        .await;
    let remote = ["critical", "warning"];
    example
        .until_muted("the faults of remote servers", &remote)
        .await;
}

#[tokio::test]
async fn r5_isolation_mutes_the_servers_that_it_explains() {
    let example = Example::start().await;
    let unreachable = "RedisCrossDcServerUnreachable";
    let warning = of_server("remote warning", unreachable, "warning", "remote:1");
    let critical = of_server("remote critical", unreachable, "critical", "remote:2");
    let local = of_server("local", unreachable, "critical", "local:1");
    let cause = |explains, server| {
        let mut labels = of_server("inhibitor", "RedisCrossDcInhibitor", "none", server);
        labels.extend([("cause", "isolated"), ("explains", explains)]);
        labels
    };
    example.fire(&[&warning, &critical, &local]).await;
    let first = cause("warning", "remote:1");
    let second = cause("warning", "remote:2");
    example.fire(&[&first, &second]).await;
    example
        .until_muted("a warning explains warnings", &["remote warning"])
        .await;
    let third = cause("critical", "remote:2");
    example.fire(&[&third]).await;
    example
        .until_muted(
            "critical explains critical, of its own server",
            &["remote critical", "remote warning"],
        )
        .await;
}
