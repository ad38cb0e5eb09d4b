//! Planned switch-overs under a writer.

use redis_cross_dc_exporter::lab::RedisServer;
use serde_json::Value;

use super::watcher::Watcher;
use super::writer::Writer;
use super::{Duo, counter, failover, ids, last_line, replication, server, until_follows};
use crate::command::{configuration, folder_with};
use crate::stage::LIMIT;

#[tokio::test]
async fn a_switch_over_loses_and_doubles_nothing_and_can_be_done_back() {
    let mut duo = Duo::start().await;
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(200).await;
    let plan = duo.failover(&["--output", "json"]).await.ended_with(10);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["outcome"], "safe");
    let fingerprint = plan["plan"]["fingerprint"].as_str().unwrap();
    let full_before = counter(&duo.servers[1], "sync_full").await;
    let done = duo
        .failover(&["--execute", "--plan", fingerprint])
        .await
        .ended_with(0);
    let expected = format!("Done: {} (dc2) is the master. Nothing is open.", addrs[1]);
    assert_eq!(last_line(&done), expected, "{done:#?}");
    writer.after(200).await;
    assert_eq!(counter(&duo.servers[1], "sync_full").await, full_before);
    let report = duo.report();
    let pause = report["pause_seconds"].as_f64().unwrap();
    println!("writes waited {:.1} ms", pause * 1000.0);
    assert_eq!(report["full_syncs"], 0);
    assert_eq!(report["outcome"], "done");
    until_follows(&duo.servers[0], &duo.servers[1]).await;
    // And back, by the name of the configured master.
    let back = duo.failover(&["--execute"]).await.ended_with(0);
    assert!(
        last_line(&back).starts_with(&format!("Done: {} (dc1)", addrs[0])),
        "{back:#?}"
    );
    writer.after(200).await;
    let written = writer.stop().await;
    watcher.never_two().await;
    println!("longest write {}", written.longest);
    assert_eq!(written.in_doubt, Vec::<u64>::new());
    written.check_against(&ids(&duo.servers[0]).await);
    // The roles are in the files: a restart changes nothing.
    duo.servers[1].restart().await.unwrap();
    until_follows(&duo.servers[1], &duo.servers[0]).await;
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
}

#[tokio::test]
async fn replicas_beside_the_target_follow_it_and_those_beside_the_old_master_stay() {
    let master = server().start().await.unwrap();
    let start = |host: &'static str| {
        let replica = server().host(host).replicaof(master.addr());
        async move {
            let replica = replica.start().await.unwrap();
            replica.wait_until_in_sync(LIMIT).await.unwrap();
            replica
        }
    };
    let (near, target, beside) =
        tokio::join!(start("127.0.0.1"), start("127.0.0.2"), start("127.0.0.3"));
    let replica =
        |server: &RedisServer, dc: &str| format!("{{address: '{}', dc: {dc}}}", server.addr());
    let entry = format!(
        "{{name: orders, master: {}, replicas: [{}, {}, {}]}}",
        replica(&master, "dc1"),
        replica(&near, "dc1"),
        replica(&target, "dc2"),
        replica(&beside, "dc2")
    );
    let folder = folder_with(&configuration(&[entry]));
    let unnamed = failover(folder.path(), &[]).await.ended_with(64);
    assert!(unnamed.stderr.contains("say with --to"), "{unnamed:#?}");
    let to = target.addr().to_string();
    let done = failover(folder.path(), &["--to", &to, "--execute"])
        .await
        .ended_with(0);
    assert!(last_line(&done).ends_with("Nothing is open."), "{done:#?}");
    until_follows(&beside, &target).await;
    until_follows(&master, &target).await;
    until_follows(&near, &master).await;
    assert_eq!(
        counter(&target, "sync_full").await,
        0,
        "everybody was served partially"
    );
}

#[tokio::test]
async fn an_old_master_that_cannot_follow_is_restored_and_nothing_is_lost() {
    // The master shows a password that the target does not know: no audit can see that.
    let duo = Duo::start().await;
    let set = ["CONFIG", "SET", "masterauth", "wrong"];
    duo.servers[0].command(&set).await.unwrap();
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(100).await;
    let args = ["--execute", "--verify", "700ms"];
    let failed = duo.failover(&args).await.ended_with(1);
    let line = last_line(&failed);
    assert!(
        line.starts_with("Failed, and everything is as before: "),
        "{failed:#?}"
    );
    assert!(line.contains("could not follow"), "{failed:#?}");
    writer.after(100).await;
    let written = writer.stop().await;
    watcher.never_two().await;
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
    written.check_against(&ids(&duo.servers[0]).await);
    until_follows(&duo.servers[1], &duo.servers[0]).await;
}

#[tokio::test]
async fn of_two_at_the_same_instant_at_most_one_acts() {
    println!("{} acted", two_at_once(2).await);
}

#[tokio::test]
#[ignore = "takes minutes: make drill"]
async fn of_two_at_the_same_instant_at_most_one_acts_many_times() {
    let times = super::drill::variable("DRILL_PAIRS", 200);
    let acted = two_at_once(times).await;
    println!("{times} times two at the same instant: {acted} switch-overs, never two masters");
}

/// How many of them acted.
async fn two_at_once(times: u64) -> usize {
    let duo = Duo::start().await;
    // Other machines: other folders, so that no lock of a file stops them.
    let second = tempfile::tempdir().unwrap();
    std::fs::copy(
        duo.folder.path().join("config.yml"),
        second.path().join("config.yml"),
    )
    .unwrap();
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs);
    let mut acted = 0;
    for _ in 0..times {
        let args = ["--execute"];
        let (one, other) = tokio::join!(
            failover(duo.folder.path(), &args),
            failover(second.path(), &args)
        );
        let done = [&one, &other]
            .iter()
            .filter(|outcome| outcome.code == Some(0))
            .count();
        assert!(done <= 1, "{one:#?} {other:#?}");
        acted += done;
        for outcome in [&one, &other] {
            assert!(matches!(outcome.code, Some(0 | 20)), "{one:#?} {other:#?}");
        }
    }
    watcher.never_two().await;
    acted
}
