//! Pair files: written, renamed over, broken in the middle, removed.

use redis_cross_dc_exporter::lab::eventually;

use super::{Folder, POLL, every_surface_says, until_metric, until_watched};
use crate::command::{folder_with, nobody, run};
use crate::exporter::Exporter;
use crate::failover::replicaof;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

const OK: &str = "redis_cross_dc_discovery_file_ok";

fn configuration(more: &str) -> String {
    format!("{POLL}discovery: {{files: ['pairs.d/*.yml', 'pairs.d/*.json']}}\n{more}")
}

/// A pair file with one pair, as JSON.
fn json(name: &str, stage: &Stage) -> String {
    let pair = serde_json::json!([{
        "name": name,
        "master": {"address": stage.master.addr().to_string(), "dc": "dc1"},
        "replicas": [{"address": stage.replica.addr().to_string(), "dc": "dc2"}],
    }]);
    pair.to_string()
}

#[tokio::test]
async fn pair_files_are_followed_and_every_surface_says_the_same_of_a_bad_one() {
    let first = Stage::set().await;
    let second = Stage::set().await;
    let folder = Folder::new();
    folder.put("a.yml", &format!("- {}\n", first.entry("first")));
    let exporter = Exporter::start_in(folder.0.clone(), &configuration("")).await;
    until_watched(&exporter, &["first"]).await;
    exporter
        .wait_for("first", "the pair to be up", LIMIT, |pair| pair.link_up)
        .await;
    let applied = exporter.pair("first").await.applied_bytes_total;
    folder.put("b.yml", &format!("[{}]", second.entry("second")));
    until_watched(&exporter, &["first", "second"]).await;
    exporter
        .wait_for("second", "the pair to be up", LIMIT, |pair| pair.link_up)
        .await;

    // Half of a file, as a program leaves it that writes in place and is killed.
    std::fs::write(folder.path("a.yml"), "- {name: first, master: {addr").unwrap();
    // As the exporter names it, whose configuration is config.yml in its own folder.
    let labels = [("file", "pairs.d/a.yml")];
    until_metric(&exporter, OK, &labels, 0.0).await;
    let scrape = Scrape::of(&exporter).await;
    let fault = [labels[0], ("reason", "refused")];
    assert_eq!(
        scrape.value("redis_cross_dc_discovery_file_fault", &fault),
        Some(1.0)
    );
    assert_eq!(
        scrape.value("redis_cross_dc_discovery_file_pairs", &labels),
        Some(1.0)
    );
    assert_eq!(
        scrape.value("redis_cross_dc_discovery_file_failures_total", &labels),
        Some(1.0)
    );
    every_surface_says(folder.0.path(), &exporter, "is no valid YAML").await;
    assert!(
        exporter.log().contains("is no valid YAML"),
        "{}",
        exporter.log()
    );
    until_watched(&exporter, &["first", "second"]).await;
    let kept = exporter.pair("first").await;
    assert!(
        kept.link_up && kept.applied_bytes_total >= applied,
        "{kept:?}"
    );

    // One name in two files.
    let both = [first.entry("first"), second.entry("second")].join(", ");
    folder.put("a.yml", &format!("[{both}]"));
    let labels = [("file", "pairs.d/b.yml")];
    until_metric(&exporter, OK, &labels, 0.0).await;
    let places = "[0]: second is left out: pairs.d/a.yml[1] has this name";
    every_surface_says(folder.0.path(), &exporter, places).await;
    folder.remove("b.yml");
    let gone = || async { Scrape::of(&exporter).await.value(OK, &labels).is_none() };
    eventually("the removed file to be gone", LIMIT, gone)
        .await
        .unwrap();
    until_watched(&exporter, &["first", "second"]).await;
    folder.remove("a.yml");
    until_watched(&exporter, &[]).await;
    folder.put("c.json", &json("again", &second));
    until_watched(&exporter, &["again"]).await;
}

#[tokio::test]
async fn a_failover_of_a_pair_in_a_file_survives_a_restart() {
    let stage = Stage::set().await;
    let folder = Folder::new();
    folder.put("a.yml", &format!("- {}\n", stage.entry("orders")));
    let yaml = configuration("state: {path: ./data}\n");
    let mut exporter = Exporter::start_in(folder.0.clone(), &yaml).await;
    exporter
        .wait_for("orders", "the pair to be up", LIMIT, |pair| pair.link_up)
        .await;
    replicaof(&stage.replica, None).await;
    replicaof(&stage.master, Some(stage.replica.addr())).await;
    let turned = stage.replica.addr().to_string();
    exporter
        .wait_for("orders", "the other direction", LIMIT, |pair| {
            pair.master == turned && pair.link_up
        })
        .await;
    exporter.signal("TERM");
    exporter.ended(LIMIT).await;
    exporter.relaunch();
    exporter.until_ready().await;
    let pair = exporter.pair("orders").await;
    assert_eq!(pair.master, turned, "the roles of before the restart");
    let failovers = exporter.pairs().await.failovers;
    let total: u64 = failovers.iter().map(|entry| entry.total).sum();
    assert!(total <= 1, "the restart is no failover: {failovers:?}");
}

