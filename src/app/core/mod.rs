//! The core's loop: events go into the monitor one by one, actions come out, snapshots are
//! published.

mod commands;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use super::systemd::{Notifier, Watchdog};
use super::watched::{Watched, WatchedChange};
use super::{LoadSettings, log};
use crate::admin::AdminRequest;
use crate::clock;
use crate::config::{ConfigErrors, ListenAddress};
use crate::delivery::DeliveryEvent;
use crate::discovery::Discovery;
use crate::model::{Persisted, SaveScope, SavedDocuments, Span, Timestamp};
use crate::monitor::{Action, FleetSnapshot, Monitor, PUBLISHED_EVERY, PollEvent, PollLosses};
use crate::notify::{Dispatcher, PeriodicSenders};
use crate::poll::Poller;
use crate::report::ReloadReport;
use crate::store::{DocumentChanges, SaveDue, Store, Urgency};
use crate::topology::DiscoveryEvent;

/// Events that are taken in at once before anything else gets its turn.
const BATCH: usize = 256;

/// Snapshots are published at most this often ...
const PUBLISH_EVERY: Span = Span::from_millis(20);

/// ... and take at most this part of the core's time, however large the fleet is.
const PUBLISH_SHARE: f64 = 0.1;

/// How long the state may take to be written a last time: a disk that hangs must not hold up the
/// end.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// Where events come from.
pub(super) struct Inputs {
    pub(super) polls: mpsc::Receiver<PollEvent>,
    pub(super) discovery: mpsc::Receiver<DiscoveryEvent>,
    /// Delivery events of periodic receivers; the dispatcher reports its own when asked.
    pub(super) deliveries: mpsc::Receiver<DeliveryEvent>,
    pub(super) admin: mpsc::Receiver<AdminRequest>,
    /// The order to drain, with the time that it may take.
    pub(super) drain: oneshot::Receiver<Duration>,
}

/// The monitor and what carries out its actions.
pub(super) struct Core {
    pub(super) monitor: Monitor,
    pub(super) poller: Poller,
    pub(super) discovery: Discovery,
    pub(super) dispatcher: Dispatcher,
    pub(super) periodic_senders: PeriodicSenders,
    pub(super) watched: Watched,
    pub(super) store: Store,
    pub(super) publish: watch::Sender<Arc<FleetSnapshot>>,
    pub(super) load: LoadSettings,
    /// The address that was bound, as it was given.
    pub(super) listen: ListenAddress,
    pub(super) notifier: Notifier,
    pub(super) watchdog: Watchdog,
}

/// When snapshots are published.
struct Pace {
    next: Timestamp,
    /// When a snapshot is published although nothing changed.
    at_the_latest: Timestamp,
    dirty: bool,
}

impl Core {
    /// Runs until it is drained, or nobody is left who could ask for it.
    pub(super) async fn run(mut self, mut inputs: Inputs) {
        let mut pace = Pace {
            next: clock::now(),
            at_the_latest: clock::now(),
            dirty: true,
        };
        let mut polls = Vec::with_capacity(BATCH);
        self.notifier.ready();
        loop {
            let wait = (self.next_wakeup(&pace) - clock::now()).to_duration();
            tokio::select! {
                count = inputs.polls.recv_many(&mut polls, BATCH), if !inputs.polls.is_closed() => {
                    pace.dirty |= count > 0;
                    polls.drain(..).for_each(|event| self.monitor.handle_poll(event));
                }
                Some(event) = inputs.discovery.recv() => {
                    pace.dirty = true;
                    self.monitor.observe_running(clock::now());
                    self.handle_discovery(event);
                }
                Some(event) = inputs.deliveries.recv() => {
                    pace.dirty = true;
                    self.monitor.observe_running(clock::now());
                    self.monitor.handle_delivery(&event, clock::now());
                }
                () = self.dispatcher.news() => {}
                () = self.store.next_event() => {}
                Some(request) = inputs.admin.recv() => {
                    pace.dirty = true;
                    request.serve(|command| self.execute(command));
                }
                within = &mut inputs.drain => match within {
                    Ok(within) => return self.drain(within).await,
                    // Nobody is left to give the order.
                    Err(_) => return,
                },
                () = tokio::time::sleep(wait) => {}
            }
            self.act(&mut pace, &mut inputs.polls);
            self.watchdog.alive(clock::now());
        }
    }

