//! Probes of active-active sites on real servers: what they measure with a worker and without one,
//! what they leave behind, and the rights that they need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis_cross_dc_exporter::active_active::ApplyLimits;
use redis_cross_dc_exporter::client::ServerSite;
use redis_cross_dc_exporter::config::Credentials;
use redis_cross_dc_exporter::lab::{RedisServer, Reply, eventually};
use redis_cross_dc_exporter::model::{Datacenter, Span};
use redis_cross_dc_exporter::multi_site::Drain;
use redis_cross_dc_exporter::topology::Server;
use serde_json::Value;

use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::site_monitoring::{add_user, command, documented_rights, envelope, now, set};
use crate::stage::LIMIT;

/// A direction's labels and one more.
fn labels<'a>(
    source: &'a str,
    target: &'a str,
    last: (&'a str, &'a str),
) -> [(&'a str, &'a str); 4] {
    [
        ("name", "profiles"),
        ("source_dc", source),
        ("target_dc", target),
        last,
    ]
}

/// How many writes of a direction and path have arrived.
fn arrived(scrape: &Scrape, source: &str, target: &str, path: &str) -> f64 {
    let name = "redis_cross_dc_active_active_convergence_seconds_count";
    let labels = labels(source, target, ("path", path));
    scrape.value(name, &labels).unwrap_or_default()
}

fn written(scrape: &Scrape, source: &str, target: &str, result: &str) -> f64 {
    let name = "redis_cross_dc_active_active_probe_writes_total";
    let labels = labels(source, target, ("result", result));
    scrape.value(name, &labels).unwrap_or_default()
}

/// An entry with probes; the sites are named dc1 and dc2.
fn entry(name: &str, [dc1, dc2]: [&RedisServer; 2], user: &str) -> String {
    format!(
        "  - name: {name}\n    sites: [{{address: '{}', dc: dc1}}, {{address: '{}', dc: dc2}}]\n    \
         username: {user}\n    password: secret\n    sync_queue: sync_queue\n    keys: ['user:*']\n    \
         monitor: true\n    probe: true\n    keys_per_second: 2000\n    settle: 10s\n",
        dc1.addr(),
        dc2.addr()
    )
}

