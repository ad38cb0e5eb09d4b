//! A dead man's switch: it is asked for regularly while the exporter is healthy, and raises the
//! alarm when that stops.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{info, warn};

use super::LOOK;
use super::pulse::Pulse;
use super::teller::Teller;
use crate::clock;
use crate::config::ReceiverKind;
use crate::http_client::HttpClient;
use crate::model::{Secret, Span};
use crate::monitor::FleetSnapshot;
use crate::notify::delivery::{ReceiverConfig, blocking, on_its_way, read, read_headers};
use crate::notify::retry::AttemptResult;

/// The task of one heartbeat.
pub(super) struct Heartbeat {
    teller: Teller,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    pulse: Pulse,
    silent: bool,
}

impl Heartbeat {
    pub(super) fn new(teller: Teller, snapshots: watch::Receiver<Arc<FleetSnapshot>>) -> Self {
        Self {
            teller,
            snapshots,
            pulse: Pulse::new(clock::now()),
            silent: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let config = self.teller.config();
            let ReceiverKind::Heartbeat { interval, .. } = config.settings.kind else {
                return;
            };
            if !self.teller.goes_on(interval.min(Span::from(LOOK))).await {
                return;
            }
            let now = clock::now();
            if self.is_healthy(&config) && now >= self.teller.due {
                let result = beat(&self.teller.client, &config).await;
                self.teller.settle(&result, now, interval);
            }
        }
    }

    fn is_healthy(&mut self, config: &ReceiverConfig) -> bool {
        let fleet = Arc::clone(&self.snapshots.borrow());
        let ailment = self.pulse.ailment(&fleet, clock::now());
        let was_silent = std::mem::replace(&mut self.silent, ailment.is_some());
        let receiver = config.settings.name.as_str();
        match (&ailment, was_silent) {
            (Some(why), false) => warn!(
                receiver,
                why, "the heartbeat stops until the exporter is well"
            ),
            (None, true) => info!(receiver, "the heartbeat goes on"),
            _ => {}
        }
        ailment.is_none()
    }
}

/// Asks for the switch's URL.
pub(in crate::notify) async fn beat(
    client: &HttpClient,
    config: &Arc<ReceiverConfig>,
) -> AttemptResult {
    let (client, of) = (client.clone(), Arc::clone(config));
    let ready = blocking(config, move || ready(&client, &of)).await;
    match ready {
        Err(result) => result,
        Ok((client, url, headers)) => {
            let answer = client.get_with(url.reveal(), &headers).await;
            answer.map_or_else(AttemptResult::Failed, AttemptResult::Answered)
        }
    }
}

type Ready = (HttpClient, Secret, Vec<(String, String)>);

fn ready(client: &HttpClient, config: &ReceiverConfig) -> Result<Ready, String> {
    let ReceiverKind::Heartbeat { url, headers, .. } = &config.settings.kind else {
        return Err("the receiver is no heartbeat any more".to_owned());
    };
    Ok((
        on_its_way(client, &config.settings.http)?,
        read(url)?,
        read_headers(headers)?,
    ))
}
