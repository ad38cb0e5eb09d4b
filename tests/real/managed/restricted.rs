//! Commands that are blocked or renamed, and INFO that lacks fields.

use redis_cross_dc_exporter::lab::RedisServer;
use redis_cross_dc_exporter::replication::PairState;

use super::{Endpoint, after_polls, exporter_of, nothing_false_was_said, wait_for_state};
use crate::command::{folder_with, no_exporter, run};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

/// What Memorystore for Redis blocks, of the commands that the exporter may send.
const BLOCKED: [&str; 7] = [
    "CONFIG",
    "CLIENT",
    "ACL",
    "CLUSTER",
    "COMMAND",
    "REPLICAOF",
    "DEBUG",
];

/// Fields of a master's INFO without which its lag is known all the same.
const NOT_NEEDED: [&str; 17] = [
    "run_id",
    "uptime_in_seconds",
    "tcp_port",
    "connected_slaves",
    "slave0",
    "master_failover_state",
    "repl_backlog_size",
    "repl_backlog_first_byte_offset",
    "repl_backlog_histlen",
    "sync_full",
    "sync_partial_ok",
    "sync_partial_err",
    "loading",
    "async_loading",
    "db0",
    "redis_mode",
    "executable",
];

/// A server without `commands`.
async fn without(commands: &[&str], master: Option<&RedisServer>) -> RedisServer {
    let mut builder = RedisServer::builder();
    for command in commands {
        builder = builder.config(&format!("rename-command {command} \"\""));
    }
    if let Some(master) = master {
        builder = builder.replicaof(master.addr());
    }
    builder.start().await.unwrap()
}

#[tokio::test]
async fn without_config_and_client_the_lag_is_known_and_the_rest_is_said_to_be_unknown() {
    let master = without(&BLOCKED, None).await;
    let replica = without(&BLOCKED, Some(&master)).await;
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let pair = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, output_buffers: true}}\npairs: [{pair}]\n"
    );
    let exporter = Exporter::start(&yaml).await;
    let pair = wait_for_state(&exporter, PairState::Streaming, "").await;
    assert!(pair.lag_seconds.is_some(), "{pair:?}");
    after_polls(&exporter, master.addr(), 10.0).await;
    let scrape = Scrape::of(&exporter).await;
    let families = scrape.families();
    assert!(!families.contains("redis_cross_dc_output_buffer_bytes"));
    nothing_false_was_said(&exporter).await;

    let folder = folder_with(&yaml);
    let nobody = no_exporter();
    let line = [
        "doctor",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &nobody,
    ];
    let outcome = run(folder.path(), &line).await;
    assert!(outcome.stdout.contains("not checked"), "{outcome:?}");
    assert_ne!(
        outcome.code,
        Some(0),
        "what could not be asked is not clean"
    );
}

#[tokio::test]
async fn a_server_that_does_not_know_info_answers_and_is_said_to_refuse() {
    let stage = Stage::set().await;
    let replica = without(&["INFO"], Some(&stage.master)).await;
    let exporter = exporter_of(stage.master.addr(), replica.addr()).await;
    let pair = wait_for_state(&exporter, PairState::Unknown, "does not know INFO").await;
    assert_eq!(pair.lag_seconds, None);
    let server = replica.addr().to_string();
    let errors = Scrape::of(&exporter).await.value(
        "redis_cross_dc_poll_errors_total",
        &[("server", &server), ("reason", "denied")],
    );
    assert!(errors > Some(0.0), "{errors:?}");
    nothing_false_was_said(&exporter).await;
}

/// What is said where INFO of the master, or of the replica, lacks these fields.
async fn lacking(
    hidden: &'static [&'static str],
    (at_master, state, reason): (bool, PairState, &str),
) {
    let both = Stage::set().await;
    let server = if at_master {
        &both.master
    } else {
        &both.replica
    };
    let endpoint = Endpoint::restricted(server, hidden, &["CLIENT"]).await;
    let exporter = if at_master {
        exporter_of(endpoint.addr(), both.replica.addr()).await
    } else {
        exporter_of(both.master.addr(), endpoint.addr()).await
    };
    let pair = wait_for_state(&exporter, state, reason).await;
    assert_eq!(
        pair.lag_seconds.is_some(),
        state == PairState::Streaming,
        "{pair:?}"
    );
    after_polls(&exporter, endpoint.addr(), 5.0).await;
    wait_for_state(&exporter, state, reason).await;
    nothing_false_was_said(&exporter).await;
}

#[tokio::test]
async fn without_fields_that_nothing_depends_on_the_lag_is_known() {
    lacking(&NOT_NEEDED, (true, PairState::Streaming, "")).await;
    lacking(
        &[
            "run_id",
            "master_last_io_seconds_ago",
            "slave_read_repl_offset",
            "master_host",
            "master_port",
        ],
        (false, PairState::Streaming, ""),
    )
    .await;
}

#[tokio::test]
async fn without_an_offset_or_a_history_the_reason_names_who_lacks_it() {
    let of_master = "the master's INFO reply lacks fields";
    let of_replica = "the replica's INFO reply lacks fields";
    for hidden in [
        &["master_repl_offset"] as &'static [&'static str],
        &["master_replid", "master_replid2"],
        &["repl_backlog_active"],
    ] {
        lacking(hidden, (true, PairState::Unknown, of_master)).await;
    }
    for hidden in [
        &["slave_repl_offset"] as &'static [&'static str],
        &["master_replid", "master_replid2"],
        &["master_link_status"],
    ] {
        lacking(hidden, (false, PairState::Unknown, of_replica)).await;
    }
}
