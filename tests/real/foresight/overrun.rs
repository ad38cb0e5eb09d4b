//! Output buffers that run over: when the master dropped the link, beside what was foreseen.

use std::time::Duration;

use redis_cross_dc_exporter::lab::Direction;
use tokio::time::Instant;

use super::lane::{Lane, since};

/// One disconnect because of an output buffer.
#[derive(Clone, Debug)]
pub(super) struct Overrun {
    /// How long before the disconnect it was first foreseen; `None` if it never was.
    pub(super) foreseen_before: Option<f64>,
    /// The predictions, each with what was really left: in seconds.
    pub(super) predictions: Vec<(f64, f64)>,
}

/// Stalls the link until the master drops the replica, heals it, and waits until all is well.
pub(super) async fn overrun(lane: &mut Lane) -> Overrun {
    lane.wan.stall(Direction::Both);
    let start = Instant::now();
    let mut foreseen: Vec<(f64, f64)> = Vec::new();
    let dropped = loop {
        let at = since(start);
        let buffer = lane.forecast().await.output_buffer;
        if lane.master_view().await.replicas == 0 {
            break at;
        }
        if let Some(left) = buffer.disconnect_seconds {
            foreseen.push((at, left));
        }
        assert!(at < 120.0, "the master never dropped the link: {buffer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    lane.wan.cut().await;
    lane.wan.heal().await.unwrap();
    lane.healthy().await;
    Overrun {
        foreseen_before: foreseen.first().map(|(at, _)| dropped - at),
        predictions: foreseen
            .iter()
            .map(|(at, left)| (*left, dropped - at))
            .collect(),
    }
}
