//! Sites in a storm of partitions, crashes, failovers and clocks that go wrong; then calm, a drain
//! and a repair, and what must be true then.
//!
//! `AA_SEED=7 cargo test --test active_active simulation` replays a seed, `AA_RUNS=500` tries that
//! many.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis_cross_dc_exporter::active_active::{ApplyLimits, Counter, Stored};
use redis_cross_dc_exporter::multi_site::{Comparison, ComparisonReport, Pace, Repairs};

use crate::clients::{
    COUNTERS, LONGEST_PARTITION, Ledger, dc, drain_all, service, tutorial_client,
};
use crate::model::Value;
use crate::random::{Random, setting};
use crate::world::{Link, Task, Wire, World, peer, run_alone, step};

/// Steps of the storm: each lets one client go on to its next request.
const STEPS: usize = 4_000;

/// What a storm has.
#[derive(Clone, Copy)]
struct Weather {
    sites: usize,
    services_per_site: usize,
    tutorial_clients_per_site: usize,
    has_failovers: bool,
    has_crashes: bool,
}

const CALM: Weather = Weather {
    sites: 2,
    services_per_site: 3,
    tutorial_clients_per_site: 0,
    has_failovers: false,
    has_crashes: true,
};

struct Storm {
    seed: u64,
    weather: Weather,
    random: Random,
    world: Arc<Mutex<World>>,
    ledger: Arc<Mutex<Ledger>>,
    clients: Vec<(usize, Task)>,
    heals_at: Duration,
    /// What failovers took from each counter: what no site knows any more.
    lost: Vec<(String, i128)>,
    /// Keys of which a failover lost a version.
    lost_keys: BTreeSet<Vec<u8>>,
}

impl Storm {
    fn new(seed: u64, weather: Weather) -> Self {
        let world = World::new(weather.sites);
        world.lock().unwrap().has_tutorial_clients = weather.tutorial_clients_per_site > 0;
        let mut storm = Self {
            seed,
            weather,
            random: Random::new(seed),
            world,
            ledger: Arc::default(),
            clients: Vec::new(),
            heals_at: Duration::ZERO,
            lost: Vec::new(),
            lost_keys: BTreeSet::new(),
        };
        let per_site = weather.services_per_site + weather.tutorial_clients_per_site;
        for place in 0..weather.sites * per_site {
            let client = storm.client(place);
            storm.clients.push((place, client));
        }
        for site in 0..weather.sites {
            let mut world = storm.world.lock().unwrap();
            world.sites[site].clock.offset = 20.0 * storm.random.signed();
            world.sites[site].clock.drift = 1e-3 * storm.random.signed();
        }
        storm
    }

    fn client(&mut self, place: usize) -> Task {
        let site = place % self.weather.sites;
        let seed = self.random.next();
        if place / self.weather.sites < self.weather.services_per_site {
            service(&self.world, &self.ledger, site, seed)
        } else {
            tutorial_client(&self.world, site, seed)
        }
    }

    fn rage(&mut self) {
        for _ in 0..STEPS {
            let passes = Duration::from_micros(self.random.next() % 4_000);
            self.world.lock().unwrap().elapsed += passes;
            self.change_weather();
            let chosen = self.random.below(self.clients.len());
            assert!(!step(&mut self.clients[chosen].1), "clients never end");
        }
        // Every client dies where it is.
        self.clients.clear();
    }

    fn change_weather(&mut self) {
        let now = self.world.lock().unwrap().elapsed;
        if now >= self.heals_at {
            self.world.lock().unwrap().heal();
        }
        if self.random.one_in(150) {
            self.part(now);
        }
        if self.random.one_in(400) {
            let site = self.random.below(self.weather.sites);
            let offset = 20.0 * self.random.signed();
            self.world.lock().unwrap().sites[site].clock.offset = offset;
        }
        if self.weather.has_crashes && self.random.one_in(40) {
            let dies = self.random.below(self.clients.len());
            let place = self.clients[dies].0;
            self.clients[dies].1 = self.client(place);
        }
        if self.weather.has_failovers && self.random.one_in(600) {
            self.fail_over();
        }
    }

