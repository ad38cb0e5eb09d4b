//! SIGHUP and SIGTERM: what stays, what goes, and what is still delivered.

use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::{
    Answer, Received, Response, SteadyWriter, WriteLoad, eventually,
};
use redis_cross_dc_exporter::report::{ListedState, PairReport};

use crate::exporter::Exporter;
use crate::receiver::Receiver;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

const QUICK: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
alerts: {unreachable: {warning: 1s, critical: null}}
";
const LOADED: &str = "redis_cross_dc_exporter_config_last_reload_successful";
const LOADED_AT: &str = "redis_cross_dc_exporter_config_last_reload_success_timestamp_seconds";
const POLLS: &str = "redis_cross_dc_polls_total";

/// A configuration with these entries of `pairs` and these webhooks.
fn configuration(pairs: &[String], receivers: &[(&str, &Receiver)]) -> String {
    let webhook = |(name, receiver): &(&str, &Receiver)| {
        format!(
            "{{name: {name}, webhook: {{url: '{}'}}}}",
            receiver.url("/")
        )
    };
    let receivers = receivers.iter().map(webhook).collect::<Vec<_>>().join(", ");
    let notify =
        format!("notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{receivers}]}}");
    format!("{QUICK}pairs: [{}]\n{notify}\n", pairs.join(", "))
}

/// Gives `exporter` another configuration and reloads it.
fn send(exporter: &Exporter, yaml: &str) {
    std::fs::write(exporter.config(), yaml).unwrap();
    exporter.signal("HUP");
}

/// As [`send`], and waits until it is in force.
pub(crate) async fn reload(exporter: &Exporter, yaml: &str) {
    let before = Scrape::of(exporter).await.value(LOADED_AT, &[]).unwrap();
    send(exporter, yaml);
    let loaded = || async {
        Scrape::of(exporter)
            .await
            .value(LOADED_AT, &[])
            .is_some_and(|at| at > before)
    };
    eventually("the reload", LIMIT, loaded)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
}

async fn hooked(receiver: &Receiver, status: &str) -> Received {
    let fits = |received: &Received| received.json().is_ok_and(|body| body["status"] == status);
    receiver.wait_for(status, LIMIT, fits).await.unwrap()
}

async fn polls(exporter: &Exporter, stage: &Stage) -> f64 {
    let server = stage.replica.addr().to_string();
    Scrape::of(exporter)
        .await
        .value(POLLS, &[("server", &server)])
        .unwrap()
}

