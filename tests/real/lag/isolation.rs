//! The monitor is cut off from a replica that is healthy.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Direction, RedisServer, SteadyWriter, WanConditions, WanProxy};
use redis_cross_dc_exporter::model::Span;
use redis_cross_dc_exporter::replication::PairState;

use super::hooks::LAG_HIGH;
use super::sampler::{Sample, Sampler};
use super::servers::is_supported;
use super::stage::{LAG_RULE, LIGHT, PAIR, PATIENCE, config};
use crate::exporter::Exporter;
use crate::receiver::Receiver;

/// The exporter reaches the replica under another address than its own, as behind a port mapping,
/// and then not at all.
#[tokio::test]
async fn a_replica_that_only_the_monitor_cannot_reach_does_not_lag() {
    let master = RedisServer::builder().start().await.unwrap();
    let replica = RedisServer::builder()
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(PATIENCE).await.unwrap();
    let mapped = WanProxy::start(None, replica.addr(), WanConditions::default())
        .await
        .unwrap();
    let _writer = SteadyWriter::start(master.addr(), None, LIGHT);
    let receiver = Receiver::start([]).await.unwrap();
    let exporter = Exporter::start(&config(
        &[(PAIR, master.addr(), mapped.addr())],
        LAG_RULE,
        Some(&receiver),
    ))
    .await;
    let sampler = Sampler::start(exporter.url());
    // Right after the first round nothing is known of the replica's ACKs, and its silence looks
    // like any other.
    let acknowledged = |sample: &Sample| sample.is_healthy() && sample.pair.ack_lag_bytes.is_some();
    sampler
        .wait_for(
            PAIR,
            "the pair to be healthy, by its ACKs, too",
            PATIENCE,
            acknowledged,
        )
        .await;

    let cut_off = clock::now();
    mapped.stall(Direction::Both);
    sampler.recorded(cut_off, Duration::from_secs(12)).await;
    let healed = clock::now();
    mapped.heal().await.unwrap();
    sampler
        .wait_for(
            PAIR,
            "the pair to be healthy again",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    let series = sampler.finish().await.series(PAIR);
    series.print("monitor cut off", cut_off);

    series.all("no lag only on evidence", is_supported);
    series
        .after(healed)
        .all("no lag is made up after the heal", |s| {
            s.pair.lag_lower_seconds.is_none_or(|lower| lower <= 1.5)
        });
    let during = series.after(cut_off).before(healed);
    let known = during
        .0
        .iter()
        .filter(|s| s.pair.lag_seconds.is_some())
        .count();
    let upper = during
        .0
        .iter()
        .filter_map(|s| s.pair.lag_upper_seconds)
        .fold(0.0, f64::max);
    println!(
        "monitor cut off: lag max {:?} s, known in {known} of {}, upper max {upper:.2} s",
        during.max_lag(),
        during.0.len()
    );
    during.all("no lag is made up", |s| {
        s.pair.lag_seconds.is_none_or(|lag| lag <= 1.5)
    });
    assert!(
        known * 10 >= during.0.len() * 9,
        "the master's word for the replica was not used"
    );
    during.all("the upper bound stays near", |s| {
        s.pair.lag_upper_seconds.is_none_or(|upper| upper <= 4.0)
    });
    during.all("no alert", |s| !s.has_alert(LAG_HIGH));
    during
        .after(cut_off + Span::from_secs(4))
        .all("the state", |s| {
            s.pair.state == PairState::ReplicaUnreachable
        });
    assert!(receiver.requests().is_empty(), "{:?}", receiver.requests());
}
