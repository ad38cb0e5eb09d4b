//! Receivers that are told again and again how things are, and need no queue: Alertmanager and dead
//! man's switches. What is lost on the way is told again by itself.
//!
//! Each has a task that looks at the newest snapshot once a second; of an Alertmanager cluster each
//! member has one, so that a member that is gone holds up none of the others.

mod heartbeat;
mod member;
mod owed;
mod pulse;
mod teller;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use crate::config::{NotifySettings, ReceiverKind};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::monitor::{DeliveryEvent, FleetSnapshot};

use super::delivery::ReceiverConfig;
use super::message::MessageContext;
use super::retry::Timing;
use heartbeat::Heartbeat;
pub(super) use heartbeat::beat;
use member::Member;
pub(super) use member::tell;
use owed::Owed;
use teller::Teller;

/// How often a task looks whether there is something new: rarer than snapshots come, as building
/// what is told costs something in a large fleet, and often enough that nobody notices.
const LOOK: Duration = Duration::from_secs(1);

/// Which task: the receiver, and of a cluster the member's URL.
type Place = (Arc<str>, Option<String>);

/// Tells periodic receivers. Dropped without [`Self::drain`], it stops at once.
#[derive(Debug)]
pub struct Heralds {
    places: BTreeMap<Place, Handle>,
    tasks: JoinSet<()>,
    client: HttpClient,
    context: MessageContext,
    timing: Timing,
    snapshots: watch::Receiver<Arc<FleetSnapshot>>,
    events: mpsc::Sender<DeliveryEvent>,
}

/// The way to one task, which ends when this is dropped.
#[derive(Debug)]
struct Handle {
    config: watch::Sender<Arc<ReceiverConfig>>,
    owed: Owed,
}

impl Heralds {
    /// Starts the tasks of the periodic receivers of `settings`, on the current runtime. What
    /// becomes of requests is reported on `events`, and nothing ever waits for its far end.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn start(
        settings: &NotifySettings,
        context: MessageContext,
        timing: Timing,
        snapshots: watch::Receiver<Arc<FleetSnapshot>>,
        events: mpsc::Sender<DeliveryEvent>,
    ) -> Result<Self, HttpError> {
        let timeouts = HttpTimeouts {
            connect: timing.connect.to_duration(),
            total: timing.attempt.to_duration(),
        };
        let client = HttpClient::for_receivers(timeouts)?;
        let (places, tasks) = (BTreeMap::new(), JoinSet::new());
        let mut heralds = Self {
            places,
            tasks,
            client,
            context,
            timing,
            snapshots,
            events,
        };
        heralds.reload(settings);
        Ok(heralds)
    }

    /// Follows new settings. A receiver and a member that stay remember what they were told.
    pub fn reload(&mut self, settings: &NotifySettings) {
        while self.tasks.try_join_next().is_some() {}
        let mut old = std::mem::take(&mut self.places);
        for (place, config) in places(settings, &self.context) {
            let handle = match old.remove(&place) {
                Some(handle) => {
                    handle.config.send_replace(config);
                    handle
                }
                None => self.begin(&place, config),
            };
            self.places.insert(place, handle);
        }
    }

    /// Stops: what is new is told once more, for as long as `within`.
    pub async fn drain(mut self, within: Duration) {
        self.places.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all).await.is_err() {
            warn!("some periodic receivers could not be told the last news in time");
        }
    }

    fn begin(&mut self, (receiver, member): &Place, config: Arc<ReceiverConfig>) -> Handle {
        // Members of a cluster report as one receiver.
        let siblings = self.places.iter().find(|((name, _), _)| name == receiver);
        let owed = siblings.map_or_else(Owed::default, |(_, handle)| handle.owed.clone());
        let (config, configs) = watch::channel(config);
        let teller = Teller::new(
            Arc::clone(receiver),
            self.client.clone(),
            self.timing,
            configs,
            owed.place(),
            self.events.clone(),
        );
        let snapshots = self.snapshots.clone();
        match member {
            Some(url) => self
                .tasks
                .spawn(Member::new(teller, url.clone(), snapshots).run()),
            None => self.tasks.spawn(Heartbeat::new(teller, snapshots).run()),
        };
        Handle { config, owed }
    }
}

/// Every task that `settings` ask for.
fn places(
    settings: &NotifySettings,
    context: &MessageContext,
) -> Vec<(Place, Arc<ReceiverConfig>)> {
    let mut places = Vec::new();
    for receiver in &settings.receivers {
        let name: Arc<str> = receiver.name.as_str().into();
        let config = || Arc::new(ReceiverConfig::of(settings, receiver, context));
        match &receiver.kind {
            ReceiverKind::Alertmanager { urls, .. } => {
                places.extend(
                    urls.iter()
                        .map(|url| ((Arc::clone(&name), Some(url.clone())), config())),
                );
            }
            ReceiverKind::Heartbeat { .. } => places.push(((name, None), config())),
            _ => {}
        }
    }
    places
}

#[cfg(test)]
mod tests;
