//! The library on real servers, in trouble.

use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis_cross_dc_exporter::active_active::{ApplyLimits, Rejection, Request, Site, SiteError};
use redis_cross_dc_exporter::multi_site::{
    Comparison, CounterError, Drain, LwwStore, Pace, PnCounter, Propagation, RedisSite, Repairs,
    Source, Stopped, StoreError, Waiting,
};

use crate::random::{Random, setting};
use crate::servers::{LIMIT, RealServer};

type Store = LwwStore<RedisSite<MultiplexedConnection>>;

async fn store(local: &RealServer, remote: &RealServer) -> Store {
    LwwStore::builder("dc1")
        .local_timeout(LIMIT)
        .remote_timeout(LIMIT)
        .connect(local.connect().await, remote.connect().await)
        .unwrap()
}

async fn queued(server: &RealServer) -> u64 {
    server.query(&["LLEN", "sync_queue"]).await
}

#[tokio::test]
async fn a_write_is_at_both_sites_and_its_entry_is_gone() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    let written = store.set("user:1", &7).await.unwrap();
    assert_eq!(written.propagation, Propagation::Done);
    assert_eq!(written.ahead, Duration::ZERO);
    assert_eq!(queued(&dc1).await, 0);
    let read = store.get::<u32>("user:1").await.unwrap();
    assert_eq!((read.value, read.from), (Some(7), Source::Local));
    assert_eq!(read.version, Some(written.version));
    assert_eq!(store.get::<u32>("user:2").await.unwrap().value, None);
    assert!(matches!(
        store.get::<String>("user:1").await,
        Err(StoreError::Value(_))
    ));
}

#[tokio::test]
async fn expiries_and_tombstones_end_at_both_sites() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    store
        .set_expiring("user:1", &7, Duration::from_hours(1))
        .await
        .unwrap();
    store.set("user:2", &7).await.unwrap();
    store.delete("user:2").await.unwrap();
    for server in [&dc1, &dc2] {
        let expires: i64 = server.query(&["PTTL", "user:1"]).await;
        assert!((3_500_000..=3_600_000).contains(&expires), "{expires}");
        let expires: i64 = server.query(&["PTTL", "user:2"]).await;
        assert!((863_000_000..=864_000_000).contains(&expires), "{expires}");
    }
    assert_eq!(store.get::<u32>("user:2").await.unwrap().value, None);
    // The same instant at both, to the millisecond.
    let at = |server: &RealServer| {
        let script = "return redis.call('PTTL', 'user:1') + 1000 * redis.call('TIME')[1] + math.floor(redis.call('TIME')[2] / 1000)";
        let port = server.port();
        async move {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let command = redis::cmd("EVAL").arg(script).arg(0).to_owned();
            command.query_async::<i64>(&mut connection).await.unwrap()
        }
    };
    let [first, second] = [at(&dc1).await, at(&dc2).await];
    assert!((first - second).abs() <= 2, "{first} {second}");
}

#[tokio::test]
async fn scripts_that_were_flushed_are_brought_again_within_a_pipeline() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for key in 0..50 {
        let written = store.set(&format!("user:{key}"), &key).await.unwrap();
        assert!(matches!(written.propagation, Propagation::Queued(_)));
    }
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    for server in [&dc1, &dc2] {
        server.query::<()>(&["SCRIPT", "FLUSH"]).await;
    }
    let report = store.drain(1000).await;
    assert_eq!(
        (report.applied, report.taken, report.stopped),
        (50, 50, None)
    );
    assert_eq!(dc2.query::<u64>(&["DBSIZE"]).await, 50);
}

#[tokio::test]
async fn a_site_that_takes_no_writes_stops_the_drain_and_loses_nothing() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    dc2.query::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let written = store.set("user:1", &1).await.unwrap();
    let read_only = Propagation::Queued(Waiting::Site(SiteError::ReadOnly));
    assert_eq!(written.propagation, read_only);
    let report = store.drain(1000).await;
    assert_eq!(report.stopped, Some(Stopped::Target(SiteError::ReadOnly)));
    assert_eq!((report.taken, queued(&dc1).await), (0, 1));
    dc2.query::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    let report = store.drain(1000).await;
    assert_eq!((report.taken, report.stopped), (1, None));
}

