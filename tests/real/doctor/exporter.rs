//! The audits of a running exporter: at intervals, on demand, with the least rights; and what the
//! command takes from its history.

use std::time::Duration;

use redis_cross_dc_exporter::lab::{SteadyWriter, WriteLoad, eventually};
use redis_cross_dc_exporter::model::DoctorCheck;
use redis_cross_dc_exporter::report::DoctorStatusReport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Pair, doctor_beside, found, read, reference};
use crate::exporter::Exporter;
use crate::planted;
use crate::scrape::Scrape;
use crate::stage::LIMIT;

async fn status(exporter: &Exporter) -> DoctorStatusReport {
    let text = exporter.get("/api/v1/doctor").await;
    serde_json::from_str(&text).unwrap()
}

/// Asks for an audit, and returns the status of the answer.
async fn ask_for_an_audit(exporter: &Exporter) -> String {
    let addr = exporter.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!(
        "POST /api/v1/doctor HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let words = answer.split(' ').nth(1);
    words.expect("a status line").to_owned()
}

/// Waits until an audit that began after `before` has ended.
async fn wait_for_audit(exporter: &Exporter, before: f64) -> DoctorStatusReport {
    let ended = || async {
        let status = status(exporter).await;
        match &status.last {
            Some(last) if last.timestamp > before && !status.running => Ok(status),
            _ => Err(format!("{status:?}")),
        }
    };
    eventually("an audit", LIMIT, ended).await.unwrap()
}

#[tokio::test]
async fn an_audit_on_demand_is_in_the_api_the_metrics_and_on_the_page() {
    let trap = reference().config("min-replicas-to-write 1");
    let pair = Pair::start(reference(), trap).await;
    let exporter = Exporter::start_admin(&pair.configuration()).await;
    let before = status(&exporter).await;
    assert_eq!(
        (before.every_seconds, before.last, before.running),
        (None, None, false)
    );
    let why = before.reason.unwrap();
    assert!(why.contains("doctor.every is not set"), "{why}");
    assert!(
        !exporter
            .get("/metrics")
            .await
            .contains("redis_cross_dc_doctor_findings{")
    );
    assert!(
        !exporter
            .get("/pairs/orders")
            .await
            .contains("id=\"doctor\"")
    );

    assert_eq!(ask_for_an_audit(&exporter).await, "202");
    let status = wait_for_audit(&exporter, 0.0).await;
    let report = status.last.unwrap();
    assert_eq!(
        found(&report),
        [(DoctorCheck::A1, super::FindingSeverity::Critical)]
    );
    assert!(status.age_seconds.is_some_and(|age| age >= 0.0) && status.reason.is_none());

    let metrics = Scrape::of(&exporter).await;
    let findings = "redis_cross_dc_doctor_findings";
    let labels = [("pair", "orders"), ("severity", "critical")];
    assert_eq!(metrics.value(findings, &labels), Some(1.0));
    let warnings = [("pair", "orders"), ("severity", "warning")];
    assert_eq!(metrics.value(findings, &warnings), Some(0.0));
    let last_run = "redis_cross_dc_doctor_last_run_timestamp_seconds";
    let at = metrics.value(last_run, &[("pair", "orders")]).unwrap();
    assert!((at - report.timestamp).abs() < 60.0, "{at}");

    let page = exporter.get("/pairs/orders").await;
    assert!(page.contains("id=\"doctor\""), "{page}");
    assert!(
        page.contains("CONFIG SET min-replicas-to-write 0"),
        "{page}"
    );
    assert!(page.contains("1 critical"), "{page}");
}

#[tokio::test]
async fn nobody_without_write_access_begins_an_audit() {
    let pair = Pair::start(reference(), reference()).await;
    let exporter = Exporter::start(&pair.configuration()).await;
    assert_eq!(ask_for_an_audit(&exporter).await, "403");
    let status = status(&exporter).await;
    assert!(status.last.is_none() && !status.running);
}

#[tokio::test]
async fn the_exporter_audits_at_intervals_with_the_documented_rights_and_polls_on() {
    let user = format!(
        "monitor on >{} {}",
        planted::REDIS,
        super::rights::documented()
    );
    let pair = Pair::start(reference().user(&user), reference().user(&user)).await;
    for server in [&pair.master, &pair.replica] {
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    let load = WriteLoad {
        per_second: 20,
        value_bytes: 1000,
    };
    let _writer = SteadyWriter::start(pair.master.addr(), None, load);
    let login = format!(
        "redis: {{username: monitor, password: {}}}\n",
        planted::REDIS
    );
    let yaml = format!("{login}doctor: {{every: 1m}}\n{}", pair.configuration());
    let exporter = Exporter::start(&yaml).await;
    assert_eq!(status(&exporter).await.every_seconds, Some(60.0));
    let first = wait_for_audit(&exporter, 0.0).await;
    let report = first.last.unwrap();
    assert_eq!(found(&report), [], "{report:#?}");
    let page = exporter.get("/pairs/orders").await;
    assert!(page.contains("id=\"doctor\""), "{page}");
    for server in [&pair.master, &pair.replica] {
        assert_eq!(super::rights::denials(server).await, 0);
    }
    // By then it has a minute of writes, which the command uses.
    let has_history = || async {
        let status = status(&exporter).await;
        if status.writes.is_empty() {
            Err(format!("{status:?}"))
        } else {
            Ok(status)
        }
    };
    let status = eventually("a minute of writes", Duration::from_mins(3), has_history)
        .await
        .unwrap();
    let minute = &status.writes[0].peaks[0];
    let written = minute.bytes.as_f64() / minute.window_seconds;
    assert!((10_000.0..60_000.0).contains(&written), "{status:?}");
    let args = ["--output", "json"];
    let yaml = format!("{login}{}", pair.configuration());
    let report = read(doctor_beside(exporter.url(), &yaml, &args).await);
    let rate = report.pairs[0].write_rate.as_ref().unwrap();
    assert!(rate.is_history, "{rate:?}");
    assert!(
        rate.sentence.contains("less than an hour of history"),
        "{rate:?}"
    );
    // The first audit waited for the first minute; the next one follows by itself.
    let second = wait_for_audit(&exporter, report.timestamp).await;
    assert!(second.last.unwrap().pairs[0].write_rate.is_some());
}
