//! The monitoring of active-active sites on real servers: metrics and API against the truth through
//! a partition, its end, a repair and a restored server; and the rights that it needs.

use redis_cross_dc_exporter::lab::{RedisServer, eventually};
use redis_cross_dc_exporter::report::ListedState;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::command::{folder_with, run};
use crate::exporter::Exporter;
use crate::scrape::Scrape;
use crate::stage::LIMIT;

const THERE: [(&str, &str); 3] = [
    ("name", "profiles"),
    ("source_dc", "dc1"),
    ("target_dc", "dc2"),
];

const BACK: [(&str, &str); 3] = [
    ("name", "profiles"),
    ("source_dc", "dc2"),
    ("target_dc", "dc1"),
];

/// The metric `redis_cross_dc_active_active_{name}`.
fn metric(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    scrape.value(&format!("redis_cross_dc_active_active_{name}"), labels)
}

/// The rights that docs/active-active.md names for the monitoring, and for probes besides.
pub(crate) fn documented_rights() -> [Vec<String>; 2] {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/active-active.md");
    let document = std::fs::read_to_string(document).unwrap();
    let lines: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with('+'))
        .collect();
    let [_library, _verify, monitoring, probes] = lines[..] else {
        panic!("four lines of rights are expected: {lines:?}");
    };
    [monitoring, probes].map(|rights| rights.split(' ').map(str::to_owned).collect())
}

pub(crate) async fn add_user(server: &RedisServer, name: &str, rights: &[&str]) {
    let mut words = vec!["ACL", "SETUSER", name, "on", ">secret", "-@all"];
    words.extend(rights);
    server.command(&words).await.unwrap();
}

/// An entry of `active_active`; the sites are named dc1 and dc2.
fn entry(name: &str, addresses: [&str; 2], user: &str) -> String {
    let [dc1, dc2] = addresses;
    format!(
        "  - name: {name}\n    sites: [{{address: '{dc1}', dc: dc1}}, {{address: '{dc2}', dc: dc2}}]\n    \
         username: {user}\n    password: secret\n    sync_queue: sync_queue\n    keys: ['user:*']\n    \
         counters: ['counter:*']\n    monitor: true\n    keys_per_second: 2000\n    settle: 1s\n"
    )
}

/// Two sites, and an exporter that monitors them with the documented rights.
struct Scene {
    dc1: RedisServer,
    dc2: RedisServer,
    exporter: Exporter,
}

impl Scene {
    async fn set() -> Self {
        let dc1 = RedisServer::builder().start().await.unwrap();
        let dc2 = RedisServer::builder().start().await.unwrap();
        let [rights, _] = documented_rights();
        let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
        for server in [&dc1, &dc2] {
            add_user(server, "monitor", &rights).await;
        }
        for number in 0..300 {
            let stored = envelope("old", now() - 100.0, "dc1");
            for server in [&dc1, &dc2] {
                set(server, &format!("user:{number}"), &stored).await;
            }
        }
        for server in [&dc1, &dc2] {
            command(
                server,
                &["HSET", "counter:visits", "p:dc1", "5", "p:dc2", "3"],
            )
            .await;
            // What a backup has.
            command(server, &["SAVE"]).await;
        }
        let shifted = shift_clock(&dc2, 3).await;
        let (first, second) = (dc1.addr().to_string(), dc2.addr().to_string());
        let yaml = format!(
            "active_active:\n{}{}",
            entry("profiles", [&first, &second], "monitor"),
            entry("skewed", [&first, &shifted], "monitor"),
        );
        Self {
            exporter: Exporter::start(&yaml).await,
            dc1,
            dc2,
        }
    }

    /// Waits until the metrics satisfy `is_so`.
    async fn until(&self, what: &str, is_so: impl Fn(&Scrape) -> bool) -> Scrape {
        let found = eventually(what, LIMIT, || async {
            let scrape = Scrape::of(&self.exporter).await;
            is_so(&scrape).then_some(scrape)
        });
        match found.await {
            Ok(scrape) => scrape,
            Err(error) => panic!("{error}\n{:#}", self.report().await),
        }
    }

