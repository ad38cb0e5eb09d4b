//! The dispatcher: each attempt that is due is made by a separate task, so that no receiver delays
//! another.
//!
//! A request leaves when its notification, and the incident that it may open, are on the disk. The
//! owner of the [`Dispatcher`] saves it as any [`Persisted`] part, and passes to
//! [`Dispatcher::act`] what has become durable.

mod gate;
mod in_flight;
mod outcome;
mod reporter;
mod sender;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{info, warn};

use crate::alert::{GroupKey, Notification};
use crate::clock;
use crate::config::{NotifySettings, ReceiverKind};
use crate::delivery::{Deliveries, DeliveryEvent, DeliveryEventKind};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::model::{Document, Durable, Persisted, Revision, SaveScope, SavedDocuments, Timestamp};

use super::context::MessageContext;
use super::outbox::Outbox;
use super::queue::ReplayError;
use super::receivers::GroupConfig;
use super::retry::{Circumstances, Timing, judge};
use gate::AwaitingDurability;
pub(super) use gate::WriteAheadGate;
use in_flight::{Completed, InFlight, Progress};
pub(super) use reporter::Reporter;
pub(super) use sender::send;

/// How many groups are named when something is undelivered at the end.
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

    /// Resolves the groups that receivers have open although `is_known` denies them.
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

    /// Queues `notification`.
    pub fn send(&mut self, notification: Notification) {
        self.changed = true;
        self.outbox.push(notification, clock::anchor());
    }

    /// Follows new settings: a receiver that keeps its name keeps its queue and its open incidents;
    /// a removed one gets only the resolves of its open incidents.
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
            if let Some(old) = old.remove(&name)
                && old != config
            {
                self.outbox.retry_now(&name, clock::now());
            }
            self.configs.insert(name, config);
        }
        // What is left belongs to receivers that are no longer configured.
        self.configs.extend(old);
        self.configure_retired();
    }

    /// Keeps the configurations of receivers that have incidents open although they are no longer
    /// configured. One that was removed while the program did not run is reached at the URL that
    /// was saved.
    fn configure_retired(&mut self) {
        let mut retired = BTreeMap::new();
        for (name, url) in self.outbox.retired() {
            retired.insert(Arc::clone(name), url.cloned());
        }
        let mut configured = BTreeSet::new();
        for receiver in &self.settings.receivers {
            configured.insert(receiver.name.as_str());
        }
        self.configs
            .retain(|name, _| configured.contains(&**name) || retired.contains_key(name));
        for (name, url) in retired {
            if let Some(url) = url {
                let config = |name: &Arc<str>| Arc::new(GroupConfig::retired(name, &url));
                self.configs.entry(name).or_insert_with_key(config);
            }
        }
    }

    /// Sends a dead letter again. Returns its receiver.
    ///
    /// # Errors
    /// There is none with this id, or it would report what is no longer true.
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

    /// Waits until something happens to an attempt, and handles it. Never returns while nothing is
    /// in flight.
    pub async fn next_event(&mut self) {
        let progress = self.in_flight.next().await;
        self.changed = true;
        match progress {
            Progress::AtGate(request) => self.announce(request),
            Progress::Completed(completed) => self.complete(*completed),
        }
    }

    /// Notes the incident that `request` may open. The request leaves when that is on the disk.
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
            to_the_rest: attempt.left.is_some(),
            jitter: fastrand::f64(),
            now,
        };
        let mut verdict = judge(&self.timing, &circumstances, &outcome.result);
        verdict.maybe_received |= outcome.has_reached;
        outcome::log(&attempt, &outcome.result, &verdict.disposition, now.mono);
        let answer = outcome.result.text().into();
        self.outbox
            .on_result(&attempt, outcome.incident, &verdict, Some(&answer), now);
    }

    /// The events since the last call. Suppressed notifications are logged.
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

    /// All deliveries that are shown, if they may have changed since the last call.
    pub fn deliveries(&mut self) -> Option<Deliveries> {
        if !self.changed {
            return None;
        }
        self.changed = false;
        Some(self.outbox.deliveries())
    }

    /// The revision of the last change.
    pub fn revision(&self) -> Revision {
        self.outbox.revision()
    }

    /// Whether something has to be saved at once: a request waits only for the disk, or the result
    /// of one is not on the disk yet.
    pub fn waits_for_disk(&self, durable: Durable) -> bool {
        let mut at_gate = self.at_gate.iter();
        let request_waits = at_gate.any(|(revision, _)| !durable.includes(*revision));
        request_waits
            || self.outbox.has_results()
            || self.outbox.waits_for_disk(clock::now(), durable)
    }

    /// When [`Self::act`] next has something to do, if nothing else happens.
    pub fn next_wakeup(&self, durable: Durable) -> Option<Timestamp> {
        self.outbox.next_wakeup(durable)
    }

    /// Whether nothing is in flight and nothing is due before `deadline`.
    pub fn is_idle_until(&self, deadline: Timestamp) -> bool {
        if !self.in_flight.is_empty() {
            return false;
        }
        match self.outbox.next_wakeup(Durable::Everything) {
            Some(at) => at > deadline,
            None => true,
        }
    }

    /// Logs what is undelivered at the end, a line for each receiver. `saved` says whether it is on
    /// the disk.
    pub fn log_undelivered(&self, saved: bool) {
        let mut left: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (receiver, notification) in self.outbox.undelivered() {
            let group = notification.group.text();
            let status = notification.status.label();
            let groups = left.entry(receiver).or_default();
            groups.push(format!("{group} ({status})"));
        }
        for (receiver, mut groups) in left {
            let left = groups.len();
            groups.truncate(MAX_NAMED);
            let groups = groups.join("; ");
            if saved {
                info!(
                    receiver,
                    left,
                    groups,
                    "stopped with notifications undelivered: the next start sends them"
                );
            } else {
                warn!(
                    receiver,
                    left, groups, "stopped with notifications undelivered"
                );
            }
        }
    }
}

impl Persisted for Dispatcher {
    fn has_unsaved(&self) -> bool {
        self.outbox.has_unsaved()
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        self.outbox.take_unsaved(scope.all)
    }

    fn restore(&mut self, documents: &SavedDocuments, _now: Timestamp) -> Vec<String> {
        let refused = self.outbox.restore(documents, &self.settings.receivers);
        self.configure_retired();
        let undelivered = self.outbox.undelivered().count();
        if undelivered > 0 {
            info!(undelivered, "notifications of an earlier run are sent now");
        }
        self.changed = true;
        refused
    }
}

#[cfg(test)]
mod tests;
