//! The hostile servers, fake and real, all at once beside a healthy pair.

use redis_cross_dc_exporter::lab::{RedisServer, eventually, ports};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::report::PairReport;

use super::fault_cases::{Fault, FaultyServer};
use super::hostile_peers::{HostilePeer, each_is_named, one_of_each, print};
use super::window::{Comparison, DCS, HEALTHY};
use super::{MEMORY, configuration};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

/// How many times as long a scrape may take with some sixty times as many pairs.
const SCRAPE: f64 = 15.0;

/// The healthy pair's entry.
pub(super) fn healthy(stage: &Stage) -> String {
    entry(
        HEALTHY,
        (DCS[0], stage.master.addr()),
        (DCS[1], stage.replica.addr()),
    )
}

/// Gives `exporter` these pairs instead.
pub(super) fn reconfigure(exporter: &Exporter, pairs: &[String]) {
    std::fs::write(exporter.config(), configuration(pairs)).unwrap();
    exporter.signal("HUP");
}

/// Every peer as the master of a replica that nobody is.
fn as_masters(peers: &[HostilePeer]) -> Vec<String> {
    let nobody = || ServerAddr::new("127.0.0.1", ports::free().unwrap());
    let pair = |(index, peer): (usize, &HostilePeer)| {
        let replica = format!("{{address: '{}', dc: hostile}}", nobody());
        format!(
            "{{name: master-{index}, master: {}, replicas: [{replica}]}}",
            peer.entry()
        )
    };
    peers.iter().enumerate().map(pair).collect()
}

/// Every peer as a replica of a master that is well.
fn as_replicas(peers: &[HostilePeer], master: &RedisServer) -> Vec<String> {
    let pair = |(index, peer): (usize, &HostilePeer)| {
        let master = format!("{{address: '{}', dc: hostile}}", master.addr());
        format!(
            "{{name: replica-{index}, master: {master}, replicas: [{}]}}",
            peer.entry()
        )
    };
    peers.iter().enumerate().map(pair).collect()
}

/// Checks what is reported about the pairs called `prefix-N`: that peer N cannot be reached, unless
/// it answers.
async fn states_are(exporter: &Exporter, prefix: &str, peers: &[HostilePeer], state: &str) {
    let pairs = exporter.pairs().await.pairs;
    for (index, peer) in peers.iter().enumerate() {
        let pair = pairs
            .iter()
            .find(|pair| pair.pair == format!("{prefix}-{index}"))
            .expect("it is configured");
        assert_eq!(pair.lag_seconds, None, "{}: {pair:?}", peer.name);
        // One that refuses access answers: it is no silent server.
        let expected = match peer.reason {
            Some("auth" | "denied" | "tls" | "dns") => "unknown",
            _ => state,
        };
        assert_eq!(
            pair.state.label() == expected,
            peer.reason.is_some(),
            "{}: {pair:?}",
            peer.name
        );
    }
}

async fn troubled_pairs() -> Vec<FaultyServer> {
    let mut all = Vec::new();
    for trouble in Fault::ALL {
        all.push(FaultyServer::well(trouble).await);
    }
    all
}

#[tokio::test]
async fn hostile_servers_are_reported_and_disturb_no_other_server() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    let (stage, lonely) = (
        Stage::set().await,
        RedisServer::builder().start().await.unwrap(),
    );
    let exporter = Exporter::start(&configuration(&[healthy(&stage)])).await;
    let spared = Exporter::start(&configuration(&[healthy(&stage)])).await;
    let streams = |pair: &PairReport| pair.link_up && pair.lag_seconds.is_some();
    for exporter in [&exporter, &spared] {
        exporter
            .wait_for(HEALTHY, "it streams", LIMIT, streams)
            .await;
    }
    let scrape = async || Scrape::of(&exporter).await;
    let scrape_spared = async || Scrape::of(&spared).await;

    let (masters, replicas, mut faulty) = (
        one_of_each().await,
        one_of_each().await,
        troubled_pairs().await,
    );
    let pairs = [
        vec![healthy(&stage)],
        as_masters(&masters),
        as_replicas(&replicas, &lonely),
    ];
    let real = faulty.iter().map(FaultyServer::entry);
    reconfigure(
        &exporter,
        &pairs.into_iter().flatten().chain(real).collect::<Vec<_>>(),
    );
    for pair in &mut faulty {
        let known = || async {
            Scrape::of(&exporter)
                .await
                .value("redis_cross_dc_link_up", &[("pair", &pair.trouble.pair())])
                == Some(1.0)
        };
        eventually("a real pair before its trouble", LIMIT, known)
            .await
            .unwrap();
        pair.begin().await;
    }
    let real: Vec<HostilePeer> = faulty.iter().map(FaultyServer::peer).collect();
    let all: Vec<&HostilePeer> = masters.iter().chain(&replicas).chain(&real).collect();
    each_is_named(&exporter, &all).await;
    let what = format!("with {} hostile servers", all.len());
    let seen = Comparison::observe(&what, scrape, scrape_spared).await;
    for (role, peers) in [
        ("master", &masters),
        ("replica", &replicas),
        ("master", &real),
    ] {
        print(&exporter, role, peers).await;
    }

    each_is_named(&exporter, &all).await;
    states_are(&exporter, "master", &masters, "master_unreachable").await;
    states_are(&exporter, "replica", &replicas, "replica_unreachable").await;
    let memory = seen.attacked.memory;
    assert!(memory < MEMORY, "{memory} bytes resident");
    let ratio = seen.scrape_ratio();
    eprintln!(
        "scrapes take {ratio:.1} times as long, with {} pairs more to tell of",
        masters.len() * 2 + real.len()
    );
    assert!(ratio < SCRAPE, "scrapes take {ratio:.1} times as long");
    for pair in &mut faulty {
        let name = pair.trouble.pair();
        let expected = match pair.trouble {
            Fault::Denied => "unknown",
            _ => "master_unreachable",
        };
        assert_eq!(exporter.pair(&name).await.state.label(), expected, "{name}");
        if pair.end().await {
            exporter
                .wait_for(&name, "it streams after its trouble", LIMIT, streams)
                .await;
        }
    }
}
