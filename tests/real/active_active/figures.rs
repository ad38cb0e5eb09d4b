//! What the commands cost and how fast they are: for docs/active-active.md, by `make
//! active-active-storms`. On a busy machine these say little: they have it to themselves, or fail.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{Direction, RedisServer, WanConditions, WanProxy};
use serde_json::Value;

use super::{Sites, envelope, now};
use crate::command::{folder_with, run};

/// One way between the datacenters: a round trip takes 80 ms.
const ONE_WAY: Duration = Duration::from_millis(40);

/// Items of the queue.
const ITEMS: u32 = 60_000;

/// What a drain has to reach, in items a second.
const DRAIN_RATE: f64 = 5_000.0;

/// Keys that are compared.
const KEYS: u32 = 1_000_000;

/// What a comparison of them may take, in seconds.
const VERIFY_SECONDS: f64 = 240.0;

/// And how much of a core of each server.
const VERIFY_SHARE: f64 = 0.02;

/// Fills a site with keys of some 190 bytes from within, which takes a second.
const FILL: &str =
    "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do redis.call('SET', 'user:' .. i, ARGV[3]) end";

/// The same, and an item of the queue for each.
const FILL_QUEUE: &str = "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do \
    redis.call('SET', 'user:' .. i, ARGV[3]) \
    redis.call('LPUSH', 'sync_queue', '{\"key\": \"user:' .. i .. '\", \"data\": ' .. ARGV[3] .. '}') end";

async fn fill(server: &RedisServer, script: &str, keys: u32, data: &str) {
    let mut connection = server.connect().await.unwrap();
    for first in (0..keys).step_by(20_000) {
        let last = (first + 19_999).min(keys - 1);
        let (first, last) = (first.to_string(), last.to_string());
        let words = ["EVAL", script, "0", &first, &last, data];
        connection.command(&words).await.unwrap();
    }
}

fn data() -> String {
    envelope(&"x".repeat(80), now() - 1_000.0, "dc1")
}

/// Seconds for which the server's main thread has used a core.
async fn used(server: &RedisServer) -> f64 {
    let mut sum = 0.0;
    for field in ["used_cpu_sys_main_thread", "used_cpu_user_main_thread"] {
        let text = server.info_field("cpu", field).await.unwrap();
        let text = text.expect("Redis 7.0 or later");
        sum += text.trim().parse::<f64>().unwrap();
    }
    sum
}

/// Both directions: the command runs beside dc1, and reaches dc2 over a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make active-active-storms"]
async fn a_queue_is_drained_over_a_wide_area_network() {
    let sites = Sites::start().await;
    let conditions = WanConditions {
        delay: ONE_WAY,
        ..WanConditions::default()
    };
    let line = WanProxy::start(None, sites.dc2.addr(), conditions)
        .await
        .unwrap();
    let yaml = format!(
        "active_active:\n  - name: profiles\n    sites: [{{address: '{}', dc: dc1}}, {{address: '{}', dc: dc2}}]\n    \
         sync_queue: sync_queue\n    keys: ['user:*']\n",
        sites.dc1.addr(),
        line.addr()
    );
    let folder = folder_with(&yaml);
    for (place, source) in [&sites.dc1, &sites.dc2].into_iter().enumerate() {
        for server in [&sites.dc1, &sites.dc2] {
            server.command(&["FLUSHALL"]).await.unwrap();
        }
        fill(source, FILL_QUEUE, ITEMS, &data()).await;
        let args = [
            "active-active",
            "sync",
            "--execute",
            "--items-per-second",
            "1000000",
            "--settle",
            "1s",
            "--output",
            "json",
            "--config.file",
            "config.yml",
        ];
        let outcome = run(folder.path(), &args).await.ended_with(0);
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let queue = &report["entries"][0]["queues"][place];
        let drained = &queue["drained"];
        assert_eq!(drained["applied"], ITEMS, "{report:#}");
        let rate = f64::from(ITEMS) / drained["seconds"].as_f64().unwrap();
        println!(
            "drain of {ITEMS} items from {} to {} over a round trip of {:?}: {rate:.0} items a second",
            queue["source_dc"],
            queue["target_dc"],
            2 * ONE_WAY
        );
        assert!(rate >= DRAIN_RATE, "{rate:.0} items a second");
    }
    line.stall(Direction::Both);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: make active-active-storms"]
async fn a_million_keys_are_compared() {
    let sites = Sites::start().await;
    let data = data();
    for server in [&sites.dc1, &sites.dc2] {
        fill(server, FILL, KEYS, &data).await;
    }
    // The proof that all are compared: one that differs, and one that only the second site has.
    let newer = envelope("newer", now() - 500.0, "dc1");
    super::set(&sites.dc1, "user:777777", &newer).await;
    super::set(&sites.dc2, "user:only", &data).await;
    let before = [used(&sites.dc1).await, used(&sites.dc2).await];
    let began = Instant::now();
    let outcome = sites
        .run(&["verify", "--output", "json"])
        .await
        .ended_with(10);
    let took = began.elapsed().as_secs_f64();
    let after = [used(&sites.dc1).await, used(&sites.dc2).await];
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let pair = &report["entries"][0]["pairs"][0];
    assert_eq!(pair["complete"], true, "{report:#}");
    assert_eq!(pair["divergent"], 2, "{report:#}");
    assert!(
        pair["keys"].as_u64().unwrap() > u64::from(KEYS),
        "{report:#}"
    );
    let shares = [0, 1].map(|site: usize| (after[site] - before[site]) / took);
    println!(
        "verify of {KEYS} keys of {} bytes at two sites: {took:.0} s, both differences found; {:.2} % of a core at dc1, \
         {:.2} % at dc2",
        data.len(),
        100.0 * shares[0],
        100.0 * shares[1]
    );
    assert!(took <= VERIFY_SECONDS, "{took:.0} s");
    for share in shares {
        assert!(share <= VERIFY_SHARE, "{share:.4} of a core");
    }
}
