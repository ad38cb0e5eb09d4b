//! What heartbeats make of the bounds, while links and servers break and heal.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{
    Direction, RedisServer, SteadyWriter, WanConditions, WanProxy, eventually,
};
use redis_cross_dc_exporter::model::{ServerAddr, Timestamp};
use redis_cross_dc_exporter::replication::PairState;

use super::sampler::{Sample, Sampler};
use super::stage::{LIGHT, PATIENCE};
use crate::exporter::Exporter;
use crate::scrape::Scrape;

const ARRIVED: &str = "redis_cross_dc_heartbeats_total";
const DELAY: &str = "redis_cross_dc_heartbeat_delay_seconds";

/// A pair with heartbeats at `beats`, or without any.
fn pair(
    name: &str,
    master: (&str, &ServerAddr),
    replica: (&str, &ServerAddr),
    beats: Option<&str>,
) -> String {
    let heartbeat = beats.map_or("{enabled: false}".to_owned(), |beats| {
        format!("{{enabled: true, interval: {beats}}}")
    });
    let server = |(dc, addr): (&str, &ServerAddr)| format!("{{address: '{addr}', dc: {dc}}}");
    format!(
        "  - {{name: {name}, heartbeat: {heartbeat}, master: {}, replicas: [{}]}}\n",
        server(master),
        server(replica)
    )
}

/// An exporter that polls once a second, and no faster.
async fn exporter(pairs: &[String]) -> (Exporter, Sampler) {
    let exporter = Exporter::start(&format!(
        "poll: {{interval: 1s, min_interval: 1s}}\npairs:\n{}",
        pairs.concat()
    ))
    .await;
    let sampler = Sampler::start(exporter.url());
    (exporter, sampler)
}

