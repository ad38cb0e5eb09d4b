//! F1, second half: an exporter that was stopped takes its own absence for the silence of servers.

use std::time::Duration;

use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{ListedState, PairReport, PairsReport};

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::stage::{LIMIT, Stage};

/// How long the exporter is stopped: longer than the levels of all rules.
const STOPPED_FOR: Duration = Duration::from_secs(6);

/// Looks after the stop: several polls long.
const LOOKS: usize = 100;

fn configuration(stage: &Stage, hook: &Receiver) -> String {
    let url = hook.url("/hook");
    format!(
        "poll: {{interval: 500ms, min_interval: 200ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
         alerts:\n  unreachable: {{warning: 1s, critical: 2s}}\n  unknown: {{warning: 2s, critical: 4s}}\n  \
         link_down: {{warning: 1s, critical: 2s}}\n  lag_seconds: {{warning: 2s, critical: 4s, for: 0s}}\n\
         notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{{name: hook, webhook: {{url: '{url}'}}}}]}}\n\
         pairs: [{}]\n",
        stage.entry("orders")
    )
}

/// Nothing is blamed on a server, and what is not known is absent.
fn assert_true(pair: &PairReport) {
    match pair.state {
        PairState::Streaming => {
            assert!(pair.lag_seconds.is_none_or(|lag| lag < 1.0), "{pair:#?}");
        }
        PairState::Unknown => {
            assert_eq!(pair.lag_seconds, None, "{pair:#?}");
            let says_why = ["the exporter was paused for", "the exporter has not polled"];
            let is_said = says_why.iter().any(|why| pair.reason.contains(why));
            assert!(is_said, "{pair:#?}");
        }
        _ => panic!("{pair:#?}"),
    }
}

#[tokio::test]
async fn f01_a_stopped_exporter_blames_no_server() {
    let stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let exporter = Exporter::start(&configuration(&stage, &hook)).await;
    let streams = |pair: &PairReport| {
        pair.state == PairState::Streaming && pair.lag_seconds.is_some_and(|lag| lag < 0.5)
    };
    exporter
        .wait_for("orders", "it streams", LIMIT, streams)
        .await;
    let logged = exporter.log().len();
    exporter.signal("STOP");
    tokio::time::sleep(STOPPED_FOR).await;
    // Requested while it is stopped: answered before anything else happens.
    let asked = async {
        let answers = tokio::join!(
            exporter.try_get("/api/v1/pairs"),
            exporter.try_get("/metrics"),
        );
        (answers.0.unwrap(), answers.1.unwrap())
    };
    let goes_on = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        exporter.signal("CONT");
    };
    let ((pairs, metrics), ()) = tokio::join!(asked, goes_on);
    let pairs: PairsReport = serde_json::from_str(&pairs).unwrap();
    assert_true(&pairs.pairs[0]);
    let states = ["master_unreachable", "replica_unreachable"];
    for line in metrics.lines().filter(|line| line.ends_with(" 1")) {
        assert!(!states.iter().any(|state| line.contains(state)), "{line}");
    }
    for line in metrics.lines() {
        let is_down = line.starts_with("redis_cross_dc_server_up") && line.ends_with(" 0");
        assert!(!is_down, "{line}");
    }
    for _ in 0..LOOKS {
        assert_true(&exporter.pair("orders").await);
        let alerts = exporter.alerts().await.alerts;
        let open = alerts
            .iter()
            .find(|alert| alert.state != ListedState::Resolved);
        assert_eq!(open, None);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    exporter
        .wait_for("orders", "it streams again", LIMIT, streams)
        .await;
    let log = exporter.log().split_off(logged);
    assert!(log.contains("the exporter was paused"), "{log}");
    for false_word in ["_unreachable", "change=fired"] {
        assert!(!log.contains(false_word), "{log}");
    }
    assert_eq!(hook.requests().len(), 0);
}

#[tokio::test]
async fn f01_a_server_that_is_dead_when_the_exporter_goes_on_is_found_dead() {
    let mut stage = Stage::set().await;
    let hook = Receiver::start([]).await.unwrap();
    let exporter = Exporter::start(&configuration(&stage, &hook)).await;
    exporter.signal("STOP");
    stage.master.kill();
    tokio::time::sleep(STOPPED_FOR).await;
    exporter.signal("CONT");
    let is_dead = |pair: &PairReport| pair.state == PairState::MasterUnreachable;
    exporter
        .wait_for("orders", "the master is found dead", LIMIT, is_dead)
        .await;
    let is_firing = |request: &redis_cross_dc_exporter::lab::Received| {
        request.text().contains("ServerUnreachable")
    };
    hook.wait_for("the alert", LIMIT, is_firing).await.unwrap();
}
