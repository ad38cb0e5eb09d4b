//! The holes of the tutorial's client, each on real servers; and that the comparison finds what it
//! left and repairs it.

use std::net::TcpListener;
use std::time::Duration;

use redis_cross_dc_exporter::active_active::ApplyLimits;
use redis_cross_dc_exporter::multi_site::{
    Comparison, ComparisonReport, Drain, LwwStore, Pace, PnCounter, Repairs,
};
use serde_json::{Value, json};

use crate::python::TutorialClient;
use crate::servers::{RealServer, free_port};

/// Two sites, and a client of the tutorial's at each.
struct Sites {
    dc1: RealServer,
    dc2: RealServer,
}

impl Sites {
    fn start() -> Self {
        Self {
            dc1: RealServer::start(&[]),
            dc2: RealServer::start(&[]),
        }
    }

    fn client(&self, dc: &str) -> TutorialClient {
        match dc {
            "dc1" => TutorialClient::start(dc, self.dc1.port(), self.dc2.port()),
            _ => TutorialClient::start(dc, self.dc2.port(), self.dc1.port()),
        }
    }

    /// The values of a key at both sites.
    async fn values(&self, key: &str) -> [Value; 2] {
        let mut values = [Value::Null, Value::Null];
        for (place, server) in [&self.dc1, &self.dc2].into_iter().enumerate() {
            let text: Option<String> = server.query(&["GET", key]).await;
            if let Some(text) = text {
                let stored: Value = serde_json::from_str(&text).unwrap();
                values[place] = stored["value"].clone();
            }
        }
        values
    }

    async fn queued(&self) -> [usize; 2] {
        let first = self.dc1.query(&["LLEN", "sync_queue"]).await;
        [first, self.dc2.query(&["LLEN", "sync_queue"]).await]
    }

