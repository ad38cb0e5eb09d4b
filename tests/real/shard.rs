//! Exporters that divide one fleet among themselves by `--shard`.

use std::collections::BTreeSet;
use std::fmt::Write;

use redis_cross_dc_exporter::lab::ports;

use crate::exporter::Exporter;
use crate::scrape::Scrape;

const PAIRS: usize = 40;
const SHARDS: usize = 3;

/// The configuration that all of them have: servers that refuse connections, which is all that a
/// share needs. Two of the entries share a server.
fn fleet() -> String {
    let closed = ports::free().unwrap();
    let mut yaml = String::from("pairs:\n");
    for pair in 0..PAIRS {
        // The loopback network has addresses enough for a server each.
        let master = format!("127.0.1.{}:{closed}", pair + 1);
        let replica = format!("127.0.2.{}:{closed}", pair + 1);
        writeln!(
            yaml,
            "  - {{name: pair-{pair}, master: {{address: \"{master}\", dc: dc1}}, replicas: [{{address: \"{replica}\", dc: dc2}}]}}"
        )
        .unwrap();
    }
    writeln!(
        yaml,
        "  - {{name: chained, master: {{address: \"127.0.2.1:{closed}\", dc: dc2}}, replicas: [{{address: \"127.0.3.1:{closed}\", dc: dc1}}]}}"
    )
    .unwrap();
    yaml
}

#[tokio::test]
async fn exporters_divide_a_fleet_and_each_says_which_share_it_watches() {
    let yaml = fleet();
    let mut watched = BTreeSet::new();
    for index in 0..SHARDS {
        let exporter = Exporter::start_shard(&yaml, &format!("{index}/{SHARDS}")).await;
        let share: BTreeSet<String> = exporter
            .pairs()
            .await
            .pairs
            .into_iter()
            .map(|pair| pair.pair)
            .collect();
        assert!(!share.is_empty(), "{PAIRS} pairs leave no shard empty");
        for pair in &share {
            assert!(watched.insert(pair.clone()), "{pair} is watched twice");
        }
        assert_eq!(
            share.contains("pair-0"),
            share.contains("chained"),
            "pairs that share a server are watched by one exporter"
        );
        let labels = [("index", index.to_string()), ("count", SHARDS.to_string())];
        let labels = labels
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let scrape = Scrape::of(&exporter).await;
        assert_eq!(
            scrape.value("redis_cross_dc_shard_info", &labels),
            Some(1.0)
        );
        let page = exporter.get("/").await;
        let notice = format!("shows only the pairs of shard {index}/{SHARDS}");
        assert!(page.contains(&notice), "the page does not say so");
    }
    assert_eq!(watched.len(), PAIRS + 1, "a pair is watched by nobody");
}

#[tokio::test]
async fn an_exporter_that_watches_everything_has_no_shard() {
    let exporter = Exporter::start(&fleet()).await;
    assert_eq!(exporter.pairs().await.pairs.len(), PAIRS + 1);
    let scrape = exporter.get("/metrics").await;
    assert!(!scrape.contains("redis_cross_dc_shard_info{"));
}
