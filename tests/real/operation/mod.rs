//! `failover` and `failback` on real servers, by the real program: nothing that was acknowledged is
//! lost or doubled in a planned switch-over, whatever kills the program; a disaster loses what was
//! stated and no more; and whatever should refuse, refuses.

mod copy;
mod cuts;
mod cutting;
mod disaster;
mod drill;
mod failback;
mod halves;
mod hooks;
mod killed;
mod pause;
mod planned;
mod practice;
mod quiet;
mod refused;
mod restarts;
mod rights;
mod sentinel;
mod traffic;
mod watcher;
mod writer;

use std::path::Path;

use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, Reply, eventually};
use redis_cross_dc_exporter::model::ServerAddr;
use serde_json::Value;

use crate::command::{Outcome, configuration, folder_with, no_exporter, run};
use crate::stage::{LIMIT, entry};

/// A server on which doctor finds no trap, that keeps its role over a restart, and whose PINGs come
/// each second, so that they disturb as much as they can.
pub(crate) fn server() -> RedisServerBuilder {
    RedisServer::builder()
        .config("repl-ping-replica-period 1")
        .config("repl-backlog-size 32mb")
}

/// Two servers of the pair `orders`, the folder of its configuration, and who is master.
pub(crate) struct Duo {
    pub(crate) servers: [RedisServer; 2],
    pub(crate) folder: tempfile::TempDir,
}

impl Duo {
    pub(crate) async fn start() -> Self {
        Self::start_with(server(), server()).await
    }

    pub(crate) async fn start_with(
        master: RedisServerBuilder,
        replica: RedisServerBuilder,
    ) -> Self {
        let master = master.start().await.unwrap();
        let replica = replica.replicaof(master.addr()).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let yaml = configuration(&[entry(
            "orders",
            ("dc1", master.addr()),
            ("dc2", replica.addr()),
        )]);
        Self {
            servers: [master, replica],
            folder: folder_with(&yaml),
        }
    }

    /// Runs `failover --pair orders` with `more` arguments; no exporter answers.
    pub(crate) async fn failover(&self, more: &[&str]) -> Outcome {
        failover(self.folder.path(), more).await
    }

    pub(crate) fn addr(&self, index: usize) -> &ServerAddr {
        self.servers[index].addr()
    }

    /// What the reports of the newest operation say.
    pub(crate) fn report(&self) -> Value {
        let newest = newest_operation(self.folder.path()).expect("an operation");
        let text = std::fs::read_to_string(newest.join("report.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// Runs `failover --pair orders` in `folder`; no exporter answers.
pub(crate) async fn failover(folder: &Path, more: &[&str]) -> Outcome {
    failover_with(&no_exporter(), folder, more).await
}

/// The same with the exporter at `url`.
pub(crate) async fn failover_with(url: &str, folder: &Path, more: &[&str]) -> Outcome {
    let args = [
        "failover",
        "--config.file",
        "config.yml",
        "--exporter.url",
        url,
        "--pair",
        "orders",
    ];
    run(folder, &[&args, more].concat()).await
}

/// Runs `failover` with arguments that name no pair, such as `--resume`.
pub(crate) async fn failover_without_pair(folder: &Path, more: &[&str]) -> Outcome {
    let args = ["failover", "--config.file", "config.yml"];
    run(folder, &[&args, more].concat()).await
}

/// Runs `failback --pair orders` in `folder`; no exporter answers.
pub(crate) async fn failback(folder: &Path, more: &[&str]) -> Outcome {
    let url = no_exporter();
    let args = [
        "failback",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &url,
        "--pair",
        "orders",
    ];
    run(folder, &[&args, more].concat()).await
}

/// The folder of the newest operation; `None` where there is none.
pub(crate) fn newest_operation(folder: &Path) -> Option<std::path::PathBuf> {
    let operations = std::fs::read_dir(folder.join("data/operations")).ok()?;
    let folders = operations.flatten().map(|entry| entry.path());
    folders.filter(|path| path.is_dir()).max()
}

/// The last line that a command printed.
pub(crate) fn last_line(outcome: &Outcome) -> &str {
    outcome.stdout.lines().last().unwrap_or_default()
}

/// A field of INFO replication.
pub(crate) async fn replication(server: &RedisServer, field: &str) -> String {
    let value = server.info_field("replication", field).await.unwrap();
    value.unwrap_or_default()
}

/// A counter of INFO stats.
pub(crate) async fn counter(server: &RedisServer, field: &str) -> u64 {
    let value = server.info_field("stats", field).await.unwrap();
    value.unwrap_or_default().parse().unwrap()
}

/// Waits until `replica` follows `master` and its link is up.
pub(crate) async fn until_follows(replica: &RedisServer, master: &RedisServer) {
    let what = format!("{} to follow {}", replica.addr(), master.addr());
    let port = master.addr().port().unwrap().to_string();
    let follows = || async {
        let host = replication(replica, "master_port").await;
        let link = replication(replica, "master_link_status").await;
        if host == port && link == "up" {
            Ok(())
        } else {
            Err(format!("master_port {host:?}, link {link:?}"))
        }
    };
    eventually(&what, LIMIT, follows).await.unwrap();
}

/// All elements of the list that the writer fills.
pub(crate) async fn ids(server: &RedisServer) -> Vec<u64> {
    numbers(server, writer::LIST).await
}

/// The numbers in a list, some thousands at once: a long drill writes more than one reply may have.
pub(crate) async fn numbers(server: &RedisServer, list: &str) -> Vec<u64> {
    const AT_ONCE: usize = 10_000;
    let mut found = Vec::new();
    loop {
        let from = found.len().to_string();
        let until = (found.len() + AT_ONCE - 1).to_string();
        let items = match server.command(&["LRANGE", list, &from, &until]).await {
            Ok(Reply::Array(items)) => items,
            other => panic!("{list}: {other:?}"),
        };
        for item in &items {
            found.push(item.text().unwrap().parse().unwrap());
        }
        if items.len() < AT_ONCE {
            return found;
        }
    }
}
