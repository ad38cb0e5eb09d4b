//! `lost-writes` and `recover.capture` on real servers: what is captured is exactly what was lost,
//! and what cannot be had says why.

mod automatic;
mod kinds;
mod proof;
mod reasons;
mod rights;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use redis_cross_dc_exporter::lab::{
    Connection, RedisServer, RedisServerBuilder, Reply, read_reply,
};
use redis_cross_dc_exporter::lost_writes::LostWritesHeader;
use serde_json::Value;

use crate::command::{Outcome, configuration, folder_with, run};
use crate::stage::{LIMIT, entry};

/// A deposed master and the server that was promoted instead.
pub(crate) struct TwoMasters {
    pub(crate) old: RedisServer,
    pub(crate) new: RedisServer,
}

impl TwoMasters {
    /// Two servers with the same data, of which the second is promoted; from here on each goes its
    /// own way.
    pub(crate) async fn start(old: RedisServerBuilder, new: RedisServerBuilder) -> Self {
        let servers = Self::in_sync(old, new).await;
        servers.promote().await;
        servers
    }

    /// The same before the promotion.
    pub(crate) async fn in_sync(old: RedisServerBuilder, new: RedisServerBuilder) -> Self {
        let old = old.start().await.unwrap();
        let new = new.replicaof(old.addr()).start().await.unwrap();
        new.wait_until_in_sync(LIMIT).await.unwrap();
        send(&old, &["SET shared 1"]).await;
        Self { old, new }
    }

    pub(crate) async fn promote(&self) {
        wait_for_shared(&self.new).await;
        send(&self.new, &["REPLICAOF NO ONE"]).await;
    }

    pub(crate) fn configuration(&self) -> String {
        configuration(&[self.entry()])
    }

    pub(crate) fn entry(&self) -> String {
        entry("orders", ("dc1", self.old.addr()), ("dc2", self.new.addr()))
    }
}

/// A plain server.
pub(crate) fn plain() -> RedisServerBuilder {
    RedisServer::builder()
}

async fn wait_for_shared(server: &RedisServer) {
    let applied = || async {
        match server.command(&["GET", "shared"]).await {
            Ok(Reply::Bulk(value)) if value == b"1" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    redis_cross_dc_exporter::lab::eventually("the shared write", LIMIT, applied)
        .await
        .unwrap();
}

/// Sends commands, their words separated by spaces, on one connection; none may fail.
pub(crate) async fn send(server: &RedisServer, commands: &[&str]) {
    let mut connection = server.connect().await.unwrap();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        connection.command(&words).await.unwrap();
    }
}

/// One run of `lost-writes` in a folder of its own.
pub(crate) struct Run {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) outcome: Outcome,
}

impl Run {
    /// Runs `lost-writes --pair orders` with the configuration `yaml`.
    pub(crate) async fn with(yaml: &str, more: &[&str]) -> Self {
        let folder = folder_with(yaml);
        let outcome = lost_writes(folder.path(), more).await;
        Self { folder, outcome }
    }

    /// What was found, and that the exit code says the same.
    pub(crate) fn report(&self) -> Value {
        report(&self.outcome)
    }

    /// The description of the only file.
    pub(crate) fn header(&self) -> LostWritesHeader {
        header(&self.report())
    }

    /// The only file.
    pub(crate) fn file(&self) -> PathBuf {
        let report = self.report();
        let file = report["servers"][0]["file"].as_str().expect("a file");
        self.folder.path().join(file)
    }
}

/// Runs `lost-writes` as JSON in `folder`.
pub(crate) async fn lost_writes(folder: &Path, more: &[&str]) -> Outcome {
    let args = [
        "lost-writes",
        "--config.file",
        "config.yml",
        "--pair",
        "orders",
    ];
    let output = ["--output", "json"];
    run(folder, &[&args[..], &output, more].concat()).await
}

pub(crate) fn report(outcome: &Outcome) -> Value {
    let report: Value = match serde_json::from_str(&outcome.stdout) {
        Ok(report) => report,
        Err(error) => panic!("{error}: {outcome:#?}"),
    };
    let expected = match report["result"].as_str() {
        Some("none") => 0,
        Some("found") => 10,
        Some("cannot_be_had") => 20,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome.code, Some(expected), "{outcome:#?}");
    report
}

