//! The exporter as a child process, and its answers over HTTP.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::http_client::{ExporterAccess, HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::{eventually, ports};
use redis_cross_dc_exporter::model::Timestamp;
use redis_cross_dc_exporter::report::{AlertsReport, PairReport, PairsReport};
use rustix::process::{Pid, Signal, kill_process};

use crate::guard::Guard;
use crate::logline;
use crate::planted::{self, Transcript};

/// The file of everything that the exporter logs and prints.
const LOG: &str = "log";

/// A file whose presence in the exporter's folder has it started with `--web.enable-admin-api`, the
/// next time, too.
const ADMIN: &str = "admin-api";

/// The name of the file that stands for `--shard`, with its value.
const SHARD: &str = "shard";

/// How long the exporter may take to be ready on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// How long an answer may take: what Prometheus gives a scrape by default.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(10),
};

/// A running exporter. When it is dropped it is killed, and all its output is searched.
pub(crate) struct Exporter {
    /// Ends the child when this process dies; `None` while there is no child.
    guard: Option<Guard>,
    child: Child,
    url: String,
    client: HttpClient,
    access: ExporterAccess,
    folder: Arc<tempfile::TempDir>,
    /// The files that the test had written when the exporter was started: no others may appear with
    /// a secret in them.
    given: Vec<String>,
    transcript: Transcript,
}

impl Exporter {
    /// Starts the exporter with the configuration `yaml` and waits until it is ready.
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::spawn(yaml).ready().await
    }

    /// As [`Self::start`], with `--web.enable-admin-api`.
    pub(crate) async fn start_admin(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(ADMIN), "").unwrap();
        Self::start_in(Arc::new(folder), yaml).await
    }

    /// As [`Self::start`], with `--shard`.
    pub(crate) async fn start_shard(yaml: &str, shard: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(SHARD), shard).unwrap();
        Self::start_in(Arc::new(folder), yaml).await
    }

    /// As [`Self::start`], with the log as most people have it.
    pub(crate) async fn start_with_log(yaml: &str, level: &str) -> Self {
        Self::spawn_with_log(yaml, level).ready().await
    }

    /// Starts an exporter that speaks HTTPS as `files` say, of which one is `web.yml`, and waits
    /// until it is ready.
    pub(crate) async fn start_secured(
        yaml: &str,
        files: &[(&str, String)],
        access: ExporterAccess,
    ) -> Self {
        Self::spawn_with(yaml, "debug", Some((files, access)))
            .ready()
            .await
    }

    /// As [`Self::start`], in a folder that an exporter before it has left, with its state in it.
    pub(crate) async fn start_in(folder: Arc<tempfile::TempDir>, yaml: &str) -> Self {
        Self::spawn_in(folder, yaml, "debug", None).ready().await
    }

    async fn ready(self) -> Self {
        self.until_ready().await;
        self
    }

    /// Waits until it is ready: it has polled every server once.
    pub(crate) async fn until_ready(&self) {
        let ready = format!("{}/-/ready", self.url);
        eventually("the exporter to be ready", READY_LIMIT, || async {
            self.client
                .get(&ready)
                .await
                .is_ok_and(|answer| answer.status == 200)
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", self.log_end()));
    }

    /// Starts the exporter and does not wait.
    pub(crate) fn spawn(yaml: &str) -> Self {
        Self::spawn_with_log(yaml, "debug")
    }

    fn spawn_with_log(yaml: &str, level: &str) -> Self {
        Self::spawn_with(yaml, level, None)
    }

    /// `secured` is what it speaks HTTPS by, and how it is reached then.
    fn spawn_with(
        yaml: &str,
        level: &str,
        secured: Option<(&[(&str, String)], ExporterAccess)>,
    ) -> Self {
        Self::spawn_in(Arc::new(tempfile::tempdir().unwrap()), yaml, level, secured)
    }

    fn spawn_in(
        folder: Arc<tempfile::TempDir>,
        yaml: &str,
        level: &str,
        secured: Option<(&[(&str, String)], ExporterAccess)>,
    ) -> Self {
        let scheme = if secured.is_some() { "https" } else { "http" };
        let (files, access) = secured.unwrap_or_default();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::write(
            folder.path().join("config.yml"),
            planted::in_configuration(yaml),
        )
        .unwrap();
        let transcript = Transcript::new("exporter");
        let listen = format!("127.0.0.1:{}", ports::free().unwrap());
        let child = launch(folder.path(), &listen, level, &transcript);
        let client = HttpClient::for_exporter_with(TIMEOUTS, &access).unwrap();
        let given = planted::files_in(folder.path()).into_keys().collect();
        Self {
            guard: Some(Guard::of_child(&child)),
            child,
            url: format!("{scheme}://{listen}"),
            client,
            access,
            folder,
            given,
            transcript,
        }
    }

    /// Starts it again, in the same folder and on the same port, after it has ended; does not wait.
    pub(crate) fn relaunch(&mut self) {
        self.guard = None;
        self.child = launch(
            self.folder.path(),
            self.url.trim_start_matches("http://"),
            "debug",
            &self.transcript,
        );
        self.guard = Some(Guard::of_child(&self.child));
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The folder with its configuration and its state.
    pub(crate) fn folder(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.folder)
    }

    /// Its configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config.yml")
    }

    /// Where what it wrote beside the log will be kept.
    pub(crate) fn transcript_files(&self) -> PathBuf {
        self.transcript.path("files")
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.transcript.path(LOG)).unwrap_or_default()
    }

    /// The end of its log: what a failed test shows.
    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// The body of a GET that must be answered with 200.
    pub(crate) async fn get(&self, path: &str) -> String {
        let body = self.get_by(&self.client, path).await;
        self.transcript.add("bodies", &body);
        body
    }

    /// The same on a new connection, as somebody who has not been here before. It is not kept: who
    /// asks so asks hundreds of times for megabytes that are all alike.
    pub(crate) async fn get_anew(&self, path: &str) -> String {
        self.get_by(
            &HttpClient::for_exporter_with(TIMEOUTS, &self.access).unwrap(),
            path,
        )
        .await
    }

    /// The body of a GET, or why there is none: it may not be up yet.
    pub(crate) async fn try_get(&self, path: &str) -> Result<String, String> {
        let answer = self.client.get(&format!("{}{path}", self.url)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        self.transcript.add("bodies", &answer.body);
        Ok(answer.body)
    }

    async fn get_by(&self, client: &HttpClient, path: &str) -> String {
        let answer = client.get(&format!("{}{path}", self.url)).await;
        let answer =
            answer.unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.log_end()));
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    /// Its report of every pair.
    pub(crate) async fn pairs(&self) -> PairsReport {
        serde_json::from_str(&self.get("/api/v1/pairs").await).unwrap()
    }

    /// Its report of the only pair called `name`.
    pub(crate) async fn pair(&self, name: &str) -> PairReport {
        let mut pairs = self.pairs().await.pairs;
        pairs.retain(|pair| pair.pair == name);
        assert_eq!(pairs.len(), 1, "pairs called {name}");
        pairs.remove(0)
    }

    /// Its report of alerts.
    pub(crate) async fn alerts(&self) -> AlertsReport {
        serde_json::from_str(&self.get("/api/v1/alerts").await).unwrap()
    }

    /// Waits until the only pair called `name` meets `reached`, and returns it.
    pub(crate) async fn wait_for(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        reached: impl Fn(&PairReport) -> bool,
    ) -> PairReport {
        let probe = || async {
            let pair = self.pair(name).await;
            if reached(&pair) {
                Ok(pair)
            } else {
                Err(format!("{pair:?}"))
            }
        };
        eventually(what, limit, probe)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log_end()))
    }

    /// Sends a signal by its name, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let signals = [
            ("HUP", Signal::HUP),
            ("TERM", Signal::TERM),
            ("KILL", Signal::KILL),
            ("STOP", Signal::STOP),
            ("CONT", Signal::CONT),
        ];
        let (_, signal) = signals
            .into_iter()
            .find(|(known, _)| *known == name)
            .expect("a signal's name");
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it with SIGKILL, and returns when.
    pub(crate) fn kill(&mut self) -> Timestamp {
        self.guard = None;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        clock::now()
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self, limit: Duration) -> ExitStatus {
        self.guard = None;
        let child = std::sync::Mutex::new(&mut self.child);
        let probe = || async { child.lock().unwrap().try_wait().unwrap() };
        eventually("the exporter to end", limit, probe)
            .await
            .unwrap()
    }
}

