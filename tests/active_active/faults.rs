//! Servers that load their data, forget scripts in the middle of a drain, and evict the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis_cross_dc_exporter::active_active::{ApplyLimits, Difference, SiteError};
use redis_cross_dc_exporter::multi_site::{
    Comparison, Drain, LwwStore, Pace, Propagation, Repairs, Source, Stopped, Waiting,
};

use crate::servers::{LIMIT, RealServer};

/// Text of an envelope that is a while old.
fn envelope(value: &str) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let stamp = since.unwrap().as_secs() - 100;
    format!(
        "{{\"value\": \"{value}\", \"timestamp\": {stamp}.5, \"dc\": \"dc1\", \"version\": \"dc1:{stamp}.5\"}}"
    )
}

/// Writes so many keys, each with an item of the queue.
async fn fill(server: &RealServer, keys: usize) {
    let script = "for i = 1, tonumber(ARGV[1]) do \
        redis.call('SET', 'user:' .. i, ARGV[2]) \
        redis.call('LPUSH', 'sync_queue', '{\"key\": \"user:' .. i .. '\", \"data\": ' .. ARGV[2] .. '}') end";
    let keys = keys.to_string();
    server
        .query::<()>(&["EVAL", script, "0", &keys, &envelope("x")])
        .await;
}

async fn queued(server: &RealServer) -> u64 {
    server.query(&["LLEN", "sync_queue"]).await
}

#[tokio::test]
async fn a_site_that_loads_its_data_is_waited_for() {
    let dc1 = RealServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let mut dc2 = RealServer::start(&["--dir", folder]);
    fill(&dc2, 4_000).await;
    dc2.query::<()>(&["DEL", "sync_queue"]).await;
    dc2.query::<()>(&["SAVE"]).await;
    // It takes a millisecond to load a key, and answers in between.
    let slowly = [
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    dc2.restart_with(&slowly);
    let local = dc1.connect().await;
    let remote = dc2.connect().await;
    let builder = || {
        LwwStore::builder("dc1")
            .local_timeout(LIMIT)
            .remote_timeout(LIMIT)
    };
    let store = builder().connect(local.clone(), remote.clone()).unwrap();
    let written = store.set("user:1", &1).await.unwrap();
    let loading = Propagation::Queued(Waiting::Site(SiteError::Loading));
    assert_eq!(written.propagation, loading);
    let report = store.drain(10).await;
    assert_eq!(report.stopped, Some(Stopped::Target(SiteError::Loading)));
    assert_eq!((report.taken, queued(&dc1).await), (0, 1));
    // A service beside the site that loads reads from the other one.
    let beside = builder().connect(remote, local).unwrap();
    let read = beside.get::<u32>("user:1").await.unwrap();
    assert_eq!((read.value, read.from), (Some(1), Source::Remote));
    let deadline = Instant::now() + LIMIT;
    while store.drain(10).await.stopped.is_some() {
        assert!(Instant::now() < deadline, "it loads for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(queued(&dc1).await, 0);
    assert_eq!(dc2.query::<u64>(&["DBSIZE"]).await, 4_000);
}

/// Both servers forget the scripts all the time, also between the requests of a batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_in_the_middle_of_a_drain_lose_nothing() {
    const ITEMS: usize = 20_000;
    let dc1 = Arc::new(RealServer::start(&[]));
    let dc2 = Arc::new(RealServer::start(&[]));
    fill(&dc1, ITEMS).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for server in [&dc1, &dc2] {
        let (server, stop) = (Arc::clone(server), Arc::clone(&stop));
        tasks.push(tokio::spawn(async move {
            let mut count = 0;
            let mut connection = server.connect().await;
            while !stop.load(Ordering::Relaxed) {
                let mut command = redis::cmd("SCRIPT");
                command.arg("FLUSH");
                command.query_async::<()>(&mut connection).await.unwrap();
                count += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            count
        }));
    }
    let (source, target) = (dc1.site().await, dc2.site().await);
    let drain = Drain {
        source: &source,
        target: &target,
        queue: "sync_queue",
        limits: ApplyLimits::default(),
        items_per_second: None,
    };
    // A script that is forgotten in each of its attempts stops a drain, which is then repeated.
    let mut applied = 0;
    let deadline = Instant::now() + LIMIT;
    while queued(&dc1).await > 0 {
        applied += drain.run(u64::MAX, |_| {}).await.applied;
        assert!(Instant::now() < deadline, "{applied} of {ITEMS}");
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        assert!(task.await.unwrap() > 0);
    }
    assert_eq!(applied, ITEMS as u64);
    assert_eq!(dc2.query::<usize>(&["DBSIZE"]).await, ITEMS);
}

/// A full server with an allkeys policy evicts the whole queue at once: what it had is found by
/// comparing the sites, and by nothing else.
#[tokio::test]
async fn a_queue_that_was_evicted_leaves_differences_that_a_comparison_finds() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    fill(&dc1, 300).await;
    let info: String = dc1.query(&["INFO", "memory"]).await;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .unwrap();
    let limit = used.trim().parse::<u64>().unwrap() + 1_500_000;
    dc1.query::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .await;
    dc1.query::<()>(&["CONFIG", "SET", "maxmemory", &limit.to_string()])
        .await;
    // Other keys are written, and the registers are read now and then: the queue is not.
    let others = "for i = 1, 500 do redis.call('SET', 'cache:' .. ARGV[1] .. ':' .. i, ARGV[2]) end \
        for i = 1, 300 do redis.call('GET', 'user:' .. i) end";
    let value = "x".repeat(200);
    let mut round = 0;
    while dc1.query::<u64>(&["EXISTS", "sync_queue"]).await > 0 {
        round += 1;
        assert!(round < 2_000, "the queue stays");
        dc1.query::<()>(&["EVAL", others, "0", &round.to_string(), &value])
            .await;
    }
    // From here on nothing more is evicted.
    dc1.query::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let (first, second) = (dc1.site().await, dc2.site().await);
    let drain = Drain {
        source: &first,
        target: &second,
        queue: "sync_queue",
        limits: ApplyLimits::default(),
        items_per_second: None,
    };
    assert_eq!(drain.run(u64::MAX, |_| {}).await.taken, 0, "it looks empty");
    let left: Vec<String> = dc1.query(&["KEYS", "user:*"]).await;
    assert!(!left.is_empty());
    let comparison = Comparison {
        first: &first,
        first_dc: "dc1",
        second: &second,
        second_dc: "dc2",
        keys: &["user:*".to_owned()],
        counters: &[],
        pace: Pace {
            keys_per_second: None,
            settle: Duration::from_millis(20),
        },
        limits: ApplyLimits::default(),
        sample: None,
        repairs: Some(Repairs { copy_missing: true }),
    };
    let report = comparison.run(|_| {}).await.unwrap();
    let missing = report.first_to_second.settled.get(&Difference::Missing);
    assert_eq!(missing.copied().unwrap_or_default(), left.len() as u64);
    assert_eq!(dc2.query::<usize>(&["DBSIZE"]).await, left.len());
}