#[tokio::test]
async fn check_config_and_check_without_an_exporter_read_pair_files() {
    let stage = Stage::set().await;
    let folder = folder_with(&configuration(""));
    std::fs::create_dir(folder.path().join("pairs.d")).unwrap();
    let file = folder.path().join("pairs.d/a.yml");
    std::fs::write(&file, format!("- {}\n", stage.entry("orders"))).unwrap();
    let config = ["--config.file", "config.yml"];
    let checked = run(folder.path(), &[&["check-config"], &config[..]].concat()).await;
    let checked = checked.ended_with(0);
    assert!(
        checked.stdout.contains("1 file with 1 entry"),
        "{}",
        checked.stdout
    );
    let url = crate::command::no_exporter();
    let asked = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &url,
    ];
    let printed = run(folder.path(), &asked).await.ended_with(0);
    assert!(printed.stdout.contains("orders"), "{}", printed.stdout);
    std::fs::write(&file, "- {name: orders}\n").unwrap();
    let checked = run(folder.path(), &[&["check-config"], &config[..]].concat()).await;
    let checked = checked.ended_with(64);
    assert!(
        checked.stderr.contains("[0].master: is missing"),
        "{}",
        checked.stderr
    );
    assert!(checked.stderr.contains("a.yml"), "{}", checked.stderr);
    let syntax = [&["check-config", "--syntax-only"], &config[..]].concat();
    run(folder.path(), &syntax).await.ended_with(0);
    let printed = run(folder.path(), &asked).await;
    assert!(
        printed.stdout.contains("[0].master: is missing"),
        "{}",
        printed.stdout
    );
}

/// Resident memory in MiB, tasks and open files.
async fn taken(exporter: &Exporter) -> [f64; 3] {
    let scrape = Scrape::of(exporter).await;
    let names = [
        "process_resident_memory_bytes",
        "redis_cross_dc_exporter_tasks",
        "process_open_fds",
    ];
    let [memory, tasks, files] = names.map(|name| scrape.value(name, &[]).unwrap());
    [memory / f64::from(1 << 20), tasks, files]
}

/// One change of many: a file is written, renamed over, broken, mended or removed.
fn change(folder: &Folder, round: usize, pairs: &[String]) {
    let name = format!("changing-{}.yml", round % 7);
    let pair = &pairs[round % pairs.len()];
    match round % 5 {
        0 => folder.put(&name, &format!("- {pair}\n")),
        1 => std::fs::write(folder.path(&name), format!("[{pair}]")).unwrap(),
        2 => std::fs::write(folder.path(&name), "- {name: half").unwrap(),
        3 => folder.put(&name, "[]"),
        // It may be gone already.
        _ => drop(std::fs::remove_file(folder.path(&name))),
    }
}

#[tokio::test]
async fn a_thousand_changes_leak_no_memory_no_tasks_and_no_descriptors() {
    let kept = Stage::set().await;
    let changing = Stage::set().await;
    let absent = nobody();
    let pairs: Vec<String> = (0..4)
        .map(|n| changing.entry(&format!("changing-{n}")))
        .chain([entry(
            "absent",
            ("dc1", &absent),
            ("dc2", changing.replica.addr()),
        )])
        .collect();
    let folder = Folder::new();
    folder.put("kept.yml", &format!("- {}\n", kept.entry("kept")));
    let exporter = Exporter::start_in(folder.0.clone(), &configuration("")).await;
    exporter
        .wait_for("kept", "the pair to be up", LIMIT, |pair| pair.link_up)
        .await;
    let applied = exporter.pair("kept").await.applied_bytes_total;
    let changes = async |rounds: std::ops::Range<usize>| {
        for round in rounds {
            change(&folder, round, &pairs);
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
        for number in 0..7 {
            drop(std::fs::remove_file(
                folder.path(&format!("changing-{number}.yml")),
            ));
        }
        until_watched(&exporter, &["kept"]).await;
    };
    changes(0..200).await;
    let before = taken(&exporter).await;
    changes(200..1200).await;
    let settled = || async {
        let now = taken(&exporter).await;
        let grown =
            now[0] > before[0] + 15.0 || now[1] > before[1] + 3.0 || now[2] > before[2] + 3.0;
        if grown {
            Err(format!(
                "{now:?} (MiB, tasks, files), and {before:?} before"
            ))
        } else {
            Ok(())
        }
    };
    eventually("as much as before", LIMIT, settled)
        .await
        .unwrap();
    println!(
        "before {before:?}, after a thousand changes {:?}",
        taken(&exporter).await
    );
    let pair = exporter.pair("kept").await;
    assert!(
        pair.link_up && pair.applied_bytes_total >= applied,
        "{pair:?}"
    );
}
