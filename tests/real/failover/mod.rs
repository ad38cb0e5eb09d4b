//! Failovers without Sentinel: pairs that the configuration names, and people who promote
//! replicas.

mod replicas;

use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WriteLoad, eventually};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::report::PairsReport;
use tokio::net::TcpStream;

use crate::command::{folder_with, no_exporter, run};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{Stage, entry};
use crate::story::{LIMIT, Story};

const LOAD: WriteLoad = WriteLoad {
    per_second: 200,
    value_bytes: 100,
};

/// Quick polls, and a split brain that is critical after some seconds.
const SECTIONS: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
alerts: {diverged: {critical: 5s}, link_down: {warning: 5s}, unknown: {warning: 60s}}
";

fn configuration(entries: &[String]) -> String {
    format!("{SECTIONS}pairs: [{}]\n", entries.join(", "))
}

/// `REPLICAOF`, and `NO ONE` where there is no master.
pub(crate) async fn replicaof(server: &RedisServer, master: Option<&ServerAddr>) {
    let port = master.map_or("ONE".to_owned(), |master| {
        master.to_string().rsplit_once(':').unwrap().1.to_owned()
    });
    let host = master.and_then(ServerAddr::host).unwrap_or("NO");
    server.command(&["REPLICAOF", host, &port]).await.unwrap();
}

async fn offset(server: &RedisServer) -> u64 {
    server
        .info_field("replication", "master_repl_offset")
        .await
        .unwrap()
        .unwrap()
        .parse()
        .unwrap()
}

/// The last offset that a promoted replica shares with its old master.
async fn shared_offset(promoted: &RedisServer) -> u64 {
    let first_own = promoted
        .info_field("replication", "second_repl_offset")
        .await
        .unwrap()
        .unwrap();
    first_own.parse::<u64>().unwrap() - 1
}

