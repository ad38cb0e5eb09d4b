//! What is found of a cluster, and how a failover is followed.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{RedisServer, eventually};

use super::{
    LIMIT, Site, configuration, id_of, nodes_text, order, pairs, wait_for_metric, wait_for_pairs,
};
use crate::command::{folder_with, run};
use crate::exporter::Exporter;
use crate::scrape::Scrape;

/// Watches the nodes until most of `voters` know `to` as the master of slots, and then the exporter
/// until its pairs called `pair` have that master: the time between.
async fn time_to_follow(
    voters: &[&RedisServer],
    exporter: &Exporter,
    pair: &str,
    to: &RedisServer,
) -> Duration {
    let line = format!("{} ", id_of(to).await);
    let deadline = Instant::now() + LIMIT;
    let is_master = |nodes: &str| {
        let seen = nodes.lines().find(|seen| seen.starts_with(&line));
        seen.is_some_and(|seen| seen.contains("master ") && seen.split(' ').count() > 8)
    };
    let decided = loop {
        assert!(Instant::now() < deadline, "no majority names {}", to.addr());
        // Before the question: the answers are what they knew by then.
        let asked = Instant::now();
        let mut agreeing = 0;
        for voter in voters {
            agreeing += usize::from(is_master(&nodes_text(voter).await));
        }
        if 2 * agreeing > voters.len() {
            break asked;
        }
    };
    let wanted = to.addr().to_string();
    loop {
        let mut all = exporter.pairs().await.pairs;
        all.retain(|seen| seen.pair == pair);
        if !all.is_empty() && all.iter().all(|seen| seen.master == wanted) {
            return decided.elapsed();
        }
        assert!(decided.elapsed() < LIMIT, "{all:?}\n{}", exporter.log());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn shards_are_found_and_a_dead_masters_pair_is_reversed_once_the_majority_has_decided() {
    let mut site = Site::three_pairs().await;
    let named = [&site.masters[0], &site.replicas[0]];
    let exporter = Exporter::start(&configuration(&named, "labels: {team: shop}")).await;
    let of = |name: &str, slots: &str, index: usize| {
        let master = site.masters[index].addr();
        format!("{name}[{slots}] {master}>{}", site.replicas[index].addr())
    };
    let expected = [
        of("c/slot-0", "0-5460", 0),
        of("c/slot-5461", "5461-10922", 1),
        of("c/slot-10923", "10923-16383", 2),
    ];
    wait_for_pairs(&exporter, &expected).await;
    for name in ["c/slot-0", "c/slot-5461", "c/slot-10923"] {
        exporter.wait_for(name, "a lag", LIMIT, has_lag).await;
    }
    let last = exporter.pair("c/slot-10923").await;
    assert_eq!(
        (last.source_dc.as_str(), last.target_dc.as_str()),
        ("dc2", "dc1")
    );
    assert_eq!(last.labels["team"], "shop");
    for (metric, value) in [
        ("reachable", 1.0),
        ("state_ok", 1.0),
        ("slots_uncovered", 0.0),
        ("nodes_disagreeing", 0.0),
        ("shards_at_risk", 0.0),
    ] {
        wait_for_metric(&exporter, metric, Some(value)).await;
    }
    let scrape = Scrape::of(&exporter).await;
    let info = [("pair", "c/slot-0"), ("slots", "0-5460"), ("team", "shop")];
    assert_eq!(scrape.value("redis_cross_dc_pair_info", &info), Some(1.0));
    let cluster = exporter.pairs().await.clusters.remove(0);
    assert_eq!(
        (cluster.nodes.len(), cluster.risks.len()),
        (6, 0),
        "{cluster:?}"
    );

    // Without an exporter, from one node alone.
    let folder = folder_with(&configuration(&[&site.replicas[2]], ""));
    let line = ["check", "--config.file", "config.yml"];
    // On a machine without time for it `check` says that it is late itself.
    let alone = || async {
        let outcome = run(folder.path(), &line).await;
        let knows_all = outcome.stdout.contains("3 pairs: 3 ok");
        if knows_all {
            Ok(())
        } else {
            Err(outcome.stdout)
        }
    };
    eventually("check asks one node", LIMIT, alone)
        .await
        .unwrap();

    let dead = site.masters[0].addr().clone();
    site.masters[0].kill();
    let voters = [&site.masters[1], &site.masters[2], &site.replicas[0]];
    let took = time_to_follow(&voters, &exporter, "c/slot-0", &site.replicas[0]).await;
    println!("a failover was followed {took:?} after most masters named the new one");
    let turned = exporter.pair("c/slot-0").await;
    assert_eq!(
        (turned.source_dc.as_str(), turned.target_dc.as_str()),
        ("dc2", "dc1")
    );
    assert_eq!(
        turned.replica,
        dead.to_string(),
        "the old master stays as a replica"
    );
    let failovers = exporter.pairs().await.failovers;
    let counted = failovers.iter().find(|entry| entry.pair == "c/slot-0");
    assert_eq!(counted.map(|entry| entry.total), Some(1), "{failovers:?}");
    wait_for_metric(&exporter, "slots_uncovered", Some(0.0)).await;

    site.masters[0].restart().await.unwrap();
    let up = |pair: &redis_cross_dc_exporter::report::PairReport| pair.link_up;
    exporter
        .wait_for("c/slot-0", "the old master's return", LIMIT, up)
        .await;
    // A node that did not answer is asked again after five seconds at most.
    let all_answer = || async {
        let page = exporter.get("/").await;
        page.contains("Redis Clusters") && page.contains("6 of 6")
    };
    eventually("all nodes on the page", LIMIT, all_answer)
        .await
        .unwrap();
}

fn has_lag(pair: &redis_cross_dc_exporter::report::PairReport) -> bool {
    pair.lag_seconds.is_some()
}

/// How long it takes from the majority's word to the pair's new direction, twenty times: `cargo
/// test --test real cluster::failover -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "it measures for minutes; docs/topologies.md has the figures"]
async fn twenty_failovers_are_measured() {
    let site = Site::three_pairs().await;
    let exporter = Exporter::start(&configuration(&[&site.masters[1]], "")).await;
    let mut from = &site.masters[0];
    let mut to = &site.replicas[0];
    let mut times = Vec::new();
    for _ in 0..20 {
        let up = |pair: &redis_cross_dc_exporter::report::PairReport| pair.link_up;
        exporter
            .wait_for("c/slot-0", "a streaming link", LIMIT, up)
            .await;
        // Nobody votes about a shard twice within two node timeouts.
        tokio::time::sleep(Duration::from_secs(4)).await;
        order(to, &["CLUSTER", "FAILOVER"]).await;
        let voters = [&site.masters[1], &site.masters[2], to];
        times.push(time_to_follow(&voters, &exporter, "c/slot-0", to).await);
        std::mem::swap(&mut from, &mut to);
    }
    times.sort();
    println!(
        "followed after {:?} (median), {:?} (worst)",
        times[10], times[19]
    );
    assert!(times[19] < Duration::from_secs(1), "{times:?}");
    assert_eq!(pairs(&exporter).await.len(), 3);
}
