//! The reference pair, on which nothing is found, and what doctor does not understand.

use std::collections::BTreeSet;

use redis_cross_dc_exporter::doctor::Finding;
use redis_cross_dc_exporter::model::DoctorCheck;

use super::{Pair, doctor, open_checks, reference, serious};
use crate::command::configuration;
use crate::stage::entry;

#[tokio::test]
async fn doctor_finds_nothing_on_a_reference_pair() {
    let pair = Pair::start(reference(), reference()).await;
    let report = pair.report().await;
    assert_eq!(serious(&report), Vec::<&Finding>::new());
    assert_eq!(open_checks(&report), BTreeSet::new());
    // No advice either but the choice of a fence and the drill that there never was.
    let advised: Vec<DoctorCheck> = report.pairs[0].findings.iter().map(|f| f.check).collect();
    assert_eq!(advised, [DoctorCheck::D1, DoctorCheck::F1], "{report:#?}");
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