    async fn compare(&self, repairs: Option<Repairs>) -> ComparisonReport {
        let first = self.dc1.site().await;
        let second = self.dc2.site().await;
        let comparison = Comparison {
            first: &first,
            first_dc: "dc1",
            second: &second,
            second_dc: "dc2",
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
    }
}

#[tokio::test]
async fn a_race_swaps_values_for_ever_and_the_repair_ends_it() {
    let sites = Sites::start();
    let mut first = sites.client("dc1");
    let mut second = sites.client("dc2");
    // Both write locally.
    first.start_call("store", "set", &json!(["user:1", "old", 1000.0]));
    first.step();
    second.start_call("store", "set", &json!(["user:1", "new", 2000.0]));
    // Before the second one's value is there, the first one looks at the other site: nothing.
    first.step();
    second.step();
    // So it overwrites the newer value; the second one does the same with better reason.
    assert!(first.step().has_ended());
    while !second.step().has_ended() {}
    assert_eq!(sites.values("user:1").await, [json!("new"), json!("old")]);
    assert_eq!(
        sites.queued().await,
        [0, 0],
        "an empty queue proves nothing"
    );

    let report = sites.compare(None).await;
    assert_eq!(report.divergent(), 1, "{report:#?}");
    assert_eq!(report.first_to_second.examples[0].key, "user:1");
    let report = sites.compare(Some(Repairs::default())).await;
    assert_eq!(
        report.repairs.repaired.values().sum::<u64>(),
        1,
        "{report:#?}"
    );
    assert_eq!(sites.values("user:1").await, [json!("new"), json!("new")]);
    assert_eq!(sites.compare(None).await.divergent(), 0);
}

#[tokio::test]
async fn a_timeout_is_neither_queued_nor_repeated() {
    let sites = Sites::start();
    // A site that takes connections and never answers: a WAN that stalls.
    let silent = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut client = TutorialClient::start("dc1", sites.dc1.port(), port);
    let answer = client.run("store", "set", &json!(["user:1", "lost"]));
    assert_eq!(answer.error(), "Timeout");
    assert_eq!(sites.values("user:1").await, [json!("lost"), Value::Null]);
    assert_eq!(sites.queued().await, [0, 0]);

    // Ours queues it, and a drain brings it over.
    let local = sites.dc1.connect().await;
    let stalled = RealServer::start(&[]);
    let remote = stalled.connect().await;
    stalled.query::<()>(&["CLIENT", "PAUSE", "600000"]).await;
    let store = LwwStore::builder("dc1")
        .remote_timeout(Duration::from_millis(200))
        .connect(local, remote)
        .unwrap();
    store.set("user:2", "kept").await.unwrap();
    assert_eq!(sites.queued().await, [1, 0]);
    let report = drain(&sites).await;
    assert_eq!((report.applied, report.taken), (1, 1));
    assert_eq!(sites.values("user:2").await, [json!("kept"), json!("kept")]);
}

async fn drain(sites: &Sites) -> redis_cross_dc_exporter::multi_site::DrainReport {
    let drain = Drain {
        source: &sites.dc1.site().await,
        target: &sites.dc2.site().await,
        queue: "sync_queue",
        limits: ApplyLimits::default(),
        items_per_second: None,
    };
    drain.run(u64::MAX, |_| {}).await
}

#[tokio::test]
async fn a_worker_that_dies_takes_an_item_with_it() {
    let sites = Sites::start();
    let mut away = TutorialClient::start("dc1", sites.dc1.port(), free_port());
    away.run("store", "set", &json!(["user:1", "first"]))
        .result();
    away.run("store", "set", &json!(["user:2", "second"]))
        .result();
    assert_eq!(sites.queued().await, [2, 0]);
    let mut worker = sites.client("dc1");
    assert!(
        !worker
            .start_call("store", "sync_pending", &json!([]))
            .has_ended()
    );
    worker.kill();
    assert_eq!(sites.queued().await, [1, 0]);
    drain(&sites).await;
    assert_eq!(
        sites.values("user:1").await,
        [json!("first"), Value::Null],
        "lost"
    );
    assert_eq!(
        sites.values("user:2").await,
        [json!("second"), json!("second")]
    );
    let report = sites.compare(Some(Repairs { copy_missing: true })).await;
    assert_eq!(report.divergent(), 1);
    assert_eq!(
        sites.values("user:1").await,
        [json!("first"), json!("first")]
    );
}

#[tokio::test]
async fn writes_of_one_site_in_one_instant_have_no_order() {
    let sites = Sites::start();
    for (dc1, dc2) in [("a", "b"), ("b", "a")] {
        // The same stamp and datacenter; the last one to arrive stays.
        let nowhere = free_port();
        let mut at_dc1 = TutorialClient::start("dc1", sites.dc1.port(), nowhere);
        at_dc1
            .run("store", "set", &json!(["user:1", dc1, 1000.0]))
            .result();
        let mut at_dc2 = TutorialClient::start("dc1", sites.dc2.port(), nowhere);
        at_dc2
            .run("store", "set", &json!(["user:1", dc2, 1000.0]))
            .result();
    }
    assert_eq!(sites.values("user:1").await, [json!("b"), json!("a")]);
    let report = sites.compare(Some(Repairs::default())).await;
    assert_eq!(report.divergent(), 1);
    assert_eq!(report.first_to_second.examples[0].difference, "tie");
    assert_eq!(sites.values("user:1").await, [json!("b"), json!("b")]);
}

#[tokio::test]
async fn a_stamp_from_the_future_poisons_a_key() {
    let sites = Sites::start();
    let mut client = sites.client("dc1");
    client
        .run("store", "set", &json!(["user:1", "poison", 9e9]))
        .result();
    client
        .run("store", "set", &json!(["user:1", "mine"]))
        .result();
    let read = client.run("store", "get", &json!(["user:1"]));
    assert_eq!(read.result(), "poison", "its own write is gone");

    // Ours wins all the same, at both sites, and says how far ahead it had to go.
    let (local, remote) = (sites.dc1.connect().await, sites.dc2.connect().await);
    let store = LwwStore::builder("dc1").connect(local, remote).unwrap();
    let written = store.set("user:1", "ours").await.unwrap();
    assert!(written.ahead > Duration::from_hours(24), "{written:?}");
    assert_eq!(sites.values("user:1").await, [json!("ours"), json!("ours")]);
}

#[tokio::test]
async fn a_restored_site_swallows_increments() {
    let sites = Sites::start();
    let mut first = sites.client("dc1");
    let mut second = sites.client("dc2");
    first
        .run("counter", "increment", &json!(["visits", 100]))
        .result();
    first
        .run("counter", "increment", &json!(["visits", 50]))
        .result();
    second.run("counter", "merge", &json!(["visits"])).result();
    // dc1 comes back from a snapshot of before the second increment.
    sites
        .dc1
        .query::<()>(&["HSET", "counter:visits", "p:dc1", "100"])
        .await;
    first
        .run("counter", "increment", &json!(["visits", 10]))
        .result();
    first.run("counter", "merge", &json!(["visits"])).result();
    let value = first.run("counter", "value", &json!(["visits"]));
    assert_eq!(value.result(), 150, "100 + 50 + 10 were counted");

    // Ours sees that dc2 knows more of dc1 than dc1 does, and counts in a field of its own.
    sites
        .dc1
        .query::<()>(&["HSET", "counter:orders", "p:dc1", "100"])
        .await;
    sites
        .dc2
        .query::<()>(&["HSET", "counter:orders", "p:dc1", "150"])
        .await;
    let (local, remote) = (sites.dc1.connect().await, sites.dc2.connect().await);
    let counters = PnCounter::builder("dc1").connect(local, remote).unwrap();
    let counted = counters.increment("orders", 10).await.unwrap();
    assert!(counted.field.unwrap().starts_with("p:dc1#"));
    assert_eq!(counters.merge("orders").await.unwrap(), 160);
    for client in [&mut first, &mut second] {
        let value = client.run("counter", "value", &json!(["orders"]));
        assert_eq!(value.result(), 160, "the tutorial's readers agree");
    }
}

#[tokio::test]
async fn a_merge_in_two_steps_takes_increments_back() {
    let sites = Sites::start();
    let mut first = sites.client("dc1");
    // dc2 has an older copy of dc1's field that is still larger than what dc1 has at first.
    sites
        .dc2
        .query::<()>(&["HSET", "counter:visits", "p:dc1", "150"])
        .await;
    sites
        .dc1
        .query::<()>(&["HSET", "counter:visits", "p:dc1", "100"])
        .await;
    first.start_call("counter", "merge", &json!(["visits"]));
    first.step();
    // It has read 100; now the site counts on.
    sites
        .dc1
        .query::<()>(&["HINCRBY", "counter:visits", "p:dc1", "60"])
        .await;
    while !first.step().has_ended() {}
    let field: u64 = sites.dc1.query(&["HGET", "counter:visits", "p:dc1"]).await;
    assert_eq!(field, 150, "160 were counted");
}

#[tokio::test]
async fn its_worker_never_ends_while_the_other_site_is_down() {
    let sites = Sites::start();
    let mut away = TutorialClient::start("dc1", sites.dc1.port(), free_port());
    for key in ["user:1", "user:2", "user:3"] {
        away.run("store", "set", &json!([key, 1])).result();
    }
    let answer = away.run_for(1000, "store", "sync_pending");
    assert!(!answer.has_ended(), "{answer:?}");

    let source = sites.dc1.site().await;
    let mut gone = RealServer::start(&[]);
    let target = gone.site().await;
    gone.kill();
    let drain = Drain {
        source: &source,
        target: &target,
        queue: "sync_queue",
        limits: ApplyLimits::default(),
        items_per_second: None,
    };
    let before = sites.queued().await[0];
    let report = drain.run(u64::MAX, |_| {}).await;
    assert!(report.stopped.is_some() && report.taken == 0, "{report:?}");
    assert_eq!(
        sites.queued().await[0],
        before,
        "ours takes nothing that it cannot bring over"
    );
}
