//! Nodes with users of few rights.

use redis_cross_dc_exporter::lab::Reply;

use super::{DC1, DC2, LIMIT, Site, configuration_at, wait_for_metric};
use crate::command::{Outcome, folder_with, run};
use crate::exporter::Exporter;

/// What `check-config --connect` says of the configuration.
async fn try_access(yaml: &str) -> Outcome {
    let folder = folder_with(yaml);
    let line = ["check-config", "--connect", "--config.file", "config.yml"];
    run(folder.path(), &line).await
}

/// What docs/topologies.md gives the user at a node.
fn documented_rights() -> String {
    let text = include_str!("../../../docs/topologies.md");
    let (_, section) = text.split_once("\n## Redis Cluster\n").unwrap();
    let (_, rest) = section
        .split_once("ACL SETUSER monitor on >PASSWORD ")
        .unwrap();
    let (rights, _) = rest.split_once('`').unwrap();
    rights.to_owned()
}

#[tokio::test]
async fn the_documented_user_is_enough_and_a_lesser_one_misses_only_what_it_may_not_query() {
    let documented = documented_rights();
    let site = Site::set(&[(DC1, &[0..=16383])], &[DC2], |builder| {
        builder
            .user(&format!("monitor on >pw {documented}"))
            .user("lesser on >pw -@all +info +ping +client|setname +cluster|nodes")
    })
    .await;
    let of = |user: &str| {
        let keys = format!("username: {user}, password: pw");
        configuration_at([site.masters[0].addr()].into_iter(), &keys)
    };
    let exporter = Exporter::start(&of("monitor")).await;
    exporter
        .wait_for("c/slot-0", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    wait_for_metric(&exporter, "state_ok", Some(1.0)).await;
    for node in site.nodes() {
        let log = node.command(&["ACL", "LOG"]).await.unwrap();
        assert_eq!(log, Reply::Array(Vec::new()), "nothing was denied");
    }
    let tried = try_access(&of("monitor")).await.ended_with(0);
    assert!(tried.stdout.contains("logged in to all 2"), "{tried:?}");
    drop(exporter);

    let exporter = Exporter::start(&of("lesser")).await;
    exporter
        .wait_for("c/slot-0", "a lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    wait_for_metric(&exporter, "state_ok", None).await;
    wait_for_metric(&exporter, "slots_uncovered", Some(0.0)).await;
    let tried = try_access(&of("lesser")).await.ended_with(1);
    let rules = "+cluster|shards +cluster|info";
    assert!(
        tried
            .stdout
            .contains(&format!("ACL SETUSER lesser {rules}")),
        "{tried:?}"
    );
}
