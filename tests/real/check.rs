//! `check`: what an engineer reads in an incident, and the exit codes that Nagios reads.

use std::path::Path;

use redis_cross_dc_exporter::lab::{RedisServer, SteadyWriter, WanConditions, WanProxy, WriteLoad};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::{Level, PairReport, PairsReport};

use crate::command::{Outcome, configuration, folder_with, no_exporter, nobody, run};
use crate::exporter::Exporter;
use crate::stage::{LIMIT, Stage, entry};

/// Runs `check` on config.yml in `folder`, asking the exporter at `url` first.
async fn check(folder: &Path, url: &str, more: &[&str]) -> Outcome {
    run(
        folder,
        &[
            &[
                "check",
                "--config.file",
                "config.yml",
                "--exporter.url",
                url,
            ],
            more,
        ]
        .concat(),
    )
    .await
}

/// The lines of a table's pairs; lines below a row are indented.
fn lines(table: &str) -> impl Iterator<Item = &str> {
    let body = table
        .lines()
        .skip_while(|line| !line.starts_with("LEVEL"))
        .skip(1);
    body.take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with(' '))
}

/// The names of the pairs in the rows of a table, from above.
fn rows(table: &str) -> Vec<&str> {
    lines(table)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect()
}

fn row<'a>(table: &'a str, pair: &str) -> &'a str {
    lines(table)
        .find(|line| line.split_whitespace().nth(1) == Some(pair))
        .expect("a row of the pair")
}

#[tokio::test]
async fn check_reports_ok_with_and_without_an_exporter() {
    let stage = Stage::set().await;
    let yaml = configuration(&[stage.entry("orders")]);
    let (exporter, folder) = (Exporter::start(&yaml).await, folder_with(&yaml));
    exporter
        .wait_for("orders", "a lag is shown", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let url = exporter.url().to_owned();
    for (url, first, counts) in [
        (url, "1 pair: 1 ok; asked the exporter at", "1 pair: 1 ok;"),
        (
            no_exporter(),
            "NO EXPORTER ANSWERS at http://127.0.0.1:",
            "Polled the servers directly: 1 pair: 1 ok;",
        ),
    ] {
        let table = check(folder.path(), &url, &["--pair", "orders"])
            .await
            .ended_with(0);
        assert!(
            table.stdout.starts_with(first) && table.stdout.contains(counts),
            "{table:?}"
        );
        assert!(
            row(&table.stdout, "orders").contains("streaming"),
            "{table:?}"
        );
        let json = check(folder.path(), &url, &["--output", "json"])
            .await
            .ended_with(0);
        let report: PairsReport = serde_json::from_str(&json.stdout).unwrap();
        assert!(
            report.pairs.len() == 1 && report.pairs[0].lag_seconds.is_some(),
            "{report:?}"
        );
        let unknown = check(folder.path(), &url, &["--pair", "sessions"])
            .await
            .ended_with(3);
        assert!(
            unknown.stderr.contains("no pair called \"sessions\""),
            "{unknown:?}"
        );
    }
}

/// A pair whose replica follows its master over a line that can be cut.
async fn stage_with_line() -> (Stage, WanProxy) {
    let master = RedisServer::builder().start().await.unwrap();
    let line = WanProxy::start(None, master.addr(), WanConditions::default())
        .await
        .unwrap();
    let replica = RedisServer::builder()
        .replicaof(line.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    (Stage { master, replica }, line)
}

#[tokio::test]
async fn check_puts_the_worst_first_and_invents_nothing() {
    let healthy = Stage::set().await;
    let ((cut, cut_line), (mut dead, dead_line)) =
        (stage_with_line().await, stage_with_line().await);
    let (master, replica) = (nobody(), nobody());
    let lost = entry("lost", ("dc1", &master), ("dc2", &replica));
    let rules = "alerts: {link_down: {warning: 100ms, critical: 1h}, \
                 unreachable: {warning: null, critical: 100ms}}\n";
    let yaml = rules.to_owned()
        + &configuration(&[
            healthy.entry("healthy"),
            cut.entry("cut"),
            dead.entry("dead"),
            lost,
        ]);
    let (exporter, folder) = (Exporter::start(&yaml).await, folder_with(&yaml));
    for (pair, line) in [("cut", cut_line), ("dead", dead_line)] {
        exporter
            .wait_for(pair, "a first lag", LIMIT, |pair| {
                pair.lag_seconds.is_some()
            })
            .await;
        line.cut().await;
        exporter
            .wait_for(pair, "a cut", LIMIT, |pair| {
                pair.state == PairState::LinkDown
            })
            .await;
    }
    // What is written in the second of the cut may have gone through, so writing has to go on for
    // longer than that.
    let _writer = SteadyWriter::start(
        dead.master.addr(),
        None,
        WriteLoad {
            per_second: 20,
            value_bytes: 10,
        },
    );
    let is_behind = |pair: &PairReport| pair.lag_lower_seconds.is_some_and(|lower| lower > 0.0);
    exporter
        .wait_for("dead", "a certain lag", LIMIT, is_behind)
        .await;
    dead.master.kill();
    let is_lost = |pair: &PairReport| {
        pair.state == PairState::MasterUnreachable && pair.level() == Level::Critical
    };
    exporter
        .wait_for("dead", "the loss of its master", LIMIT, is_lost)
        .await;
    let is_warning = |pair: &PairReport| pair.level() == Level::Warning;
    exporter
        .wait_for("cut", "the alert about its link", LIMIT, is_warning)
        .await;

    let url = exporter.url();
    let table = check(folder.path(), url, &[]).await.ended_with(2).stdout;
    assert_eq!(rows(&table), ["dead", "lost", "cut", "healthy"], "{table}");
    assert!(
        table.starts_with("4 pairs: 2 critical, 1 warning, 1 ok; "),
        "{table}"
    );
    assert!(row(&table, "dead").contains("at least "), "{table}");
    let unknown = row(&table, "lost")
        .split_whitespace()
        .filter(|word| *word == "-")
        .count();
    assert_eq!(unknown, 2, "neither seconds nor bytes are known: {table}");
    assert!(table.contains(&format!("{master} in dc1: ")), "{table}");

    check(folder.path(), url, &["--pair", "cut"])
        .await
        .ended_with(1);
    check(folder.path(), url, &["--pair", "healthy"])
        .await
        .ended_with(0);
    check(folder.path(), url, &["--pair", "lost"])
        .await
        .ended_with(2);
    let alone = check(folder.path(), &no_exporter(), &[])
        .await
        .ended_with(2)
        .stdout;
    assert_eq!(rows(&alone), ["dead", "lost", "cut", "healthy"], "{alone}");
}

#[tokio::test]
async fn check_exits_with_unknown_when_its_input_is_invalid() {
    let folder = folder_with("pairs: [{name: x, colour: red}]");
    let refused = check(folder.path(), &no_exporter(), &[])
        .await
        .ended_with(3);
    assert!(refused.stderr.contains("pairs[0].colour"), "{refused:?}");
    check(folder.path(), &no_exporter(), &["--bogus"])
        .await
        .ended_with(3);
    check(folder.path(), &no_exporter(), &["--output", "xml"])
        .await
        .ended_with(3);
}
