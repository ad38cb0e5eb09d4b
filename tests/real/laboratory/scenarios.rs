//! What happens in each take: the situations that replication gets into.

use std::pin::Pin;
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Direction, RedisServer};

use super::layout::Shape;
use super::stage::{Plan, Stage};
use super::witness::Load;

/// What is done to a stage.
type Story = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A situation.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Whether the true lag goes beyond five seconds in it.
    pub(super) crosses: bool,
    /// The part of the machine that it takes, of [`super::run::MACHINE`].
    pub(super) weight: u32,
    /// Whether it is measured with `poll.refresh_on_scrape` as well.
    pub(super) refreshed: bool,
    pub(super) plan: fn() -> Plan,
    pub(super) story: Story,
}

/// How long a link is broken, in seconds.
pub(super) const OUTAGE: f64 = 12.0;
/// A load of 200 KB/s.
pub(super) const STEADY_STREAM: Load = Load {
    fillers: 1,
    bytes: 3950,
};
/// A load of 20 MB/s.
const HEAVY_STREAM: Load = Load {
    fillers: 40,
    bytes: 10_000,
};

impl Scenario {
    /// One that does not cross the threshold and takes little of the machine.
    pub(super) const fn calm(name: &'static str, plan: fn() -> Plan, story: Story) -> Self {
        Self {
            name,
            crosses: false,
            weight: 1,
            refreshed: false,
            plan,
            story,
        }
    }

    /// One that crosses the threshold.
    pub(super) const fn outage(name: &'static str, plan: fn() -> Plan, story: Story) -> Self {
        Self {
            crosses: true,
            ..Self::calm(name, plan, story)
        }
    }

    /// Whether its servers form a Redis Cluster.
    pub(super) fn is_of_a_cluster(&self) -> bool {
        (self.plan)().shape == Shape::Cluster
    }

    /// The same, measured with `poll.refresh_on_scrape` as well.
    const fn refreshed(self) -> Self {
        Self {
            refreshed: true,
            ..self
        }
    }

    /// The same with as many servers as three others have.
    pub(super) const fn of_many_servers(self) -> Self {
        Self { weight: 3, ..self }
    }

    /// The same, which keeps the processors busy.
    const fn heavy(self) -> Self {
        Self { weight: 4, ..self }
    }
}

/// Every situation of a master and its replicas.
pub(super) const ALL: [Scenario; 24] = [
    Scenario::calm("steady", Plan::default, |s| Box::pin(s.pass(15.0))).refreshed(),
    Scenario::calm("delay 300 ms", delayed, |s| Box::pin(s.pass(15.0))).refreshed(),
    Scenario::outage("throttle with drain", streaming, |s| Box::pin(throttle(s))).refreshed(),
    Scenario::outage("stall both ways", Plan::default, |s| {
        Box::pin(stall(s, Direction::Both))
    })
    .refreshed(),
    Scenario::outage("one-way stall", Plan::default, |s| {
        Box::pin(stall(s, Direction::ToReplica))
    })
    .refreshed(),
    Scenario::calm("only ACKs stalled", Plan::default, |s| {
        Box::pin(stall(s, Direction::ToMaster))
    }),
    Scenario::outage("cut", Plan::default, |s| Box::pin(cut(s))).refreshed(),
    Scenario::calm("idle", Plan::default, |s| Box::pin(idle(s))).refreshed(),
    Scenario::outage("replica stopped", Plan::default, |s| Box::pin(stopped(s))).refreshed(),
    Scenario::outage("full resync", small_backlog, |s| Box::pin(full_resync(s)))
        .refreshed()
        .heavy(),
    Scenario::outage("bursts", Plan::default, |s| Box::pin(bursts(s))).refreshed(),
    Scenario::calm("failover under load", fork, |s| Box::pin(failover(s))),
    Scenario::outage("replica restart", Plan::default, |s| {
        Box::pin(replica_restart(s))
    }),
    Scenario::calm("master killed and back", Plan::default, |s| {
        Box::pin(master_restart(s))
    }),
    Scenario::outage("replica blocked by a script", Plan::default, |s| {
        Box::pin(script(s))
    }),
    Scenario::outage("replica blocked, DEBUG SLEEP", with_debug, |s| {
        Box::pin(debug_sleep(s))
    }),
    Scenario::outage("big MULTI", for_transactions, |s| Box::pin(big_multi(s))),
    Scenario::outage("chained, the middle cut", chain, |s| Box::pin(cut(s))),
    Scenario::outage("backlog TTL of 3 s", short_ttl, |s| Box::pin(cut(s))),
    Scenario::calm("empty pair", empty, |s| Box::pin(first_write(s))),
    Scenario::outage("monitor restart mid-outage", Plan::default, |s| {
        Box::pin(monitor_restart(s))
    }),
    Scenario::calm("monitor cut off from the replica", mapped, |s| {
        Box::pin(monitor_cut_off(s))
    }),
    Scenario::outage("replica behind a port mapping", mapped, |s| {
        Box::pin(cut(s))
    }),
    Scenario::calm("20 MB/s", large_backlog, |s| Box::pin(heavy_stream(s))).heavy(),
];

