//! Cuts of the link: when a full resync became inevitable, beside what was foreseen.

use std::time::Duration;

use redis_cross_dc_exporter::lab::eventually;
use tokio::time::Instant;

use super::lane::{Lane, pause, since};
use crate::stage::LIMIT;

/// How a replica came back after a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CameBack {
    Partially,
    Fully,
}

/// One cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// How long the link could be cut, as foreseen just before: in seconds.
    pub(super) expected: Option<f64>,
    pub(super) worst: f64,
    /// How long it took until the backlog no longer held what the replica lacked; `None` where the
    /// link was healed before.
    pub(super) truth: Option<f64>,
    pub(super) came_back: CameBack,
}

impl Cut {
    /// Whether a full resync became inevitable before the worst estimate said so.
    pub(super) fn was_optimistic(&self) -> bool {
        match self.truth {
            Some(truth) => self.worst > truth,
            None => self.came_back == CameBack::Fully,
        }
    }
}

/// Cuts the link until a full resync is inevitable, heals it, and waits until all is well.
pub(super) async fn until_full(lane: &mut Lane) -> Cut {
    let (expected, worst) = foreseen(lane).await;
    let before = lane.syncs().await;
    let start = Instant::now();
    lane.wan.cut().await;
    let applied = lane.applied().await;
    let truth = loop {
        let view = lane.master_view().await;
        if view.first_byte > applied + 1 {
            break since(start);
        }
        assert!(since(start) < 120.0, "the backlog never ran over: {view:?}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    };
    let came_back = heal(lane, before).await;
    Cut {
        expected,
        worst,
        truth: Some(truth),
        came_back,
    }
}

/// Cuts the link for so long that the replica is back when this part of the worst estimate has
/// passed.
pub(super) async fn until_part(lane: &mut Lane, part: f64) -> Cut {
    let (expected, worst) = foreseen(lane).await;
    let before = lane.syncs().await;
    lane.wan.cut().await;
    // A replica tries again once a second.
    pause((worst * part - 1.1).max(0.1)).await;
    let came_back = heal(lane, before).await;
    Cut {
        expected,
        worst,
        truth: None,
        came_back,
    }
}

/// The expected and the worst estimate.
async fn foreseen(lane: &Lane) -> (Option<f64>, f64) {
    let headroom = || async {
        let headroom = lane.forecast().await.backlog_headroom;
        match headroom.worst_seconds {
            Some(worst) => Ok((headroom.expected_seconds, worst)),
            None => Err(format!("{headroom:?}")),
        }
    };
    let what = format!("a prediction for {}", lane.name);
    eventually(&what, LIMIT, headroom).await.unwrap()
}

/// Heals the link and waits until all is well.
async fn heal(lane: &Lane, before: (u64, u64)) -> CameBack {
    lane.wan.heal().await.unwrap();
    let resynced = || async {
        let (full, partial) = lane.syncs().await;
        match (full > before.0, partial > before.1) {
            (true, _) => Some(CameBack::Fully),
            (_, true) => Some(CameBack::Partially),
            _ => None,
        }
    };
    let came_back = eventually("the replica to be back", LIMIT, resynced);
    let came_back = came_back.await.unwrap();
    lane.healthy().await;
    came_back
}