#[tokio::test]
async fn a_reload_keeps_unchanged_pairs_ends_removed_ones_and_starts_new_ones() {
    let (kept, mut gone, mut added) = (Stage::set().await, Stage::set().await, Stage::set().await);
    let (hook, second) = (
        Receiver::start([]).await.unwrap(),
        Receiver::start([]).await.unwrap(),
    );
    let load = WriteLoad {
        per_second: 100,
        value_bytes: 100,
    };
    let _writer = SteadyWriter::start(kept.master.addr(), None, load);
    let pairs = [kept.entry("kept"), gone.entry("gone")];
    let exporter = Exporter::start(&configuration(&pairs, &[("hook", &hook)])).await;
    let moved = |pair: &PairReport| {
        pair.lag_seconds.is_some() && pair.applied_bytes_total.is_some_and(|bytes| bytes > 10_000)
    };
    let before = exporter
        .wait_for("kept", "10 kB of writes", LIMIT, moved)
        .await;
    let polls_before = polls(&exporter, &kept).await;
    gone.replica.kill();
    hooked(&hook, "firing").await;

    send(
        &exporter,
        &configuration(
            &[kept.entry("kept"), added.entry("added")],
            &[("hook", &hook), ("second", &second)],
        ),
    );
    let begun = || async {
        let pairs = exporter.pairs().await.pairs;
        let kept = pairs
            .iter()
            .find(|pair| pair.pair == "kept")
            .expect("it stays");
        assert!(
            kept.lag_seconds.is_some(),
            "the reload cost a pair its lag: {kept:?}"
        );
        assert!(
            kept.applied_bytes_total >= before.applied_bytes_total,
            "{kept:?}"
        );
        pairs
            .iter()
            .any(|pair| pair.pair == "added" && pair.lag_seconds.is_some())
    };
    eventually("the added pair's lag", LIMIT, begun)
        .await
        .unwrap();
    assert!(polls(&exporter, &kept).await >= polls_before);

    let scrape = Scrape::of(&exporter).await;
    for server in [&gone.master, &gone.replica] {
        assert!(
            !scrape.text().contains(&server.addr().to_string()),
            "{}",
            scrape.text()
        );
    }
    assert!(
        !scrape.text().contains("pair=\"gone\""),
        "{}",
        scrape.text()
    );
    let end = hooked(&hook, "resolved").await.json().unwrap();
    assert_eq!(
        end["alerts"][0]["labels"]["server"],
        gone.replica.addr().to_string(),
        "{end}"
    );

    let listed = exporter.alerts().await.alerts;
    let of_gone = listed
        .iter()
        .filter(|alert| alert.labels.get("server") == Some(&gone.replica.addr().to_string()));
    assert!(
        of_gone.clone().count() == 1
            && of_gone
                .into_iter()
                .all(|alert| alert.state == ListedState::Resolved),
        "{listed:?}"
    );

    added.replica.kill();
    let told = hooked(&second, "firing").await.json().unwrap();
    assert_eq!(
        told["alerts"][0]["labels"]["server"],
        added.replica.addr().to_string(),
        "{told}"
    );
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_its_problem_is_reported() {
    let stage = Stage::set().await;
    let good = configuration(&[stage.entry("orders")], &[]);
    let exporter = Exporter::start(&good).await;
    let cases = [
        (
            good.replace("interval: 200ms", "interval: 200 parsecs"),
            "poll.interval",
        ),
        (
            good.replace("{name: orders,", "{name: orders, speed: high,"),
            "pairs[0].speed",
        ),
        ("pairs: [".to_owned(), "config.yml"),
    ];
    for (bad, place) in cases {
        send(&exporter, &bad);
        let refused = || async { Scrape::of(&exporter).await.value(LOADED, &[]) == Some(0.0) };
        eventually("the refusal", LIMIT, refused).await.unwrap();
        let log = exporter.log();
        let line = log
            .lines()
            .rfind(|line| line.contains("refused"))
            .unwrap_or_default();
        assert!(line.contains(place), "{place}: {line:?}");
        let so_far = polls(&exporter, &stage).await;
        let goes_on = || async { polls(&exporter, &stage).await > so_far };
        eventually("another poll by the old configuration", LIMIT, goes_on)
            .await
            .unwrap();
        assert!(exporter.pair("orders").await.link_up);
        reload(&exporter, &good).await;
        assert_eq!(Scrape::of(&exporter).await.value(LOADED, &[]), Some(1.0));
    }
}

#[tokio::test]
async fn thirty_reloads_leave_nothing_open() {
    let (kept, changing) = (Stage::set().await, Stage::set().await);
    let (hook, other) = (
        Receiver::start([]).await.unwrap(),
        Receiver::start([]).await.unwrap(),
    );
    let small = configuration(&[kept.entry("kept")], &[("hook", &hook)]);
    let large = configuration(
        &[kept.entry("kept"), changing.entry("changing")],
        &[("hook", &other), ("other", &other)],
    );
    let exporter = Exporter::start(&small).await;
    let open = || async {
        Scrape::of(&exporter)
            .await
            .value("process_open_fds", &[])
            .unwrap()
    };
    reload(&exporter, &large).await;
    exporter
        .wait_for("changing", "a first lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let before = open().await;
    for _ in 0..15 {
        reload(&exporter, &small).await;
        reload(&exporter, &large).await;
    }
    exporter
        .wait_for("changing", "a lag again", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    let settled = || async {
        let now = open().await;
        if now <= before + 3.0 {
            Ok(())
        } else {
            Err(format!("{now} open files, and {before} before"))
        }
    };
    eventually("as many open files as before", LIMIT, settled)
        .await
        .unwrap();
    assert!(exporter.pair("kept").await.link_up);
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

/// Every reload adds, drops or turns pairs, and changes the receivers.
#[tokio::test]
async fn a_thousand_reloads_leak_no_memory_no_tasks_and_no_descriptors() {
    let (kept, changing) = (Stage::set().await, Stage::set().await);
    let hook = Receiver::start([]).await.unwrap();
    let turned = entry(
        "changing",
        ("dc2", changing.replica.addr()),
        ("dc1", changing.master.addr()),
    );
    let shapes = [
        configuration(&[kept.entry("kept")], &[("hook", &hook)]),
        configuration(&[kept.entry("kept"), turned], &[("other", &hook)]),
        configuration(
            &[kept.entry("kept"), changing.entry("changing")],
            &[("hook", &hook), ("other", &hook)],
        ),
    ];
    let exporter = Exporter::start_with_log(&shapes[0], "error").await;
    let reloads = async |times: usize| {
        for round in 0..times {
            reload(&exporter, &shapes[round % shapes.len()]).await;
        }
        reload(&exporter, &shapes[2]).await;
        exporter
            .wait_for("changing", "a lag", LIMIT, |pair| {
                pair.lag_seconds.is_some()
            })
            .await;
    };
    // The allocator has its pools, and every kind of task has been there.
    reloads(99).await;
    let before = taken(&exporter).await;
    let began = Instant::now();
    reloads(999).await;
    let took = began.elapsed();
    let settled = || async {
        let now = taken(&exporter).await;
        let grown = now
            .iter()
            .zip(&before)
            .map(|(now, before)| now - before)
            .collect::<Vec<_>>();
        if grown[0] < 8.0 && grown[1] <= 2.0 && grown[2] <= 2.0 {
            Ok(now)
        } else {
            Err(format!("{before:?} {now:?}"))
        }
    };
    let after = eventually(
        "no more memory, tasks and files than before",
        LIMIT,
        settled,
    )
    .await
    .unwrap();
    println!(
        "1,000 reloads in {took:.1?}: {before:.1?} MiB, tasks and files before, {after:.1?} after"
    );
    assert!(exporter.pair("kept").await.link_up);
}

#[tokio::test]
async fn sigterm_ends_it_at_once_when_nothing_is_due() {
    let stage = Stage::set().await;
    let mut exporter = Exporter::start(&configuration(&[stage.entry("orders")], &[])).await;
    let (began, url) = (Instant::now(), exporter.url().to_owned());
    exporter.signal("TERM");
    assert_eq!(
        exporter.ended(LIMIT).await.code(),
        Some(0),
        "{}",
        exporter.log()
    );
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "it took {:?}",
        began.elapsed()
    );
    let address = url.trim_start_matches("http://").to_owned();
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn sigterm_delivers_what_is_due_within_a_limit() {
    let mut stage = Stage::set().await;
    // Due again two seconds after SIGTERM, which is within the time that draining may take.
    let later = Answer::Respond(Response::new(503).header("Retry-After", "2"));
    let (busy, hanging) = (
        Receiver::start([later]).await.unwrap(),
        Receiver::start([]).await.unwrap(),
    );
    hanging.always(Answer::Hang);
    let yaml = configuration(
        &[stage.entry("orders")],
        &[("busy", &busy), ("hanging", &hanging)],
    );
    let mut exporter = Exporter::start(&yaml).await;
    stage.replica.kill();
    let refused = hooked(&busy, "firing").await;
    hooked(&hanging, "firing").await;
    let began = Instant::now();
    exporter.signal("TERM");
    assert_eq!(
        exporter.ended(LIMIT).await.code(),
        Some(0),
        "{}",
        exporter.log()
    );
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "it took {:?}",
        began.elapsed()
    );
    let delivered = busy
        .requests()
        .into_iter()
        .skip(1)
        .last()
        .expect("another attempt before the end");
    assert_eq!(delivered.header("webhook-id"), refused.header("webhook-id"));
    assert!(
        exporter.log().contains("notification delivered"),
        "{}",
        exporter.log()
    );
}