fn delayed() -> Plan {
    Plan {
        delay: Duration::from_millis(300),
        ..Plan::default()
    }
}

fn streaming() -> Plan {
    Plan {
        load: Some(STEADY_STREAM),
        ..Plan::default()
    }
}

fn small_backlog() -> Plan {
    let server = || RedisServer::builder().config("rdbcompression no");
    let master = server().allow_debug().config("repl-backlog-size 16kb");
    Plan {
        load: Some(STEADY_STREAM),
        master,
        replica: server(),
        ..Plan::default()
    }
}

fn fork() -> Plan {
    Plan {
        shape: Shape::Fork,
        load: Some(STEADY_STREAM),
        ..Plan::default()
    }
}

fn chain() -> Plan {
    Plan {
        shape: Shape::Chain,
        ..Plan::default()
    }
}

fn mapped() -> Plan {
    Plan {
        shape: Shape::Mapped,
        ..Plan::default()
    }
}

fn with_debug() -> Plan {
    Plan {
        replica: RedisServer::builder().allow_debug(),
        ..Plan::default()
    }
}

fn for_transactions() -> Plan {
    // What waits for the slow link must not be taken for a replica that does not read.
    Plan {
        master: RedisServer::builder().config("client-output-buffer-limit replica 0 0 0"),
        ..Plan::default()
    }
}

fn short_ttl() -> Plan {
    Plan {
        master: RedisServer::builder().config("repl-backlog-ttl 3"),
        ..Plan::default()
    }
}

fn empty() -> Plan {
    Plan {
        load: None,
        ..Plan::default()
    }
}

fn large_backlog() -> Plan {
    let master = RedisServer::builder().config("repl-backlog-size 128mb");
    Plan {
        load: Some(HEAVY_STREAM),
        master,
        ..Plan::default()
    }
}

/// 200 KB/s over a link for 50 KB/s, and then over one that drains it.
async fn throttle(stage: &mut Stage) {
    stage.layout.link.set_rate(Some(50_000));
    stage.pass(15.0).await;
    stage.layout.link.set_rate(Some(600_000));
    stage.caught_up().await;
    stage.pass(1.0).await;
    stage.layout.link.set_rate(None);
}

async fn stall(stage: &mut Stage, direction: Direction) {
    stage.layout.link.stall(direction);
    stage.pass(OUTAGE).await;
    stage.layout.link.heal().await.unwrap();
}

async fn cut(stage: &mut Stage) {
    stage.layout.link.cut().await;
    stage.pass(OUTAGE).await;
    stage.layout.link.heal().await.unwrap();
    stage.caught_up().await;
}

/// Long enough for two PINGs of the link.
async fn idle(stage: &mut Stage) {
    stage.writer.pause().await;
    stage.pass(22.0).await;
}

async fn stopped(stage: &mut Stage) {
    stage.freeze_replica(OUTAGE).await;
}

/// 60 MB over a link for 10 MB/s.
async fn full_resync(stage: &mut Stage) {
    stage
        .layout
        .master
        .command(&["DEBUG", "POPULATE", "6000", "big", "10000"])
        .await
        .unwrap();
    stage.layout.link.cut().await;
    stage.layout.link.set_rate(Some(10_000_000));
    stage.pass(4.0).await;
    stage.layout.link.heal().await.unwrap();
    stage.caught_up().await;
}

/// 8 MB and 3 MB at once, over a link for 1 MB/s.
async fn bursts(stage: &mut Stage) {
    let burst = Load {
        fillers: 40,
        bytes: 10_000,
    };
    stage.layout.link.set_rate(Some(1_000_000));
    for (seconds, rest) in [(0.4, 10.0), (0.15, 5.0)] {
        stage.writer.write(burst).await;
        stage.pass(seconds).await;
        stage.writer.write(Load::default()).await;
        stage.pass(rest).await;
    }
}

