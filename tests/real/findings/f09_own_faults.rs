//! F9: reasons are where the fault is. What the exporter cannot do by itself, or what a server
//! refuses it, is no silence of the server, and every surface names which it is.

use redis_cross_dc_exporter::lab::{Connection, RedisServer, eventually};
use redis_cross_dc_exporter::model::ServerAddr;
use redis_cross_dc_exporter::replication::PairState;

use crate::command;
use crate::exporter::Exporter;
use crate::planted;
use crate::receiver::Receiver;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

const FAULT: &str = "RedisCrossDcExporterFault";

const QUICK: &str = "\
poll: {interval: 200ms, min_interval: 100ms, timeout: {local: 500ms, remote: 500ms}}
alerts: {unreachable: {warning: 1s, critical: 3s}}
";

/// A fault, as every surface has to show it.
struct Told<'a> {
    /// The server to which there is no access.
    server: &'a ServerAddr,
    /// What the pair's reason begins with.
    about_pair: &'a str,
    /// What every surface shows.
    everywhere: &'a str,
    /// The metric's reason.
    reason: &'a str,
}

/// A receiver of everything, and the configuration that names it.
async fn receiver() -> (Receiver, String) {
    let receiver = Receiver::start([]).await.unwrap();
    let hook = format!("{{name: hook, webhook: {{url: '{}'}}}}", receiver.url("/"));
    let notify =
        format!("notify: {{group_wait: 0s, group_interval: 100ms, receivers: [{hook}]}}\n");
    (receiver, notify)
}

/// Starts the exporter with `yaml` and checks every surface.
async fn every_surface_tells(told: &Told<'_>, yaml: &str) {
    let (receiver, notify) = receiver().await;
    let exporter = Exporter::start(&format!("{QUICK}{yaml}{notify}")).await;
    let pair = exporter
        .wait_for("orders", "the fault to be known", LIMIT, |pair| {
            pair.state == PairState::Unknown
                && pair.reason.contains(told.everywhere)
                && pair.reason.starts_with(told.about_pair)
        })
        .await;
    assert!(!pair.link_up);
    the_alert_tells(told, &exporter, &receiver).await;
    the_metrics_tell(told, &exporter).await;
    let page = exporter.get("/").await;
    assert!(page.contains(told.everywhere), "the page: {page}");
    let folder = exporter.folder();
    let url = exporter.url().to_owned();
    for exporter_url in [url, command::no_exporter()] {
        let args = ["check", "--config.file", "config.yml", "--exporter.url"];
        let args = [&args[..], &[exporter_url.as_str()]].concat();
        let said = command::run(folder.path(), &args).await;
        assert!(said.stdout.contains(told.everywhere), "{said:?}");
        assert!(matches!(said.code, Some(2 | 3)), "{said:?}");
    }
}

/// The alert reports it at once and becomes critical; no alert claims that the server is silent.
async fn the_alert_tells(told: &Told<'_>, exporter: &Exporter, receiver: &Receiver) {
    let server = told.server.to_string();
    let critical = receiver
        .wait_for("the fault to be critical", LIMIT, |request| {
            let text = request.text();
            text.contains(FAULT) && text.contains("critical") && text.contains(&server)
        })
        .await
        .unwrap()
        .text();
    assert!(critical.contains(told.everywhere), "{critical}");
    for request in receiver.requests() {
        let text = request.text();
        for wrong in [
            "RedisCrossDcServerUnreachable",
            "RedisCrossDcMonitorIsolated",
        ] {
            assert!(!text.contains(wrong), "{text}");
        }
    }
    let alerts = exporter.alerts().await.alerts;
    let names: Vec<_> = alerts
        .iter()
        .map(|alert| alert.alertname.as_str())
        .collect();
    assert!(names.contains(&FAULT), "{names:?}");
    assert!(
        !names.contains(&"RedisCrossDcServerUnreachable"),
        "{names:?}"
    );
}

async fn the_metrics_tell(told: &Told<'_>, exporter: &Exporter) {
    let scrape = Scrape::of(exporter).await;
    let server = told.server.to_string();
    let labels = [("server", server.as_str()), ("reason", told.reason)];
    let fault = scrape.value("redis_cross_dc_exporter_fault", &labels);
    assert_eq!(fault, Some(1.0));
    let failed = scrape.value("redis_cross_dc_poll_errors_total", &labels);
    assert!(failed.is_some_and(|count| count > 0.0), "{failed:?}");
    let up = scrape.value("redis_cross_dc_server_up", &labels[..1]);
    assert_eq!(up, Some(0.0));
}

/// How many connections the server has taken so far, by one that stays open.
async fn connections(redis: &mut Connection) -> u64 {
    let info = redis.command(&["INFO", "stats"]).await.unwrap();
    let info = info.text().unwrap();
    let count = info
        .split("total_connections_received:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {info}"))
}

#[tokio::test]
async fn f09_a_missing_password_file_is_the_exporters_fault_and_nothing_is_sent() {
    let stage = Stage::set().await;
    let mut redis = stage.master.connect().await.unwrap();
    let before = connections(&mut redis).await;
    let everywhere = "the password file /nonexistent/password cannot be read: No such file or \
                      directory";
    let told = Told {
        server: stage.master.addr(),
        about_pair: "this exporter cannot log in to the master: ",
        everywhere,
        reason: "auth",
    };
    let yaml = format!(
        "redis: {{password_file: /nonexistent/password}}\npairs: [{}]\n",
        stage.entry("orders")
    );
    every_surface_tells(&told, &yaml).await;
    assert_eq!(connections(&mut redis).await, before, "something was sent");
}

