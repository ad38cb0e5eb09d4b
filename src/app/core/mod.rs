//! The core's loop: feeds events to the monitor one by one, performs its actions, and publishes
//! snapshots.

mod commands;
mod publishing;
mod thread;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tracing::{error, warn};

use super::audit::{AuditPlan, AuditRuns};
use super::systemd::{Notifier, Watchdog};
use super::watched::{Watched, WatchedChange};
use super::{LoadSettings, log};
use crate::admin::AdminRequest;
use crate::app::drill_watch::LastDrills;
use crate::capture::{AutomaticCapture, CaptureEvent};
use crate::clock;
use crate::config::{ConfigErrors, ListenAddress};
use crate::delivery::DeliveryEvent;
use crate::discovery::Discovery;
use crate::doctor::DoctorReport;
use crate::model::{ClockAnchor, Persisted, SaveScope, SavedDocuments, Span, Timestamp};
use crate::monitor::{Action, FleetSnapshot, Monitor, PollEvent};
use crate::notify::{Dispatcher, PeriodicSenders};
use crate::poll::Poller;
use crate::report::ReloadReport;
use crate::site_watch::SiteWatch;
use crate::sites::SiteEvent;
use crate::store::{DocumentChanges, SaveDue, Store, Urgency};
use crate::topology::DiscoveryEvent;
use crate::web::CorePulse;

use publishing::PublishSchedule;
pub(super) use thread::spawn;

/// Poll events that are handled at once before anything else gets its turn.
const BATCH: usize = 256;

/// How long the last save may take: a disk that hangs must not hold up the end.
const LAST_SAVE: Duration = Duration::from_secs(5);

/// What the loop waits for.
pub(super) struct Inputs {
    pub(super) events: Events,
    pub(super) admin: mpsc::Receiver<AdminRequest>,
    /// The order to drain, with the time that it may take.
    pub(super) drain: oneshot::Receiver<Duration>,
}

/// What other tasks have observed.
pub(super) struct Events {
    pub(super) polls: mpsc::Receiver<PollEvent>,
    pub(super) discoveries: mpsc::Receiver<DiscoveryEvent>,
    pub(super) captures: mpsc::Receiver<CaptureEvent>,
    pub(super) drills: watch::Receiver<LastDrills>,
    pub(super) sites: mpsc::Receiver<SiteEvent>,
    /// Results of periodic senders; the dispatcher returns its own.
    pub(super) deliveries: mpsc::Receiver<DeliveryEvent>,
}

/// The monitor, and the parts that perform its actions.
pub(super) struct Core {
    pub(super) monitor: Monitor,
    pub(super) poller: Poller,
    pub(super) discovery: Discovery,
    pub(super) capture: AutomaticCapture,
    pub(super) site_watch: SiteWatch,
    pub(super) dispatcher: Dispatcher,
    pub(super) periodic_senders: PeriodicSenders,
    pub(super) watched: Watched,
    pub(super) audits: AuditRuns,
    pub(super) store: Store,
    pub(super) publish: watch::Sender<Arc<FleetSnapshot>>,
    /// Notified when a reader waits for a snapshot.
    pub(super) wanted: Arc<Notify>,
    pub(super) load: LoadSettings,
    /// The address that was bound, as it was given.
    pub(super) listen: ListenAddress,
    pub(super) notifier: Notifier,
    pub(super) watchdog: Watchdog,
    /// For `/-/healthy`.
    pub(super) pulse: CorePulse,
    /// Where tasks that the core starts run.
    pub(super) runtime: Handle,
}

