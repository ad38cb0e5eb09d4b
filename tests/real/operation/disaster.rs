//! A master that is lost: what is lost with it is what was stated before.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{Direction, RedisServer, WanConditions, WanProxy, eventually};
use redis_cross_dc_exporter::report::PairReport;
use serde_json::Value;

use super::writer::Writer;
use super::{failover, ids, last_line, replication, server};
use crate::command::{Outcome, configuration, folder_with, run};
use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

/// A master, and a replica that follows it through a proxy.
pub(crate) struct Apart {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    pub(crate) proxy: WanProxy,
    pub(crate) yaml: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Apart {
    pub(crate) async fn start() -> Self {
        let master = server().start().await.unwrap();
        let proxy = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = server().replicaof(proxy.addr()).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let yaml = configuration(&[entry(
            "orders",
            ("dc1", master.addr()),
            ("dc2", replica.addr()),
        )]);
        let folder = folder_with(&yaml);
        Self {
            master,
            replica,
            proxy,
            yaml,
            folder,
        }
    }

    /// Breaks the connections that the old master takes for a replica: it would go on sending PINGs
    /// to it, which are bytes of its own.
    pub(crate) async fn lose_its_replica(&self) {
        self.proxy.cut().await;
        // What reads its lost writes is a replica, too, for which its PINGs would go on.
        let rarely = ["CONFIG", "SET", "repl-ping-replica-period", "3600"];
        self.master.command(&rarely).await.unwrap();
        let is_alone = || async { replication(&self.master, "connected_slaves").await == "0" };
        eventually("the old master to be alone", LIMIT, is_alone)
            .await
            .unwrap();
    }
}

/// Runs the disaster's command with what the exporter at `url` knows.
async fn disaster(folder: &tempfile::TempDir, url: &str, more: &[&str]) -> Outcome {
    let args = [
        "failover",
        "--config.file",
        "config.yml",
        "--exporter.url",
        url,
        "--pair",
        "orders",
        "--disaster",
    ];
    run(folder.path(), &[&args, more].concat()).await
}

/// Waits until the exporter has noticed that the master is gone.
async fn until_noticed(exporter: &Exporter) {
    let noticed = || async {
        let report = exporter.pairs().await;
        report.servers.iter().any(|server| server.up == Some(false))
    };
    eventually("the exporter to notice", LIMIT, noticed)
        .await
        .unwrap();
}

/// Waits until the replica's link to its master is down.
async fn until_link_is_down(replica: &RedisServer) {
    let is_down = || async { replication(replica, "master_link_status").await == "down" };
    eventually("the link to be down", LIMIT, is_down)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_disaster_loses_what_was_stated_and_no_more() {
    let mut apart = Apart::start().await;
    let exporter = Exporter::start(&apart.yaml).await;
    let writer = Writer::start(vec![apart.master.addr().clone()]);
    writer.after(300).await;
    // The master sends nothing before it has seen the first ACK after the sync.
    let has_applied = || async { replication(&apart.replica, "slave_repl_offset").await != "0" };
    eventually("the replica to apply writes", LIMIT, has_applied)
        .await
        .unwrap();
    let is_certified = |pair: &PairReport| pair.last_known.is_some();
    exporter
        .wait_for("orders", "a certified bound", LIMIT, is_certified)
        .await;
    // The replica falls behind, and the master dies with what only it has.
    apart.proxy.stall(Direction::Both);
    writer.after(200).await;
    apart.master.kill();
    let written = writer.stop().await;
    apart.proxy.cut().await;
    until_link_is_down(&apart.replica).await;
    until_noticed(&exporter).await;
    let plan = disaster(&apart.folder, exporter.url(), &["--output", "json"])
        .await
        .ended_with(10);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let safe_until = plan["loss"]["safe_until"].as_f64().unwrap();
    let silent_from = plan["loss"]["silent_from"].as_f64().unwrap();
    let text = disaster(&apart.folder, exporter.url(), &[])
        .await
        .ended_with(10);
    assert!(text.stdout.contains("last common write"), "{text:#?}");
    assert!(text.stdout.contains("this machine"), "{text:#?}");
    let done = disaster(&apart.folder, exporter.url(), &["--execute"])
        .await
        .ended_with(0);
    let line = last_line(&done);
    let new = apart.replica.addr();
    assert!(
        line.starts_with(&format!("Done: {new} (dc2) is the master. Open: ")),
        "{done:#?}"
    );
    assert!(
        line.contains("is not fenced") && line.contains("failback --pair orders"),
        "{line}"
    );
    assert_eq!(replication(&apart.replica, "role").await, "master");
    let lost = written.lost_from(&ids(&apart.replica).await);
    assert!(lost.len() >= 150, "{} writes are lost", lost.len());
    for (number, at) in &lost {
        let is_within = (safe_until..=silent_from).contains(at);
        assert!(
            is_within,
            "{number} at {at}, stated {safe_until} to {silent_from}"
        );
    }
    println!(
        "{} lost within {:.3} s",
        lost.len(),
        silent_from - safe_until
    );
    // Once more within the hour is a decision.
    let again = disaster(&apart.folder, exporter.url(), &[])
        .await
        .ended_with(20);
    assert!(again.stdout.contains("refused: too-soon: "), "{again:#?}");
    let status = super::failover_without_pair(apart.folder.path(), &["--status"]).await;
    let status = status.ended_with(30);
    assert!(status.stdout.contains("open: "), "{status:#?}");
}

#[tokio::test]
async fn a_disaster_is_refused_while_anybody_hears_the_master_or_too_few_miss_it() {
    let mut apart = Apart::start().await;
    let alive = failover(apart.folder.path(), &["--disaster"])
        .await
        .ended_with(20);
    assert!(
        alive.stdout.contains("refused: master-alive: "),
        "{alive:#?}"
    );
    assert!(
        alive.stdout.contains("refused: unknown-lag: "),
        "{alive:#?}"
    );
    // Frozen: this machine hears nothing, and the replica's link is open.
    apart.master.stop().unwrap();
    let unclear = failover(apart.folder.path(), &["--disaster"])
        .await
        .ended_with(20);
    assert!(
        unclear.stdout.contains("refused: no-proof: "),
        "{unclear:#?}"
    );
    let dead = failover(apart.folder.path(), &[]).await.ended_with(20);
    assert!(
        dead.stdout.contains("refused: master-silent: "),
        "{dead:#?}"
    );
    assert!(dead.stdout.contains("failover --disaster"), "{dead:#?}");
    let accepted = [
        "--disaster",
        "--accept-single-view",
        "--accept-unknown-loss",
        "--execute",
    ];
    let done = failover(apart.folder.path(), &accepted).await.ended_with(0);
    assert!(done.stdout.contains("overridden: no-proof: "), "{done:#?}");
    assert_eq!(replication(&apart.replica, "role").await, "master");
    // It comes back: two masters, and the obligations say what to do.
    apart.master.cont().unwrap();
    let both = failover(apart.folder.path(), &[]).await.ended_with(20);
    assert!(
        both.stdout.contains("refused: second-master: "),
        "{both:#?}"
    );
}

#[tokio::test]
async fn the_replica_that_has_most_is_promoted_and_the_others_follow_it() {
    let mut master = server().start().await.unwrap();
    let proxy = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let behind = server().replicaof(proxy.addr()).start().await.unwrap();
    let ahead = server().replicaof(master.addr()).start().await.unwrap();
    for replica in [&behind, &ahead] {
        replica.wait_until_in_sync(LIMIT).await.unwrap();
    }
    proxy.stall(Direction::Both);
    let writer = Writer::start(vec![master.addr().clone()]);
    writer.after(100).await;
    let written = writer.stop().await;
    let all = || async { ids(&ahead).await.len() == written.acked.len() };
    eventually("the writes to arrive", LIMIT, all)
        .await
        .unwrap();
    master.kill();
    proxy.cut().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    until_link_is_down(&behind).await;
    until_link_is_down(&ahead).await;
    let server =
        |server: &RedisServer, dc: &str| format!("{{address: '{}', dc: {dc}}}", server.addr());
    let entry = format!(
        "{{name: orders, master: {}, replicas: [{}, {}]}}",
        server(&master, "dc1"),
        server(&behind, "dc2"),
        server(&ahead, "dc2")
    );
    let folder = folder_with(&configuration(&[entry]));
    let to = behind.addr().to_string();
    let args = ["--disaster", "--accept-unknown-loss", "--to", &to];
    let refused = failover(folder.path(), &args).await.ended_with(20);
    assert!(
        refused.stdout.contains("refused: another-is-ahead: "),
        "{refused:#?}"
    );
    let args = ["--disaster", "--accept-unknown-loss", "--execute"];
    let done = failover(folder.path(), &args).await.ended_with(0);
    assert!(
        last_line(&done).contains(&format!("{} (dc2) is the master", ahead.addr())),
        "{done:#?}"
    );
    super::until_follows(&behind, &ahead).await;
    written.check_against(&ids(&ahead).await);
    assert_eq!(super::counter(&ahead, "sync_full").await, 0);
}
