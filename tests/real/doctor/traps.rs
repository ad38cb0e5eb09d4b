//! The traps themselves, walked into after doctor has warned of them: what it says is what happens.

use std::time::Duration;

use redis_cross_dc_exporter::doctor::FindingSeverity::Critical;
use redis_cross_dc_exporter::lab::{LabError, RedisServer, Reply, eventually};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{Pair, expect_one, reference};
use crate::stage::LIMIT;

/// How many keys a server has in the database that a new connection has.
async fn keys(server: &RedisServer) -> i64 {
    match server.command(&["DBSIZE"]).await {
        Ok(Reply::Integer(count)) => count,
        other => panic!("{other:?}"),
    }
}

async fn wait_for_keys(server: &RedisServer, expected: i64) {
    let reached = || async {
        let count = keys(server).await;
        if count == expected {
            Ok(())
        } else {
            Err(count.to_string())
        }
    };
    let what = format!("{expected} keys on {}", server.addr());
    eventually(&what, LIMIT, reached).await.unwrap();
}

fn refusal(result: Result<Reply, LabError>) -> String {
    match result {
        Err(LabError::CommandRefused { reply, .. }) => reply,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a1_a_promoted_replica_refuses_every_write() {
    let trap = reference().config("min-replicas-to-write 1");
    let pair = Pair::start(reference(), trap).await;
    expect_one(
        &pair.report().await,
        DoctorCheck::A1,
        Critical,
        pair.replica.addr(),
    );
    pair.master.command(&["SET", "key", "value"]).await.unwrap();
    pair.replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    let refused = refusal(pair.replica.command(&["SET", "key", "other"]).await);
    assert!(refused.starts_with("NOREPLICAS"), "{refused}");
}

#[tokio::test]
async fn a2_the_first_write_after_a_promotion_evicts_the_data() {
    let policy = || reference().config("maxmemory-policy allkeys-lru");
    let trap = policy().config("maxmemory 3mb");
    let pair = Pair::start(policy(), trap).await;
    let value = "x".repeat(1000);
    let mut connection = pair.master.connect().await.unwrap();
    for number in 0..6000 {
        let key = format!("key:{number}");
        connection.command(&["SET", &key, &value]).await.unwrap();
    }
    wait_for_keys(&pair.replica, 6000).await;
    expect_one(
        &pair.report().await,
        DoctorCheck::A2,
        Critical,
        pair.replica.addr(),
    );
    pair.replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    // Evicting takes more than one write where the server limits how long each may wait.
    let mut connection = pair.replica.connect().await.unwrap();
    for _ in 0..100 {
        // Refused while there is still too little memory, which is the same loss.
        let _ = connection.command(&["SET", "first", "write"]).await;
    }
    let left = keys(&pair.replica).await;
    assert!(left < 3000, "{left} of 6000 keys are left");
}

#[tokio::test]
async fn a3_writes_to_a_database_that_the_replica_lacks_land_in_another() {
    let pair = Pair::start(reference(), reference().config("databases 4")).await;
    let mut connection = pair.master.connect().await.unwrap();
    connection.command(&["SELECT", "9"]).await.unwrap();
    connection.command(&["SET", "lost", "value"]).await.unwrap();
    wait_for_keys(&pair.replica, 1).await;
    expect_one(
        &pair.report().await,
        DoctorCheck::A3,
        Critical,
        pair.replica.addr(),
    );
    // The link is up and the replica has the key, in database 0.
    let link = pair
        .replica
        .info_field("replication", "master_link_status")
        .await;
    assert_eq!(link.unwrap().as_deref(), Some("up"));
    let value = pair.replica.command(&["GET", "lost"]).await.unwrap();
    assert_eq!(value.text().as_deref(), Some("value"));
}

#[tokio::test]
async fn c1_a_restart_of_a_master_without_persistence_empties_its_replica() {
    let mut pair = Pair::start(reference().config("save \"\""), reference()).await;
    pair.master.command(&["SET", "key", "value"]).await.unwrap();
    wait_for_keys(&pair.replica, 1).await;
    expect_one(
        &pair.report().await,
        DoctorCheck::C1,
        Critical,
        pair.master.addr(),
    );
    pair.master.kill();
    pair.master.restart().await.unwrap();
    wait_for_keys(&pair.replica, 0).await;
}

#[tokio::test]
async fn a11_what_a_writable_replica_took_is_nowhere_else() {
    let pair = Pair::start(reference(), reference().config("replica-read-only no")).await;
    expect_one(
        &pair.report().await,
        DoctorCheck::A11,
        Critical,
        pair.replica.addr(),
    );
    pair.replica
        .command(&["SET", "own", "value"])
        .await
        .unwrap();
    pair.master.command(&["SET", "key", "value"]).await.unwrap();
    wait_for_keys(&pair.replica, 2).await;
    // Long enough for anything that could travel back.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(keys(&pair.master).await, 1);
}