#[tokio::test]
async fn what_cannot_be_applied_is_set_aside_and_blocks_nothing() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    dc2.query::<()>(&["LPUSH", "user:list", "x"]).await;
    dc2.query::<()>(&["SET", "user:text", "plain"]).await;
    for (key, reason) in [
        ("user:list", Rejection::WrongType),
        ("user:text", Rejection::StoredMalformed),
    ] {
        let written = store.set(key, &1).await.unwrap();
        assert_eq!(
            written.propagation,
            Propagation::Queued(Waiting::Refused(reason))
        );
    }
    for item in [
        "no JSON",
        r#"{"key":"user:future","data":{"value":1,"timestamp":9e9,"dc":"dc1"}}"#,
        r#"{"key":"user:ancient","data":{"value":1,"timestamp":5,"dc":"dc1"}}"#,
        r#"{"key":"user:good","data":{"value":1,"timestamp":1e9,"dc":"dc1"}}"#,
    ] {
        dc1.query::<()>(&["LPUSH", "sync_queue", item]).await;
    }
    // An older version of a key that is there is no resurrection.
    let old = r#"{"value":0,"timestamp":1,"dc":"dc1"}"#;
    dc2.query::<()>(&["SET", "user:good", old]).await;
    let report = store.drain(1000).await;
    assert_eq!(
        (report.taken, report.applied, &report.stopped),
        (6, 1, &None),
        "{report:?}"
    );
    let reasons: Vec<_> = report
        .rejected
        .iter()
        .map(|(reason, n)| (*reason, *n))
        .collect();
    let expected = [
        ("expired_tombstone", 1),
        ("future", 1),
        ("malformed", 1),
        ("stored_malformed", 1),
        ("wrong_type", 1),
    ];
    assert_eq!(reasons, expected);
    let records: Vec<String> = dc1
        .query(&["LRANGE", "{sync_queue}:rejected", "0", "-1"])
        .await;
    assert_eq!(records.len(), 5);
    assert!(
        records
            .iter()
            .any(|record| record.contains("\"item\": \"no JSON\"")),
        "{records:?}"
    );
    assert_eq!(dc2.query::<String>(&["GET", "user:text"]).await, "plain");
}

#[tokio::test]
async fn reads_come_from_the_other_site_while_the_near_one_is_away() {
    let mut dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    store.set("user:1", &7).await.unwrap();
    dc1.kill();
    for _ in 0..5 {
        let read = store.get::<u32>("user:1").await.unwrap();
        assert_eq!((read.value, read.from), (Some(7), Source::Remote));
    }
    let refused = store.set("user:1", &8).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Site(SiteError::Disconnected)),
        "{refused}"
    );
}

#[tokio::test]
async fn a_full_queue_is_noted_and_the_repair_brings_the_rest() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = LwwStore::builder("dc1")
        .max_queue(2)
        .connect(dc1.connect().await, dc2.connect().await)
        .unwrap();
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let mut overflows = 0;
    for key in 0..5 {
        let written = store.set(&format!("user:{key}"), &key).await.unwrap();
        overflows += u32::from(matches!(written.propagation, Propagation::Overflow(_)));
    }
    assert_eq!((overflows, queued(&dc1).await), (3, 2));
    let since: u64 = dc1.query(&["GET", "{sync_queue}:overflow"]).await;
    assert!(since > 1_700_000_000);
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    store.drain(10).await;
    assert_eq!(dc2.query::<u64>(&["DBSIZE"]).await, 2);
    let [first, second] = [dc1.site().await, dc2.site().await];
    let comparison = Comparison {
        first: &first,
        first_dc: "dc1",
        second: &second,
        second_dc: "dc2",
        keys: &["user:*".to_owned()],
        counters: &[],
        pace: Pace {
            keys_per_second: Some(100_000),
            settle: Duration::from_millis(20),
        },
        limits: ApplyLimits::default(),
        sample: None,
        repairs: Some(Repairs { copy_missing: true }),
    };
    let report = comparison.run(|_| {}).await.unwrap();
    assert_eq!(report.first_to_second.divergent(), 3, "{report:#?}");
    assert_eq!(dc2.query::<u64>(&["DBSIZE"]).await, 5);
}

#[tokio::test]
async fn what_no_client_of_ours_wrote_is_left_alone() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    dc1.query::<()>(&["SET", "user:1", "plain"]).await;
    dc1.query::<()>(&["LPUSH", "user:2", "x"]).await;
    for key in ["user:1", "user:2"] {
        assert_eq!(store.set(key, &1).await, Err(StoreError::StoredMalformed));
    }
    assert_eq!(
        store.get::<u32>("user:1").await,
        Err(StoreError::StoredMalformed)
    );
    assert_eq!(queued(&dc1).await, 0, "nothing was queued either");
    // A queue that is no queue: neither half is written.
    dc1.query::<()>(&["SET", "sync_queue", "x"]).await;
    assert!(store.set("user:3", &1).await.is_err());
    assert_eq!(dc1.query::<u64>(&["EXISTS", "user:3"]).await, 0);
    let long = "x".repeat(2 * 1024 * 1024);
    assert_eq!(store.set("user:4", &long).await, Err(StoreError::TooLarge));
}