#[tokio::test]
async fn f09_a_refused_login_is_reported_as_such() {
    let password = planted::REDIS;
    let master = RedisServer::builder().password(password);
    let master = master.start().await.unwrap();
    let replica = RedisServer::builder()
        .password(password)
        .replicaof(master.addr());
    let replica = replica.start().await.unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let told = Told {
        server: master.addr(),
        about_pair: "the master refused the login of the default user",
        everywhere: "refused the login of the default user (WRONGPASS)",
        reason: "auth",
    };
    let pair = entry("orders", ("dc1", master.addr()), ("dc2", replica.addr()));
    let yaml = format!("redis: {{password: not-{password}}}\npairs: [{pair}]\n");
    every_surface_tells(&told, &yaml).await;
}

/// The configuration of a pair whose servers are to be spoken to in TLS.
fn secured(stage: &Stage, ca_file: &str) -> String {
    let pair = stage.entry("orders");
    format!("redis: {{tls: {{ca_file: {ca_file}}}}}\npairs: [{pair}]\n")
}

#[tokio::test]
async fn f09_tls_to_a_plain_port_is_distinguished_from_a_frozen_server() {
    let stage = Stage::set().await;
    let authority = crate::certificates::Authority::new();
    let told = Told {
        server: stage.master.addr(),
        about_pair: "this exporter cannot make a secure connection to the master: ",
        everywhere: "this port is not its TLS port (tls-port): it answers in plain Redis",
        reason: "tls",
    };
    let ca_file = authority.ca_file();
    let yaml = secured(&stage, &ca_file.display().to_string());
    every_surface_tells(&told, &yaml).await;
}

#[tokio::test]
async fn f09_a_frozen_tls_server_counts_as_silent() {
    let mut stage = Stage::set().await;
    let authority = crate::certificates::Authority::new();
    let (receiver, notify) = receiver().await;
    stage.master.stop().unwrap();
    let ca_file = authority.ca_file();
    let yaml = secured(&stage, &ca_file.display().to_string());
    let exporter = Exporter::start(&format!("{QUICK}{yaml}{notify}")).await;
    let log_says = "the TLS handshake did not end in time";
    exporter
        .wait_for("orders", "the silence", LIMIT, |pair| {
            pair.state == PairState::MasterUnreachable && pair.reason.contains(log_says)
        })
        .await;
    let server = stage.master.addr().to_string();
    receiver
        .wait_for("the alert about silence", LIMIT, |request| {
            let text = request.text();
            text.contains("RedisCrossDcServerUnreachable")
                && text.contains(&server)
                && text.contains(log_says)
        })
        .await
        .unwrap();
    stage.master.cont().unwrap();
}

#[tokio::test]
async fn f09_a_missing_authority_file_is_the_exporters_fault() {
    let stage = Stage::set().await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let ca_file = ca_file.display().to_string();
    let everywhere = format!("the TLS file {ca_file} cannot be read: No such file");
    let told = Told {
        server: stage.master.addr(),
        about_pair: "this exporter cannot make a secure connection to the master: ",
        everywhere: &everywhere,
        reason: "tls",
    };
    every_surface_tells(&told, &secured(&stage, &ca_file)).await;
}

#[tokio::test]
async fn f09_a_fault_that_is_mended_resolves() {
    let stage = Stage::set().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let (receiver, notify) = receiver().await;
    // A server without a password takes whatever the default user gives, in this form.
    let mut redis = stage.master.connect().await.unwrap();
    redis
        .command(&["ACL", "SETUSER", "monitor", "on", ">secret", "+@all"])
        .await
        .unwrap();
    let pair = stage.entry("orders").replacen(
        "master: {",
        &format!(
            "master: {{username: monitor, password_file: '{}', ",
            file.display()
        ),
        1,
    );
    let exporter = Exporter::start(&format!("{QUICK}pairs: [{pair}]\n{notify}")).await;
    receiver
        .wait_for("the fault", LIMIT, |request| request.text().contains(FAULT))
        .await
        .unwrap();
    std::fs::write(&file, "secret\n").unwrap();
    exporter
        .wait_for("orders", "the pair to stream", LIMIT, |pair| {
            pair.state == PairState::Streaming
        })
        .await;
    receiver
        .wait_for("the end of the fault", LIMIT, |request| {
            let resolved = request
                .json()
                .is_ok_and(|body| body["status"] == "resolved");
            resolved && request.text().contains(FAULT)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn f09_a_refused_reload_is_shown_on_every_surface() {
    let stage = Stage::set().await;
    let (receiver, notify) = receiver().await;
    let yaml = format!("{QUICK}pairs: [{}]\n{notify}", stage.entry("orders"));
    let exporter = Exporter::start(&yaml).await;
    let config = exporter.config();
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{good}\npol: {{interval: 1s}}\n")).unwrap();
    exporter.signal("HUP");
    let wrong = "pol: is not a known key";
    let told = receiver
        .wait_for("the refusal", LIMIT, |request| {
            request.text().contains("RedisCrossDcConfigReloadFailed")
        })
        .await
        .unwrap()
        .text();
    assert!(told.contains(wrong), "{told}");
    let report = exporter.pairs().await.exporter;
    assert!(
        report.reload_failed.is_some_and(|why| why.contains(wrong)),
        "the API"
    );
    assert!(exporter.get("/").await.contains(wrong), "the page");
    let folder = exporter.folder();
    let args = [
        "check",
        "--config.file",
        "config.yml",
        "--exporter.url",
        exporter.url(),
    ];
    std::fs::write(&config, &good).unwrap();
    let said = command::run(folder.path(), &args).await;
    assert!(said.stdout.contains(wrong), "{said:?}");
    exporter.signal("HUP");
    let over = || async { exporter.pairs().await.exporter.reload_failed.is_none() };
    eventually("the reload to succeed", LIMIT, over)
        .await
        .unwrap();
}
