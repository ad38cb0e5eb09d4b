//! The datacenters of a cluster lose sight of each other, and the exporter sees both.
//!
//! Each node announces ports at which a gate of its datacenter listens, for clients and for the
//! bus. While there is a wall, the gates let nobody through who comes from the other datacenter's
//! addresses; nodes connect from their own address, the exporter from neither.

use redis_cross_dc_exporter::lab::{RedisServer, ports};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::replication::PairState;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{
    DC1, DC2, LIMIT, configuration_at, id_of, knows, node, order, until_it_knows, until_ok,
    wait_for_metric, wait_for_pairs,
};
use crate::exporter::Exporter;

/// The bus port of a node, unless it says otherwise.
const BUS_PORT_OFFSET: u16 = 10_000;

/// A listener before one port of a node. On drop it stops.
struct Gate {
    addr: ServerAddr,
    task: JoinHandle<()>,
}

impl Gate {
    async fn before(host: &'static str, port: u16, wall: &watch::Sender<bool>) -> Self {
        let listener = TcpListener::bind((host, ports::free().unwrap()));
        let listener = listener.await.unwrap();
        let addr = ServerAddr::new(host, listener.local_addr().unwrap().port());
        let wall = wall.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((stream, from)) = listener.accept().await {
                let is_foreign = is_foreign(host, &from.ip().to_string());
                tokio::spawn(carry(stream, (host, port), is_foreign, wall.clone()));
            }
        });
        Self { addr, task }
    }

    fn port(&self) -> String {
        self.addr.port().unwrap().to_string()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether `from` is an address of the other datacenter.
fn is_foreign(host: &str, from: &str) -> bool {
    let other = if host == DC1 { DC2 } else { DC1 };
    from == other
}

/// Carries one connection, until it ends or a wall is in its way.
async fn carry(
    mut client: TcpStream,
    target: (&'static str, u16),
    is_foreign: bool,
    mut wall: watch::Receiver<bool>,
) {
    if is_foreign && *wall.borrow() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        // However it ends.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = wall.wait_for(|is_up| is_foreign && *is_up) => {}
    }
}

/// A node with its gates.
struct Gated {
    server: RedisServer,
    clients: Gate,
    bus: Gate,
}

impl Gated {
    async fn start(host: &'static str, wall: &watch::Sender<bool>) -> Self {
        let port = ports::free().unwrap();
        let clients = Gate::before(host, port, wall).await;
        let bus = Gate::before(host, port + BUS_PORT_OFFSET, wall).await;
        let server = node(host)
            .port(port)
            .config(&format!("cluster-announce-port {}", clients.port()))
            .config(&format!("cluster-announce-bus-port {}", bus.port()));
        let server = server.start().await.unwrap();
        // Redis 6.2 connects from the address that it listens on, and does not know this key.
        let source = ["CONFIG", "SET", "bind-source-addr", host];
        let _ = server.command(&source).await;
        Self {
            server,
            clients,
            bus,
        }
    }

    async fn meet(&self, other: &Self) {
        let (host, port) = other.clients.addr.tcp().unwrap();
        let words = [
            "CLUSTER",
            "MEET",
            host,
            &port.to_string(),
            &other.bus.port(),
        ];
        order(&self.server, &words).await;
    }

    async fn replicate(&self, master: &Self) {
        let id = id_of(&master.server).await;
        knows(&self.server, |nodes| nodes.contains(&id)).await;
        order(&self.server, &["CLUSTER", "REPLICATE", &id]).await;
        self.server.wait_until_in_sync(LIMIT).await.unwrap();
    }
}

/// Three shards with a replica each in the other datacenter: masters A and B in dc1, C in dc2.
async fn three_gated_pairs(wall: &watch::Sender<bool>) -> (Vec<Gated>, Vec<Gated>) {
    let mut masters = Vec::new();
    for (number, (host, slots)) in [(DC1, 0..=5460), (DC1, 5461..=10922), (DC2, 10923..=16383)]
        .into_iter()
        .enumerate()
    {
        let master = Gated::start(host, wall).await;
        let epoch = (number + 1).to_string();
        order(&master.server, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        let slots: Vec<String> = slots.map(|slot: u16| slot.to_string()).collect();
        let mut words = vec!["CLUSTER", "ADDSLOTS"];
        words.extend(slots.iter().map(String::as_str));
        order(&master.server, &words).await;
        masters.push(master);
    }
    let mut replicas = Vec::new();
    for host in [DC2, DC2, DC1] {
        replicas.push(Gated::start(host, wall).await);
    }
    for other in masters[1..].iter().chain(&replicas) {
        masters[0].meet(other).await;
    }
    for node in masters.iter().chain(&replicas) {
        until_it_knows(&node.server, 6).await;
    }
    for (replica, master) in replicas.iter().zip(&masters) {
        replica.replicate(master).await;
    }
    for node in masters.iter().chain(&replicas) {
        until_ok(&node.server).await;
    }
    (masters, replicas)
}

/// A key of the slots that `master` serves.
async fn own_key(master: &RedisServer) -> String {
    for number in 0..1000 {
        let key = format!("key:{number}");
        if master.command(&["GET", &key]).await.is_ok() {
            return key;
        }
    }
    panic!("no key of a thousand is in the slots of {}", master.addr());
}

#[tokio::test]
async fn a_minority_behind_a_wall_reverses_nothing_and_its_master_is_shown_as_the_second_one() {
    let wall = watch::Sender::new(false);
    let (masters, replicas) = three_gated_pairs(&wall).await;
    let named = [&masters[0].clients.addr, &masters[2].clients.addr];
    let exporter = Exporter::start(&configuration_at(named.into_iter(), "")).await;
    let pair = |name: &str, slots: &str, master: &Gated, replica: &Gated| {
        let replica = &replica.clients.addr;
        format!("{name}[{slots}] {}>{replica}", master.clients.addr)
    };
    let upper = [
        pair("c/slot-0", "0-5460", &masters[0], &replicas[0]),
        pair("c/slot-5461", "5461-10922", &masters[1], &replicas[1]),
    ];
    let shard = ("c/slot-10923", "10923-16383");
    let before = pair(shard.0, shard.1, &masters[2], &replicas[2]);
    let after = pair(shard.0, shard.1, &replicas[2], &masters[2]);
    // Something to lack: an offset of 0 is none.
    let mut key = String::new();
    for master in &masters {
        key = own_key(&master.server).await;
        order(&master.server, &["SET", &key, "kept"]).await;
    }
    // They are known by the ports that they announce.
    wait_for_pairs(&exporter, &[upper[0].clone(), upper[1].clone(), before]).await;
    for name in ["c/slot-0", "c/slot-5461", "c/slot-10923"] {
        let has_lag = |pair: &redis_cross_dc_exporter::report::PairReport| {
            pair.lag_seconds.is_some() && pair.state == PairState::Streaming
        };
        exporter.wait_for(name, "a lag", LIMIT, has_lag).await;
    }

    wall.send_replace(true);
    // It does not know yet that it is alone, and takes this write.
    let lost = masters[2].server.command(&["SET", &key, "lost"]).await;
    println!("the cut off master answered a write with {lost:?}");
    wait_for_pairs(
        &exporter,
        &[upper[0].clone(), upper[1].clone(), after.clone()],
    )
    .await;
    // The old master and the two replicas on its side have not heard of it.
    wait_for_metric(&exporter, "nodes_disagreeing", Some(3.0)).await;
    wait_for_metric(&exporter, "state_ok", Some(1.0)).await;
    wait_for_metric(&exporter, "slots_uncovered", Some(0.0)).await;
    let took_it = lost.is_ok();
    let split = |pair: &redis_cross_dc_exporter::report::PairReport| {
        let lost = pair.diverged_replica_bytes.unwrap_or(0);
        pair.state == PairState::Diverged && pair.source_dc == "dc1" && (lost > 0) == took_it
    };
    exporter
        .wait_for(shard.0, "the second master, and what it took", LIMIT, split)
        .await;
    let cut = |pair: &redis_cross_dc_exporter::report::PairReport| {
        matches!(pair.state, PairState::LinkDown | PairState::Stalled)
    };
    exporter.wait_for("c/slot-0", "the cut", LIMIT, cut).await;

    wall.send_replace(false);
    wait_for_pairs(&exporter, &[upper[0].clone(), upper[1].clone(), after]).await;
    wait_for_metric(&exporter, "nodes_disagreeing", Some(0.0)).await;
    for name in ["c/slot-0", "c/slot-5461", "c/slot-10923"] {
        let streams =
            |pair: &redis_cross_dc_exporter::report::PairReport| pair.state == PairState::Streaming;
        exporter.wait_for(name, "the stream", LIMIT, streams).await;
    }
    let failovers = exporter.pairs().await.failovers;
    for entry in &failovers {
        let expected = u64::from(entry.pair == shard.0);
        assert_eq!(entry.total, expected, "{failovers:?}");
    }
}
