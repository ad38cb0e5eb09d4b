//! A shard of a Redis Cluster under heavy writes: the lag against the truth while it fails over,
//! and while slots move.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{SteadyWriter, eventually};
use redis_cross_dc_exporter::replication::PairState;

use super::failover::{HEAVY, compare};
use super::sampler::{Sample, Sampler, Series, seconds_from};
use super::stage::PATIENCE;
use super::truth::Truth;
use crate::cluster::{DC1, DC2, Site, configuration, move_slots, order};
use crate::exporter::Exporter;

/// The pair of the shard that has every key of the writers.
const SHARD: &str = "c/slot-0";

/// A cluster whose first shard has every slot but two, which no key of the writers has.
async fn site() -> Site {
    Site::set(
        &[
            (DC1, &[0..=16379, 16381..=16381, 16383..=16383]),
            (DC1, &[16380..=16380]),
            (DC2, &[16382..=16382]),
        ],
        &[DC2, DC2, DC1],
        |builder| builder,
    )
    .await
}

#[tokio::test]
#[ignore = "it measures for a minute: make clusters"]
async fn the_interval_holds_the_truth_before_and_after_a_failover() {
    let site = site().await;
    let (a, b) = (&site.masters[0], &site.replicas[0]);
    let exporter = Exporter::start(&configuration(&[&site.masters[1]], "")).await;
    let sampler = Sampler::start(exporter.url());
    let writer = SteadyWriter::start(a.addr(), None, HEAVY);
    let before = Truth::with_key(a, b, "before").await;
    sampler
        .wait_for(SHARD, "a lag", PATIENCE, |s| s.pair.lag_seconds.is_some())
        .await;
    let from = clock::now();
    sampler.recorded(from, Duration::from_secs(10)).await;
    // Nobody stops the writes: what the old master takes until it learns of it is lost.
    let promoted = clock::now();
    order(b, &["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
    let is_master = || async {
        let role = b.info_field("replication", "role").await;
        role.is_ok_and(|role| role.as_deref() == Some("master"))
    };
    eventually("the takeover", PATIENCE, is_master)
        .await
        .unwrap();
    let _new_writer = SteadyWriter::start(b.addr(), None, HEAVY);
    let after = Truth::with_key(b, a, "after").await;
    drop(writer);
    let new_replica = a.addr().to_string();
    let turned = |s: &Sample| s.pair.replica == new_replica;
    let streams = |s: &Sample| {
        turned(s) && s.pair.state == PairState::Streaming && s.pair.lag_seconds.is_some()
    };
    let shown = sampler
        .wait_for(SHARD, "the lag of the new direction", PATIENCE, streams)
        .await;
    sampler.recorded(shown.asked, Duration::from_secs(10)).await;
    let series = sampler.finish().await.series(SHARD);
    series.print("cluster failover", promoted);
    println!(
        "cluster failover: turned after {:.2} s, a lag of the new direction after {:.2} s",
        series.first(promoted, turned).unwrap(),
        seconds_from(promoted, shown.at())
    );
    let old = Series(series.before(promoted).after(from).0);
    let turned = series.after(promoted).0.into_iter().filter(turned);
    let new = Series(turned.collect());
    assert!(compare("before", &old, &before) > 20);
    assert!(compare("after", &new, &after) > 20);
}

#[tokio::test]
#[ignore = "it measures for half a minute: make clusters"]
async fn the_interval_holds_the_truth_while_slots_move() {
    let site = site().await;
    let (a, b) = (&site.masters[0], &site.replicas[0]);
    let exporter = Exporter::start(&configuration(&[&site.masters[1]], "")).await;
    let sampler = Sampler::start(exporter.url());
    let _writer = SteadyWriter::start(a.addr(), None, HEAVY);
    let truth = Truth::with_key(a, b, "truth").await;
    sampler
        .wait_for(SHARD, "a lag", PATIENCE, |s| s.pair.lag_seconds.is_some())
        .await;
    let from = clock::now();
    // Slots without a key of the writers, one after the other, there and back.
    for _ in 0..5 {
        for slot in [16374, 16376, 16378] {
            move_slots(&site, (a, &site.masters[1]), slot..=slot).await;
            move_slots(&site, (&site.masters[1], a), slot..=slot).await;
        }
    }
    sampler.recorded(from, Duration::from_secs(10)).await;
    let series = sampler.finish().await.series(SHARD);
    let moved = Series(series.after(from).0);
    assert!(compare("while slots move", &moved, &truth) > 20);
    moved.all("streaming", |s| s.pair.state == PairState::Streaming);
    let failovers = exporter.pairs().await.failovers;
    assert!(
        failovers.iter().all(|entry| entry.total == 0),
        "{failovers:?}"
    );
}
