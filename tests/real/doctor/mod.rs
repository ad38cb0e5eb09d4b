//! `doctor` on real servers: a reference pair on which nothing is found, one fault at a time beside
//! it, the rights that it needs, and the traps themselves, walked into.

mod faults;
mod rights;
mod sentinels;
mod traps;

use std::collections::BTreeSet;

use redis_cross_dc_exporter::doctor::{DoctorReport, Finding, FindingSeverity};
use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder};
use redis_cross_dc_exporter::model::{DoctorCheck, ServerAddr};

use crate::command::{Outcome, configuration, folder_with, run};
use crate::stage::{LIMIT, entry};

/// What a server has on which doctor finds nothing but advice.
const REFERENCE: [&str; 2] = ["save 3600 1", "repl-backlog-ttl 0"];

/// A server as the reference pair has it.
pub(crate) fn reference() -> RedisServerBuilder {
    let builder = RedisServer::builder();
    REFERENCE.iter().fold(builder, |b, line| b.config(line))
}

/// A master and a replica that is in sync.
pub(crate) struct Pair {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
}

impl Pair {
    pub(crate) async fn start(master: RedisServerBuilder, replica: RedisServerBuilder) -> Self {
        let master = master.start().await.unwrap();
        let replica = replica.replicaof(master.addr()).start().await.unwrap();
        replica.wait_until_in_sync(LIMIT).await.unwrap();
        Self { master, replica }
    }

    pub(crate) fn entry(&self) -> String {
        entry(
            "orders",
            ("dc1", self.master.addr()),
            ("dc2", self.replica.addr()),
        )
    }

    pub(crate) fn configuration(&self) -> String {
        configuration(&[self.entry()])
    }

    /// What doctor reports of the pair.
    pub(crate) async fn report(&self) -> DoctorReport {
        report(&self.configuration()).await
    }
}

/// Runs doctor in a folder with `yaml` as its configuration.
pub(crate) async fn doctor(yaml: &str, more: &[&str]) -> Outcome {
    let folder = folder_with(yaml);
    let args = ["doctor", "--config.file", "config.yml", "--measure", "1s"];
    run(folder.path(), &[&args, more].concat()).await
}

/// What doctor reports, and that its exit code says the same.
pub(crate) async fn report(yaml: &str) -> DoctorReport {
    let outcome = doctor(yaml, &["--output", "json"]).await;
    let report: DoctorReport = match serde_json::from_str(&outcome.stdout) {
        Ok(report) => report,
        Err(error) => panic!("{error}: {outcome:#?}"),
    };
    let summary = report.summary;
    let expected = match (summary.critical, summary.warning, summary.not_checked) {
        (0, 0, 0) => 0,
        (0, 0, _) => 1,
        (0, _, _) => 10,
        _ => 20,
    };
    outcome.ended_with(expected);
    report
}

/// The findings of a report that are critical or warnings.
pub(crate) fn serious(report: &DoctorReport) -> Vec<&Finding> {
    let findings = report.pairs.iter().flat_map(|pair| &pair.findings);
    findings
        .filter(|finding| finding.severity > FindingSeverity::Advice)
        .collect()
}

/// The checks without a result.
pub(crate) fn open_checks(report: &DoctorReport) -> BTreeSet<DoctorCheck> {
    let gaps = report.pairs.iter().flat_map(|pair| &pair.not_checked);
    gaps.flat_map(|gap| gap.checks.iter().copied()).collect()
}

/// Checks that there is exactly this serious finding.
pub(crate) fn expect_one(
    report: &DoctorReport,
    check: DoctorCheck,
    severity: FindingSeverity,
    server: &ServerAddr,
) {
    let found: Vec<_> = serious(report)
        .iter()
        .map(|finding| (finding.check, finding.severity, finding.server.clone()))
        .collect();
    assert_eq!(
        found,
        [(check, severity, server.to_string())],
        "{report:#?}"
    );
}

#[tokio::test]
async fn doctor_finds_nothing_on_a_reference_pair() {
    let pair = Pair::start(reference(), reference()).await;
    let report = pair.report().await;
    assert_eq!(serious(&report), Vec::<&Finding>::new());
    assert_eq!(open_checks(&report), BTreeSet::new());
    assert_eq!(report.pairs.len(), 1);
    assert!(report.pairs[0].write_rate.is_some(), "{report:#?}");
    let table = doctor(&pair.configuration(), &[]).await.ended_with(0);
    assert!(
        table.stdout.starts_with("nothing critical, no warning, "),
        "{table:?}"
    );
    let is_wide = |line: &&str| line.chars().count() > 100;
    assert_eq!(table.stdout.lines().find(is_wide), None);
    assert_eq!(table.stderr, "", "no progress where nobody watches");
}

#[tokio::test]
async fn doctor_refuses_what_it_does_not_understand() {
    let nobody = crate::command::nobody();
    let yaml = configuration(&[entry("orders", ("dc1", &nobody), ("dc2", &nobody))]);
    for args in [
        ["--survive", "soon"],
        ["--survive", "40d"],
        ["--output", "xml"],
    ] {
        doctor(&yaml.replace(&nobody.to_string(), "127.0.0.1:1"), &args)
            .await
            .ended_with(64);
    }
    let pair = Pair::start(reference(), reference()).await;
    let unknown = doctor(&pair.configuration(), &["--pair", "carts"]).await;
    let unknown = unknown.ended_with(64);
    assert!(
        unknown.stderr.contains("no pair called \"carts\""),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_checked_and_not_clean() {
    let mut pair = Pair::start(reference(), reference()).await;
    pair.replica.kill();
    let report = pair.report().await;
    assert_eq!(serious(&report), Vec::<&Finding>::new());
    let gap = &report.pairs[0].not_checked;
    let gap = gap
        .iter()
        .find(|gap| gap.server == pair.replica.addr().to_string());
    let gap = gap.expect("the replica is not checked");
    assert!(gap.why.contains("refused the connection"), "{gap:?}");
    assert!(gap.checks.len() > 20, "{gap:?}");
}
