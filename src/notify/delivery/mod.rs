//! The only part of this room with IO: what is due goes out by a task of its own, so that no
//! receiver ever holds up another.
//!
//! A request leaves when its notification, and what it may open, is on the disk. Whoever owns the
//! [`Dispatcher`] says what is, and carries what is new to the disk.

mod courier;
mod flights;
mod outcome;
mod reporter;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{info, warn};

use crate::alert::{GroupKey, Notification};
use crate::clock;
use crate::config::{
    HttpSettings, NotifySettings, ReceiverKind, ReceiverSettings, RepageOn, SecretSource, Severity,
};
use crate::http_client::{HttpClient, HttpError, HttpTimeouts};
use crate::model::{Document, SavedDocuments, Secret, Timestamp};
use crate::monitor::{Deliveries, DeliveryEvent, DeliveryEventKind};

use super::message::MessageContext;
use super::outbox::Outbox;
use super::queue::ReplayError;
use super::retry::{AttemptResult, Circumstances, Protocol, Timing, judge};
pub use courier::check;
pub(super) use courier::{
    ReceiverConfig, Sent, blocking, on_its_way, read, read_headers, secrets_of, send,
};
pub(super) use flights::Gate;
use flights::{Flights, Landed, News, Passage};
pub(super) use reporter::Reporter;

/// How many groups are named when something is left at the end.
const MAX_NAMED: usize = 10;

/// Sends notifications to receivers. Dropped, it stops at once.
#[derive(Debug)]
pub struct Dispatcher {
    outbox: Outbox,
    configs: BTreeMap<Arc<str>, Arc<ReceiverConfig>>,
    flights: Flights,
    /// Requests that wait until what they may open is on the disk, with the revision that they wait
    /// for.
    at_gate: Vec<(u64, Passage)>,
    settings: NotifySettings,
    context: MessageContext,
    timing: Timing,
    /// Whether what is shown may have changed.
    changed: bool,
}

