//! /metrics as Prometheus reads it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::hostile::server::{HostileServer, Misbehaviour};
use redis_cross_dc_exporter::lab::{Answer, Response, eventually};
use redis_cross_dc_exporter::metrics::catalogue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::exporter::Exporter;
use crate::planted;
use crate::receiver::Receiver;
use crate::scrape::Scrape;
use crate::stage::{LIMIT, Stage, entry};

/// An exporter with a healthy pair, two in trouble, an alert that fires and a receiver that refuses
/// it.
async fn in_trouble() -> (Exporter, impl Sized) {
    let (healthy, mut lost) = (Stage::set().await, Stage::set().await);
    let garbage = HostileServer::start(Misbehaviour::Garbage).await.unwrap();
    let receiver = Receiver::start([]).await.unwrap();
    receiver.always(Answer::Respond(Response::new(400)));
    let strange = entry(
        "strange",
        ("dc1", healthy.master.addr()),
        ("dc4", garbage.addr()),
    );
    let yaml = format!(
        "poll: {{interval: 200ms, min_interval: 100ms}}\n\
         alerts: {{unreachable: {{warning: 1s}}}}\n\
         pairs:\n- {}\n- {}\n- {strange}\n\
         notify:\n  group_wait: 0s\n  receivers: [{{name: hook, webhook: {{url: '{}'}}}}]\n",
        healthy.entry("healthy").replace(
            "{name: healthy,",
            "{name: healthy, labels: {team: 'pay\"ments\\'},"
        ),
        lost.entry("lost"),
        receiver.url("/")
    );
    let exporter = Exporter::start(&yaml).await;
    exporter
        .wait_for("lost", "a first lag", LIMIT, |pair| {
            pair.lag_seconds.is_some()
        })
        .await;
    lost.master.kill();
    let failed = || async {
        let dead = Scrape::of(&exporter)
            .await
            .value("redis_cross_dc_notification_dead_letters_total", &[]);
        dead.is_some_and(|dead| dead >= 1.0)
    };
    eventually("a notification that is refused", LIMIT, failed)
        .await
        .unwrap();
    (exporter, (healthy, lost, garbage, receiver))
}

#[tokio::test]
async fn promtool_finds_no_problem_and_every_family_is_documented() {
    let (exporter, _lab) = in_trouble().await;
    let scrape = Scrape::of(&exporter).await;
    let declared: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    let families = scrape.families();
    let unknown: Vec<_> = families
        .iter()
        .filter(|name| !name.starts_with("process_") && !declared.contains(**name))
        .collect();
    assert!(unknown.is_empty(), "not in the catalogue: {unknown:?}");
    assert!(
        families.contains("process_open_fds") && families.contains("redis_cross_dc_alerts"),
        "{families:?}"
    );
    assert!(
        scrape.text().contains(r#"team="pay\"ments\\""#),
        "{}",
        scrape.text()
    );
    let (code, said) = promtool(scrape.text());
    assert_eq!(code, Some(0), "promtool check metrics says:\n{said}");
    // A lint that finds nothing proves nothing unless it would find something.
    let (code, _) = promtool(&format!(
        "{}# TYPE bad_total gauge\nbad_total 1\n",
        scrape.text()
    ));
    assert_eq!(code, Some(3));
}

/// Runs `promtool check metrics` on `text`: its exit code and all its output.
fn promtool(text: &str) -> (Option<i32>, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("promtool cannot be run ({error}): apt-get install prometheus")
        });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat(),
    )
}

#[tokio::test]
async fn a_client_that_accepts_gzip_gets_it() {
    let (exporter, _lab) = in_trouble().await;
    let (head, body) = get(exporter.url(), "accept-encoding: gzip\r\n").await;
    assert!(
        head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"),
        "{head}"
    );
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    planted::said("gzip", &format!("{head}\n{text}"));
    assert!(
        text.contains("redis_cross_dc_pair_info{") && body.len() * 4 < text.len(),
        "{} bytes",
        body.len()
    );

    let (head, body) = get(exporter.url(), "").await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("redis_cross_dc_pair_info{")
    );
}

/// GET /metrics with these further header lines: the answer's head in lower case, and its body as
/// it came.
async fn get(url: &str, headers: &str) -> (String, Vec<u8>) {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 200") && head.contains("content-length:"),
        "{head}"
    );
    (head, answer.split_off(end + 4))
}
