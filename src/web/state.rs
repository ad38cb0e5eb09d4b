//! What requests are answered from: the latest snapshot, and the doors to the poller and the core.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::pulse::CorePulse;
use super::renderer::RenderError;
use crate::admin::Admin;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;

/// Writes a fleet's metrics as of an instant, in Prometheus' text format 0.0.4.
pub type MetricsEncoder =
    Arc<dyn Fn(&FleetSnapshot, Timestamp) -> Result<Vec<u8>, RenderError> + Send + Sync>;

/// What a request waits for before it is answered.
pub type Awaiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Called and awaited before a request is answered. It must end within its own short limit.
pub type Awaited = Arc<dyn Fn() -> Awaiting + Send + Sync>;

/// What requests are answered from. Cheap to clone.
#[derive(Clone)]
pub struct WebState {
    /// The latest snapshot. The owner of the monitor publishes a new one soon after every change of
    /// a state or an alert, and otherwise once a second, or when `newest` asks.
    pub snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    /// The monotonic clock by which snapshots are taken. Every answer is as of the instant of its
    /// request.
    pub clock: fn() -> Timestamp,
    /// How metrics are written.
    pub encode_metrics: MetricsEncoder,
    /// Awaited before a scrape is answered, so that the poller can take fresh samples.
    pub refresh: Awaited,
    /// Awaited before a snapshot is read, so that there can be one of now.
    pub newest: Awaited,
    /// Whether the core's loop goes round.
    pub pulse: CorePulse,
    /// The door for commands. Only handlers behind write access use it.
    pub admin: Admin,
}

impl WebState {
    /// Like [`Self::current`], after waiting for a snapshot of now.
    pub(super) async fn newest(&self) -> (Arc<FleetSnapshot>, Timestamp) {
        (self.newest)().await;
        self.current()
    }

    /// The latest snapshot as seen now, and the present instant, which is never before the
    /// snapshot's.
    pub(super) fn current(&self) -> (Arc<FleetSnapshot>, Timestamp) {
        let fleet = Arc::clone(&self.snapshots.borrow());
        let now = (self.clock)().max(fleet.anchor.mono);
        (FleetSnapshot::seen_at(&fleet, now), now)
    }
}