    fn part(&mut self, now: Duration) {
        let kinds = [Link::Refused, Link::LosesRequests, Link::LosesReplies];
        let link = *self.random.pick(&kinds);
        let from = self.random.below(self.weather.sites);
        let to = self.random.below(self.weather.sites);
        self.world.lock().unwrap().set_link(from, to, link);
        if self.random.one_in(2) {
            self.world.lock().unwrap().set_link(to, from, link);
        }
        let longest = u64::try_from(LONGEST_PARTITION.as_millis()).unwrap();
        self.heals_at = now + Duration::from_millis(self.random.next() % longest);
    }

    fn fail_over(&mut self) {
        let site = self.random.below(self.weather.sites);
        let lost = self.random.below(12);
        let mut world = self.world.lock().unwrap();
        let before = world.sites[site].server.data.clone();
        let known = COUNTERS.map(|name| known_counts(&world, name));
        world.fail_over(site, lost);
        let after = world.sites[site].server.data.clone();
        for (name, known) in COUNTERS.into_iter().zip(known) {
            let still_known = known_counts(&world, name);
            let gone = known.missing_at(&still_known);
            let gone = gone.map(|field| known.field(field) - still_known.field(field));
            self.lost
                .push((name.to_owned(), gone.map(i128::from).sum()));
        }
        for key in before.values.keys() {
            if before.values.get(key) != after.values.get(key) {
                self.lost_keys.insert(key.clone());
            }
        }
    }

    /// Calm: partitions heal, queues are drained, differences repaired, and nothing differs.
    fn calm_down(&self) {
        self.world.lock().unwrap().heal();
        self.drain();
        // With more than two sites what one pair learns has to go on to the next one.
        for _ in 0..self.weather.sites {
            self.compare_all(Some(Repairs { copy_missing: true }));
            self.drain();
        }
        for report in self.compare_all(None) {
            assert_eq!(report.divergent(), 0, "seed {}: {report:#?}", self.seed);
            assert!(report.is_complete);
        }
        let violations = &self.world.lock().unwrap().violations;
        assert!(violations.is_empty(), "seed {}: {violations:#?}", self.seed);
    }

    fn drain(&self) {
        for site in 0..self.weather.sites {
            let local = Wire::new(&self.world, site, site);
            let remote = Wire::new(&self.world, site, peer(site, self.weather.sites));
            run_alone(&self.world, drain_all((local, remote), site));
        }
    }

    fn compare_all(&self, repairs: Option<Repairs>) -> Vec<ComparisonReport> {
        let mut reports = Vec::new();
        for site in 0..self.weather.sites {
            let other = peer(site, self.weather.sites);
            reports.push(compare(&self.world, site, other, repairs));
        }
        reports
    }

    /// The newest version of which a client was told that it is written is there, or a newer one.
    fn nothing_written_is_lost(&self) {
        let world = self.world.lock().unwrap();
        let ledger = self.ledger.lock().unwrap();
        assert!(ledger.operations > 100, "the storm did nothing");
        for (key, version) in &ledger.written {
            if self.lost_keys.contains(key) {
                continue;
            }
            let Stored::Envelope(kept) = world.sites[0].server.data.register(key) else {
                panic!("seed {}: {key:?} of {version} is gone", self.seed);
            };
            assert!(
                kept.version() >= version,
                "seed {}: {version} is lost",
                self.seed
            );
        }
    }

    /// Counters have all that was counted, but for what failovers lost, and never more.
    fn counters_are_right(&self) {
        let world = self.world.lock().unwrap();
        let ledger = self.ledger.lock().unwrap();
        for name in COUNTERS {
            let value = counter(&world.sites[0].server.data, name).value().abs();
            let key = format!("counter:{name}").into_bytes();
            let counted = world.counted.get(&key).copied().unwrap_or_default();
            let told = ledger.counted.get(name).copied().unwrap_or_default();
            assert!(
                told <= counted,
                "seed {}: {told} of {counted} of {name}",
                self.seed
            );
            let lost = self
                .lost
                .iter()
                .filter(|(of, _)| of == name)
                .map(|(_, lost)| lost);
            let at_least = counted - lost.sum::<i128>();
            let seed = self.seed;
            assert!(
                value >= at_least,
                "seed {seed}: {name} is {value}, at least {at_least}"
            );
            assert!(
                value <= counted,
                "seed {seed}: {name} is {value}, at most {counted}"
            );
        }
    }
}

fn counter(data: &crate::model::Data, name: &str) -> Counter {
    match data.values.get(format!("counter:{name}").as_bytes()) {
        Some(Value::Hash(hash)) => Counter::from_fields(hash.clone()).unwrap(),
        _ => Counter::default(),
    }
}

