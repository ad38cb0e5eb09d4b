//! The only part of this room with IO: a task for each receiver, so that no receiver ever holds up another.

mod courier;
mod outcome;
mod reporter;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::alert::Notification;
use crate::clock;
use crate::config::{NotifySettings, ReceiverSettings};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::model::{Span, Timestamp};
use crate::monitor::DeliveryEvent;

use super::message::MessageContext;
use super::queue::{MAX_GROUPS, ReceiverQueue};
use super::retry::Timing;
pub use courier::check;
pub(super) use courier::{ReceiverConfig, Sent, blocking, on_its_way, read, read_headers, secrets_of, send};
pub(super) use reporter::Reporter;
use task::ReceiverTask;

/// How many notifications wait for a receiver's task, which takes them at once: one decision of the monitor may hold
/// one for each group.
const INBOX_CAPACITY: usize = MAX_GROUPS;

/// How long the task of a receiver that is no longer configured may go on with what is due.
const REMOVED_DRAIN: Span = Span::from_secs(5);

/// How long after the deadline of a drain a task may take to notice.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// Sends notifications to receivers. Dropped without [`Self::drain`], it stops at once.
#[derive(Debug)]
pub struct Dispatcher {
    receivers: BTreeMap<Arc<str>, Handle>,
    tasks: JoinSet<()>,
    client: HttpClient,
    context: MessageContext,
    timing: Timing,
    events: mpsc::Sender<DeliveryEvent>,
}

/// The way to a receiver's task.
#[derive(Debug)]
struct Handle {
    inbox: mpsc::Sender<Notification>,
    overflow: Arc<AtomicU64>,
    config: watch::Sender<Arc<ReceiverConfig>>,
    stop: oneshot::Sender<Timestamp>,
}

impl Dispatcher {
    /// Starts a task for each receiver of `settings`, on the current runtime. `context` says where messages come from;
    /// the settings' identity, where there is one, is said in place of its exporter. What happens is reported on
    /// `events`, and nothing ever waits for its far end.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(
        settings: &NotifySettings,
        context: MessageContext,
        timing: Timing,
        events: mpsc::Sender<DeliveryEvent>,
    ) -> Result<Self, HttpError> {
        let timeouts = HttpTimeouts { connect: timing.connect.to_duration(), total: timing.attempt.to_duration() };
        let client = HttpClient::for_receivers(timeouts)?;
        let (receivers, tasks) = (BTreeMap::new(), JoinSet::new());
        let mut dispatcher = Self { receivers, tasks, client, context, timing, events };
        dispatcher.reload(settings);
        Ok(dispatcher)
    }

    /// Hands `notification` to its receiver's task. Never waits.
    pub fn send(&self, notification: Notification) {
        let receiver = Arc::clone(&notification.receiver);
        let Some(handle) = self.receivers.get(&receiver) else {
            warn!(receiver = &*receiver, "a notification is dropped: there is no such receiver any more");
            return;
        };
        match handle.inbox.try_send(notification) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                handle.overflow.fetch_add(1, Ordering::Relaxed);
                error!(receiver = &*receiver, "a notification is dropped: the receiver's queue is full");
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                error!(receiver = &*receiver, "a notification is dropped: the receiver's task has ended");
            }
        }
    }

    /// Follows new settings: a receiver that keeps its name keeps its queue and what it was told; one that is new
    /// begins; one that is gone gets five seconds for what is due.
    pub fn reload(&mut self, settings: &NotifySettings) {
        while self.tasks.try_join_next().is_some() {}
        let configs: BTreeMap<Arc<str>, _> = settings
            .receivers
            .iter()
            .filter(|r| r.kind.takes_groups())
            .map(|r| (r.name.as_str().into(), self.config(settings, r)))
            .collect();
        let gone: Vec<_> = self.receivers.keys().filter(|name| !configs.contains_key(*name)).cloned().collect();
        for handle in gone.iter().filter_map(|name| self.receivers.remove(name)) {
            handle.stop(clock::now() + REMOVED_DRAIN);
        }
        for (name, config) in configs {
            match self.receivers.get(&name) {
                Some(handle) => handle.configure(config),
                None => self.start(name, config),
            }
        }
    }

    /// Stops: takes no more, tries what is due for as long as `within`, and logs what is left.
    pub async fn drain(mut self, within: Duration) {
        let deadline = clock::now() + Span::from(within);
        for (_, handle) in std::mem::take(&mut self.receivers) {
            handle.stop(deadline);
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within.saturating_add(DRAIN_GRACE), all).await.is_err() {
            warn!("some receivers' tasks did not stop in time");
        }
    }

    fn config(&self, settings: &NotifySettings, receiver: &ReceiverSettings) -> ReceiverConfig {
        ReceiverConfig::of(settings, receiver, &self.context)
    }

    fn start(&mut self, receiver: Arc<str>, config: ReceiverConfig) {
        let (inbox, notifications) = mpsc::channel(INBOX_CAPACITY);
        let (config, configs) = watch::channel(Arc::new(config));
        let (stop, stopped) = oneshot::channel();
        let overflow = Arc::new(AtomicU64::new(0));
        let run = clock::wall_now().as_nanos().unsigned_abs();
        self.tasks.spawn(
            ReceiverTask {
                queue: ReceiverQueue::new(Arc::clone(&receiver), run, self.timing.resolve_lifetime),
                config: configs,
                inbox: notifications,
                overflow: Arc::clone(&overflow),
                stop: stopped,
                client: self.client.clone(),
                timing: self.timing,
                reporter: Reporter::new(Arc::clone(&receiver), self.events.clone()),
                receiver: Arc::clone(&receiver),
                flight: None,
                deadline: None,
            }
            .run(),
        );
        self.receivers.insert(receiver, Handle { inbox, overflow, config, stop });
    }
}

impl Handle {
    fn configure(&self, config: ReceiverConfig) {
        self.config.send_if_modified(|current| {
            let changed = **current != config;
            *current = Arc::new(config);
            changed
        });
    }

    fn stop(self, deadline: Timestamp) {
        // The task holds the other end for as long as it runs; one that ended needs no word.
        let _ = self.stop.send(deadline);
    }
}

#[cfg(test)]
mod tests;
