//! A healthy pair never shows lag, whatever there is to replicate.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, WriteLoad};
use redis_cross_dc_exporter::replication::PairState;

use super::hooks::LAG_HIGH;
use super::sampler::Sample;
use super::stage::{LIGHT, PAIR, Plan, Stage};

/// Behind 40 ms each way, for 15 s: at most 0.1 s of lag is ever certain, at most that is estimated
/// in the middle of all samples, and there is never an alert.
async fn check(what: &str, load: Option<WriteLoad>, ping_period: u32) {
    let master = RedisServer::builder().config(&format!("repl-ping-replica-period {ping_period}"));
    let plan = Plan {
        delay: Duration::from_millis(40),
        load,
        master,
        ..Plan::default()
    };
    let stage = Stage::start(plan).await;
    let start = clock::now();
    stage.sampler.recorded(start, Duration::from_secs(18)).await;
    let requests = stage.receiver.requests();
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR).after(start);
    let settled = series.after(start + Duration::from_secs(3).into());
    let mean = settled
        .0
        .iter()
        .filter_map(|s| s.pair.lag_seconds)
        .sum::<f64>()
        / settled.0.len() as f64;
    println!(
        "{what}: {} samples, lag max {:.4} s, mean {mean:.4} s",
        settled.0.len(),
        settled.max_lag().unwrap()
    );
    settled.all("streaming", |s| s.pair.state == PairState::Streaming);
    settled.all(
        "at most 0.1 s of lag is certain",
        Sample::has_no_certain_lag,
    );
    let median = settled.median_lag();
    assert!(median <= 0.1, "half of the samples show {median} s or more");
    series.all("no alert", |s| !s.has_alert(LAG_HIGH));
    assert!(requests.is_empty(), "{requests:?}");
}

#[tokio::test]
async fn healthy_with_writes() {
    check("healthy, 100 writes/s", Some(LIGHT), 10).await;
}

#[tokio::test]
async fn healthy_with_a_ping_each_second() {
    check("idle, a PING each second", None, 1).await;
}

#[tokio::test]
async fn healthy_with_rare_writes() {
    check(
        "healthy, 2 writes/s",
        Some(WriteLoad {
            per_second: 2,
            value_bytes: 100,
        }),
        10,
    )
    .await;
}

#[tokio::test]
async fn healthy_and_idle() {
    check("idle", None, 10).await;
}
