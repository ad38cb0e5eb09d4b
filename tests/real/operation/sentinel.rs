//! Operations of a pair that three real Sentinels manage.

use std::collections::BTreeSet;

use redis_cross_dc_exporter::lab::{RedisServer, Reply, eventually};
use redis_cross_dc_exporter::model::ServerAddr;

use super::drill::captured;
use super::writer::Writer;
use super::{counter, failover, failover_with, ids, last_line, replication, server};
use crate::command::folder_with;
use crate::exporter::Exporter;
use crate::sentinel::wait_until_it_knows;
use crate::stage::LIMIT;

const NAME: &str = "mymaster";

/// A master, its replicas and three Sentinels.
struct Managed {
    master: RedisServer,
    replicas: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
    yaml: String,
    folder: tempfile::TempDir,
}

impl Managed {
    async fn start(replicas: usize) -> Self {
        let master = server().start().await.unwrap();
        let mut others = Vec::new();
        for _ in 0..replicas {
            let replica = server().replicaof(master.addr()).start().await.unwrap();
            replica.wait_until_in_sync(LIMIT).await.unwrap();
            others.push(replica);
        }
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let sentinel = RedisServer::builder()
                .sentinel()
                .watches(NAME, master.addr(), 2)
                .config(&format!("sentinel down-after-milliseconds {NAME} 3000"));
            sentinels.push(sentinel.start().await.unwrap());
        }
        for sentinel in &sentinels {
            wait_until_it_knows(sentinel, NAME, replicas, 2).await;
        }
        let all = sentinels.iter();
        let addresses: Vec<_> = all.map(|one| format!("'{}'", one.addr())).collect();
        let yaml = format!(
            "poll: {{interval: 200ms, min_interval: 100ms, timeout: {{local: 500ms, remote: 500ms}}}}\n\
             recover: {{capture: on, dir: data/lost-writes}}\n\
             sentinels: [{{name: orders, master_name: {NAME}, addresses: [{}]}}]\n",
            addresses.join(", ")
        );
        Self {
            master,
            replicas: others,
            sentinels,
            folder: folder_with(&yaml),
            yaml,
        }
    }

    /// Waits until every Sentinel names `master`.
    async fn all_name(&self, master: &ServerAddr) {
        for sentinel in &self.sentinels {
            let names = || async {
                let named = named_by(sentinel).await;
                if named == master.to_string() {
                    Ok(())
                } else {
                    Err(named)
                }
            };
            let what = format!("{} to name {master}", sentinel.addr());
            eventually(&what, LIMIT, names).await.unwrap();
        }
    }
}

async fn named_by(sentinel: &RedisServer) -> String {
    let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
    let Reply::Array(words) = sentinel.command(&command).await.unwrap() else {
        return String::new();
    };
    let words: Vec<_> = words.iter().filter_map(Reply::text).collect();
    words.join(":")
}

async fn priority(server: &RedisServer) -> String {
    let reply = server.command(&["CONFIG", "GET", "replica-priority"]).await;
    let Reply::Array(words) = reply.unwrap() else {
        return String::new();
    };
    words[1].text().unwrap()
}

/// How the replica logs in to its master from now on.
async fn log_in_as(replica: &RedisServer, user: &str, password: &str) {
    for (name, value) in [("masteruser", user), ("masterauth", password)] {
        let set = ["CONFIG", "SET", name, value];
        replica.command(&set).await.unwrap();
    }
}

#[tokio::test]
async fn a_switch_over_under_sentinels_loses_nothing_and_all_of_them_follow() {
    let managed = Managed::start(1).await;
    let [replica] = &managed.replicas[..] else {
        unreachable!()
    };
    let writer = Writer::start(vec![managed.master.addr().clone(), replica.addr().clone()]);
    writer.after(500).await;
    let plan = failover(managed.folder.path(), &[]).await.ended_with(10);
    let order = format!("SENTINEL FAILOVER {NAME}");
    assert!(plan.stdout.contains(&order), "{plan:#?}");
    let given = counter(replica, "sync_full").await;
    let done = failover(managed.folder.path(), &["--execute"]).await;
    let done = done.ended_with(0);
    let expected = format!("Done: {} ", replica.addr());
    assert!(last_line(&done).starts_with(&expected), "{done:#?}");
    writer.after(500).await;
    // Sentinels that disagreed would have undone it by now, or would soon.
    managed.all_name(replica.addr()).await;
    let written = writer.stop().await;
    println!(
        "{} writes, longest {}",
        written.acked.len(),
        written.longest
    );
    written.check_against(&ids(replica).await);
    assert_eq!(counter(replica, "sync_full").await, given, "no full sync");
    assert_eq!(replication(&managed.master, "role").await, "slave");
}

