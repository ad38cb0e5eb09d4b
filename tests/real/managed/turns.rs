//! Several servers behind one address, and one server behind two.

use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WriteLoad, eventually};
use redis_cross_dc_exporter::replication::PairState;

use super::{Endpoint, after_polls, exporter_of, nothing_false_was_said, wait_for_state};
use crate::failover::replicaof;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

const LOAD: WriteLoad = WriteLoad {
    per_second: 200,
    value_bytes: 100,
};

const AT_THE_REPLICAS: &str = "several servers answer in turn at the replica's address";
const AT_THE_MASTERS: &str = "several servers answer in turn at the master's address";

async fn second_replica(stage: &Stage) -> RedisServer {
    let replica = RedisServer::builder().replicaof(stage.master.addr());
    let replica = replica.start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    replica
}

/// A reader endpoint: every answer is that of some replica.
#[tokio::test]
async fn replicas_that_take_turns_behind_one_address_are_said_to_and_show_no_lag() {
    let stage = Stage::set().await;
    let other = second_replica(&stage).await;
    let reader = Endpoint::in_turn(&[&stage.replica, &other]).await;
    let _writer = SteadyWriter::start(stage.master.addr(), None, LOAD);
    let exporter = exporter_of(stage.master.addr(), reader.addr()).await;
    let pair = wait_for_state(&exporter, PairState::Unknown, AT_THE_REPLICAS).await;
    assert_eq!((pair.lag_seconds, pair.lag_bytes), (None, None), "{pair:?}");
    let applied = pair.applied_bytes_total;
    after_polls(&exporter, reader.addr(), 10.0).await;
    let pair = exporter.pair("orders").await;
    assert_eq!(pair.applied_bytes_total, applied, "whose would they be?");
    let firing = || async {
        let labels = [("alertname", "RedisCrossDcLagUnknown"), ("state", "firing")];
        let scrape = Scrape::of(&exporter).await;
        scrape.value("redis_cross_dc_alerts", &labels).is_some()
    };
    eventually("the alert that says so", LIMIT, firing)
        .await
        .unwrap();
    nothing_false_was_said(&exporter).await;

    // By their own addresses they are seen.
    let exporter = exporter_of(stage.master.addr(), other.addr()).await;
    let pair = wait_for_state(&exporter, PairState::Streaming, "").await;
    assert!(pair.lag_seconds.is_some(), "{pair:?}");
}

/// One endpoint before the master and its replica, named twice: both addresses change their role
/// from one answer to the next.
#[tokio::test]
async fn roles_that_flip_from_answer_to_answer_are_no_failover() {
    let stage = Stage::set().await;
    let first = Endpoint::in_turn(&[&stage.master, &stage.replica]).await;
    let second = Endpoint::in_turn(&[&stage.replica, &stage.master]).await;
    let exporter = exporter_of(first.addr(), second.addr()).await;
    wait_for_state(&exporter, PairState::Unknown, AT_THE_MASTERS).await;
    after_polls(&exporter, first.addr(), 30.0).await;
    wait_for_state(&exporter, PairState::Unknown, AT_THE_MASTERS).await;
    nothing_false_was_said(&exporter).await;
}

/// A proxy before several shards: each answer is another master's, with another history.
#[tokio::test]
async fn masters_that_take_turns_have_lost_no_history() {
    let stage = Stage::set().await;
    let other = Stage::set().await;
    let writers = [&stage, &other].map(|s| SteadyWriter::start(s.master.addr(), None, LOAD));
    let proxy = Endpoint::in_turn(&[&stage.master, &other.master]).await;
    let exporter = exporter_of(proxy.addr(), stage.replica.addr()).await;
    let pair = wait_for_state(&exporter, PairState::Unknown, AT_THE_MASTERS).await;
    assert_eq!(pair.lag_upper_seconds, None, "{pair:?}");
    after_polls(&exporter, proxy.addr(), 20.0).await;
    nothing_false_was_said(&exporter).await;
    drop(writers);
}

/// A reader endpoint without any replica behind it leads to the master.
#[tokio::test]
async fn one_server_at_both_addresses_is_not_two_masters() {
    let stage = Stage::set().await;
    let reader = Endpoint::to_one(&[&stage.master]).await;
    let exporter = exporter_of(stage.master.addr(), reader.addr()).await;
    let says = "one server answers at both addresses";
    let pair = wait_for_state(&exporter, PairState::Unknown, says).await;
    assert_eq!(pair.lag_seconds, None);
    after_polls(&exporter, reader.addr(), 10.0).await;
    nothing_false_was_said(&exporter).await;
}

/// The primary's name follows a failover, as that of `ElastiCache` does: what the new primary has
/// counted in its life is not counted again, and its history goes on.
#[tokio::test]
async fn an_address_that_moves_to_the_promoted_replica_is_followed() {
    let stage = Stage::set().await;
    let other = second_replica(&stage).await;
    let primary = Endpoint::to_one(&[&stage.master, &stage.replica]).await;
    let exporter = exporter_of(primary.addr(), other.addr()).await;
    wait_for_state(&exporter, PairState::Streaming, "").await;
    let full_syncs = || async {
        let scrape = Scrape::of(&exporter).await;
        let server = primary.addr().to_string();
        scrape.value("redis_cross_dc_full_syncs_total", &[("server", &server)])
    };
    let before = full_syncs().await;
    // Long enough that the processes' uptimes, in whole seconds, tell them from restarted ones.
    after_polls(&exporter, primary.addr(), 20.0).await;
    replicaof(&stage.replica, None).await;
    replicaof(&other, Some(stage.replica.addr())).await;
    replicaof(&stage.master, Some(stage.replica.addr())).await;
    primary.move_to(1);
    other.wait_until_in_sync(LIMIT).await.unwrap();
    stage
        .replica
        .command(&["SET", "key", "value"])
        .await
        .unwrap();
    let pair = wait_for_state(&exporter, PairState::Streaming, "").await;
    assert!(pair.lag_seconds.is_some(), "{pair:?}");
    assert_eq!(full_syncs().await, before, "none was served");
    nothing_false_was_said(&exporter).await;
}