fn launch(folder: &Path, listen: &str, level: &str, transcript: &Transcript) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(transcript.path(LOG))
        .unwrap();
    let secured: &[&str] = if folder.join("web.yml").exists() {
        &["--web.config.file", "web.yml"]
    } else {
        &[]
    };
    let admin: &[&str] = if folder.join(ADMIN).exists() {
        &["--web.enable-admin-api"]
    } else {
        &[]
    };
    let shard = std::fs::read_to_string(folder.join(SHARD)).ok();
    let shard: Vec<&str> = match &shard {
        Some(shard) => vec!["--shard", shard],
        None => Vec::new(),
    };
    Command::new(program())
        .envs(planted::ENVIRONMENT)
        .args(secured)
        .args(admin)
        .args(shard)
        .args([
            "--config.file",
            "config.yml",
            "--web.listen-address",
            listen,
            "--log.level",
            level,
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It may have ended by itself already.
        self.guard = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What it wrote beside the log, such as its state, is kept with its output.
        for (name, text) in planted::files_in(self.folder.path()) {
            if !self.given.contains(&name) {
                // The state alone has the keys that incidents were opened with, and nobody else may
                // read it.
                let text = if name.ends_with("state.redb") {
                    text.replace(planted::ROUTING_KEY, "")
                } else {
                    text
                };
                self.transcript.add("files", &text);
            }
        }
        // A test that fails already is not to abort the others.
        if !std::thread::panicking() {
            self.transcript.assert_clean();
            let log = self.log();
            // The last line may be cut off by the kill.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let broken = whole.lines().find(|line| logline::parse(line).is_none());
            assert_eq!(
                broken, None,
                "a line of the log that its readers do not take"
            );
        }
    }
}

/// The program under test. `TEST_PROGRAM` names another binary: a test of a finding is run against
/// the version that still has the defect, to show that it fails there.
pub(crate) fn program() -> PathBuf {
    let given = std::env::var_os("TEST_PROGRAM").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_redis-cross-dc-exporter").into())
}
