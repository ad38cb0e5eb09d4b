//! F8: receivers are shown with the level of their alert, with the HTTP status, and why nobody was
//! notified of an alert is fixed when it ends.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{Answer, Response, eventually};
use redis_cross_dc_exporter::report::{AlertReport, DeliveriesReport, ListedState, ReceiverReport};

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

const FAILING: &str = "RedisCrossDcReceiverFailing";

const QUICK: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
alerts: {unreachable: {warning: 1s, critical: null}}
";

/// How long a receiver that fails for a minute may take to be an alert.
const PATIENCE: Duration = Duration::from_secs(100);

/// The exporter's report of the receiver called `name`.
async fn receiver_report(exporter: &Exporter, name: &str) -> ReceiverReport {
    let body = exporter.get("/api/v1/deliveries").await;
    let report: DeliveriesReport = serde_json::from_str(&body).unwrap();
    let found = report
        .receivers
        .into_iter()
        .find(|seen| seen.receiver == name);
    found.unwrap_or_else(|| panic!("no receiver {name}: {body}"))
}

/// The first alert with this name whose labels have `value` and that is in this state.
async fn alert(
    exporter: &Exporter,
    name: &str,
    value: &str,
    state: ListedState,
    limit: Duration,
) -> AlertReport {
    let found = || async {
        let alerts = exporter.alerts().await.alerts;
        let fits = |alert: &AlertReport| {
            alert.alertname == name
                && alert.state == state
                && alert.labels.values().any(|label| label == value)
        };
        let described = format!("{alerts:?}");
        alerts.into_iter().find(fits).ok_or(described)
    };
    let what = format!("{name} of {value} to be {}", state.label());
    eventually(&what, limit, found).await.unwrap()
}

/// The row of the page's table of receivers.
async fn row_of(exporter: &Exporter, name: &str) -> String {
    let page = exporter.get("/").await;
    let head = format!("<th scope=\"row\" data-label=\"Receiver\">{name}</th>");
    let at = page.find(&head).unwrap_or_else(|| panic!("no row: {page}"));
    let row = page[..at].rfind("<tr").unwrap();
    page[row..].split("</tr>").next().unwrap().to_owned()
}

/// A stage whose replica is gone, and an exporter with one receiver for that and one for what is
/// said of receivers.
async fn scene(name: &str, answer: Answer) -> (Stage, Receiver, Receiver, Exporter) {
    let mut stage = Stage::set().await;
    let failing = Receiver::start([]).await.unwrap();
    failing.always(answer);
    let other = Receiver::start([]).await.unwrap();
    let hook = |name: &str, of: &str, receiver: &Receiver| {
        let url = receiver.url("/hook");
        format!("{{name: {name}, match: {{alertname: '*{of}'}}, webhook: {{url: '{url}'}}}}")
    };
    let receivers = [
        hook(name, "Unreachable", &failing),
        hook("other", "ReceiverFailing", &other),
    ];
    let notify = format!(
        "notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{}]}}",
        receivers.join(", ")
    );
    let yaml = format!("{QUICK}pairs: [{}]\n{notify}\n", stage.entry("orders"));
    let exporter = Exporter::start(&yaml).await;
    stage.replica.kill();
    (stage, failing, other, exporter)
}

#[tokio::test]
async fn f08_a_refused_notification_has_its_status_and_no_made_up_time() {
    let not_found = Answer::Respond(Response::new(404).body("no_service"));
    let (_stage, _failing, other, exporter) = scene("hook-404", not_found).await;
    let firing = ListedState::Firing;
    let alert = alert(&exporter, FAILING, "hook-404", firing, LIMIT).await;
    assert!(alert.value.unwrap() < 50.0, "made up: {alert:?}");
    let reason = alert.reason.unwrap();
    let status = "hook-404 refused a notification: HTTP 404 Not Found, no_service";
    assert!(reason.starts_with(status), "{reason}");
    assert!(!reason.contains("client_error"), "{reason}");
    let told = other
        .wait_for("what is said of it", LIMIT, |request| {
            request.text().contains(FAILING)
        })
        .await
        .unwrap()
        .text();
    assert!(
        told.contains("HTTP 404") && !told.contains("60.0 s"),
        "{told}"
    );
    let report = receiver_report(&exporter, "hook-404").await;
    assert_eq!(report.level, "critical");
    assert!(report.failing_since_timestamp.is_some(), "{report:?}");
    assert!(report.trouble.unwrap().contains("HTTP 404"));
    let row = row_of(&exporter, "hook-404").await;
    assert!(
        row.contains("critical") && row.contains("HTTP 404 Not Found"),
        "{row}"
    );
    let page = exporter.get("/").await;
    assert!(page.contains("<title>1 receiver failing"), "the title");
}

