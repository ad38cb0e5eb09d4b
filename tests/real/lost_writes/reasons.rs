//! Why the writes of a deposed master cannot be had: each reason walked into on a real server.

use redis_cross_dc_exporter::lab::{RedisServer, eventually};
use serde_json::Value;

use super::{Run, TwoMasters, plain, send};
use crate::command::nobody;
use crate::stage::LIMIT;

/// What is reported, which has to be that the writes cannot be had, for this reason and with these
/// words.
async fn expect_reason(yaml: &str, reason: &str, words: &str) -> Value {
    let found = Run::with(yaml, &[]).await;
    let report = found.report();
    let server = &report["servers"][0];
    assert_eq!(server["reason"], reason, "{report:#}");
    let detail = server["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(words), "{detail}");
    assert!(
        !found.folder.path().join("data").exists(),
        "nothing is saved"
    );
    report
}

/// Two masters, of which the old one has a write of its own.
async fn diverged() -> TwoMasters {
    let servers = TwoMasters::start(plain(), plain()).await;
    send(&servers.old, &["SET lost 1"]).await;
    servers
}

/// Whether a master that loads an RDB file continues its history (7.0 and later).
async fn keeps_history(server: &RedisServer) -> bool {
    let version = server.info_field("server", "redis_version").await.unwrap();
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    major.is_some_and(|major| major >= 7)
}

async fn full_syncs(server: &RedisServer) -> Option<String> {
    server.info_field("stats", "sync_full").await.unwrap()
}

#[tokio::test]
async fn a_silent_master_keeps_its_writes_until_it_answers() {
    let mut servers = diverged().await;
    servers.old.stop().unwrap();
    let report = expect_reason(&servers.configuration(), "silent", "gave no answer in time").await;
    assert_eq!(
        report["servers"][0]["server"],
        servers.old.addr().to_string()
    );
    servers.old.cont().unwrap();
    let found = Run::with(&servers.configuration(), &[]).await;
    assert_eq!(found.header().commands_total, 1);
    // No server that answers was promoted, but the silent one may have been.
    servers.new.kill();
    let hidden = Run::with(&servers.configuration(), &[]).await.report();
    assert_eq!(hidden["result"], "cannot_be_had", "{hidden:#}");
    assert_eq!(hidden["silent"].as_array().map(Vec::len), Some(1));
    // Nobody answers at all.
    servers.old.kill();
    let nobody = Run::with(&servers.configuration(), &[]).await.report();
    assert_eq!(nobody["result"], "cannot_be_had", "{nobody:#}");
    assert_eq!(nobody["silent"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_restart_ends_it() {
    let mut servers = diverged().await;
    servers.old.restart().await.unwrap();
    expect_reason(
        &servers.configuration(),
        "history_gone",
        "was restarted, or freed its backlog",
    )
    .await;

    let mut servers = diverged().await;
    send(&servers.old, &["SAVE"]).await;
    servers.old.restart().await.unwrap();
    let reason = if keeps_history(&servers.old).await {
        "restarted"
    } else {
        "history_gone"
    };
    expect_reason(&servers.configuration(), reason, "before it resyncs").await;
}

#[tokio::test]
async fn a_freed_backlog_ends_it() {
    let servers = diverged().await;
    let before = servers
        .old
        .info_field("replication", "master_replid")
        .await
        .unwrap();
    send(&servers.old, &["CONFIG SET repl-backlog-ttl 1"]).await;
    let freed = || async {
        servers
            .old
            .info_field("replication", "master_replid")
            .await
            .unwrap()
            != before
    };
    eventually("the backlog's end", LIMIT, freed).await.unwrap();
    expect_reason(&servers.configuration(), "history_gone", "repl-backlog-ttl").await;
}

#[tokio::test]
async fn a_backlog_that_was_run_over_is_never_asked() {
    let small = || plain().config("repl-backlog-size 16kb");
    let servers = TwoMasters::start(small(), small()).await;
    let value = "x".repeat(1000);
    for _ in 0..60 {
        send(&servers.old, &[&format!("SET k {value}")]).await;
    }
    let syncs = full_syncs(&servers.old).await;
    expect_reason(
        &servers.configuration(),
        "run_over",
        "no longer holds the beginning",
    )
    .await;
    assert_eq!(
        full_syncs(&servers.old).await,
        syncs,
        "no full sync, no fork"
    );
}

#[tokio::test]
async fn a_demoted_master_has_them_until_its_full_sync_and_again_as_a_master() {
    let servers = diverged().await;
    let away = nobody();
    let (host, port) = away.tcp().unwrap();
    send(&servers.old, &[&format!("REPLICAOF {host} {port}")]).await;
    expect_reason(
        &servers.configuration(),
        "demoted",
        "REPLICAOF NO ONE on it",
    )
    .await;
    send(&servers.old, &["REPLICAOF NO ONE", "SET more 1"]).await;
    let found = Run::with(&servers.configuration(), &[]).await;
    assert_eq!(found.header().commands_total, 2, "{:?}", found.outcome);
    // It follows the new master: what it had alone is gone, and nothing is left to be lost.
    let (host, port) = servers.new.addr().tcp().unwrap();
    send(&servers.old, &[&format!("REPLICAOF {host} {port}")]).await;
    servers.old.wait_until_in_sync(LIMIT).await.unwrap();
    assert_eq!(
        Run::with(&servers.configuration(), &[]).await.report()["result"],
        "none"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_written_says_why() {
    let servers = diverged().await;
    let yaml = format!(
        "recover: {{dir: /proc/nowhere}}\n{}",
        servers.configuration()
    );
    expect_reason(&yaml, "not_written", "/proc/nowhere").await;
}

#[tokio::test]
async fn conflicts_are_not_known_when_the_promoted_server_has_written_too_much() {
    let servers = diverged().await;
    let value = "x".repeat(1024 * 1024);
    let mut connection = servers.new.connect().await.unwrap();
    for _ in 0..66 {
        connection.command(&["SET", "k", &value]).await.unwrap();
    }
    let found = Run::with(&servers.configuration(), &["--summary"]).await;
    let conflicts = found.header().conflicts;
    assert_eq!(conflicts.count, None);
    assert!(conflicts.why.unwrap().contains("more than the 64.0 MiB"));
    let servers = diverged().await;
    let mut connection = servers.new.connect().await.unwrap();
    for _ in 0..3 {
        connection.command(&["SET", "k", &value]).await.unwrap();
    }
    let found = Run::with(&servers.configuration(), &["--summary"]).await;
    let why = found.header().conflicts.why.unwrap();
    assert!(
        why.contains("no longer reaches back to its promotion"),
        "{why}"
    );
}
