//! Heartbeats on real servers: what they need, what they send, and where nothing is sent.

use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder, Reply, eventually};
use redis_cross_dc_exporter::model::ServerAddr;

use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

/// What docs/install.md gives the user beyond what polls need.
const MORE_RULES: &str = "+publish +subscribe resetchannels &__redis_cross_dc_exporter:*";

const ARRIVED: &str = "redis_cross_dc_heartbeats_total";
const UP: &str = "redis_cross_dc_heartbeat_up";
const ERRORS: &str = "redis_cross_dc_heartbeat_errors_total";

fn configuration(login: &str, entries: &[String]) -> String {
    let entries = entries.join("\n- ");
    format!(
        "{login}poll: {{interval: 200ms, heartbeat: {{enabled: true, interval: 100ms}}}}\npairs:\n- {entries}\n"
    )
}

async fn pair_with_user(rules: &str) -> Stage {
    let server = || RedisServer::builder().user(&format!("monitor on >secret {rules}"));
    pair(server(), server()).await
}

async fn pair(master: RedisServerBuilder, replica: RedisServerBuilder) -> Stage {
    let master = master.start().await.unwrap();
    let replica = replica.replicaof(master.addr()).start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    Stage { master, replica }
}

/// Waits until the sum of the series called `name` with these labels is at least `least`.
async fn reaches(exporter: &Exporter, name: &str, labels: &[(&str, &str)], least: f64) {
    let probe = || async {
        let scrape = Scrape::of(exporter).await;
        let value = scrape.value(name, labels);
        if value.is_some_and(|value| value >= least) {
            Ok(())
        } else {
            Err(format!("{name} {labels:?}: {value:?}"))
        }
    };
    let what = format!("{name} of {least}");
    eventually(&what, LIMIT, probe)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

/// The commands that the user `monitor` has called, by INFO, as far as they are not among `known`.
async fn other_commands(server: &RedisServer, known: &[&str]) -> Vec<String> {
    let reply = server.command(&["INFO", "commandstats"]).await.unwrap();
    let text = reply.text().unwrap();
    let called = text
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':'));
    called
        .map(|(name, _)| name.to_owned())
        .filter(|name| !known.contains(&name.as_str()))
        .collect()
}

#[tokio::test]
async fn the_documented_user_is_enough_and_leaves_no_trace() {
    assert!(include_str!("../../docs/install.md").contains(&format!("\n{MORE_RULES}\n")));
    let stage = pair_with_user(&format!("-@all +info +client|setname {MORE_RULES}")).await;
    for server in [&stage.master, &stage.replica] {
        server.command(&["CONFIG", "RESETSTAT"]).await.unwrap();
    }
    let exporter = Exporter::start(&configuration(
        "redis: {username: monitor, password: secret}\n",
        &[stage.entry("orders")],
    ))
    .await;
    reaches(&exporter, ARRIVED, &[("pair", "orders")], 10.0).await;
    let scrape = Scrape::of(&exporter).await;
    assert_eq!(scrape.value(UP, &[("pair", "orders")]), Some(1.0));
    let delay = scrape.value(
        "redis_cross_dc_heartbeat_delay_seconds",
        &[("pair", "orders")],
    );
    assert!(
        delay.is_some_and(|delay| (0.0..1.0).contains(&delay)),
        "{delay:?}"
    );
    assert_eq!(scrape.value(ERRORS, &[]), None);
    // What the lab and the servers themselves call, and what the documentation says of the
    // exporter.
    let common = [
        "config|resetstat",
        "config",
        "auth",
        "client|setname",
        "client",
        "info",
        "replconf",
        "ping",
        "select",
    ];
    let master = [&common[..], &["publish", "psync"]].concat();
    assert_eq!(
        other_commands(&stage.master, &master).await,
        [] as [&str; 0]
    );
    let replica = [&common[..], &["publish", "subscribe"]].concat();
    assert_eq!(
        other_commands(&stage.replica, &replica).await,
        [] as [&str; 0]
    );
    for server in [&stage.master, &stage.replica] {
        assert_eq!(
            server.command(&["ACL", "LOG"]).await.unwrap(),
            Reply::Array(Vec::new())
        );
        assert_eq!(
            server.command(&["DBSIZE"]).await.unwrap(),
            Reply::Integer(0),
            "no key is written"
        );
    }
}

