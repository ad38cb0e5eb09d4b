//! A full resync over a slow link: the replica serves its old data all the while, and lags.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::replication::PairState;

use super::invariants;
use super::sampler::Sample;
use super::stage::{LAG_RULE, PAIR, Plan, Stage};
use crate::exporter::Exporter;

/// The data set: what the slow link carries in some six seconds.
const KEYS: &str = "6000";
const VALUE_BYTES: &str = "10000";
const RATE: u64 = 10_000_000;

/// The master's count of full syncs, as the exporter reports it.
async fn full_syncs(exporter: &Exporter, master: &RedisServer) -> f64 {
    let text = exporter.get("/metrics").await;
    let is_it = |series: &str| {
        series.starts_with("redis_cross_dc_full_syncs_total{")
            && series.contains(&format!("\"{}\"", master.addr()))
    };
    let found = text
        .lines()
        .filter_map(invariants::sample)
        .find(|(series, _)| is_it(series));
    found
        .unwrap_or_else(|| panic!("no full syncs of the master: {text}"))
        .1
}

#[tokio::test]
async fn a_full_sync_is_lag_until_it_ends() {
    let master = RedisServer::builder()
        .allow_debug()
        .config("repl-backlog-size 16kb")
        .config("rdbcompression no");
    let replica = RedisServer::builder().config("rdbcompression no");
    let alerts = format!("{LAG_RULE}, link_down: {{warning: null, critical: null}}");
    let stage = Stage::start(Plan {
        alerts,
        master,
        replica,
        ..Plan::default()
    })
    .await;
    stage
        .master
        .command(&["DEBUG", "POPULATE", KEYS, "big", VALUE_BYTES])
        .await
        .unwrap();
    let before = full_syncs(&stage.exporter, &stage.master).await;

    let broken = clock::now();
    stage.wan.cut().await;
    stage
        .master
        .command(&["SET", "beyond-the-backlog", &"x".repeat(200_000)])
        .await
        .unwrap();
    stage.wan.set_rate(Some(RATE));
    stage
        .sampler
        .wait_for(
            PAIR,
            "the link to be seen down",
            super::stage::PATIENCE,
            |s| s.pair.state == PairState::LinkDown,
        )
        .await;
    stage.wan.heal().await.unwrap();
    stage
        .sampler
        .wait_for(PAIR, "a full sync", super::stage::PATIENCE, |s| {
            s.pair.state == PairState::FullSync
        })
        .await;
    stage.healthy("the end of the full sync").await;
    stage.no_alert(super::hooks::LAG_HIGH).await;
    let after = full_syncs(&stage.exporter, &stage.master).await;
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR);
    series.print("full sync", broken);

    let over = series
        .after(broken)
        .0
        .into_iter()
        .find(|s| s.since(broken) > 1.5 && s.pair.state == PairState::Streaming);
    let over = over.unwrap().asked;
    let during = series.after(broken).before(over);
    println!(
        "full sync: over after {:.2} s, lag max {:?} s, full syncs {before} -> {after}",
        (over - broken).as_secs_f64(),
        during.max_lag()
    );
    assert!(during.states().contains(&PairState::FullSync));
    assert!(
        !series.states().contains(&PairState::Stalled),
        "a link that came up is not stalled"
    );
    assert!(
        (over - broken).to_duration() > Duration::from_secs(5),
        "the sync was too short to show anything"
    );
    assert!(after >= before + 1.0, "the full sync was not counted");
    let off = |s: &Sample| s.pair.lag_seconds.map(|lag| lag - s.since(broken));
    let shown = super::sampler::Series(
        during
            .0
            .iter()
            .filter(|s| s.since(broken) > 1.5)
            .cloned()
            .collect(),
    );
    shown.all("the lag grows, or is unknown", |s| {
        off(s).is_none_or(|off| off.abs() <= 1.5)
    });
    shown.all("bytes are sane", |s| {
        s.pair.lag_bytes.is_none_or(|bytes| bytes < 10_000_000)
    });
}
