//! `active-active verify` and `active-active sync` on real servers: what they find, what they
//! repair, what they refuse to touch, and that they can be killed anywhere.

mod figures;
#[path = "../../active_active/python.rs"]
#[allow(dead_code, reason = "the tests beside it use all of it")]
mod python;
mod storm;

use std::process::{Command, Stdio};

use redis_cross_dc_exporter::lab::{RedisServer, Reply, eventually};
use serde_json::Value;

use crate::command::{Outcome, folder_with, run};
use crate::exporter::program;
use crate::planted;
use crate::stage::LIMIT;

/// Two sites.
struct Sites {
    dc1: RedisServer,
    dc2: RedisServer,
}

impl Sites {
    async fn start() -> Self {
        Self {
            dc1: RedisServer::builder().start().await.unwrap(),
            dc2: RedisServer::builder().start().await.unwrap(),
        }
    }

    fn configuration(&self, login: &str) -> String {
        format!(
            "active_active:\n  - name: profiles\n    sites: [{{address: '{}', dc: dc1}}, {{address: '{}', dc: dc2}}]\n    \
             sync_queue: sync_queue\n    keys: ['user:*']\n    counters: ['counter:*']\n    {login}\n",
            self.dc1.addr(),
            self.dc2.addr()
        )
    }

    async fn run(&self, args: &[&str]) -> Outcome {
        let folder = folder_with(&self.configuration(""));
        let all = ["active-active"].iter().chain(args);
        let all: Vec<&str> = all
            .chain(&["--config.file", "config.yml"])
            .copied()
            .collect();
        run(folder.path(), &all).await
    }

