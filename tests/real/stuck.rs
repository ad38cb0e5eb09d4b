//! `/-/healthy` of an exporter whose core is stuck, and of one that was only stopped for a while.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use redis_cross_dc_exporter::lab::{eventually, ports};

use crate::exporter::Exporter;

/// More than the thirty seconds after which a core is stuck.
const LIMIT: Duration = Duration::from_mins(1);

/// A pair of servers that refuse every connection, which is an answer, too.
fn configuration() -> String {
    let [master, replica] = [(); 2].map(|()| ports::free().unwrap());
    format!(
        "pairs: [{{name: orders, master: {{address: '127.0.0.1:{master}', dc: dc1}}, \
         replicas: [{{address: '127.0.0.1:{replica}', dc: dc2}}]}}]\n"
    )
}

/// What `/-/healthy` answers.
async fn health(exporter: &Exporter) -> String {
    // The first request may meet a connection that was closed because it was idle for long.
    if let Ok(answer) = exporter.try_get("/-/healthy").await {
        return answer;
    }
    let answer = exporter.try_get("/-/healthy").await;
    answer.unwrap_or_else(|error| error)
}

fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test]
#[ignore = "it waits for more than a minute: make stuck"]
async fn a_stuck_core_is_not_healthy_and_a_process_that_was_stopped_is() {
    let yaml = configuration();
    let mut exporter = Exporter::start(&yaml).await;
    assert_eq!(health(&exporter).await, "healthy\n");

    // As on a laptop that slept: no task ran meanwhile.
    exporter.signal("STOP");
    tokio::time::sleep(Duration::from_secs(40)).await;
    exporter.signal("CONT");
    assert_eq!(health(&exporter).await, "healthy\n");

    // The core waits for the writer of a pipe in the place of the configuration, as it would for a
    // file system that hangs.
    let config = exporter.config();
    let sound = std::fs::read_to_string(&config).unwrap();
    std::fs::remove_file(&config).unwrap();
    make_pipe(&config);
    exporter.signal("HUP");
    let stuck = || async {
        let health = health(&exporter).await;
        if health.starts_with("not healthy: the core has done nothing for 3") {
            Ok(())
        } else {
            Err(health)
        }
    };
    let outcome = eventually("the core to count as stuck", LIMIT, stuck).await;

    exporter.kill();
    // Before anything can fail: whoever reads the pipe waits.
    std::fs::remove_file(&config).unwrap();
    std::fs::write(&config, sound).unwrap();
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", exporter.log()));
    exporter.relaunch();
    exporter.until_ready().await;
    assert_eq!(health(&exporter).await, "healthy\n");
}