pub(crate) fn header(report: &Value) -> LostWritesHeader {
    assert_eq!(
        report["servers"].as_array().map(Vec::len),
        Some(1),
        "{report:#}"
    );
    serde_json::from_value(report["servers"][0]["writes"].clone()).unwrap()
}

/// The commands in a file, each as its words.
pub(crate) async fn commands(file: &Path) -> Vec<Vec<String>> {
    let bytes = std::fs::read(file).unwrap();
    let mut rest = bytes.as_slice();
    let mut commands = Vec::new();
    while let Some(reply) = read_reply(&mut rest).await.unwrap() {
        let Reply::Array(words) = reply else {
            panic!("{reply:?}")
        };
        commands.push(words.iter().map(|word| word.text().unwrap()).collect());
    }
    commands
}

/// The numbers of the writer's keys among the words of these commands.
pub(crate) fn ids(commands: &[Vec<String>]) -> BTreeSet<u64> {
    let words = commands.iter().flatten();
    words
        .filter_map(|word| word.strip_prefix("id:")?.parse().ok())
        .collect()
}

/// The numbers of the writer's keys that a server has.
pub(crate) async fn ids_on(server: &RedisServer) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let scan = ["SCAN", &cursor, "MATCH", "id:*", "COUNT", "1000"];
        let Reply::Array(page) = server.command(&scan).await.unwrap() else {
            panic!("no page of keys")
        };
        let [next, Reply::Array(keys)] = page.as_slice() else {
            panic!("a page is a cursor and keys")
        };
        let names: Vec<String> = keys.iter().filter_map(Reply::text).collect();
        found.extend(ids(&[names]));
        cursor = next.text().expect("a cursor");
        if cursor == "0" {
            return found;
        }
    }
}

/// Writes one key after another until it is refused or stopped, and remembers which were
/// acknowledged.
pub(crate) struct RecordingWriter {
    acknowledged: std::sync::Arc<std::sync::Mutex<BTreeSet<u64>>>,
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl RecordingWriter {
    pub(crate) async fn start(server: &RedisServer) -> Self {
        let acknowledged = std::sync::Arc::<std::sync::Mutex<BTreeSet<u64>>>::default();
        let recorded = std::sync::Arc::clone(&acknowledged);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let connection = server.connect().await.unwrap();
        let mut connection: Connection = connection.within(LIMIT);
        let task = tokio::spawn(async move {
            for id in 0_u64.. {
                if *stopped.borrow() {
                    return;
                }
                let key = format!("id:{id}");
                if connection.command(&["SET", &key, "x"]).await.is_err() {
                    return;
                }
                recorded.lock().unwrap().insert(id);
            }
        });
        Self {
            acknowledged,
            stop,
            task,
        }
    }

    pub(crate) fn acknowledged(&self) -> BTreeSet<u64> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until this many more writes are acknowledged.
    pub(crate) async fn wait_for(&self, more: usize) {
        let wanted = self.acknowledged().len() + more;
        let reached = || async { self.acknowledged().len() >= wanted };
        redis_cross_dc_exporter::lab::eventually("acknowledged writes", LIMIT, reached)
            .await
            .unwrap();
    }

    /// Stops, or waits until it was refused.
    pub(crate) async fn stop(self) -> BTreeSet<u64> {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        let ids = self.acknowledged.lock().unwrap();
        ids.clone()
    }
}

/// Sends a file to a server as a person does: `redis-cli --pipe`.
pub(crate) async fn replay(server: &RedisServer, file: &Path) {
    let input = std::fs::File::open(file).unwrap();
    let mut command = std::process::Command::new("redis-cli");
    let port = server.addr().port().unwrap().to_string();
    command
        .args(["-h", server.addr().host().unwrap(), "-p", &port, "--pipe"])
        .stdin(input);
    let ended = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap();
    let output = ended.unwrap_or_else(|error| {
        panic!("redis-cli cannot be run ({error}): apt-get install redis-tools")
    });
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("errors: 0"),
        "{output:?}"
    );
}
