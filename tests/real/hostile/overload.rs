//! An exporter whose machine is too small or too busy: it is late, and it blames no server for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

use super::clients::allow_many_connections;
use crate::exporter::Exporter;
use crate::fleet::Fleet;
use crate::scrape::Scrape;

/// How long the exporter may take for its rounds beside everything else.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the offsets of the fleet grow by, in bytes a second.
const WRITTEN: u64 = 100_000;

/// Threads that do nothing but use the processor. They end when this is dropped.
struct BusyLoops {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl BusyLoops {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spin = || {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..count).map(|_| spin()).collect();
        Self { stop, threads }
    }
}

impl Drop for BusyLoops {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The polls of all servers so far.
fn polls(scrape: &Scrape) -> f64 {
    scrape
        .value("redis_cross_dc_polls_total", &[])
        .unwrap_or(0.0)
}

/// Fails if the exporter says of any server or pair what is not so: all of them are healthy, and no
/// replica lacks anything.
fn assert_nothing_false(pairs: &[PairReport], log: &str) {
    for pair in pairs {
        let upper = pair.lag_upper_seconds;
        assert!(
            matches!(pair.state, PairState::Streaming | PairState::Unknown),
            "{}: {} ({:?})",
            pair.pair,
            pair.state,
            pair.reason
        );
        let lower = pair.lag_lower_seconds.unwrap_or(0.0);
        assert!(lower < 1e-6, "{}: at least {lower} s", pair.pair);
        assert!(upper.is_none_or(|upper| upper >= 0.0), "{}", pair.pair);
    }
    for claim in ["gave no answer", "level=error", "alert="] {
        let line = log.lines().find(|line| line.contains(claim));
        assert_eq!(line, None, "a claim about a healthy server");
    }
}

/// Watches the exporter over at least `rounds` more polls of every server.
async fn watch(exporter: &Exporter, servers: usize, rounds: usize) {
    let before = polls(&Scrape::of(exporter).await);
    let enough = before + (servers * rounds) as f64;
    eventually("more rounds of polls", PATIENCE, || async {
        let pairs = exporter.pairs().await.pairs;
        assert_nothing_false(&pairs, &exporter.log());
        let count = polls(&Scrape::of(exporter).await);
        if count >= enough {
            Ok(())
        } else {
            Err(format!("{count} of {enough} polls"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_busy_loops_beside_200_pairs_make_no_server_look_ill() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::start(200, WRITTEN).unwrap();
    let config = format!("poll: {{interval: 500ms}}\n{}", fleet.entries());
    let exporter = Exporter::start_with_log(&config, "info").await;
    let loops = BusyLoops::start(4);
    watch(&exporter, 400, 20).await;
    drop(loops);
    watch(&exporter, 400, 4).await;
    let scrape = Scrape::of(&exporter).await;
    let errors = scrape.value("redis_cross_dc_poll_errors_total", &[]);
    assert!(
        errors.unwrap_or(0.0) < 0.5,
        "{errors:?} errors of healthy servers"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_pairs_than_the_machine_can_poll_make_no_server_look_ill() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    allow_many_connections();
    let fleet = Fleet::start(400, WRITTEN).unwrap();
    let config = format!(
        "poll: {{interval: 100ms, min_interval: 100ms}}\n{}",
        fleet.entries()
    );
    let exporter = Exporter::start_with_log(&config, "info").await;
    watch(&exporter, 800, 10).await;
    let scrape = Scrape::of(&exporter).await;
    let missed = scrape.value("redis_cross_dc_poll_rounds_missed_total", &[]);
    assert!(
        missed.unwrap() > 100.0,
        "{missed:?} rounds missed: this machine is large enough"
    );
    let errors = scrape.value("redis_cross_dc_poll_errors_total", &[]);
    assert!(
        errors.unwrap_or(0.0) < 0.5,
        "{errors:?} errors of healthy servers"
    );
    assert_eq!(
        scrape.value("redis_cross_dc_exporter_overloaded", &[]),
        Some(1.0)
    );
    let interval = scrape.value("redis_cross_dc_effective_interval_seconds", &[]);
    assert!(interval.unwrap() > 0.11, "{interval:?} s instead of 0.1 s");
    let managed = exporter.pairs().await.exporter.overloaded;
    assert!(managed.unwrap().starts_with("it polls every "));
    let page = exporter.get("/").await;
    assert!(page.contains("The exporter has been overloaded since "));
}
