//! Servers die, come back and freeze.

use std::time::Duration;

use redis_cross_dc_exporter::lab::Direction;
use redis_cross_dc_exporter::model::Span;
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::{clock, report::LastKnownReport};

use super::hooks::{LAG_HIGH, UNREACHABLE, times, told};
use super::sampler::{Sample, Series, seconds_from};
use super::stage::{PAIR, PATIENCE, Plan, Stage};

/// How long the loss of a server may take to be shown: two polls and their time.
const NOTICED: Span = Span::from_secs(3);

const ALERTS: &str = "lag_seconds: {warning: 3s, critical: null, for: 0s}, unreachable: {warning: 2s, critical: null, for: 0s}";

/// The datacenter of the master is cut off first, and then it is lost.
#[tokio::test]
async fn a_lost_master_is_never_no_lag() {
    let mut stage = Stage::start(Plan {
        alerts: ALERTS.to_owned(),
        ..Plan::default()
    })
    .await;
    stage.wan.stall(Direction::Both);
    told(&stage.receiver, LAG_HIGH, "firing").await;
    // The message may arrive before the snapshot that shows its alert is published.
    let notified = clock::now();
    stage
        .sampler
        .recorded(notified, Duration::from_millis(500))
        .await;
    let killed = clock::anchor();
    stage.master.kill();
    let at = killed.mono;
    let unreachable = told(&stage.receiver, UNREACHABLE, "firing").await;
    stage.sampler.recorded(at, Duration::from_secs(10)).await;
    assert!(
        times(&stage.receiver, LAG_HIGH, "resolved").is_empty(),
        "the loss of the master ended the alert"
    );
    let lost_until = clock::now();
    stage.wan.heal().await.unwrap();
    stage.master.restart().await.unwrap();
    stage
        .healthy("the pair to be healthy with the empty master")
        .await;
    told(&stage.receiver, LAG_HIGH, "resolved").await;
    told(&stage.receiver, UNREACHABLE, "resolved").await;
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR);
    series.print("master lost", at);

    let gone = series.after(at).before(lost_until);
    gone.all("the lag is not below what it was", |s| {
        s.pair.lag_seconds.is_none_or(|lag| lag > 2.5)
    });
    gone.all("the alert fires on", |s| s.has_alert(LAG_HIGH));
    let unknown_after = gone
        .first(at, |s| s.pair.state == PairState::MasterUnreachable)
        .unwrap();
    let told_after = seconds_from(at, unreachable);
    println!(
        "master lost: shown after {unknown_after:.2} s, webhook of the server after {told_after:.2} s"
    );
    assert!(
        told_after >= 1.5,
        "the webhook of the server came too early, after {told_after} s"
    );
    let settled = gone.after(at + NOTICED);
    settled.all("no lag of a lost master", |s| {
        s.pair.state == PairState::MasterUnreachable
            && s.pair.lag_seconds.is_none()
            && s.pair.lag_upper_seconds.is_none()
    });
    settled.all("what was certain stays", |s| {
        s.pair.lag_lower_seconds.is_some_and(|lower| lower > 1.5)
    });
    last_known_stays(&settled, killed.wall.as_secs_f64());
    no_counter_falls(&series);
    assert!(series.states().contains(&PairState::MasterUnreachable));
}

/// The last certified statement is from before the loss, and the same ever after.
fn last_known_stays(settled: &Series, lost_at: f64) {
    let known = |s: &Sample| -> Option<LastKnownReport> { s.pair.last_known };
    let first = known(&settled.0[0]).expect("nothing was ever known");
    println!("master lost: last known {first:?}, lost at {lost_at}");
    let near = |a: f64, b: f64| (a - b).abs() < 0.001;
    settled.all("the last statement stays", |s| {
        known(s).is_some_and(|last| {
            near(last.timestamp, first.timestamp)
                && near(last.lag_upper_seconds, first.lag_upper_seconds)
        })
    });
    assert!(
        first.timestamp <= lost_at + 0.05,
        "a statement of {} after the loss at {lost_at}",
        first.timestamp
    );
    assert!(
        first.lag_upper_seconds > 2.5,
        "the statement forgot the outage before: {first:?}"
    );
}

fn no_counter_falls(series: &Series) {
    let totals: Vec<u64> = series
        .0
        .iter()
        .filter_map(|s| s.pair.applied_bytes_total)
        .collect();
    assert!(
        totals.windows(2).all(|two| two[0] <= two[1]),
        "applied_bytes_total fell: {totals:?}"
    );
    let known = |s: &Sample| s.pair.applied_bytes_total.is_some();
    let from = series.0.iter().position(known).expect("no counter at all");
    assert!(
        series.0[from..].iter().all(known),
        "applied_bytes_total vanished"
    );
}

