//! The rights: those of docs/lost-writes.md are enough, each of them is needed, and a fence stays
//! closed.

use redis_cross_dc_exporter::lab::{LabError, RedisServer, Reply, eventually};

use super::{Run, TwoMasters, plain, send};
use crate::planted;
use crate::stage::LIMIT;

/// The two sets of rules in docs/lost-writes.md: the least, and those for a fence.
fn documented() -> [Vec<&'static str>; 2] {
    let text = include_str!("../../../docs/lost-writes.md");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("ACL SETUSER operator on >PASSWORD "));
    let rules: Vec<Vec<&str>> = lines.map(|line| line.split(' ').collect()).collect();
    rules.try_into().expect("two sets of rules")
}

/// Two masters on which the user `operator` has `rules`, and the old one has a write of its own.
async fn with_rules(rules: &[&str]) -> (TwoMasters, String) {
    let user = format!("operator on >{} {}", planted::REDIS, rules.join(" "));
    let servers = TwoMasters::start(plain().user(&user), plain().user(&user)).await;
    send(&servers.old, &["SET lost 1"]).await;
    for server in [&servers.old, &servers.new] {
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    let login = format!(
        "operator: {{username: operator, password: {}}}\n",
        planted::REDIS
    );
    let yaml = login + &servers.configuration();
    (servers, yaml)
}

async fn denials(server: &RedisServer) -> usize {
    match server.command(&["ACL", "LOG"]).await.unwrap() {
        Reply::Array(entries) => entries.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_documented_rights_are_enough_and_each_is_needed() {
    let [least, _] = documented();
    let (servers, yaml) = with_rules(&least).await;
    let found = Run::with(&yaml, &[]).await;
    assert_eq!(found.header().commands_total, 1, "{:?}", found.outcome);
    assert_eq!(found.header().conflicts.count, Some(0));
    for server in [&servers.old, &servers.new] {
        assert_eq!(denials(server).await, 0);
    }
    for (right, reason) in [("+psync", "refused"), ("+replconf", "refused")] {
        let kept: Vec<&str> = least
            .iter()
            .copied()
            .filter(|rule| *rule != right)
            .collect();
        assert_eq!(kept.len() + 1, least.len(), "{right}");
        let (_servers, yaml) = with_rules(&kept).await;
        let report = Run::with(&yaml, &[]).await.report();
        let server = &report["servers"][0];
        assert_eq!(server["reason"], reason, "{report:#}");
        let detail = server["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains(&format!("the ACL rule {right}")),
            "{detail}"
        );
    }
    let kept: Vec<&str> = least
        .iter()
        .copied()
        .filter(|rule| *rule != "+info")
        .collect();
    let (_servers, yaml) = with_rules(&kept).await;
    let report = Run::with(&yaml, &[]).await.report();
    assert_eq!(report["result"], "cannot_be_had");
    assert!(
        report["silent"][0]
            .as_str()
            .unwrap_or_default()
            .contains("+info"),
        "{report:#}"
    );
}

#[tokio::test]
async fn the_user_can_read_and_write_no_key() {
    let [_, most] = documented();
    let (servers, _) = with_rules(&most).await;
    let mut connection = servers.old.connect().await.unwrap();
    connection
        .command(&["AUTH", "operator", planted::REDIS])
        .await
        .unwrap();
    let forbidden: [&[&str]; 5] = [
        &["GET", "lost"],
        &["SET", "lost", "2"],
        &["KEYS", "*"],
        &["CONFIG", "SET", "maxclients", "100"],
        &["REPLICAOF", "NO", "ONE"],
    ];
    for words in forbidden {
        let refused = connection.command(words).await;
        let noperm = matches!(&refused, Err(LabError::CommandRefused { reply, .. }) if reply.starts_with("NOPERM"));
        assert!(noperm, "{words:?}: {refused:?}");
    }
}

/// Tries to write until it is stopped, and counts the writes that got through.
async fn hammer(
    server: &RedisServer,
    stop: tokio::sync::watch::Receiver<bool>,
) -> tokio::task::JoinHandle<u64> {
    let mut connection = server.connect().await.unwrap().within(LIMIT);
    tokio::spawn(async move {
        let mut accepted = 0;
        while !*stop.borrow() {
            if connection.command(&["SET", "leaked", "1"]).await.is_ok() {
                accepted += 1;
            }
        }
        accepted
    })
}

#[tokio::test]
async fn a_reader_lets_no_write_through_a_fence() {
    let [least, most] = documented();
    for (rules, may_read) in [(&least, false), (&most, true)] {
        let (servers, yaml) = with_rules(rules).await;
        let old = &servers.old;
        send(old, &["CONFIG SET min-replicas-to-write 1"]).await;
        let refused = || async { old.command(&["SET", "x", "1"]).await.is_err() };
        eventually("the fence", LIMIT, refused).await.unwrap();
        let (ending, stopped) = tokio::sync::watch::channel(false);
        let writer = hammer(old, stopped).await;
        let mut newest = None;
        for _ in 0..10 {
            newest = Some(Run::with(&yaml, &[]).await);
        }
        ending.send_replace(true);
        assert_eq!(writer.await.unwrap(), 0, "nothing gets through");
        let report = newest.unwrap().report();
        if may_read {
            assert_eq!(
                report["servers"][0]["writes"]["commands_total"], 1,
                "{report:#}"
            );
        } else {
            assert_eq!(
                report["servers"][0]["reason"], "would_open_fence",
                "{report:#}"
            );
        }
        // A fence that no reader can open needs nothing.
        send(old, &["CONFIG SET min-replicas-to-write 1000000"]).await;
        let found = Run::with(&yaml, &["--unfenced"]).await;
        assert_eq!(found.header().commands_total, 1);
        let value = old
            .command(&["CONFIG", "GET", "min-replicas-to-write"])
            .await
            .unwrap();
        let Reply::Array(words) = value else {
            panic!("{value:?}")
        };
        assert_eq!(
            words[1].text().as_deref(),
            Some("1000000"),
            "nothing is changed"
        );
    }
}