impl Core {
    /// Runs until it is drained, or until nobody is left who could order that.
    pub(super) async fn run(mut self, inputs: Inputs) {
        let Inputs {
            mut events,
            mut admin,
            mut drain,
        } = inputs;
        let mut schedule = PublishSchedule::new(clock::now());
        let wanted = Arc::clone(&self.wanted);
        let mut polls = Vec::with_capacity(BATCH);
        let mut found = Vec::new();
        self.notifier.ready();
        loop {
            let wait = (self.next_wakeup(&schedule) - clock::now()).to_duration();
            tokio::select! {
                _ = events.polls.recv_many(&mut polls, BATCH), if !events.polls.is_closed() => {
                    self.monitor.skip_ticks(clock::now());
                    for event in polls.drain(..) {
                        self.monitor.handle_poll(event);
                    }
                }
                count = events.discoveries.recv_many(&mut found, BATCH), if !events.discoveries.is_closed() => {
                    if count > 0 {
                        schedule.want();
                    }
                    self.monitor.observe_running(clock::now());
                    self.handle_discoveries(found.drain(..));
                }
                Some(CaptureEvent { statuses }) = events.captures.recv() => {
                    schedule.want();
                    self.monitor.note_captures(statuses);
                }
                Ok(()) = events.drills.changed() => {
                    schedule.want();
                    self.monitor.note_drills(Arc::clone(&events.drills.borrow_and_update()));
                }
                Some(event) = events.sites.recv() => {
                    schedule.want();
                    self.monitor.handle_sites(event);
                }
                Some(event) = events.deliveries.recv() => {
                    schedule.want();
                    self.monitor.observe_running(clock::now());
                    self.monitor.handle_delivery(&event, clock::now());
                }
                () = self.dispatcher.next_event() => {}
                () = self.store.next_event() => {}
                outcome = self.audits.next_outcome() => {
                    schedule.want();
                    self.end_audit(outcome);
                }
                Some(request) = admin.recv() => {
                    schedule.want();
                    request.serve(|command| self.execute(command));
                }
                within = &mut drain => match within {
                    // Kept on the heap: it would make the loop's future several times as large.
                    Ok(within) => return Box::pin(self.drain(within)).await,
                    // Nobody is left to give the order.
                    Err(_) => return,
                },
                () = wanted.notified() => schedule.want(),
                () = tokio::time::sleep(wait) => {}
            }
            self.act(&mut schedule, &mut events.polls);
            self.watchdog.alive(clock::now());
            self.pulse.beat();
        }
    }

    fn next_wakeup(&self, schedule: &PublishSchedule) -> Timestamp {
        let durable = self.store.durable(clock::now());
        let mut next = self.monitor.next_wakeup().min(schedule.due());
        let others = [
            self.watchdog.due(),
            self.dispatcher.next_wakeup(durable),
            self.store.next_wakeup(self.urgency()),
            self.audits.next_wakeup(),
        ];
        for other in others.into_iter().flatten() {
            next = next.min(other);
        }
        next
    }

    /// Evaluates the rules if that is due, performs the monitor's actions, and publishes what
    /// changed.
    fn act(&mut self, schedule: &mut PublishSchedule, polls: &mut mpsc::Receiver<PollEvent>) {
        let runtime = self.runtime.clone();
        let _tasks = runtime.enter();
        self.monitor.observe_running(clock::now());
        if clock::now() >= self.monitor.next_wakeup() {
            // Events that an overloaded core has not handled yet must not count as silence.
            self.handle_queued(polls);
        }
        let promotions = self.monitor.promotions(clock::now());
        if self.watched.follow(&promotions) {
            self.retarget();
        }
        self.monitor.update_clocks(clock::anchor());
        self.monitor.skip_ticks(clock::now());
        for action in self.monitor.tick(clock::now()) {
            schedule.want();
            self.perform(action);
        }
        if self.audits.is_due(clock::now()) {
            schedule.want();
            self.begin_audit();
        }
        if self.save_and_send() {
            schedule.want();
        }
        let began = clock::now();
        if began >= schedule.due() {
            self.handle_queued(polls);
            self.publish();
            let now = clock::now();
            schedule.published(now, now - began);
        }
    }

    fn perform(&mut self, action: Action) {
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
            } => self.poller.boost(&tree, &server, until, is_back),
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

    /// Begins an audit of everything that is watched, unless one is running. Returns whether it
    /// did.
    pub(super) fn begin_audit(&mut self) -> bool {
        let plan = AuditPlan {
            settings: self.watched.settings.clone(),
            entries: self.watched.entries(),
            sources: self.watched.source_health(),
            histories: self.monitor.write_histories(),
        };
        if !self.audits.begin(plan, clock::now()) {
            return false;
        }
        self.monitor.audit_began(clock::now());
        true
    }

