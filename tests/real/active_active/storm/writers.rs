//! Applications at both sites that write with the library, at a steady rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use redis_cross_dc_exporter::client::ServerSite;
use redis_cross_dc_exporter::config::Credentials;
use redis_cross_dc_exporter::lab::WanProxy;
use redis_cross_dc_exporter::model::{Datacenter, ServerAddr, Span};
use redis_cross_dc_exporter::multi_site::{LwwStore, PnCounter};
use redis_cross_dc_exporter::topology::Server;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::Sites;
use super::ledger::{COUNTER, Ledger};
use super::wan::Wan;

/// Connections of each site's applications: as many writes can be under way.
const CONNECTIONS: u32 = 20;

/// Keys that are written.
const KEYS: u32 = 5_000;

/// One write in so many is an increment instead.
const COUNTS_EVERY: u32 = 20;

/// The applications of both sites.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// One connection of an application.
struct Writer {
    store: LwwStore<ServerSite>,
    counters: PnCounter<ServerSite>,
    ledger: Ledger,
    random: Rng,
}

impl Writers {
    pub(super) fn start(sites: &Sites, wan: &Wan, ledger: &Ledger, rate: u32, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let every = Duration::from_secs(1) / rate * CONNECTIONS;
        for place in 0..CONNECTIONS {
            for (dc, local, line) in [
                ("dc1", sites.dc1.addr(), &wan.to_second),
                ("dc2", sites.dc2.addr(), &wan.to_first),
            ] {
                let seed = seed ^ (u64::from(place) << 32) ^ u64::from(dc == "dc1");
                let writer = Writer::new(dc, local, line, ledger, seed);
                tasks.spawn(writer.run(Arc::clone(&stop), every));
            }
        }
        Self { stop, tasks }
    }

    /// Lets each end its write. What is not acknowledged by then may or may not be written.
    pub(super) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

impl Writer {
    fn new(dc: &str, local: &ServerAddr, line: &WanProxy, ledger: &Ledger, seed: u64) -> Self {
        let site = |addr: &ServerAddr| {
            let server = Server {
                addr: addr.clone(),
                dc: Datacenter::new(dc),
                local: true,
                credentials: Credentials::default(),
                tls: None,
            };
            ServerSite::new(server, Span::from_millis(500))
        };
        let [near, far] = [local, line.addr()].map(site);
        let counters = PnCounter::builder(dc).build(near.clone(), far.clone());
        Self {
            store: LwwStore::builder(dc).build(near, far).unwrap(),
            counters: counters.unwrap(),
            ledger: ledger.clone(),
            random: Rng::with_seed(seed),
        }
    }

    async fn run(mut self, stop: Arc<AtomicBool>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            if self.random.u32(..COUNTS_EVERY) == 0 {
                let amount = self.random.u64(1..5);
                let counted = self.counters.increment(COUNTER, amount).await;
                self.ledger.counted(amount, counted.is_ok());
                continue;
            }
            let key = format!("user:{}", self.random.u32(..KEYS));
            let value = self.random.u64(..);
            if let Ok(written) = self.store.set(&key, &value).await {
                self.ledger.wrote(&key, written.version);
            }
        }
    }
}
