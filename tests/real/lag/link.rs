//! The link between master and replica stalls or is cut, and heals.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::Direction;
use redis_cross_dc_exporter::model::{Span, Timestamp};
use redis_cross_dc_exporter::replication::PairState;

use super::hooks::{LAG_HIGH, LINK_DOWN, times, told};
use super::sampler::{Series, seconds_from};
use super::stage::{LAG_RULE, PAIR, Plan, Stage};

/// From when after the break on the shown lag is compared with the truth, in seconds. How soon a
/// break is shown depends on what else the machine does; `make lab` measures it.
const SETTLED: f64 = 4.0;
/// How far the lag shown may be from the time since the break, in seconds.
const NEAR: f64 = 1.0;
/// No alert is near as long as the lag is below this, in seconds.
const HARMLESS: f64 = 2.5;

/// When the link broke and healed.
struct Outage {
    broken: Timestamp,
    healed: Timestamp,
}

/// What must hold of every broken link.
fn judge(
    what: &str,
    series: &Series,
    expected: PairState,
    outage: &Outage,
    hooks: (&[Timestamp], &[Timestamp]),
) {
    let Outage { broken, healed } = *outage;
    let (fired, resolved) = hooks;
    let during = series.after(broken).before(healed);
    let detected = during
        .first(broken, |s| s.pair.state == expected)
        .expect("the state was never shown");
    let delay = seconds_from(broken, fired[0]);
    let from = broken + Span::from_secs_f64(SETTLED.max(detected));
    let grown = during.after(from);
    let recovered = series
        .after(healed)
        .first(healed, super::sampler::Sample::is_healthy)
        .unwrap();
    let ended = seconds_from(healed, resolved[0]);
    let off = |s: &super::sampler::Sample| s.pair.lag_seconds.map(|lag| lag - s.since(broken));
    let worst = grown
        .0
        .iter()
        .filter_map(off)
        .map(f64::abs)
        .fold(0.0, f64::max);
    println!(
        "{what}: detected {detected:.2} s, webhook {delay:.2} s, slope {:.3}, off by at most {worst:.3} s, peak {:.2} s, \
         recovered {recovered:.2} s and resolved {ended:.2} s after the heal",
        grown.slope(),
        during.max_lag().unwrap()
    );
    // The warning looks at the estimate, which may be ahead of the truth by as much as it may be
    // off.
    assert!(
        delay >= 5.0 - NEAR,
        "the webhook came after {delay} s, before there were 5 s of lag"
    );
    assert!(
        (0.8..=1.2).contains(&grown.slope()),
        "the lag grew with the slope {}",
        grown.slope()
    );
    during.all("a lag is shown", |s| s.pair.lag_seconds.is_some());
    grown.all("the state stays", |s| s.pair.state == expected);
    grown.all("the lag is the time since the break", |s| {
        off(s).is_some_and(|off| off.abs() <= NEAR)
    });
    assert_eq!(fired.len(), 1, "one outage is one alert");
    assert!(
        resolved.iter().all(|at| *at > healed),
        "resolved before the heal"
    );
}

async fn stalled(what: &str, direction: Direction) {
    let stage = Stage::start(Plan {
        delay: Duration::from_millis(40),
        ..Plan::default()
    })
    .await;
    let broken = clock::now();
    stage.wan.stall(direction);
    told(&stage.receiver, LAG_HIGH, "firing").await;
    stage
        .sampler
        .recorded(broken, Duration::from_secs(12))
        .await;
    let healed = clock::now();
    stage.wan.heal().await.unwrap();
    finish(what, stage, PairState::Stalled, Outage { broken, healed }).await;
}

async fn finish(what: &str, stage: Stage, expected: PairState, outage: Outage) {
    stage.healthy("the lag to be gone").await;
    told(&stage.receiver, LAG_HIGH, "resolved").await;
    let Stage {
        sampler, receiver, ..
    } = stage;
    let series = sampler.finish().await.series(PAIR);
    series.print(what, outage.broken);
    let (fired, resolved) = (
        times(&receiver, LAG_HIGH, "firing"),
        times(&receiver, LAG_HIGH, "resolved"),
    );
    judge(what, &series, expected, &outage, (&fired, &resolved));
}

#[tokio::test]
async fn stalled_both_ways() {
    stalled("stalled both ways", Direction::Both).await;
}

#[tokio::test]
async fn stalled_towards_the_replica() {
    stalled("stalled towards the replica", Direction::ToReplica).await;
}

/// The stream flows on: only its acknowledgements are lost, and nothing is lacking.
#[tokio::test]
async fn stalled_towards_the_master_is_no_lag() {
    let stage = Stage::start(Plan {
        delay: Duration::from_millis(40),
        ..Plan::default()
    })
    .await;
    let broken = clock::now();
    stage.wan.stall(Direction::ToMaster);
    stage
        .sampler
        .recorded(broken, Duration::from_secs(10))
        .await;
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR).after(broken);
    println!(
        "stalled towards the master: lag max {:?} s",
        series.max_lag()
    );
    series.all("no lag worth an alert", |sample| {
        sample.pair.state == PairState::Streaming
            && sample.pair.lag_seconds.is_some_and(|lag| lag < HARMLESS)
    });
}

#[tokio::test]
async fn cut() {
    // The lag is reported first: the other way round, the link would explain it.
    let alerts = format!("{LAG_RULE}, link_down: {{warning: 8s, critical: null, for: 0s}}");
    let stage = Stage::start(Plan {
        delay: Duration::from_millis(40),
        alerts,
        ..Plan::default()
    })
    .await;
    let broken = clock::now();
    stage.wan.cut().await;
    told(&stage.receiver, LAG_HIGH, "firing").await;
    let down = told(&stage.receiver, LINK_DOWN, "firing").await;
    stage
        .sampler
        .recorded(broken, Duration::from_secs(12))
        .await;
    let healed = clock::now();
    stage.wan.heal().await.unwrap();
    let up = told(&stage.receiver, LINK_DOWN, "resolved").await;
    let down_after = seconds_from(broken, down);
    println!(
        "cut: link_down webhook {down_after:.2} s, resolved {:.2} s after the heal",
        seconds_from(healed, up)
    );
    assert!(
        down_after >= 7.0,
        "the webhook of the link came after {down_after} s, and the rule asks for 8 s"
    );
    assert!(up > healed, "the link was up again before it was");
    finish("cut", stage, PairState::LinkDown, Outage { broken, healed }).await;
}