#[tokio::test]
async fn f08_a_receiver_that_fails_for_a_minute_is_shown_with_its_alerts_level() {
    let broken = Answer::Respond(Response::new(500));
    let (_stage, failing, _other, exporter) = scene("hook-500", broken).await;
    let since = || async {
        let report = receiver_report(&exporter, "hook-500").await;
        let described = format!("{report:?}");
        report.failing_since_timestamp.ok_or(described)
    };
    let since = eventually("the first failure", LIMIT, since).await.unwrap();
    let report = receiver_report(&exporter, "hook-500").await;
    assert_eq!(report.level, "warning", "no alert yet: {report:?}");
    let firing = ListedState::Firing;
    let alert = alert(&exporter, FAILING, "hook-500", firing, PATIENCE).await;
    assert!((alert.value.unwrap() - 60.0).abs() < 20.0, "{alert:?}");
    let reason = alert.reason.unwrap();
    assert!(
        reason.contains("HTTP 500 Internal Server Error"),
        "{reason}"
    );
    let report = receiver_report(&exporter, "hook-500").await;
    assert_eq!(report.level, "critical");
    let still = report.failing_since_timestamp.unwrap();
    assert!((still - since).abs() < 0.01, "{still} and {since}");
    let row = row_of(&exporter, "hook-500").await;
    assert!(
        row.contains("critical") && row.contains("HTTP 500"),
        "{row}"
    );
    failing.always(Answer::Accept);
    let well = || async { receiver_report(&exporter, "hook-500").await.level == "ok" };
    eventually("the receiver to be well", PATIENCE, well)
        .await
        .unwrap();
}

#[tokio::test]
async fn f08_a_silence_created_after_the_end_does_not_explain_a_missing_notification() {
    let mut stage = Stage::set().await;
    let other = Receiver::start([]).await.unwrap();
    let hook = format!("{{name: other, webhook: {{url: '{}'}}}}", other.url("/"));
    let alerts = "alerts: {unreachable: {warning: 1s, critical: null}, unknown: {warning: 3s, critical: null}}";
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         {alerts}\npairs: [{}]\nnotify: {{group_wait: 1s, receivers: [{hook}]}}\n",
        stage.entry("orders")
    );
    let exporter = Exporter::start_admin(&yaml).await;
    let unknown = "RedisCrossDcLagUnknown";
    stage.master.kill();
    let firing = alert(&exporter, unknown, "orders", ListedState::Firing, LIMIT).await;
    let cause = firing.caused_by.expect("it is explained by its master");
    stage.master.restart().await.unwrap();
    let over = alert(
        &exporter,
        unknown,
        "orders",
        ListedState::Resolved,
        PATIENCE,
    )
    .await;
    assert_eq!(
        over.caused_by.as_ref(),
        Some(&cause),
        "as it was at its end"
    );
    let folder = exporter.folder();
    let args = [
        "silence",
        "add",
        "pair=orders",
        "--for",
        "1h",
        "--author",
        "me",
        "--comment",
        "later",
        "--exporter.url",
        exporter.url(),
    ];
    crate::command::run(folder.path(), &args)
        .await
        .ended_with(0);
    // A silence takes effect with the next evaluations: a second of them is plenty.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let over = alert(&exporter, unknown, "orders", ListedState::Resolved, LIMIT).await;
    assert_eq!(over.silenced_by, None, "the silence came after its end");
    assert_eq!(over.caused_by, Some(cause));
    for request in other.requests() {
        assert!(!request.text().contains(unknown), "it was sent after all");
    }
}