    async fn verify(&self) -> Value {
        let outcome = self
            .run(&["verify", "--settle", "1s", "--output", "json"])
            .await;
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| {
            panic!("{error}: {outcome:#?}");
        });
        let expected = if report["converged"] == true { 0 } else { 10 };
        outcome.ended_with(expected);
        report
    }

    /// How many items wait in both queues.
    async fn queued(&self) -> u64 {
        let mut queued = 0;
        for server in [&self.dc1, &self.dc2] {
            match server.command(&["LLEN", "sync_queue"]).await.unwrap() {
                Reply::Integer(length) => queued += u64::try_from(length).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        queued
    }

    async fn text(&self, server: &RedisServer, key: &str) -> Option<String> {
        let reply = server.command(&["GET", key]).await.unwrap();
        reply.text()
    }
}

fn envelope(value: &str, stamp: f64, dc: &str) -> String {
    format!(
        "{{\"value\": \"{value}\", \"timestamp\": {stamp:?}, \"dc\": \"{dc}\", \"version\": \"{dc}:{stamp:?}\"}}"
    )
}

async fn set(server: &RedisServer, key: &str, text: &str) {
    server.command(&["SET", key, text]).await.unwrap();
}

#[tokio::test]
async fn active_active_sites_are_verified_and_repaired() {
    let sites = Sites::start().await;
    let (old, new) = (
        envelope("old", now() - 3000.0, "dc1"),
        envelope("new", now() - 1000.0, "dc2"),
    );
    for server in [&sites.dc1, &sites.dc2] {
        set(server, "user:same", &old).await;
    }
    let report = sites.verify().await;
    assert_eq!(report["converged"], true, "{report:#}");

    // What a race leaves, what a timeout leaves, a tie, a counter, what nobody may touch, and an
    // item.
    set(&sites.dc1, "user:swapped", &new).await;
    set(&sites.dc2, "user:swapped", &old).await;
    set(&sites.dc2, "user:missing", &new).await;
    set(&sites.dc1, "user:tie", &envelope("a", 1e9, "dc1")).await;
    set(&sites.dc2, "user:tie", &envelope("b", 1e9, "dc1")).await;
    set(&sites.dc1, "user:text", "plain").await;
    set(&sites.dc2, "user:text", &old).await;
    sites
        .dc1
        .command(&["HSET", "counter:visits", "p:dc1", "5"])
        .await
        .unwrap();
    sites
        .dc2
        .command(&[
            "HSET",
            "counter:visits",
            "p:dc1",
            "3",
            "p:dc2",
            "9007199254740993",
        ])
        .await
        .unwrap();
    set(&sites.dc2, "user:queued", &old).await;
    let item = format!("{{\"key\": \"user:queued\", \"data\": {new}}}");
    sites
        .dc1
        .command(&["LPUSH", "sync_queue", &item])
        .await
        .unwrap();
    set(&sites.dc1, "user:queued", &new).await;

    let report = sites.verify().await;
    let pair = &report["entries"][0]["pairs"][0];
    assert_eq!(pair["directions"][0]["settled"]["newer"], 2, "{report:#}");
    assert_eq!(pair["directions"][1]["settled"]["missing"], 1, "{report:#}");
    assert_eq!(pair["directions"][1]["settled"]["tie"], 1, "{report:#}");
    assert_eq!(
        pair["directions"][1]["settled"]["malformed"], 1,
        "{report:#}"
    );
    assert_eq!(pair["directions"][0]["counters"], 1, "{report:#}");
    assert_eq!(report["entries"][0]["queues"][0]["length"], 1, "{report:#}");

    // A dry run changes nothing.
    let args = ["sync", "--settle", "1s"];
    sites.run(&args).await.ended_with(10);
    assert_eq!(sites.text(&sites.dc2, "user:swapped").await.unwrap(), old);

    let outcome = sites
        .run(&[&args[..], &["--execute"]].concat())
        .await
        .ended_with(10);
    for key in ["user:swapped", "user:queued"] {
        assert_eq!(
            sites.text(&sites.dc2, key).await.unwrap(),
            new,
            "{outcome:#?}"
        );
    }
    assert_eq!(
        sites.text(&sites.dc1, "user:missing").await,
        None,
        "it may have been deleted"
    );
    assert_eq!(sites.text(&sites.dc2, "user:text").await.unwrap(), old);
    assert_eq!(sites.text(&sites.dc1, "user:text").await.unwrap(), "plain");
    let tie = sites.text(&sites.dc1, "user:tie").await.unwrap();
    assert_eq!(tie, envelope("b", 1e9, "dc1"));
    let counter = sites
        .dc1
        .command(&["HGET", "counter:visits", "p:dc2"])
        .await
        .unwrap();
    assert_eq!(counter.text().as_deref(), Some("9007199254740993"));

    sites.dc1.command(&["DEL", "user:text"]).await.unwrap();
    let copy = ["--missing", "copy", "--execute"];
    let outcome = sites
        .run(&[&args[..], &copy[..]].concat())
        .await
        .ended_with(0);
    assert!(
        outcome.stdout.starts_with("the sites agree"),
        "{outcome:#?}"
    );
    assert_eq!(sites.text(&sites.dc1, "user:missing").await.unwrap(), new);
    let report = sites.verify().await;
    assert_eq!(report["converged"], true, "{report:#}");

    let outcome = sites
        .run(&["verify", "--sample", "2", "--settle", "1s"])
        .await
        .ended_with(10);
    assert!(
        outcome
            .stdout
            .starts_with("no difference was found in a sample"),
        "{outcome:#?}"
    );
    assert!(outcome.stdout.contains("(a sample)"), "{outcome:#?}");
    assert!(outcome.stdout.contains("95 % confidence"), "{outcome:#?}");

    // Of another type at both sites: nothing says that they agree.
    for server in [&sites.dc1, &sites.dc2] {
        server.command(&["LPUSH", "user:list", "x"]).await.unwrap();
    }
    let report = sites.verify().await;
    assert_eq!(report["converged"], false, "{report:#}");

    set(&sites.dc1, "sync_queue", "x").await;
    let outcome = sites.run(&["verify", "--settle", "1s"]).await.ended_with(1);
    assert!(
        outcome.stderr.contains("at dc1 the queue sync_queue"),
        "{outcome:#?}"
    );
}

#[tokio::test]
async fn active_active_commands_say_which_site_is_away_and_refuse_what_makes_no_sense() {
    let mut sites = Sites::start().await;
    sites.run(&["verify", "nothing"]).await.ended_with(64);
    sites
        .run(&["verify", "--settle", "0s"])
        .await
        .ended_with(64);
    let addr = sites.dc2.addr().to_string();
    sites.dc2.kill();
    let outcome = sites.run(&["verify", "--settle", "1s"]).await.ended_with(1);
    assert!(
        outcome.stderr.contains("dc2") && outcome.stderr.contains(&addr),
        "{outcome:#?}"
    );
    let item = format!(
        "{{\"key\": \"user:1\", \"data\": {}}}",
        envelope("a", 1e9, "dc1")
    );
    sites
        .dc1
        .command(&["LPUSH", "sync_queue", &item])
        .await
        .unwrap();
    sites
        .run(&["sync", "--settle", "1s", "--execute"])
        .await
        .ended_with(1);
    let length = sites.dc1.command(&["LLEN", "sync_queue"]).await.unwrap();
    assert_eq!(
        length,
        Reply::Integer(1),
        "nothing is taken that cannot be brought over"
    );
}

/// The drain is killed again and again, each time once it has applied something; nothing is lost.
#[tokio::test]
async fn active_active_sync_can_be_killed_anywhere() {
    let sites = Sites::start().await;
    let mut connection = sites.dc1.connect().await.unwrap();
    // Older writes than the time for which tombstones are kept could be deletions.
    let began = now() - 5000.0;
    for number in 0..4_000 {
        let data = envelope("x", began + f64::from(number), "dc1");
        let key = format!("user:{number}");
        let item = format!("{{\"key\": \"{key}\", \"data\": {data}}}");
        connection.command(&["SET", &key, &data]).await.unwrap();
        connection
            .command(&["LPUSH", "sync_queue", &item])
            .await
            .unwrap();
        // What a deletion's tombstone could stand for is refused where the key is missing.
        sites
            .dc2
            .command(&["SET", &key, &envelope("old", 1.0, "dc1")])
            .await
            .unwrap();
    }
    let folder = folder_with(&sites.configuration(""));
    for _ in 0..6 {
        let before = applied(&sites).await;
        let mut child = Command::new(program())
            .envs(planted::ENVIRONMENT)
            .args([
                "active-active",
                "sync",
                "--execute",
                "--items-per-second",
                "300",
                "--settle",
                "1s",
                "--config.file",
                "config.yml",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the drain applies something", LIMIT, || async {
            (applied(&sites).await > before).then_some(())
        })
        .await
        .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    sites
        .run(&["sync", "--execute", "--settle", "1s"])
        .await
        .ended_with(0);
    let report = sites.verify().await;
    assert_eq!(report["converged"], true, "{report:#}");
    assert_eq!(applied(&sites).await, 4_000);
}

fn now() -> f64 {
    redis_cross_dc_exporter::clock::wall_now().as_secs_f64()
}

/// How many applies have changed something at dc2.
async fn applied(sites: &Sites) -> u64 {
    let dirty = sites.dc2.command(&["EVAL", "local n = 0 for i = 0, 3999 do local v = redis.call('GET', 'user:' .. i) if v and string.find(v, '\"x\"', 1, true) then n = n + 1 end end return n", "0"]);
    match dirty.await.unwrap() {
        Reply::Integer(count) => u64::try_from(count).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The rights that docs/active-active.md names are enough.
#[tokio::test]
async fn active_active_commands_need_the_documented_rights() {
    let sites = Sites::start().await;
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/active-active.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rights: Vec<&str> = document
        .lines()
        .filter(|line| line.starts_with('+'))
        .collect();
    let [library, verify, _monitoring, _probes] = rights[..] else {
        panic!("four lines of rights are expected: {rights:?}");
    };
    for server in [&sites.dc1, &sites.dc2] {
        for (name, rules) in [
            ("reader", verify.to_owned()),
            ("writer", format!("{library} {verify}")),
        ] {
            let mut words = vec!["ACL", "SETUSER", name, "on", ">secret", "-@all"];
            words.extend(rules.split(' '));
            server.command(&words).await.unwrap();
        }
    }
    set(&sites.dc1, "user:1", &envelope("new", 1.5e9, "dc1")).await;
    set(&sites.dc2, "user:1", &envelope("old", 1e9, "dc1")).await;
    sites
        .dc1
        .command(&["HSET", "counter:visits", "p:dc1", "5"])
        .await
        .unwrap();
    let item = format!(
        "{{\"key\": \"user:1\", \"data\": {}}}",
        envelope("new", 1.5e9, "dc1")
    );
    sites
        .dc1
        .command(&["LPUSH", "sync_queue", &item])
        .await
        .unwrap();
    sites
        .dc1
        .command(&["LPUSH", "sync_queue", "no JSON"])
        .await
        .unwrap();
    let as_user = async |user: &str, args: &[&str]| {
        let login = format!("username: {user}\n    password: secret");
        let folder = folder_with(&sites.configuration(&login));
        let all = ["active-active"].iter().chain(args);
        let all: Vec<&str> = all
            .chain(&["--settle", "1s", "--config.file", "config.yml"])
            .copied()
            .collect();
        run(folder.path(), &all).await
    };
    as_user("reader", &["verify"]).await.ended_with(10);
    let refused = as_user("reader", &["sync", "--execute"])
        .await
        .ended_with(1);
    assert!(refused.stderr.contains("NOPERM"), "{refused:#?}");
    as_user("writer", &["sync", "--execute"])
        .await
        .ended_with(0);
    as_user("reader", &["verify"]).await.ended_with(0);
}
