//! The shortest way through everything.

use std::time::Duration;

use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::replication::PairState;

use crate::exporter::Exporter;

#[tokio::test]
async fn a_healthy_pair_is_streaming_without_lag() {
    let master = RedisServer::builder().start().await.unwrap();
    let replica = RedisServer::builder()
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica
        .wait_until_in_sync(Duration::from_secs(30))
        .await
        .unwrap();
    let exporter = Exporter::start(&format!(
        "pairs: [{{name: orders, master: {{address: '{}', dc: dc1}}, replicas: [{{address: '{}', dc: dc2}}]}}]",
        master.addr(),
        replica.addr()
    ))
    .await;
    let pair = exporter
        .wait_for(
            "orders",
            "a lag is shown",
            Duration::from_secs(10),
            |pair| pair.lag_seconds.is_some(),
        )
        .await;
    assert_eq!(pair.state, PairState::Streaming);
    assert!(pair.lag_seconds.unwrap() <= 0.1, "{pair:?}");
}
