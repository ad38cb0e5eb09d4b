//! Slots that move, and nodes that come and go.

use redis_cross_dc_exporter::lab::eventually;

use super::{
    DC1, DC2, LIMIT, Site, configuration, id_of, meet, move_slots, node, order, replicate,
    until_it_knows, wait_for_metric, wait_for_pairs,
};
use crate::exporter::Exporter;

fn pair(name: &str, slots: &str, master: &impl ToString, replica: &impl ToString) -> String {
    format!(
        "{name}[{slots}] {}>{}",
        master.to_string(),
        replica.to_string()
    )
}

#[tokio::test]
async fn slots_nodes_and_shards_are_followed_as_they_change() {
    let mut site = Site::three_pairs().await;
    let named = [&site.masters[1], &site.replicas[0]];
    let exporter = Exporter::start(&configuration(&named, "")).await;
    let at = |site: &Site, index: usize| {
        (
            site.masters[index].addr().clone(),
            site.replicas[index].addr().clone(),
        )
    };
    let (first, second, third) = (at(&site, 0), at(&site, 1), at(&site, 2));
    exporter
        .wait_for("c/slot-0", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let applied = exporter.pair("c/slot-0").await.applied_bytes_total;

    // The lowest slots of the first shard move to the second: the names follow the slots.
    move_slots(&site, (&site.masters[0], &site.masters[1]), 0..=9).await;
    let unchanged = pair("c/slot-10923", "10923-16383", &third.0, &third.1);
    wait_for_pairs(
        &exporter,
        &[
            pair("c/slot-10", "10-5460", &first.0, &first.1),
            pair("c/slot-0", "0-9 5461-10922", &second.0, &second.1),
            unchanged.clone(),
        ],
    )
    .await;
    let failovers = exporter.pairs().await.failovers;
    assert!(
        failovers.iter().all(|entry| entry.total == 0),
        "{failovers:?}"
    );
    let renamed = exporter.pair("c/slot-10").await;
    assert!(renamed.applied_bytes_total >= applied, "{renamed:?}");

    // A second replica of the third shard, in its master's datacenter.
    let added = node(DC2).start().await.unwrap();
    meet(&site.masters[2], added.addr()).await;
    replicate(&added, &site.masters[2]).await;
    site.replicas.push(added);
    let added = site.replicas[3].addr().clone();
    let both = [
        pair("c/slot-10", "10-5460", &first.0, &first.1),
        pair("c/slot-0", "0-9 5461-10922", &second.0, &second.1),
        unchanged.clone(),
        pair("c/slot-10923", "10923-16383", &third.0, &added),
    ];
    wait_for_pairs(&exporter, &both).await;

    // A replica that the others forget and that is still there: no pair of its own any more, and it
    // disagrees, because the configuration names it.
    for node in site.nodes() {
        until_it_knows(node, 7).await;
    }
    let forgotten = id_of(&site.replicas[0]).await;
    for other in site.masters.iter().chain(&site.replicas[1..]) {
        order(other, &["CLUSTER", "FORGET", &forgotten]).await;
    }
    wait_for_pairs(&exporter, &both[1..]).await;
    wait_for_metric(&exporter, "nodes_disagreeing", Some(1.0)).await;
    let cluster = exporter.pairs().await.clusters.remove(0);
    let odd = cluster
        .nodes
        .iter()
        .find(|node| node.agrees == Some(false))
        .unwrap();
    assert_eq!(odd.server, first.1.to_string());
    assert!(
        odd.reason.as_ref().unwrap().contains("CLUSTER FORGET"),
        "{odd:?}"
    );
    assert!(
        cluster
            .risks
            .iter()
            .any(|risk| risk.starts_with("c/slot-10 has no replica")),
        "{cluster:?}"
    );

    wait_for_metric(&exporter, "shards_at_risk", Some(1.0)).await;

    // Another one takes its place, in the master's datacenter.
    let replacement = node(DC1).start().await.unwrap();
    meet(&site.masters[0], replacement.addr()).await;
    replicate(&replacement, &site.masters[0]).await;
    let mut replaced = both[1..].to_vec();
    replaced.push(pair("c/slot-10", "10-5460", &first.0, &replacement.addr()));
    wait_for_pairs(&exporter, &replaced).await;
    let told = || async {
        let cluster = exporter.pairs().await.clusters.remove(0);
        let mut risks = cluster.risks.iter();
        risks.any(|risk| risk.starts_with("c/slot-10 has no replica outside dc1"))
    };
    eventually("the risk of the replacement", LIMIT, told)
        .await
        .unwrap();
}
