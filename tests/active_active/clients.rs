//! Clients of the simulation: ours, and one that behaves as the tutorial's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::active_active::{
    Envelope, QueueItem, Reply, Request, Site, SiteError, Stamp, Stored, Version,
};
use redis_cross_dc_exporter::multi_site::{LwwStore, PnCounter};

use crate::random::Random;
use crate::world::{QUEUE, Task, Wire, World, peer};

/// How many registers are written.
const KEYS: usize = 6;

/// A counter that only goes up, and one that only goes down.
pub(crate) const COUNTERS: [&str; 2] = ["up", "down"];

/// What clients were told.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The newest version of each key that a client was told is written.
    pub(crate) written: BTreeMap<Vec<u8>, Version>,
    /// What each counter was told to have counted.
    pub(crate) counted: BTreeMap<&'static str, i128>,
    /// The same with the increments of which nobody knows whether they were counted.
    pub(crate) attempted: BTreeMap<&'static str, i128>,
    pub(crate) operations: usize,
}

pub(crate) fn dc(site: usize) -> String {
    format!("dc{site}")
}

/// A service at `site` that writes, counts, merges and drains.
pub(crate) fn service(
    world: &Arc<Mutex<World>>,
    ledger: &Arc<Mutex<Ledger>>,
    site: usize,
    seed: u64,
) -> Task {
    let sites = world.lock().unwrap().sites.len();
    let local = Wire::new(world, site, site);
    let remote = Wire::new(world, site, peer(site, sites));
    let store = LwwStore::builder(&dc(site))
        .build(local.clone(), remote.clone())
        .unwrap();
    let counters = PnCounter::builder(&dc(site)).build(local, remote).unwrap();
    let service = Service {
        store,
        counters,
        ledger: Arc::clone(ledger),
    };
    Box::pin(async move {
        let mut random = Random::new(seed);
        loop {
            service.operate(&mut random).await;
        }
    })
}

struct Service {
    store: LwwStore<Wire>,
    counters: PnCounter<Wire>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Service {
    async fn operate(&self, random: &mut Random) {
        let key = format!("user:{}", random.below(KEYS));
        self.ledger.lock().unwrap().operations += 1;
        match random.below(12) {
            0..5 => {
                let written = self.store.set(&key, &random.next()).await;
                self.note(&key, written.ok().map(|written| written.version));
            }
            5 => {
                let written = self.store.delete(&key).await;
                self.note(&key, written.ok().map(|written| written.version));
            }
            6 => {
                let _ = self.store.get::<u64>(&key).await;
            }
            7..10 => self.count(random).await,
            10 => {
                let _ = self
                    .counters
                    .merge(random.pick::<&str>(COUNTERS.as_slice()))
                    .await;
            }
            _ => {
                self.store.drain(20).await;
            }
        }
    }

    fn note(&self, key: &str, version: Option<Version>) {
        let Some(version) = version else {
            return;
        };
        let mut ledger = self.ledger.lock().unwrap();
        let newest = ledger.written.entry(key.as_bytes().to_vec());
        let newest = newest.or_insert_with(|| version.clone());
        if version > *newest {
            *newest = version;
        }
    }

    async fn count(&self, random: &mut Random) {
        let name = *random.pick(COUNTERS.as_slice());
        let amount = 1 + random.below(5) as u64;
        *self
            .ledger
            .lock()
            .unwrap()
            .attempted
            .entry(name)
            .or_default() += i128::from(amount);
        let counted = match name {
            "up" => self.counters.increment(name, amount).await,
            _ => self.counters.decrement(name, amount).await,
        };
        if counted.is_ok() {
            *self.ledger.lock().unwrap().counted.entry(name).or_default() += i128::from(amount);
        }
    }
}

/// A client that behaves as the tutorial's: it compares and sets in two steps, queues only when
/// connections are refused, and its worker takes an item before it has applied it.
pub(crate) fn tutorial_client(world: &Arc<Mutex<World>>, site: usize, seed: u64) -> Task {
    let sites = world.lock().unwrap().sites.len();
    let client = TutorialClient {
        local: Wire::new(world, site, site),
        remote: Wire::new(world, site, peer(site, sites)),
        site,
    };
    Box::pin(async move {
        let mut random = Random::new(seed);
        loop {
            let result = if random.one_in(4) {
                client.work().await
            } else {
                client.set(&mut random).await
            };
            // The caller sees an exception and goes on.
            drop(result);
        }
    })
}

struct TutorialClient {
    local: Wire,
    remote: Wire,
    site: usize,
}

impl TutorialClient {
    async fn set(&self, random: &mut Random) -> Result<(), SiteError> {
        let key = format!("user:{}", random.below(KEYS));
        let stamp = Stamp::new(self.local.lock().now(self.site)).unwrap();
        let dc = dc(self.site);
        let value = random.next();
        let text = format!(
            "{{\"value\": {value}, \"timestamp\": {stamp}, \"dc\": \"{dc}\", \"version\": \"{dc}:{stamp}\"}}"
        );
        let envelope = Envelope::parse(text.into_bytes()).unwrap();
        self.compare_and_set(&self.local, key.as_bytes(), &envelope)
            .await?;
        self.propagate(&key, &envelope).await
    }

    async fn propagate(&self, key: &str, envelope: &Envelope) -> Result<(), SiteError> {
        match self
            .compare_and_set(&self.remote, key.as_bytes(), envelope)
            .await
        {
            Err(SiteError::Disconnected) => {
                let item = QueueItem::text(key, envelope);
                self.local
                    .request(command([b"LPUSH", QUEUE.as_bytes(), &item]))
                    .await?;
                Ok(())
            }
            result => result,
        }
    }

    async fn compare_and_set(
        &self,
        site: &Wire,
        key: &[u8],
        envelope: &Envelope,
    ) -> Result<(), SiteError> {
        let stored = site.request(Request::get(key)).await?.bytes()?;
        let is_newer = match stored.map(Stored::from_text) {
            Some(Stored::Envelope(stored)) => envelope.version() > stored.version(),
            _ => true,
        };
        if is_newer {
            site.request(command([b"SET", key, envelope.text()]))
                .await?;
        }
        Ok(())
    }

    async fn work(&self) -> Result<(), SiteError> {
        let reply = self
            .local
            .request(command([b"RPOP", QUEUE.as_bytes()]))
            .await?;
        let Reply::Bytes(text) = reply else {
            return Ok(());
        };
        let item = QueueItem::parse(&text).unwrap();
        let key = String::from_utf8(item.key).unwrap();
        self.propagate(&key, &item.envelope).await
    }
}

fn command<const N: usize>(words: [&[u8]; N]) -> Request {
    Request::Command(words.map(<[u8]>::to_vec).to_vec())
}

/// A drain that ends with its queue empty, for what comes after the storm.
pub(crate) async fn drain_all(wires: (Wire, Wire), site: usize) -> u64 {
    let store = LwwStore::builder(&dc(site))
        .build(wires.0, wires.1)
        .unwrap();
    let mut taken = 0;
    loop {
        let report = store.drain(1_000).await;
        assert_eq!(report.stopped, None);
        taken += report.taken;
        if report.taken == 0 {
            return taken;
        }
    }
}

/// How long the storm may keep sites apart.
pub(crate) const LONGEST_PARTITION: Duration = Duration::from_secs(4);
