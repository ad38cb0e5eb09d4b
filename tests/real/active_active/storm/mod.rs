//! Storms on real servers: writers at both sites, a partition between them, its end, a drainer that
//! is killed again and again, and then nothing may be lost and nothing may differ. And the same
//! with the tutorial's client, as control.
//!
//! `AA_STORMS`, `AA_PARTITION_SECONDS` and `AA_KILLS` say how much; `AA_STORM_SEED` replays a
//! storm.

#![allow(clippy::print_stdout)] // the figures are for people who measure

mod control;
mod drainer;
mod ledger;
mod wan;
mod writers;

use std::str::FromStr;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::Sites;
use drainer::Kills;
use ledger::Ledger;
use wan::Wan;
use writers::Writers;

/// How many writes a second each site gets.
const WRITES_PER_SECOND: u32 = 1_000;

/// How much a run of storms does.
struct Extent {
    storms: u64,
    partition: Duration,
    /// How often the drainers are killed, over all storms.
    kills: u64,
    /// The first storm's; each further one has the next.
    seed: u64,
}

impl Extent {
    /// From the environment, or else so many storms.
    fn new(storms: u64, partition_seconds: f64, kills: u64) -> Self {
        let seconds = number("AA_PARTITION_SECONDS").unwrap_or(partition_seconds);
        let seed = number("AA_STORM_SEED");
        Self {
            storms: number("AA_STORMS").unwrap_or(storms),
            partition: Duration::from_secs_f64(seconds),
            kills: number("AA_KILLS").unwrap_or(kills),
            seed: seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        }
    }
}

/// A number from the environment.
fn number<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// What a storm has shown.
#[derive(Default)]
struct Outcome {
    written: u64,
    writes_per_second: f64,
    counted: u64,
    queued: u64,
    kills: u64,
    lost: usize,
    /// Keys and counters that differ for good, in the end.
    divergent: u64,
}

/// Some storms in a short form, as a part of every run of the tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_partition_although_the_drainer_is_killed() {
    run(&Extent {
        storms: 1,
        partition: Duration::from_secs(3),
        kills: 3,
        seed: fastrand::u64(..1_000_000),
    })
    .await;
}

/// `make active-active-storms`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes to hours: make active-active-storms"]
async fn many_storms_lose_nothing() {
    run(&Extent::new(100, 60.0, 500)).await;
}

async fn run(extent: &Extent) {
    let mut killed = 0;
    let mut total = Outcome::default();
    for storm in 0..extent.storms {
        let seed = extent.seed + storm;
        // The kills that are left, over the storms that are left.
        let kills = (extent.kills - killed).div_ceil(extent.storms - storm);
        let outcome = rage(seed, extent.partition, kills).await;
        killed += outcome.kills;
        println!(
            "storm {} of {}, seed {seed}: {} writes acknowledged ({:.0} a second and site), {} increments; \
             {} queued when it healed; drainer killed {} times; {} lost, {} differ",
            storm + 1,
            extent.storms,
            outcome.written,
            outcome.writes_per_second,
            outcome.counted,
            outcome.queued,
            outcome.kills,
            outcome.lost,
            outcome.divergent
        );
        assert_eq!(
            (outcome.lost, outcome.divergent),
            (0, 0),
            "AA_STORM_SEED={seed}"
        );
        total.written += outcome.written;
        total.queued += outcome.queued;
    }
    println!(
        "{} storms with a partition of {:.0} s: {} writes, {} queued, drainer killed {killed} times; 0 lost, 0 differ",
        extent.storms,
        extent.partition.as_secs_f64(),
        total.written,
        total.queued
    );
    assert!(
        killed >= extent.kills.min(extent.storms),
        "the drainer was killed {killed} times only"
    );
}

/// One storm.
async fn rage(seed: u64, partition: Duration, kills: u64) -> Outcome {
    let mut random = Rng::with_seed(seed);
    let sites = Sites::start().await;
    let wan = Wan::start(&sites, &mut random).await;
    let ledger = Ledger::default();
    let began = Instant::now();
    let writers = Writers::start(&sites, &wan, &ledger, WRITES_PER_SECOND, seed);
    tokio::time::sleep(Duration::from_millis(500)).await;
    wan.part(&mut random).await;
    tokio::time::sleep(partition).await;
    let queued = sites.queued().await;
    wan.heal().await;
    tokio::time::sleep(Duration::from_millis(random.u64(..500))).await;
    writers.stop().await;
    let took = began.elapsed().as_secs_f64();

    let killed = Kills {
        sites: &sites,
        wanted: kills,
    };
    let killed = killed.run(&mut random).await;
    let args = ["sync", "--settle", "1s", "--execute", "--missing", "copy"];
    let outcome = sites.run(&args).await.ended_with(0);
    assert_eq!(sites.queued().await, 0, "seed {seed}: {outcome:#?}");
    let report = sites.verify().await;
    ledger.counters_are_right(&sites, seed).await;
    Outcome {
        written: ledger.writes(),
        writes_per_second: ledger.writes() as f64 / took / 2.0,
        counted: ledger.increments(),
        queued,
        kills: killed,
        lost: ledger.lost(&sites).await,
        divergent: report["entries"][0]["pairs"][0]["divergent"]
            .as_u64()
            .unwrap(),
    }
}
