//! More traps of chapter A, walked into after doctor has warned of them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use redis_cross_dc_exporter::doctor::FindingSeverity::{Critical, Warning};
use redis_cross_dc_exporter::lab::{
    Connection, LabError, RedisServer, RedisServerBuilder, Reply, eventually,
};
use redis_cross_dc_exporter::model::{DoctorCheck, Secret, ServerAddr};

use super::machine::{Machine, module_in};
use super::{Pair, expect_one, found, reference, report};
use crate::certificates::Authority;
use crate::command::configuration;
use crate::planted;
use crate::stage::{LIMIT, entry};

/// The error reply to `words`.
async fn refused(server: &RedisServer, words: &[&str]) -> String {
    match server.command(words).await {
        Err(LabError::CommandRefused { reply, .. }) => reply,
        other => panic!("it was not refused: {other:?}"),
    }
}

async fn promote(server: &RedisServer) {
    server.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
}

/// Makes `server` follow the server at `addr`.
async fn follow(server: &RedisServer, addr: &ServerAddr) {
    let port = addr.port().unwrap().to_string();
    let host = addr.host().unwrap();
    server.command(&["REPLICAOF", host, &port]).await.unwrap();
}

/// Waits until the field of INFO has the value.
async fn wait_for(server: &RedisServer, section: &str, field: &str, expected: &str) {
    let has = || async {
        let value = server.info_field(section, field).await;
        match value.map_err(|error| error.to_string())? {
            Some(value) if value == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    let what = format!("{field}:{expected} on {}", server.addr());
    eventually(&what, LIMIT, has).await.unwrap();
}

/// Waits until the log of `server` has `text`.
async fn wait_for_log(server: &RedisServer, text: &str) {
    let has = || async {
        let log = server.log_tail();
        if log.contains(text) { Ok(()) } else { Err(log) }
    };
    let what = format!("{text:?} in the log of {}", server.addr());
    eventually(&what, LIMIT, has).await.unwrap();
}

#[tokio::test]
async fn a4_a_replica_whose_disk_failed_refuses_every_write() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("data");
    std::fs::create_dir(&place).unwrap();
    let trap = reference().config(&format!("dir {}", place.display()));
    let pair = Pair::start(reference(), trap).await;
    // Its folder is gone, as after a disk was unmounted.
    std::fs::remove_dir_all(&place).unwrap();
    pair.replica.command(&["BGSAVE"]).await.unwrap();
    wait_for(
        &pair.replica,
        "persistence",
        "rdb_last_bgsave_status",
        "err",
    )
    .await;
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A4, Critical, pair.replica.addr());
    promote(&pair.replica).await;
    let refusal = refused(&pair.replica, &["SET", "key", "value"]).await;
    assert!(refusal.starts_with("MISCONF"), "{refusal}");
}

#[tokio::test]
async fn a5_a_master_without_masterauth_never_comes_back() {
    let pair = Pair::start(reference(), reference()).await;
    for server in [&pair.replica, &pair.master] {
        let mut connection = server.connect().await.unwrap();
        let words = ["CONFIG", "SET", "requirepass", planted::REDIS];
        connection.command(&words).await.unwrap();
    }
    let login = format!("redis: {{password: {}}}\n", planted::REDIS);
    let report = report(&format!("{login}{}", pair.configuration())).await;
    expect_one(&report, DoctorCheck::A5, Critical, pair.master.addr());
    let password = Secret::new(planted::REDIS);
    let open = async |addr| Connection::open(addr, Some(&password)).await.unwrap();
    let mut replica = open(pair.replica.addr()).await;
    let mut master = open(pair.master.addr()).await;
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let port = pair.replica.addr().port().unwrap().to_string();
    master
        .command(&["REPLICAOF", "127.0.0.1", &port])
        .await
        .unwrap();
    wait_for_log(&pair.master, "NOAUTH").await;
}

#[tokio::test]
async fn a7_a_master_that_replicates_by_tls_cannot_follow_a_plain_replica() {
    let authority = Authority::new();
    let master = reference().tls(authority.server(&["127.0.0.1"]));
    let pair = Pair::start(master, reference()).await;
    let by_tls = ["CONFIG", "SET", "tls-replication", "yes"];
    pair.master.command(&by_tls).await.unwrap();
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A7, Critical, pair.replica.addr());
    promote(&pair.replica).await;
    let soon = ["CONFIG", "SET", "repl-timeout", "2"];
    pair.master.command(&soon).await.unwrap();
    follow(&pair.master, pair.replica.addr()).await;
    wait_for_log(&pair.master, "Timeout connecting to the MASTER").await;
    let link = pair.master.info_field("replication", "master_link_status");
    assert_eq!(link.await.unwrap().as_deref(), Some("down"));
}

#[tokio::test]
async fn a9_a_module_that_only_the_master_has() {
    let folder = tempfile::tempdir().unwrap();
    let module = module_in(folder.path());
    let line = format!("loadmodule {}", module.display());
    let pair = Pair::start(reference().config(&line), reference()).await;
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A9, Critical, pair.replica.addr());
    let both = Pair::start(reference().config(&line), reference().config(&line)).await;
    assert_eq!(found(&both.report().await), []);
}