    fn end_audit(&mut self, outcome: Result<DoctorReport, String>) {
        log::audited(&outcome);
        self.monitor.audit_ended(outcome, clock::now());
    }

    fn publish(&mut self) {
        let now = clock::now();
        self.poller.keep_pace(now);
        self.record_polls();
        self.monitor.prepare_snapshot(now);
        let snapshot = self.monitor.snapshot(clock::anchor());
        self.publish.send_replace(Arc::new(snapshot));
    }

    /// Tells the monitor what polling has done, and the interval in force: by that pairs are
    /// judged, not by the configured one.
    fn record_polls(&mut self) {
        let now = clock::now();
        self.monitor.record_polls(self.poller.counts(now), now);
    }

    /// Saves what is due, starts deliveries that are on the disk, and handles their results.
    /// Returns whether anything changed that snapshots show.
    fn save_and_send(&mut self) -> bool {
        let runtime = self.runtime.clone();
        let _tasks = runtime.enter();
        if let Some(late) = self.store.take_late_documents() {
            warn!("the state of the last run was read late: it is restored now");
            self.restore(&late);
        }
        let anchor = clock::anchor();
        if let Some(due) = self.store.due(anchor.mono, self.urgency()) {
            self.save(due, anchor);
        }
        let durable = self.store.durable(anchor.mono);
        self.dispatcher.act(durable);
        for event in self.dispatcher.take_events() {
            self.monitor.handle_delivery(&event, clock::now());
        }
        let Some(deliveries) = self.dispatcher.deliveries() else {
            return false;
        };
        self.monitor.set_deliveries(deliveries);
        true
    }

    fn save(&mut self, due: SaveDue, anchor: ClockAnchor) {
        let mut changes = self.changes(due.all);
        let mut state = None;
        if due.lag {
            let charts = self.monitor.take_charts(anchor.mono, false);
            changes.documents.extend(charts);
            state = Some(self.monitor.to_save());
        }
        self.store.save(anchor, state, changes);
    }

    /// The unsaved changes of alerts and their delivery, for one transaction.
    fn changes(&mut self, all: bool) -> DocumentChanges {
        let anchor = clock::anchor();
        let scope = SaveScope { all, anchor };
        let mut documents = self.monitor.take_unsaved(scope);
        documents.extend(self.dispatcher.take_unsaved(scope));
        DocumentChanges {
            documents,
            revision: self.dispatcher.revision(),
        }
    }

    fn urgency(&self) -> Urgency {
        let durable = self.store.durable(clock::now());
        if self.dispatcher.waits_for_disk(durable) {
            Urgency::Now
        } else if self.dispatcher.has_unsaved() || self.monitor.has_unsaved() {
            Urgency::Soon
        } else {
            Urgency::Nothing
        }
    }

    /// Restores alerts and deliveries of an earlier run.
    pub(super) fn restore(&mut self, documents: &SavedDocuments) {
        let now = clock::now();
        for refusal in self.monitor.restore(documents, now) {
            warn!(
                error = refusal,
                "a part of the alerts' state cannot be restored"
            );
        }
        for refusal in self.dispatcher.restore(documents, now) {
            warn!(error = refusal, "a part of the outbox cannot be restored");
        }
        let monitor = &self.monitor;
        self.dispatcher
            .end_orphans(|receiver, group| monitor.knows_group(receiver, group));
    }

    /// Handles the events that are queued now, so that a snapshot has every event from before its
    /// instant: a caller that waited for a poll finds its result there.
    fn handle_queued(&mut self, polls: &mut mpsc::Receiver<PollEvent>) {
        // No more than that: events that arrive meanwhile could delay the snapshot without end.
        for _ in 0..polls.len() {
            let Ok(event) = polls.try_recv() else { break };
            self.monitor.handle_poll(event);
        }
    }

