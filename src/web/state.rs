//! What requests are answered from.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use crate::alert::SilenceId;
use crate::model::Timestamp;
use crate::monitor::FleetSnapshot;
use crate::report::{
    ReloadError, ReloadReport, ReplayRefusal, ReplayReport, SilenceCommand, SilenceRefusal,
};

/// Writes a fleet's metrics as of an instant, in Prometheus' text format 0.0.4.
pub type MetricsEncoder = Arc<
    dyn Fn(&FleetSnapshot, Timestamp) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>
        + Send
        + Sync,
>;

/// The answer to a reload, once it is carried out.
pub type Reloading = Pin<Box<dyn Future<Output = Result<ReloadReport, ReloadError>> + Send>>;

/// Asks for a reload of the configuration.
pub type Reloader = Arc<dyn Fn() -> Reloading + Send + Sync>;

/// The answer to a request to send a dead letter again.
pub type Replaying = Pin<Box<dyn Future<Output = Result<ReplayReport, ReplayRefusal>> + Send>>;

/// Asks for a dead letter, by its id, to be sent again.
pub type Replayer = Arc<dyn Fn(String) -> Replaying + Send + Sync>;

/// What a scrape waits for before it is answered.
pub type Refreshing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Gives whoever polls the chance to poll before a scrape is answered. It must set its own, short
/// limit.
pub type Refresh = Arc<dyn Fn() -> Refreshing + Send + Sync>;

/// What comes of making or ending a silence: its name.
pub type Silencing = Pin<Box<dyn Future<Output = Result<SilenceId, SilenceRefusal>> + Send>>;

/// Makes or ends a silence.
pub type Silencer = Arc<dyn Fn(SilenceCommand) -> Silencing + Send + Sync>;

/// What requests are answered from. Cheap to clone.
#[derive(Clone)]
pub struct WebState {
    /// The last snapshot. Whoever runs the monitor sends a new one soon after every change.
    pub snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    /// The monotonic clock that the snapshots were taken by: every answer is about the instant of
    /// its request.
    pub clock: fn() -> Timestamp,
    /// How metrics are written.
    pub encode_metrics: MetricsEncoder,
    /// How the configuration is loaded anew. Called only for who may ask for it.
    pub reload: Reloader,
    /// How a dead letter is sent again. Called only for who may ask for it.
    pub replay: Replayer,
    /// Waited for before a scrape is answered.
    pub refresh: Refresh,
    /// How silences are made and ended. Called only for who may ask for it.
    pub silence: Silencer,
}

impl WebState {
    /// The last snapshot as it is seen now, and the present instant, which is never before the
    /// snapshot's.
    pub(super) fn current(&self) -> (Arc<FleetSnapshot>, Timestamp) {
        let fleet = Arc::clone(&self.snapshots.borrow());
        let now = (self.clock)().max(fleet.anchor.mono);
        (FleetSnapshot::seen_at(&fleet, now), now)
    }
}
