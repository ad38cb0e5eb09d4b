//! F2: the exporter's port was a flag that stood in no file, so each `check` that did not repeat it
//! looked in the wrong place and fell back to a look at the servers.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use redis_cross_dc_exporter::lab::{eventually, ports};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{folder_with, run};
use crate::exporter::{Exporter, program};
use crate::planted::{self, Transcript};
use crate::stage::{LIMIT, Stage};

/// Of the warning that others than this machine reach the exporter.
const NO_PASSWORD: &str = "without a password";

fn configuration(listen: &str, stage: &Stage) -> String {
    let entry = stage.entry("orders");
    format!("web: {{listen_address: '{listen}'}}\npairs: [{entry}]\n")
}

#[tokio::test]
async fn f02_the_commands_find_the_exporter_by_the_file() {
    let stage = Stage::set().await;
    let entry = stage.entry("orders");
    let exporter = Exporter::start(&format!("pairs: [{entry}]\n")).await;
    exporter
        .wait_for("orders", "a lag", LIMIT, |pair| pair.lag_seconds.is_some())
        .await;
    let (_, port) = exporter.url().rsplit_once(':').unwrap();
    for host in ["127.0.0.1", "", "localhost"] {
        let folder = folder_with(&configuration(&format!("{host}:{port}"), &stage));
        let file = ["--config.file", "config.yml"];
        let ask = |command: &[&str]| {
            let words: Vec<String> = [command, &file]
                .concat()
                .iter()
                .map(|w| (*w).to_owned())
                .collect();
            let folder = folder.path().to_owned();
            async move {
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                run(&folder, &words).await.ended_with(0)
            }
        };
        let screen = ask(&["check"]).await.stdout;
        assert!(screen.contains("asked the exporter at http://"), "{screen}");
        assert!(screen.contains(&format!(":{port}")), "{screen}");
        ask(&["healthcheck"]).await;
        ask(&["silence", "list"]).await;
    }
    let elsewhere = folder_with(&configuration(
        &format!("127.0.0.1:{}", ports::free().unwrap()),
        &stage,
    ));
    let args = ["check", "--config.file", "config.yml"];
    let flag = format!("--web.listen-address=:{port}");
    let screen = run(elsewhere.path(), &[&args[..], &[&flag]].concat()).await;
    let screen = screen.ended_with(0).stdout;
    assert!(
        screen.contains("asked the exporter at"),
        "the flag wins: {screen}"
    );
}

/// A child that is killed when the test ends, and its output.
struct Running {
    child: Child,
    transcript: Transcript,
}

impl Running {
    fn log(&self) -> String {
        std::fs::read_to_string(self.transcript.path("log")).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.transcript.assert_clean();
        }
    }
}

fn start(folder: &Path) -> Running {
    let transcript = Transcript::new("exporter");
    let log = File::create(transcript.path("log")).unwrap();
    let child = Command::new(program())
        .envs(planted::ENVIRONMENT)
        .args(["--config.file", "config.yml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Running { child, transcript }
}

#[tokio::test]
async fn f02_the_exporter_listens_where_the_file_says_and_a_reload_does_not_move_it() {
    let stage = Stage::set().await;
    let listen = |port: u16| configuration(&format!("localhost:{port}"), &stage);
    let folder = tempfile::tempdir().unwrap();
    let write = |yaml: &str| std::fs::write(folder.path().join("config.yml"), yaml).unwrap();
    write(&listen(ports::free().unwrap()));
    let exporter = start(folder.path());
    let log = || exporter.log();
    let is_ready = || async {
        let ready = run(
            folder.path(),
            &["healthcheck", "--config.file", "config.yml"],
        )
        .await;
        if ready.code == Some(0) {
            Ok(())
        } else {
            Err(log())
        }
    };
    eventually("the exporter to be ready", LIMIT, is_ready)
        .await
        .unwrap();
    assert!(!log().contains(NO_PASSWORD), "{}", log());

    write(&listen(ports::free().unwrap()));
    kill_process(Pid::from_child(&exporter.child), Signal::HUP).unwrap();
    let warned = || async {
        let log = log();
        let has_warned =
            log.contains("web.listen_address was changed: that takes effect at the next start");
        if has_warned { Ok(()) } else { Err(log) }
    };
    eventually("a warning", LIMIT, warned).await.unwrap();
}

#[tokio::test]
async fn an_address_that_others_reach_without_a_password_is_warned_of() {
    let stage = Stage::set().await;
    let port = ports::free().unwrap();
    let folder = folder_with(&configuration(&format!(":{port}"), &stage));
    let exporter = start(folder.path());
    let warned = || async {
        let log = exporter.log();
        let is_there = log.contains(NO_PASSWORD) && log.contains(&format!("127.0.0.1:{port}"));
        if is_there { Ok(()) } else { Err(log) }
    };
    eventually("the warning", LIMIT, warned).await.unwrap();
}

#[tokio::test]
async fn f02_listen_addresses_of_prometheus_are_accepted_and_others_refused_by_key() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let stage = Stage::set().await;
    for host in ["", "localhost"] {
        let folder = folder_with(&configuration(&format!("{host}:{port}"), &stage));
        let refused = run(folder.path(), &["--config.file", "config.yml"]).await;
        let refused = refused.ended_with(1);
        assert!(refused.stderr.contains("the port is in use"), "{refused:?}");
    }
    let folder = folder_with(&configuration("everywhere", &stage));
    let refused = run(folder.path(), &["--config.file", "config.yml"]).await;
    let refused = refused.ended_with(64).stderr;
    assert!(
        refused.contains("web.listen_address: \"everywhere\" is not an address"),
        "{refused}"
    );
    let flag = ["--web.listen-address", "everywhere"];
    let refused = run(folder.path(), &flag).await.ended_with(64).stderr;
    assert!(
        refused.contains("write HOST:PORT, such as 0.0.0.0:10121"),
        "{refused}"
    );
}
