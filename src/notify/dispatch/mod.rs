//! Dispatching: what is due is sent by a task of its own, so that no receiver delays another.
//!
//! A request leaves when its notification, and the incident that it may open, is on the disk. The
//! owner of the [`Dispatcher`] writes what [`Dispatcher::take_unsaved`] returns, and says what has
//! become durable.

mod gate;
mod in_flight;
mod outcome;
mod reporter;
mod sender;

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};

use crate::alert::{GroupKey, Notification};
use crate::clock;
use crate::config::{NotifySettings, ReceiverKind};
use crate::delivery::{Deliveries, DeliveryEvent, DeliveryEventKind};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::model::{Document, Durable, Revision, SavedDocuments, Timestamp};

use super::context::MessageContext;
use super::outbox::Outbox;
use super::queue::ReplayError;
use super::receivers::GroupConfig;
use super::retry::{Circumstances, Timing, judge};
use gate::AwaitingDurability;
pub(super) use gate::WriteAheadGate;
use in_flight::{Completed, InFlight, Progress};
pub(super) use reporter::Reporter;
pub(super) use sender::{SendOutcome, send};

/// How many groups are named when something is left at the end.
const MAX_NAMED: usize = 10;

/// Sends notifications to receivers. Dropped, it stops at once.
#[derive(Debug)]
pub struct Dispatcher {
    outbox: Outbox,
    configs: BTreeMap<Arc<str>, Arc<GroupConfig>>,
    in_flight: InFlight,
    /// Requests at the gate, each with the revision that has to be durable before it leaves.
    at_gate: Vec<(Revision, AwaitingDurability)>,
    settings: NotifySettings,
    context: MessageContext,
    timing: Timing,
    /// Whether what is shown may have changed.
    changed: bool,
}

