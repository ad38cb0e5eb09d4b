//! The search for planted secrets: that it would find one, that nothing goes past it, and the
//! places that are the most likely to show one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use redis_cross_dc_exporter::lab::eventually;
use redis_cross_dc_exporter::model::ServerAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::command::{configuration, folder_with, no_exporter, nobody, run};
use crate::exporter::Exporter;
use crate::planted::{self, Transcript};
use crate::stage::{LIMIT, Stage, entry};

/// What is beside the folder `said` in a run of the tests.
fn run_of_tests(said: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("1/said/0001-exporter")).unwrap();
    std::fs::write(
        folder.path().join("1/secrets"),
        format!("{}\nMIGHAgEAMBMG\n", planted::MARK),
    )
    .unwrap();
    std::fs::write(folder.path().join("1/said/0001-exporter/log"), said).unwrap();
    folder
}

fn check_secrets(folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/check-secrets");
    Command::new(script).arg(folder).output().unwrap()
}

#[test]
fn the_last_step_finds_a_leak_and_an_empty_search() {
    let clean = run_of_tests("level=info msg=started\n");
    assert_eq!(check_secrets(clean.path()).status.code(), Some(0));
    for leak in [
        planted::REDIS,
        "PLANTED-SECRET-X",
        "key=MIGHAgEAMBMG",
        "\0binary planted-secret-y\0",
    ] {
        let found = check_secrets(run_of_tests(&format!("a line\nmsg={leak}\n")).path());
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(
            found.status.code() == Some(1) && said.contains("0001-exporter/log:2"),
            "{leak}: {said}"
        );
        assert!(
            !said.to_lowercase().contains(planted::MARK),
            "the search itself shows the secret: {said}"
        );
    }
    let (empty, listless) = (tempfile::tempdir().unwrap(), run_of_tests("x"));
    std::fs::write(listless.path().join("1/secrets"), "").unwrap();
    let silent = run_of_tests("");
    for nothing in [
        empty.path(),
        listless.path(),
        silent.path(),
        &empty.path().join("absent"),
    ] {
        assert_eq!(
            check_secrets(nothing).status.code(),
            Some(2),
            "{}",
            nothing.display()
        );
    }
}

/// Whether the drop of `planter` notices what it did. The panic's own text is kept off the test's
/// output.
fn is_noticed(planter: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(planter).is_err()
}

#[test]
fn each_helper_notices_a_leak_by_itself() {
    // Put together here, so that the transcripts of this test hold no secret for the last step to
    // find.
    let key = format!("{}{}", "MC4CAQAwBQYDK2VwBCIEI", std::process::id());
    assert_eq!(planted::found_in(&key), None);
    planted::remember(&key);
    assert!(
        planted::found_in(&format!("a {key} b")).is_some(),
        "what is remembered is searched for"
    );
    assert!(planted::found_in(&planted::REDIS.to_uppercase()).is_some());
    assert!(planted::found_in("-----BEGIN PRIVATE KEY-----").is_some());
    assert_eq!(planted::found_in("a planted tree keeps a secret"), None);
    assert!(is_noticed(|| planted::assert_absent(
        "here",
        planted::SLACK
    )));
    assert!(is_noticed(|| {
        let transcript = Transcript::new("self-test");
        let leak = transcript.path("leak");
        std::fs::write(&leak, planted::SLACK).unwrap();
        let clean = std::panic::catch_unwind(|| transcript.assert_clean());
        std::fs::remove_file(leak).unwrap();
        clean.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }));
}

#[tokio::test]
async fn an_exporter_that_leaks_a_file_is_noticed_when_it_is_dropped() {
    let pair = entry("orders", ("dc1", &nobody()), ("dc2", &nobody()));
    let exporter = Exporter::start(&configuration(&[pair])).await;
    let leak = exporter.config().parent().unwrap().join("state.db");
    // Not one of the list: the last step is to find none.
    let secret = format!("{:-<20}{}", "made-up-secret", std::process::id());
    planted::remember(&secret);
    std::fs::write(leak, &secret).unwrap();
    let transcript = exporter.transcript_files();
    assert!(is_noticed(std::panic::AssertUnwindSafe(|| drop(exporter))));
    std::fs::remove_file(transcript).unwrap();
}

