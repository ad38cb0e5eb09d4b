//! Drains: when a replica that was behind had everything, beside what was foreseen meanwhile.

use std::time::Duration;

use redis_cross_dc_exporter::lab::Direction;
use tokio::time::Instant;

use super::lane::{Lane, pause, since};

/// A replica that lacks no more than this has caught up: what is on its way on a healthy line. The
/// predictions count to the last byte, so more would end a drain seconds before they do.
const NEARLY_NOTHING: u64 = 40_000;

/// What was foreseen at one moment of a drain, beside what was left: in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchUp {
    /// The single time, where there was one.
    pub(super) expected: Option<f64>,
    pub(super) earliest: f64,
    /// `None`: it was not known.
    pub(super) latest: Option<f64>,
    pub(super) left: f64,
}

impl CatchUp {
    /// Whether the single time was within a quarter of the truth; `None` where there was none.
    pub(super) fn is_close(&self) -> Option<bool> {
        let expected = self.expected?;
        Some((expected - self.left).abs() <= self.left * 0.25)
    }

    /// Whether the truth was in the range.
    pub(super) fn is_in_range(&self) -> bool {
        let latest = self.latest.unwrap_or(f64::MAX);
        (self.earliest..=latest).contains(&self.left)
    }
}

/// Stalls the link for so many seconds, lets it drain at `rate` bytes a second, and returns what
/// was foreseen each half second, as long as more than `shortest` seconds were left.
pub(super) async fn drain(lane: &mut Lane, stall: f64, rate: u64, shortest: f64) -> Vec<CatchUp> {
    lane.wan.stall(Direction::Both);
    pause(stall).await;
    lane.wan.set_rate(Some(rate));
    lane.wan.heal().await.unwrap();
    let start = Instant::now();
    let mut foreseen = Vec::new();
    let ended = loop {
        let catch_up = lane.forecast().await.catch_up;
        if catch_up.earliest_seconds.is_some() {
            foreseen.push((since(start), catch_up));
        }
        let asked = Instant::now();
        let mut has_ended = false;
        while asked.elapsed() < Duration::from_millis(500) && !has_ended {
            let applied = lane.applied().await;
            let written = lane.master_view().await.offset;
            has_ended = written.saturating_sub(applied) <= NEARLY_NOTHING;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if has_ended {
            break since(start);
        }
        assert!(since(start) < 120.0, "the replica never caught up");
    };
    lane.wan.set_rate(None);
    lane.healthy().await;
    let mut compared = Vec::new();
    for (at, foreseen) in foreseen {
        let left = ended - at;
        if left >= shortest {
            compared.push(CatchUp {
                expected: foreseen.seconds,
                earliest: foreseen.earliest_seconds.unwrap_or_default(),
                latest: foreseen.latest_seconds,
                left,
            });
        }
    }
    compared
}