impl Dispatcher {
    /// A dispatcher to the group receivers of `settings`. `context` says where messages come from;
    /// an identity in the settings takes the place of its exporter.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(
        settings: &NotifySettings,
        context: MessageContext,
        timing: Timing,
    ) -> Result<Self, HttpError> {
        let timeouts = HttpTimeouts {
            connect: timing.connect.to_duration(),
            total: timing.attempt.to_duration(),
        };
        let client = HttpClient::for_receivers(timeouts)?;
        let run = clock::wall_now().as_nanos().unsigned_abs();
        let mut dispatcher = Self {
            outbox: Outbox::new(run, timing.resolve_lifetime),
            configs: BTreeMap::new(),
            in_flight: InFlight::new(client),
            at_gate: Vec::new(),
            settings: settings.clone(),
            context,
            timing,
            changed: true,
        };
        dispatcher.reload(settings);
        Ok(dispatcher)
    }

    /// Takes in what was kept of an earlier life. What is known already is newer.
    pub fn restore(&mut self, documents: &SavedDocuments) {
        let refused = self.outbox.restore(documents, &self.settings.receivers);
        for refusal in &refused {
            warn!(error = refusal, "a part of the outbox is not taken");
        }
        self.configure_retired();
        let undelivered = self.outbox.undelivered().count();
        if undelivered > 0 {
            info!(undelivered, "notifications of an earlier life go out now");
        }
        self.changed = true;
    }

    /// Ends for their receivers the groups of which `is_known` says that nobody else knows them.
    pub fn end_orphans(&mut self, is_known: impl Fn(&str, &GroupKey) -> bool) {
        let ended = self.outbox.end_orphans(is_known, clock::anchor());
        if ended > 0 {
            warn!(
                ended,
                "receivers were notified of alerts that are not known any more: they are notified that these are resolved"
            );
            self.changed = true;
        }
    }

    /// Takes `notification` in.
    pub fn send(&mut self, notification: Notification) {
        self.changed = true;
        self.outbox.push(notification, clock::anchor());
    }

    /// Follows new settings: a receiver that keeps its name keeps its queue and what it was sent;
    /// a new one starts empty; one that is gone gets the resolves of what is open there.
    pub fn reload(&mut self, settings: &NotifySettings) {
        self.changed = true;
        self.settings = settings.clone();
        self.outbox.configure(&settings.receivers);
        let mut old = std::mem::take(&mut self.configs);
        for receiver in &settings.receivers {
            let ReceiverKind::Group(group) = &receiver.kind else {
                continue;
            };
            let name: Arc<str> = receiver.name.as_str().into();
            let config = Arc::new(GroupConfig::new(settings, receiver, group, &self.context));
            if old.remove(&name).is_some_and(|old| old != config) {
                self.outbox.retry_now(&name, clock::now());
            }
            self.configs.insert(name, config);
        }
        // What is left belongs to receivers that are no longer configured.
        self.configs.extend(old);
        self.configure_retired();
    }

    /// Keeps the configurations of receivers that have incidents open although they are no longer
    /// configured; one that was removed while the program did not run is reached as the disk says.
    fn configure_retired(&mut self) {
        let mut retired = BTreeMap::new();
        for (name, url) in self.outbox.retired() {
            retired.insert(Arc::clone(name), url.cloned());
        }
        let settings = &self.settings;
        let is_configured = |name: &str| {
            let mut receivers = settings.receivers.iter();
            receivers.any(|receiver| receiver.name == name)
        };
        self.configs
            .retain(|name, _| is_configured(name) || retired.contains_key(name));
        for (name, url) in retired {
            if let Some(url) = url {
                let config = || Arc::new(GroupConfig::retired(&name, &url));
                self.configs.entry(Arc::clone(&name)).or_insert_with(config);
            }
        }
    }

    /// Sends a dead letter again. Returns its receiver.
    ///
    /// # Errors
    /// There is none with this id, or it would say what is no longer true.
    pub fn replay(&mut self, id: &str) -> Result<Arc<str>, ReplayError> {
        self.changed = true;
        self.outbox.replay(id, clock::anchor())
    }

    /// Starts what is due and what `durable` includes; everything else waits until it is on the
    /// disk.
    pub fn act(&mut self, durable: Durable) {
        let now = clock::now();
        self.outbox.expire(now);
        self.release_durable(durable);
        for attempt in self.outbox.start(now, durable) {
            self.changed = true;
            match self.configs.get(&attempt.notification.receiver) {
                Some(config) => self.in_flight.start(Arc::clone(config), attempt),
                None => self.in_flight.refuse(attempt),
            }
        }
    }

    /// Releases the requests at the gate whose incident is durable.
    fn release_durable(&mut self, durable: Durable) {
        for (revision, request) in std::mem::take(&mut self.at_gate) {
            if durable.includes(revision) {
                request.release();
            } else {
                self.at_gate.push((revision, request));
            }
        }
    }

    /// Waits until something happens to an attempt, and takes it in. Never returns while nothing is
    /// in flight.
    pub async fn news(&mut self) {
        let progress = self.in_flight.next().await;
        self.changed = true;
        match progress {
            Progress::AtGate(request) => self.announce(request),
            Progress::Completed(completed) => self.complete(*completed),
        }
    }

    /// Notes the incident that `request` may open. The request leaves when the disk knows of it.
    fn announce(&mut self, request: AwaitingDurability) {
        let AwaitingDurability {
            receiver,
            group,
            incident,
            ..
        } = &request;
        let revision = self
            .outbox
            .announce_incident(receiver, group, incident.clone());
        match revision {
            Some(revision) => self.at_gate.push((revision, request)),
            None => request.release(),
        }
    }

    fn complete(&mut self, completed: Completed) {
        let Completed { attempt, outcome } = completed;
        let now = clock::anchor();
        let circumstances = Circumstances {
            rules: outcome.rules,
            attempt: attempt.number,
            plain: attempt.plain,
            jitter: fastrand::f64(),
            now,
        };
        let mut verdict = judge(&self.timing, &circumstances, &outcome.result);
        verdict.maybe_received |= outcome.has_reached;
        let receiver = &attempt.notification.receiver;
        outcome::log(
            receiver,
            &attempt,
            &outcome.result,
            &verdict.disposition,
            now.mono,
        );
        let answer = outcome.result.text().into();
        self.outbox
            .on_result(&attempt, outcome.incident, &verdict, Some(&answer), now);
    }

    /// What happened since this was last asked; what was suppressed is logged.
    pub fn take_events(&mut self) -> Vec<DeliveryEvent> {
        let events = self.outbox.take_events();
        for event in &events {
            if let DeliveryEventKind::Suppressed { reason } = event.kind {
                info!(
                    receiver = &*event.receiver,
                    reason = reason.label(),
                    "a notification is not sent"
                );
            }
        }
        events
    }

    /// Everything that is shown, if it may have changed since this was last asked.
    pub fn deliveries(&mut self) -> Option<Deliveries> {
        std::mem::take(&mut self.changed).then(|| self.outbox.deliveries())
    }

    /// The number of the last change.
    pub fn revision(&self) -> Revision {
        self.outbox.revision()
    }

    /// Whether a request waits for nothing but the disk, or the disk does not know how one ended.
    pub fn waits_for_disk(&self, durable: Durable) -> bool {
        self.outbox.has_results()
            || self
                .at_gate
                .iter()
                .any(|(revision, _)| !durable.includes(*revision))
            || self.outbox.waits_for_disk(clock::now(), durable)
    }

    /// Whether the disk knows less than this.
    pub fn has_unsaved(&self) -> bool {
        self.outbox.has_unsaved()
    }

    /// What the disk has to be told: what changed since this was last asked, or everything.
    pub fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        self.outbox.take_unsaved(all)
    }

    /// When [`Self::act`] next has something to do, if nothing else happens.
    pub fn next_wakeup(&self, durable: Durable) -> Option<Timestamp> {
        self.outbox.next_wakeup(durable)
    }

    /// Whether nothing is under way and nothing is due before `deadline`.
    pub fn is_idle_until(&self, deadline: Timestamp) -> bool {
        let next = self.outbox.next_wakeup(Durable::Everything);
        self.in_flight.is_empty() && next.is_none_or(|at| at > deadline)
    }

    /// Logs what is left at the end.
    pub fn log_left(&self, kept: bool) {
        let mut left: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (receiver, notification) in self.outbox.undelivered() {
            let group = format!(
                "{} ({})",
                notification.group.text(),
                notification.status.label()
            );
            left.entry(receiver).or_default().push(group);
        }
        for (receiver, groups) in left {
            let left = groups.len();
            let named: Vec<_> = groups.into_iter().take(MAX_NAMED).collect();
            let named = named.join("; ");
            if kept {
                info!(
                    receiver,
                    left,
                    groups = named,
                    "stopped with notifications undelivered: the next start sends them"
                );
            } else {
                warn!(
                    receiver,
                    left,
                    groups = named,
                    "stopped with notifications undelivered"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
