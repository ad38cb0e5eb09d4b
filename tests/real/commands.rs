//! The commands beside `run` and `check`: what they print, and the exit codes that scripts hold on
//! to.

use redis_cross_dc_exporter::lab::eventually;

use crate::hostile::server::{HostileServer, Misbehaviour};
use redis_cross_dc_exporter::model::ServerAddr;

use crate::command::{configuration, folder_with, no_exporter, nobody, run};
use crate::exporter::Exporter;
use crate::planted;
use crate::stage::{LIMIT, Stage, entry};

#[tokio::test]
async fn check_config_contacts_no_server_and_shows_no_secret() {
    let server = HostileServer::start(Misbehaviour::Hang).await.unwrap();
    let pair = entry(
        "orders",
        ("dc1", server.addr()),
        ("dc2", &ServerAddr::new("nobody.invalid", 6379)),
    );
    let yaml = format!(
        "redis: {{username: monitor, password: {}}}\n{}",
        planted::REDIS,
        configuration(&[pair])
    );
    let folder = folder_with(&yaml);
    let shown = run(
        folder.path(),
        &["check-config", "--config.file", "config.yml"],
    )
    .await
    .ended_with(0);
    assert!(
        shown.stdout.contains("password: \"***\"") || shown.stdout.contains("password: '***'"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("repeat_interval: 4h"), "{shown:?}");
    assert_eq!(server.connections(), 0);
    let bad = folder_with(&yaml.replace("200ms", "soon"));
    let refused = run(bad.path(), &["check-config", "--config.file", "config.yml"])
        .await
        .ended_with(64);
    assert!(
        refused.stdout.is_empty() && refused.stderr.contains("poll.interval"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("soon"), "{refused:?}");
}

#[tokio::test]
async fn check_config_names_unreadable_files_unless_only_the_syntax_is_checked() {
    let pair = entry("orders", ("dc1", &nobody()), ("dc2", &nobody()));
    let yaml = format!(
        "redis: {{username: monitor, password_file: secret}}\n{}",
        configuration(&[pair])
    );
    let folder = folder_with(&yaml);
    let args = ["check-config", "--config.file", "config.yml"];
    let refused = run(folder.path(), &args).await.ended_with(64);
    let line = refused
        .stderr
        .lines()
        .find(|line| line.starts_with("redis.password_file: cannot read the secret file"));
    let line = line.unwrap_or_else(|| panic!("{refused:?}"));
    assert!(line.contains("secret: No such file"), "{line}");
    assert!(refused.stderr.contains("--syntax-only"), "{refused:?}");
    assert!(refused.stdout.is_empty(), "{refused:?}");

    let syntax_only = [args.as_slice(), &["--syntax-only"]].concat();
    run(folder.path(), &syntax_only).await.ended_with(0);
    std::fs::write(folder.path().join("secret"), planted::REDIS).unwrap();
    run(folder.path(), &args).await.ended_with(0);

    std::fs::remove_file(folder.path().join("secret")).unwrap();
    let exporter = Exporter::start(&yaml).await;
    let sentence = "a file that the configuration names cannot be used";
    let warned = || async {
        let log = exporter.log();
        let line = log.lines().find(|line| line.contains(sentence));
        line.filter(|line| line.contains("key=redis.password_file"))
            .map(|_| ())
            .ok_or(log.clone())
    };
    eventually("a warning", LIMIT, warned).await.unwrap();
}

/// An example with a text in the place of every variable.
fn example(name: &str) -> String {
    let path = format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).unwrap();
    while let Some((before, rest)) = text.split_once("${") {
        let (name, after) = rest.split_once('}').unwrap();
        let value = match name {
            "WEBHOOK_SIGNING_SECRET" => "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            _ => "https://example.invalid/x",
        };
        text = format!("{before}{value}{after}");
    }
    text
}

#[tokio::test]
async fn the_examples_are_accepted_and_one_starts() {
    for name in [
        "minimal.yml",
        "sentinel.yml",
        "cluster.yml",
        "fleet.yml",
        "active-standby.yml",
        "everything.yml",
    ] {
        let folder = folder_with(&example(name));
        let args = [
            "check-config",
            "--syntax-only",
            "--config.file",
            "config.yml",
        ];
        run(folder.path(), &args).await.ended_with(0);
    }
    let exporter = Exporter::start(&example("minimal.yml")).await;
    let pairs = exporter.get("/api/v1/pairs").await;
    assert!(pairs.contains("\"orders\""), "{pairs}");
}

#[tokio::test]
async fn healthcheck_distinguishes_ready_not_ready_and_no_exporter() {
    let stage = Stage::set().await;
    let exporter = Exporter::start(&configuration(&[stage.entry("orders")])).await;
    let folder = tempfile::tempdir().unwrap();
    let ask = |url: String| {
        let folder = folder.path();
        async move { run(folder, &["healthcheck", "--exporter.url", &url]).await }
    };
    assert_eq!(
        ask(exporter.url().to_owned()).await.ended_with(0).stdout,
        "ready\n"
    );
    let none = no_exporter();
    assert!(ask(none.clone()).await.ended_with(1).stderr.contains(&none));

    let hung = HostileServer::start(Misbehaviour::Hang).await.unwrap();
    let pair = entry("hung", ("dc1", hung.addr()), ("dc2", hung.addr())).replace(
        &format!("replicas: [{{address: '{}'", hung.addr()),
        &format!("replicas: [{{address: '{}'", stage.replica.addr()),
    );
    let patient = Exporter::spawn(&configuration(&[pair]).replace("remote: 500ms", "remote: 60s"));
    let waiting = || async {
        let outcome = ask(patient.url().to_owned()).await;
        let named = outcome.code == Some(1) && outcome.stderr.contains(&hung.addr().to_string());
        if named {
            Ok(())
        } else {
            Err(format!("{outcome:?}"))
        }
    };
    eventually(
        "the name of the server that was not polled yet",
        LIMIT,
        waiting,
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn help_and_version_succeed_and_unknown_arguments_fail() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).await.ended_with(0);
    for command in [
        "run",
        "check",
        "check-config",
        "healthcheck",
        "demo",
        "--config.file",
        "--web.listen-address",
    ] {
        assert!(help.stdout.contains(command), "{command}: {}", help.stdout);
    }
    let version = run(folder.path(), &["-V"]).await.ended_with(0);
    assert_eq!(
        version.stdout.trim(),
        concat!("redis-cross-dc-exporter ", env!("CARGO_PKG_VERSION"))
    );
    for wrong in [
        &["--bogus"][..],
        &["dance"],
        &["--web.listen-address", "everywhere"],
        &["--log.level", "loud"],
    ] {
        assert!(
            !run(folder.path(), wrong)
                .await
                .ended_with(64)
                .stderr
                .is_empty(),
            "{wrong:?}"
        );
    }
}

#[tokio::test]
async fn a_bad_configuration_ends_the_program_before_any_connection() {
    let server = HostileServer::start(Misbehaviour::Hang).await.unwrap();
    let good = configuration(&[entry("orders", ("dc1", server.addr()), ("dc2", &nobody()))]);
    let folder = folder_with(&good.replace("name: orders", "name: ''"));
    std::fs::write(folder.path().join("config.ini"), &good).unwrap();
    // The address is taken: were it bound first, the exit code would be 1.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    for (file, named) in [
        ("config.yml", "pairs[0].name"),
        ("none.yml", "none.yml"),
        (".", "."),
        ("config.ini", ".yml"),
    ] {
        let args = [
            "run",
            "--config.file",
            file,
            "--web.listen-address",
            &listen,
        ];
        let refused = run(folder.path(), &args).await.ended_with(64);
        assert!(refused.stderr.contains(named), "{refused:?}");
    }
    assert_eq!(server.connections(), 0);

    std::fs::write(folder.path().join("config.yml"), good).unwrap();
    let args = [
        "--config.file",
        "config.yml",
        "--web.listen-address",
        &listen,
    ];
    let refused = run(folder.path(), &args).await.ended_with(1);
    assert!(refused.stderr.contains(&listen), "{refused:?}");
    assert_eq!(
        server.connections(),
        0,
        "a taken address is an error before any server hears of it"
    );
}
