//! A cluster that lost a datacenter, and one of which no node answers.

use redis_cross_dc_exporter::lab::{RedisServer, eventually, ports};
use redis_cross_dc_exporter::model::ServerAddr;

use super::{LIMIT, Site, configuration, configuration_at, wait_for_metric};
use crate::command::run;
use crate::exporter::Exporter;
use crate::scrape::Scrape;

#[tokio::test]
async fn a_minority_that_is_left_is_said_to_serve_nothing() {
    let mut site = Site::three_pairs().await;
    let rules = "alerts: {cluster_down: {warning: 1s}}\n";
    let exporter = Exporter::start(&(configuration(&[&site.masters[2]], "") + rules)).await;
    wait_for_metric(&exporter, "state_ok", Some(1.0)).await;
    // Dc1 is gone: two of three masters, and the third one's replica.
    site.masters[..2].iter_mut().for_each(RedisServer::kill);
    site.replicas[2].kill();
    wait_for_metric(&exporter, "state_ok", Some(0.0)).await;
    wait_for_metric(&exporter, "slots_uncovered", Some(10923.0)).await;
    wait_for_metric(&exporter, "reachable", Some(1.0)).await;
    let fires = || async {
        let labels = [
            ("alertname", "RedisCrossDcClusterDown"),
            ("cluster", "c"),
            ("state", "firing"),
        ];
        let scrape = Scrape::of(&exporter).await;
        scrape.value("redis_cross_dc_alerts", &labels).is_some()
    };
    eventually("the alert", LIMIT, fires).await.unwrap();
    let lost = |pair: &redis_cross_dc_exporter::report::PairReport| {
        pair.state == redis_cross_dc_exporter::replication::PairState::MasterUnreachable
    };
    exporter
        .wait_for("c/slot-0", "the master's loss", LIMIT, lost)
        .await;
    let pair = exporter.pair("c/slot-0").await;
    assert_eq!(pair.source_dc, "dc1", "nobody has failed over");
    let trouble = "10923 slots are served by no living master";
    let page = exporter.get("/").await;
    assert!(page.contains(trouble), "{page}");
    let url = exporter.url();
    let folder = exporter.folder();
    let line = ["check", "--exporter.url", url];
    let screen = run(folder.path(), &line).await;
    assert!(screen.stdout.contains(trouble), "{screen:?}");
    assert!(screen.stdout.contains("cluster_state:fail"), "{screen:?}");

    site.masters[2].kill();
    site.replicas[..2].iter_mut().for_each(RedisServer::kill);
    wait_for_metric(&exporter, "reachable", Some(0.0)).await;
    for unknown in ["state_ok", "slots_uncovered", "nodes_disagreeing"] {
        wait_for_metric(&exporter, unknown, None).await;
    }
    assert_eq!(exporter.pairs().await.pairs.len(), 3, "they stay watched");
}

#[tokio::test]
async fn it_is_ready_although_no_node_answers() {
    let addr = ServerAddr::new("127.1.0.1", ports::free().unwrap());
    let exporter = Exporter::start(&configuration_at([&addr].into_iter(), "")).await;
    wait_for_metric(&exporter, "reachable", Some(0.0)).await;
    let report = exporter.pairs().await;
    assert!(report.exporter.ready && report.pairs.is_empty());
}

#[tokio::test]
async fn a_server_outside_a_cluster_is_named_as_such() {
    let plain = RedisServer::builder()
        .host("127.1.0.1")
        .start()
        .await
        .unwrap();
    let exporter = Exporter::start(&configuration_at([plain.addr()].into_iter(), "")).await;
    let told = || async {
        let cluster = exporter.pairs().await.clusters.remove(0);
        cluster.nodes[0].reason.clone().ok_or("no reason yet")
    };
    let reason = eventually("the reason", LIMIT, told).await.unwrap();
    println!("{reason}");
    assert!(reason.starts_with("the node "), "{reason}");
}