#[tokio::test]
async fn a_missing_permission_is_logged_once_and_polls_continue() {
    for (rules, server_is_master) in [
        (
            "-@all +info +client|setname +subscribe resetchannels &__redis_cross_dc_exporter:*",
            true,
        ),
        (
            "-@all +info +client|setname +publish resetchannels &__redis_cross_dc_exporter:*",
            false,
        ),
        (
            "-@all +info +client|setname +publish +subscribe resetchannels &other:*",
            true,
        ),
    ] {
        let stage = pair_with_user(rules).await;
        let login = "redis: {username: monitor, password: secret}\n";
        let exporter = Exporter::start(&configuration(login, &[stage.entry("orders")])).await;
        let server = if server_is_master {
            &stage.master
        } else {
            &stage.replica
        }
        .addr()
        .to_string();
        reaches(
            &exporter,
            ERRORS,
            &[("server", &server), ("reason", "denied")],
            1.0,
        )
        .await;
        exporter
            .wait_for("orders", "a lag all the same", LIMIT, |pair| {
                pair.lag_seconds.is_some()
            })
            .await;
        assert_eq!(
            Scrape::of(&exporter).await.value(UP, &[("pair", "orders")]),
            Some(0.0)
        );
        let log = exporter.log();
        let said: Vec<_> = log
            .lines()
            .filter(|line| line.contains("no heartbeats") && line.contains(&server))
            .collect();
        assert!(
            said.len() == 1 && said[0].contains("+publish +subscribe &__redis_cross_dc_exporter:*"),
            "{log}"
        );
    }
}

/// In a cluster a message does not travel through the stream.
#[tokio::test]
async fn a_cluster_node_gets_no_heartbeats() {
    let node = || RedisServer::builder().config("cluster-enabled yes");
    let (sent_to, heard, healthy) = (
        node().start().await.unwrap(),
        node().start().await.unwrap(),
        Stage::set().await,
    );
    let entries = [
        entry(
            "sent",
            ("dc1", sent_to.addr()),
            ("dc2", healthy.replica.addr()),
        ),
        entry(
            "heard",
            ("dc3", healthy.master.addr()),
            ("dc4", heard.addr()),
        ),
    ];
    let exporter = Exporter::start(&configuration("", &entries)).await;
    for node in [&sent_to, &heard] {
        reaches(
            &exporter,
            ERRORS,
            &[
                ("server", &node.addr().to_string()),
                ("reason", "cluster_mode"),
            ],
            1.0,
        )
        .await;
    }
    assert!(
        exporter.log().contains("is a node of a Redis Cluster"),
        "{}",
        exporter.log()
    );
    for (node, command) in [(&sent_to, "publish"), (&heard, "subscribe")] {
        assert_eq!(
            node.info_field("commandstats", &format!("cmdstat_{command}"))
                .await
                .unwrap(),
            None
        );
    }
    assert_eq!(Scrape::of(&exporter).await.value(ARRIVED, &[]), Some(0.0));
}

#[tokio::test]
async fn two_exporters_and_foreign_messages_do_not_disturb_each_other() {
    let stage = Stage::set().await;
    let yaml = configuration("", &[stage.entry("orders")]);
    let (one, two) = tokio::join!(Exporter::start(&yaml), Exporter::start(&yaml));
    for number in 0..20 {
        let channel = format!("__redis_cross_dc_exporter:{number}");
        stage
            .master
            .command(&["PUBLISH", &channel, "nonsense"])
            .await
            .unwrap();
    }
    for exporter in [&one, &two] {
        reaches(exporter, ARRIVED, &[("pair", "orders")], 10.0).await;
        let scrape = Scrape::of(exporter).await;
        assert_eq!(
            (scrape.value(UP, &[]), scrape.value(ERRORS, &[])),
            (Some(1.0), None),
            "{}",
            exporter.log()
        );
    }
}

/// Somebody who copies messages to the replica makes it look up to date when it is not: then
/// nothing is believed.
#[tokio::test]
async fn a_replica_that_receives_messages_another_way_proves_nothing() {
    let stage = Stage::set().await;
    let exporter = Exporter::start(&configuration("", &[stage.entry("orders")])).await;
    reaches(&exporter, ARRIVED, &[("pair", "orders")], 2.0).await;
    let channels = stage
        .replica
        .command(&["PUBSUB", "CHANNELS"])
        .await
        .unwrap();
    let Reply::Array(channels) = channels else {
        panic!("{channels:?}")
    };
    let channel = channels.first().and_then(Reply::text).unwrap();
    stage
        .replica
        .command(&["PUBLISH", &channel, "1"])
        .await
        .unwrap();
    let replica: &ServerAddr = stage.replica.addr();
    reaches(
        &exporter,
        ERRORS,
        &[("server", &replica.to_string()), ("reason", "repeated")],
        1.0,
    )
    .await;
    assert!(
        exporter.log().contains("received a heartbeat twice"),
        "{}",
        exporter.log()
    );
    // Made up: the connection is given up and made again.
    stage
        .replica
        .command(&["PUBLISH", &channel, "999999999"])
        .await
        .unwrap();
    reaches(
        &exporter,
        ERRORS,
        &[("server", &replica.to_string()), ("reason", "protocol")],
        1.0,
    )
    .await;
}
