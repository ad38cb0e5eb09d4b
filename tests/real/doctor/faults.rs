//! One fault at a time beside the reference pair: exactly that finding.

use redis_cross_dc_exporter::doctor::Finding;
use redis_cross_dc_exporter::doctor::FindingSeverity::{self, Critical, Warning};
use redis_cross_dc_exporter::lab::{RedisServerBuilder, SteadyWriter, WriteLoad};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{Pair, doctor, expect_one, open_checks, reference, serious};
use crate::planted;

/// The side on which the fault is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Master,
    Replica,
}

/// A line of redis.conf on one side, and what is found there.
async fn one_line(line: &str, on: Side, check: DoctorCheck, severity: FindingSeverity) {
    let with = |side, builder: RedisServerBuilder| {
        if side == on {
            builder.config(line)
        } else {
            builder
        }
    };
    let pair = Pair::start(
        with(Side::Master, reference()),
        with(Side::Replica, reference()),
    )
    .await;
    let report = pair.report().await;
    let server = match on {
        Side::Master => pair.master.addr(),
        Side::Replica => pair.replica.addr(),
    };
    expect_one(&report, check, severity, server);
    let finding = serious(&report)[0];
    assert!(!finding.consequence.is_empty() && !finding.source.is_empty());
    // What it says to do takes the finding away.
    if finding.fix.commands.is_empty() {
        assert!(!finding.fix.lines.is_empty(), "{finding:#?}");
        return;
    }
    repair(&pair, finding).await;
    let repaired = pair.report().await;
    assert_eq!(serious(&repaired), Vec::<&Finding>::new(), "{finding:#?}");
}

/// Runs the commands of a finding on the server that they are for.
async fn repair(pair: &Pair, finding: &Finding) {
    let server = if finding.fix.server == pair.master.addr().to_string() {
        &pair.master
    } else {
        &pair.replica
    };
    for command in &finding.fix.commands {
        let words: Vec<&str> = command.split(' ').collect();
        server.command(&words).await.unwrap();
    }
}

#[tokio::test]
async fn a_line_that_harms_is_found_alone_and_its_repair_works() {
    let cases = [
        (
            "min-replicas-to-write 1",
            Side::Replica,
            DoctorCheck::A1,
            Critical,
        ),
        ("maxmemory 1mb", Side::Replica, DoctorCheck::A2, Critical),
        ("maxmemory 500mb", Side::Replica, DoctorCheck::A2, Warning),
        (
            "maxmemory-policy allkeys-lru",
            Side::Replica,
            DoctorCheck::A2,
            Warning,
        ),
        ("databases 4", Side::Replica, DoctorCheck::A3, Warning),
        (
            "replica-read-only no",
            Side::Replica,
            DoctorCheck::A11,
            Critical,
        ),
        (
            "repl-backlog-ttl 3600",
            Side::Master,
            DoctorCheck::B2,
            Warning,
        ),
        ("repl-timeout 30", Side::Replica, DoctorCheck::B4, Warning),
        ("repl-timeout 600", Side::Master, DoctorCheck::B4, Warning),
        ("save \"\"", Side::Master, DoctorCheck::C1, Critical),
        ("save \"\"", Side::Replica, DoctorCheck::C2, Warning),
        ("tcp-keepalive 0", Side::Master, DoctorCheck::D5, Warning),
    ];
    for (line, side, check, severity) in cases {
        one_line(line, side, check, severity).await;
    }
}

#[tokio::test]
async fn lines_that_are_only_advice_are_no_warning() {
    for line in [
        "repl-disable-tcp-nodelay yes",
        "repl-diskless-sync no",
        "appendonly yes",
    ] {
        let pair = Pair::start(reference().config(line), reference()).await;
        let report = pair.report().await;
        assert_eq!(serious(&report), Vec::<&Finding>::new(), "{line}");
        let findings = &report.pairs[0].findings;
        let master = pair.master.addr().to_string();
        let others = findings
            .iter()
            .filter(|finding| finding.check != DoctorCheck::D1);
        let others: Vec<_> = others.collect();
        assert!(!others.is_empty(), "{line}: {report:#?}");
        assert!(
            others.iter().all(|f| f.server == master),
            "{line}: {others:#?}"
        );
    }
}

