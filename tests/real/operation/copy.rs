//! A returning master whose backlog cannot give what only it has: `failback --copy`.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, eventually};
use serde_json::Value;

use super::{failback, failover, last_line, server, until_follows};
use crate::command::{configuration, folder_with};
use crate::stage::{LIMIT, entry};

/// The flags of a disaster of which nobody knows anything.
const DISASTER: [&str; 5] = [
    "--disaster",
    "--accept-unknown-loss",
    "--accept-single-view",
    "--execute",
    "--again",
];

/// An old master that was restarted from its append-only file with writes of its own, so that its
/// history is another one, and the new master.
struct Restarted {
    old: RedisServer,
    new: RedisServer,
    folder: tempfile::TempDir,
}

impl Restarted {
    async fn start(old: RedisServerBuilder) -> Self {
        let old = old.config("appendonly yes").config("appendfsync always");
        let mut old = old.start().await.unwrap();
        let new = server().replicaof(old.addr()).start().await.unwrap();
        new.wait_until_in_sync(LIMIT).await.unwrap();
        old.command(&["SET", "shared", "1"]).await.unwrap();
        let has_it = || async {
            let value = new.command(&["GET", "shared"]).await.unwrap();
            value.text().as_deref() == Some("1")
        };
        eventually("the shared write", LIMIT, has_it).await.unwrap();
        let yaml = configuration(&[entry("orders", ("dc1", old.addr()), ("dc2", new.addr()))]);
        let folder = folder_with(&yaml);
        old.kill();
        failover(folder.path(), &DISASTER).await.ended_with(0);
        old.restart().await.unwrap();
        let loaded = || async { old.command(&["SET", "only", "here"]).await.is_ok() };
        eventually("the old master to be back", LIMIT, loaded)
            .await
            .unwrap();
        Self { old, new, folder }
    }

    fn copies(&self) -> Vec<std::path::PathBuf> {
        let Ok(folder) = std::fs::read_dir(self.folder.path().join("data/lost-writes")) else {
            return Vec::new();
        };
        let files = folder.flatten().map(|entry| entry.path());
        let mut files: Vec<_> = files
            .filter(|path| path.extension() == Some("rdb".as_ref()))
            .collect();
        files.sort();
        files
    }
}

async fn is_copied_and_rejoins(old: RedisServerBuilder) {
    let pair = Restarted::start(old).await;
    let folder = pair.folder.path();
    let refused = failback(folder, &["--execute"]).await.ended_with(20);
    assert!(
        refused.stdout.contains("refused: unsaved-writes: "),
        "{refused:#?}"
    );
    assert!(refused.stdout.contains("--copy"), "{refused:#?}");
    let planned = failback(folder, &["--copy"]).await.ended_with(20);
    assert!(planned.stdout.contains("unsaved-writes"), "{planned:#?}");
    assert!(pair.copies().is_empty(), "a plan changes nothing");
    let done = failback(folder, &["--copy", "--only-rejoin", "--execute"])
        .await
        .ended_with(0);
    assert!(
        last_line(&done).ends_with("(dc2) is the master. Nothing is open."),
        "{done:#?}"
    );
    assert!(
        done.stdout.contains("is a copy of the returning server"),
        "{done:#?}"
    );
    until_follows(&pair.old, &pair.new).await;
    let [copy] = &pair.copies()[..] else {
        panic!("{:?}", pair.copies())
    };
    holds(copy, "only", "here").await;
}

