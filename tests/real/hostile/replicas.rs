//! Replicas that hang beside a healthy one, in the same tree: a round asks them all.

use redis_cross_dc_exporter::lab::{RedisServer, eventually};

use super::server::{HostileServer, Misbehaviour};

use super::configuration;
use super::hostile_peers::{HostilePeer, each_is_named};
use super::servers::{healthy, reconfigure};
use super::window::{Comparison, DCS, HEALTHY};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

#[tokio::test]
async fn replicas_that_hang_do_not_delay_the_masters_other_replicas() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    let stage = Stage::set().await;
    let mut frozen = RedisServer::builder()
        .replicaof(stage.master.addr())
        .start()
        .await
        .unwrap();
    frozen.wait_until_in_sync(LIMIT).await.unwrap();
    let exporter = Exporter::start(&configuration(&[healthy(&stage)])).await;
    let spared = Exporter::start(&configuration(&[healthy(&stage)])).await;
    for exporter in [&exporter, &spared] {
        exporter
            .wait_for(HEALTHY, "it streams", LIMIT, |pair| {
                pair.link_up && pair.lag_seconds.is_some()
            })
            .await;
    }
    let scrape = async || Scrape::of(&exporter).await;
    let scrape_spared = async || Scrape::of(&spared).await;

    // One never answers; the other hangs with a request outstanding on a connection that worked.
    let server = HostileServer::start(Misbehaviour::Hang).await.unwrap();
    let master = (DCS[0], stage.master.addr());
    let mute = entry("hung-mute", master, ("hostile", server.addr()));
    let stopped = entry("hung-stopped", master, ("hostile", frozen.addr()));
    reconfigure(&exporter, &[healthy(&stage), mute, stopped]);
    let known = || async {
        scrape()
            .await
            .value("redis_cross_dc_link_up", &[("pair", "hung-stopped")])
            == Some(1.0)
    };
    eventually(
        "the streaming replica that is about to freeze",
        LIMIT,
        known,
    )
    .await
    .unwrap();
    frozen.stop().unwrap();
    let peers = [
        HostilePeer::known("mute", server.addr(), "timeout"),
        HostilePeer::known("stopped", frozen.addr(), "timeout"),
    ];
    each_is_named(&exporter, &[&peers[0], &peers[1]]).await;
    Comparison::observe("with two hung replicas", scrape, scrape_spared).await;

    let hung = exporter
        .pairs()
        .await
        .pairs
        .into_iter()
        .filter(|pair| pair.pair.starts_with("hung-"));
    let states: Vec<_> = hung.map(|pair| pair.state.label()).collect();
    assert_eq!(states, ["replica_unreachable"; 2]);
}
