//! F4: a master that came back empty wiped its replica, and all was green.

use redis_cross_dc_exporter::config::Severity;
use redis_cross_dc_exporter::lab::{
    Received, RedisServer, Reply, WanConditions, WanProxy, eventually,
};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{AlertReport, ListedState, PairReport};

use crate::command::run;
use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, entry};

const PAIR: &str = "orders";
const ALERT: &str = "RedisCrossDcHistoryLost";
const METRIC: &str = "redis_cross_dc_history_lost";
const KEYS: i64 = 1000;

/// Rounds that a test need not wait for.
const QUICK: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
";

/// A master with a replica behind a link that can be cut, and who is notified.
struct Scene {
    master: RedisServer,
    wan: WanProxy,
    replica: RedisServer,
    receiver: Receiver,
}

impl Scene {
    async fn set() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(wan.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let scene = Self {
            master,
            wan,
            replica,
            receiver: Receiver::start([]).await.unwrap(),
        };
        scene.write("a").await;
        scene
    }

    /// Writes some keys, and waits until the replica has them.
    async fn write(&self, prefix: &str) {
        let script = format!("for i=1,{KEYS} do redis.call('SET', '{prefix}'..i, i) end");
        self.master.command(&["EVAL", &script, "0"]).await.unwrap();
        let keys = keys(&self.master).await;
        eventually("the replica to have the keys", LIMIT, || async {
            (self::keys(&self.replica).await == keys).then_some(())
        })
        .await
        .unwrap();
    }

    fn config(&self) -> String {
        let entry = entry(
            PAIR,
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        );
        let hook = format!(
            "{{name: hook, match: {{alertname: {ALERT}}}, webhook: {{url: '{}'}}}}",
            self.receiver.url("/hook")
        );
        format!(
            "{QUICK}pairs: [{entry}]\nnotify: {{group_wait: 0s, group_interval: 100ms, receivers: [{hook}]}}\n"
        )
    }

    /// Kills the master, and waits until it is missed.
    async fn lose_master(&mut self, exporter: &Exporter) {
        self.master.kill();
        is_in(exporter, PairState::MasterUnreachable).await;
    }

    /// What the receiver is sent about the loss.
    async fn notified(&self) -> Received {
        let fits = |received: &Received| {
            received.json().is_ok_and(|body| {
                let severity = &body["alerts"][0]["labels"]["severity"];
                body["status"] == "firing" && severity == "critical"
            })
        };
        self.receiver
            .wait_for("the loss", LIMIT, fits)
            .await
            .unwrap()
    }
}

async fn keys(server: &RedisServer) -> i64 {
    let size = server.command(&["DBSIZE"]).await.unwrap();
    let Reply::Integer(keys) = size else {
        panic!("DBSIZE: {size:?}");
    };
    keys
}

async fn is_in(exporter: &Exporter, state: PairState) -> PairReport {
    let what = format!("the state {state}");
    exporter
        .wait_for(PAIR, &what, LIMIT, |pair| pair.state == state)
        .await
}

/// Waits until the exporter streams and has placed the replica.
async fn streams(exporter: &Exporter) -> PairReport {
    exporter
        .wait_for(PAIR, "the pair to stream", LIMIT, |pair| {
            pair.state == PairState::Streaming
                && pair.last_known.is_some()
                && pair.lag_bytes == Some(0)
        })
        .await
}

async fn loss(exporter: &Exporter) -> Option<AlertReport> {
    let mut alerts = exporter.alerts().await.alerts;
    alerts.retain(|alert| alert.alertname == ALERT);
    alerts.pop()
}

/// Waits until the alert fires, with these words in its reason.
async fn lost(exporter: &Exporter, words: &[&str]) -> AlertReport {
    let probe = || async {
        let alert = loss(exporter).await.ok_or("no alert".to_owned())?;
        let reason = alert.reason.clone().unwrap_or_default();
        let says = words.iter().all(|word| reason.contains(word));
        if says && alert.state == ListedState::Firing {
            Ok(alert)
        } else {
            Err(format!("{alert:?}"))
        }
    };
    eventually(&format!("the loss with {words:?}"), LIMIT, probe)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()))
}

/// No loss was notified, by the log.
fn says_nothing(exporter: &Exporter) {
    let log = exporter.log();
    let line = log.lines().find(|line| line.contains(ALERT));
    assert_eq!(line, None);
}

#[tokio::test]
async fn f04_a_master_that_returns_empty_is_critical_at_once() {
    let mut scene = Scene::set().await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene.lose_master(&exporter).await;
    scene.master.restart().await.unwrap();

    let notified = scene.notified().await;
    assert!(notified.text().contains(PAIR), "{}", notified.text());
    let alert = lost(
        &exporter,
        &[
            "without its data (0 of 1000 keys)",
            "has replaced its data with what the master has",
        ],
    )
    .await;
    assert_eq!(alert.severity, Severity::Critical);
    assert_eq!(keys(&scene.replica).await, 0, "it was wiped");

    let pair = is_in(&exporter, PairState::Streaming).await;
    assert!(
        pair.reason.contains("without its data"),
        "streaming is not all that is to be said: {}",
        pair.reason
    );
    let known = pair.last_known.unwrap();
    assert!(
        known.lag_upper_seconds < 5.0,
        "the outage is no lag: {known:?}"
    );
    let labels = [("pair", PAIR)];
    let metric = Scrape::of(&exporter).await.value(METRIC, &labels);
    assert_eq!(metric, Some(1.0));
    let check = run(
        exporter.folder().path(),
        &["check", "--exporter.url", exporter.url()],
    )
    .await;
    assert_eq!(check.code, Some(2), "{}{}", check.stdout, check.stderr);
}