/// The other replica becomes master in good order; the scored one and the old master follow it.
async fn failover(stage: &mut Stage) {
    stage.pass(4.0).await;
    stage.writer.pause().await;
    stage.caught_up().await;
    let heir = stage
        .layout
        .other
        .as_ref()
        .expect("the shape has another replica");
    let (host, port) = heir.addr().tcp().expect("it listens on TCP");
    let port = port.to_string();
    heir.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    for server in [&stage.layout.replica, &stage.layout.master] {
        server.command(&["REPLICAOF", host, &port]).await.unwrap();
    }
    stage.writer.go_to(heir.addr()).await;
    stage.writer.write(STEADY_STREAM).await;
    stage.caught_up().await;
    stage.pass(10.0).await;
}

async fn replica_restart(stage: &mut Stage) {
    stage.restart_replica(7.0).await;
    stage.caught_up().await;
}

/// While there is no master, it is unknown what it would have written, nor what it had written
/// last.
async fn master_restart(stage: &mut Stage) {
    let killed = clock::now();
    stage.layout.master.kill();
    stage.pass(7.0).await;
    stage.layout.master.restart().await.unwrap();
    stage.caught_up().await;
    // Its new history begins for the exporter with two more polls.
    stage.pass(2.0).await;
    stage.excuse(killed);
}

/// A script that writes nothing and takes some seven seconds. After five of them the replica
/// answers BUSY.
/// A script that reads the clock until 7.5 seconds are over, however fast the machine is.
async fn script(stage: &mut Stage) {
    const LOOP: &str = "local time = redis.call('TIME') \
        local stop = time[1] + time[2] / 1000000 + ARGV[1] \
        repeat time = redis.call('TIME') until time[1] + time[2] / 1000000 >= stop";
    stage.block_replica(&["EVAL", LOOP, "0", "7.5"]).await;
}

async fn debug_sleep(stage: &mut Stage) {
    stage.block_replica(&["DEBUG", "SLEEP", "8"]).await;
}

/// 16 MB at once over a link for 2 MB/s.
async fn big_multi(stage: &mut Stage) {
    stage.layout.link.set_rate(Some(2_000_000));
    stage
        .writer
        .transaction(Load {
            fillers: 160,
            bytes: 100_000,
        })
        .await;
    stage.caught_up().await;
}

async fn first_write(stage: &mut Stage) {
    stage.pass(12.0).await;
    stage.writer.write(Load::default()).await;
    stage.pass(5.0).await;
    stage.writer.pause().await;
    stage.pass(5.0).await;
}

/// The exporter ends in good order and comes back two seconds later. Before anybody has answered it
/// says that it is not ready and shows no number: what was kept counts once the master has said
/// that it still means something.
async fn monitor_restart(stage: &mut Stage) {
    stage.layout.link.cut().await;
    stage.pass(7.0).await;
    stage.exporter.signal("TERM");
    stage.exporter.ended(Duration::from_secs(20)).await;
    stage.pass(2.0).await;
    let launched = clock::now();
    stage.exporter.relaunch();
    stage.exporter.until_ready().await;
    stage.excuse(launched);
    stage.pass(6.0).await;
    stage.layout.link.heal().await.unwrap();
    stage.caught_up().await;
}

async fn monitor_cut_off(stage: &mut Stage) {
    let mapped = stage
        .layout
        .mapped
        .as_ref()
        .expect("the shape has a proxy before the replica");
    mapped.stall(Direction::Both);
    stage.pass(OUTAGE).await;
    mapped.heal().await.unwrap();
}

/// Healthy, then a partial resync, then a full one.
async fn heavy_stream(stage: &mut Stage) {
    stage.pass(10.0).await;
    stage.layout.link.cut().await;
    stage.pass(1.0).await;
    stage.layout.link.heal().await.unwrap();
    stage.pass(6.0).await;
    stage
        .layout
        .master
        .command(&["CONFIG", "SET", "repl-backlog-size", "16kb"])
        .await
        .unwrap();
    stage.layout.link.cut().await;
    stage.pass(1.0).await;
    stage.layout.link.heal().await.unwrap();
    stage.pass(6.0).await;
}
