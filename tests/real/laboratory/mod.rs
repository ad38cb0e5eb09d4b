//! The lag laboratory: how near the exporter's lag is to the truth, in every situation that
//! replication gets into.
//!
//! `make lab` runs it all and prints the table of docs/lag.md with a verdict on each number; a
//! short set runs with the other tests on real servers. The exporter is the real program and is
//! scraped ten times a second; the truth comes from numbered writes that are read on the replica
//! ([`truth`], [`witness`]).

#![allow(clippy::print_stdout)] // the figures are for people who measure

mod alarm;
mod cluster_scenarios;
mod instrument;
mod layout;
mod peer;
mod report;
mod run;
mod scenarios;
mod score;
mod scraper;
mod stage;
mod take;
pub(crate) mod truth;
pub(crate) mod witness;

use std::sync::Arc;

use peer::Peer;
use run::{Load, Orders};
use score::Score;
use stage::Method;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes long, and it wants the machine for itself: `make lab`"]
async fn everything() {
    let orders = Orders::from_environment();
    let peer = Peer::start().await.map(Arc::new);
    let load = Load::now();
    let outcomes = run::run(&orders, peer.clone()).await;
    let idle = load.and_then(|load| load.idle_since());
    let (of_clusters, of_pairs) = outcomes
        .into_iter()
        .partition(|outcome| outcome.scenario.is_of_a_cluster());
    let findings = report::Findings {
        of_pairs,
        of_clusters,
        phases: orders.phases,
        idle,
        has_peer: peer.is_some(),
    };
    findings.publish();
}

/// What holds of every take, however busy the machine is.
async fn check(name: &str, phase: f64) {
    let scenario = run::every_scenario()
        .find(|scenario| scenario.name == name)
        .expect("there is such a scenario");
    let take = run::take(
        scenario,
        Method {
            phase,
            length: 0.0,
            refresh: false,
            peer: None,
        },
    )
    .await;
    let Score {
        samples,
        overlapping,
        hooks,
        complaints,
        ..
    } = Score::of(&take);
    println!("{name}: {samples} samples, {hooks:?}");
    assert!(samples > 50, "only {samples} samples");
    assert_eq!(
        overlapping, samples,
        "the truth was outside the interval: {complaints:#?}"
    );
    assert_eq!((hooks.missed, hooks.false_alarms), (0, 0), "{hooks:?}");
    assert_eq!(hooks.crossings > 0, scenario.crosses, "{hooks:?}");
}

#[tokio::test]
async fn short_delay() {
    check("delay 300 ms", 0.0).await;
}

#[tokio::test]
async fn short_stall() {
    check("one-way stall", 0.7).await;
}

#[tokio::test]
async fn short_throttle() {
    check("throttle with drain", 0.2).await;
}

#[tokio::test]
async fn short_stop() {
    check("replica stopped", 0.5).await;
}

#[tokio::test]
async fn short_transaction() {
    check("big MULTI", 0.4).await;
}

#[tokio::test]
async fn short_cluster_failover() {
    check("cluster: failover under load", 0.3).await;
}
