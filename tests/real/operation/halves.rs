//! A switch-over in two halves, each from a place that reaches only its own server.

use std::path::Path;

use redis_cross_dc_exporter::lab::{RedisServer, eventually};
use tempfile::TempDir;

use super::watcher::Watcher;
use super::writer::Writer;
use super::{
    Duo, counter, failover, failover_without_pair, ids, last_line, replication, until_follows,
};
use crate::command::{Outcome, configuration, folder_with};
use crate::stage::LIMIT;

/// The pair as one site sees it: the other site's server does not let it in.
fn site(duo: &Duo, own: usize) -> TempDir {
    let server = |place: usize, dc: &str| {
        let addr = duo.addr(place);
        let login = if place == own {
            ""
        } else {
            ", username: nobody, password: planted-secret-x"
        };
        format!("{{address: '{addr}', dc: {dc}{login}}}")
    };
    folder_with(&configuration(&[format!(
        "{{name: orders, master: {}, replicas: [{}]}}",
        server(0, "dc1"),
        server(1, "dc2")
    )]))
}

/// Waits until the master lists its replica as one that receives the stream: that takes its first
/// acknowledgement.
async fn until_listed(duo: &Duo) {
    let listed = || async {
        let line = replication(&duo.servers[0], "slave0").await;
        if line.contains("state=online") {
            Ok(())
        } else {
            Err(line)
        }
    };
    eventually("an acknowledgement", LIMIT, listed)
        .await
        .unwrap();
}

/// The token that a hand-over printed.
fn token(outcome: &Outcome) -> String {
    let mut words = last_line(outcome).split(' ');
    let has_flag = words.any(|word| word == "--token");
    assert!(has_flag, "{outcome:#?}");
    words.next().unwrap().to_owned()
}

async fn roles(servers: &[RedisServer; 2]) -> [String; 2] {
    [
        replication(&servers[0], "role").await,
        replication(&servers[1], "role").await,
    ]
}

async fn take_over(folder: &Path, token: &str, more: &[&str]) -> Outcome {
    failover(folder, &[&["--token", token], more].concat()).await
}

#[tokio::test]
async fn both_halves_lose_and_double_nothing() {
    let duo = Duo::start().await;
    until_listed(&duo).await;
    let sites = [site(&duo, 0), site(&duo, 1)];
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(200).await;
    let full_before = counter(&duo.servers[1], "sync_full").await;
    let plan = failover(sites[0].path(), &["--hand-over"]).await;
    let plan = plan.ended_with(10);
    assert!(plan.stdout.contains("run doctor"), "{plan:#?}");
    let handed = failover(sites[0].path(), &["--hand-over", "--execute"]).await;
    let handed = handed.ended_with(0);
    let token = token(&handed);
    assert_eq!(roles(&duo.servers).await, ["slave", "slave"]);

    // It has been handed over, and only exactly this token counts.
    let again = failover(sites[0].path(), &["--hand-over", "--execute"]).await;
    let again = again.ended_with(20);
    assert!(again.stdout.contains("already"), "{again:#?}");
    let (history, offset) = token.split_once(':').unwrap();
    let offset: u64 = offset.parse().unwrap();
    for wrong in [offset - 1, offset + 1] {
        let wrong = format!("{history}:{wrong}");
        let refused = take_over(sites[1].path(), &wrong, &["--execute"]).await;
        let refused = refused.ended_with(20);
        assert!(refused.stdout.contains("token-mismatch"), "{refused:#?}");
    }
    let nonsense = take_over(sites[1].path(), "abc", &[]).await;
    nonsense.ended_with(64);
    assert_eq!(roles(&duo.servers).await, ["slave", "slave"]);

    take_over(sites[1].path(), &token, &[]).await.ended_with(10);
    let promoted = take_over(sites[1].path(), &token, &["--execute"]).await;
    let promoted = promoted.ended_with(0);
    let expected = format!("Done: {} (dc2) is the master. Nothing is open.", addrs[1]);
    assert_eq!(last_line(&promoted), expected, "{promoted:#?}");
    writer.after(200).await;
    until_follows(&duo.servers[0], &duo.servers[1]).await;
    let written = writer.stop().await;
    watcher.never_two().await;
    assert_eq!(written.in_doubt, Vec::<u64>::new());
    written.check_against(&ids(&duo.servers[1]).await);
    assert_eq!(counter(&duo.servers[1], "sync_full").await, full_before);
}

