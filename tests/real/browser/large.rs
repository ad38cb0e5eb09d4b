//! The pages of fleets of any size: hundreds of pairs on four servers, and two active-active sites.
//! Each pair's replica has an address of its own, at which a task passes everything on to one of
//! three replicas.

use redis_cross_dc_exporter::lab::{
    Direction, Loopback, RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad,
};
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::{DriverFailed, Play, follow, start};
use crate::exporter::Exporter;
use crate::stage::LIMIT;

/// How many pairs there are of which kind; all masters are in dc1.
#[derive(Clone, Copy)]
struct Sizes {
    /// To dc2, over a line that stays as it is.
    steady: usize,
    /// To dc2, over a line that stalls.
    stalling: usize,
    /// To dc3, which dies.
    dying: usize,
}

/// A fleet whose parts get into trouble on demand.
struct LargeFleet {
    exporter: Exporter,
    wan: WanProxy,
    /// The replica in dc3.
    third: RedisServer,
    _addresses: Vec<Loopback>,
    _writer: SteadyWriter,
    _servers: Vec<RedisServer>,
}

impl LargeFleet {
    async fn set(sizes: Sizes) -> Self {
        let peers = [alone().await, alone().await];
        peers[0]
            .command(&["HSET", "counter:visits", "p:dc1", "5"])
            .await
            .unwrap();
        let master = RedisServer::builder().start().await.unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default())
            .await
            .unwrap();
        let near = behind(master.addr()).await;
        let far = behind(wan.addr()).await;
        let third = behind(master.addr()).await;
        let load = WriteLoad {
            per_second: 50,
            value_bytes: 100,
        };
        let writer = SteadyWriter::start(master.addr(), None, load);

        let mut addresses = Vec::new();
        let mut entries = String::new();
        let parts = [
            ("steady", "dc2", sizes.steady, &near),
            ("stalling", "dc2", sizes.stalling, &far),
            ("dying", "dc3", sizes.dying, &third),
        ];
        for (name, dc, count, replica) in parts {
            for n in 1..=count {
                let address = another_address(replica.addr()).await;
                entries += &format!(
                    "- {{name: {name}-{n:03}, master: {{address: '{}', dc: dc1}}, replicas: [{{address: '{}', dc: {dc}}}]}}\n",
                    master.addr(),
                    address.addr(),
                );
                addresses.push(address);
            }
        }
        let yaml = format!(
            "poll: {{interval: 1s}}\n\
             alerts: {{lag_seconds: {{warning: 2s, critical: 60s}}, link_down: {{warning: 2s, critical: 60s}}, unreachable: {{warning: 2s, critical: 60s}}}}\n\
             notify: {{group_wait: 0s}}\n\
             pairs:\n{entries}\
             active_active:\n  - name: profiles\n    \
             sites: [{{address: '{}', dc: dc1}}, {{address: '{}', dc: dc2}}]\n    \
             sync_queue: sync_queue\n    keys: ['user:*']\n    counters: ['counter:*']\n    monitor: true\n    settle: 1s\n",
            peers[0].addr(),
            peers[1].addr(),
        );
        let [first_peer, second_peer] = peers;
        Self {
            exporter: Exporter::start_admin(&yaml).await,
            wan,
            third,
            _addresses: addresses,
            _writer: writer,
            _servers: vec![master, near, far, first_peer, second_peer],
        }
    }
}

impl Play for LargeFleet {
    async fn play(&mut self, word: &str) {
        match word {
            "stall" => self.wan.stall(Direction::Both),
            "kill" => self.third.kill(),
            "heal" => self.wan.heal().await.unwrap(),
            other => panic!("the driver asks for {other}"),
        }
    }
}

/// A server that applications write to side by side with another one.
async fn alone() -> RedisServer {
    RedisServer::builder().start().await.unwrap()
}

async fn behind(master: &ServerAddr) -> RedisServer {
    let replica = RedisServer::builder().replicaof(master).start().await;
    let replica = replica.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    replica
}

/// Another address of a server.
async fn another_address(server: &ServerAddr) -> Loopback {
    let server = server.to_string();
    let pass_on = move |mut outer: TcpStream| {
        let server = server.clone();
        async move {
            if let Ok(mut inner) = TcpStream::connect(server).await {
                // It ends when either side does.
                let _ = copy_bidirectional(&mut outer, &mut inner).await;
            }
        }
    };
    Loopback::start(pass_on).await.unwrap()
}

#[tokio::test]
async fn three_hundred_pairs_of_which_many_are_in_trouble_stay_near() -> Result<(), DriverFailed> {
    let mut fleet = LargeFleet::set(Sizes {
        steady: 140,
        stalling: 20,
        dying: 140,
    })
    .await;
    let driver = start("fleet.mjs", fleet.exporter.url(), &[]);
    follow(driver, &mut fleet).await
}

/// Pictures of every page, in every look, of fleets of 1, 20 and 300 pairs, for people who look at
/// them.
#[tokio::test]
#[ignore = "it takes minutes, and its result is for people: make screenshots"]
async fn gallery() -> Result<(), DriverFailed> {
    let sizes = [(0, 1, 0), (14, 4, 2), (140, 20, 140)];
    for (steady, stalling, dying) in sizes {
        let mut fleet = LargeFleet::set(Sizes {
            steady,
            stalling,
            dying,
        })
        .await;
        let pairs = (steady + stalling + dying).to_string();
        let driver = start("gallery.mjs", fleet.exporter.url(), &[&pairs]);
        follow(driver, &mut fleet).await?;
    }
    Ok(())
}
