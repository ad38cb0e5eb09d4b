//! The control: the tutorial's client in the same partitions. It leaves sites that differ with
//! empty queues, so the checks of the storms can fail; and our repair brings the sites together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::super::Sites;
use super::Extent;
use super::wan::Wan;
use crate::active_active::python::TutorialClient;

/// Keys that the tutorial's clients write.
const KEYS: u32 = 500;

/// How long each of its writers rests between two writes: two of them at each site write 1,000 a
/// second.
const REST: Duration = Duration::from_millis(2);

/// Requests of its worker at most.
const MAX_STEPS: u32 = 10_000_000;

/// What a storm has left.
struct Left {
    written: u64,
    killed: u64,
    divergent: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorials_client_leaves_differences_that_a_sync_repairs() {
    run(&Extent {
        storms: 1,
        partition: Duration::from_secs(3),
        kills: 2,
        seed: fastrand::u64(..1_000_000),
    })
    .await;
}

/// `make active-active-storms`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes to hours: make active-active-storms"]
async fn many_storms_of_the_tutorials_client_are_repaired() {
    run(&Extent::new(10, 10.0, 40)).await;
}

async fn run(extent: &Extent) {
    let mut failed = 0;
    for storm in 0..extent.storms {
        let seed = extent.seed + storm;
        let left = rage(seed, extent.partition, extent.kills / extent.storms).await;
        failed += u64::from(left.divergent > 0);
        println!(
            "the tutorial's client, storm {} of {}, seed {seed}: {} writes, worker killed {} times; {} keys differed \
             with empty queues, 0 after our sync",
            storm + 1,
            extent.storms,
            left.written,
            left.killed,
            left.divergent
        );
    }
    println!(
        "the tutorial's client has failed in {failed} of {} storms; our sync repaired all of them",
        extent.storms
    );
    assert_eq!(failed, extent.storms, "the storms are too mild a test");
}

async fn rage(seed: u64, partition: Duration, kills: u64) -> Left {
    let mut random = Rng::with_seed(seed);
    let sites = Sites::start().await;
    let wan = Wan::start(&sites, &mut random).await;
    let stop = Arc::new(AtomicBool::new(false));
    let [(first, first_line), (second, second_line)] =
        [(&sites.dc1, &wan.to_second), (&sites.dc2, &wan.to_first)]
            .map(|(site, line)| (site.addr().port().unwrap(), line.addr().port().unwrap()));
    let mut writers = Vec::new();
    for (dc, local, remote) in [("dc1", first, first_line), ("dc2", second, second_line)] {
        for _ in 0..2 {
            let random = Rng::with_seed(random.u64(..));
            let stop = Arc::clone(&stop);
            let client = TutorialClient::start(dc, local, remote);
            writers.push(std::thread::spawn(move || write(client, random, &stop)));
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Connections that are refused are what its queue is for; the others are its holes.
    wan.part(&mut random).await;
    tokio::time::sleep(partition).await;
    wan.heal().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.join().unwrap();
    }

    let mut killed = 0;
    for (dc, local, remote) in [("dc1", first, second), ("dc2", second, first)] {
        killed += work(dc, local, remote, kills, &mut random);
    }
    assert_eq!(
        sites.queued().await,
        0,
        "its worker has worked off everything"
    );
    let report = sites.verify().await;
    let divergent = report["entries"][0]["pairs"][0]["divergent"].as_u64();
    let args = ["sync", "--settle", "1s", "--execute", "--missing", "copy"];
    sites.run(&args).await.ended_with(0);
    let report = sites.verify().await;
    assert_eq!(
        report["converged"], true,
        "AA_STORM_SEED={seed}: {report:#}"
    );
    Left {
        written,
        killed,
        divergent: divergent.unwrap(),
    }
}

/// Writes until it is stopped; returns how often.
fn write(mut client: TutorialClient, mut random: Rng, stop: &AtomicBool) -> u64 {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("user:{}", random.u32(..KEYS));
        // An exception is the application's to handle; it goes on.
        client.run("store", "set", &json!([key, random.u32(..)]));
        written += 1;
        std::thread::sleep(REST);
    }
    written
}

/// Runs its worker until the queue is empty; some of them are killed in between. Returns how many.
fn work(dc: &str, local: u16, remote: u16, kills: u64, random: &mut Rng) -> u64 {
    let mut killed = 0;
    for _ in 0..kills {
        let mut worker = TutorialClient::start(dc, local, remote);
        // Each step is a request.
        let begun = worker.start_call("store", "sync_pending", &json!([]));
        let mut has_ended = begun.has_ended();
        for _ in 0..random.u32(..30) {
            has_ended = has_ended || worker.step().has_ended();
        }
        if has_ended {
            break;
        }
        worker.kill();
        killed += 1;
    }
    let mut last = TutorialClient::start(dc, local, remote);
    last.run_for(MAX_STEPS, "store", "sync_pending").result();
    killed
}
