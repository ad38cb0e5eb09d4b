//! Several replicas: chains, two behind one address, and a failover among three.

use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter};

use super::{LOAD, configuration, replicaof};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::story::{LIMIT, Story};

async fn replica_of(master: &RedisServer, lines: &[&str]) -> RedisServer {
    let builder = lines.iter().fold(
        RedisServer::builder().replicaof(master.addr()),
        |builder, line| builder.config(line),
    );
    let replica = builder.start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    replica
}

fn entry(name: &str, master: (&str, &RedisServer), replicas: &[(&str, &RedisServer)]) -> String {
    let server =
        |(dc, server): &(&str, &RedisServer)| format!("{{address: '{}', dc: {dc}}}", server.addr());
    let replicas: Vec<_> = replicas.iter().map(server).collect();
    format!(
        "{{name: {name}, master: {}, replicas: [{}]}}",
        server(&master),
        replicas.join(", ")
    )
}

#[tokio::test]
async fn the_third_server_is_measured_against_the_new_master() {
    let master = RedisServer::builder().start().await.unwrap();
    let (near, far) = (
        replica_of(&master, &[]).await,
        replica_of(&master, &[]).await,
    );
    let yaml = configuration(&[entry(
        "orders",
        ("dc1", &master),
        &[("dc1", &near), ("dc2", &far)],
    )]);
    let exporter = Exporter::start(&yaml).await;
    let story = Story::of(
        &exporter,
        "orders",
        &[("m", master.addr()), ("n", near.addr()), ("f", far.addr())],
    );
    story
        .is("dc1>dc1 n streaming, dc1>dc2 f streaming, 0")
        .await;
    let writer = SteadyWriter::start(master.addr(), None, LOAD);
    let counted = |least| {
        let (exporter, far) = (&exporter, far.addr().to_string());
        move || {
            let far = far.clone();
            async move {
                let labels = [("pair", "orders"), ("replica", &*far)];
                let count = Scrape::of(exporter)
                    .await
                    .value("redis_cross_dc_replication_bytes_total", &labels);
                count
                    .filter(|count| *count > least)
                    .ok_or(format!("{count:?}"))
            }
        }
    };
    let before = redis_cross_dc_exporter::lab::eventually("bytes", LIMIT, counted(10_000.0))
        .await
        .unwrap();
    drop(writer);
    replicaof(&near, None).await;
    for follower in [&master, &far] {
        replicaof(follower, Some(near.addr())).await;
    }
    story
        .is("dc1>dc1 m streaming, dc1>dc2 f streaming, 1, Failover warning")
        .await;
    let _writer = SteadyWriter::start(near.addr(), None, LOAD);
    redis_cross_dc_exporter::lab::eventually("the count to go on", LIMIT, counted(before))
        .await
        .unwrap();
    story.paged_nobody();
}

#[tokio::test]
async fn a_promoted_middle_of_a_chain_keeps_its_leaf() {
    let top = RedisServer::builder().start().await.unwrap();
    let middle = replica_of(&top, &[]).await;
    let leaf = replica_of(&middle, &[]).await;
    let pairs = [
        entry("upper", ("dc1", &top), &[("dc2", &middle)]),
        entry("lower", ("dc2", &middle), &[("dc3", &leaf)]),
    ];
    let exporter = Exporter::start(&configuration(&pairs)).await;
    let servers = [("t", top.addr()), ("m", middle.addr()), ("l", leaf.addr())];
    let (upper, lower) = (
        Story::of(&exporter, "upper", &servers),
        Story::of(&exporter, "lower", &servers),
    );
    upper.is("dc1>dc2 m streaming, 0").await;
    lower.is("dc2>dc3 l streaming, 0").await;
    replicaof(&middle, None).await;
    replicaof(&top, Some(middle.addr())).await;
    upper.is("dc2>dc1 t streaming, 1, Failover warning").await;
    lower.is("dc2>dc3 l streaming, 0").await;
    let _writer = SteadyWriter::start(middle.addr(), None, LOAD);
    exporter
        .wait_for("lower", "bytes", LIMIT, |pair| {
            pair.applied_bytes_total > Some(10_000)
        })
        .await;
}

/// Their master knows both by one address and port, as behind a NAT: which line is whose nobody can
/// say, and both are measured by what they say themselves.
#[tokio::test]
async fn two_replicas_behind_one_address_are_distinguished_by_their_answers() {
    let master = RedisServer::builder().start().await.unwrap();
    let announced = [
        "replica-announce-ip 127.0.0.9",
        "replica-announce-port 6379",
    ];
    let (one, mut other) = (
        replica_of(&master, &announced).await,
        replica_of(&master, &announced).await,
    );
    let exporter = Exporter::start(&configuration(&[entry(
        "orders",
        ("dc1", &master),
        &[("dc2", &one), ("dc2", &other)],
    )]))
    .await;
    let (one_addr, other_addr) = (one.addr().clone(), other.addr().clone());
    let story = Story::of(&exporter, "orders", &[("a", &one_addr), ("b", &other_addr)]);
    let _writer = SteadyWriter::start(master.addr(), None, LOAD);
    story
        .is("dc1>dc2 a streaming, dc1>dc2 b streaming, 0")
        .await;
    other.stop().unwrap();
    story
        .is("dc1>dc2 a streaming, dc1>dc2 b replica_unreachable, 0")
        .await;
    let report = exporter.pairs().await;
    let lag = |addr: &str| {
        report
            .pairs
            .iter()
            .find(|pair| pair.replica == addr)
            .unwrap()
            .lag_seconds
    };
    assert!(
        lag(&one_addr.to_string()).is_some_and(|lag| lag < 1.0),
        "{report:?}"
    );
    other.cont().unwrap();
    story
        .is("dc1>dc2 a streaming, dc1>dc2 b streaming, 0")
        .await;
}
