//! Polling that follows what happens: scrapes that poll first, thresholds that are near, bounds
//! that have to become small.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{Direction, RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::report::{ListedState, PairsReport};

use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

/// Scrapes each second, as often.
async fn scrapes(exporter: &Exporter, count: usize) -> Vec<(PairsReport, Duration)> {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut seen = Vec::new();
    for _ in 0..count {
        seconds.tick().await;
        let began = Instant::now();
        seen.push((exporter.pairs().await, began.elapsed()));
    }
    seen
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How old the sample of the only pair was when the exporter answered.
fn age(report: &PairsReport) -> f64 {
    report.exporter.now_timestamp - report.pairs[0].sample_timestamp.unwrap()
}

fn polls(report: &PairsReport, server: &RedisServer) -> u64 {
    let server = server.addr().to_string();
    report
        .servers
        .iter()
        .find(|known| known.server == server)
        .unwrap()
        .polls_total
}

/// Base polls are half a minute apart, so what is fresh was polled for the scrape.
#[tokio::test]
async fn a_scrape_that_polls_first_shows_a_fresh_sample() {
    let stage = Stage::set().await;
    let poll = "poll: {interval: 30s, min_interval: 30s, refresh_on_scrape: true}";
    let exporter = Exporter::start(&format!("{poll}\npairs: [{}]\n", stage.entry("orders"))).await;
    exporter
        .wait_for("orders", "a first lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let seen = scrapes(&exporter, 7).await;
    let ages: Vec<f64> = seen.iter().map(|(report, _)| age(report)).collect();
    // The median: a busy machine may take longer than the scrape waits, now and then. Without the
    // scrapes' polls it would be some 15 s.
    assert!(median(ages.clone()) < 3.0, "{ages:?}");
    let (first, last) = (&seen[0].0, &seen[6].0);
    let asked = polls(last, &stage.replica) - polls(first, &stage.replica);
    assert!(
        (4..=7).contains(&asked),
        "one poll a scrape, not {asked} for 6"
    );
    let shown = last.pairs[0].sample_timestamp.unwrap();
    let newer = || async {
        let name = "redis_cross_dc_replication_lag_sample_timestamp_seconds";
        Scrape::of(&exporter)
            .await
            .value(name, &[])
            .is_some_and(|sampled| sampled > shown)
    };
    // Long before the next base poll.
    eventually(
        "/metrics to poll first as well",
        Duration::from_secs(5),
        newer,
    )
    .await
    .unwrap();
}

/// Its timeout is 20 s. Whoever waited for it would notice.
#[tokio::test]
async fn a_replica_that_hangs_delays_no_scrape() {
    let mut stage = Stage::set().await;
    let poll = "poll: {interval: 5s, min_interval: 5s, timeout: {local: 20s, remote: 20s}, refresh_on_scrape: true}";
    let exporter = Exporter::start(&format!("{poll}\npairs: [{}]\n", stage.entry("orders"))).await;
    exporter
        .wait_for("orders", "a first lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    stage.replica.stop().unwrap();
    let took: Vec<f64> = scrapes(&exporter, 7)
        .await
        .iter()
        .map(|(_, took)| took.as_secs_f64())
        .collect();
    stage.replica.cont().unwrap();
    // The wait is 150 ms at most, and only once; the rest is the machine's.
    assert!(took.iter().all(|took| *took < 10.0), "{took:?}");
}

/// Nothing happens to either pair; but the one's lag might pass 1 s before the next base poll.
#[tokio::test]
async fn a_pair_near_its_threshold_is_polled_faster_than_one_far_from_it() {
    let (near, far) = (Stage::set().await, Stage::set().await);
    let near_entry = near.entry("near").replace(
        "{name: near,",
        "{name: near, alerts: {lag_seconds: {warning: 1s}},",
    );
    let exporter =
        Exporter::start(&format!("pairs:\n- {near_entry}\n- {}\n", far.entry("far"))).await;
    let enough = || async {
        let report = exporter.pairs().await;
        if polls(&report, &near.replica) >= 40 {
            Ok(report)
        } else {
            Err(polls(&report, &near.replica))
        }
    };
    let report = eventually("forty polls of the near one", LIMIT, enough)
        .await
        .unwrap();
    let near = polls(&report, &near.replica);
    let far = polls(&report, &far.replica);
    // Four times as many where the machine has time for all of them.
    assert!(
        far * 3 <= near * 2,
        "{far} polls of the far one and {near} of the near one"
    );
}

/// Base polls leave an upper bound of up to 2 s: they could not prove for long that the lag is
/// below 1.6 s.
#[tokio::test]
async fn a_warning_at_two_seconds_fires_and_resolves_on_a_pair_that_idles() {
    let master = RedisServer::builder().start().await.unwrap();
    let link = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let replica = RedisServer::builder()
        .replicaof(link.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let rule = "alerts: {lag_seconds: {warning: 2s, for: 0s, keep_firing_for: 3s}}";
    let pair = entry("idle", ("dc1", master.addr()), ("dc2", replica.addr()));
    let exporter = Exporter::start(&format!("{rule}\npairs: [{pair}]\n")).await;
    exporter
        .wait_for("idle", "a first lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    link.stall(Direction::Both);
    master.command(&["SET", "key", "value"]).await.unwrap();
    reached(&exporter, ListedState::Firing).await;
    link.heal().await.unwrap();
    reached(&exporter, ListedState::Resolved).await;
}

/// Waits until the alert on the lag is in this state.
async fn reached(exporter: &Exporter, state: ListedState) {
    let probe = || async {
        let alerts = exporter.alerts().await.alerts;
        let found = alerts
            .iter()
            .any(|alert| alert.alertname == "RedisCrossDcLagHigh" && alert.state == state);
        if found {
            Ok(())
        } else {
            Err(format!("{alerts:?}"))
        }
    };
    eventually(&format!("the alert to be {}", state.label()), LIMIT, probe)
        .await
        .unwrap();
}