    async fn report(&self) -> Value {
        let text = self.exporter.get("/api/v1/active-active").await;
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until both directions were counted, with so many registers each.
    async fn until_divergent(&self, there: f64, back: f64) -> Scrape {
        let what = format!("{there} and {back} keys to differ");
        let is_so = |scrape: &Scrape| {
            let divergent = |labels| metric(scrape, "divergent_keys", labels);
            divergent(&THERE) == Some(there) && divergent(&BACK) == Some(back)
        };
        self.until(&what, is_so).await
    }

    /// Waits until this alert about a target fires.
    async fn until_alert(&self, name: &str, target: &str) {
        let fires = eventually(name, LIMIT, || async {
            let report = self.exporter.alerts().await;
            let mut alerts = report.alerts.iter();
            let fires = alerts.any(|alert| {
                alert.alertname == name
                    && alert.state == ListedState::Firing
                    && alert.labels.get("target_dc").map(String::as_str) == Some(target)
            });
            fires.then_some(())
        });
        if let Err(error) = fires.await {
            panic!("{error}\n{:#}", self.report().await);
        }
    }

    async fn sync(&self) {
        let yaml = format!(
            "active_active:\n  - name: profiles\n    sites: [{{address: '{}', dc: dc1}}, {{address: '{}', dc: dc2}}]\n    \
             sync_queue: sync_queue\n    keys: ['user:*']\n    counters: ['counter:*']\n",
            self.dc1.addr(),
            self.dc2.addr()
        );
        let folder = folder_with(&yaml);
        let args = [
            "active-active",
            "sync",
            "--execute",
            "--missing",
            "copy",
            "--settle",
            "1s",
            "--config.file",
            "config.yml",
        ];
        run(folder.path(), &args).await.ended_with(0);
    }
}

pub(crate) fn envelope(value: &str, stamp: f64, dc: &str) -> String {
    format!(
        "{{\"value\": \"{value}\", \"timestamp\": {stamp:?}, \"dc\": \"{dc}\", \"version\": \"{dc}:{stamp:?}\"}}"
    )
}

pub(crate) fn now() -> f64 {
    redis_cross_dc_exporter::clock::wall_now().as_secs_f64()
}

pub(crate) async fn command(server: &RedisServer, words: &[&str]) {
    server.command(words).await.unwrap();
}

pub(crate) async fn set(server: &RedisServer, key: &str, text: &str) {
    command(server, &["SET", key, text]).await;
}

/// A relay to `server` that adds so many seconds to its answers to TIME. Returns its address.
async fn shift_clock(server: &RedisServer, seconds: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.addr().to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(upstream) = TcpStream::connect(&server).await else {
                continue;
            };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = upstream.into_split();
            tokio::spawn(relay(from_client, to_server, 0));
            tokio::spawn(relay(from_server, to_client, seconds));
        }
    });
    address
}

async fn relay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, seconds: u64) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..count];
        add_to_time(bytes, seconds);
        if count == 0 || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// An answer to TIME is a list of two, of which the first has ten digits. It comes alone, or first.
fn add_to_time(bytes: &mut [u8], seconds: u64) {
    const HEAD: &[u8] = b"*2\r\n$10\r\n";
    let Some(place) = bytes.windows(HEAD.len()).position(|part| part == HEAD) else {
        return;
    };
    let start = place + HEAD.len();
    let Some(digits) = bytes.get_mut(start..start + 10) else {
        return;
    };
    let text = String::from_utf8_lossy(digits).into_owned();
    if let Ok(time) = text.parse::<u64>() {
        digits.copy_from_slice(format!("{:010}", time + seconds).as_bytes());
    }
}