async fn exporter_of(stage: &Stage) -> Exporter {
    let exporter = Exporter::start(&configuration(&[stage.entry("orders")])).await;
    exporter
        .wait_for("orders", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    exporter
}

/// Starts the program again, which has ended.
async fn start_again(exporter: &mut Exporter) {
    exporter.relaunch();
    let listens = || async {
        TcpStream::connect(exporter.url().trim_start_matches("http://"))
            .await
            .is_ok()
    };
    eventually("the program to listen", LIMIT, listens)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_planned_switch_turns_the_pair_and_nothing_is_lost() {
    let stage = Stage::set().await;
    let exporter = exporter_of(&stage).await;
    let story = Story::of(
        &exporter,
        "orders",
        &[("m", stage.master.addr()), ("r", stage.replica.addr())],
    );
    story.is("dc1>dc2 r streaming, 0").await;
    let connections = story.connections().await;
    replicaof(&stage.replica, None).await;
    replicaof(&stage.master, Some(stage.replica.addr())).await;
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    let failover = story
        .failover("what was lost", |failover| failover.lost_bytes.is_some())
        .await;
    assert_eq!(
        (
            failover.lost_bytes,
            failover.from_dc.as_str(),
            failover.to_dc.as_str()
        ),
        (Some(0), "dc1", "dc2")
    );
    assert!(
        failover
            .reason
            .ends_with("nothing of the old master's stream is lost"),
        "{}",
        failover.reason
    );
    assert_eq!(
        Scrape::of(&exporter)
            .await
            .value("redis_cross_dc_failover_lost_bytes", &[("pair", "orders")]),
        Some(0.0)
    );
    // And back.
    replicaof(&stage.master, None).await;
    replicaof(&stage.replica, Some(stage.master.addr())).await;
    story.is("dc1>dc2 r streaming, 2, Failover warning").await;
    assert!(
        story.connections().await <= connections,
        "both servers answered on their connections all the time"
    );
    story.paged_nobody();
}

#[tokio::test]
async fn an_exporter_started_after_a_switch_learns_the_direction_and_reports_no_failover() {
    let stage = Stage::set().await;
    replicaof(&stage.replica, None).await;
    replicaof(&stage.master, Some(stage.replica.addr())).await;
    stage.master.wait_until_in_sync(LIMIT).await.unwrap();
    let mut exporter = Exporter::start(&configuration(&[stage.entry("orders")])).await;
    let servers = [("m", stage.master.addr()), ("r", stage.replica.addr())];
    Story::of(&exporter, "orders", &servers)
        .is("dc2>dc1 m streaming, 0")
        .await;
    // What it learned outlives it, although the new replica is dead when it starts again.
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    let mut stage = stage;
    let old_master = stage.master.addr().clone();
    stage.master.kill();
    start_again(&mut exporter).await;
    let servers = [("m", &old_master), ("r", stage.replica.addr())];
    Story::of(&exporter, "orders", &servers)
        .is("dc2>dc1 m replica_unreachable, 0")
        .await;
}

#[tokio::test]
async fn after_a_promotion_the_loss_is_measured_when_the_old_master_returns() {
    let mut stage = Stage::set().await;
    let exporter = exporter_of(&stage).await;
    let (m, r) = (stage.master.addr().clone(), stage.replica.addr().clone());
    let story = Story::of(&exporter, "orders", &[("m", &m), ("r", &r)]);
    // It is stopped in the middle of its work: when it goes on, it has what it had.
    let writer = SteadyWriter::start(&m, None, LOAD);
    exporter
        .wait_for("orders", "writes", LIMIT, |pair| {
            pair.applied_bytes_total > Some(10_000)
        })
        .await;
    stage.master.stop().unwrap();
    story.is("dc1>dc2 r master_unreachable, 0").await;
    replicaof(&stage.replica, None).await;
    story
        .is("dc2>dc1 m replica_unreachable, 1, Failover warning")
        .await;
    let at_first = story.failover("a failover", |_| true).await;
    assert_eq!(at_first.lost_bytes, None, "nobody can say yet");
    assert!(at_first.last_known.is_some(), "{at_first:?}");
    stage.master.cont().unwrap();
    // It reports to be a master, and keeps writing what the other one does not have.
    story
        .is("dc2>dc1 m diverged, 1, Diverged warning, Failover warning")
        .await;
    writer.stop().await;
    let lost = offset(&stage.master).await - shared_offset(&stage.replica).await;
    story
        .failover("exactly what is lost", |failover| {
            failover.lost_bytes == Some(lost)
        })
        .await;
    let pair = exporter
        .wait_for("orders", "it, too", LIMIT, |pair| {
            pair.diverged_bytes == Some(lost)
        })
        .await;
    assert_eq!(pair.diverged_replica_bytes, Some(lost));
    assert!(
        pair.reason.contains("are only on the pair's master"),
        "{}",
        pair.reason
    );
    replicaof(&stage.master, Some(&r)).await;
    story.is("dc2>dc1 m streaming, 1, Failover warning").await;
    assert_eq!(
        story.failover("the loss", |_| true).await.lost_bytes,
        Some(lost),
        "it does not change any more"
    );
    assert_eq!(
        story.changes("RedisCrossDcFailover", "fired"),
        1,
        "the story is told once"
    );
}

#[tokio::test]
async fn the_loss_is_still_measured_if_the_exporter_restarts_before_the_old_master_returns() {
    let mut stage = Stage::set().await;
    let mut exporter = exporter_of(&stage).await;
    let (m, r) = (stage.master.addr().clone(), stage.replica.addr().clone());
    let servers = [("m", &m), ("r", &r)];
    let writer = SteadyWriter::start(&m, None, LOAD);
    exporter
        .wait_for("orders", "writes", LIMIT, |pair| {
            pair.applied_bytes_total > Some(10_000)
        })
        .await;
    stage.master.stop().unwrap();
    Story::of(&exporter, "orders", &servers)
        .is("dc1>dc2 r master_unreachable, 0")
        .await;
    replicaof(&stage.replica, None).await;
    Story::of(&exporter, "orders", &servers)
        .is("dc2>dc1 m replica_unreachable, 1, Failover warning")
        .await;
    let before = Story::of(&exporter, "orders", &servers)
        .failover("a failover", |_| true)
        .await;
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    start_again(&mut exporter).await;
    let story = Story::of(&exporter, "orders", &servers);
    story
        .is("dc2>dc1 m replica_unreachable, 1, Failover warning")
        .await;
    let after = story.failover("the same failover", |_| true).await;
    assert_eq!(
        (&after.from, &after.to, after.lost_bytes),
        (&before.from, &before.to, None)
    );
    assert!(
        (after.timestamp - before.timestamp).abs() < 0.001,
        "{before:?} {after:?}"
    );
    stage.master.cont().unwrap();
    story
        .is("dc2>dc1 m diverged, 1, Diverged warning, Failover warning")
        .await;
    writer.stop().await;
    let lost = offset(&stage.master).await - shared_offset(&stage.replica).await;
    story
        .failover("exactly what is lost", |failover| {
            failover.lost_bytes == Some(lost)
        })
        .await;
}

#[tokio::test]
async fn two_masters_page_after_the_threshold_and_the_one_that_is_demoted_decides() {
    let stage = Stage::set().await;
    let exporter = exporter_of(&stage).await;
    let (m, r) = (stage.master.addr(), stage.replica.addr());
    let story = Story::of(&exporter, "orders", &[("m", m), ("r", r)]);
    for (gives_way, follows, end) in [
        (&stage.replica, m, "dc1>dc2 r streaming, 0"),
        (&stage.master, r, "dc2>dc1 m streaming, 1, Failover warning"),
    ] {
        replicaof(&stage.replica, None).await;
        let writers = [m, r].map(|server| SteadyWriter::start(server, None, LOAD));
        story.is("dc1>dc2 r diverged, 0, Diverged warning").await;
        story.is("dc1>dc2 r diverged, 0, Diverged critical").await;
        for writer in writers {
            writer.stop().await;
        }
        let shared = shared_offset(&stage.replica).await;
        let alone = [offset(&stage.master).await, offset(&stage.replica).await]
            .map(|offset| Some(offset - shared));
        let seen = |pair: &redis_cross_dc_exporter::report::PairReport| {
            [pair.diverged_master_bytes, pair.diverged_replica_bytes] == alone
                && pair.diverged_bytes == alone[0]
        };
        exporter
            .wait_for("orders", "what each has alone", LIMIT, seen)
            .await;
        let scrape = Scrape::of(&exporter).await;
        for (side, bytes) in ["master", "replica"].into_iter().zip(alone) {
            #[allow(clippy::cast_precision_loss, reason = "some kilobytes")]
            let bytes = bytes.map(|bytes| bytes as f64);
            assert_eq!(
                scrape.value(
                    "redis_cross_dc_diverged_side_bytes",
                    &[("pair", "orders"), ("side", side)]
                ),
                bytes
            );
        }
        replicaof(gives_way, Some(follows)).await;
        story.is(end).await;
    }
    let over = exporter
        .alerts()
        .await
        .alerts
        .into_iter()
        .find(|alert| alert.alertname == "RedisCrossDcDiverged");
    assert_eq!(over.unwrap().resolve_reason.as_deref(), Some("failover"));
}

/// The master that it names is ignored: names of proxies and of NATs would all be wrong.
#[tokio::test]
async fn a_replica_of_an_unconfigured_master_is_recognized_by_its_history() {
    let (stage, stranger) = (Stage::set().await, Stage::set().await);
    let pairs = [
        stage.entry("orders"),
        entry(
            "others",
            ("dc1", stranger.master.addr()),
            ("dc2", stranger.replica.addr()),
        ),
    ];
    let exporter = Exporter::start(&configuration(&pairs)).await;
    exporter
        .wait_for("orders", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    let story = Story::of(
        &exporter,
        "orders",
        &[("m", stage.master.addr()), ("r", stage.replica.addr())],
    );
    replicaof(&stage.replica, Some(stranger.master.addr())).await;
    story.is("dc1>dc2 r wrong_master, 0").await;
    replicaof(&stage.replica, Some(stage.master.addr())).await;
    story.is("dc1>dc2 r streaming, 0").await;
}

#[tokio::test]
async fn check_without_an_exporter_learns_the_direction() {
    let stage = Stage::set().await;
    replicaof(&stage.replica, None).await;
    replicaof(&stage.master, Some(stage.replica.addr())).await;
    stage.master.wait_until_in_sync(LIMIT).await.unwrap();
    let folder = folder_with(&configuration(&[stage.entry("orders")]));
    let args = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &no_exporter(),
        "--output",
        "json",
    ];
    let outcome = run(folder.path(), &args).await;
    let report: PairsReport = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let pair = &report.pairs[0];
    assert_eq!(
        (pair.source_dc.as_str(), pair.replica.clone()),
        ("dc2", stage.master.addr().to_string())
    );
    assert!(pair.lag_seconds.is_some(), "{pair:?}");
}
