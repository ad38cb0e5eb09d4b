//! The way of those who use Prometheus: it scrapes the exporter, dashboards ask it, rules alert,
//! Alertmanager tells.

mod alertmanager;
mod dashboards;
pub(crate) mod servers;

use crate::hostile::server::{HostileServer, Misbehaviour};
use redis_cross_dc_exporter::lab::{Answer, SteadyWriter, WanConditions, WanProxy, WriteLoad};
use redis_cross_dc_exporter::lab::{Direction, RedisServer, Response, eventually};

use crate::cluster::{DC1, DC2, Site};
use crate::command;
use crate::exporter::Exporter;
use crate::failover::replicaof;
use crate::receiver::Receiver;
use crate::sentinel::wait_until_it_knows;
use crate::stage::{LIMIT, Stage, entry};
use servers::{Alertmanager, Job, Prometheus};

/// A master and a replica with a line between them that can be cut.
struct Line {
    master: RedisServer,
    replica: RedisServer,
    proxy: WanProxy,
    _writer: SteadyWriter,
}

impl Line {
    async fn draw() -> Self {
        let master = RedisServer::builder().start().await.unwrap();
        let proxy = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let replica = RedisServer::builder()
            .replicaof(proxy.addr())
            .start()
            .await
            .unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let writer = SteadyWriter::start(
            master.addr(),
            None,
            WriteLoad {
                per_second: 50,
                value_bytes: 100,
            },
        );
        Self {
            master,
            replica,
            proxy,
            _writer: writer,
        }
    }

    fn entry(&self, name: &str) -> String {
        entry(
            name,
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        )
    }
}

/// The rules that the program prints for this exporter's configuration, evaluated each second.
async fn rules(exporter: &Exporter) -> String {
    let folder = exporter.config().parent().unwrap().to_owned();
    let printed = command::run(&folder, &["rules", "--config.file", "config.yml"])
        .await
        .ended_with(0)
        .stdout;
    let quick = printed
        .replace("interval: 15s", "interval: 1s")
        .replace("keep_firing_for: 2m", "keep_firing_for: 2s");
    assert_ne!(quick, printed);
    quick
}

pub(crate) fn address(exporter: &Exporter) -> &str {
    exporter.url().trim_start_matches("http://")
}

/// A fleet in which everything that a panel shows is there: a healthy pair, one whose link is cut,
/// one with two masters, a server that refuses, a Sentinel, a cluster, a planned switch, and a
/// receiver that fails.
#[tokio::test]
async fn every_query_of_the_dashboards_has_data_where_there_is_some() {
    let healthy = Stage::set().await;
    let cut = Line::draw().await;
    let split = Stage::set().await;
    let gone = Stage::set().await;
    let turned = Stage::set().await;
    let mut lost = Stage::set().await;
    let first = FirstSync::begin().await;
    let watched = Stage::set().await;
    let sentinel = RedisServer::builder()
        .sentinel()
        .watches("watched", watched.master.addr(), 1)
        .start()
        .await
        .unwrap();
    // It asks for replicas every ten seconds.
    wait_until_it_knows(&sentinel, "watched", 1, 0).await;
    let catalog = Site::set(
        &[(DC1, &[0..=8191]), (DC2, &[8192..=16383])],
        &[DC2, DC1],
        |builder| builder,
    )
    .await;
    let loading = HostileServer::start(Misbehaviour::Hang).await.unwrap();
    let sites = [healthy.master.addr(), watched.master.addr()];
    let receiver = Receiver::start([]).await.unwrap();
    receiver.always(Answer::Respond(Response::new(500)));
    let pairs = [
        healthy.entry("healthy"),
        cut.entry("cut"),
        split.entry("split"),
        gone.entry("gone"),
        turned.entry("turned"),
        lost.entry("lost"),
        first.entry("first"),
        entry(
            "hung",
            ("dc1", healthy.master.addr()),
            ("dc2", loading.addr()),
        ),
    ];
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms, heartbeat: {{enabled: true}}, output_buffers: true}}\nmetrics: {{raw_signals: true}}\nalerts: {{link_down: {{warning: 1s}}}}\npairs: [{}]\n\
         sentinels: [{{name: watched, master_name: watched, addresses: ['{}']}}]\n\
         clusters: [{{name: catalog, addresses: ['{}']}}]\n\
         active_active: [{{name: profiles, sites: [{{address: '{}', dc: dc1}}, {{address: '{}', dc: dc2}}], \
         sync_queue: q, keys: ['u:*'], counters: ['c:*'], monitor: true, probe: true}}]\n\
         notify: {{group_wait: 0s, receivers: [{{name: hook, webhook: {{url: '{}'}}}}]}}\n",
        pairs.join(", "),
        sentinel.addr(),
        catalog.masters[0].addr(),
        sites[0],
        sites[1],
        receiver.url("/hook")
    );
    let exporter = Exporter::start(&yaml).await;
    for name in [
        "healthy",
        "cut",
        "split",
        "gone",
        "turned",
        "lost",
        "watched",
        "catalog/slot-0",
    ] {
        exporter
            .wait_for(name, "the pair to be up", LIMIT, |pair| pair.link_up)
            .await;
    }
    let text = rules(&exporter).await;
    let prometheus = Prometheus::start(Job {
        target: address(&exporter),
        rules: &text,
        alertmanager: None,
    })
    .await;
    cut.proxy.cut().await;
    replicaof(&split.replica, None).await;
    // A full sync while it is watched: the replica forgets where it stood.
    replicaof(&gone.replica, None).await;
    replicaof(&gone.replica, Some(gone.master.addr())).await;
    // A planned switch.
    replicaof(&turned.replica, None).await;
    replicaof(&turned.master, Some(turned.replica.addr())).await;
    lost.master.kill();
    let queries = dashboards::queries();
    for query in queries.iter().filter(|query| !query.may_be_empty()) {
        // Each becomes true sooner or later in this fleet; "Full syncs" needs one between two
        // scrapes.
        prometheus
            .wait_for(&query.expr, &format!("data of {}", query.place), LIMIT * 2)
            .await;
    }
    let fleet = dashboards::answers(&prometheus).await;
    drop(exporter);
    let gone = "absent(redis_cross_dc_exporter_build_info)";
    prometheus
        .wait_for(gone, "the exporter to be gone", LIMIT)
        .await;
    let nothing = dashboards::answers(&prometheus).await;
    let answers = serde_json::json!({"fleet": fleet, "no exporter": nothing});
    std::fs::write(dashboards::ANSWERS, answers.to_string()).unwrap();
}