/// The applications' worker: drains from one server to the other until it is stopped.
async fn work(from: RedisServerAt, to: RedisServerAt, stop: Arc<AtomicBool>) {
    let (source, target) = (from.site(), to.site());
    let drain = Drain {
        source: &source,
        target: &target,
        queue: "sync_queue",
        limits: ApplyLimits::default(),
        items_per_second: None,
    };
    while !stop.load(Ordering::Relaxed) {
        drain.run(u64::MAX, |_| {}).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Where a server is.
struct RedisServerAt(Server);

impl RedisServerAt {
    fn new(server: &RedisServer, dc: &str) -> Self {
        Self(Server {
            addr: server.addr().clone(),
            dc: Datacenter::new(dc),
            local: true,
            credentials: Credentials::default(),
            tls: None,
        })
    }

    fn site(self) -> ServerSite {
        ServerSite::new(self.0, Span::from_secs(5))
    }
}

async fn keys(server: &RedisServer) -> Vec<String> {
    match server.command(&["KEYS", "*"]).await.unwrap() {
        Reply::Array(keys) => keys.iter().filter_map(Reply::text).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn probes_show_how_long_the_worker_and_the_network_take() {
    let dc1 = RedisServer::builder().start().await.unwrap();
    let dc2 = RedisServer::builder().start().await.unwrap();
    let [monitoring, probes] = documented_rights();
    for server in [&dc1, &dc2] {
        let rights: Vec<&str> = monitoring
            .iter()
            .chain(&probes)
            .map(String::as_str)
            .collect();
        add_user(server, "monitor", &rights).await;
        set(server, "user:1", &envelope("old", now() - 100.0, "dc1")).await;
    }
    let exporter = Exporter::start(&format!(
        "active_active:\n{}",
        entry("profiles", [&dc1, &dc2], "monitor")
    ))
    .await;
    // There is a worker at dc1 and none at dc2.
    let stop = Arc::new(AtomicBool::new(false));
    let [from, to] = [(&dc1, "dc1"), (&dc2, "dc2")].map(|(s, dc)| RedisServerAt::new(s, dc));
    let worker = tokio::spawn(work(from, to, Arc::clone(&stop)));
    let seen = eventually("probes to arrive", LIMIT, || async {
        let scrape = Scrape::of(&exporter).await;
        let is_so = arrived(&scrape, "dc1", "dc2", "queue") >= 1.0
            && arrived(&scrape, "dc1", "dc2", "direct") >= 1.0
            && arrived(&scrape, "dc2", "dc1", "direct") >= 1.0
            && written(&scrape, "dc2", "dc1", "written") >= 2.0;
        is_so.then_some(scrape)
    });
    let scrape = seen.await.unwrap();
    assert!(arrived(&scrape, "dc2", "dc1", "queue") < 1.0);
    for (source, target) in [("dc1", "dc2"), ("dc2", "dc1")] {
        assert!(written(&scrape, source, target, "failed") < 1.0);
    }
    let report: Value = serde_json::from_str(&exporter.get("/api/v1/active-active").await).unwrap();
    let writes = report["entries"][0]["directions"][0]["writes"]
        .as_array()
        .unwrap();
    let queue = writes
        .iter()
        .find(|writes| writes["path"] == "queue")
        .unwrap();
    assert!(
        queue["latest_seconds"].as_f64().unwrap() < 60.0,
        "{report:#}"
    );

    // Nothing but keys that expire, and an item that waits for a worker.
    let length = dc2.command(&["LLEN", "sync_queue"]).await.unwrap();
    assert_eq!(length, Reply::Integer(1), "one at a time");
    for server in [&dc1, &dc2] {
        for key in keys(server).await {
            if key == "sync_queue" || key == "user:1" {
                continue;
            }
            assert!(key.starts_with("{redis-cross-dc-probe}:profiles:"), "{key}");
            let Reply::Integer(lives) = server.command(&["PTTL", &key]).await.unwrap() else {
                panic!("PTTL is no number");
            };
            assert!((1..=600_000).contains(&lives), "{key} lives for {lives} ms");
        }
    }

    // A key of the applications that is under way for some seconds is seen and waited for.
    set(&dc1, "user:1", &envelope("new", now(), "dc1")).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let Reply::Bulk(text) = dc1.command(&["GET", "user:1"]).await.unwrap() else {
        panic!("user:1 is gone");
    };
    set(&dc2, "user:1", &String::from_utf8(text).unwrap()).await;
    let seen = eventually("the key to arrive", LIMIT, || async {
        let scrape = Scrape::of(&exporter).await;
        (arrived(&scrape, "dc1", "dc2", "keys") >= 1.0).then_some(scrape)
    });
    let scrape = seen.await.unwrap();
    let name = "redis_cross_dc_active_active_convergence_seconds_sum";
    let took = scrape
        .value(name, &labels("dc1", "dc2", ("path", "keys")))
        .unwrap();
    assert!((4.0..60.0).contains(&took), "{took}");
    stop.store(true, Ordering::Relaxed);
    worker.await.unwrap();
}

/// Each documented right is needed: without it a probe is not written, and the reason says so.
#[tokio::test]
async fn probes_need_the_documented_rights_and_no_more() {
    let dc1 = RedisServer::builder().start().await.unwrap();
    let dc2 = RedisServer::builder().start().await.unwrap();
    let [monitoring, probes] = documented_rights();
    let mut names = vec!["all".to_owned()];
    names.extend((0..probes.len()).map(|place| format!("lacks{place}")));
    let mut yaml = String::from("active_active:\n");
    for (place, name) in names.iter().enumerate() {
        let mut own: Vec<&str> = probes.iter().map(String::as_str).collect();
        if let Some(lacking) = place.checked_sub(1) {
            own.remove(lacking);
        }
        for right in &monitoring {
            if !probes.contains(right) {
                own.push(right);
            }
        }
        for server in [&dc1, &dc2] {
            add_user(server, name, &own).await;
        }
        yaml += &entry(name, [&dc1, &dc2], name);
    }
    command(&dc1, &["SCRIPT", "FLUSH"]).await;
    let exporter = Exporter::start(&yaml).await;
    let judged = eventually("every right to be missed", LIMIT, || async {
        let text = exporter.get("/api/v1/active-active").await;
        let report: Value = serde_json::from_str(&text).unwrap();
        let entries = report["entries"].as_array().unwrap();
        let is_so = |entry: &Value| match entry["name"].as_str().unwrap() {
            "all" => !fails(entry) && works(entry),
            // Servers know the scripts by then from other users; and a key whose expiry cannot be
            // set again is no failure of a probe.
            name if ["+eval", "+pexpire"].contains(&probes[place_of(name)].as_str()) => true,
            _ => fails(entry),
        };
        entries.iter().all(is_so).then_some(())
    });
    if let Err(error) = judged.await {
        panic!("{error}\n{}", exporter.get("/api/v1/active-active").await);
    }
}

/// Every path's writes of an entry.
fn paths(entry: &Value) -> Vec<Value> {
    let directions = entry["directions"].as_array().unwrap();
    let writes = directions
        .iter()
        .flat_map(|d| d["writes"].as_array().unwrap());
    writes.cloned().collect()
}

fn fails(entry: &Value) -> bool {
    paths(entry).iter().any(|path| path["reason"].is_string())
}

fn works(entry: &Value) -> bool {
    paths(entry)
        .iter()
        .any(|path| path["path"] == "direct" && path["count"].as_u64() > Some(0))
}

/// Which right the user of this entry lacks.
fn place_of(name: &str) -> usize {
    name.trim_start_matches("lacks").parse().unwrap()
}