    fn next_wakeup(&self, pace: &Pace) -> Timestamp {
        let tick = self.monitor.next_wakeup();
        let durable = self.store.durable(clock::now());
        let saving = self.store.next_wakeup(self.urgency());
        let others = [
            self.watchdog.due(),
            self.dispatcher.next_wakeup(durable),
            saving,
        ];
        let tick = others.into_iter().flatten().fold(tick, Timestamp::min);
        if pace.dirty {
            tick.min(pace.next)
        } else {
            tick
        }
    }

    /// Evaluates the rules if it is time to, carries out what they ask for, and publishes what
    /// changed.
    fn act(&mut self, pace: &mut Pace, polls: &mut mpsc::Receiver<PollEvent>) {
        self.monitor.observe_running(clock::now());
        if clock::now() >= self.monitor.next_wakeup() {
            // What an overloaded core has not heard yet must not count as silence.
            self.take_in_what_waits(polls);
        }
        for promotion in self.monitor.promotions(clock::now()) {
            if self.watched.follow(&promotion) {
                self.retarget();
            }
        }
        self.monitor.update_clocks(clock::anchor());
        for action in self.monitor.tick(clock::now()) {
            pace.dirty = true;
            match action {
                Action::Notify(notification) => {
                    log::notification(&notification);
                    self.dispatcher.send(notification);
                }
                Action::BoostPolling {
                    tree,
                    server,
                    until,
                    is_back,
                } => {
                    self.poller.boost(&tree, &server, until, is_back);
                }
                Action::LinkDelay {
                    tree,
                    replica,
                    delay,
                } => self.poller.set_link_delay(&tree, &replica, delay),
                Action::StateChanged(change) => log::state_changed(&change),
                Action::AlertChanged(transition) => log::alert_changed(&transition),
                Action::Paused(pause) => log::paused(&pause),
            }
        }
        pace.dirty |= self.keep_and_send();
        pace.dirty |= clock::now() >= pace.at_the_latest;
        if pace.dirty && clock::now() >= pace.next {
            pace.dirty = false;
            let began = clock::now();
            self.take_in_what_waits(polls);
            self.monitor.record_poll_losses(PollLosses {
                dropped_events: self.poller.dropped_events(),
                missed_rounds: self.poller.missed_rounds(),
            });
            self.publish
                .send_replace(Arc::new(self.monitor.snapshot(clock::anchor())));
            let now = clock::now();
            pace.next = now + PUBLISH_EVERY.max((now - began).mul_f64(1.0 / PUBLISH_SHARE));
            pace.at_the_latest = now + PUBLISHED_EVERY;
        }
    }

    /// Writes what is to be written, sends what is on the disk, and takes in what came of it.
    /// Returns whether anything changed that is shown.
    fn keep_and_send(&mut self) -> bool {
        if let Some(late) = self.store.take_late_documents() {
            warn!("the state of the last run was read late: what it left undone is taken in now");
            self.restore(&late);
        }
        let anchor = clock::anchor();
        if let Some(SaveDue { lag, all }) = self.store.due(anchor.mono, self.urgency()) {
            let mut changes = self.changes(all);
            if lag {
                let charts = self.monitor.take_charts(anchor.mono, false);
                changes.documents.extend(charts);
            }
            self.store
                .save(anchor, lag.then(|| self.monitor.to_save()), changes);
        }
        let durable = self.store.durable(anchor.mono);
        self.dispatcher.act(durable);
        for event in self.dispatcher.take_events() {
            self.monitor.handle_delivery(&event, clock::now());
        }
        let deliveries = self.dispatcher.deliveries();
        let changed = deliveries.is_some();
        if let Some(deliveries) = deliveries {
            self.monitor.set_deliveries(deliveries);
        }
        changed
    }

    /// What the disk has to be told of alerts and their delivery, in one transaction.
    fn changes(&mut self, all: bool) -> DocumentChanges {
        let anchor = clock::anchor();
        let mut documents = self.monitor.take_unsaved(SaveScope { all, anchor });
        documents.extend(self.dispatcher.take_unsaved(all));
        DocumentChanges {
            documents,
            revision: self.dispatcher.revision(),
        }
    }

