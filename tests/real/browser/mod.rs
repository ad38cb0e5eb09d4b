//! The pages in a real browser: a headless Chromium that `tests/browser/drive.mjs` drives, on a
//! fleet that this file sets up and disturbs on the driver's order. Screenshots and the driver's
//! output stay in `target/browser`.

mod large;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use redis_cross_dc_exporter::lab::{
    Answer, Direction, RedisServer, Response, SteadyWriter, WanConditions, WanProxy, WriteLoad,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::exporter::Exporter;
use crate::prometheus::servers::{Job, Prometheus};
use crate::receiver::Receiver;
use crate::stage::LIMIT;

/// How long the whole drive may take on a busy machine.
const DRIVE: Duration = Duration::from_mins(5);

/// What a name may be at its worst.
const HOSTILE: &str = r#"<img src=x onerror=alert(1)>"''&"#;

/// A fleet in three datacenters, with a line between two of them that can be stalled.
struct Fleet {
    wan: WanProxy,
    exporter: Exporter,
    _receiver: Receiver,
    _writers: Vec<SteadyWriter>,
    _servers: Vec<RedisServer>,
}

impl Fleet {
    /// Sets it up; `name` is what one of the pairs is called.
    async fn set(name: &str) -> Self {
        // Large enough that nothing warns of a short backlog.
        let backlog = "repl-backlog-size 64mb";
        let master = || RedisServer::builder().config(backlog).start();
        let orders = master().await.unwrap();
        let sessions = master().await.unwrap();
        let wan = WanProxy::start(None, orders.addr(), WanConditions::default())
            .await
            .unwrap();
        let behind = |master| async move {
            RedisServer::builder()
                .replicaof(master)
                .start()
                .await
                .unwrap()
        };
        let far = behind(wan.addr()).await;
        let third = behind(orders.addr()).await;
        let back = behind(sessions.addr()).await;
        for replica in [&far, &third, &back] {
            replica.wait_until_in_sync(LIMIT).await.unwrap();
        }
        let load = WriteLoad {
            per_second: 50,
            value_bytes: 100,
        };
        let writers =
            [&orders, &sessions].map(|master| SteadyWriter::start(master.addr(), None, load));
        let receiver = Receiver::start([]).await.unwrap();
        // Refused for good: given up at once.
        receiver.always(Answer::Respond(Response::new(400)));
        let yaml = format!(
            "poll: {{interval: 200ms, min_interval: 100ms}}\n\
             alerts: {{lag_seconds: {{warning: 2s, critical: 4s, for: 0s}}, link_down: {{warning: 1s, critical: 4s}}}}\n\
             notify: {{group_wait: 0s, receivers: [{{name: hook, webhook: {{url: '{5}'}}}}]}}\n\
             pairs:\n\
             - {{name: orders, labels: {{team: payments}}, master: {{address: '{0}', dc: dc1}}, replicas: [{{address: '{1}', dc: dc2}}, {{address: '{2}', dc: dc3}}]}}\n\
             - {{name: sessions, master: {{address: '{3}', dc: dc2}}, replicas: [{{address: '{4}', dc: dc1}}]}}\n\
             - {{name: '{name}', master: {{address: '{0}', dc: dc1}}, replicas: [{{address: '{2}', dc: dc3}}]}}\n",
            orders.addr(),
            far.addr(),
            third.addr(),
            sessions.addr(),
            back.addr(),
            receiver.url("/hook"),
        );
        let exporter = Exporter::start_admin(&yaml).await;
        Self {
            wan,
            exporter,
            _receiver: receiver,
            _writers: writers.into(),
            _servers: vec![orders, sessions, far, third, back],
        }
    }
}

impl Play for Fleet {
    async fn play(&mut self, word: &str) {
        match word {
            "stall" => self.wan.stall(Direction::Both),
            "heal" => self.wan.heal().await.unwrap(),
            "stop" => {
                self.exporter.signal("TERM");
                assert!(self.exporter.ended(LIMIT).await.success());
            }
            "start" => self.exporter.relaunch(),
            other => panic!("the driver asks for {other}"),
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser")
}

/// Starts a script of tests/browser on the pages at `url`.
pub(crate) fn start(script: &str, url: &str, more: &[&str]) -> Child {
    let installed = folder().join("installed.json").exists();
    assert!(
        installed,
        "what drives the browser is not installed: run .ci/install-browser"
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/browser")
        .join(script);
    let mut command = Command::new("node");
    command.arg(script).arg(url).arg(folder()).args(more);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
        .spawn()
        .unwrap_or_else(|error| panic!("node cannot be run ({error}): apt-get install nodejs"))
}

#[tokio::test]
async fn the_page_shows_a_stall_live_and_leads_to_its_cause() -> Result<(), DriverFailed> {
    let mut fleet = Fleet::set(HOSTILE).await;
    let driver = start("drive.mjs", fleet.exporter.url(), &[]);
    follow(driver, &mut fleet).await
}

/// The pictures of the documents.
#[tokio::test]
#[ignore = "writes docs/images, and takes two minutes: make screenshots"]
async fn screenshots() -> Result<(), DriverFailed> {
    let mut fleet = Fleet::set("catalog").await;
    let target = fleet
        .exporter
        .url()
        .trim_start_matches("http://")
        .to_owned();
    let prometheus = Prometheus::start(Job {
        target: &target,
        rules: "groups: []",
        alertmanager: None,
    })
    .await;
    let more = [prometheus.url(), "dashboards/overview.json", "docs/images"];
    let driver = start("shoot.mjs", fleet.exporter.url(), &more);
    follow(driver, &mut fleet).await
}

/// What a driver of the browser can ask for.
pub(crate) trait Play {
    /// Carries out the command.
    async fn play(&mut self, word: &str);
}

/// Why the driver failed, in one line: a test that returns it prints no backtrace, in which a log
/// that is cut in the middle would lose it.
pub(crate) struct DriverFailed(String);

impl std::fmt::Debug for DriverFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Carries out the driver's orders until it ends.
pub(crate) async fn follow(mut driver: Child, fleet: &mut impl Play) -> Result<(), DriverFailed> {
    let mut answers = driver.stdin.take().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let mut output = Vec::new();
    let play = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(word) = line.strip_prefix("stage: ") {
                fleet.play(word).await;
                answers.write_all(b"done\n").await.unwrap();
            }
            output.push(line);
        }
        driver.wait().await.unwrap()
    };
    let ended = tokio::time::timeout(DRIVE, play).await;
    let log = folder().join("driver.log");
    std::fs::write(&log, output.join("\n")).unwrap();
    let last = output.last().map_or("it printed nothing", String::as_str);
    let reason = match ended {
        Ok(status) if status.success() => return Ok(()),
        Ok(_) => last.to_owned(),
        Err(_) => format!("FAILED: not at its end within {DRIVE:?}, after: {last}"),
    };
    let log = log.display();
    Err(DriverFailed(format!(
        "the browser's driver (all of it in {log}): {reason}"
    )))
}