/// The most that any site knows of each field.
fn known_counts(world: &World, name: &str) -> Counter {
    let counters = world
        .sites
        .iter()
        .map(|site| counter(&site.server.data, name));
    counters.fold(Counter::default(), |known, site| known.merged(&site))
}

fn compare(
    world: &Arc<Mutex<World>>,
    first: usize,
    second: usize,
    repairs: Option<Repairs>,
) -> ComparisonReport {
    let wires = [
        Wire::new(world, first, first),
        Wire::new(world, first, second),
    ];
    run_alone(world, async move {
        let [first_dc, second_dc] = [dc(first), dc(second)];
        let comparison = Comparison {
            first: &wires[0],
            first_dc: &first_dc,
            second: &wires[1],
            second_dc: &second_dc,
            keys: &["user:*".to_owned()],
            counters: &["counter:*".to_owned()],
            pace: Pace {
                keys_per_second: None,
                settle: Duration::from_millis(50),
            },
            limits: ApplyLimits::default(),
            sample: None,
            repairs,
        };
        comparison.run(|_| {}).await.unwrap()
    })
}

fn seeds(default_runs: u64) -> std::ops::Range<u64> {
    match std::env::var("AA_SEED") {
        Ok(_) => {
            let seed = setting("AA_SEED", 0);
            seed..seed + 1
        }
        Err(_) => 0..setting("AA_RUNS", default_runs),
    }
}

#[test]
fn two_sites_agree_after_the_storm_and_nothing_is_lost() {
    for seed in seeds(25) {
        let mut storm = Storm::new(seed, CALM);
        storm.rage();
        storm.calm_down();
        storm.nothing_written_is_lost();
        storm.counters_are_right();
    }
}

#[test]
fn failovers_lose_what_they_lose_and_no_more() {
    for seed in seeds(25) {
        let mut storm = Storm::new(
            seed,
            Weather {
                has_failovers: true,
                ..CALM
            },
        );
        storm.rage();
        storm.calm_down();
        storm.nothing_written_is_lost();
        storm.counters_are_right();
    }
}

#[test]
fn three_sites_agree_after_repairs() {
    for seed in seeds(10) {
        let weather = Weather {
            sites: 3,
            services_per_site: 2,
            has_failovers: true,
            ..CALM
        };
        let mut storm = Storm::new(seed, weather);
        storm.rage();
        storm.calm_down();
        storm.nothing_written_is_lost();
    }
}

#[test]
fn beside_the_tutorials_clients_sites_agree_after_a_repair() {
    for seed in seeds(15) {
        let weather = Weather {
            tutorial_clients_per_site: 2,
            ..CALM
        };
        let mut storm = Storm::new(seed, weather);
        storm.rage();
        storm.calm_down();
    }
}

/// The control: the same storm with the tutorial's clients alone, and no repair, leaves sites that
/// differ although both queues are empty. So the checks above can fail.
#[test]
fn the_tutorials_clients_alone_leave_differences() {
    let mut differing = 0;
    for seed in 0..20 {
        let weather = Weather {
            services_per_site: 0,
            tutorial_clients_per_site: 3,
            has_crashes: false,
            ..CALM
        };
        let mut storm = Storm::new(seed, weather);
        storm.rage();
        storm.world.lock().unwrap().heal();
        storm.drain();
        let report = compare(&storm.world, 0, 1, None);
        differing += u64::from(report.divergent() > 0);
    }
    assert!(
        differing > 10,
        "only {differing} of 20 storms left differences"
    );
}

#[test]
fn tombstones_that_have_expired_leave_nothing_behind() {
    for seed in seeds(8) {
        let mut storm = Storm::new(seed, CALM);
        storm.rage();
        storm.calm_down();
        // Past every tombstone's end.
        storm.world.lock().unwrap().elapsed += Duration::from_hours(241);
        let report = compare(&storm.world, 0, 1, None);
        assert_eq!(report.divergent(), 0, "seed {seed}");
        let mut world = storm.world.lock().unwrap();
        let now = world.now(0);
        world.sites[0].server.expire(now);
        let registers = world.sites[0].server.data.clone();
        let is_tombstone = |key: &Vec<u8>| matches!(registers.register(key), Stored::Envelope(e) if e.is_tombstone());
        assert!(!registers.values.keys().any(is_tombstone), "seed {seed}");
    }
}