#[tokio::test]
#[ignore = "takes a minute: make drill"]
async fn the_wanted_replica_is_chosen_among_equals_and_priorities_are_put_back() {
    let managed = Managed::start(2).await;
    let [first, wanted] = &managed.replicas[..] else {
        unreachable!()
    };
    for _ in 0..2 {
        let (from, to_server) = if replication(wanted, "role").await == "master" {
            (wanted, &managed.master)
        } else {
            (&managed.master, wanted)
        };
        let addrs = vec![from.addr().clone(), to_server.addr().clone()];
        let writer = Writer::start(addrs);
        writer.after(300).await;
        let to = to_server.addr().to_string();
        // The Sentinels may not be through with pointing the other replica to the last master.
        let ready = || async {
            let plan = failover(managed.folder.path(), &["--to", &to]).await;
            if plan.code == Some(10) {
                Ok(())
            } else {
                Err(plan.stdout)
            }
        };
        eventually("a safe plan", LIMIT, ready).await.unwrap();
        let done = failover(managed.folder.path(), &["--to", &to, "--execute"]).await;
        done.ended_with(0);
        managed.all_name(to_server.addr()).await;
        writer.after(300).await;
        let written = writer.stop().await;
        let found: BTreeSet<u64> = ids(to_server).await.into_iter().collect();
        let lost = written
            .acked
            .iter()
            .filter(|(number, _)| !found.contains(number));
        assert_eq!(lost.count(), 0);
        to_server
            .command(&["DEL", super::writer::LIST])
            .await
            .unwrap();
    }
    for server in [&managed.master, first, wanted] {
        assert_eq!(priority(server).await, "100", "{}", server.addr());
    }
}

#[tokio::test]
#[ignore = "takes a minute: make drill"]
async fn one_sentinel_of_three_promotes_after_a_disaster_and_what_is_lost_is_captured() {
    let mut managed = Managed::start(2).await;
    let target = managed.replicas[1].addr().clone();
    let exporter = Exporter::start(&managed.yaml).await;
    // The datacenter of the master and of two Sentinels is cut off: frozen, they come back later.
    let writer = Writer::start(vec![managed.master.addr().clone()]);
    writer.after(500).await;
    // The replicas lose the stream first: what follows only the master has.
    for replica in &managed.replicas {
        log_in_as(replica, "nobody", "wrong").await;
        let cut = ["CLIENT", "KILL", "TYPE", "master"];
        replica.command(&cut).await.unwrap();
    }
    let apart = || async {
        for replica in &managed.replicas {
            if replication(replica, "master_link_status").await != "down" {
                return Err(replica.addr().to_string());
            }
        }
        Ok(())
    };
    eventually("the links to be down", LIMIT, apart)
        .await
        .unwrap();
    writer.after(300).await;
    let written = writer.stop().await;
    managed.master.stop().unwrap();
    for replica in &managed.replicas {
        log_in_as(replica, "", "").await;
    }
    for sentinel in &mut managed.sentinels[..2] {
        sentinel.stop().unwrap();
    }
    let flags = [
        "--disaster",
        "--to",
        &target.to_string(),
        "--accept-unknown-loss",
        "--accept-behind",
        "--execute",
    ];
    let promoted = || async {
        let outcome = failover_with(exporter.url(), managed.folder.path(), &flags).await;
        match outcome.code {
            Some(0) => Ok(()),
            // Until the Sentinel takes the master for down.
            _ => Err(outcome.stdout),
        }
    };
    eventually("the disaster to be done", LIMIT, promoted)
        .await
        .unwrap();
    let lost: BTreeSet<u64> = written
        .lost_from(&ids(&managed.replicas[1]).await)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert!(lost.len() >= 300, "{}", lost.len());
    managed.master.cont().unwrap();
    for sentinel in &mut managed.sentinels[..2] {
        sentinel.cont().unwrap();
    }
    managed.all_name(&target).await;
    let folder = exporter.folder();
    let saved = || async {
        let is_there = folder.path().join("data/lost-writes").is_dir();
        (is_there && captured(folder.path()) == lost).then_some(())
    };
    eventually("the exporter to capture what was lost", LIMIT, saved)
        .await
        .unwrap();
    println!("{} lost, all of them captured", lost.len());
}
