//! The pair follows a failover.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{Connection, RedisServer, Reply, eventually};
use redis_cross_dc_exporter::model::ServerAddr;

use super::{DC1, DC2, LIMIT, Site};
use crate::exporter::Exporter;

/// How long the exporter may take from Sentinel's word to the pair's new direction.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(1);

/// Whom the Sentinel names.
async fn master_of(connection: &mut Connection, name: &str) -> Option<String> {
    let reply = connection
        .command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])
        .await
        .ok()?;
    let Reply::Array(words) = reply else {
        return None;
    };
    let words: Vec<_> = words.iter().filter_map(Reply::text).collect();
    Some(words.join(":"))
}

/// Watches the Sentinels until one names `to`, and then the exporter until the pair of that name
/// does: the time between.
async fn time_to_follow(
    sentinels: &[&RedisServer],
    exporter: &Exporter,
    to: &ServerAddr,
) -> Duration {
    let mut connections = Vec::new();
    for sentinel in sentinels {
        connections.push(sentinel.connect().await.unwrap());
    }
    let (deadline, wanted) = (Instant::now() + LIMIT, to.to_string());
    let decided = 'decided: loop {
        assert!(Instant::now() < deadline, "no Sentinel names {wanted}");
        for connection in &mut connections {
            // Before the question: the answer is what it knew by then.
            let asked = Instant::now();
            if master_of(connection, "mymaster").await.as_deref() == Some(&wanted) {
                break 'decided asked;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    loop {
        let pairs = exporter.pairs().await.pairs;
        if !pairs.is_empty() && pairs.iter().all(|pair| pair.master == wanted) {
            return decided.elapsed();
        }
        assert!(decided.elapsed() < LIMIT, "{pairs:?}\n{}", exporter.log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_dead_masters_pair_is_reversed_once_the_sentinels_have_decided() {
    let mut site = Site::set("mymaster", &[DC1, DC2, DC2], 2).await;
    let exporter = Exporter::start(&site.configuration("sessions", "master_name: mymaster")).await;
    exporter
        .wait_for("sessions", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let risk = "the Sentinels in dc2 can promote a replica there on their own (2 of 3 run in dc2, the quorum is 2)";
    assert_eq!(
        exporter.log().matches(risk).count(),
        1,
        "{}",
        exporter.log()
    );
    assert!(exporter.pairs().await.sentinels[0].risks[0].starts_with(risk));

    site.master.kill();
    let sentinels: Vec<_> = site.sentinels.iter().collect();
    let took = time_to_follow(&sentinels, &exporter, site.replica.addr()).await;
    println!("a failover was followed {took:?} after the first Sentinel named the new master");
    let turned = exporter.pair("sessions").await;
    assert_eq!(
        (turned.source_dc.as_str(), turned.target_dc.as_str()),
        ("dc2", "dc1")
    );
    assert_eq!(
        turned.replica,
        site.master.addr().to_string(),
        "the old master stays as a replica"
    );

    site.all_name(site.replica.addr()).await;
    site.master.restart().await.unwrap();
    exporter
        .wait_for("sessions", "the old master's return", LIMIT, |pair| {
            pair.link_up
        })
        .await;
}

/// How long it takes from a Sentinel's word to the pair's new direction, twenty times: `cargo test
/// --test real sentinel::failover -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "it measures for some minutes; docs/topologies.md has the figures"]
async fn twenty_failovers_are_measured() {
    let site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let exporter = Exporter::start(&site.configuration("sessions", "master_name: mymaster")).await;
    exporter
        .wait_for("sessions", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let (mut from, mut to) = (&site.master, &site.replica);
    let mut times = Vec::new();
    for _ in 0..20 {
        exporter
            .wait_for("sessions", "a streaming link", LIMIT, |pair| pair.link_up)
            .await;
        begin_failover(&site.sentinels[0]).await;
        let sentinels: Vec<_> = site.sentinels.iter().collect();
        times.push(time_to_follow(&sentinels, &exporter, to.addr()).await);
        std::mem::swap(&mut from, &mut to);
    }
    times.sort();
    println!(
        "followed within {:?} (median), {:?} (worst of 20)",
        times[10], times[19]
    );
    assert!(times[19] < FOLLOWED_WITHIN, "{times:?}");
}

/// Requests a failover until the one before has ended and the replica is good enough.
async fn begin_failover(sentinel: &RedisServer) {
    let began = || async {
        sentinel
            .command(&["SENTINEL", "FAILOVER", "mymaster"])
            .await
            .map_err(|error| error.to_string())
    };
    eventually("another failover", LIMIT, began).await.unwrap();
}
