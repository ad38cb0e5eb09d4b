//! The proof: what clients wrote, had acknowledged and lost is what is in the file, and after its
//! replay nothing is missing.

use std::os::unix::fs::PermissionsExt;

use redis_cross_dc_exporter::lab::RedisServer;

use super::{
    RecordingWriter, Run, TwoMasters, commands, ids, ids_on, lost_writes, plain, replay, report,
    send,
};
use crate::command::run;

async fn full_syncs(server: &RedisServer) -> Option<String> {
    server.info_field("stats", "sync_full").await.unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_and_lost_is_what_is_captured_and_replaying_it_leaves_nothing_missing()
 {
    let servers = TwoMasters::in_sync(plain(), plain()).await;
    let TwoMasters { old, new } = &servers;
    let writer = RecordingWriter::start(old).await;
    writer.wait_for(300).await;
    // The replica is promoted while clients write: what it lacks is decided at that instant.
    servers.promote().await;
    writer.wait_for(500).await;
    let acknowledged = writer.stop().await;
    send(old, &["SET both old", "SET shared old", "DEL nothing"]).await;
    send(new, &["SET both new", "SET only-new 1"]).await;
    let syncs = [full_syncs(old).await, full_syncs(new).await];

    let found = Run::with(&servers.configuration(), &[]).await;
    let header = found.header();
    let on_new = ids_on(new).await;
    let lost: std::collections::BTreeSet<u64> = acknowledged.difference(&on_new).copied().collect();
    assert!(lost.len() >= 500, "{}", lost.len());
    let file = found.file();
    let captured = commands(&file).await;
    assert_eq!(ids(&captured), lost);

    assert!(
        header.is_complete && header.missing.is_none(),
        "{header:#?}"
    );
    assert_eq!(header.commands["SET"], lost.len() as u64 + 2);
    assert_eq!(
        header.commands_total,
        lost.len() as u64 + 2,
        "a DEL of nothing changes nothing"
    );
    assert_eq!(header.database, Some(0));
    assert_eq!(header.conflicts.count, Some(1), "{:?}", header.conflicts);
    assert_eq!(header.conflicts.keys[0].key, "both");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(header.file_bytes, bytes.len() as u64);
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let digits = digest
        .as_ref()
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(header.sha256, digits);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Reading left no trace: no full sync, no replica, the same configuration.
    assert_eq!([full_syncs(old).await, full_syncs(new).await], syncs);
    for server in [old, new] {
        let replicas = server.info_field("replication", "connected_slaves").await;
        assert_eq!(replicas.unwrap().as_deref(), Some("0"));
    }

    replay(new, &file).await;
    let now = ids_on(new).await;
    assert_eq!(
        acknowledged.difference(&now).count(),
        0,
        "nothing is missing"
    );

    // Another run finds the file, which is enough; a person marks it.
    let again = report(&lost_writes(found.folder.path(), &[]).await);
    let known = again["servers"][0]["file"].as_str().unwrap_or_default();
    assert_eq!(found.folder.path().join(known), file);
    let name = file.display().to_string();
    let marked = run(
        found.folder.path(),
        &["lost-writes", "--done", &name, "--comment", "replayed"],
    )
    .await;
    marked.ended_with(0);
    let again = report(&lost_writes(found.folder.path(), &[]).await);
    assert_eq!(again["servers"][0]["writes"]["done"]["comment"], "replayed");
    let missing = run(
        found.folder.path(),
        &["lost-writes", "--done", "nothing.aof"],
    )
    .await;
    assert!(missing.ended_with(1).stderr.contains("cannot be marked"));
}

#[tokio::test]
async fn a_summary_saves_nothing_and_a_table_says_what_to_do() {
    let servers = TwoMasters::start(plain(), plain()).await;
    send(&servers.old, &["SET a 1", "INCR b", "INCR b"]).await;
    let summary = Run::with(&servers.configuration(), &["--summary"]).await;
    assert_eq!(summary.header().commands_total, 3);
    assert_eq!(
        summary.report()["servers"][0]["file"],
        serde_json::Value::Null
    );
    assert!(!summary.folder.path().join("data").exists());
    let folder = summary.folder.path();
    let args = [
        "lost-writes",
        "--config.file",
        "config.yml",
        "--pair",
        "orders",
        "--save",
        "kept",
    ];
    let table = run(folder, &args).await.ended_with(10);
    for line in [
        "alone has 3 commands for 2 keys",
        "  saved in   kept/orders-",
        "INCR 2, SET 1",
        "--pipe < ",
    ] {
        assert!(table.stdout.contains(line), "{line}: {}", table.stdout);
    }
    assert_eq!(std::fs::read_dir(folder.join("kept")).unwrap().count(), 2);
}

#[tokio::test]
async fn without_a_promotion_or_a_write_of_a_client_there_is_nothing() {
    let servers = TwoMasters::in_sync(plain(), plain()).await;
    let healthy = Run::with(&servers.configuration(), &[]).await;
    assert_eq!(healthy.report()["result"], "none");
    servers.promote().await;
    assert_eq!(
        Run::with(&servers.configuration(), &[]).await.report()["result"],
        "none"
    );
    // Messages of Sentinels are in the stream, too, and no client wrote them.
    send(&servers.old, &["PUBLISH __sentinel__:hello x"]).await;
    let nothing = Run::with(&servers.configuration(), &[]).await;
    assert_eq!(nothing.report()["result"], "none", "{:?}", nothing.outcome);
    let table = run(
        nothing.folder.path(),
        &[
            "lost-writes",
            "--config.file",
            "config.yml",
            "--pair",
            "carts",
        ],
    );
    assert!(
        table
            .await
            .ended_with(64)
            .stderr
            .contains("no pair called \"carts\"")
    );
}
