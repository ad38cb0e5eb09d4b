//! Passwords: wrong, right, and rotated while the exporter runs.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::{Connection, RedisServer};
use redis_cross_dc_exporter::model::Secret;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::report::PairsReport;

use super::sampler::{Sample, Sampler};
use super::stage::{PAIR, PATIENCE, config};
use crate::exporter::Exporter;
use crate::planted;

const OLD: &str = planted::REDIS;
const NEW: &str = planted::ROTATED;

async fn servers() -> [RedisServer; 2] {
    let master = RedisServer::builder().password(OLD).start().await.unwrap();
    let replica = RedisServer::builder()
        .password(OLD)
        .replicaof(master.addr())
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(PATIENCE).await.unwrap();
    [master, replica]
}

fn all_refuse_the_login(report: &PairsReport) -> bool {
    report
        .servers
        .iter()
        .all(|server| server.up == Some(false) && server.last_error.as_deref() == Some("auth"))
}

/// Waits until every server refuses the exporter's login.
async fn refused(exporter: &Exporter) {
    let probe = || async {
        let report = exporter.pairs().await;
        if all_refuse_the_login(&report) {
            Ok(())
        } else {
            Err(format!("{:?}", report.servers))
        }
    };
    redis_cross_dc_exporter::lab::eventually("the login to be refused", PATIENCE, probe)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_a_distinct_error() {
    let [master, replica] = servers().await;
    let yaml = config(&[(PAIR, master.addr(), replica.addr())], "", None);
    let exporter = Exporter::start(&format!("redis: {{password: not-{OLD}}}\n{yaml}")).await;
    let sampler = Sampler::start(exporter.url());
    refused(&exporter).await;
    let lost = |s: &Sample| {
        s.pair.state == PairState::Unknown && s.pair.reason.contains("refused the login")
    };
    sampler
        .wait_for(PAIR, "both failures to be counted", PATIENCE, lost)
        .await;
    let from = clock::now();
    sampler.recorded(from, Duration::from_secs(3)).await;
    let series = sampler.finish().await.series(PAIR).after(from);
    series.all("no lag", |s| lost(s) && s.pair.lag_seconds.is_none());
    println!("wrong password: {}", series.0[0].pair.reason);
    assert!(
        !exporter.log().contains(OLD),
        "the log shows the password:\n{}",
        exporter.log()
    );
}

#[tokio::test]
async fn a_rotated_password_needs_no_restart() {
    let [master, replica] = servers().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{OLD}\n")).unwrap();
    let yaml = config(&[(PAIR, master.addr(), replica.addr())], "", None);
    let exporter = Exporter::start(&format!(
        "redis: {{password_file: '{}'}}\n{yaml}",
        file.display()
    ))
    .await;
    let sampler = Sampler::start(exporter.url());
    sampler
        .wait_for(PAIR, "the pair to be healthy", PATIENCE, Sample::is_healthy)
        .await;

    let rotated = clock::now();
    for server in [&replica, &master] {
        let mut connection = server.connect().await.unwrap();
        // One at a time: Redis 6 sets no more.
        for setting in ["masterauth", "requirepass"] {
            connection
                .command(&["CONFIG", "SET", setting, NEW])
                .await
                .unwrap();
        }
        connection
            .command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await
            .unwrap();
    }
    assert!(
        Connection::open(master.addr(), Some(&Secret::new(OLD)))
            .await
            .is_err(),
        "the old password still works"
    );
    refused(&exporter).await;
    std::fs::write(&file, format!("{NEW}\n")).unwrap();
    let written = clock::now();
    sampler
        .wait_for(
            PAIR,
            "the pair to be healthy with the new password",
            PATIENCE,
            Sample::is_healthy,
        )
        .await;
    println!(
        "rotated password: healthy {:.2} s after the file was written",
        (clock::now() - written).as_secs_f64()
    );
    let series = sampler.finish().await.series(PAIR);
    series.print("rotated password", rotated);
    for word in [OLD, NEW] {
        assert!(
            !exporter.log().contains(word),
            "the log shows a password:\n{}",
            exporter.log()
        );
    }
}
