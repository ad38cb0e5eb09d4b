//! A server that comes and goes: the log tells the first of it, sums up the rest, and tells how it
//! ended.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairReport;

use crate::exporter::Exporter;
use crate::logline;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage};

/// Quick rounds, so that a stopped server is noticed at once; no faster ones in trouble.
/// The timeout is long enough for a busy machine: no other server may be late.
const POLL: &str =
    "poll: {interval: 200ms, min_interval: 200ms, timeout: {local: 700ms, remote: 700ms}}";

/// How often the exporter evaluates a pair's state.
const LOOK: Duration = Duration::from_millis(100);

/// How often the server goes and comes back.
const FLAPS: usize = 10;

/// How long a subject may log nothing until what was held back is written, and some time for a busy
/// machine.
const TOLD_AFTER: Duration = Duration::from_secs(90);

type Line = BTreeMap<String, String>;

/// The lines with the field `name`, but those of alerts.
fn lines_with(exporter: &Exporter, name: &str) -> Vec<Line> {
    let log = exporter.log();
    let lines = log.lines().filter_map(logline::parse);
    lines
        .filter(|line| line.contains_key(name) && !line.contains_key("alertname"))
        .collect()
}

/// How many lines of the log a line replaces.
fn weight(line: &Line) -> usize {
    line.get("held_back")
        .map_or(1, |lines| lines.parse().unwrap())
}

/// Waits until what was held back is told: the lines stand for `least`, and the last one ends the
/// story.
async fn told(
    exporter: &Exporter,
    name: &str,
    least: usize,
    is_end: impl Fn(&Line) -> bool,
) -> Vec<Line> {
    let told = || async {
        let lines = lines_with(exporter, name);
        let all =
            lines.iter().map(weight).sum::<usize>() >= least && lines.last().is_some_and(&is_end);
        if all {
            Ok(lines)
        } else {
            Err(format!("{lines:#?}"))
        }
    };
    eventually("the end of it in the log", TOLD_AFTER, told)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Checks that the first lines are told as they happen, and that the last sums the others up;
/// `minutes` may have ended with a separate line.
fn check(lines: &[Line], minutes: usize) {
    assert!(
        lines.len() <= 7 + 2 * minutes,
        "{} lines: {lines:#?}",
        lines.len()
    );
    assert!(
        lines[..2]
            .iter()
            .all(|line| !line.contains_key("held_back")),
        "{lines:#?}"
    );
    let sum = lines.last().unwrap();
    assert!(
        weight(sum) > 1 && sum["msg"].contains(" more like this in the last "),
        "{sum:?}"
    );
}

/// Whether `holds` has held for longer than the exporter takes between two looks at a pair: then it
/// has logged it.
fn lasting(holds: impl Fn(&PairReport) -> bool) -> impl Fn(&PairReport) -> bool {
    let since = Cell::new(None);
    move |pair| {
        since.set(holds(pair).then(|| since.get().unwrap_or_else(Instant::now)));
        since.get().is_some_and(|since| since.elapsed() > 3 * LOOK)
    }
}

/// Waits until `redis_cross_dc_server_up` of `server` is `up`. The pair's state may change before a
/// poll of its server fails, which is what the log has a line about.
async fn server_is(exporter: &Exporter, what: &str, up: f64, server: &str) {
    let is_so = || async {
        let scrape = Scrape::of(exporter).await;
        scrape.value("redis_cross_dc_server_up", &[("server", server)]) == Some(up)
    };
    eventually(what, LIMIT, is_so).await.unwrap();
}

#[tokio::test]
async fn a_flapping_server_does_not_flood_the_log() {
    let mut stage = Stage::set().await;
    let yaml = format!("{POLL}\npairs: [{}]\n", stage.entry("orders"));
    let exporter = Exporter::start_with_log(&yaml, "info").await;
    let streams = |pair: &PairReport| pair.state == PairState::Streaming;
    exporter
        .wait_for("orders", "the pair to stream", LIMIT, streams)
        .await;
    let replica = stage.replica.addr().to_string();
    let began = Instant::now();
    for _ in 0..FLAPS {
        stage.replica.stop().unwrap();
        exporter
            .wait_for(
                "orders",
                "the loss to be noticed",
                LIMIT,
                lasting(|pair| !streams(pair)),
            )
            .await;
        server_is(&exporter, "the failed poll", 0.0, replica.as_str()).await;
        stage.replica.cont().unwrap();
        exporter
            .wait_for(
                "orders",
                "the return to be noticed",
                LIMIT,
                lasting(streams),
            )
            .await;
        server_is(&exporter, "the answered poll", 1.0, replica.as_str()).await;
    }
    let minutes = usize::try_from(began.elapsed().as_secs()).unwrap() / 60;

    let answers = |line: &Line| line["msg"].starts_with("the server answers again");
    let of_server = told(&exporter, "server", 2 * FLAPS, answers).await;
    check(&of_server, minutes);
    let first = &of_server[0];
    assert_eq!(
        (
            first["level"].as_str(),
            first["reason"].as_str(),
            first["dc"].as_str()
        ),
        ("warn", "timeout", "dc2")
    );
    assert!(
        first["msg"].starts_with("the server gave no answer in time"),
        "{first:?}"
    );

    let of_pair = told(&exporter, "to", 2 * FLAPS, |line| line["to"] == "streaming").await;
    check(&of_pair, minutes);
    assert!(
        of_server.iter().all(|line| line["server"] == replica),
        "{of_server:#?}"
    );
    assert!(
        of_pair
            .iter()
            .all(|line| line["pair"] == "orders" && line["replica"] == replica),
        "{of_pair:#?}"
    );
}
