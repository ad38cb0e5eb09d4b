//! Connections of the program break at any request: whatever the answer to an order was, the pair
//! is whole again after `--resume`, and nothing is lost.

use std::sync::Arc;

use fastrand::Rng;
use redis_cross_dc_exporter::lab::{RedisServer, eventually};

use super::cutting::{Cut, CutPlan, CuttingProxy};
use super::drill::variable;
use super::watcher::Watcher;
use super::writer::Writer;
use super::{failover, failover_without_pair, ids, last_line, replication, server};
use crate::command::{configuration, folder_with};
use crate::stage::{LIMIT, entry};

/// How many requests an undisturbed switch-over has at most; a cut behind them disturbs nothing.
const REQUESTS: u64 = 90;

/// Two servers that the program reaches through proxies, and each other, too.
struct Cuttable {
    servers: [RedisServer; 2],
    proxies: [CuttingProxy; 2],
    plan: Arc<CutPlan>,
    folder: tempfile::TempDir,
}

impl Cuttable {
    async fn start() -> Self {
        let plan = CutPlan::none();
        let master = server().start().await.unwrap();
        let to_master = CuttingProxy::start(master.addr(), &plan).await;
        let replica = server().replicaof(&to_master.addr).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let to_replica = CuttingProxy::start(replica.addr(), &plan).await;
        let yaml = configuration(&[entry(
            "orders",
            ("dc1", &to_master.addr),
            ("dc2", &to_replica.addr),
        )]);
        Self {
            servers: [master, replica],
            proxies: [to_master, to_replica],
            plan,
            folder: folder_with(&yaml),
        }
    }

    /// The number of the only master, whose replica follows it.
    async fn whole(&self, context: &str) -> usize {
        let mut masters = Vec::new();
        for (number, server) in self.servers.iter().enumerate() {
            if replication(server, "role").await == "master" {
                masters.push(number);
            }
        }
        let [master] = masters[..] else {
            panic!("{context}: masters {masters:?}")
        };
        let replica = &self.servers[1 - master];
        let port = self.proxies[master].addr.port().unwrap().to_string();
        let follows = || async {
            let followed = replication(replica, "master_port").await;
            let link = replication(replica, "master_link_status").await;
            if followed == port && link == "up" {
                Ok(())
            } else {
                Err(format!(
                    "{context}: master_port {followed:?}, link {link:?}"
                ))
            }
        };
        eventually("the replica to follow", LIMIT, follows)
            .await
            .unwrap();
        master
    }

    /// One switch-over with a cut, and what makes the pair whole again.
    async fn cut(&self, chance: &mut Rng, story: &mut Vec<String>) -> usize {
        let kinds = [Cut::Before, Cut::Inside, Cut::After];
        let kind = kinds[chance.usize(..3)];
        let request = chance.u64(..REQUESTS);
        self.plan.cut(request, kind);
        let first = failover(self.folder.path(), &["--execute"]).await;
        let sent = self.plan.requests();
        self.plan.mend();
        let context = format!("{kind:?} request {request} of {sent}: {first:#?}");
        story.push(format!(
            "{kind:?} request {request} of {sent}: {}",
            last_line(&first)
        ));
        match first.code {
            Some(0 | 1 | 20 | 64) => {}
            Some(30) => {
                let again = failover_without_pair(self.folder.path(), &["--resume"]).await;
                assert_eq!(again.code, Some(0), "{context} {again:#?}");
            }
            _ => panic!("{context}"),
        }
        self.whole(&context).await
    }
}

/// What happened, a line each.
async fn cuts(count: u32, seed: u64) -> Vec<String> {
    let mut story = Vec::new();
    let mut chance = Rng::with_seed(seed);
    let pair = Cuttable::start().await;
    let addrs = [
        pair.servers[0].addr().clone(),
        pair.servers[1].addr().clone(),
    ];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(50).await;
    let mut master = 0;
    for _ in 0..count {
        master = pair.cut(&mut chance, &mut story).await;
        writer.after(20).await;
    }
    let written = writer.stop().await;
    let samples = watcher.never_two().await;
    written.check_against(&ids(&pair.servers[master]).await);
    let acknowledged = written.acked.len();
    story.push(format!(
        "{count} cuts, {acknowledged} writes, 0 lost, 0 twice; {samples} samples, never two masters"
    ));
    story
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_request_loses_nothing() {
    let seed = fastrand::u64(..);
    println!("DRILL_SEED={seed}");
    println!("{}", cuts(4, seed).await.join("\n"));
}

#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn many_connections_that_break_lose_nothing() {
    let seed = variable("DRILL_SEED", fastrand::u64(..));
    println!("DRILL_SEED={seed}");
    let count = u32::try_from(variable("DRILL_CUTS", 100)).unwrap();
    println!(
        "{}",
        cuts(count, seed).await.join(
            "
"
        )
    );
}

#[tokio::test]
async fn a_target_that_the_old_master_cannot_reach_is_left_before_it_takes_a_write() {
    // The program reaches the target at an address that leads nowhere from the old master: behind
    // NAT, or behind a firewall that nobody has needed to open in that direction.
    let pair = Cuttable::start().await;
    let outside = CutPlan::none();
    outside.close_to_others();
    let to_target = CuttingProxy::start(pair.servers[1].addr(), &outside).await;
    let yaml = configuration(&[entry(
        "orders",
        ("dc1", &pair.proxies[0].addr),
        ("dc2", &to_target.addr),
    )]);
    let folder = folder_with(&yaml);
    let addrs = [
        pair.servers[0].addr().clone(),
        pair.servers[1].addr().clone(),
    ];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(100).await;
    let args = ["--execute", "--verify", "700ms"];
    let failed = failover(folder.path(), &args).await.ended_with(1);
    assert!(
        last_line(&failed).contains("could not follow"),
        "{failed:#?}"
    );
    writer.after(100).await;
    let written = writer.stop().await;
    watcher.never_two().await;
    let master = pair.whole("after it was rolled back").await;
    assert_eq!(master, 0);
    written.check_against(&ids(&pair.servers[0]).await);
}