#[tokio::test]
async fn a_replica_that_lacks_something_of_the_token_is_not_promoted() {
    let duo = Duo::start().await;
    until_listed(&duo).await;
    let sites = [site(&duo, 0), site(&duo, 1)];
    let handed = failover(sites[0].path(), &["--hand-over", "--execute"]).await;
    let token = token(&handed.ended_with(0));
    // Somebody takes it back by hand, as the last line says, and the master takes further writes.
    duo.servers[0]
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    let alive = failover(duo.folder.path(), &["--token", &token, "--execute"]).await;
    let alive = alive.ended_with(20);
    assert!(alive.stdout.contains("master-alive"), "{alive:#?}");
    duo.servers[0].command(&["SET", "late", "1"]).await.unwrap();
    until_follows(&duo.servers[1], &duo.servers[0]).await;
    let late = || async {
        let applied = replication(&duo.servers[1], "slave_repl_offset").await;
        let (_, handed) = token.split_once(':').unwrap();
        let applied: u64 = applied.parse().unwrap();
        if applied > handed.parse().unwrap() {
            Ok(())
        } else {
            Err(format!("{applied}"))
        }
    };
    eventually("the late write", LIMIT, late).await.unwrap();
    let refused = take_over(sites[1].path(), &token, &["--execute"]).await;
    let refused = refused.ended_with(20);
    let has_name = ["token-mismatch", "not-of-this-history"]
        .iter()
        .any(|name| refused.stdout.contains(name));
    assert!(has_name, "{refused:#?}");
    assert_eq!(roles(&duo.servers).await, ["master", "slave"]);
}

/// Kills the first half when its journal has `line` lines, goes on with it or takes it back, and
/// does the second half where there is one.
async fn kill_the_first_half(line: usize, back: bool) {
    let duo = Duo::start().await;
    until_listed(&duo).await;
    let sites = [site(&duo, 0), site(&duo, 1)];
    let addrs = [duo.addr(0).clone(), duo.addr(1).clone()];
    let watcher = Watcher::start(addrs.clone());
    let writer = Writer::start(addrs.to_vec());
    writer.after(50).await;
    let folder = sites[0].path().to_owned();
    let end = tokio::task::spawn_blocking(move || {
        super::killed::kill_at_with(&folder, line, &["--hand-over"])
    });
    let end = end.await.unwrap();
    let flag = if back { "--rollback" } else { "--resume" };
    let again = failover_without_pair(sites[0].path(), &[flag]).await;
    let context = format!("line {line}, {end:?}: {again:#?}");
    match again.code {
        Some(1) if back => {
            assert!(last_line(&again).contains("as before"), "{context}");
            writer.after(50).await;
            let role = replication(&duo.servers[0], "role").await;
            assert_eq!(role, "master", "{context}");
        }
        Some(0) => {
            let token = token(&again);
            let promoted = take_over(sites[1].path(), &token, &["--execute"]).await;
            promoted.ended_with(0);
            writer.after(50).await;
        }
        // It had ended before it was killed.
        Some(64) => {}
        _ => panic!("{context}"),
    }
    let written = writer.stop().await;
    watcher.never_two().await;
    let master = usize::from(replication(&duo.servers[1], "role").await == "master");
    written.check_against(&ids(&duo.servers[master]).await);
}

#[tokio::test]
async fn a_first_half_that_is_killed_goes_on_or_back() {
    for (line, back) in [(3, true), (5, false), (6, true)] {
        kill_the_first_half(line, back).await;
    }
}

#[tokio::test]
#[ignore = "takes a minute: make drill"]
async fn a_first_half_that_is_killed_after_any_line_goes_on_or_back() {
    for line in 1..=8 {
        for back in [false, true] {
            kill_the_first_half(line, back).await;
        }
    }
}