/// Its offset moves while it is copied, by its own PINGs.
#[tokio::test]
async fn a_copy_that_takes_longer_than_the_time_between_two_pings_counts() {
    let slow = server()
        .config("repl-ping-replica-period 1")
        .config("rdb-key-save-delay 20000");
    let pair = Restarted::start(slow).await;
    let fill = "for i = 1, 150 do redis.call('SET', i, i) end";
    pair.old.command(&["EVAL", fill, "0"]).await.unwrap();
    let args = ["--copy", "--only-rejoin", "--execute"];
    let copying = failback(pair.folder.path(), &args);
    let (done, readers) = with_readers_seen(&pair.old, copying).await;
    let done = done.ended_with(0);
    // A Sentinel would remember a reader of another address as a replica.
    let known = format!("ip=127.0.0.1,port={},", pair.new.addr().port().unwrap());
    assert!(!readers.is_empty(), "the copy was never seen");
    for reader in &readers {
        assert!(reader.contains(&known), "{readers:#?}");
    }
    until_follows(&pair.old, &pair.new).await;
    let [copy] = &pair.copies()[..] else {
        panic!("{:?}", pair.copies())
    };
    holds(copy, "150", "150").await;
    let text = std::fs::read_to_string(format!("{}.json", copy.display())).unwrap();
    let description: Value = serde_json::from_str(&text).unwrap();
    let end = description["offset"].as_u64().unwrap();
    let name = copy.file_stem().unwrap().to_string_lossy().into_owned();
    let begun: u64 = name.rsplit('-').next().unwrap().parse().unwrap();
    assert!(end > begun, "no PING came: {begun} {end}: {done:#?}");
}

/// Awaits `copying`, and returns the different lines that `server` has of its replicas meanwhile.
async fn with_readers_seen<T>(
    server: &RedisServer,
    copying: impl Future<Output = T>,
) -> (T, BTreeSet<String>) {
    let mut copying = std::pin::pin!(copying);
    let mut seen = BTreeSet::new();
    loop {
        let wait = tokio::time::timeout(Duration::from_millis(50), &mut copying);
        if let Ok(done) = wait.await {
            return (done, seen);
        }
        let reply = server.command(&["INFO", "replication"]).await.unwrap();
        let text = reply.text().unwrap();
        let lines = text.lines().filter(|line| line.starts_with("slave"));
        // Offset and lag change all the time.
        let who = lines.filter_map(|line| line.split_once(",offset="));
        seen.extend(who.map(|(reader, _)| reader.to_owned()));
    }
}

/// Whether a server that starts with this file has the key.
async fn holds(copy: &std::path::Path, key: &str, value: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(copy, folder.path().join("dump.rdb")).unwrap();
    let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let port = redis_cross_dc_exporter::lab::ports::free().unwrap();
    let mut child = Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
        ])
        .arg(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _guard = crate::guard::Guard::of_child(&child);
    let addr = redis_cross_dc_exporter::model::ServerAddr::new("127.0.0.1", port);
    let has = || async {
        let connection = redis_cross_dc_exporter::lab::Connection::open(&addr, None).await;
        let mut connection = connection.map_err(|error| error.to_string())?;
        let reply = connection.command(&["GET", key]).await;
        match reply.map(|reply| reply.text()) {
            Ok(Some(found)) if found == value => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    let found = eventually("the copy to be loaded", LIMIT, has).await;
    child.kill().unwrap();
    child.wait().unwrap();
    found.unwrap();
}

#[tokio::test]
async fn a_server_with_an_unknown_history_is_copied_before_it_rejoins() {
    is_copied_and_rejoins(server()).await;
}

#[tokio::test]
async fn a_server_that_syncs_over_its_disk_is_copied_as_well() {
    is_copied_and_rejoins(server().config("repl-diskless-sync no")).await;
}

#[tokio::test]
async fn a_copy_of_a_server_that_has_written_since_does_not_count() {
    let pair = Restarted::start(server()).await;
    let folder = pair.folder.path();
    let args = ["--copy", "--only-rejoin", "--execute"];
    // What it says after the copy: as if a client had found it again.
    let copied = failback(folder, &args).await.ended_with(0);
    assert!(copied.stdout.contains("the copy is "), "{copied:#?}");
    let [copy] = &pair.copies()[..] else {
        panic!("{:?}", pair.copies())
    };
    let description = std::fs::read_to_string(format!("{}.json", copy.display())).unwrap();
    let description: Value = serde_json::from_str(&description).unwrap();
    assert_eq!(description["pair"], "orders");
    // It becomes a master again, with a write that the copy has not.
    pair.old.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    pair.old.command(&["SET", "later", "1"]).await.unwrap();
    let refused = failback(folder, &["--only-rejoin", "--execute"])
        .await
        .ended_with(20);
    assert!(
        refused.stdout.contains("refused: unsaved-writes: "),
        "{refused:#?}"
    );
}
