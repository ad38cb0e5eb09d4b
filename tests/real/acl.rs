//! The rights that the exporter needs: exactly those that docs/install.md gives for the server
//! under test, no more and no less. `REDIS_SERVER` names that server (`make generations`).

use std::collections::BTreeMap;

use redis_cross_dc_exporter::lab::{Connection, LabError, RedisServer, Reply, eventually};

use crate::command::{configuration, no_exporter, run};
use crate::exporter::Exporter;
use crate::planted;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

const USER: &str = "monitor";

/// The rules of each server generation, as the table in docs/install.md has them.
fn documented() -> BTreeMap<String, String> {
    let text = include_str!("../../docs/install.md");
    let (_, section) = text.split_once("## The Redis user").expect("the section");
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| ")?.split_once(" | `")?;
        let rules = rest.split_once('`')?.0.replace("\\|", "|");
        Some((name.to_owned(), rules))
    };
    section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(row)
        .collect()
}

/// The rules for `server`, by its name and the first two parts of its version; those of the next
/// older one where that very version is not in the table.
async fn rules_for(server: &RedisServer) -> String {
    let valkey = server.info_field("server", "valkey_version").await.unwrap();
    let redis = server.info_field("server", "redis_version").await.unwrap();
    let (name, version) = match (valkey, redis) {
        (Some(version), _) => ("Valkey", version),
        (None, version) => ("Redis", version.expect("a version")),
    };
    let ordered = |version: &str| -> Vec<u32> {
        version
            .split('.')
            .take(2)
            .map(|part| part.parse().unwrap())
            .collect()
    };
    let rows = documented();
    let of_name = rows
        .iter()
        .filter_map(|(row, rules)| Some((ordered(row.strip_prefix(name)?.trim()), rules)));
    let known = of_name.filter(|(row, _)| *row <= ordered(&version)).max();
    known
        .unwrap_or_else(|| panic!("docs/install.md has no row for {name} {version}"))
        .1
        .clone()
}

