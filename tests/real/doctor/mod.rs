//! `doctor` on real servers: a reference pair on which nothing is found, one fault at a time beside
//! it, the rights that it needs, and the traps themselves, walked into.

mod choices;
mod clean;
mod exporter;
mod faults;
mod fleet;
mod machine;
mod others;
mod promotion;
mod proofs;
mod rights;
mod sentinels;
mod sites;
mod terminal;
mod traps;
mod versions;

use std::collections::BTreeSet;

use redis_cross_dc_exporter::doctor::{DoctorReport, Finding, FindingSeverity};
use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder};
use redis_cross_dc_exporter::model::{DoctorCheck, ServerAddr};

use crate::command::{Outcome, configuration, folder_with, no_exporter, run};
use crate::stage::{LIMIT, entry};

/// What a server has on which doctor finds nothing but advice.
const REFERENCE: [&str; 3] = [
    "save 3600 1",
    "repl-backlog-ttl 0",
    "repl-diskless-sync yes",
];

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
        self.entry_called("orders")
    }

    pub(crate) fn entry_called(&self, name: &str) -> String {
        entry(
            name,
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

/// Runs doctor in a folder with `yaml` as its configuration, where no exporter runs.
pub(crate) async fn doctor(yaml: &str, more: &[&str]) -> Outcome {
    let nobody = no_exporter();
    doctor_beside(&nobody, yaml, more).await
}

/// The same beside the exporter at `url`.
pub(crate) async fn doctor_beside(url: &str, yaml: &str, more: &[&str]) -> Outcome {
    let folder = folder_with(yaml);
    let args = ["doctor", "--config.file", "config.yml", "--measure", "1s"];
    let exporter = ["--exporter.url", url];
    run(folder.path(), &[&args, &exporter[..], more].concat()).await
}

/// What doctor reports, and that its exit code says the same.
pub(crate) async fn report(yaml: &str) -> DoctorReport {
    read(doctor(yaml, &["--output", "json"]).await)
}

/// The report that doctor printed, and that its exit code says the same.
pub(crate) fn read(outcome: Outcome) -> DoctorReport {
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

/// Whether the server has ACL DRYRUN: from 7.0 on.
pub(crate) async fn has_dryrun(server: &RedisServer) -> bool {
    let version = server.info_field("server", "redis_version").await.unwrap();
    version.is_some_and(|version| !version.starts_with('6'))
}

/// What a finding is, for a comparison.
pub(crate) fn found(report: &DoctorReport) -> Vec<(DoctorCheck, FindingSeverity)> {
    let mut found = Vec::new();
    for finding in serious(report) {
        found.push((finding.check, finding.severity));
    }
    found
}

/// Runs the commands of a finding on the server that they are for.
pub(crate) async fn repair(pair: &Pair, finding: &Finding) {
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
