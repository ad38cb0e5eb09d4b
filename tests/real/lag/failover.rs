//! A failover in the middle of heavy writes: the lag of both directions against the truth.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WriteLoad, eventually};
use redis_cross_dc_exporter::model::{ServerAddr, Span, Timestamp};
use redis_cross_dc_exporter::replication::PairState;

use super::sampler::{Sample, Sampler, Series, seconds_from};
use super::stage::{PAIR, PATIENCE, config};
use super::truth::Truth;
use crate::exporter::Exporter;

/// A megabyte a second.
pub(super) const HEAVY: WriteLoad = WriteLoad {
    per_second: 5000,
    value_bytes: 200,
};

async fn replicaof(server: &RedisServer, master: &ServerAddr) {
    let (host, port) = master
        .to_string()
        .rsplit_once(':')
        .map(|(h, p)| (h.to_owned(), p.to_owned()))
        .unwrap();
    server.command(&["REPLICAOF", &host, &port]).await.unwrap();
}

#[tokio::test]
async fn the_interval_holds_the_truth_before_and_after_a_failover() {
    let a = RedisServer::builder().start().await.unwrap();
    let b = RedisServer::builder()
        .replicaof(a.addr())
        .start()
        .await
        .unwrap();
    b.wait_until_in_sync(PATIENCE).await.unwrap();
    let exporter = Exporter::start(&config(&[(PAIR, a.addr(), b.addr())], "", None)).await;
    let sampler = Sampler::start(exporter.url());
    let writer = SteadyWriter::start(a.addr(), None, HEAVY);
    let before = Truth::with_key(&a, &b, "before").await;
    sampler
        .wait_for(PAIR, "a lag", PATIENCE, |s| s.pair.lag_seconds.is_some())
        .await;
    let from = clock::now();
    sampler.recorded(from, Duration::from_secs(10)).await;
    // Nobody stops the writes: what the old master takes until it follows is lost.
    let promoted = clock::now();
    b.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let _new_writer = SteadyWriter::start(b.addr(), None, HEAVY);
    let after = Truth::with_key(&b, &a, "after").await;
    let so_far = writer.written();
    eventually("writes that will be lost", PATIENCE, || async {
        writer.written() > so_far + 1000
    })
    .await
    .unwrap();
    replicaof(&a, b.addr()).await;
    drop(writer);
    let new_replica = a.addr().to_string();
    let turned = |s: &Sample| s.pair.replica == new_replica;
    let streams = |s: &Sample| {
        turned(s) && s.pair.state == PairState::Streaming && s.pair.lag_seconds.is_some()
    };
    let shown = sampler
        .wait_for(PAIR, "the lag of the new direction", PATIENCE, streams)
        .await;
    sampler.recorded(shown.asked, Duration::from_secs(10)).await;
    let series = sampler.finish().await.series(PAIR);
    series.print("failover", promoted);
    println!(
        "failover: turned after {:.2} s, a lag of the new direction after {:.2} s",
        series.first(promoted, turned).unwrap(),
        seconds_from(promoted, shown.at())
    );
    let old = Series(series.before(promoted).after(from).0);
    let new = Series(
        series
            .after(promoted)
            .0
            .into_iter()
            .filter(turned)
            .collect(),
    );
    assert!(compare("before", &old, &before) > 20);
    assert!(compare("after", &new, &after) > 20);
    let lost = exporter.pairs().await.failovers.remove(0).last.unwrap();
    println!("failover: {}", lost.reason);
    // Between two polls it may give its history up unseen: then what is lost is known by its time.
    assert!(
        lost.lost_bytes > Some(0) || lost.lost_within_seconds.is_some_and(|within| within < 5.0),
        "{lost:?}"
    );
}

/// Every certified interval holds the truth, as far as the probe can measure it; how many were
/// looked at.
pub(super) fn compare(what: &str, series: &Series, truth: &Truth) -> usize {
    let (mut compared, mut wrong, mut errors) = (0, Vec::new(), Vec::new());
    for sample in &series.0 {
        let pair = &sample.pair;
        let (Some((low, high)), Some(age)) = (truth.lag(sample.asked, sample.answered), sample.age)
        else {
            continue;
        };
        // The lower bound was certain when the replica was asked, within the milliseconds before it
        // answered.
        let seen = |at: Timestamp| at + Span::from_secs_f64(-age);
        let Some((_, then)) = truth.lag(
            seen(sample.asked) + Span::from_millis(-20),
            seen(sample.answered),
        ) else {
            continue;
        };
        compared += 1;
        errors.extend(
            pair.lag_seconds
                .map(|estimate| (low - estimate).max(estimate - high).max(0.0)),
        );
        let (lower, upper) = (
            pair.lag_lower_seconds.unwrap_or(0.0),
            pair.lag_upper_seconds.unwrap_or(f64::MAX),
        );
        if upper < low || lower > then {
            wrong.push(format!(
                "truth [{low:.3}, {high:.3}], {then:.3} when asked, shown [{lower:.3}, {upper:.3}]"
            ));
        }
    }
    let worst = errors.iter().copied().fold(0.0, f64::max);
    println!(
        "{what}: {compared} samples, {} with an estimate, worst error beyond the grain {worst:.3} s",
        errors.len()
    );
    assert!(
        wrong.is_empty(),
        "{what}: the truth was outside the interval: {wrong:#?}"
    );
    compared
}
