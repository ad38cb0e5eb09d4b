//! F1: after a restart, also an orderly one, servers that had recovered long before "have not
//! answered" since their recovery, and somebody is paged.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{AlertsReport, ListedState, PairsReport};

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

/// Everything is noticed at once, and everybody is notified at once.
fn configuration(stage: &Stage, hook: &Receiver) -> String {
    let url = hook.url("/hook");
    format!(
        "poll: {{interval: 300ms, min_interval: 200ms, timeout: {{local: 300ms, remote: 300ms}}}}\n\
         alerts:\n  unreachable: {{warning: 1s, critical: 2s}}\n  unknown: {{warning: 1s, critical: 2s}}\n  \
         link_down: {{warning: 1s, critical: 2s}}\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{{name: hook, webhook: {{url: '{url}'}}}}]}}\n\
         pairs: [{}]\n",
        stage.entry("orders")
    )
}

/// For how long the restarted exporter is looked at: many polls.
const WATCHED_FOR: Duration = Duration::from_secs(3);

/// How long nothing runs: longer than the levels of all rules.
const AWAY: Duration = Duration::from_secs(4);

async fn open_alerts(exporter: &Exporter) -> usize {
    let AlertsReport { alerts, .. } = exporter.alerts().await;
    let is_open = |state| state != ListedState::Resolved;
    alerts.iter().filter(|alert| is_open(alert.state)).count()
}

async fn until_open(exporter: &Exporter, what: &str, wanted: impl Fn(usize) -> bool) {
    let reached = || async {
        let open = open_alerts(exporter).await;
        wanted(open).then_some(()).ok_or(format!("{open} are open"))
    };
    eventually(what, LIMIT, reached).await.unwrap();
}

/// What is reported from the first accepted connection on: no state that blames a server, no alert
/// that is open.
async fn assert_says_nothing_false(exporter: &Exporter) {
    let mut looked = 0;
    let mut since: Option<Instant> = None;
    let begun = Instant::now();
    while since.is_none_or(|since| since.elapsed() < WATCHED_FOR) {
        assert!(begun.elapsed() < LIMIT, "it never answered");
        let Ok(pairs) = exporter.try_get("/api/v1/pairs").await else {
            continue; // not bound yet
        };
        since.get_or_insert_with(Instant::now);
        let pairs: PairsReport = serde_json::from_str(&pairs).unwrap();
        for pair in &pairs.pairs {
            let is_true = matches!(pair.state, PairState::Unknown | PairState::Streaming);
            assert!(is_true, "{pair:#?}");
            assert!(pair.lag_seconds.is_none_or(|lag| lag < 1.0), "{pair:#?}");
        }
        let alerts = exporter.try_get("/api/v1/alerts").await.unwrap();
        let alerts: AlertsReport = serde_json::from_str(&alerts).unwrap();
        let open = alerts
            .alerts
            .iter()
            .find(|alert| alert.state != ListedState::Resolved);
        assert_eq!(open, None);
        looked += 1;
    }
    assert!(looked > 10, "{looked} looks");
}

#[tokio::test]
async fn f01_a_pair_that_recovered_before_a_restart_is_ok_after_it() {
    let mut stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let mut exporter = Exporter::start(&configuration(&stage, &hook)).await;
    let streams =
        |pair: &redis_cross_dc_exporter::report::PairReport| pair.state == PairState::Streaming;
    exporter
        .wait_for("orders", "it streams", LIMIT, streams)
        .await;
    stage.replica.stop().unwrap();
    stage.master.stop().unwrap();
    until_open(&exporter, "both servers and the pair are alerts", |open| {
        open >= 3
    })
    .await;
    stage.master.cont().unwrap();
    stage.replica.cont().unwrap();
    until_open(&exporter, "all to be over", |open| open == 0).await;
    exporter
        .wait_for("orders", "it streams", LIMIT, streams)
        .await;
    for end in ["TERM", "KILL"] {
        exporter.signal(end);
        exporter.ended(LIMIT).await;
        let told = hook.requests().len();
        let logged = exporter.log().len();
        tokio::time::sleep(AWAY).await;
        exporter.relaunch();
        assert_says_nothing_false(&exporter).await;
        let log = exporter.log().split_off(logged);
        for false_word in ["master_unreachable", "replica_unreachable", "change=fired"] {
            assert!(!log.contains(false_word), "{log}");
        }
        assert_eq!(hook.requests().len(), told, "{log}");
    }
}

#[tokio::test]
async fn f01_an_alert_that_fires_across_a_restart_is_neither_sent_again_nor_resolved_before_the_first_answer()
 {
    let mut stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let mut exporter = Exporter::start(&configuration(&stage, &hook)).await;
    stage.replica.stop().unwrap();
    until_open(&exporter, "the replica is an alert", |open| open >= 1).await;
    let critical = |request: &redis_cross_dc_exporter::lab::Received| {
        request.text().contains("ServerUnreachable") && request.text().contains("critical")
    };
    hook.wait_for("the page", LIMIT, critical).await.unwrap();
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    let told = hook.requests().len();
    exporter.relaunch();
    exporter.until_ready().await;
    let firing = exporter.alerts().await.alerts;
    let unreachable: Vec<_> = firing
        .iter()
        .filter(|alert| alert.alertname == "RedisCrossDcServerUnreachable")
        .collect();
    assert_eq!(unreachable.len(), 1);
    assert_eq!(unreachable[0].state, ListedState::Firing);
    let counted = || async {
        let pair = exporter.pair("orders").await;
        let is_back = pair.state == PairState::ReplicaUnreachable;
        is_back.then_some(()).ok_or(format!("{pair:?}"))
    };
    eventually("its silence to be seen again", LIMIT, counted)
        .await
        .unwrap();
    stage.replica.cont().unwrap();
    until_open(&exporter, "all to be over", |open| open == 0).await;
    let is_resolve = |request: &redis_cross_dc_exporter::lab::Received| {
        request.text().contains("ServerUnreachable") && request.text().contains("\"resolved\"")
    };
    hook.wait_for("the resolve", LIMIT, is_resolve)
        .await
        .unwrap();
    let again = hook.requests().split_off(told);
    let again: Vec<_> = again
        .iter()
        .filter(|request| request.text().contains("ServerUnreachable"))
        .collect();
    assert_eq!(again.len(), 1, "only that it is over");
}