#[tokio::test]
async fn sites_are_monitored_through_a_partition_a_repair_and_a_restore() {
    let mut scene = Scene::set().await;
    let scrape = scene.until_divergent(0.0, 0.0).await;
    for labels in [&THERE, &BACK] {
        assert_eq!(metric(&scrape, "up", labels), Some(1.0));
        assert_eq!(metric(&scrape, "divergent_keys_upper", labels), Some(0.0));
        assert_eq!(metric(&scrape, "unpropagated_seconds", labels), Some(0.0));
        assert_eq!(metric(&scrape, "counter_divergence", labels), Some(0.0));
        assert_eq!(metric(&scrape, "counter_regressed", labels), Some(0.0));
    }
    let shown = |scrape: &Scrape| metric(scrape, "queue_length", &THERE) == Some(0.0);
    scene.until("the queue to be read", shown).await;

    // The sites are cut off from each other: dc1's writes are queued; dc2's timed out, and are not.
    for number in 0..20 {
        let data = envelope("new", now(), "dc1");
        let key = format!("user:{number}");
        set(&scene.dc1, &key, &data).await;
        let item = format!("{{\"key\": \"{key}\", \"data\": {data}}}");
        command(&scene.dc1, &["LPUSH", "sync_queue", &item]).await;
    }
    for number in 20..25 {
        let data = envelope("new", now(), "dc2");
        set(&scene.dc2, &format!("user:{number}"), &data).await;
    }
    set(&scene.dc2, "user:only", &envelope("new", now(), "dc2")).await;
    command(&scene.dc1, &["HINCRBY", "counter:visits", "p:dc1", "4"]).await;
    let scrape = scene.until_divergent(20.0, 6.0).await;
    let age = metric(&scrape, "unpropagated_seconds", &THERE).unwrap();
    assert!(age > 1.0 && age < 90.0, "{age}");
    let settled = |scrape: &Scrape| {
        metric(scrape, "counter_divergence", &THERE) == Some(1.0)
            && metric(scrape, "queue_length", &THERE) == Some(20.0)
            && metric(scrape, "queue_oldest_seconds", &THERE).is_some_and(|age| age >= 1.0)
    };
    scene
        .until("the queue and the counter to be seen", settled)
        .await;
    let report = scene.report().await;
    let back = &report["entries"][0]["directions"][1];
    assert_eq!(back["settled"]["newer"], 5, "{report:#}");
    assert_eq!(back["settled"]["missing"], 1, "{report:#}");
    assert_eq!(
        report["entries"][0]["directions"][0]["counters"]["counted"],
        1
    );

    // A poisoned item, and the end of the partition.
    command(&scene.dc1, &["RPUSH", "sync_queue", "no JSON"]).await;
    let poisoned = |scrape: &Scrape| metric(scrape, "queue_length", &THERE) == Some(21.0);
    scene.until("the poisoned item to wait", poisoned).await;
    scene.sync().await;
    scene.until_divergent(0.0, 0.0).await;
    let drained = |scrape: &Scrape| {
        metric(scrape, "queue_length", &THERE) == Some(0.0)
            && metric(scrape, "queue_rejected_length", &THERE) == Some(1.0)
            && metric(scrape, "counter_divergence", &THERE) == Some(0.0)
    };
    scene.until("the drain to be seen", drained).await;
    scene.until_alert("RedisCrossDcSyncQueueHigh", "dc2").await;

    // A fast writer, a poisoned key, and a queue that was full.
    let fast = envelope("x", now() + 40.0, "dc1");
    for server in [&scene.dc1, &scene.dc2] {
        set(server, "user:fast", &fast).await;
    }
    set(&scene.dc2, "user:poisoned", &envelope("x", 9e9, "dc2")).await;
    command(&scene.dc2, &["SET", "{sync_queue}:overflow", "1700000000"]).await;
    let ahead = |scrape: &Scrape| {
        metric(scrape, "timestamp_ahead_seconds", &THERE).is_some_and(|ahead| ahead > 10.0)
            && metric(scrape, "timestamp_ahead_seconds", &BACK).is_some_and(|ahead| ahead > 1e8)
            && metric(scrape, "queue_overflow", &BACK) == Some(1.0)
    };
    let scrape = scene
        .until("the stamps and the overflow to be seen", ahead)
        .await;
    let fast = metric(&scrape, "timestamp_ahead_seconds", &THERE).unwrap();
    assert!(fast < 41.0, "{fast}");
    scene.until_divergent(0.0, 1.0).await;
    scene.until_alert("RedisCrossDcClockSkew", "dc2").await;
    let labels = [&BACK[..], &[("class", "future")]].concat();
    let counted = |scrape: &Scrape| metric(scrape, "keys_checked_total", &labels) >= Some(1.0);
    scene.until("the look to be counted", counted).await;

    // dc2's server dies and comes back from a backup: without its last increments.
    command(&scene.dc2, &["DEL", "user:poisoned"]).await;
    for server in [&scene.dc1, &scene.dc2] {
        command(server, &["HSET", "counter:visits", "p:dc2", "9"]).await;
    }
    scene.dc2.kill();
    let is_down = |scrape: &Scrape| metric(scrape, "up", &THERE) == Some(0.0);
    scene.until("the site to be away", is_down).await;
    let report = scene.report().await;
    let reason = report["entries"][0]["directions"][0]["reason"].to_string();
    let addr = scene.dc2.addr().to_string();
    assert!(reason.contains(&addr), "{reason}");
    for direction in [THERE, BACK] {
        let labels = [&direction[..], &[("reason", "disconnected")]].concat();
        let counted = |scrape: &Scrape| metric(scrape, "errors_total", &labels) >= Some(1.0);
        scene.until("the failures to be counted", counted).await;
    }
    scene.dc2.restart().await.unwrap();
    let [rights, _] = documented_rights();
    let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
    add_user(&scene.dc2, "monitor", &rights).await;
    let regressed = |scrape: &Scrape| {
        metric(scrape, "counter_regressed", &THERE) == Some(1.0)
            && metric(scrape, "counter_regressed", &BACK) == Some(0.0)
    };
    scene
        .until("the lost increments to be seen", regressed)
        .await;
    scene
        .until_alert("RedisCrossDcCounterRegressed", "dc2")
        .await;

    // The other entry sees dc2 through a clock that is three seconds ahead.
    let skewed = [("name", "skewed"), ("source_dc", "dc1")];
    let scrape = Scrape::of(&scene.exporter).await;
    let bounds = ["clock_skew_lower_seconds", "clock_skew_upper_seconds"];
    let [lower, upper] = bounds.map(|name| metric(&scrape, name, &skewed).unwrap());
    assert!(
        lower <= 3.0 && 3.0 <= upper && lower > 2.5,
        "{lower} {upper}"
    );
    let same = [("name", "profiles"), ("source_dc", "dc1")];
    let [lower, upper] = bounds.map(|name| metric(&scrape, name, &same).unwrap());
    assert!(lower <= 0.0 && 0.0 <= upper, "{lower} {upper}");
}

