//! Masters that are away for less and for more than the node timeout, and a datacenter that is lost
//! for good.

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

use super::site::{id_of, knows, nodes_text, replicate};
use super::{DC1, DC2, LIMIT, Site, configuration, wait_for_metric, wait_for_pairs};
use crate::exporter::Exporter;

fn streams(pair: &PairReport) -> bool {
    pair.state == PairState::Streaming && pair.lag_seconds.is_some()
}

/// The failovers of `pair` so far.
async fn failovers(exporter: &Exporter, pair: &str) -> u64 {
    let all = exporter.pairs().await.failovers;
    let entry = all.iter().find(|entry| entry.pair == pair);
    entry.unwrap_or_else(|| panic!("{pair}: {all:?}")).total
}

#[tokio::test]
async fn only_a_master_that_is_away_for_longer_than_the_node_timeout_is_replaced() {
    let mut site = Site::set(
        &[
            (DC1, &[0..=5460]),
            (DC1, &[5461..=10922]),
            (DC2, &[10923..=16383]),
        ],
        &[DC2, DC2, DC1],
        // Far above what a busy machine takes to schedule a process.
        |builder| builder.config("cluster-node-timeout 8000"),
    )
    .await;
    let exporter = Exporter::start(&configuration(&[&site.masters[1]], "")).await;
    exporter.wait_for("c/slot-0", "a lag", LIMIT, streams).await;
    let master = site.masters[0].addr().to_string();

    site.masters[0].stop().unwrap();
    let silent = |pair: &PairReport| pair.state == PairState::MasterUnreachable;
    exporter
        .wait_for("c/slot-0", "the silence", LIMIT, silent)
        .await;
    site.masters[0].cont().unwrap();
    let pair = exporter
        .wait_for("c/slot-0", "the return", LIMIT, streams)
        .await;
    assert_eq!(pair.master, master, "it was away for too short a time");
    assert_eq!(failovers(&exporter, "c/slot-0").await, 0);
    wait_for_metric(&exporter, "nodes_disagreeing", Some(0.0)).await;

    site.masters[0].stop().unwrap();
    let turned = |pair: &PairReport| pair.source_dc == "dc2";
    exporter
        .wait_for("c/slot-0", "the failover", LIMIT, turned)
        .await;
    site.masters[0].cont().unwrap();
    let back = |pair: &PairReport| streams(pair) && pair.replica == master;
    exporter
        .wait_for("c/slot-0", "the old master as a replica", LIMIT, back)
        .await;
    assert_eq!(failovers(&exporter, "c/slot-0").await, 1);
    wait_for_metric(&exporter, "nodes_disagreeing", Some(0.0)).await;
}

/// Three masters and six replicas, so that each shard has one in both datacenters: dc1 has the
/// majority of the masters, and is what is left.
#[tokio::test]
async fn a_datacenter_with_the_majority_takes_over_from_the_one_that_is_lost() {
    let mut site = Site::set(
        &[
            (DC1, &[0..=5460]),
            (DC1, &[5461..=10922]),
            (DC2, &[10923..=16383]),
        ],
        &[DC2, DC2, DC1, DC1, DC1, DC2],
        |builder| builder,
    )
    .await;
    let exporter = Exporter::start(&configuration(&[&site.masters[0]], "")).await;
    let shards = ["c/slot-0", "c/slot-5461", "c/slot-10923"];
    let slots = ["0-5460", "5461-10922", "10923-16383"];
    let mut expected = Vec::new();
    for (number, replica) in site.replicas.iter().enumerate() {
        let shard = number % 3;
        let master = site.masters[shard].addr();
        let (name, slots) = (shards[shard], slots[shard]);
        expected.push(format!("{name}[{slots}] {master}>{}", replica.addr()));
    }
    wait_for_pairs(&exporter, &expected).await;
    for replica in &site.replicas {
        let replica = replica.addr().to_string();
        let knows_it = || async {
            let pairs = exporter.pairs().await.pairs;
            let known = pairs.iter().filter(|pair| pair.replica == replica);
            if known.clone().count() == 1 && known.clone().all(streams) {
                Ok(())
            } else {
                Err(format!("{pairs:#?}"))
            }
        };
        eventually("every lag", LIMIT, knows_it).await.unwrap();
    }
    let cluster = exporter.pairs().await.clusters.remove(0);
    assert_eq!(cluster.nodes.len(), 9, "{cluster:?}");
    assert!(cluster.risks.is_empty(), "{cluster:?}");

    // Dc2 is lost: the third master, and one replica of each shard.
    let heir = site.replicas[2].addr().clone();
    site.masters[2].kill();
    for lost in [0, 1, 5] {
        site.replicas[lost].kill();
    }
    let turned = |pair: &PairReport| pair.source_dc == "dc1" && pair.master == heir.to_string();
    let has_turned = || async {
        let pairs = exporter.pairs().await.pairs;
        let of_shard = pairs.iter().filter(|pair| pair.pair == "c/slot-10923");
        if of_shard.clone().any(turned) {
            Ok(())
        } else {
            Err(format!("{pairs:#?}"))
        }
    };
    eventually("the failover", LIMIT, has_turned).await.unwrap();
    wait_for_metric(&exporter, "slots_uncovered", Some(0.0)).await;
    wait_for_metric(&exporter, "state_ok", Some(1.0)).await;
    assert_eq!(failovers(&exporter, "c/slot-10923").await, 1);
    for untouched in &shards[..2] {
        assert_eq!(failovers(&exporter, untouched).await, 0, "{untouched}");
    }
    // The replicas in dc1 go on.
    for left in [3, 4] {
        let replica = site.replicas[left].addr().to_string();
        let pairs = exporter.pairs().await.pairs;
        let pair = pairs.iter().find(|pair| pair.replica == replica).unwrap();
        assert!(streams(pair), "{pair:?}");
    }
    site.masters[2].restart().await.unwrap();
    for lost in [0, 1, 5] {
        site.replicas[lost].restart().await.unwrap();
    }
    follow_the_heir(&site).await;
    let all_stream = || async {
        let pairs = exporter.pairs().await.pairs;
        if pairs.len() == 6 && pairs.iter().all(streams) {
            Ok(())
        } else {
            Err(format!("{pairs:#?}"))
        }
    };
    eventually("their return", LIMIT, all_stream).await.unwrap();
}

/// The last replica comes back as one of the old master. Before Redis 7 it stays the replica of a
/// replica, until an operator mends that.
async fn follow_the_heir(site: &Site) {
    let old = id_of(&site.masters[2]).await;
    let last = &site.replicas[5];
    knows(last, |nodes| {
        let mut lines = nodes.lines().filter(|line| line.starts_with(&old));
        lines.any(|line| line.contains("slave "))
    })
    .await;
    let follows_old = format!("myself,slave {old} ");
    if nodes_text(last).await.contains(&follows_old) {
        replicate(last, &site.replicas[2]).await;
    }
}