impl Dispatcher {
    /// A dispatcher to the receivers of `settings`. `context` says where messages come from; the
    /// settings' identity, where there is one, is said in place of its exporter.
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
            flights: Flights::new(client),
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
                "receivers were told of alerts that nothing is known of any more: they are told that these are over"
            );
            self.changed = true;
        }
    }

    /// Takes `notification` in.
    pub fn send(&mut self, notification: Notification) {
        self.changed = true;
        self.outbox.push(notification, clock::anchor());
    }

    /// Follows new settings: a receiver that keeps its name keeps its queue and what it was told;
    /// one that is new begins; one that is gone is told of the end of what is open there.
    pub fn reload(&mut self, settings: &NotifySettings) {
        self.changed = true;
        self.settings = settings.clone();
        self.outbox.configure(&settings.receivers);
        for receiver in settings
            .receivers
            .iter()
            .filter(|receiver| receiver.kind.takes_groups())
        {
            let config = Arc::new(self.config(settings, receiver));
            let old = self
                .configs
                .insert(receiver.name.as_str().into(), Arc::clone(&config));
            if old.is_some_and(|old| old != config) {
                self.outbox.retry_now(&receiver.name, clock::now());
            }
        }
        self.configure_retired();
    }

    /// How receivers that are no longer configured are reached: as they were, or as the disk says.
    fn configure_retired(&mut self) {
        let retired: BTreeMap<_, _> = self
            .outbox
            .retired()
            .map(|(name, url)| (Arc::clone(name), url.cloned()))
            .collect();
        let configured: BTreeSet<&str> = self
            .settings
            .receivers
            .iter()
            .map(|receiver| &*receiver.name)
            .collect();
        self.configs
            .retain(|name, _| configured.contains(&**name) || retired.contains_key(name));
        for (name, url) in retired {
            if let (Some(url), false) = (url, self.configs.contains_key(&name)) {
                let config = self.config(&self.settings, &ending_incidents(&name, &url));
                self.configs.insert(name, Arc::new(config));
            }
        }
    }

    fn config(&self, settings: &NotifySettings, receiver: &ReceiverSettings) -> ReceiverConfig {
        ReceiverConfig::of(settings, receiver, &self.context)
    }

    /// Sends a dead letter again. Returns its receiver.
    ///
    /// # Errors
    /// There is none with this id, or it would say what is no longer true.
    pub fn replay(&mut self, id: &str) -> Result<Arc<str>, ReplayError> {
        self.changed = true;
        self.outbox.replay(id, clock::anchor())
    }

    /// Starts what is due. Whatever came by a change after `durable` waits until it is on the disk.
    pub fn act(&mut self, durable: u64) {
        let now = clock::now();
        self.outbox.expire(now);
        self.open_gates(durable);
        for attempt in self.outbox.start(now, durable) {
            self.changed = true;
            match self.configs.get(&attempt.notification.receiver) {
                Some(config) => self.flights.start(Arc::clone(config), attempt),
                None => self.flights.refuse(attempt),
            }
        }
    }

    fn open_gates(&mut self, durable: u64) {
        let waiting = std::mem::take(&mut self.at_gate);
        let (open, closed): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(revision, _)| *revision <= durable);
        self.at_gate = closed;
        for (_, passage) in open {
            passage.open();
        }
    }

    /// Waits until something comes back from receivers, and takes it in. Never returns while
    /// nothing is under way.
    pub async fn news(&mut self) {
        let news = self.flights.news().await;
        self.changed = true;
        match news {
            News::AtGate(passage) => {
                let (receiver, group) = (&passage.receiver, &passage.group);
                let revision = self
                    .outbox
                    .is_opening(receiver, group, passage.opening.clone());
                self.at_gate.push((revision, passage));
            }
            News::Landed(landed) => self.landed(*landed),
        }
    }

    fn landed(&mut self, Landed { attempt, sent }: Landed) {
        let Sent {
            protocol,
            result,
            opening,
            reached,
        } = sent.unwrap_or_else(lost);
        let circumstances = Circumstances {
            protocol,
            attempt: attempt.number,
            plain: attempt.plain,
            jitter: fastrand::f64(),
            now: clock::anchor(),
        };
        let mut verdict = judge(&self.timing, &circumstances, &result);
        verdict.maybe_received |= reached;
        let receiver = &attempt.notification.receiver;
        outcome::log(
            receiver,
            &attempt,
            &result,
            &verdict.disposition,
            circumstances.now.mono,
        );
        let answer = result.words().into();
        self.outbox.on_result(
            &attempt,
            opening,
            &verdict,
            Some(&answer),
            circumstances.now,
        );
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
    pub fn revision(&self) -> u64 {
        self.outbox.revision()
    }

    /// Whether a request waits for nothing but the disk, or the disk does not know how one ended.
    pub fn waits_for_disk(&self, durable: u64) -> bool {
        self.outbox.has_results()
            || self.at_gate.iter().any(|(revision, _)| *revision > durable)
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
    pub fn next_wakeup(&self, durable: u64) -> Option<Timestamp> {
        self.outbox.next_wakeup(durable)
    }

    /// Whether nothing is under way and nothing is due before `deadline`.
    pub fn is_idle_until(&self, deadline: Timestamp) -> bool {
        self.flights.is_empty()
            && self
                .outbox
                .next_wakeup(u64::MAX)
                .is_none_or(|at| at > deadline)
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
            let named = groups[..groups.len().min(MAX_NAMED)].join("; ");
            let left = groups.len();
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

/// What came of an attempt whose task broke: nobody knows, so it is tried again.
fn lost() -> Sent {
    let result = AttemptResult::Failed(HttpError::Broken);
    Sent {
        protocol: Protocol::Webhook,
        result,
        opening: None,
        reached: false,
    }
}

/// A receiver that is no longer configured: only ends of incidents go there, each with the key that
/// opened it.
fn ending_incidents(name: &str, url: &str) -> ReceiverSettings {
    ReceiverSettings {
        name: name.to_owned(),
        min_severity: Severity::Critical,
        matchers: BTreeMap::new(),
        fallback: None,
        group_by: None,
        repage_on: RepageOn::default(),
        http: HttpSettings::default(),
        template: crate::config::TemplateSettings::default(),
        kind: ReceiverKind::PagerDuty {
            routing_key: SecretSource::Inline(Secret::new("")),
            url: url.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
