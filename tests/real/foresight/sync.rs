//! Full syncs: how long the transfer takes, with a file and without.

use redis_cross_dc_exporter::lab::{RedisServer, WanConditions, WanProxy};
use tokio::time::Instant;

use super::lane::{pause, since};
use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

/// What was foreseen of a transfer at these moments, and when it ended: in seconds.
async fn transfer(diskless: &str) -> (Vec<(f64, f64)>, f64, bool) {
    let master = RedisServer::builder()
        .allow_debug()
        .config(&format!("repl-diskless-sync {diskless}"))
        .config("repl-diskless-sync-delay 0")
        .config("rdbcompression no")
        .start()
        .await
        .unwrap();
    let populate = ["DEBUG", "POPULATE", "120000", "key", "400"];
    master.command(&populate).await.unwrap();
    let conditions = WanConditions {
        rate: Some(4_000_000),
        ..WanConditions::default()
    };
    let wan = WanProxy::start(None, master.addr(), conditions)
        .await
        .unwrap();
    let replica = RedisServer::builder().start().await.unwrap();
    let pair = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
    let exporter = Exporter::start(&format!("poll: {{interval: 1s}}\npairs:\n  - {pair}\n")).await;
    let port = wan.addr().port().unwrap().to_string();
    let follow = ["REPLICAOF", wan.addr().host().unwrap(), &port];
    replica.command(&follow).await.unwrap();
    let start = Instant::now();
    let mut foreseen = Vec::new();
    let mut is_estimate = false;
    let mut last_read = 0.0;
    while since(start) < LIMIT.as_secs_f64() {
        let pair = exporter.pair("orders").await;
        let sync = &pair.forecast.full_sync;
        if let Some(left) = sync.transfer_seconds {
            foreseen.push((since(start), left));
            is_estimate |= sync.total_is_estimate;
        }
        if sync.read_bytes.is_some() {
            last_read = since(start);
        } else if !foreseen.is_empty() {
            break;
        }
        pause(0.2).await;
    }
    (foreseen, last_read, is_estimate)
}

/// Half of the predictions, at least, are within this part of the whole duration.
const CLOSE: f64 = 0.3;

async fn check(diskless: &str, expects_estimate: bool) {
    let (foreseen, ended, is_estimate) = transfer(diskless).await;
    assert!(foreseen.len() >= 5, "{foreseen:?}, ended after {ended} s");
    assert_eq!(is_estimate, expects_estimate);
    let is_close = |(at, left): &&(f64, f64)| (left - (ended - at)).abs() <= CLOSE * ended;
    let close = foreseen.iter().filter(is_close).count();
    assert!(
        close * 2 >= foreseen.len(),
        "{foreseen:?}, ended after {ended} s"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_by_a_file_tells_how_long_it_takes() {
    check("no", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diskless_sync_tells_how_long_it_takes_by_its_keys() {
    check("yes", true).await;
}