#[tokio::test]
async fn a_master_without_masterauth_in_front_of_a_password_is_found() {
    let pair = Pair::start(reference(), reference()).await;
    for server in [&pair.replica, &pair.master] {
        let mut connection = server.connect().await.unwrap();
        let words = ["CONFIG", "SET", "requirepass", planted::REDIS];
        connection.command(&words).await.unwrap();
    }
    let yaml = format!(
        "redis: {{password: {}}}\n{}",
        planted::REDIS,
        pair.configuration()
    );
    let outcome = doctor(&yaml, &["--output", "json"]).await;
    assert!(!outcome.stdout.contains(planted::REDIS), "{outcome:?}");
    let report = serde_json::from_str(&outcome.stdout).unwrap();
    let found: Vec<_> = serious(&report)
        .iter()
        .map(|f| (f.check, f.severity))
        .collect();
    assert_eq!(found, [(DoctorCheck::A5, Critical)], "{report:#?}");
    assert!(open_checks(&report).is_empty());
}

#[tokio::test]
async fn users_that_only_the_master_has_are_named_without_their_hashes() {
    let password = format!("user app on >{} ~* +@all", planted::REDIS);
    let pair = Pair::start(reference().config(&password), reference()).await;
    let outcome = doctor(&pair.configuration(), &["--output", "json"]).await;
    let outcome = outcome.ended_with(10);
    let report = serde_json::from_str(&outcome.stdout).unwrap();
    expect_one(&report, DoctorCheck::A6, Warning, pair.replica.addr());
    assert!(serious(&report)[0].what.contains("it lacks app"));
    assert!(!outcome.stdout.contains('#'), "no hash: {outcome:?}");
}

#[tokio::test]
async fn a_backlog_that_is_too_small_for_the_writes_is_found_on_both_sides() {
    let small = || reference().config("repl-backlog-size 16kb");
    let pair = Pair::start(small(), small()).await;
    let load = WriteLoad {
        per_second: 200,
        value_bytes: 1000,
    };
    let _writer = SteadyWriter::start(pair.master.addr(), None, load);
    let report = pair.report().await;
    let found: Vec<_> = serious(&report)
        .iter()
        .map(|f| (f.check, f.severity))
        .collect();
    assert_eq!(
        found,
        [(DoctorCheck::B1, Critical), (DoctorCheck::B1, Critical)],
        "{report:#?}"
    );
    let finding = serious(&report)[0];
    assert!(
        finding
            .evidence
            .need
            .contains("less than an hour of history"),
        "{finding:#?}"
    );
    let rate = report.pairs[0].write_rate.as_ref().unwrap();
    assert!(rate.bytes_per_second > 10_000.0, "{rate:?}");
}

#[tokio::test]
async fn an_exception_takes_a_finding_out_of_the_count_until_its_last_day() {
    let pair = Pair::start(reference(), reference().config("min-replicas-to-write 1")).await;
    let with = |until: &str| {
        let exception = format!("check: A1, pair: ord*, reason: a fence, until: {until}");
        format!(
            "{}doctor: {{ignore: [{{{exception}}}]}}\n",
            pair.configuration()
        )
    };
    let report = super::report(&with("2999-12-31")).await;
    assert_eq!(serious(&report), Vec::<&Finding>::new());
    assert_eq!(report.summary.ignored, 1);
    assert_eq!(report.pairs[0].ignored[0].reason, "a fence");
    let report = super::report(&with("2020-01-01")).await;
    expect_one(&report, DoctorCheck::A1, Critical, pair.replica.addr());
    let ended = serious(&report)[0].exception_ended.clone().unwrap();
    assert_eq!(ended, "it was accepted until 2020-01-01: a fence");
}

#[tokio::test]
async fn after_a_failover_the_servers_say_who_is_master() {
    let pair = Pair::start(reference().config("min-replicas-to-write 1"), reference()).await;
    let host = "127.0.0.1";
    let port = pair.replica.addr().port().unwrap().to_string();
    pair.replica
        .command(&["REPLICAOF", "NO", "ONE"])
        .await
        .unwrap();
    pair.master
        .command(&["REPLICAOF", host, &port])
        .await
        .unwrap();
    pair.master
        .wait_until_in_sync(crate::stage::LIMIT)
        .await
        .unwrap();
    let report = pair.report().await;
    assert_eq!(
        report.pairs[0].master.server,
        pair.replica.addr().to_string()
    );
    expect_one(&report, DoctorCheck::A1, Critical, pair.master.addr());
}
