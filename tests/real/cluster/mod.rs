//! Redis Cluster on real servers: what is found, what is followed, and what is said of it.

mod access;
mod changes;
mod edges;
mod failover;
mod partition;
mod site;
mod trouble;

pub(crate) use site::*;

use redis_cross_dc_exporter::lab::eventually;

use crate::exporter::Exporter;
use crate::scrape::Scrape;

/// Every pair as `NAME[SLOTS] MASTER>REPLICA`, by name.
async fn pairs(exporter: &Exporter) -> Vec<String> {
    let mut shown = Vec::new();
    for pair in exporter.pairs().await.pairs {
        let slots = &pair.labels["slots"];
        shown.push(format!(
            "{}[{slots}] {}>{}",
            pair.pair, pair.master, pair.replica
        ));
    }
    shown.sort();
    shown
}

/// Waits until the pairs are exactly these.
async fn wait_for_pairs(exporter: &Exporter, expected: &[String]) {
    let mut expected = expected.to_vec();
    expected.sort();
    let reached = || async {
        let seen = pairs(exporter).await;
        if seen == expected {
            Ok(())
        } else {
            Err(format!("{seen:#?}"))
        }
    };
    eventually(&format!("{expected:#?}"), LIMIT, reached)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

/// Waits until the metric of the cluster has this value; `None` is an absent series.
async fn wait_for_metric(exporter: &Exporter, metric: &str, value: Option<f64>) {
    let name = format!("redis_cross_dc_cluster_{metric}");
    let reached = || async {
        let seen = Scrape::of(exporter).await.value(&name, &[("cluster", "c")]);
        if seen == value {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    };
    eventually(&format!("{name} to be {value:?}"), LIMIT, reached)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}