/// A master and its replica behind a link with this one-way delay.
async fn behind(delay: Duration, master: &RedisServer) -> (WanProxy, RedisServer) {
    let conditions = WanConditions {
        delay,
        ..WanConditions::default()
    };
    let wan = WanProxy::start(None, master.addr(), conditions)
        .await
        .unwrap();
    let replica = RedisServer::builder()
        .replicaof(wan.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(PATIENCE).await.unwrap();
    (wan, replica)
}

/// Waits until `count` heartbeats of the pair `name` have come since the exporter started.
async fn arrived(exporter: &Exporter, name: &str, count: f64) {
    let probe = || async {
        let value = Scrape::of(exporter).await.value(ARRIVED, &[("pair", name)]);
        if value.is_some_and(|value| value >= count) {
            Ok(())
        } else {
            Err(format!("{value:?}"))
        }
    };
    let what = format!("{count} heartbeats of {name}");
    eventually(&what, PATIENCE, probe)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

fn mean_upper(samples: &[Sample]) -> f64 {
    let known: Vec<f64> = samples
        .iter()
        .map(|sample| sample.pair.lag_upper_seconds.expect("a bound"))
        .collect();
    known.iter().sum::<f64>() / known.len() as f64
}

/// One pair of servers twice in one configuration: polled once, so the two differ by heartbeats
/// alone.
#[tokio::test]
async fn the_upper_bound_of_a_healthy_pair_is_tighter_with_heartbeats() {
    let master = RedisServer::builder().start().await.unwrap();
    let (_wan, replica) = behind(Duration::from_millis(100), &master).await;
    let _writer = SteadyWriter::start(master.addr(), None, LIGHT);
    let (from, to) = (("dc1", master.addr()), ("dc2", replica.addr()));
    let (exporter, sampler) = exporter(&[
        pair("with", from, to, Some("200ms")),
        pair("without", from, to, None),
    ])
    .await;
    arrived(&exporter, "with", 5.0).await;
    let settled =
        |s: &Sample| s.pair.state == PairState::Streaming && s.pair.lag_upper_seconds.is_some();
    sampler
        .wait_for("without", "the pair to be known", PATIENCE, settled)
        .await;
    let start = clock::now();
    sampler.recorded(start, Duration::from_secs(12)).await;
    let scrape = Scrape::of(&exporter).await;
    let delay = scrape
        .value(DELAY, &[("pair", "with")])
        .expect("heartbeats come");
    let recording = sampler.finish().await;
    let [with, without] = ["with", "without"].map(|name| recording.series(name).after(start).0);
    let (tight, wide) = (mean_upper(&with), mean_upper(&without));
    println!(
        "upper bound behind 100 ms: {tight:.3} s with heartbeats, {wide:.3} s without; a heartbeat takes {delay:.3} s"
    );
    assert!(
        (0.1..5.0).contains(&delay),
        "a heartbeat took {delay} s over a link of 0.1 s"
    );
    assert!(
        tight < wide * 0.6,
        "{tight} s is hardly tighter than {wide} s"
    );
    // No write is on its way for less than the link's delay, so this is never the bound of a busy
    // pair.
    assert!(
        with.iter()
            .all(|s| s.pair.lag_upper_seconds.is_some_and(|upper| upper >= 0.1)),
        "below the truth"
    );
    assert_eq!(
        scrape.value(ARRIVED, &[("pair", "without")]),
        None,
        "nothing is said of a pair without heartbeats"
    );
}

/// Nobody writes, and the master PINGs its replicas once a minute: without heartbeats nothing would
/// be missing.
#[tokio::test]
async fn a_stalled_link_of_an_idle_pair_is_seen() {
    let master = RedisServer::builder()
        .config("repl-ping-replica-period 60")
        .start()
        .await
        .unwrap();
    let (wan, replica) = behind(Duration::from_millis(20), &master).await;
    let (from, to) = (("dc1", master.addr()), ("dc2", replica.addr()));
    let (exporter, sampler) = exporter(&[pair("orders", from, to, Some("500ms"))]).await;
    arrived(&exporter, "orders", 3.0).await;
    sampler
        .wait_for(
            "orders",
            "the pair to be healthy",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    let broken = clock::now();
    wan.stall(Direction::Both);
    let stalled = |s: &Sample| s.pair.state == PairState::Stalled;
    let seen = sampler
        .wait_for("orders", "the stall to be seen", PATIENCE, stalled)
        .await;
    println!(
        "a stalled idle link: seen after {:.2} s",
        seen.since(broken)
    );
    assert!(
        seen.since(broken) <= 8.0,
        "seen after {} s",
        seen.since(broken)
    );
    assert!(
        seen.pair.lag_seconds.is_some_and(|lag| lag >= 2.0),
        "{:?}",
        seen.pair
    );
    wan.heal().await.unwrap();
    sampler
        .wait_for(
            "orders",
            "the pair to be healthy again",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    sampler.finish().await;
}

/// What the old process had proven proves nothing about the new one; and the bounds are right all
/// the while.
#[tokio::test]
async fn a_restarted_replica_needs_a_new_proof() {
    let master = RedisServer::builder().start().await.unwrap();
    let (_wan, mut replica) = behind(Duration::from_millis(20), &master).await;
    let _writer = SteadyWriter::start(master.addr(), None, LIGHT);
    let addr = replica.addr().clone();
    let (exporter, sampler) = exporter(&[pair(
        "orders",
        ("dc1", master.addr()),
        ("dc2", &addr),
        Some("200ms"),
    )])
    .await;
    arrived(&exporter, "orders", 5.0).await;
    sampler
        .wait_for(
            "orders",
            "the pair to be healthy",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    let killed = clock::now();
    replica.kill();
    sampler.recorded(killed, Duration::from_secs(6)).await;
    let restarted = clock::now();
    replica.restart().await.unwrap();
    replica.wait_until_in_sync(PATIENCE).await.unwrap();
    let before = Scrape::of(&exporter).await.value(ARRIVED, &[]).unwrap();
    arrived(&exporter, "orders", before + 5.0).await;
    sampler
        .wait_for(
            "orders",
            "the pair to be healthy again",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    let back = clock::now();
    sampler.recorded(back, Duration::from_secs(3)).await;
    let series = sampler.finish().await.series("orders");
    series.print("replica restarted", killed);
    // Nothing was applied since the kill, and a hundred writes a second were missed.
    let young = |s: &Sample| {
        s.pair
            .lag_upper_seconds
            .is_some_and(|upper| upper < seconds(killed, s.asked) - 0.1)
    };
    let wrong: Vec<_> = series
        .after(killed)
        .before(restarted)
        .0
        .into_iter()
        .filter(young)
        .collect();
    assert!(
        wrong.is_empty(),
        "a bound is younger than the outage: {:?}",
        wrong.first()
    );
    series.after(back).all("a bound again", |s| {
        s.pair.lag_upper_seconds.is_some_and(|upper| upper < 1.5)
    });
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).as_secs_f64()
}

/// The leaf hears the top, and no longer when its parent is cut off, whatever the parent's own link
/// says.
#[tokio::test]
async fn heartbeats_reach_the_leaf_of_a_chain() {
    let master = RedisServer::builder().start().await.unwrap();
    let (wan, middle) = behind(Duration::from_millis(20), &master).await;
    let leaf = RedisServer::builder()
        .replicaof(middle.addr())
        .start()
        .await
        .unwrap();
    leaf.wait_until_in_sync(PATIENCE).await.unwrap();
    let (top, parent, end) = (
        ("dc1", master.addr()),
        ("dc2", middle.addr()),
        ("dc2", leaf.addr()),
    );
    let (exporter, sampler) = exporter(&[
        pair("top", top, parent, None),
        pair("leaf", parent, end, Some("200ms")),
    ])
    .await;
    arrived(&exporter, "leaf", 5.0).await;
    sampler
        .wait_for(
            "leaf",
            "the leaf to be healthy",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    let cut = clock::now();
    wan.cut().await;
    let lost = || async {
        Scrape::of(&exporter)
            .await
            .value("redis_cross_dc_heartbeat_up", &[("pair", "leaf")])
            == Some(0.0)
    };
    eventually("heartbeats to be missed", PATIENCE, lost)
        .await
        .unwrap();
    assert_eq!(
        Scrape::of(&exporter)
            .await
            .value(DELAY, &[("pair", "leaf")]),
        None
    );
    assert_eq!(
        leaf.info_field("replication", "master_link_status")
            .await
            .unwrap()
            .as_deref(),
        Some("up")
    );
    let late = sampler
        .series("leaf")
        .after(cut)
        .0
        .into_iter()
        .next_back()
        .unwrap();
    assert!(
        late.pair
            .lag_upper_seconds
            .is_some_and(|upper| upper >= late.since(cut) - 0.2),
        "{:?}",
        late.pair
    );
    wan.heal().await.unwrap();
    sampler
        .wait_for(
            "leaf",
            "the leaf to be healthy again",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    let back = || async {
        Scrape::of(&exporter)
            .await
            .value(DELAY, &[("pair", "leaf")])
            .is_some()
    };
    eventually("heartbeats to come again", PATIENCE, back)
        .await
        .unwrap();
    sampler.finish().await;
}
