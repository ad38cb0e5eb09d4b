//! What a person does in the first minutes: a configuration from `init`, every login tried by
//! `check-config --connect`, servers looked at without any file; and the flags that say where the
//! exporter listens.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use redis_cross_dc_exporter::http_client::{ExporterAccess, HttpClient, HttpTimeouts};
use redis_cross_dc_exporter::lab::{RedisServer, eventually, ports};

use crate::command::{Outcome, configuration, folder_with, run};
use crate::exporter::{Exporter, program};
use crate::planted::{self, Transcript};
use crate::stage::{LIMIT, Stage};

/// A child that is killed when the test ends, and its output.
struct Running {
    child: Child,
    transcript: Transcript,
}

impl Running {
    fn new(mut command: Command, folder: &Path) -> Self {
        let transcript = Transcript::new("exporter");
        let log = File::create(transcript.path("log")).unwrap();
        let child = command
            .envs(planted::ENVIRONMENT)
            .current_dir(folder)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, transcript }
    }

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

/// A client of a running exporter.
fn client() -> HttpClient {
    let timeouts = HttpTimeouts {
        connect: std::time::Duration::from_secs(2),
        total: std::time::Duration::from_secs(10),
    };
    HttpClient::for_exporter_with(timeouts, &ExporterAccess::default()).unwrap()
}

/// The status and the body of `url`, once somebody answers.
async fn get(url: &str, running: &Running) -> (u16, String) {
    let client = client();
    let ask = || async {
        let answer = client.get(url).await;
        answer.map_err(|error| format!("{url}: {error}\n{}", running.log()))
    };
    let answer = eventually("an answer", LIMIT, ask).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    (answer.status, answer.body)
}

async fn connect(folder: &Path) -> Outcome {
    let line = ["check-config", "--connect", "--config.file", "config.yml"];
    run(folder, &line).await
}

#[tokio::test]
async fn init_writes_a_configuration_that_works_and_overwrites_nothing() {
    let stage = Stage::set().await;
    let folder = tempfile::tempdir().unwrap();
    let master = format!("dc1={}", stage.master.addr());
    let replica = format!("dc2={}", stage.replica.addr());
    let line = ["init", "--config.file", "config.yml", "--master", &master];
    let line = [&line[..], &["--replica", &replica, "--local", "dc1"]].concat();
    let wrote = run(folder.path(), &line).await.ended_with(0).stdout;
    assert!(
        wrote.starts_with("Wrote config.yml: 1 entry, 2 servers, 0 receivers.\n"),
        "{wrote}"
    );
    assert!(
        wrote.contains("nobody is notified of alerts yet"),
        "{wrote}"
    );
    let next = "Next: redis-cross-dc-exporter check-config --connect --config.file config.yml\n";
    assert!(wrote.ends_with(next), "{wrote}");

    let tried = connect(folder.path()).await.ended_with(0).stdout;
    assert!(
        tried.contains("valid: 1 entry, 2 servers, 0 receivers; logged in to all 2"),
        "{tried}"
    );
    assert!(
        tried.contains(", master; the default user has every right"),
        "{tried}"
    );
    let shown = ["check-config", "--config.file", "config.yml"];
    let shown = run(folder.path(), &shown).await.ended_with(0).stdout;
    assert!(
        shown.ends_with("# valid: 1 entry, 2 servers, 0 receivers\n"),
        "{shown}"
    );

    let again = run(folder.path(), &line).await.ended_with(1);
    assert!(again.stderr.contains("overwrites nothing"), "{again:?}");
    let without_file = run(folder.path(), &["check-config"]).await.ended_with(64);
    assert!(
        without_file.stderr.contains("init --master"),
        "{without_file:?}"
    );
}

/// Makes the user `monitor`, whose password is planted, with these rules.
async fn allow(server: &RedisServer, rules: &[&str]) {
    let password = format!(">{}", planted::REDIS);
    let words = ["ACL", "SETUSER", "monitor", "reset", "on", &password];
    server.command(&[&words[..], rules].concat()).await.unwrap();
}