    /// Loads the configuration again. One with errors changes nothing.
    pub(super) fn reload(&mut self) -> Result<ReloadReport, ConfigErrors> {
        let _reloading = self.notifier.reloading();
        let settings = match (self.load)() {
            Ok(settings) => settings,
            Err(errors) => {
                error!(%errors, "the new configuration is refused; the old one stays in force");
                let sentence = errors.to_string();
                self.monitor.reload_failed(&sentence, clock::now());
                return Err(errors);
            }
        };
        let diff = self.watched.reconfigure(settings);
        let receivers = self.watched.settings.notify.receivers.len();
        let report = ReloadReport::new(&diff, receivers);
        self.apply_settings(&report);
        Ok(report)
    }

    /// Gives the settings that are in force now to every part of the program.
    fn apply_settings(&mut self, report: &ReloadReport) {
        let Watched {
            settings, topology, ..
        } = &self.watched;
        log::reloaded(report, settings);
        log::check_receivers(&settings.notify);
        log::state_folder(self.store.folder(), settings);
        log::listen_address(&self.listen, settings);
        self.poller.reload(topology, settings.poll);
        self.discovery
            .reload(settings, &self.watched.learned_reporters());
        self.capture.reload(settings);
        self.site_watch.reload(settings);
        self.audits.reconfigure(settings.doctor.every, clock::now());
        self.monitor
            .reconfigure(settings, topology, clock::anchor());
        self.dispatcher.reload(&settings.notify);
        self.periodic_senders.reload(&settings.notify);
        self.monitor
            .note_sources(self.watched.sources(), clock::now());
        self.record_polls();
    }

    /// Applies what discovery sources say. What it changes is followed at once, as after a reload.
    fn handle_discoveries(&mut self, events: impl IntoIterator<Item = DiscoveryEvent>) {
        let runtime = self.runtime.clone();
        let _tasks = runtime.enter();
        let WatchedChange {
            topology_changed,
            reporters_changed,
            sources,
        } = self.watched.handle_discoveries(events, clock::now());
        if topology_changed {
            self.retarget();
        }
        if reporters_changed {
            let learned = self.watched.learned_reporters();
            self.discovery.reload(&self.watched.settings, &learned);
        }
        if let Some(sources) = sources {
            self.monitor.note_sources(sources, clock::now());
        }
    }

    /// Polls and monitors the present topology.
    fn retarget(&mut self) {
        let Watched {
            settings, topology, ..
        } = &self.watched;
        self.poller.reload(topology, settings.poll);
        self.monitor.retarget(settings, topology, clock::now());
        self.record_polls();
    }

    /// Stops polling, delivers what is due within the time, and saves the state a last time.
    async fn drain(mut self, within: Duration) {
        self.discovery.stop().await;
        self.site_watch.stop().await;
        self.poller.stop().await;
        let deadline = clock::now() + Span::from(within);
        self.deliver_until(deadline).await;
        Box::pin(self.finish(deadline)).await;
    }

    /// Delivers what is due before `deadline`.
    async fn deliver_until(&mut self, deadline: Timestamp) {
        while clock::now() < deadline && !self.dispatcher.is_idle_until(deadline) {
            let durable = self.store.durable(clock::now());
            let mut next = deadline;
            let wakeups = [
                self.dispatcher.next_wakeup(durable),
                self.store.next_wakeup(self.urgency()),
            ];
            for wakeup in wakeups.into_iter().flatten() {
                next = next.min(wakeup);
            }
            tokio::select! {
                () = self.dispatcher.next_event() => {}
                () = self.store.next_event() => {}
                () = tokio::time::sleep((next - clock::now()).to_duration()) => {}
            }
            self.save_and_send();
        }
    }

    /// Saves the state a last time, and lets periodic senders send their last changes.
    async fn finish(mut self, deadline: Timestamp) {
        let mut changes = self.changes(self.store.wants_all());
        let charts = self.monitor.take_charts(clock::now(), true);
        changes.documents.extend(charts);
        let kept = self.store.is_open();
        self.dispatcher.log_undelivered(kept);
        let left = (deadline - clock::now()).to_duration();
        let state = self.monitor.to_save();
        let saved = self
            .store
            .finish(clock::anchor(), state, changes, LAST_SAVE);
        tokio::join!(saved, self.periodic_senders.drain(left));
    }
}
