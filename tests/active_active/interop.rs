//! Our clients and the tutorial's read and write each other's data, to the byte.

use std::io::Write;
use std::process::{Command, Stdio};

use redis_cross_dc_exporter::active_active::{Envelope, Stamp};
use redis_cross_dc_exporter::multi_site::{LwwStore, PnCounter, Propagation};
use serde_json::{Value, json};

use crate::python::TutorialClient;
use crate::servers::{RealServer, free_port};

/// Runs a program in Python on some input and returns its output.
fn python(program: &str, input: &str) -> String {
    let mut process = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is missing: apt-get install python3");
    let mut stdin = process.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn numbers_are_read_and_written_as_python_does() {
    let program = "
import random, struct
random.seed(1)
for _ in range(10000):
    kind = random.randrange(4)
    number = 1.7e9 + random.random() * 1e8
    if kind == 1: number = round(number, random.randrange(7))
    if kind == 2: number = random.uniform(-1e15, 1e15)
    if kind == 3: number = random.random() * 10.0 ** random.randrange(-300, 15)
    print(struct.pack('>d', number).hex(), repr(number))
";
    let output = python(program, "");
    assert_eq!(output.lines().count(), 10_000);
    for line in output.lines() {
        let (bits, text) = line.split_once(' ').unwrap();
        let number = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(Stamp::new(number).unwrap().to_string(), text);
        let envelope = format!("{{\"value\": 0, \"timestamp\": {text}, \"dc\": \"a\"}}");
        let read = Envelope::parse(envelope.into_bytes()).unwrap();
        assert_eq!(
            read.version().stamp.seconds().to_bits(),
            number.to_bits(),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_we_write_stays_the_same_when_python_rewrites_it() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let store = LwwStore::builder("dc \"é\"")
        .connect(dc1.connect().await, dc2.connect().await)
        .unwrap();
    let value =
        json!({"name": "Zoë \u{1f600} \u{7f}\n", "n": [1, 2.5, 1e16, 1e-7, null, true, {}]});
    let mut texts = Vec::new();
    for round in 0..300 {
        // One key again and again: stamps by the counter in the low bits, too.
        let key = format!("user:{}", round % 3);
        let written = store.set(&key, &value).await.unwrap();
        assert_eq!(written.propagation, Propagation::Done);
        texts.push(dc1.query::<String>(&["GET", &key]).await);
        assert_eq!(
            texts.last(),
            dc2.query::<Option<String>>(&["GET", &key]).await.as_ref()
        );
    }
    let program = "
import json, sys
for line in sys.stdin:
    print(json.dumps(json.loads(line)))
";
    let input = texts.join("\n") + "\n";
    assert_eq!(python(program, &input), input);
    assert_eq!(dc1.query::<u64>(&["LLEN", "sync_queue"]).await, 0);
}

#[tokio::test]
async fn each_reads_drains_and_counts_what_the_other_wrote() {
    let dc1 = RealServer::start(&[]);
    let dc2 = RealServer::start(&[]);
    let nowhere = free_port();
    let mut theirs = TutorialClient::start("dc1", dc1.port(), dc2.port());
    let mut theirs_alone = TutorialClient::start("dc1", dc1.port(), nowhere);
    let ours = LwwStore::builder("dc1")
        .connect(dc1.connect().await, dc2.connect().await)
        .unwrap();

    // Theirs queues, ours drains.
    theirs_alone
        .run("store", "set", &json!(["user:1", {"a": [1, "é"]}]))
        .result();
    let report = ours.drain(10).await;
    assert_eq!(
        (report.applied, report.taken, &report.stopped),
        (1, 1, &None)
    );
    assert_eq!(
        ours.get::<Value>("user:1").await.unwrap().value,
        Some(json!({"a": [1, "é"]}))
    );
    let at_both = [&dc1, &dc2].map(|server| server.query::<String>(&["GET", "user:1"]));
    let [first, second] = at_both;
    assert_eq!(first.await, second.await);

    // Ours queues, theirs works it off.
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let written = ours.set("user:2", &json!("ours")).await.unwrap();
    assert!(
        matches!(written.propagation, Propagation::Queued(_)),
        "{written:?}"
    );
    dc2.query::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(theirs.run("store", "sync_pending", &json!([])).result(), 1);
    let first: String = dc1.query(&["GET", "user:2"]).await;
    assert_eq!(first, dc2.query::<String>(&["GET", "user:2"]).await);
    assert_eq!(
        theirs.run("store", "get", &json!(["user:2"])).result(),
        "ours"
    );

    // A tombstone is no value to them, and they carry it on unchanged.
    ours.delete("user:1").await.unwrap();
    assert_eq!(
        theirs.run("store", "get", &json!(["user:1"])).result(),
        &Value::Null
    );
    assert_eq!(ours.get::<Value>("user:1").await.unwrap().value, None);

    // Counters add up.
    let counters = PnCounter::builder("dc2")
        .connect(dc2.connect().await, dc1.connect().await)
        .unwrap();
    theirs
        .run("counter", "increment", &json!(["visits", 7]))
        .result();
    theirs
        .run("counter", "increment", &json!(["visits", -2]))
        .result();
    counters.increment("visits", 10).await.unwrap();
    assert_eq!(counters.merge("visits").await.unwrap(), 15);
    assert_eq!(
        theirs.run("counter", "value", &json!(["visits"])).result(),
        15
    );
}
