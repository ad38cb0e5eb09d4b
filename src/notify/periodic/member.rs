//! One member of an Alertmanager cluster.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::LOOK;
use super::teller::Teller;
use crate::alert::{AlertSnapshot, AlertState, Inhibitors, ListedAlert, wants};
use crate::clock;
use crate::config::{ReceiverKind, ReceiverSettings};
use crate::http_client::HttpClient;
use crate::model::{Span, Timestamp};
use crate::monitor::FleetSnapshot;
use crate::notify::alertmanager::{Firing, Told};
use crate::notify::delivery::{ReceiverConfig, blocking, on_its_way, read_headers};
use crate::notify::retry::AttemptResult;

/// The task of one member.
pub(super) struct Member {
    teller: Teller,
    url: String,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    told: Told,
}

impl Member {
    pub(super) fn new(
        teller: Teller,
        url: String,
        snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    ) -> Self {
        Self {
            teller,
            url,
            snapshots,
            told: Told::default(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let config = self.teller.config();
            let interval = interval_of(&config.settings);
            let goes_on = self.teller.goes_on(interval.min(Span::from(LOOK))).await;
            self.look(&config);
            let now = clock::now();
            let due = now >= self.teller.due && !self.told.is_empty();
            if due || (!goes_on && self.teller.has_news()) {
                let result = tell(
                    &self.teller.client,
                    &config,
                    &self.url,
                    &self.told,
                    interval,
                )
                .await;
                self.teller.settle(&result, now, interval);
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Takes in what the monitor says now.
    fn look(&mut self, config: &ReceiverConfig) {
        let fleet = Arc::clone(&self.snapshots.borrow());
        let now = clock::now();
        let (firing, over) = seen_by(config, &fleet.alerts, now);
        if self.told.look(now, &firing, &over) {
            self.teller.note_news(now);
        } else if self.told.is_empty() {
            self.teller.forget_news();
        }
    }
}

fn interval_of(settings: &ReceiverSettings) -> Span {
    match settings.kind {
        ReceiverKind::Alertmanager { interval, .. } => interval,
        // The kind of a receiver that keeps its name may change; then this task is just ending.
        _ => Span::from(LOOK),
    }
}

/// What of `listed` fires for a receiver with these settings, and what is over.
fn seen_by(
    config: &ReceiverConfig,
    listed: &[ListedAlert],
    now: Timestamp,
) -> (Vec<Firing>, Vec<Arc<AlertSnapshot>>) {
    let inhibitors = Inhibitors::seen_by(&config.settings, listed, now, config.group_wait);
    let mut firing = Vec::new();
    let mut over = Vec::new();
    for ListedAlert { state, alert, .. } in listed {
        let alert = Arc::clone(alert);
        match state {
            AlertState::Pending => {}
            AlertState::Resolved => over.push(alert),
            AlertState::Firing | AlertState::Recovering => {
                if wants(&config.settings, &alert) {
                    let quiet =
                        alert.muted_by.is_some() || alert.recovering || inhibitors.inhibit(&alert);
                    firing.push(Firing { alert, quiet });
                }
            }
        }
    }
    (firing, over)
}

/// Tells the member at `url` everything, in as many requests as it takes. The first that fails ends
/// it: the next round begins anew. A refused alert does not keep a member from taking the others of
/// its request, so a 400 goes on.
pub(in crate::notify) async fn tell(
    client: &HttpClient,
    config: &Arc<ReceiverConfig>,
    url: &str,
    told: &Told,
    interval: Span,
) -> AttemptResult {
    let (client, of) = (client.clone(), Arc::clone(config));
    let ready = blocking(config, move || {
        let ReceiverKind::Alertmanager { headers, .. } = &of.settings.kind else {
            return Err("the receiver is no Alertmanager any more".to_owned());
        };
        Ok((
            on_its_way(&client, &of.settings.http)?,
            read_headers(headers)?,
        ))
    });
    let (client, headers) = match ready.await {
        Ok(ready) => ready,
        Err(result) => return result,
    };
    let bodies = told.bodies(&clock::anchor(), interval, &config.context);
    post_all(&client, &format!("{url}/api/v2/alerts"), &headers, bodies).await
}

async fn post_all(
    client: &HttpClient,
    url: &str,
    headers: &[(String, String)],
    bodies: Vec<Value>,
) -> AttemptResult {
    let mut worst = None;
    let mut last = None;
    for body in bodies {
        let answer = client
            .post_json(url, headers, body.to_string().into_bytes())
            .await;
        match answer {
            Ok(response) if (200..300).contains(&response.status) => {
                last = Some(AttemptResult::Answered(response));
            }
            Ok(response) if response.status == 400 => {
                worst = Some(AttemptResult::Answered(response));
            }
            other => return other.map_or_else(AttemptResult::Failed, AttemptResult::Answered),
        }
    }
    // No bodies: there was nothing to tell, which is told.
    worst.or(last).unwrap_or_else(|| {
        AttemptResult::Answered(crate::http_client::HttpResponse {
            status: 200,
            complete: true,
            ..Default::default()
        })
    })
}
