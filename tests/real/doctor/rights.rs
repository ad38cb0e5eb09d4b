//! The rights of doctor's user: those of docs/doctor.md are enough, and without one of them what
//! needs it is not checked.

use std::collections::BTreeSet;

use redis_cross_dc_exporter::doctor::FindingSeverity::Warning;
use redis_cross_dc_exporter::doctor::{DoctorReport, Finding};
use redis_cross_dc_exporter::lab::{RedisServer, Reply};
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{Pair, found, has_dryrun, open_checks, reference, report, serious};
use crate::planted;

/// The rules in docs/doctor.md.
pub(super) fn documented() -> &'static str {
    let text = include_str!("../../../docs/doctor.md");
    let (_, rest) = text
        .split_once("ACL SETUSER doctor on >PASSWORD ")
        .expect("the rules");
    rest.lines().next().expect("a line")
}

/// A user of failovers that has its rights.
const OPERATOR: &str =
    "operator on nopass -@all +info +client +replicaof +multi +exec +config +psync +replconf";

/// A reference pair on which the user `doctor` has `rules`, and what is reported with them.
async fn report_with(rules: &str) -> (Pair, DoctorReport) {
    let user = format!("doctor on >{} {rules}", planted::REDIS);
    let pair = Pair::start(reference().user(&user), reference().user(&user)).await;
    for server in [&pair.master, &pair.replica] {
        if has_dryrun(server).await {
            let words: Vec<&str> = OPERATOR.split(' ').collect();
            let set = [&["ACL", "SETUSER"], &words[..]].concat();
            server.command(&set).await.unwrap();
        }
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    let yaml = format!(
        "redis: {{username: doctor, password: {}}}\n{}",
        planted::REDIS,
        pair.configuration()
    );
    let report = report(&yaml).await;
    (pair, report)
}

/// How often something was denied to anybody.
pub(super) async fn denials(server: &RedisServer) -> usize {
    match server.command(&["ACL", "LOG"]).await.unwrap() {
        Reply::Array(entries) => entries.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_documented_rights_are_enough_for_everything() {
    let (pair, report) = report_with(documented()).await;
    assert_eq!(serious(&report), Vec::<&Finding>::new());
    assert_eq!(open_checks(&report), BTreeSet::new(), "{report:#?}");
    for server in [&pair.master, &pair.replica] {
        assert_eq!(denials(server).await, 0);
    }
}

#[tokio::test]
async fn without_a_right_what_needs_it_is_not_checked_and_says_why() {
    let cases: [(&str, &[DoctorCheck]); 5] = [
        ("+time", &[DoctorCheck::A14]),
        ("+command", &[DoctorCheck::A13]),
        (
            "+acl|list",
            &[DoctorCheck::A5, DoctorCheck::A6, DoctorCheck::F2],
        ),
        ("+acl|dryrun", &[DoctorCheck::F2]),
        (
            "+config|get",
            &[
                DoctorCheck::A1,
                DoctorCheck::A3,
                DoctorCheck::A5,
                DoctorCheck::A7,
                DoctorCheck::B2,
                DoctorCheck::B3,
                DoctorCheck::B4,
                DoctorCheck::B5,
                DoctorCheck::B6,
                DoctorCheck::C1,
                DoctorCheck::C2,
                DoctorCheck::C5,
                DoctorCheck::D1,
                DoctorCheck::D5,
            ],
        ),
    ];
    for (right, expected) in cases {
        let kept: Vec<&str> = documented()
            .split(' ')
            .filter(|word| *word != right)
            .collect();
        assert_eq!(kept.len() + 1, documented().split(' ').count(), "{right}");
        let (pair, report) = report_with(&kept.join(" ")).await;
        if right == "+acl|dryrun" && !has_dryrun(&pair.master).await {
            continue; // nothing asks for it
        }
        assert_eq!(
            open_checks(&report),
            expected.iter().copied().collect(),
            "{right}"
        );
        let gaps = report.pairs.iter().flat_map(|pair| &pair.not_checked);
        for gap in gaps {
            assert!(
                gap.why.ends_with(&format!("give the user {right}")),
                "{gap:?}"
            );
        }
        assert_eq!(serious(&report), Vec::<&Finding>::new(), "{right}");
    }
}

#[tokio::test]
async fn without_info_nothing_is_checked() {
    let (_pair, report) = report_with("-@all +client|setname").await;
    assert_eq!(serious(&report), Vec::<&Finding>::new());
    let gaps = &report.pairs[0].not_checked;
    assert_eq!(gaps.len(), 2, "one for each server: {gaps:#?}");
    assert!(
        gaps.iter().all(|gap| gap.why.contains("+info")),
        "{gaps:#?}"
    );
}

#[tokio::test]
async fn a_server_that_has_no_config_is_checked_by_info_alone() {
    let hidden = || reference().config("rename-command CONFIG \"\"");
    let pair = Pair::start(hidden(), hidden()).await;
    let report = pair.report().await;
    let both = [(DoctorCheck::A13, Warning), (DoctorCheck::A13, Warning)];
    assert_eq!(found(&report), both, "a failover needs CONFIG");
    let open = open_checks(&report);
    assert!(open.contains(&DoctorCheck::A1) && !open.contains(&DoctorCheck::A2));
    let gaps = &report.pairs[0].not_checked;
    assert!(
        gaps.iter().any(|gap| gap.why.contains("has it disabled")),
        "{gaps:#?}"
    );
}