    fn urgency(&self) -> Urgency {
        if self
            .dispatcher
            .waits_for_disk(self.store.durable(clock::now()))
        {
            Urgency::Now
        } else if self.dispatcher.has_unsaved() || self.monitor.has_unsaved() {
            Urgency::Soon
        } else {
            Urgency::Nothing
        }
    }

    /// Takes in what an earlier life left undone.
    pub(super) fn restore(&mut self, documents: &SavedDocuments) {
        for refusal in self.monitor.restore(documents, clock::now()) {
            warn!(error = refusal, "a part of the alerts' state is not taken");
        }
        self.dispatcher.restore(documents);
        let monitor = &self.monitor;
        self.dispatcher
            .end_orphans(|receiver, group| monitor.knows_group(receiver, group));
    }

    /// A snapshot holds every event that was queued before its instant: whoever waited for a poll
    /// finds it there.
    fn take_in_what_waits(&mut self, polls: &mut mpsc::Receiver<PollEvent>) {
        // No more than waits now: what comes meanwhile would keep the snapshot from being taken.
        for _ in 0..polls.len() {
            let Ok(event) = polls.try_recv() else { break };
            self.monitor.handle_poll(event);
        }
    }

    /// Loads the configuration anew. One that is refused changes nothing.
    pub(super) fn reload(&mut self) -> Result<ReloadReport, ConfigErrors> {
        let _reloading = self.notifier.reloading();
        let settings = (self.load)().map_err(|errors| {
            error!(%errors, "the new configuration is refused; the old one stays in force");
            self.monitor
                .reload_failed(&errors.to_string(), clock::now());
            errors
        })?;
        let diff = self.watched.reconfigure(settings);
        let Watched {
            settings, topology, ..
        } = &self.watched;
        let report = ReloadReport::new(&diff, settings.notify.receivers.len());
        log::reloaded(&report, settings);
        log::check_receivers(&settings.notify);
        log::state_folder(self.store.folder(), settings);
        log::listen_address(&self.listen, settings);
        self.poller.reload(topology, settings.poll);
        self.discovery.reload(settings);
        self.monitor
            .reconfigure(settings, topology, clock::anchor());
        self.dispatcher.reload(&settings.notify);
        self.periodic_senders.reload(&settings.notify);
        self.monitor
            .note_sources(self.watched.sources(), clock::now());
        Ok(report)
    }

    /// Applies the answer of a discovery source's reporter. What it changes is followed at once, as
    /// after a reload.
    fn handle_discovery(&mut self, event: DiscoveryEvent) {
        let WatchedChange {
            topology_changed,
            sources,
        } = self.watched.handle_discovery(event, clock::now());
        if topology_changed {
            self.retarget();
        }
        if let Some(sources) = sources {
            self.monitor.note_sources(sources, clock::now());
        }
    }

    /// Polls and watches what the topology says now.
    fn retarget(&mut self) {
        let Watched {
            settings, topology, ..
        } = &self.watched;
        self.poller.reload(topology, settings.poll);
        self.monitor.retarget(settings, topology, clock::now());
    }

    async fn drain(mut self, within: Duration) {
        self.discovery.stop().await;
        self.poller.stop().await;
        let deadline = clock::now() + Span::from(within);
        while clock::now() < deadline && !self.dispatcher.is_idle_until(deadline) {
            let durable = self.store.durable(clock::now());
            let others = [
                self.dispatcher.next_wakeup(durable),
                self.store.next_wakeup(self.urgency()),
            ];
            let next = others.into_iter().flatten().fold(deadline, Timestamp::min);
            tokio::select! {
                () = self.dispatcher.news() => {}
                () = self.store.next_event() => {}
                () = tokio::time::sleep((next - clock::now()).to_duration()) => {}
            }
            self.keep_and_send();
        }
        let mut changes = self.changes(self.store.wants_all());
        let charts = self.monitor.take_charts(clock::now(), true);
        changes.documents.extend(charts);
        let kept = self.store.is_open();
        self.dispatcher.log_left(kept);
        let left = (deadline - clock::now()).to_duration();
        let state = self
            .store
            .finish(clock::anchor(), self.monitor.to_save(), changes, LAST_SAVE);
        tokio::join!(state, self.periodic_senders.drain(left));
    }
}
