//! Doctor on a pair that Sentinels found.

use redis_cross_dc_exporter::doctor::{DoctorReport, FindingSeverity};
use redis_cross_dc_exporter::lab::{RedisServer, RedisServerBuilder};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{REFERENCE, report, serious};
use crate::sentinel::{DC1, DC2, wait_until_it_knows};
use crate::stage::LIMIT;

/// Places the servers of both datacenters of one machine.
const SECTIONS: &str = "\
datacenters:
  - {name: dc1, match: [127.0.0.1], local: true}
  - {name: dc2, match: [127.0.0.2]}
";

fn reference_at(host: &'static str) -> RedisServerBuilder {
    let builder = RedisServer::builder().host(host);
    REFERENCE.iter().fold(builder, |b, line| b.config(line))
}

/// What is reported of a pair that three Sentinels watch, two of them beside the master.
async fn watched(replica_line: &str, sentinel_line: &str) -> DoctorReport {
    let master = reference_at(DC1).start().await.unwrap();
    let replica = reference_at(DC2)
        .replicaof(master.addr())
        .config(replica_line)
        .start()
        .await
        .unwrap();
    replica.wait_until_in_sync(LIMIT).await.unwrap();
    let mut sentinels = Vec::new();
    for host in [DC1, DC1, DC2] {
        let mut sentinel =
            RedisServer::builder()
                .host(host)
                .sentinel()
                .watches("mymaster", master.addr(), 2);
        if host == DC2 {
            sentinel = sentinel.config(sentinel_line);
        }
        sentinels.push(sentinel.start().await.unwrap());
    }
    for sentinel in &sentinels {
        wait_until_it_knows(sentinel, "mymaster", 1, 2).await;
    }
    let addresses: Vec<_> = sentinels
        .iter()
        .map(|s| format!("'{}'", s.addr()))
        .collect();
    let addresses = addresses.join(", ");
    let yaml = format!(
        "{SECTIONS}sentinels: [{{name: sessions, master_name: mymaster, addresses: [{addresses}]}}]\n"
    );
    report(&yaml).await
}

fn found(report: &DoctorReport) -> Vec<DoctorCheck> {
    serious(report)
        .iter()
        .map(|finding| finding.check)
        .collect()
}

#[tokio::test]
async fn a_pair_that_sentinels_found_is_audited_with_them() {
    let report = watched("replica-priority 200", "").await;
    assert_eq!(found(&report), [], "{report:#?}");
    assert_eq!(report.pairs[0].pair, "sessions");
    assert_eq!(report.summary.not_checked, 0, "{report:#?}");
}

#[tokio::test]
async fn what_sentinels_could_not_do_is_found() {
    let report = watched(
        "replica-priority 0",
        "sentinel down-after-milliseconds mymaster 90000",
    )
    .await;
    let found = found(&report);
    assert_eq!(
        found,
        [DoctorCheck::D2, DoctorCheck::E2, DoctorCheck::E3],
        "{report:#?}"
    );
    assert_eq!(serious(&report)[0].severity, FindingSeverity::Critical);
    let fixes = &serious(&report)[1].fix.commands;
    assert_eq!(
        fixes,
        &["SENTINEL SET mymaster down-after-milliseconds 30000"]
    );
}
