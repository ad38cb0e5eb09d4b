//! A server that comes and goes: the log tells the first of it, sums up the rest, and tells how it ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis_cross_dc_exporter::lab::eventually;

use crate::exporter::Exporter;
use crate::logline;
use crate::stage::{LIMIT, Stage};

/// Quick rounds, so that a stopped server is noticed at once; no faster ones in trouble.
const POLL: &str = "poll: {interval: 100ms, min_interval: 100ms, timeout: {local: 100ms, remote: 100ms}}";

/// How often the server goes and comes back.
const FLAPS: usize = 20;

/// How long a subject has to be quiet until what was held back is told, and some time for a busy machine.
const TOLD_AFTER: Duration = Duration::from_secs(30);

type Line = BTreeMap<String, String>;

/// The lines about `server` whose reason of being there is that it answers or does not.
fn lines_about(exporter: &Exporter, server: &str) -> Vec<Line> {
    let log = exporter.log();
    let lines = log.lines().filter_map(logline::parse);
    lines
        .filter(|line| line.get("server").is_some_and(|name| name == server) && !line.contains_key("alertname"))
        .collect()
}

/// How many lines of the log a line stands for.
fn weight(line: &Line) -> usize {
    line.get("held_back").map_or(1, |lines| lines.parse().unwrap())
}

/// Waits until the exporter says that the server is up, or is not.
async fn until_up_is(exporter: &Exporter, server: &str, up: bool) {
    let seen = || async {
        let servers = exporter.pairs().await.servers;
        servers.into_iter().any(|seen| seen.server == server && seen.up == Some(up))
    };
    eventually("the exporter to notice", LIMIT, seen).await.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn a_flapping_server_does_not_flood_the_log() {
    let mut stage = Stage::set().await;
    let yaml = format!("{POLL}\npairs: [{}]\n", stage.entry("orders"));
    let exporter = Exporter::start_with_log(&yaml, "info").await;
    let server = stage.replica.addr().to_string();
    until_up_is(&exporter, &server, true).await;
    let began = Instant::now();
    for _ in 0..FLAPS {
        stage.replica.stop().unwrap();
        until_up_is(&exporter, &server, false).await;
        stage.replica.cont().unwrap();
        until_up_is(&exporter, &server, true).await;
    }
    let took = began.elapsed();
    let told = || async {
        let lines = lines_about(&exporter, &server);
        let last = lines.last().is_some_and(|line| line["msg"].starts_with("the server answers again"));
        let all = lines.iter().map(weight).sum::<usize>() >= 2 * FLAPS;
        if last && all { Ok(lines) } else { Err(format!("{lines:#?}")) }
    };
    let lines =
        eventually("the end of it in the log", TOLD_AFTER, told).await.unwrap_or_else(|error| panic!("{error}"));

    let first = &lines[0];
    assert_eq!((first["level"].as_str(), first["reason"].as_str(), first["dc"].as_str()), ("warn", "timeout", "dc2"));
    assert!(first["msg"].starts_with("the server gave no answer in time"), "{first:?}");
    assert!(!first.contains_key("held_back") && !lines[1].contains_key("held_back"), "the first is told as it happens");
    let minutes = usize::try_from(took.as_secs()).unwrap() / 60;
    assert!(lines.len() <= 7 + 2 * minutes, "{} lines in {took:?}: {lines:#?}", lines.len());
    let sum = lines.last().unwrap();
    assert!(weight(sum) >= 30 / (minutes + 1) && sum["msg"].contains(" more like this in the last "), "{sum:?}");

    // The pair's state flapped along with its replica, and is summed up in the same way.
    let log = exporter.log();
    let of_pair: Vec<_> = log.lines().filter_map(logline::parse).filter(|line| line.contains_key("to")).collect();
    assert!(of_pair.len() <= 8 + 2 * minutes, "{of_pair:#?}");
    assert!(of_pair.iter().all(|line| line["pair"] == "orders" && line["replica"] == server), "{of_pair:#?}");
}
