//! The eight incidents.

use std::future::Future;
use std::pin::Pin;

use redis_cross_dc_exporter::lab::{Direction, RedisServer, RedisServerBuilder};

use super::scene::{DC1, DC2, Pair, Scene};
use super::transcript::Transcript;
use super::verdict::Pages;
use crate::sentinel::wait_until_it_knows;

type Playing = Pin<Box<dyn Future<Output = Transcript> + Send>>;

/// One incident.
pub(super) struct Incident {
    pub(super) number: usize,
    pub(super) title: &'static str,
    pub(super) pages: Pages,
    pub(super) play: fn() -> Playing,
}

/// All of them, in the order of the trial in which they were first seen.
pub(super) const ALL: [Incident; 8] = [
    Incident {
        number: 1,
        title: "the line stalls for 50 seconds",
        pages: Pages::Nobody,
        play: || Box::pin(stall()),
    },
    Incident {
        number: 2,
        title: "the line is cut for 100 seconds",
        pages: Pages::Incidents(1),
        play: || Box::pin(cut()),
    },
    Incident {
        number: 3,
        title: "the master is killed and comes back empty",
        pages: Pages::Incidents(2),
        play: || Box::pin(empty_master()),
    },
    Incident {
        number: 4,
        title: "the replica is killed",
        pages: Pages::Incidents(1),
        play: || Box::pin(dead_replica()),
    },
    Incident {
        number: 5,
        title: "a cut outlasts the backlog, and a full sync follows",
        pages: Pages::Incidents(1),
        play: || Box::pin(full_sync()),
    },
    Incident {
        number: 6,
        title: "the Sentinels fail over, and the old master returns",
        pages: Pages::Nobody,
        play: || Box::pin(failover()),
    },
    Incident {
        number: 7,
        title: "the exporter is killed while a line stalls",
        pages: Pages::Incidents(1),
        play: || Box::pin(killed_exporter()),
    },
    Incident {
        number: 8,
        title: "two unrelated servers fail, one after the other, and one comes back empty",
        pages: Pages::Incidents(3),
        play: || Box::pin(two_servers()),
    },
];

fn server() -> RedisServerBuilder {
    RedisServer::builder()
}

async fn stall() -> Transcript {
    let pair = Pair::start("orders", server()).await;
    let scene = Scene::start(&pair.entry(), "").await;
    scene.event("the line from dc1 to dc2 stalls");
    pair.link.stall(Direction::Both);
    scene.pass(5).await;
    scene.look().await;
    scene.pass(35).await;
    scene.look().await;
    scene.pass(10).await;
    scene.event("the line heals");
    pair.link.heal().await.unwrap();
    scene.pass(10).await;
    scene.look().await;
    scene.transcript(&[&pair])
}

async fn cut() -> Transcript {
    let pair = Pair::start("orders", server()).await;
    let scene = Scene::start(&pair.entry(), "").await;
    scene.event("the line from dc1 to dc2 is cut");
    pair.link.cut().await;
    scene.pass(30).await;
    scene.look().await;
    scene.pass(70).await;
    scene.event("the line is repaired");
    pair.link.heal().await.unwrap();
    scene.pass(15).await;
    scene.look().await;
    scene.transcript(&[&pair])
}

async fn empty_master() -> Transcript {
    let mut pair = Pair::start("orders", server()).await;
    let scene = Scene::start(&pair.entry(), "").await;
    let keys = pair.replica.command(&["DBSIZE"]).await.unwrap();
    scene.truth(&format!("the replica has {keys:?} keys"));
    scene.event("the master is killed (it has no persistence)");
    pair.master.kill();
    scene.pass(75).await;
    scene.look().await;
    scene.event("the master is started again, empty");
    pair.master.restart().await.unwrap();
    scene.pass(3).await;
    scene.look().await;
    let keys = pair.replica.command(&["DBSIZE"]).await.unwrap();
    scene.truth(&format!(
        "the replica has {keys:?} keys: every write before the kill is lost"
    ));
    scene.pass(20).await;
    scene.look().await;
    scene.event("nothing happens any more until the alert resolves");
    wait_for_quiet(&scene).await;
    scene.look().await;
    scene.transcript(&[&pair])
}

async fn dead_replica() -> Transcript {
    let mut pair = Pair::start("orders", server()).await;
    let scene = Scene::start(&pair.entry(), "").await;
    scene.event("the replica is killed");
    pair.replica.kill();
    scene.pass(75).await;
    scene.look().await;
    scene.event("the replica is started again, empty");
    pair.replica.restart().await.unwrap();
    scene.pass(15).await;
    scene.look().await;
    wait_for_quiet(&scene).await;
    scene.transcript(&[&pair])
}

