//! The story of the demo: healthy, stalled, healed, cut, healed. Each act is checked against the
//! exporter's answers.

use std::time::Duration;

use super::narrator::Narrator;
use super::stage::Stage;
use crate::lab::Direction;
use crate::replication::PairState;
use crate::report::{PairReport, bytes_text, lag_text};

/// How often the exporter is queried while an act waits for something.
const QUERY_EVERY: Duration = Duration::from_millis(250);

/// One in how many of its answers is printed meanwhile.
const PRINT_EVERY: u32 = 8;

/// Lag up to this is what a healthy line 40 ms away shows.
const HEALTHY_LAG: f64 = 0.2;

/// Plays all acts. The first expectation that is not met ends the story with an error.
pub(super) async fn play(narrator: &Narrator, stage: &Stage) -> Result<(), String> {
    healthy(narrator, stage).await?;
    stalled(narrator, stage).await?;
    cut(narrator, stage).await?;
    summary(narrator, stage).await
}

async fn healthy(narrator: &Narrator, stage: &Stage) -> Result<(), String> {
    narrator.act("act 1: all links are up and 100 writes a second go through");
    for (name, dc) in [("orders", "dc2"), ("orders", "dc3"), ("sessions", "dc1")] {
        until(
            narrator,
            stage,
            (name, dc),
            20,
            "streaming with next to no lag",
            is_healthy,
        )
        .await?;
    }
    Ok(())
}

async fn stalled(narrator: &Narrator, stage: &Stage) -> Result<(), String> {
    narrator.act("act 2: the line from dc1 to dc2 stalls: packets vanish, no connection breaks");
    narrator.see("(master_link_status stays up and the age of the last ACK is no lag: this is what others miss)");
    let pair = ("orders", "dc2");
    let before = stage.receiver.requests().len();
    stage.orders_to_dc2.stall(Direction::Both);
    until(narrator, stage, pair, 10, "stalled", |p| {
        p.state == PairState::Stalled
    })
    .await?;
    until(narrator, stage, pair, 20, "more than 11 s behind", |p| {
        p.lag_seconds.is_some_and(|lag| lag > 11.0)
    })
    .await?;
    wait_for_webhook(
        narrator,
        stage,
        before,
        "/slack",
        "[WARNING] orders dc1",
        "the alert reached Slack",
    )
    .await?;
    wait_for_webhook(
        narrator,
        stage,
        before,
        "/v2/enqueue",
        "trigger",
        "critical paged PagerDuty",
    )
    .await?;
    narrator.act("the line from dc1 to dc2 heals");
    let before = stage.receiver.requests().len();
    stage
        .orders_to_dc2
        .heal()
        .await
        .map_err(|error| error.to_string())?;
    until(narrator, stage, pair, 60, "caught up", is_healthy).await?;
    wait_for_webhook(
        narrator,
        stage,
        before,
        "/v2/enqueue",
        "resolve",
        "PagerDuty was told that it is over",
    )
    .await
}

async fn cut(narrator: &Narrator, stage: &Stage) -> Result<(), String> {
    narrator.act("act 3: the line from dc2 to dc1 is cut: every connection breaks");
    let pair = ("sessions", "dc1");
    let before = stage.receiver.requests().len();
    stage.sessions_to_dc1.cut().await;
    until(narrator, stage, pair, 10, "link_down", |p| {
        p.state == PairState::LinkDown
    })
    .await?;
    wait_for_webhook(
        narrator,
        stage,
        before,
        "/slack",
        "[WARNING] sessions dc2",
        "the alert reached Slack",
    )
    .await?;
    let before = stage.receiver.requests().len();
    narrator.act("the line from dc2 to dc1 is repaired");
    stage
        .sessions_to_dc1
        .heal()
        .await
        .map_err(|error| error.to_string())?;
    until(narrator, stage, pair, 60, "caught up", is_healthy).await?;
    let resolved = "\"status\":\"resolved\"";
    wait_for_webhook(
        narrator,
        stage,
        before,
        "/webhook",
        resolved,
        "the webhook was told that it is over",
    )
    .await
}

async fn summary(narrator: &Narrator, stage: &Stage) -> Result<(), String> {
    let report = stage.pairs().await?;
    let count = |path: &str| {
        stage
            .receiver
            .requests()
            .iter()
            .filter(|r| r.path.starts_with(path))
            .count()
    };
    let (slack, pagerduty, webhook) = (count("/slack"), count("/v2/enqueue"), count("/webhook"));
    narrator.act("the end: what the exporter says of every pair now");
    for pair in report.worst_first() {
        narrator.see(&line(pair));
    }
    narrator.holds(&format!(
        "told Slack {slack}, PagerDuty {pagerduty} and the webhook {webhook} times"
    ));
    Ok(())
}

fn is_healthy(pair: &PairReport) -> bool {
    pair.state == PairState::Streaming && pair.lag_seconds.is_some_and(|lag| lag <= HEALTHY_LAG)
}

/// Waits until `reached` is true of the pair, and prints what the exporter says meanwhile.
async fn until(
    narrator: &Narrator,
    stage: &Stage,
    (name, dc): (&str, &str),
    limit_secs: u64,
    what: &str,
    reached: impl Fn(&PairReport) -> bool,
) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(limit_secs);
    for look in 0_u32.. {
        let pair = stage.pair(name, dc).await?;
        if reached(&pair) {
            narrator.holds(&format!("{what}: {}", line(&pair)));
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(format!(
                "{name} to {dc} was not {what} within {limit_secs} s: {}",
                line(&pair)
            ));
        }
        if look % PRINT_EVERY == PRINT_EVERY - 1 {
            narrator.see(&line(&pair));
        }
        tokio::time::sleep(QUERY_EVERY).await;
    }
    Ok(())
}

/// Waits until a request after the first `told` ones reached `path` and says `text`.
async fn wait_for_webhook(
    narrator: &Narrator,
    stage: &Stage,
    told: usize,
    path: &str,
    text: &str,
    what: &str,
) -> Result<(), String> {
    let fits = |r: &crate::lab::Received| r.path.starts_with(path) && r.text().contains(text);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !stage.receiver.requests().iter().skip(told).any(fits) {
        if tokio::time::Instant::now() >= deadline {
            return Err(format!(
                "no request to {path} with {text} arrived within 30 s"
            ));
        }
        tokio::time::sleep(QUERY_EVERY).await;
    }
    narrator.holds(what);
    Ok(())
}

/// A pair in one line.
fn line(pair: &PairReport) -> String {
    let lag = lag_text(
        pair.lag_lower_seconds,
        pair.lag_seconds,
        pair.lag_upper_seconds,
    );
    let bytes = bytes_text(pair.lag_bytes);
    format!(
        "{} {} -> {}: {}, lag {lag}, {bytes}",
        pair.pair,
        pair.source_dc,
        pair.target_dc,
        pair.state.label()
    )
}