#[tokio::test]
async fn every_missing_right_is_named_with_its_server() {
    let stage = Stage::set().await;
    allow(&stage.master, &["+info", "+client|setname"]).await;
    allow(&stage.replica, &["+client|setname"]).await;
    let login = format!(
        "redis: {{username: monitor, password: {}}}\n",
        planted::REDIS
    );
    let yaml = login + &configuration(&[stage.entry("orders")]);
    let heartbeats = "poll: {interval: 200ms, heartbeat: {enabled: true}}\n";
    let folder = folder_with(&yaml);
    let tried = connect(folder.path()).await.ended_with(1).stdout;
    let master = stage.master.addr();
    let replica = stage.replica.addr();
    assert!(
        tried.contains(&format!("ok       {master} in dc1: redis ")),
        "{tried}"
    );
    let lacking = format!(
        "missing  {replica} in dc2: logged in; user monitor lacks rights\n    \
         +info: without it, nothing is known of the server\n    ACL SETUSER monitor +info\n"
    );
    assert!(tried.contains(&lacking), "{tried}");
    assert!(
        tried.contains("asked 2: 1 ok, 1 lacks rights, 0 failed"),
        "{tried}"
    );

    let with_heartbeats = yaml.replace(
        yaml.lines().find(|line| line.starts_with("poll:")).unwrap(),
        heartbeats.trim_end(),
    );
    let folder = folder_with(&with_heartbeats);
    let tried = connect(folder.path()).await.ended_with(1).stdout;
    for rule in ["+publish", "+subscribe"] {
        let whole = format!("{rule} resetchannels &__redis_cross_dc_exporter:*: without it");
        assert_eq!(tried.matches(&whole).count(), 2, "{rule}: {tried}");
    }
    let rules = "+publish|+subscribe|resetchannels|&__redis_cross_dc_exporter:*";
    let rules: Vec<&str> = ["+info", "+client|setname"]
        .into_iter()
        .chain(rules.split('|'))
        .collect();
    for server in [&stage.master, &stage.replica] {
        allow(server, &rules).await;
    }
    connect(folder.path()).await.ended_with(0);

    allow(&stage.master, &["nopass", ">another", "+info"]).await;
    stage
        .master
        .command(&["ACL", "SETUSER", "monitor", "resetpass", ">another"])
        .await
        .unwrap();
    let tried = connect(folder.path()).await.ended_with(1).stdout;
    let refused = format!("failed   {master} in dc1: the server refused the login of user monitor");
    assert!(tried.contains(&refused), "{tried}");
    assert!(!tried.contains(planted::REDIS), "{tried}");
}

#[tokio::test]
async fn servers_are_looked_at_without_any_file() {
    let stage = Stage::set().await;
    let folder = tempfile::tempdir().unwrap();
    let master = stage.master.addr().to_string();
    let replica = format!("dc2={}", stage.replica.addr());
    let seen = run(folder.path(), &["check", &master, &replica])
        .await
        .ended_with(0);
    assert!(
        seen.stdout
            .starts_with("1 pair: 1 ok; polled the servers directly"),
        "{seen:?}"
    );
    assert!(
        !seen.stdout.contains("NO EXPORTER"),
        "none was looked for: {seen:?}"
    );
    let alone = run(folder.path(), &["check", &master]).await.ended_with(3);
    assert!(alone.stderr.contains("check MASTER REPLICA"), "{alone:?}");

    let mut command = Command::new(program());
    command
        .args(["check", &master, &replica, "--watch", "--every", "1"])
        .stdin(Stdio::null());
    let watching = Running::new(command, folder.path());
    let twice = || async {
        let log = watching.log();
        let shown = log.matches("1 pair: 1 ok").count() >= 2;
        if shown { Ok(()) } else { Err(log) }
    };
    eventually("two screens", LIMIT, twice).await.unwrap();
}

#[tokio::test]
async fn alerts_and_deliveries_are_commands_too() {
    let stage = Stage::set().await;
    let alerts = "alerts: {link_down: {warning: 1s, critical: null}}\n";
    let notify = "notify: {group_wait: 0s, receivers: [{name: hook, webhook: {url: 'http://127.0.0.1:1/'}}]}\n";
    let yaml = format!(
        "{alerts}{notify}{}",
        configuration(&[stage.entry("orders")])
    );
    let exporter = Exporter::start(&yaml).await;
    let folder = tempfile::tempdir().unwrap();
    let ask = |words: &'static [&'static str]| {
        let url = exporter.url().to_owned();
        let folder = folder.path().to_owned();
        async move {
            let line = [words, &["--exporter.url", &url]].concat();
            run(&folder, &line).await.ended_with(0).stdout
        }
    };
    let none = ask(&["alerts", "--pair", "nosuch"]).await;
    assert!(
        none.starts_with("No alerts; asked the exporter at http://"),
        "{none}"
    );

    let reply = stage
        .replica
        .command(&["REPLICAOF", "127.0.0.1", "1"])
        .await;
    reply.unwrap();
    let alert = || async {
        let screen = ask(&["alerts", "--pair", "orders"]).await;
        let found = screen.contains("warning  RedisCrossDc") && screen.contains("firing since");
        if found { Ok(screen) } else { Err(screen) }
    };
    let screen = eventually("an alert", LIMIT, alert).await.unwrap();
    assert!(screen.contains("nobody was notified yet"), "{screen}");
    let waiting = || async {
        let screen = ask(&["deliveries", "--receiver", "hook"]).await;
        let found = screen.contains("RECEIVER") && screen.contains("\nWaiting:\n");
        if found { Ok(()) } else { Err(screen) }
    };
    eventually("a delivery that waits", LIMIT, waiting)
        .await
        .unwrap();
    let json = ask(&["alerts", "--output", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        json["alerts"]
            .as_array()
            .is_some_and(|alerts| !alerts.is_empty())
    );
    let line = [
        "deliveries",
        "--receiver",
        "nosuch",
        "--exporter.url",
        exporter.url(),
    ];
    let refused = run(folder.path(), &line).await.ended_with(64);
    assert!(refused.stderr.contains("no receiver called"), "{refused:?}");
}

