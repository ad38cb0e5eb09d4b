//! A replica of a replica: what counts is its lag behind the master at the top.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WanConditions, WanProxy};
use redis_cross_dc_exporter::model::Span;

use super::sampler::{Sample, Sampler};
use super::stage::{LAG_RULE, LIGHT, PATIENCE, config};
use crate::exporter::Exporter;

#[tokio::test]
async fn the_leaf_of_a_chain_lags_when_its_parent_is_cut_off() {
    let master = RedisServer::builder().start().await.unwrap();
    let wan = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let middle = RedisServer::builder()
        .replicaof(wan.addr())
        .start()
        .await
        .unwrap();
    middle.wait_until_in_sync(PATIENCE).await.unwrap();
    let leaf = RedisServer::builder()
        .replicaof(middle.addr())
        .start()
        .await
        .unwrap();
    leaf.wait_until_in_sync(PATIENCE).await.unwrap();
    let _writer = SteadyWriter::start(master.addr(), None, LIGHT);
    let pairs = [
        ("top", master.addr(), middle.addr()),
        ("leaf", middle.addr(), leaf.addr()),
    ];
    let exporter = Exporter::start(&config(&pairs, LAG_RULE, None)).await;
    let sampler = Sampler::start(exporter.url());
    for name in ["top", "leaf"] {
        sampler
            .wait_for(
                name,
                "the chain to be healthy",
                PATIENCE,
                Sample::is_healthy,
            )
            .await;
    }
    let broken = clock::now();
    wan.cut().await;
    sampler.recorded(broken, Duration::from_secs(10)).await;
    let healed = clock::now();
    wan.heal().await.unwrap();
    for name in ["top", "leaf"] {
        sampler
            .wait_for(
                name,
                "the chain to be healthy again",
                PATIENCE,
                Sample::is_healthy,
            )
            .await;
    }
    assert_eq!(
        leaf.info_field("replication", "master_link_status")
            .await
            .unwrap()
            .as_deref(),
        Some("up")
    );
    let recording = sampler.finish().await;
    for name in ["top", "leaf"] {
        let series = recording.series(name);
        series.print(name, broken);
        let during = series.after(broken + Span::from_secs(3)).before(healed);
        println!(
            "{name}: slope {:.3}, peak {:.2} s",
            during.slope(),
            during.max_lag().unwrap()
        );
        during.all("the lag is the time since the cut", |s| {
            s.pair
                .lag_seconds
                .is_some_and(|lag| (lag - s.since(broken)).abs() <= 1.0)
        });
        assert!(
            (0.95..=1.05).contains(&during.slope()),
            "the lag of {name} grew with the slope {}",
            during.slope()
        );
    }
}
