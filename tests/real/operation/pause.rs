//! For how long a planned switch-over keeps clients from writing, beside Redis' own FAILOVER in the
//! same run: `make drill`, with `PAUSE_ROUNDS=20`.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{WanConditions, WanProxy};

use super::drill::{Pauses, redis_failover, variable};
use super::killed::kill_and_recover;
use super::watcher::Watcher;
use super::writer::Writer;
use super::{Duo, failover, ids, server};
use crate::command::{configuration, folder_with};
use crate::stage::{LIMIT, entry};

#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn the_pause_on_loopback_beside_that_of_failover() {
    let rounds = variable("PAUSE_ROUNDS", 20);
    let duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(500).await;
    let mut seen = Pauses::default();
    let mut reported = Pauses::default();
    let mut theirs = Pauses::default();
    let mut master = 0;
    for _ in 0..rounds {
        writer.take_gap();
        master = kill_and_recover(&duo, usize::MAX, false).await;
        writer.after(200).await;
        seen.0.push(writer.take_gap().as_secs_f64() * 1000.0);
        let pause = duo.report()["pause_seconds"].as_f64().expect("a pause");
        reported.0.push(pause * 1000.0);
        redis_failover(&duo, master).await;
        master = 1 - master;
        writer.after(200).await;
        theirs.0.push(writer.take_gap().as_secs_f64() * 1000.0);
    }
    let rate = writer.per_second();
    let written = writer.stop().await;
    watcher.never_two().await;
    written.check_against(&ids(&duo.servers[master]).await);
    println!(
        "{rate:.0} acknowledged writes a second, {} in all, 0 lost, 0 twice",
        written.acked.len()
    );
    println!("{}", reported.line("writes waited, as the report says"));
    println!(
        "{}",
        seen.line("the longest time without an acknowledged write, failover --execute")
    );
    println!("{}", theirs.line("the same, FAILOVER of Redis"));
}

/// The controller and the client are beside the old master; the other site is 80 ms away.
#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn the_pause_at_80_ms() {
    let rounds = variable("PAUSE_ROUNDS_80", 5);
    for more in [&[][..], &["--open-at-once"]] {
        let mut reported = Pauses::default();
        for _ in 0..rounds {
            reported.0.push(over_80_ms(more).await * 1000.0);
        }
        let flags = if more.is_empty() { "no flag" } else { more[0] };
        println!(
            "{}",
            reported.line(&format!("writes waited at 80 ms, {flags}"))
        );
    }
}

async fn over_80_ms(more: &[&str]) -> f64 {
    let conditions = || WanConditions {
        delay: Duration::from_millis(40),
        ..WanConditions::default()
    };
    let master = server().start().await.unwrap();
    let to_master = WanProxy::start(None, master.addr(), conditions())
        .await
        .unwrap();
    let replica = server().replicaof(to_master.addr()).start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let to_replica = WanProxy::start(None, replica.addr(), conditions())
        .await
        .unwrap();
    let yaml = configuration(&[entry(
        "orders",
        ("dc1", master.addr()),
        ("dc2", to_replica.addr()),
    )]);
    // The target follows the old master at the address that the other site has for it.
    let folder = folder_with(&yaml);
    let writer = Writer::start(vec![master.addr().clone(), to_replica.addr().clone()]);
    writer.after(100).await;
    let args = [&["--execute"], more].concat();
    failover(folder.path(), &args).await.ended_with(0);
    writer.after(20).await;
    let written = writer.stop().await;
    written.check_against(&ids(&replica).await);
    let newest = super::newest_operation(folder.path()).expect("an operation");
    let text = std::fs::read_to_string(newest.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    report["pause_seconds"].as_f64().expect("a pause")
}