/// Dropped at any of its polls, a write is local with its entry in the queue, or nowhere; a drain
/// then brings it over.
#[tokio::test]
async fn a_write_can_be_dropped_at_any_point() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = store(&dc1, &dc2).await;
    let mut has_written = 0;
    for polls in 0..40 {
        let key = format!("user:{polls}");
        {
            let mut write = Box::pin(store.set(&key, &polls));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if let Poll::Ready(done) = write.as_mut().poll(&mut context) {
                    done.unwrap();
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // What was sent before is executed before this.
        dc1.query::<String>(&["PING"]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let report = store.drain(100).await;
        assert_eq!(report.stopped, None);
        let first: Option<String> = dc1.query(&["GET", &key]).await;
        has_written += u32::from(first.is_some());
        assert_eq!(
            first,
            dc2.query::<Option<String>>(&["GET", &key]).await,
            "{polls} polls"
        );
    }
    assert!(
        (1..40).contains(&has_written),
        "{has_written} of 40 writes were done"
    );
    assert_eq!(queued(&dc1).await, 0);
}

#[tokio::test]
async fn a_counter_goes_on_in_another_field_on_a_server_that_has_lost_increments() {
    let mut dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let builder = || {
        PnCounter::builder("dc1")
            .local_timeout(LIMIT)
            .remote_timeout(LIMIT)
    };
    let counters = builder()
        .connect(dc1.connect().await, dc2.connect().await)
        .unwrap();
    let counted = counters.increment("visits", 150).await.unwrap();
    assert_eq!(counted.field.as_deref(), Some("p:dc1"));
    assert_eq!(counters.increment("visits", 0).await.unwrap().field, None);
    assert_eq!(counters.merge("visits").await.unwrap(), 150);

    // The site comes back empty, as after a failover to a replica that had nothing yet.
    dc1.restart();
    let counters = builder()
        .connect(dc1.connect().await, dc2.connect().await)
        .unwrap();
    let counted = counters.increment("visits", 10).await.unwrap();
    let run: String = dc1.query(&["INFO", "server"]).await;
    let run = run
        .lines()
        .find_map(|line| line.strip_prefix("run_id:"))
        .unwrap();
    assert_eq!(counted.field.unwrap(), format!("p:dc1#{}", &run[..8]));
    assert_eq!(counters.merge("visits").await.unwrap(), 160);
    assert_eq!(counters.value("visits").await.unwrap(), 160);

    // A counter at its end refuses, and counts nothing.
    let last = i64::MAX.to_string();
    dc1.query::<()>(&["HSET", "counter:full", "p:dc1", &last])
        .await;
    assert_eq!(
        counters.increment("full", 1).await,
        Err(CounterError::Overflow)
    );
    assert_eq!(
        counters.increment("full", u64::MAX).await,
        Err(CounterError::Overflow)
    );
    counters.decrement("full", 5).await.unwrap();
    assert_eq!(
        counters.value("full").await.unwrap(),
        i128::from(i64::MAX) - 5
    );
    dc1.query::<()>(&["HSET", "counter:odd", "p:dc1", "x"])
        .await;
    assert_eq!(
        counters.increment("odd", 1).await,
        Err(CounterError::Malformed)
    );
}

/// The rights that docs/active-active.md names are enough, and each is needed.
#[tokio::test]
async fn the_library_needs_the_documented_rights_and_no_more() {
    const LIBRARY: &[&str] = &[
        "+eval",
        "+evalsha",
        "+get",
        "+set",
        "+pexpireat",
        "+time",
        "+llen",
        "+lrange",
        "+lindex",
        "+lpush",
        "+rpop",
        "+lrem",
        "+info",
        "+hgetall",
        "+hget",
        "+hset",
        "+hincrby",
        "~user:*",
        "~counter:*",
        "~sync_queue",
        "~{sync_queue}:*",
    ];
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/active-active.md");
    let document = std::fs::read_to_string(document).unwrap();
    assert!(
        document.contains(&LIBRARY.join(" ")),
        "docs/active-active.md has other rights"
    );
    for missing in std::iter::once(None).chain((0..LIBRARY.len()).map(Some)) {
        for server in [&dc1, &dc2] {
            server.query::<()>(&["FLUSHALL"]).await;
            server.query::<()>(&["SCRIPT", "FLUSH"]).await;
            let mut rules = vec![
                "ACL", "SETUSER", "service", "reset", "on", ">secret", "-@all",
            ];
            let rest = LIBRARY
                .iter()
                .enumerate()
                .filter(|(place, _)| Some(*place) != missing);
            rules.extend(rest.map(|(_, right)| *right));
            server.query::<()>(&rules).await;
        }
        let works = uses_everything(&dc1, &dc2).await;
        let right = missing.map(|place| LIBRARY[place]);
        assert_eq!(
            works.is_ok(),
            missing.is_none(),
            "without {right:?}: {works:?}"
        );
    }
}

async fn uses_everything(dc1: &RealServer, dc2: &RealServer) -> Result<(), String> {
    let user = "service:secret@";
    let (local, remote) = (dc1.connect_as(user).await, dc2.connect_as(user).await);
    let store = LwwStore::builder("dc1")
        .max_queue(1)
        .connect(local.clone(), remote.clone());
    let store = store.unwrap();
    let counters = PnCounter::builder("dc1")
        .connect(local.clone(), remote)
        .unwrap();
    let text = |error: &dyn std::fmt::Debug| format!("{error:?}");
    // A write that stays in the queue and one that overflows, since the other site takes none.
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for key in ["user:1", "user:2"] {
        store
            .set_expiring(key, &1, Duration::from_hours(1))
            .await
            .map_err(|e| text(&e))?;
    }
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    // And an item that is set aside.
    dc1.query::<()>(&["LPUSH", "sync_queue", "no JSON"]).await;
    let report = store.drain(10).await;
    if report.stopped.is_some() || report.taken != 2 {
        return Err(text(&report));
    }
    let written = store.set("user:3", &1).await.map_err(|e| text(&e))?;
    if written.propagation != Propagation::Done || queued(dc1).await != 0 {
        return Err(text(&written));
    }
    store.get::<u32>("user:1").await.map_err(|e| text(&e))?;
    counters
        .increment("visits", 1)
        .await
        .map_err(|e| text(&e))?;
    counters.merge("visits").await.map_err(|e| text(&e))?;
    // Records of what is set aside have the time.
    let site = RedisSite::new(local, LIMIT);
    site.request(Request::time()).await.map_err(|e| text(&e))?;
    Ok(())
}

#[tokio::test]
async fn a_drain_keeps_its_rate_and_its_limit() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let mut pipeline = redis::Pipeline::new();
    for key in 0..1_200 {
        let item = format!(
            "{{\"key\":\"user:{key}\",\"data\":{{\"value\":1,\"timestamp\":{}.5,\"dc\":\"dc1\"}}}}",
            now()
        );
        pipeline.cmd("LPUSH").arg("sync_queue").arg(item).ignore();
    }
    pipeline.exec_async(&mut dc1.connect().await).await.unwrap();
    let (source, target) = (dc1.site().await, dc2.site().await);
    let drain = Drain {
        source: &source,
        target: &target,
        queue: "sync_queue",
        limits: ApplyLimits::default(),
        items_per_second: Some(2_000),
    };
    let began = source.elapsed();
    let report = drain.run(1_000, |_| {}).await;
    // Not faster than the rate; how much slower depends on the machine.
    assert!(source.elapsed() >= began + Duration::from_millis(500));
    assert_eq!((report.taken, queued(&dc1).await), (1_000, 200));
    assert_eq!(dc2.query::<u64>(&["DBSIZE"]).await, 1_000);
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs() - 100
}

/// Characters of names and of patterns, so few that patterns match.
const LETTERS: &[u8] = b"ab:-]";
const PATTERN: &[&str] = &[
    "a", "b", ":", "-", "*", "*", "?", "[ab]", "[^a]", "[a-b]", "[b-a:]", "[]", "[a", "\\*", "\\a",
    "\\",
];

#[tokio::test]
async fn patterns_mean_what_they_mean_to_the_server() {
    let mut random = Random::new(setting("AA_SEED", 1));
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    for _ in 0..400 {
        let length = 1 + random.below(5);
        let name: Vec<u8> = (0..length)
            .map(|_| LETTERS[random.below(LETTERS.len())])
            .collect();
        let name = String::from_utf8(name).unwrap();
        dc1.query::<()>(&["SET", &name, "no envelope"]).await;
    }
    let first = RedisSite::new(dc1.connect().await, LIMIT);
    let second = RedisSite::new(dc2.connect().await, LIMIT);
    let mut matched = 0;
    for _ in 0..300 {
        let length = 1 + random.below(4);
        let pattern: String = (0..length)
            .map(|_| PATTERN[random.below(PATTERN.len())])
            .collect();
        let keys: Vec<String> = dc1.query(&["KEYS", &pattern]).await;
        matched += keys.len();
        let comparison = Comparison {
            first: &first,
            first_dc: "dc1",
            second: &second,
            second_dc: "dc2",
            keys: std::slice::from_ref(&pattern),
            // Of two patterns the names are sorted by the library.
            counters: &["counter:none".to_owned()],
            pace: Pace {
                keys_per_second: None,
                settle: Duration::ZERO,
            },
            limits: ApplyLimits::default(),
            sample: None,
            repairs: None,
        };
        let report = comparison.run(|_| {}).await.unwrap();
        assert_eq!(report.keys, keys.len() as u64, "{pattern:?}: {keys:?}");
    }
    assert!(matched > 1000, "{matched}");
}