#[tokio::test]
async fn f04_a_master_that_returns_while_the_exporter_is_away_is_noticed() {
    let mut scene = Scene::set().await;
    let config = scene.config();
    let mut exporter = Exporter::start(&config).await;
    streams(&exporter).await;
    scene.lose_master(&exporter).await;
    exporter.signal("TERM");
    assert!(exporter.ended(LIMIT).await.success());
    scene.master.restart().await.unwrap();
    scene.replica.wait_until_in_sync(LIMIT).await.unwrap();

    let mut exporter = Exporter::start_in(exporter.folder(), &config).await;
    lost(&exporter, &["without its data (0 keys)", "has replaced"]).await;
    scene.notified().await;
    let told = scene.receiver.requests().len();

    exporter.signal("TERM");
    assert!(exporter.ended(LIMIT).await.success());
    let exporter = Exporter::start_in(exporter.folder(), &config).await;
    lost(&exporter, &["without its data (0 keys)", "has replaced"]).await;
    is_in(&exporter, PairState::Streaming).await;
    assert_eq!(
        scene.receiver.requests().len(),
        told,
        "a restart is no news"
    );
}

#[tokio::test]
async fn f04_the_replicas_copy_can_be_kept() {
    let mut scene = Scene::set().await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene.wan.cut().await;
    scene.lose_master(&exporter).await;
    scene.master.restart().await.unwrap();
    scene.notified().await;
    lost(&exporter, &["the replica still has everything"]).await;

    scene
        .replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    lost(&exporter, &["was made a master and has everything"]).await;
    assert_eq!(keys(&scene.replica).await, KEYS);
}

#[tokio::test]
async fn f04_a_master_that_returns_with_an_older_file_shows_how_much_is_missing() {
    let mut scene = Scene::set().await;
    scene.master.command(&["SAVE"]).await.unwrap();
    scene.write("b").await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene.wan.cut().await;
    scene.lose_master(&exporter).await;
    scene.master.restart().await.unwrap();

    let words = [
        "with an older state (1000 of 2000 keys)",
        "KiB of its stream are missing",
        "the replica still has everything",
    ];
    lost(&exporter, &words).await;
}

#[tokio::test]
async fn f04_a_restart_that_keeps_the_history_is_no_loss() {
    let mut scene = Scene::set().await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene
        .master
        .command(&["CONFIG", "SET", "save", "3600 1"])
        .await
        .unwrap();
    scene.master.shutdown().await.unwrap();
    is_in(&exporter, PairState::MasterUnreachable).await;
    scene.master.restart().await.unwrap();
    streams(&exporter).await;
    assert_eq!(keys(&scene.master).await, KEYS, "it has its data");
    scene.write("b").await;
    streams(&exporter).await;
    says_nothing(&exporter);
}

#[tokio::test]
async fn f04_a_failover_is_no_loss() {
    let mut scene = Scene::set().await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene.lose_master(&exporter).await;
    scene
        .replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    exporter
        .wait_for(PAIR, "the pair to turn", LIMIT, |pair| {
            pair.source_dc == "dc2"
        })
        .await;
    scene.master.restart().await.unwrap();
    let (host, port) = scene.replica.addr().tcp().unwrap();
    scene
        .master
        .command(&["REPLICAOF", host, &port.to_string()])
        .await
        .unwrap();
    streams(&exporter).await;
    says_nothing(&exporter);
}

/// A fleet of clients does not wait for the exporter: by the first poll the empty master has keys
/// again.
#[tokio::test]
async fn f04_an_empty_master_that_is_written_to_before_the_first_poll_has_lost_everything() {
    let mut scene = Scene::set().await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene.wan.cut().await;
    scene.lose_master(&exporter).await;
    exporter.signal("STOP");
    scene.master.restart().await.unwrap();
    let script = "for i=1,400 do redis.call('SET', 'new'..i, i) end";
    scene.master.command(&["EVAL", script, "0"]).await.unwrap();
    exporter.signal("CONT");

    let words = [
        "the master came back empty (400 of 1000 keys)",
        "everything that it had before is missing",
        "the replica still has everything",
    ];
    lost(&exporter, &words).await;
    let text = scene.notified().await.text();
    assert!(
        text.contains("(400 new keys, 1000 before): it lacks everything written before "),
        "{text}"
    );
}

/// No counter shows what an append-only file brought back, so total loss is not claimed.
#[tokio::test]
async fn f04_a_master_that_loads_an_append_only_file_did_not_come_back_empty() {
    let mut scene = Scene::set().await;
    for (key, value) in [("appendonly", "yes"), ("appendfsync", "always")] {
        let set = ["CONFIG", "SET", key, value];
        scene.master.command(&set).await.unwrap();
    }
    scene.master.command(&["CONFIG", "REWRITE"]).await.unwrap();
    // A restart before the first file is whole would find none.
    let written = || async {
        for field in ["aof_rewrite_in_progress", "aof_rewrite_scheduled"] {
            let value = scene.master.info_field("persistence", field).await;
            let value = value.map_err(|error| error.to_string())?;
            if value.as_deref() != Some("0") {
                return Err(format!("{field}: {value:?}"));
            }
        }
        Ok(())
    };
    eventually("the append-only file", LIMIT, written)
        .await
        .unwrap();
    scene.write("b").await;
    let exporter = Exporter::start(&scene.config()).await;
    streams(&exporter).await;
    scene.wan.cut().await;
    scene.lose_master(&exporter).await;
    scene.master.restart().await.unwrap();

    let words = ["with a new replication history (2000 of 2000 keys)"];
    lost(&exporter, &words).await;
}