#[tokio::test]
async fn a_lost_replica_lags_from_then_on() {
    // The lag is reported first: the other way round, the silent server would explain it.
    let alerts = ALERTS.replace("warning: 2s", "warning: 5s");
    let mut stage = Stage::start(Plan {
        alerts,
        ..Plan::default()
    })
    .await;
    let killed = clock::now();
    stage.replica.kill();
    let lag_told = told(&stage.receiver, LAG_HIGH, "firing").await;
    told(&stage.receiver, UNREACHABLE, "firing").await;
    stage
        .sampler
        .recorded(killed, Duration::from_secs(10))
        .await;
    let back = clock::now();
    stage.replica.restart().await.unwrap();
    stage.healthy("the replica to be back").await;
    told(&stage.receiver, LAG_HIGH, "resolved").await;
    let Stage {
        sampler, receiver, ..
    } = stage;
    let series = sampler.finish().await.series(PAIR);
    series.print("replica lost", killed);
    series.all("no lag only on evidence", is_supported);

    let gone = series.after(killed).before(back);
    let shown_after = gone
        .first(killed, |s| s.pair.state == PairState::ReplicaUnreachable)
        .unwrap();
    println!(
        "replica lost: shown after {shown_after:.2} s, lag webhook after {:.2} s",
        seconds_from(killed, lag_told)
    );
    assert!(
        shown_after <= NOTICED.as_secs_f64(),
        "the loss was shown after {shown_after} s"
    );
    lags_since(&gone, killed);
    assert!(
        times(&receiver, LAG_HIGH, "resolved")
            .iter()
            .all(|at| *at > back)
    );
    no_counter_falls(&series);
}

#[tokio::test]
async fn a_frozen_replica_lags_from_then_on() {
    let mut stage = Stage::start(Plan {
        alerts: ALERTS.to_owned(),
        ..Plan::default()
    })
    .await;
    let stopped = clock::now();
    stage.replica.stop().unwrap();
    stage
        .sampler
        .recorded(stopped, Duration::from_secs(8))
        .await;
    let back = clock::now();
    stage.replica.cont().unwrap();
    stage.healthy("the replica to be back").await;
    let recovered = seconds_from(back, clock::now());
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR);
    series.print("replica frozen", stopped);
    series.all("no lag only on evidence", is_supported);
    let gone = series.after(stopped).before(back);
    let shown_after = gone
        .first(stopped, |s| s.pair.state == PairState::ReplicaUnreachable)
        .unwrap();
    let grown = gone.after(stopped + NOTICED);
    println!(
        "replica frozen: shown after {shown_after:.2} s, slope {:.3}, recovered {recovered:.2} s after",
        grown.slope()
    );
    assert!(
        shown_after <= 4.0,
        "the freeze was shown after {shown_after} s"
    );
    grown.all("the state", |s| {
        s.pair.state == PairState::ReplicaUnreachable
    });
    grown.all("it is an assumption", |s| s.pair.stale);
    assert!(
        (0.95..=1.05).contains(&grown.slope()),
        "the lag grew with the slope {}",
        grown.slope()
    );
    lags_since(&gone, stopped);
    no_counter_falls(&series);
}

/// Whether a lag that is shown as gone is known to be small: what a replica showed before it fell
/// silent says nothing.
pub(super) fn is_supported(s: &Sample) -> bool {
    let gone =
        s.pair.state == PairState::Streaming && s.pair.lag_seconds.is_some_and(|lag| lag <= 0.1);
    !gone || s.pair.lag_upper_seconds.is_some_and(|upper| upper <= 4.0)
}

/// Once the replica is known to be unreachable, its lag is unknown, or near the time since it was
/// lost.
fn lags_since(gone: &Series, lost: redis_cross_dc_exporter::model::Timestamp) {
    let off = |s: &Sample| s.pair.lag_seconds.map(|lag| lag - s.since(lost));
    let noticed = Series(
        gone.0
            .iter()
            .filter(|s| s.pair.state == PairState::ReplicaUnreachable)
            .cloned()
            .collect(),
    );
    let worst = noticed
        .0
        .iter()
        .filter_map(off)
        .map(f64::abs)
        .fold(0.0, f64::max);
    println!("  {} samples, off by at most {worst:.3} s", noticed.0.len());
    noticed.all("the lag is the time since the loss, or unknown", |s| {
        off(s).is_none_or(|off| off.abs() <= 1.5)
    });
    noticed.all("never no lag", |s| {
        s.pair.lag_seconds.is_none_or(|lag| lag > 0.0)
    });
    gone.after(lost + NOTICED)
        .all("the truth is below the upper bound", |s| {
            s.pair
                .lag_upper_seconds
                .is_none_or(|upper| upper >= seconds_from(lost, s.asked) - 0.1)
        });
}

/// A master that comes back at once, empty and with another history, wipes its replica.
#[tokio::test]
async fn a_master_that_restarts_empty_is_recognized() {
    let mut stage = Stage::start(Plan {
        alerts: ALERTS.to_owned(),
        ..Plan::default()
    })
    .await;
    let before = stage
        .sampler
        .series(PAIR)
        .0
        .last()
        .unwrap()
        .pair
        .applied_bytes_total
        .unwrap();
    let restarted = clock::now();
    stage.master.restart().await.unwrap();
    let what = "the counter to go on in the new history";
    stage
        .sampler
        .wait_for(PAIR, what, PATIENCE, |s| {
            s.is_healthy()
                && s.since(restarted) > 3.0
                && s.pair.applied_bytes_total.is_some_and(|now| now > before)
        })
        .await;
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR);
    series.print("master restarted empty", restarted);
    no_counter_falls(&series);
}
