//! F2: 42 s into a stall, with no exporter to ask, `check` said "ok, streaming, the link is up" and
//! ended with 0.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{
    Connection, Direction, RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad,
    eventually,
};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairsReport;
use serde_json::Value;

use crate::command::{Outcome, folder_with, no_exporter, run};
use crate::exporter::Exporter;
use crate::stage::{LIMIT, Stage};

/// Longer than the pauses of a healthy idle link (a PING each 10 s), and shorter than Redis takes
/// to see a stall itself (60 s).
const STALL_SECONDS: i64 = 13;

/// How long a healthy pair may keep somebody waiting, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(15);

const LOAD: WriteLoad = WriteLoad {
    per_second: 50,
    value_bytes: 200,
};

/// Polled as by default: a busy machine is not taken for a silent server.
fn configuration(pairs: &[String]) -> String {
    format!("pairs: [{}]\n", pairs.join(", "))
}

/// `check` without an exporter to ask.
async fn check(yaml: &str, more: &[&str]) -> Outcome {
    let folder = folder_with(yaml);
    let nowhere = no_exporter();
    let args = ["check", "--config.file", "config.yml", "--exporter.url"];
    run(
        folder.path(),
        &[args.as_slice(), &[nowhere.as_str()], more].concat(),
    )
    .await
}

/// A pair whose stream runs through a line that can be stalled.
async fn stage_with_line() -> (Stage, WanProxy) {
    let master = RedisServer::builder().start().await.unwrap();
    let line = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let replica = replica_of(line.addr()).await;
    wait_until_acked(&master).await;
    (Stage { master, replica }, line)
}

async fn replica_of(master: &ServerAddr) -> RedisServer {
    let replica = RedisServer::builder()
        .replicaof(master)
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    replica
}

async fn replication_info(server: &RedisServer) -> String {
    let mut connection = Connection::open(server.addr(), None).await.unwrap();
    let reply = connection.command(&["INFO", "replication"]).await.unwrap();
    reply.text().unwrap()
}

/// A replica that has just connected has not ACKed anything: the master shows the offset 0.
async fn wait_until_acked(master: &RedisServer) {
    let probe = || async {
        let info = replication_info(master).await;
        let line = info.lines().find(|line| line.starts_with("slave0:"));
        let is_acked = line.is_some_and(|line| !line.contains("offset=0,"));
        if is_acked { Ok(()) } else { Err(info) }
    };
    eventually("a first ACK", LIMIT, probe).await.unwrap();
}

/// `master_last_io_seconds_ago`, while the link claims to be up.
async fn last_io(replica: &RedisServer) -> i64 {
    let info = replication_info(replica).await;
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_else(|| panic!("{name}: {info}"))
            .trim()
            .to_owned()
    };
    assert_eq!(field("master_link_status"), "up");
    field("master_last_io_seconds_ago").parse().unwrap()
}

async fn wait_until_quiet(replica: &RedisServer, seconds: i64) {
    let probe = || async {
        let quiet = last_io(replica).await;
        if quiet >= seconds {
            Ok(())
        } else {
            Err(format!("quiet for {quiet} s"))
        }
    };
    eventually("the link to be quiet", LIMIT, probe)
        .await
        .unwrap();
}

/// The number that follows `words` in `text`.
fn number_after(text: &str, words: &str) -> f64 {
    let (_, rest) = text
        .split_once(words)
        .unwrap_or_else(|| panic!("{words:?} is not in {text}"));
    let number = rest.trim_start().split(' ').next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{text}"))
}