/// A master and a replica on which `monitor` has `rules`, and nothing is logged yet.
async fn stage_with(rules: impl Fn(String) -> String) -> Stage {
    let stage = Stage::set().await;
    for server in [&stage.master, &stage.replica] {
        let rules = rules(rules_for(server).await);
        let password = format!(">{}", planted::REDIS);
        let words: Vec<&str> = ["ACL", "SETUSER", USER, "on", &password]
            .into_iter()
            .chain(rules.split_whitespace())
            .collect();
        server.command(&words).await.unwrap();
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    stage
}

/// The configuration in which the exporter is `monitor`.
fn as_monitor(stage: &Stage) -> String {
    format!(
        "redis: {{username: {USER}, password: {}}}\n{}",
        planted::REDIS,
        configuration(&[stage.entry("orders")])
    )
}

/// What was denied to anybody: a line an entry.
async fn denied(server: &RedisServer) -> Vec<String> {
    let Reply::Array(entries) = server.command(&["ACL", "LOG"]).await.unwrap() else {
        panic!("no ACL LOG")
    };
    entries.iter().map(|entry| format!("{entry:?}")).collect()
}

/// How many connections of the exporter the server has under its name and user.
async fn connections(server: &RedisServer) -> usize {
    let list = server
        .command(&["CLIENT", "LIST"])
        .await
        .unwrap()
        .text()
        .unwrap_or_default();
    let own = |line: &&str| {
        line.contains(&format!(" user={USER} ")) && line.contains(" name=redis-cross-dc-exporter ")
    };
    list.lines().filter(own).count()
}

#[test]
fn every_document_gives_the_same_rules() {
    let rules = documented();
    for server in [
        "Redis 6.2",
        "Redis 7.0",
        "Redis 7.4",
        "Redis 8.2",
        "Valkey 8.1",
        "Valkey 9.1",
    ] {
        assert!(rules.contains_key(server), "{server}: {rules:?}");
    }
    let texts = [
        include_str!("../../README.md"),
        include_str!("../../docs/configuration.md"),
    ];
    for text in texts
        .into_iter()
        .chain([include_str!("../../docs/install.md")])
    {
        let commands = text
            .lines()
            .filter_map(|line| line.split_once("ACL SETUSER monitor on >PASSWORD "));
        let given: Vec<_> = commands
            .map(|(_, rest)| rest.trim_end_matches([' ', '|', '`']).replace("\\|", "|"))
            .collect();
        assert!(
            !given.is_empty()
                && given
                    .iter()
                    .all(|given| rules.values().any(|rules| rules == given)),
            "{given:?}"
        );
    }
}

#[tokio::test]
async fn the_documented_rules_are_enough_for_everything() {
    let stage = stage_with(|rules| rules).await;
    let exporter = Exporter::start(&as_monitor(&stage)).await;
    exporter
        .wait_for("orders", "a lag is shown", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    for server in [&stage.master, &stage.replica] {
        assert_eq!(connections(server).await, 1, "it says its name");
        // It connects again, logs in again and asks in the first form again.
        server
            .command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await
            .unwrap();
    }
    let again = || async {
        connections(&stage.master).await == 1 && connections(&stage.replica).await == 1
    };
    eventually("new connections", LIMIT, again).await.unwrap();
    exporter
        .wait_for("orders", "a lag is shown again", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    // A reload, and `check` that polls by itself.
    exporter.signal("HUP");
    let folder = exporter.config().parent().unwrap().to_owned();
    let args = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &no_exporter(),
    ];
    let checked = run(&folder, &args).await.ended_with(0);
    assert!(checked.stdout.contains("streaming"), "{checked:?}");
    let polls = [("server", stage.replica.addr().to_string())];
    let labels: Vec<(&str, &str)> = polls
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let before = Scrape::of(&exporter)
        .await
        .value("redis_cross_dc_polls_total", &labels)
        .unwrap();
    let more = || async {
        Scrape::of(&exporter)
            .await
            .value("redis_cross_dc_polls_total", &labels)
            >= Some(before + 20.0)
    };
    eventually("twenty more polls", LIMIT, more).await.unwrap();
    for server in [&stage.master, &stage.replica] {
        assert_eq!(
            denied(server).await,
            Vec::<String>::new(),
            "something was denied"
        );
    }
}

#[tokio::test]
async fn without_info_polls_are_denied_and_the_log_names_the_missing_rule() {
    let stage = stage_with(|rules| without(&rules, "+info")).await;
    let exporter = Exporter::start(&as_monitor(&stage)).await;
    let refused = || async {
        let servers = exporter.pairs().await.servers;
        let all = servers.len() == 2
            && servers
                .iter()
                .all(|server| server.last_error.as_deref() == Some("denied"));
        if all {
            Ok(())
        } else {
            Err(format!("{servers:?}"))
        }
    };
    eventually("the denial", LIMIT, refused)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let failures = Scrape::of(&exporter)
        .await
        .value("redis_cross_dc_poll_errors_total", &[("reason", "denied")]);
    assert!(failures.is_some_and(|count| count >= 2.0), "{failures:?}");
    let log = exporter.log();
    // The pair's change of state, which may come before or after this, repeats the sentence.
    let about_a_server = |line: &&str| {
        line.contains("give it the ACL rule +info")
            && line.contains("level=warn")
            && line.contains(" server=")
    };
    let warnings = log.lines().filter(about_a_server);
    assert_eq!(
        warnings.count(),
        2,
        "once for each server, not once for each poll: {log}"
    );
    assert!(exporter.pair("orders").await.lag_seconds.is_none());
}

#[tokio::test]
async fn without_setname_it_works_but_each_connection_is_in_the_servers_acl_log() {
    let stage = stage_with(|rules| without(&rules, "+client|setname")).await;
    let exporter = Exporter::start(&as_monitor(&stage)).await;
    exporter
        .wait_for("orders", "a lag is shown", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    for server in [&stage.master, &stage.replica] {
        let denied = denied(server).await;
        assert!(
            denied.len() == 1 && connections(server).await == 0,
            "{denied:?}"
        );
    }
}

#[tokio::test]
async fn the_user_may_run_no_other_command() {
    let stage = stage_with(|rules| rules).await;
    stage
        .master
        .command(&["SET", "key", "value"])
        .await
        .unwrap();
    let mut connection = Connection::open(stage.master.addr(), None).await.unwrap();
    connection
        .command(&["AUTH", USER, planted::REDIS])
        .await
        .unwrap();
    connection.command(&["INFO", "replication"]).await.unwrap();
    connection
        .command(&["CLIENT", "SETNAME", "x"])
        .await
        .unwrap();
    let commands: [&[&str]; 12] = [
        &["PING"],
        &["ROLE"],
        &["GET", "key"],
        &["SET", "key", "x"],
        &["KEYS", "*"],
        &["CONFIG", "GET", "requirepass"],
        &["CLIENT", "LIST"],
        &["CLIENT", "KILL", "TYPE", "replica"],
        &["CLIENT", "PAUSE", "1"],
        &["REPLICAOF", "NO", "ONE"],
        &["PUBLISH", "channel", "x"],
        &["ACL", "WHOAMI"],
    ];
    for command in commands {
        let refused = connection.command(command).await;
        let noperm = matches!(&refused, Err(LabError::CommandRefused { reply, .. }) if reply.starts_with("NOPERM"));
        assert!(noperm, "{command:?}: {refused:?}");
    }
}

/// The rules without one of them, which must be there.
fn without(rules: &str, rule: &str) -> String {
    let kept: Vec<&str> = rules
        .split_whitespace()
        .filter(|word| *word != rule)
        .collect();
    assert!(
        kept.len() + 1 == rules.split_whitespace().count(),
        "{rule} in {rules}"
    );
    kept.join(" ")
}
