//! A master, a WAN and a replica, one of several pairs that one exporter watches.

use std::sync::Arc;
use std::time::Duration;

use redis_cross_dc_exporter::lab::{
    Connection, RedisServer, RedisServerBuilder, WanConditions, WanProxy, eventually,
};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{ForecastReport, PairReport};
use tokio::time::Instant;

use super::load::{Pattern, Writer};
use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

/// One pair of the laboratory.
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) exporter: Arc<Exporter>,
    pub(super) _writer: Writer,
    pub(super) wan: WanProxy,
    pub(super) replica: RedisServer,
    pub(super) master: RedisServer,
    /// Asks the master all the time.
    watch: Connection,
}

/// What a lane consists of.
pub(super) struct LanePlan {
    pub(super) pattern: Pattern,
    /// Bytes a second, on average.
    pub(super) rate: f64,
    pub(super) master: RedisServerBuilder,
}

/// What a master says of its replication.
#[derive(Clone, Copy, Debug)]
pub(super) struct MasterView {
    pub(super) offset: u64,
    /// The first byte in its backlog.
    pub(super) first_byte: u64,
    pub(super) replicas: u64,
}

/// Starts the lanes and one exporter for all of them; `poll` are keys of its section, `alerts` the
/// same.
pub(super) async fn lanes(plans: Vec<LanePlan>, poll: &str, alerts: &str) -> Vec<Lane> {
    let mut parts = Vec::new();
    let mut entries = Vec::new();
    for (number, plan) in plans.into_iter().enumerate() {
        let name = format!("{}-{number}", plan.pattern.name());
        let master = plan.master.start().await.unwrap();
        let wan = WanProxy::start(None, master.addr(), WanConditions::default());
        let wan = wan.await.unwrap();
        let builder = RedisServer::builder().replicaof(wan.addr());
        let replica = builder.start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        let writer = Writer::start(master.addr(), plan.pattern, plan.rate);
        entries.push(entry(
            &name,
            ("dc1", master.addr()),
            ("dc2", replica.addr()),
        ));
        parts.push((name, writer, wan, replica, master));
    }
    let pairs = entries.join("\n  - ");
    let yaml = format!("poll: {{interval: 1s{poll}}}\npairs:\n  - {pairs}\nalerts: {{{alerts}}}\n");
    let exporter = Arc::new(Exporter::start(&yaml).await);
    let mut lanes = Vec::new();
    for (name, writer, wan, replica, master) in parts {
        lanes.push(Lane {
            name,
            exporter: Arc::clone(&exporter),
            _writer: writer,
            watch: master.connect().await.unwrap(),
            wan,
            replica,
            master,
        });
    }
    lanes
}

impl Lane {
    pub(super) async fn pair(&self) -> PairReport {
        self.exporter.pair(&self.name).await
    }

    pub(super) async fn forecast(&self) -> ForecastReport {
        self.pair().await.forecast
    }

    /// What the master says now.
    pub(super) async fn master_view(&mut self) -> MasterView {
        let reply = self.watch.command(&["INFO", "replication"]).await.unwrap();
        let text = reply.text().unwrap();
        let number = |field: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(field));
            line.unwrap().trim().parse().unwrap()
        };
        MasterView {
            offset: number("master_repl_offset:"),
            first_byte: number("repl_backlog_first_byte_offset:"),
            replicas: number("connected_slaves:"),
        }
    }

    /// The last byte that the replica has applied.
    pub(super) async fn applied(&self) -> u64 {
        number(&self.replica, "replication", "slave_repl_offset").await
    }

    /// Waits until the replica is in sync and the exporter sees it.
    pub(super) async fn healthy(&self) {
        let is_healthy = || async {
            let pair = self.pair().await;
            let lag = pair.lag_seconds.unwrap_or(f64::MAX);
            let is_streaming = pair.state == PairState::Streaming;
            if is_streaming && lag < 0.5 {
                Ok(())
            } else {
                Err(format!("{pair:?}"))
            }
        };
        eventually(&format!("{} to be healthy", self.name), LIMIT, is_healthy)
            .await
            .unwrap();
    }

    /// How many full resyncs the master has given, and how many partial ones.
    pub(super) async fn syncs(&self) -> (u64, u64) {
        let full = number(&self.master, "stats", "sync_full").await;
        let partial = number(&self.master, "stats", "sync_partial_ok").await;
        (full, partial)
    }
}

/// A number of a server's INFO.
pub(super) async fn number(server: &RedisServer, section: &str, field: &str) -> u64 {
    let text = server.info_field(section, field).await.unwrap();
    text.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{field} of {}", server.addr()))
}

/// Seconds since then.
pub(super) fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}

/// A moment.
pub(super) async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
