//! Replicas that follow nobody, or somebody else, or themselves: no number stands for what does not
//! compare.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, ports};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::replication::PairState;

use super::sampler::{Sample, Sampler};
use super::stage::{LIGHT, PAIR, PATIENCE, config, number};
use crate::exporter::Exporter;

fn has_no_number(s: &Sample) -> bool {
    let p = &s.pair;
    let seconds = [
        p.lag_seconds,
        p.lag_lower_seconds,
        p.lag_upper_seconds,
        p.lag_max_seconds,
    ];
    let bytes = [p.lag_bytes, p.lag_lower_bytes, p.lag_upper_bytes];
    seconds.iter().all(Option::is_none)
        && bytes.iter().all(Option::is_none)
        && p.last_known.is_none()
}

/// The pair comes to `state` and stays in it for some seconds without any number.
async fn check(what: &str, master: &RedisServer, replica: &RedisServer, state: PairState) {
    let exporter =
        Exporter::start(&config(&[(PAIR, master.addr(), replica.addr())], "", None)).await;
    let sampler = Sampler::start(exporter.url());
    let start = clock::now();
    sampler
        .wait_for(PAIR, what, PATIENCE, |s| s.pair.state == state)
        .await;
    let reached = clock::now();
    sampler.recorded(reached, Duration::from_secs(4)).await;
    let series = sampler.finish().await.series(PAIR);
    series.print(what, start);
    series.all("no number at all", has_no_number);
    series
        .after(reached)
        .all("the state stays", |s| s.pair.state == state);
}

#[tokio::test]
async fn a_replica_of_an_absent_master_never_synced() {
    let master = RedisServer::builder().start().await.unwrap();
    let closed = ServerAddr::new("127.0.0.1", ports::free().unwrap());
    let replica = RedisServer::builder()
        .replicaof(&closed)
        .start()
        .await
        .unwrap();
    let _writer = SteadyWriter::start(master.addr(), None, LIGHT);
    check("never synced", &master, &replica, PairState::NeverSynced).await;
}

/// `with_own_replica`: whether the configured master has a replica; without one it keeps
/// no backlog.
async fn wrong_master(with_own_replica: bool) {
    let master = RedisServer::builder().start().await.unwrap();
    let other = RedisServer::builder().start().await.unwrap();
    let own = if with_own_replica {
        Some(
            RedisServer::builder()
                .replicaof(master.addr())
                .start()
                .await
                .unwrap(),
        )
    } else {
        None
    };
    let replica = RedisServer::builder()
        .replicaof(other.addr())
        .start()
        .await
        .unwrap();
    for replica in own.iter().chain([&replica]) {
        replica.wait_until_in_sync(PATIENCE).await.unwrap();
    }
    let _writers = [&master, &other].map(|server| SteadyWriter::start(server.addr(), None, LIGHT));
    check("wrong master", &master, &replica, PairState::WrongMaster).await;
}

#[tokio::test]
async fn a_replica_of_another_master_is_recognized() {
    wrong_master(true).await;
}

#[tokio::test]
async fn a_replica_of_another_master_is_recognized_although_its_own_has_none() {
    wrong_master(false).await;
}

#[tokio::test]
async fn two_masters_diverge_by_what_they_do_not_share() {
    let master = RedisServer::builder().start().await.unwrap();
    let replica = RedisServer::builder()
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(PATIENCE).await.unwrap();
    let writer = SteadyWriter::start(master.addr(), None, LIGHT);
    let exporter =
        Exporter::start(&config(&[(PAIR, master.addr(), replica.addr())], "", None)).await;
    let sampler = Sampler::start(exporter.url());
    sampler
        .wait_for(PAIR, "the pair to be healthy", PATIENCE, Sample::is_healthy)
        .await;

    let promoted = clock::now();
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let other_writer = SteadyWriter::start(replica.addr(), None, LIGHT);
    sampler
        .wait_for(PAIR, "two masters", PATIENCE, |s| {
            s.pair.state == PairState::Diverged
        })
        .await;
    let seen = clock::now();
    sampler.recorded(seen, Duration::from_secs(3)).await;
    assert!(writer.stop().await > 0 && other_writer.stop().await > 0);
    let here = number(&master, "replication", "master_repl_offset").await;
    let shared = number(&replica, "replication", "second_repl_offset").await - 1;
    let unshared = here - shared;
    println!("two masters: {here} - {shared} = {unshared} bytes are not shared");
    assert!(unshared > 1000);
    sampler
        .wait_for(PAIR, "the exact difference", PATIENCE, |s| {
            s.pair.diverged_bytes == Some(unshared)
        })
        .await;
    let exact = clock::now();
    sampler.recorded(exact, Duration::from_secs(3)).await;
    let series = sampler.finish().await.series(PAIR);
    series.print("two masters", promoted);
    println!(
        "two masters: seen after {:.2} s",
        series
            .first(promoted, |s| s.pair.state == PairState::Diverged)
            .unwrap()
    );
    series
        .after(seen)
        .all("the state stays, without a lag", |s| {
            s.pair.state == PairState::Diverged
                && s.pair.lag_seconds.is_none()
                && s.pair.lag_bytes.is_none()
        });
    series.after(exact).all("the exact difference stays", |s| {
        s.pair.diverged_bytes == Some(unshared)
    });
}