async fn says_stalled(direction: Direction) {
    let (stage, line) = stage_with_line().await;
    let _writer = SteadyWriter::start(stage.master.addr(), None, LOAD);
    line.stall(direction);
    wait_until_quiet(&stage.replica, STALL_SECONDS).await;
    let yaml = configuration(&[stage.entry("orders")]);

    let screen = check(&yaml, &[]).await.ended_with(3).stdout;
    let first = screen.lines().next().unwrap();
    assert!(
        first.starts_with("NO EXPORTER ANSWERS at http://127.0.0.1:"),
        "{screen}"
    );
    assert!(screen.contains("Polled the servers directly"), "{screen}");
    assert!(!screen.contains("streaming"), "{screen}");
    assert!(screen.contains("stalled"), "{screen}");
    let in_one_line = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let quiet = number_after(&in_one_line, "nothing has arrived for at least");
    let least = STALL_SECONDS as f64 - 1.0;
    assert!(quiet >= least && quiet < 60.0, "{screen}");

    let json = check(&yaml, &["--output", "json"]).await.ended_with(3);
    let whole: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(whole["source"]["asked"], "servers", "{whole}");
    assert_eq!(whole["pairs"][0]["level"], "unknown", "{whole}");
    let report: PairsReport = serde_json::from_str(&json.stdout).unwrap();
    let pair = &report.pairs[0];
    assert_eq!(pair.state, PairState::Stalled, "{pair:?}");
    assert!(
        pair.lag_bytes.is_some_and(|bytes| bytes > 100_000),
        "{pair:?}"
    );
    assert_eq!(pair.lag_upper_seconds, None, "{pair:?}");
}

#[tokio::test]
async fn f02_check_detects_a_stall_by_the_servers_counters() {
    says_stalled(Direction::Both).await;
}

/// ACKs come through all the time; only the stream does not.
#[tokio::test]
async fn f02_check_detects_a_stall_towards_the_replica_only() {
    says_stalled(Direction::ToReplica).await;
}

/// An exporter that starts then has no memory of the pair either.
#[tokio::test]
async fn f02_an_exporter_started_during_a_stall_never_reports_streaming() {
    let (stage, line) = stage_with_line().await;
    let _writer = SteadyWriter::start(stage.master.addr(), None, LOAD);
    line.stall(Direction::Both);
    wait_until_quiet(&stage.replica, STALL_SECONDS).await;

    let exporter = Exporter::start(&configuration(&[stage.entry("orders")])).await;
    let is_stalled = |pair: &redis_cross_dc_exporter::report::PairReport| {
        assert_ne!(pair.state, PairState::Streaming, "{pair:?}");
        pair.state == PairState::Stalled
    };
    let seen = exporter
        .wait_for("orders", "the stall", LIMIT, is_stalled)
        .await;
    let lasts = seen.link_down_seconds.unwrap();
    assert!(lasts >= STALL_SECONDS as f64 - 1.0, "{seen:?}");

    line.heal().await.unwrap();
    exporter
        .wait_for("orders", "the end of the stall", LIMIT, |pair| {
            pair.state == PairState::Streaming && pair.lag_upper_seconds.is_some()
        })
        .await;
}

async fn is_ok(yaml: &str) {
    let started = Instant::now();
    let screen = check(yaml, &[]).await.ended_with(0).stdout;
    assert!(started.elapsed() < PATIENCE, "{screen}");
    let json = check(yaml, &["--output", "json"]).await.ended_with(0);
    let report: PairsReport = serde_json::from_str(&json.stdout).unwrap();
    for pair in &report.pairs {
        assert_eq!(pair.state, PairState::Streaming, "{pair:?}");
        assert!(pair.lag_upper_seconds.is_some(), "{pair:?}");
    }
}

#[tokio::test]
async fn f02_healthy_pairs_are_ok_idle_or_busy_or_in_a_chain() {
    let idle = Stage::set().await;
    let busy = Stage::set().await;
    let _writer = SteadyWriter::start(busy.master.addr(), None, LOAD);
    let top = Stage::set().await;
    let leaf = replica_of(top.replica.addr()).await;
    let of_chain = crate::stage::entry("leaf", ("dc2", top.replica.addr()), ("dc3", leaf.addr()));
    let yaml = configuration(&[
        idle.entry("idle"),
        busy.entry("busy"),
        top.entry("top"),
        of_chain,
    ]);
    is_ok(&yaml).await;
}

/// A master that PINGs once a minute leaves a healthy link idle for as long.
#[tokio::test]
async fn f02_an_idle_link_between_rare_pings_is_no_stall() {
    let master = RedisServer::builder()
        .config("repl-ping-replica-period 60")
        .start()
        .await
        .unwrap();
    let replica = replica_of(master.addr()).await;
    let stage = Stage { master, replica };
    wait_until_quiet(&stage.replica, STALL_SECONDS + 1).await;
    is_ok(&configuration(&[stage.entry("rare")])).await;
}