#[tokio::test]
async fn a10_clients_that_move_are_refused() {
    let pair = Pair::start(reference(), reference().config("maxclients 8")).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(pair.master.connect().await.unwrap());
    }
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A10, Warning, pair.replica.addr());
    promote(&pair.replica).await;
    let mut moved = Vec::new();
    let mut refusals = 0;
    for _ in 0..clients.len() {
        let Ok(mut client) = pair.replica.connect().await else {
            refusals += 1;
            continue;
        };
        if client.command(&["SET", "key", "value"]).await.is_err() {
            refusals += 1;
        }
        moved.push(client);
    }
    assert!(refusals > 0, "{} clients were taken", moved.len());
}

#[tokio::test]
async fn a13_a_renamed_command_is_skipped_by_the_replica() {
    let renamed = reference().config("rename-command FLUSHALL \"\"");
    let pair = Pair::start(reference(), renamed).await;
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A13, Critical, pair.replica.addr());
    let mut connection = pair.master.connect().await.unwrap();
    connection.command(&["SET", "key", "value"]).await.unwrap();
    connection.command(&["FLUSHALL"]).await.unwrap();
    connection
        .command(&["SET", "other", "value"])
        .await
        .unwrap();
    let has = || async {
        let size = pair.replica.command(&["DBSIZE"]).await;
        let size = size.map_err(|error| error.to_string())?;
        if size == Reply::Integer(2) {
            Ok(())
        } else {
            Err(format!("{size:?}"))
        }
    };
    let what = "both keys on the replica, of which the master has one";
    eventually(what, LIMIT, has).await.unwrap();
    let left = pair.master.command(&["EXISTS", "key"]).await.unwrap();
    assert_eq!(left, Reply::Integer(0));
}

#[tokio::test]
async fn a13_both_sides_may_rename_alike() {
    let hidden = || reference().config("rename-command FLUSHALL \"\"");
    let pair = Pair::start(hidden(), hidden()).await;
    assert_eq!(found(&pair.report().await), []);
}

/// A server that reads its configuration from its input has no file.
fn without_a_file(folder: &tempfile::TempDir) -> RedisServerBuilder {
    let script = folder.path().join("redis-server");
    let server = std::env::var("REDIS_SERVER").unwrap_or("redis-server".to_owned());
    let text = format!("#!/bin/sh\nexec {server} - <\"$1\"\n");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    reference().program(script)
}

#[tokio::test]
async fn a12_without_a_file_a_restart_brings_the_old_role_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(reference(), without_a_file(&folder)).await;
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A12, Warning, pair.replica.addr());
    promote(&pair.replica).await;
    let reply = refused(&pair.replica, &["CONFIG", "REWRITE"]).await;
    assert!(reply.contains("without a config file"), "{reply}");
    pair.replica.restart().await.unwrap();
    wait_for(&pair.replica, "replication", "role", "slave").await;
}

#[tokio::test]
async fn a14_a_clock_that_is_ahead_ends_keys_too_early() {
    let machine = Machine::new(None);
    let master = reference().start().await.unwrap();
    let replica = machine.run(reference().replicaof(master.addr()));
    let replica = replica.start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let pair = Pair { master, replica };
    assert_eq!(found(&pair.report().await), [], "the clocks are the same");
    machine.set_clock(5);
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A14, Warning, pair.replica.addr());
    machine.set_clock(3600);
    let report = pair.report().await;
    expect_one(&report, DoctorCheck::A14, Critical, pair.replica.addr());
    // Older versions send some lifetimes as they were given, but this one is absolute everywhere.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let end = (now + 600).to_string();
    let mut connection = pair.master.connect().await.unwrap();
    connection.command(&["SET", "key", "value"]).await.unwrap();
    connection
        .command(&["EXPIREAT", "key", &end])
        .await
        .unwrap();
    pair.replica.wait_until_in_sync(LIMIT).await.unwrap();
    promote(&pair.replica).await;
    let value = pair.replica.command(&["GET", "key"]).await.unwrap();
    assert_eq!(value.text(), None, "it had ten minutes to live");
    let there = pair.master.command(&["GET", "key"]).await.unwrap();
    assert_eq!(there.text().as_deref(), Some("value"));
}

#[tokio::test]
async fn c5_a_save_that_is_days_old() {
    let machine = Machine::new(None);
    machine.set_clock(-2 * 86_400);
    // It started two days ago and has not saved since: too few changes.
    let master = machine.run(reference()).start().await.unwrap();
    let rarely = ["CONFIG", "SET", "save", "3600 1000"];
    master.command(&rarely).await.unwrap();
    let replica = reference().replicaof(master.addr()).start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    for number in 0..5 {
        let key = number.to_string();
        master.command(&["SET", &key, "value"]).await.unwrap();
    }
    machine.set_clock(0);
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let yaml = configuration(&[entry(
        "orders",
        ("dc1", master.addr()),
        ("dc2", replica.addr()),
    )]);
    let report = report(&yaml).await;
    expect_one(&report, DoctorCheck::C5, Warning, master.addr());
}
