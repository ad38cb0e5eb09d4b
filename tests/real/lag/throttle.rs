//! A link that is too slow for the writes, against the measured truth.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::WriteLoad;
use redis_cross_dc_exporter::model::{Span, Timestamp};
use redis_cross_dc_exporter::replication::PairState;

use super::sampler::{Sample, Series};
use super::stage::{PAIR, Plan, Stage};
use super::truth::Truth;

/// 200 KB/s of writes over a link for 50 KB/s.
const LOAD: WriteLoad = WriteLoad {
    per_second: 1000,
    value_bytes: 150,
};
const TOO_SLOW: u64 = 50_000;
/// Drains what has gathered in some seconds.
const FASTER: u64 = 600_000;

#[tokio::test]
async fn a_throttled_link_against_the_truth() {
    let stage = Stage::start(Plan {
        load: Some(LOAD),
        alerts: "lag_seconds: {warning: null, critical: null}".to_owned(),
        ..Plan::default()
    })
    .await;
    let truth = Truth::start(&stage.master, &stage.replica).await;
    let from = clock::now();
    stage.sampler.recorded(from, Duration::from_secs(3)).await;
    let throttled = clock::now();
    stage.wan.set_rate(Some(TOO_SLOW));
    stage
        .sampler
        .recorded(throttled, Duration::from_secs(10))
        .await;
    let faster = clock::now();
    stage.wan.set_rate(Some(FASTER));
    stage.healthy("the link to drain").await;
    let drained = clock::now();
    stage.wan.set_rate(None);
    stage
        .sampler
        .recorded(drained, Duration::from_secs(3))
        .await;
    let Stage { sampler, .. } = stage;
    let series = sampler.finish().await.series(PAIR).after(from);
    series.print("throttled", throttled);

    let slow = series.after(throttled).before(faster);
    let bytes = |s: &Sample| s.pair.lag_bytes.unwrap_or(0);
    let most = slow.0.iter().map(bytes).max().unwrap();
    println!(
        "throttled: peak {:.2} s and {most} bytes, drained {:.2} s after",
        slow.max_lag().unwrap(),
        (drained - faster).as_secs_f64()
    );
    assert!(slow.max_lag().unwrap() > 4.0 && most > 500_000);
    series.all("a lag is shown", |s| {
        s.pair.lag_seconds.is_some() && s.pair.lag_bytes.is_some()
    });
    series.all("it streams", |s| s.pair.state == PairState::Streaming);
    compare(&series, &truth, throttled);
}

/// Every sample's certified interval holds the truth, as far as the probe can measure it.
fn compare(series: &Series, truth: &Truth, origin: Timestamp) {
    let (mut errors, mut widths, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for sample in &series.0 {
        let Some((low, high)) = truth.lag(sample.asked, sample.answered) else {
            continue;
        };
        let pair = &sample.pair;
        let estimate = pair.lag_seconds.unwrap();
        errors.push((low - estimate).max(estimate - high).max(0.0));
        widths.push(high - low);
        // The lower bound was certain when the replica was asked, within the milliseconds before it
        // answered.
        let seen = |at: Timestamp| at + Span::from_secs_f64(-sample.age.unwrap());
        let Some((_, then)) = truth.lag(
            seen(sample.asked) + Span::from_millis(-20),
            seen(sample.answered),
        ) else {
            continue;
        };
        let (lower, upper) = (
            pair.lag_lower_seconds.unwrap_or(0.0),
            pair.lag_upper_seconds.unwrap_or(f64::MAX),
        );
        if upper < low || lower > then {
            wrong.push(format!("{:+.2} s: truth [{low:.3}, {high:.3}], {then:.3} when asked, shown [{lower:.3}, {estimate:.3}, {upper:.3}]", sample.since(origin)));
        }
    }
    errors.sort_by(f64::total_cmp);
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let p99 = errors[errors.len() * 99 / 100];
    println!(
        "truth: {} samples, grain {:.3} s; error beyond the grain: mean {:.4} s, p99 {p99:.3} s, max {:.3} s; outside the interval: {}",
        errors.len(),
        mean(&widths),
        mean(&errors),
        errors[errors.len() - 1],
        wrong.len()
    );
    assert!(
        errors.len() > 100,
        "only {} samples were compared",
        errors.len()
    );
    assert!(
        wrong.is_empty(),
        "the truth was outside the interval in {} samples: {wrong:#?}",
        wrong.len()
    );
    assert!(
        mean(&errors) <= 0.1,
        "the mean error is {} s",
        mean(&errors)
    );
    assert!(
        series.0[0].asked - origin < Span::ZERO,
        "nothing was compared before the link was throttled"
    );
}