/// A replica whose first full sync takes minutes.
struct FirstSync {
    master: RedisServer,
    replica: RedisServer,
    proxy: WanProxy,
}

impl FirstSync {
    async fn begin() -> Self {
        let master = RedisServer::builder()
            .allow_debug()
            .config("rdbcompression no")
            .start()
            .await
            .unwrap();
        master
            .command(&["DEBUG", "POPULATE", "3000", "key", "10000"])
            .await
            .unwrap();
        let slow = WanConditions {
            rate: Some(100_000),
            ..WanConditions::default()
        };
        let proxy = WanProxy::start(None, master.addr(), slow).await.unwrap();
        let replica = RedisServer::builder()
            .replicaof(proxy.addr())
            .start()
            .await
            .unwrap();
        Self {
            master,
            replica,
            proxy,
        }
    }

    fn entry(&self, name: &str) -> String {
        entry(
            name,
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        )
    }
}

/// What lets `RedisCrossDcLagUnknown` distinguish a first full sync that makes progress from one
/// that is stuck.
#[tokio::test]
async fn r5_the_progress_of_a_first_sync_is_exported_and_grows_old_when_it_is_stuck() {
    let first = FirstSync::begin().await;
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms}}\npairs: [{}]\n",
        first.entry("first")
    );
    let exporter = Exporter::start(&yaml).await;
    let age = || async {
        let text = exporter.get("/metrics").await;
        let mut lines = text.lines();
        assert!(text.contains("state=\"never_synced\"} 1"), "{text}");
        let line = lines.find(|line| line.starts_with("redis_cross_dc_sync_progress_age_seconds{"));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .ok_or_else(|| "no progress is exported".to_owned())
    };
    let goes_on = || async {
        let age = age().await?;
        (age < 2.0).then_some(()).ok_or(format!("{age} s"))
    };
    eventually("the first sync makes progress", LIMIT, goes_on)
        .await
        .unwrap();
    first.proxy.stall(Direction::Both);
    let is_stuck = || async {
        let age = age().await?;
        (age > 4.0).then_some(()).ok_or(format!("{age} s"))
    };
    eventually("the stuck sync grows old", LIMIT, is_stuck)
        .await
        .unwrap();
}

/// From the stall of a link to the page of a person, and back.
#[tokio::test]
async fn a_stalled_link_reaches_alertmanagers_receiver_and_its_end_too() {
    let line = Line::draw().await;
    let receiver = Receiver::start([]).await.unwrap();
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms}}\nalerts: {{lag_seconds: {{warning: 2s, critical: 5s, for: 0s}}}}\npairs: [{}]\n",
        line.entry("orders")
    );
    let exporter = Exporter::start(&yaml).await;
    exporter
        .wait_for("orders", "the pair to be up", LIMIT, |pair| pair.link_up)
        .await;
    let alertmanager = Alertmanager::start(&receiver.url("/page")).await;
    let text = rules(&exporter).await;
    let job = Job {
        target: address(&exporter),
        rules: &text,
        alertmanager: Some(&alertmanager.address),
    };
    let prometheus = Prometheus::start(job).await;
    assert!(
        prometheus
            .query("ALERTS{alertname=\"RedisCrossDcLagHigh\"}")
            .await
            .is_empty()
    );

    line.proxy.stall(Direction::Both);
    let about = |status: &'static str| {
        move |received: &redis_cross_dc_exporter::lab::Received| {
            let body = received.json().unwrap();
            body["commonLabels"]["alertname"] == "RedisCrossDcLagHigh" && body["status"] == status
        }
    };
    let told = receiver
        .wait_for("the lag alert", LIMIT, about("firing"))
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(told["commonLabels"]["pair"], "orders");
    assert_eq!(
        told["commonLabels"]["replica"],
        line.replica.addr().to_string()
    );
    let runbook = told["alerts"][0]["annotations"]["runbook_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = runbook.trim_start_matches("http://localhost:10121");
    assert!(
        exporter
            .get(path)
            .await
            .contains("<h1>RedisCrossDcLagHigh</h1>"),
        "{runbook}"
    );
    line.proxy.heal().await.unwrap();
    receiver
        .wait_for("the end of the lag alert", LIMIT * 2, about("resolved"))
        .await
        .unwrap();
}