async fn full_sync() -> Transcript {
    // What DEBUG makes would be compressed to nothing.
    let master = server()
        .allow_debug()
        .config("repl-timeout 600")
        .config("rdbcompression no");
    let pair = Pair::start("orders", master).await;
    let fill = ["DEBUG", "POPULATE", "240", "fill", "1000000"];
    pair.master.command(&fill).await.unwrap();
    let scene = Scene::start(&pair.entry(), "").await;
    scene.event("the line from dc1 to dc2 is cut, and 40 MB are written");
    pair.link.cut().await;
    pair.burst(40).await;
    scene.pass(12).await;
    scene.look().await;
    scene.pass(18).await;
    scene.event("the line is repaired and carries 6 MB/s");
    pair.link.set_rate(Some(6_000_000));
    pair.link.heal().await.unwrap();
    scene.pass(20).await;
    scene.look().await;
    scene.pass(45).await;
    scene.look().await;
    wait_for_quiet(&scene).await;
    scene.look().await;
    scene.transcript(&[&pair])
}

async fn failover() -> Transcript {
    let master = server().host(DC1).start().await.unwrap();
    let replica = server()
        .host(DC2)
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica
        .wait_until_in_sync(std::time::Duration::from_mins(1))
        .await
        .unwrap();
    let mut sentinels = Vec::new();
    for host in [DC1, DC2, DC2] {
        let sentinel = server().host(host).sentinel();
        let sentinel = sentinel.watches("carts", master.addr(), 2);
        sentinels.push(sentinel.start().await.unwrap());
    }
    for sentinel in &sentinels {
        wait_until_it_knows(sentinel, "carts", 1, 2).await;
    }
    let addresses: Vec<_> = sentinels
        .iter()
        .map(|s| format!("'{}'", s.addr()))
        .collect();
    let entry = format!("{{name: carts, addresses: [{}]}}", addresses.join(", "));
    let mut master = master;
    let scene = Scene::start("", &entry).await;
    scene.event("the master of carts is killed");
    master.kill();
    scene.pass(20).await;
    scene.look().await;
    scene.event("the old master is started again, empty");
    master.restart().await.unwrap();
    scene.pass(25).await;
    scene.look().await;
    scene.event("nothing happens any more until the alerts resolve");
    wait_for_quiet(&scene).await;
    scene.look().await;
    drop((replica, sentinels));
    scene.transcript(&[])
}

async fn killed_exporter() -> Transcript {
    let pair = Pair::start("orders", server()).await;
    let mut scene = Scene::start(&pair.entry(), "").await;
    scene.event("the line from dc1 to dc2 stalls");
    pair.link.stall(Direction::Both);
    scene.pass(30).await;
    scene.event("the exporter is killed (-9)");
    scene.exporter.kill();
    scene.pass(12).await;
    scene.check_alone().await;
    scene.event("the exporter is started again");
    scene.exporter.relaunch();
    scene.exporter.until_ready().await;
    scene.look().await;
    scene.pass(25).await;
    scene.look().await;
    scene.event("the line heals");
    pair.link.heal().await.unwrap();
    scene.pass(10).await;
    scene.event("the exporter is stopped and started again, all is well");
    scene.exporter.signal("TERM");
    scene
        .exporter
        .ended(std::time::Duration::from_secs(20))
        .await;
    scene.exporter.relaunch();
    scene.exporter.until_ready().await;
    scene.look().await;
    scene.pass(10).await;
    scene.look().await;
    scene.transcript(&[&pair])
}

async fn two_servers() -> Transcript {
    let mut orders = Pair::start("orders", server()).await;
    let mut carts = Pair::start("carts", server()).await;
    let scene = Scene::start(&format!("{}, {}", orders.entry(), carts.entry()), "").await;
    scene.event("the replica of orders is killed");
    orders.replica.kill();
    scene.pass(75).await;
    scene.event("the master of carts is killed");
    carts.master.kill();
    scene.pass(75).await;
    scene.look().await;
    scene.event("the replica of orders is started again");
    orders.replica.restart().await.unwrap();
    scene.pass(15).await;
    scene.event(
        "the empty master of carts is started while the line is cut, and the line is repaired",
    );
    carts.link.cut().await;
    carts.master.restart().await.unwrap();
    carts.link.heal().await.unwrap();
    scene.pass(10).await;
    scene.look().await;
    wait_for_quiet(&scene).await;
    scene.transcript(&[&orders, &carts])
}

/// Waits until no alert fires.
async fn wait_for_quiet(scene: &Scene) {
    use redis_cross_dc_exporter::lab::eventually;
    use redis_cross_dc_exporter::report::ListedState;

    let quiet = || async {
        let alerts = scene.exporter.alerts().await.alerts;
        let firing: Vec<_> = alerts
            .iter()
            .filter(|alert| alert.state == ListedState::Firing)
            .map(|alert| alert.alertname.clone())
            .collect();
        if firing.is_empty() {
            Ok(())
        } else {
            Err(format!("{firing:?}"))
        }
    };
    eventually(
        "no alert to fire",
        std::time::Duration::from_mins(15),
        quiet,
    )
    .await
    .unwrap();
    // What is due to be sent is sent.
    scene.pass(10).await;
}
