//! What is advice about every pair: the choice of a fence (D1), and the drill that there was or was
//! not (F1).

use redis_cross_dc_exporter::doctor::{DoctorReport, Finding, FindingSeverity};
use redis_cross_dc_exporter::model::DoctorCheck;
use serde_json::Value;

use super::{Pair, read, reference};
use crate::command::{no_exporter, run};
use crate::operation::Duo;

fn advice(report: &DoctorReport, check: DoctorCheck) -> Option<&Finding> {
    let findings = &report.pairs[0].findings;
    let found = findings.iter().find(|finding| finding.check == check)?;
    assert_eq!(found.severity, FindingSeverity::Advice, "{found:#?}");
    Some(found)
}

#[tokio::test]
async fn d1_the_choice_of_a_fence_and_its_price_are_said_either_way() {
    let pair = Pair::start(reference(), reference()).await;
    let report = pair.report().await;
    let open = advice(&report, DoctorCheck::D1).expect("the choice");
    assert!(open.what.contains("it goes on taking writes"), "{open:#?}");
    // The other choice is the command that it names.
    super::repair(&pair, open).await;
    let report = pair.report().await;
    let fenced = advice(&report, DoctorCheck::D1).expect("the choice");
    assert!(
        fenced.what.contains("it stops taking writes"),
        "{fenced:#?}"
    );
    assert_eq!(super::found(&report), [], "a choice is no warning");
}

/// What doctor reports beside the state of `duo`.
async fn report_of(duo: &Duo) -> DoctorReport {
    let nobody = no_exporter();
    let args = [
        "doctor",
        "--config.file",
        "config.yml",
        "--exporter.url",
        nobody.as_str(),
        "--measure",
        "1s",
        "--output",
        "json",
    ];
    read(run(duo.folder.path(), &args).await)
}

#[tokio::test]
async fn f1_a_recovery_that_was_practised_is_no_finding() {
    let duo = Duo::start().await;
    let before = report_of(&duo).await;
    let never = advice(&before, DoctorCheck::F1).expect("no drill");
    assert!(never.what.starts_with("no drill has passed"), "{never:#?}");
    // The commands of the fix, to their end.
    assert!(never.fix.note.contains("failover --drill"), "{never:#?}");
    let json = ["--drill", "--real", "--output", "json"];
    let plan = duo.failover(&json).await.ended_with(10);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let fingerprint = plan["plan"]["fingerprint"].as_str().unwrap();
    let drill = ["--drill", "--real", "--execute", "--plan", fingerprint];
    duo.failover(&drill).await.ended_with(0);
    let after = report_of(&duo).await;
    assert!(advice(&after, DoctorCheck::F1).is_none(), "{after:#?}");
}