/// Each documented right is needed, and no other: without it the sites are not monitored, and the
/// reason says so.
#[tokio::test]
async fn the_monitoring_needs_the_documented_rights_and_no_more() {
    let dc1 = RedisServer::builder().start().await.unwrap();
    let dc2 = RedisServer::builder().start().await.unwrap();
    let [rights, _] = documented_rights();
    let mut yaml = String::from("active_active:\n");
    let (first, second) = (dc1.addr().to_string(), dc2.addr().to_string());
    for server in [&dc1, &dc2] {
        set(server, "user:1", &envelope("x", now() - 100.0, "dc1")).await;
        set(server, "user:empty", "").await;
        command(server, &["HSET", "counter:visits", "p:dc1", "5"]).await;
        command(server, &["LPUSH", "sync_queue", "x"]).await;
        command(server, &["LPUSH", "{sync_queue}:rejected", "x"]).await;
        command(server, &["SET", "{sync_queue}:overflow", "1"]).await;
    }
    let mut names = vec!["all".to_owned()];
    names.extend((0..rights.len()).map(|place| format!("lacks{place}")));
    for (place, name) in names.iter().enumerate() {
        let mut own: Vec<&str> = rights.iter().map(String::as_str).collect();
        if let Some(lacking) = place.checked_sub(1) {
            own.remove(lacking);
        }
        for server in [&dc1, &dc2] {
            add_user(server, name, &own).await;
        }
        yaml += &entry(name, [&first, &second], name);
    }
    let exporter = Exporter::start(&yaml).await;
    let missing = |entry: &Value| {
        let parts = ["sites", "directions"].map(|list| entry[list].as_array().unwrap().clone());
        let mut parts = parts.iter().flatten();
        parts.any(|part| part["reason"].is_string())
    };
    let judged = eventually("every right to be missed", LIMIT, || async {
        let text = exporter.get("/api/v1/active-active").await;
        let report: Value = serde_json::from_str(&text).unwrap();
        let entries = report["entries"].as_array().unwrap();
        let is_so = |entry: &Value| match entry["name"].as_str().unwrap() {
            "all" => !missing(entry) && entry["directions"][0]["keys"]["counted"] == 0,
            // A connection without a name is as good as one with it.
            name if rights[place_of(name)].starts_with("+client") => true,
            _ => missing(entry),
        };
        entries.iter().all(is_so).then_some(())
    });
    if let Err(error) = judged.await {
        panic!("{error}\n{}", exporter.get("/api/v1/active-active").await);
    }
}

/// Which right the user of this entry lacks.
fn place_of(name: &str) -> usize {
    name.trim_start_matches("lacks").parse().unwrap()
}
