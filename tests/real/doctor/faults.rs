//! One fault at a time beside the reference pair: exactly that finding.

use redis_cross_dc_exporter::doctor::FindingSeverity::{self, Advice, Critical, Warning};
use redis_cross_dc_exporter::doctor::{EntryReport, Finding};
use redis_cross_dc_exporter::lab::{SteadyWriter, WriteLoad};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{Pair, doctor, expect_one, open_checks, reference, repair, serious};
use crate::command::configuration;
use crate::planted;

/// The side on which the fault is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Master,
    Replica,
}

/// One line of redis.conf beside the reference pair, and what is found of it.
pub(super) struct Fault {
    line: &'static str,
    on: Side,
    pub(super) check: DoctorCheck,
    severity: FindingSeverity,
}

const fn fault(
    line: &'static str,
    on: Side,
    check: DoctorCheck,
    severity: FindingSeverity,
) -> Fault {
    Fault {
        line,
        on,
        check,
        severity,
    }
}

pub(super) const FAULTS: [Fault; 15] = [
    fault(
        "min-replicas-to-write 1",
        Side::Replica,
        DoctorCheck::A1,
        Critical,
    ),
    fault("maxmemory 1mb", Side::Replica, DoctorCheck::A2, Critical),
    fault("maxmemory 500mb", Side::Replica, DoctorCheck::A2, Warning),
    fault(
        "maxmemory-policy allkeys-lru",
        Side::Replica,
        DoctorCheck::A2,
        Warning,
    ),
    fault("databases 4", Side::Replica, DoctorCheck::A3, Warning),
    fault(
        "replica-read-only no",
        Side::Replica,
        DoctorCheck::A11,
        Critical,
    ),
    fault(
        "repl-backlog-ttl 3600",
        Side::Master,
        DoctorCheck::B2,
        Warning,
    ),
    fault("repl-timeout 30", Side::Replica, DoctorCheck::B4, Warning),
    fault("repl-timeout 600", Side::Master, DoctorCheck::B4, Warning),
    fault(
        "repl-diskless-sync no",
        Side::Master,
        DoctorCheck::B5,
        Advice,
    ),
    fault(
        "repl-disable-tcp-nodelay yes",
        Side::Master,
        DoctorCheck::B6,
        Advice,
    ),
    fault("save \"\"", Side::Master, DoctorCheck::C1, Critical),
    fault("save \"\"", Side::Replica, DoctorCheck::C2, Warning),
    fault("appendonly yes", Side::Master, DoctorCheck::C3, Advice),
    fault("tcp-keepalive 0", Side::Master, DoctorCheck::D5, Warning),
];

impl Fault {
    /// A pair with this line.
    async fn start(&self) -> Pair {
        let with = |side: Side| {
            if side == self.on {
                reference().config(self.line)
            } else {
                reference()
            }
        };
        Pair::start(with(Side::Master), with(Side::Replica)).await
    }

    /// Whether `entry` has nothing but this fault. What is advice about every pair (D1, F1), or
    /// comes with the line (C4), does not count.
    fn expect_alone(&self, pair: &Pair, entry: &EntryReport) {
        let server = match self.on {
            Side::Master => pair.master.addr(),
            Side::Replica => pair.replica.addr(),
        };
        let other = [DoctorCheck::D1, DoctorCheck::C4, DoctorCheck::F1];
        let mut found = Vec::new();
        for finding in &entry.findings {
            if !other.contains(&finding.check) {
                assert!(!finding.consequence.is_empty() && !finding.source.is_empty());
                found.push((finding.check, finding.severity, finding.server.clone()));
            }
        }
        let expected = [(self.check, self.severity, server.to_string())];
        assert_eq!(found, expected, "{}: {entry:#?}", self.line);
    }
}

/// What is reported of each of `pairs`, in their order, by one run.
async fn reports(pairs: &[Pair]) -> Vec<EntryReport> {
    let name = |index: usize| format!("pair-{index}");
    let mut entries = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        entries.push(pair.entry_called(&name(index)));
    }
    let report = super::report(&configuration(&entries)).await;
    let mut ordered = Vec::new();
    for index in 0..pairs.len() {
        let mut entries = report.pairs.iter();
        let entry = entries.find(|entry| entry.pair == name(index));
        ordered.push(entry.expect("every pair is reported").clone());
    }
    ordered
}

#[tokio::test]
async fn a_line_that_harms_is_found_alone_and_its_repair_works() {
    let mut pairs = Vec::new();
    for fault in &FAULTS {
        pairs.push(fault.start().await);
    }
    let found = reports(&pairs).await;
    for ((fault, pair), entry) in FAULTS.iter().zip(&pairs).zip(&found) {
        fault.expect_alone(pair, entry);
        let finding = entry.findings.iter().find(|f| f.check == fault.check);
        repair(pair, finding.unwrap()).await;
    }
    // What each of them says to do takes the finding away, unless it is a line for the file.
    let repaired = reports(&pairs).await;
    for (index, entry) in repaired.iter().enumerate() {
        let fault = &FAULTS[index];
        let before = found[index]
            .findings
            .iter()
            .find(|f| f.check == fault.check);
        let is_left = entry.findings.iter().any(|f| f.check == fault.check);
        let commands = &before.unwrap().fix.commands;
        assert_eq!(is_left, commands.is_empty(), "{}: {entry:#?}", fault.line);
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
        report.pairs[0].master.as_ref().unwrap().server,
        pair.replica.addr().to_string()
    );
    expect_one(&report, DoctorCheck::A1, Critical, pair.master.addr());
}
