//! What is refused on real servers: by name, with nothing done.

use redis_cross_dc_exporter::lab::{Connection, RedisServer};

use super::{Duo, failover_without_pair, last_line, replication, server};

/// Runs the plan and the execution, and checks that both are refused for `name` and that the roles
/// stay.
async fn refuses(duo: &Duo, name: &str) {
    for more in [&[][..], &["--execute"]] {
        let outcome = duo.failover(more).await.ended_with(20);
        let expected = format!("refused: {name}: ");
        assert!(outcome.stdout.contains(&expected), "{name}: {outcome:#?}");
        assert!(
            last_line(&outcome).ends_with("Nothing was done."),
            "{outcome:#?}"
        );
    }
    assert_ne!(
        replication(&duo.servers[1], "role").await,
        "master",
        "{name}"
    );
}

#[tokio::test]
async fn what_should_refuse_refuses_and_nothing_is_done() {
    let mut duo = Duo::start().await;
    let stale = ["--execute", "--plan", "0123456789abcdef"];
    let changed = duo.failover(&stale).await.ended_with(20);
    assert!(
        changed.stdout.contains("refused: plan-changed: "),
        "{changed:#?}"
    );
    // A controller on another machine.
    let mut other = Connection::open(duo.addr(0), None).await.unwrap();
    let name = ["CLIENT", "SETNAME", "redis-cross-dc/failover/other"];
    other.command(&name).await.unwrap();
    refuses(&duo, "operation-in-progress").await;
    // A Sentinel that the configuration does not know.
    let name = ["CLIENT", "SETNAME", "sentinel-0123abcd-cmd"];
    other.command(&name).await.unwrap();
    refuses(&duo, "sentinel-would-undo").await;
    drop(other);
    let set = |name: &'static str, value: &'static str| ["CONFIG", "SET", name, value];
    duo.servers[1]
        .command(&set("min-replicas-to-write", "1"))
        .await
        .unwrap();
    refuses(&duo, "promotion-trap").await;
    let accepted = duo.failover(&["--accept", "A1"]).await.ended_with(10);
    assert!(
        accepted.stdout.contains("overridden: promotion-trap: A1"),
        "{accepted:#?}"
    );
    duo.servers[1]
        .command(&set("min-replicas-to-write", "0"))
        .await
        .unwrap();
    // A link that is down, and a replica that is gone.
    duo.servers[1]
        .command(&["REPLICAOF", "127.0.0.1", "1"])
        .await
        .unwrap();
    refuses(&duo, "link-down").await;
    duo.servers[1].kill();
    let gone = duo.failover(&["--execute"]).await.ended_with(20);
    assert!(
        gone.stdout.contains("refused: target-silent: "),
        "{gone:#?}"
    );
    assert_eq!(replication(&duo.servers[0], "role").await, "master");
    assert!(
        !duo.folder.path().join("data/operations").exists(),
        "nothing was begun"
    );
}

#[tokio::test]
async fn two_masters_and_a_cluster_are_refused() {
    let duo = Duo::start().await;
    duo.servers[1]
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    let both = duo.failover(&["--execute"]).await.ended_with(20);
    assert!(
        both.stdout.contains("refused: second-master: "),
        "{both:#?}"
    );
    let node = || RedisServer::builder().config("cluster-enabled yes");
    let nodes = [node().start().await.unwrap(), node().start().await.unwrap()];
    let yaml = crate::command::configuration(&[crate::stage::entry(
        "orders",
        ("dc1", nodes[0].addr()),
        ("dc2", nodes[1].addr()),
    )]);
    let folder = crate::command::folder_with(&yaml);
    let cluster = super::failover(folder.path(), &[]).await.ended_with(20);
    assert!(
        cluster.stdout.contains("refused: cluster-mode: "),
        "{cluster:#?}"
    );
}

#[tokio::test]
async fn what_is_not_understood_is_a_usage_error() {
    let duo = Duo::start_with(server(), server()).await;
    let cases: [(&[&str], &str); 7] = [
        (&["--max-pause", "soon"], "--max-pause"),
        (&["--max-pause", "1h"], "out of range"),
        (&["--to", "nowhere"], "--to"),
        (&["--to", "127.0.0.1:1"], "no replica of this pair"),
        (&["--accept", "Z9"], "not a check"),
        (&["--old-master-is-fenced", "x"], "--disaster"),
        (&["--resume"], "cannot be used with"),
    ];
    for (more, expected) in cases {
        let outcome = duo.failover(more).await.ended_with(64);
        assert!(outcome.stderr.contains(expected), "{more:?}: {outcome:#?}");
    }
    for (more, expected) in [
        (&["--pair", "carts"][..], "no pair called"),
        (&["--resume"], "is unfinished"),
        (&["--status", "../x"], "no operation's name"),
        (&[], "required"),
    ] {
        let outcome = failover_without_pair(duo.folder.path(), more)
            .await
            .ended_with(64);
        assert!(outcome.stderr.contains(expected), "{more:?}: {outcome:#?}");
    }
    let none = failover_without_pair(duo.folder.path(), &["--status"])
        .await
        .ended_with(0);
    assert!(none.stdout.contains("No operations"), "{none:#?}");
}
