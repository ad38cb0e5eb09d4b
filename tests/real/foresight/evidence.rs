//! For how long the writes of a deposed master can be proved.

use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WriteLoad, eventually};

use crate::exporter::Exporter;
use crate::stage::{LIMIT, entry};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_master_that_is_written_to_loses_its_evidence_when_foreseen() {
    let master = RedisServer::builder()
        .config("repl-backlog-size 1mb")
        .start()
        .await
        .unwrap();
    let replica = RedisServer::builder().replicaof(master.addr()).start();
    let replica = replica.await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let pair = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
    let yaml = format!("poll: {{interval: 1s, output_buffers: true}}\npairs:\n  - {pair}\n");
    let exporter = Exporter::start(&yaml).await;
    exporter.until_ready().await;
    let load = WriteLoad {
        per_second: 50,
        value_bytes: 1000,
    };
    let _writer = SteadyWriter::start(master.addr(), None, load);
    replica.command(&["REPLICAOF", "NO", "ONE"]).await.unwrap();

    let report = || async {
        let pairs = exporter.pairs().await.pairs;
        let mut evidence = pairs.into_iter().map(|pair| pair.forecast.evidence);
        // Before the rate of its writes is known, only the TTL bounds it.
        evidence.find_map(|left| {
            left.seconds
                .filter(|_| left.ended_by.as_deref() == Some("backlog"))
        })
    };
    let first = eventually("the end of the evidence", LIMIT, report)
        .await
        .unwrap();
    // 1 MiB at some 52 kB/s is 20 s; the TTL of an hour is later.
    assert!((5.0..=40.0).contains(&first), "{first} s");
    let gone = || async { report().await.filter(|left| *left <= 0.0) };
    let start = tokio::time::Instant::now();
    eventually("the evidence to be gone", LIMIT, gone)
        .await
        .unwrap();
    let took = start.elapsed().as_secs_f64();
    assert!(
        (first * 0.4..=first * 2.0 + 5.0).contains(&took),
        "foreseen {first} s, took {took} s"
    );
}
