//! The task of a dead man's switch: its URL is requested regularly while the exporter is healthy.
//! When the requests cease, the switch raises an alarm.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};

use super::liveness::Liveness;
use super::sender::{PeriodicSender, SNAPSHOT_EVERY};
use crate::clock;
use crate::config::DeadMansSwitchSettings;
use crate::http_client::HttpClient;
use crate::model::Span;
use crate::monitor::FleetSnapshot;
use crate::notify::receivers::{PeriodicConfig, blocking, client_for, dead_mans_switch};
use crate::notify::retry::AttemptResult;

type SwitchConfig = PeriodicConfig<DeadMansSwitchSettings>;

/// The task of one switch.
pub(super) struct DeadMansSwitch {
    sender: PeriodicSender<DeadMansSwitchSettings>,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    liveness: Liveness,
    was_healthy: bool,
}

impl DeadMansSwitch {
    pub(super) fn new(
        sender: PeriodicSender<DeadMansSwitchSettings>,
        snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    ) -> Self {
        Self {
            sender,
            snapshots,
            liveness: Liveness::new(clock::now()),
            was_healthy: true,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let config = self.sender.config();
            let interval = config.receiver.interval;
            let wait = interval.min(Span::from(SNAPSHOT_EVERY));
            if !self.sender.wait(wait).await {
                return;
            }
            let now = clock::now();
            if self.is_healthy(&config) && now >= self.sender.due {
                let result = request(&self.sender.client, &config).await;
                self.sender.complete(&result, now, interval);
            }
        }
    }

    /// Whether the exporter is healthy; a change is logged.
    fn is_healthy(&mut self, config: &SwitchConfig) -> bool {
        let fleet = Arc::clone(&self.snapshots.borrow());
        let problem = self.liveness.health_problem(&fleet, clock::now());
        let receiver = config.common.name.as_str();
        match &problem {
            Some(why) if self.was_healthy => {
                warn!(
                    receiver,
                    why, "the heartbeat stops until the exporter is healthy"
                );
            }
            None if !self.was_healthy => info!(receiver, "the heartbeat resumes"),
            _ => {}
        }
        self.was_healthy = problem.is_none();
        self.was_healthy
    }
}

/// Requests the switch's URL once.
pub(in crate::notify) async fn request(
    client: &HttpClient,
    config: &Arc<SwitchConfig>,
) -> AttemptResult {
    let client = client.clone();
    let prepared_from = Arc::clone(config);
    let prepare = move || {
        let (url, headers) = dead_mans_switch::request(&prepared_from.receiver)?;
        let client = client_for(&client, &prepared_from.common.http)?;
        Ok((client, url, headers))
    };
    let (client, url, headers) = match blocking(&config.common.name, prepare).await {
        Ok(prepared) => prepared,
        Err(result) => return result,
    };
    match client.get_with(url.reveal(), &headers).await {
        Ok(response) => AttemptResult::Answered(response),
        Err(error) => AttemptResult::Failed(error),
    }
}
