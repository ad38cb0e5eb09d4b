//! Pairs appear, grow and are named.

use redis_cross_dc_exporter::lab::{
    RedisServerBuilder, SteadyWriter, WriteLoad, eventually, ports,
};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

use super::{
    AGREES, DC1, DC2, LIMIT, QUORUM, Site, UP, configuration, entry, server, wait_for_series,
    wait_until_it_knows,
};
use crate::command;
use crate::exporter::Exporter;
use crate::scrape::Scrape;

#[tokio::test]
async fn a_pair_appears_with_all_that_a_configured_one_has_and_a_new_replica_joins_it() {
    let site = Site::set("mymaster", &[DC1, DC1, DC2], 2).await;
    let keys =
        "master_name: mymaster, labels: {team: payments}, alerts: {lag_seconds: {warning: 7s}}";
    let exporter = Exporter::start(&site.configuration("sessions", keys)).await;
    let pair = exporter
        .wait_for("sessions", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    assert_eq!(
        (pair.source_dc.as_str(), pair.target_dc.as_str(), pair.state),
        ("dc1", "dc2", PairState::Streaming)
    );
    assert_eq!(
        (pair.master, pair.replica),
        (
            site.master.addr().to_string(),
            site.replica.addr().to_string()
        )
    );
    assert_eq!(
        (
            pair.labels["team"].as_str(),
            pair.thresholds.lag_seconds.warning
        ),
        ("payments", Some(7.0))
    );
    for sentinel in &site.sentinels {
        for metric in [UP, QUORUM, AGREES] {
            wait_for_series(&exporter, metric, sentinel.addr(), Some(1.0)).await;
        }
    }

    let load = WriteLoad {
        per_second: 100,
        value_bytes: 100,
    };
    let _writer = SteadyWriter::start(site.master.addr(), None, load);
    let written = |pair: &PairReport| pair.applied_bytes_total > Some(10_000);
    let before = exporter
        .wait_for("sessions", "10 kB of writes", LIMIT, written)
        .await;
    let added = server(DC2)
        .replicaof(site.master.addr())
        .start()
        .await
        .unwrap();
    let joined = || async {
        let pairs = exporter.pairs().await.pairs;
        let kept = pairs
            .iter()
            .find(|pair| pair.replica == before.replica)
            .expect("it stays");
        // A pair that began again would begin to count again.
        assert!(
            kept.applied_bytes_total >= before.applied_bytes_total,
            "{kept:?}"
        );
        let has_joined = pairs
            .iter()
            .any(|pair| pair.replica == added.addr().to_string() && pair.link_up);
        has_joined && kept.lag_seconds.is_some()
    };
    eventually("the added replica", LIMIT, joined)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

#[tokio::test]
async fn a_glob_finds_the_masters_whose_names_match() {
    let mut servers = Vec::new();
    let mut sentinel = server(DC1).sentinel();
    for name in ["shop-a", "shop-b", "other"] {
        let master = server(DC1).start().await.unwrap();
        let replica = server(DC2).replicaof(master.addr()).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        sentinel = sentinel.watches(name, master.addr(), 1);
        servers.extend([master, replica]);
    }
    let sentinel = sentinel.start().await.unwrap();
    for name in ["shop-a", "shop-b", "other"] {
        wait_until_it_knows(&sentinel, name, 1, 0).await;
    }
    let entries = [
        entry(
            "shops",
            [sentinel.addr()].into_iter(),
            "master_name: 'shop-*'",
        ),
        entry("all", [sentinel.addr()].into_iter(), ""),
    ];
    let exporter = Exporter::start(&configuration(&entries.join(", "))).await;
    let names = || async {
        let mut names: Vec<_> = exporter
            .pairs()
            .await
            .pairs
            .into_iter()
            .map(|pair| pair.pair)
            .collect();
        names.sort();
        if names
            == [
                "all/other",
                "all/shop-a",
                "all/shop-b",
                "shops/shop-a",
                "shops/shop-b",
            ]
        {
            Ok(())
        } else {
            Err(names)
        }
    };
    let names = || async { names().await.map_err(|names| format!("{names:?}")) };
    eventually("the pairs of both entries", LIMIT, names)
        .await
        .unwrap();
    let scrape = Scrape::of(&exporter).await;
    assert_eq!(
        scrape.label_values(UP, &[], "pair").len(),
        5,
        "{}",
        scrape.text()
    );
}

#[tokio::test]
async fn servers_are_placed_by_the_names_that_they_announce() {
    let resolving = |builder: RedisServerBuilder| {
        builder
            .config("sentinel resolve-hostnames yes")
            .config("sentinel announce-hostnames yes")
    };
    let master = server(DC1)
        .config("replica-announce-ip localhost")
        .start()
        .await
        .unwrap();
    let replica = server(DC1)
        .replicaof(master.addr())
        .config("replica-announce-ip localhost")
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let named = ServerAddr::new("localhost", master.addr().port().unwrap());
    let sentinel = resolving(server(DC1).sentinel())
        .watches("m", &named, 1)
        .start()
        .await
        .unwrap();
    wait_until_it_knows(&sentinel, "m", 1, 0).await;
    let yaml = format!(
        "datacenters: [{{name: here, match: ['local*']}}]\nsentinels: [{}]",
        entry("m", [sentinel.addr()].into_iter(), "master_name: m")
    );
    let exporter = Exporter::start(&yaml).await;
    let pair = exporter
        .wait_for("m", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    assert_eq!(
        (pair.source_dc.as_str(), pair.target_dc.as_str()),
        ("here", "here")
    );
    assert!(
        pair.master.starts_with("localhost:") && pair.replica.starts_with("localhost:"),
        "{pair:?}"
    );
}

#[tokio::test]
async fn check_queries_sentinels_itself_without_an_exporter() {
    let site = Site::set("m", &[DC1], 1).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("config.yml"),
        site.configuration("sessions", "master_name: m"),
    )
    .unwrap();
    let url = format!("http://127.0.0.1:{}", ports::free().unwrap());
    let args = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &url,
        "--output",
        "json",
    ];
    let check = command::run(folder.path(), &args).await;
    assert!(
        check.stdout.contains("\"pair\": \"sessions\"")
            || check.stdout.contains("\"pair\":\"sessions\""),
        "{check:?}"
    );
}