/// Every source file of these tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_program_start_and_every_receiver_is_searched() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    let using = |word: &str| -> Vec<String> {
        let has = |path: &&PathBuf| std::fs::read_to_string(path).unwrap().contains(word);
        let mut names: Vec<_> = files.iter().filter(has).map(|path| name(path)).collect();
        names.retain(|name| name != "secrets.rs");
        names.sort();
        names
    };
    let starts = "start the program by Exporter or command::run, which keep what it says and search it for secrets";
    assert_eq!(
        using("::new(program())"),
        [
            // Its output goes nowhere: it is killed while it works.
            "active_active/mod.rs",
            "active_active/storm/drainer.rs",
            "command.rs",
            "demo.rs",
            "exporter.rs",
            "findings/f02_listen_address.rs",
            "first_run.rs",
            // The same.
            "operation/killed.rs",
            "webconfig.rs"
        ],
        "{starts}"
    );
    let receives = "use crate::receiver::Receiver, which searches what it is sent for secrets, not the lab's own";
    assert_eq!(using("lab::Receiver"), ["receiver.rs"], "{receives}");
    let imports = |text: &str| {
        let mut uses = text.split("use redis_cross_dc_exporter::lab::{").skip(1);
        uses.any(|rest| {
            rest.split('}')
                .next()
                .unwrap_or("")
                .split([',', '\n', ' '])
                .any(|item| item == "Receiver")
        })
    };
    let importing: Vec<_> = files
        .iter()
        .filter(|path| imports(&std::fs::read_to_string(path).unwrap()))
        .map(|path| name(path))
        .collect();
    assert_eq!(importing, Vec::<String>::new(), "{receives}");
}

/// A server that rejects every command and repeats what it was sent, as Redis does with the
/// arguments of an unknown command.
async fn echo() -> ServerAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(repeat(stream));
        }
    });
    ServerAddr::new("127.0.0.1", port)
}

async fn repeat(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let (mut words, mut awaited) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        match line.chars().next() {
            Some('*') => (awaited, words) = (line[1..].trim().parse().unwrap_or(0), Vec::new()),
            Some('$') => {}
            _ => words.push(line.trim().to_owned()),
        }
        if awaited > 0 && words.len() == awaited {
            let reply = format!(
                "-ERR unknown command, with args beginning with: '{}'\r\n",
                words.join("' '")
            );
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
            awaited = 0;
        }
    }
}

#[tokio::test]
async fn a_password_that_a_server_repeats_is_not_shown() {
    let (server, stage) = (echo().await, Stage::set().await);
    let pair = entry("echo", ("dc1", stage.master.addr()), ("dc2", &server));
    let pair = pair.replace(
        &format!("{{address: '{server}'"),
        &format!(
            "{{password: {}, username: monitor, address: '{server}'",
            planted::REDIS
        ),
    );
    let exporter = Exporter::start(&configuration(&[pair])).await;
    let refused = || async {
        let server = exporter
            .pairs()
            .await
            .servers
            .into_iter()
            .find(|seen| seen.server == server.to_string());
        server.and_then(|server| server.last_error).as_deref() == Some("auth")
    };
    eventually("the refusal of the login", LIMIT, refused)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    for path in [
        "/metrics",
        "/api/v1/pairs",
        "/api/v1/alerts",
        "/",
        "/-/ready",
    ] {
        exporter.get(path).await;
    }
    let folder = exporter.config().parent().unwrap().to_owned();
    let args = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        &no_exporter(),
    ];
    run(&folder, &args).await.ended_with(3);
}

#[tokio::test]
async fn passwords_in_urls_are_refused_and_not_shown() {
    let good = configuration(&[entry("orders", ("dc1", &nobody()), ("dc2", &nobody()))]);
    for scheme in ["redis://monitor:", "rediss://:", "monitor:"] {
        let bad = good.replacen(
            "address: '",
            &format!("address: '{scheme}{}@", planted::REDIS),
            1,
        );
        assert_ne!(bad, good);
        let folder = folder_with(&bad);
        let refused = run(
            folder.path(),
            &["check-config", "--config.file", "config.yml"],
        )
        .await
        .ended_with(64);
        assert!(
            refused
                .stderr
                .contains("pairs[0].master.address: the value has credentials in it"),
            "{refused:?}"
        );
    }
    let folder = folder_with(&good);
    let url = format!("http://monitor:{}@127.0.0.1:1", planted::BASIC_AUTH);
    let refused = run(folder.path(), &["healthcheck", "--exporter.url", &url])
        .await
        .ended_with(64);
    assert!(
        refused.stderr.contains("--exporter.password-file"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_receiver_behind_a_proxy_with_a_password_fails_without_showing_it() {
    let yaml = configuration(&[entry("orders", ("dc1", &nobody()), ("dc2", &nobody()))]);
    // HTTPS_PROXY, which every program here is started with, leads nowhere and has a password in
    // it.
    let hook = format!("https://hooks.invalid/{}", planted::WEBHOOK);
    let notify = format!(
        "notify: {{group_wait: 0s, receivers: [{{name: hook, webhook: {{url: '{hook}'}}}}]}}"
    );
    let yaml = format!("{yaml}alerts: {{unreachable: {{warning: 1s}}}}\n{notify}\n");
    let exporter = Exporter::start(&yaml).await;
    let failed = || async { exporter.log().contains("it is tried again") };
    eventually("a failed delivery", LIMIT, failed)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let log = exporter.log();
    let line = log
        .lines()
        .find(|line| line.contains("it is tried again"))
        .unwrap_or_default();
    assert!(
        line.contains("receiver=hook") && line.contains("failure=connect"),
        "{line}"
    );
}
