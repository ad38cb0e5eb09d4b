//! The task of one member of an Alertmanager cluster.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::sender::{PeriodicSender, SNAPSHOT_EVERY};
use crate::alert::{AlertSnapshot, AlertState, Inhibitors, ListedAlert, wants};
use crate::clock;
use crate::config::AlertmanagerSettings;
use crate::http_client::HttpClient;
use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;
use crate::notify::receivers::alertmanager::{FiringAlert, SentAlerts};
use crate::notify::receivers::{PeriodicConfig, blocking, client_for, read_headers};
use crate::notify::retry::AttemptResult;

type ClusterConfig = PeriodicConfig<AlertmanagerSettings>;

/// The task of one member.
pub(super) struct AlertmanagerMember {
    sender: PeriodicSender<AlertmanagerSettings>,
    url: String,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    sent: SentAlerts,
}

impl AlertmanagerMember {
    pub(super) fn new(
        sender: PeriodicSender<AlertmanagerSettings>,
        url: String,
        snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    ) -> Self {
        Self {
            sender,
            url,
            snapshots,
            sent: SentAlerts::default(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let config = self.sender.config();
            let interval = config.receiver.interval;
            let wait = interval.min(Span::from(SNAPSHOT_EVERY));
            let continues = self.sender.wait(wait).await;
            self.read_snapshot(&config);
            let now = clock::now();
            let is_due = now >= self.sender.due && !self.sent.is_empty();
            let last_chance = !continues && self.sender.has_changes();
            if is_due || last_chance {
                let result = resend(&self.sender.client, &config, &self.url, &self.sent).await;
                self.sender.complete(&result, now, interval);
            }
            if !continues {
                return;
            }
        }
    }

    /// Reads from the latest snapshot which alerts fire and which have resolved.
    fn read_snapshot(&mut self, config: &ClusterConfig) {
        let fleet = Arc::clone(&self.snapshots.borrow());
        let now = clock::now();
        let (firing, resolved) = wanted_alerts(config, &fleet.alerts, now);
        if self.sent.update(now, &firing, &resolved) {
            self.sender.note_change(now);
        } else if self.sent.is_empty() {
            self.sender.forget_changes();
        }
    }
}

/// The alerts of `listed` that fire for this receiver, and those that are resolved.
fn wanted_alerts(
    config: &ClusterConfig,
    listed: &[ListedAlert],
    now: Timestamp,
) -> (Vec<FiringAlert>, Vec<Arc<AlertSnapshot>>) {
    let inhibitors = Inhibitors::seen_by(&config.common, listed, now, config.group_wait);
    let mut firing = Vec::new();
    let mut resolved = Vec::new();
    for ListedAlert { state, alert, .. } in listed {
        let alert = Arc::clone(alert);
        match state {
            AlertState::Pending => {}
            AlertState::Resolved => resolved.push(alert),
            AlertState::Firing | AlertState::Recovering => {
                if !wants(&config.common, &alert) {
                    continue;
                }
                let is_muted = alert.muted_by.is_some();
                let suppressed = is_muted || alert.recovering || inhibitors.inhibit(&alert);
                firing.push(FiringAlert { alert, suppressed });
            }
        }
    }
    (firing, resolved)
}

/// Sends all of `sent` to the member at `url`, in as many requests as it takes. The first failure
/// ends the round; the next one starts over. A member that refuses an alert with 400 takes the
/// others of the request, so that the round goes on.
pub(in crate::notify) async fn resend(
    client: &HttpClient,
    config: &Arc<ClusterConfig>,
    url: &str,
    sent: &SentAlerts,
) -> AttemptResult {
    let client = client.clone();
    let prepared_from = Arc::clone(config);
    let prepare = move || {
        let headers = read_headers(&prepared_from.receiver.headers)?;
        let client = client_for(&client, &prepared_from.common.http)?;
        Ok((client, headers))
    };
    let (client, headers) = match blocking(&config.common.name, prepare).await {
        Ok(prepared) => prepared,
        Err(result) => return result,
    };
    let bodies = sent.bodies(&clock::anchor(), config.receiver.interval, &config.context);
    post_all(&client, &format!("{url}/api/v2/alerts"), &headers, bodies).await
}

async fn post_all(
    client: &HttpClient,
    url: &str,
    headers: &[(String, String)],
    bodies: Vec<Value>,
) -> AttemptResult {
    let mut refusal = None;
    let mut last = AttemptResult::NothingToSend;
    for body in bodies {
        let body = body.to_string().into_bytes();
        let response = match client.post_json(url, headers, body).await {
            Ok(response) => response,
            Err(error) => return AttemptResult::Failed(error),
        };
        match response.status {
            200..300 => last = AttemptResult::Answered(response),
            400 => refusal = Some(AttemptResult::Answered(response)),
            _ => return AttemptResult::Answered(response),
        }
    }
    refusal.unwrap_or(last)
}