#[tokio::test]
async fn it_listens_on_several_addresses_and_serves_metrics_where_it_is_told() {
    let stage = Stage::set().await;
    let folder = folder_with(&configuration(&[stage.entry("orders")]));
    let [first, second] = [ports::free().unwrap(), ports::free().unwrap()];
    let mut command = Command::new(program());
    command
        .args([
            "--config.file",
            "config.yml",
            "--web.telemetry-path",
            "/redis/metrics",
        ])
        .arg(format!("--web.listen-address=127.0.0.1:{first}"))
        .arg(format!("--web.listen-address=localhost:{second}"))
        .stdin(Stdio::null());
    let running = Running::new(command, folder.path());
    for port in [first, second] {
        let url = format!("http://127.0.0.1:{port}/redis/metrics");
        let (status, body) = get(&url, &running).await;
        assert_eq!(status, 200);
        assert!(
            body.contains("redis_cross_dc_exporter_build_info"),
            "{body}"
        );
    }
    let (status, _) = get(&format!("http://127.0.0.1:{first}/metrics"), &running).await;
    assert_eq!(
        status, 307,
        "links and old scrape configurations are led there"
    );
    let refused = run(folder.path(), &["--web.telemetry-path", "/api/v1/pairs"]).await;
    let refused = refused.ended_with(64).stderr;
    assert!(refused.contains("serves something else"), "{refused}");
}

#[tokio::test]
async fn it_accepts_connections_on_the_socket_of_systemd() {
    let stage = Stage::set().await;
    let folder = folder_with(&configuration(&[stage.entry("orders")]));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/-/healthy", socket.local_addr().unwrap());
    // The protocol of sd_listen_fds(3): the sockets are the descriptors from 3 on, for the process
    // that LISTEN_PID names.
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"",
        ])
        .arg(program())
        .args(["--config.file", "config.yml", "--web.systemd-socket"])
        .stdin(Stdio::from(OwnedFd::from(socket)));
    let running = Running::new(command, folder.path());
    let (status, body) = get(&url, &running).await;
    assert_eq!((status, body.trim()), (200, "healthy"));

    let alone = run(
        folder.path(),
        &["--config.file", "config.yml", "--web.systemd-socket"],
    )
    .await;
    let alone = alone.ended_with(1).stderr;
    assert!(alone.contains("systemd has passed no socket"), "{alone}");
}

/// The examples that need nothing but servers and files of secrets: neither is there in this test,
/// and the program starts nevertheless.
#[tokio::test]
async fn every_example_starts_as_it_is() {
    let examples = [
        "config.example.yml",
        "examples/minimal.yml",
        "examples/sentinel.yml",
        "examples/cluster.yml",
        "examples/fleet.yml",
        "examples/active-standby.yml",
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut running = Vec::new();
    for example in examples {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(example);
        let path = path.to_str().unwrap();
        let line = ["check-config", "--syntax-only", "--config.file", path];
        run(folder.path(), &line).await.ended_with(0);
        let port = ports::free().unwrap();
        let mut command = Command::new(program());
        command
            .args(["--config.file", path])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .env(
                "REDIS_CROSS_DC__STATE__PATH",
                folder.path().join(port.to_string()),
            )
            .stdin(Stdio::null());
        running.push((port, Running::new(command, folder.path())));
    }
    for (port, running) in running {
        let (status, _) = get(&format!("http://127.0.0.1:{port}/-/healthy"), &running).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn the_version_names_commit_date_and_target() {
    let folder = tempfile::tempdir().unwrap();
    let long = run(folder.path(), &["--version"])
        .await
        .ended_with(0)
        .stdout;
    for word in [
        env!("CARGO_PKG_VERSION"),
        "revision:",
        "date:",
        "target:",
        "rustc:",
    ] {
        assert!(long.contains(word), "{word} is not in {long}");
    }
    assert!(long.contains(std::env::consts::ARCH), "{long}");
    let short = run(folder.path(), &["-V"]).await.ended_with(0).stdout;
    assert_eq!(short.lines().count(), 1, "{short}");
}
