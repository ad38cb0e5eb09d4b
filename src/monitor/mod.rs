//! The single owner of state: events in, actions and snapshots out.
//!
//! Sans-IO: no clock, no socket, no task. The caller reads the clock, hands in events and carries
//! out the actions; a test does the same in virtual time.

mod action;
mod alert_keys;
#[cfg(test)]
mod alert_tests;
mod alerting;
mod awake;
mod calm;
mod clusters;
mod context;
mod doctor;
#[cfg(test)]
mod due_tests;
mod event;
mod failover;
mod faults;
mod fleet;
mod foresight;
mod full_syncs;
mod inhibition;
mod isolation;
mod labels;
mod operations;
mod outage;
mod overload;
#[cfg(test)]
mod pause_tests;
mod poll_boost;
mod readings;
mod receivers;
#[cfg(test)]
mod restart_tests;
mod saved;
mod sentinels;
mod silences;
#[cfg(test)]
mod site_alert_tests;
mod site_alerts;
mod sites;
mod snapshot;
mod sources;
mod tick;

pub use action::{Action, StateChange};
pub use doctor::{DoctorSnapshot, FinishedAudit};
pub use event::*;
pub use failover::{EntryFailovers, Failover, FailoverLoss, Promotion};
pub use faults::ReloadFailure;
pub use isolation::Isolation;
pub use operations::{OperationError, OperationPhase, OperationSnapshot};
pub use overload::{PollCounts, PollingLoad};
pub use sites::{
    ActiveActiveSnapshot, ClockSnapshot, DirectionSnapshot, FRESH_FOR, OngoingFault, SiteSnapshot,
};
pub use snapshot::*;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::{NewSilence, SilenceError, SilenceId, Silences};
use crate::config::Settings;
use crate::delivery::{Deliveries, DeliveryEvent};
use crate::journal::Journal;
use crate::lost_writes::CaptureStatus;
use crate::model::{ClockAnchor, FleetShard, PairName, Span, Timestamp};
use crate::replication::{SavedState, ToSave};
use crate::topology::{SourceHealth, Topology};
use alerting::Alerting;
use awake::Awake;
use doctor::Doctor;
use fleet::{Fleet, FleetParts};
use operations::Operations;
use overload::Overload;
use receivers::Receivers;
use sites::Sites;
use sources::Sources;

/// How often rules are evaluated: an alert fires at most this much later than its rule requires.
pub const EVALUATION_TICK: Span = Span::from_millis(100);

/// How often lag is observed for the distribution: a fixed tick, so that the histogram shows time
/// and not polls.
const DISTRIBUTION_TICK: Span = Span::from_secs(1);

/// The state of everything that is watched.
#[derive(Debug)]
pub struct Monitor {
    fleet: Fleet,
    alerting: Alerting,
    shard: Option<FleetShard>,
    sources: Sources,
    receivers: Receivers,
    /// `notify.group_by`, for those who show alerts.
    group_by: Arc<[String]>,
    reload: ReloadStatus,
    polls: PollCounts,
    overload: Overload,
    deliveries: Arc<Deliveries>,
    journal: Journal,
    /// The captures of lost writes, and the files that wait for a person.
    captures: Arc<[CaptureStatus]>,
    operations: Operations,
    /// When the last drill of each pair passed, in Unix seconds.
    drills: Arc<[(PairName, f64)]>,
    doctor: Doctor,
    sites: Sites,
    /// Both clocks when they were last read.
    anchor: ClockAnchor,
    next_evaluation: Timestamp,
    next_distribution: Timestamp,
    awake: Awake,
    /// Whether every rule is evaluated in every tick, for tests.
    evaluates_all: bool,
}

impl Monitor {
    /// A monitor of the servers and pairs of `topology`, of which nothing is known yet.
    pub fn new(settings: &Settings, topology: &Topology, anchor: ClockAnchor) -> Self {
        let now = anchor.mono;
        let mut receivers = Receivers::default();
        receivers.reconfigure(&settings.notify);
        Self {
            fleet: Fleet::new(topology, settings.poll.interval, now),
            alerting: Alerting::new(settings, topology),
            shard: settings.shard,
            sources: Sources::default(),
            receivers,
            group_by: settings.notify.group_by.as_slice().into(),
            reload: ReloadStatus {
                failure: None,
                last_success: anchor.wall,
            },
            polls: PollCounts::default(),
            overload: Overload::default(),
            deliveries: Arc::default(),
            journal: Journal::new(anchor.wall),
            captures: Arc::default(),
            operations: Operations::default(),
            drills: Arc::default(),
            doctor: Doctor::new(settings.doctor.every),
            sites: Sites::new(settings, now),
            anchor,
            next_evaluation: now,
            next_distribution: now,
            awake: Awake::default(),
            evaluates_all: false,
        }
    }

    /// For tests: the same monitor, which evaluates every rule in every tick. What it does is the
    /// same, only slower.
    #[must_use]
    pub fn evaluating_all(mut self) -> Self {
        self.evaluates_all = true;
        self
    }

    /// The same monitor with the lag history from before a restart. Nothing of it is shown as if it
    /// were fresh: the servers' next answers decide what of it still holds.
    #[must_use]
    pub fn with_restored(mut self, state: SavedState) -> Self {
        self.fleet.restore(state);
        self
    }

    /// The lag history, which has to outlive the process.
    pub fn to_save(&self) -> ToSave<'_> {
        self.fleet.to_save()
    }

    /// Adopts a new configuration. What stays watched keeps its history and its alerts.
    pub fn reconfigure(&mut self, settings: &Settings, topology: &Topology, anchor: ClockAnchor) {
        self.fleet
            .reconfigure(topology, settings.poll.interval, anchor.mono);
        self.alerting
            .reconfigure(settings, topology, &BTreeSet::new(), anchor.mono);
        self.receivers.reconfigure(&settings.notify);
        self.group_by = settings.notify.group_by.as_slice().into();
        self.doctor.reconfigure(settings.doctor.every);
        self.sites.reconfigure(settings, anchor.mono);
        self.reload = ReloadStatus {
            failure: None,
            last_success: anchor.wall,
        };
    }

    /// Adopts a new topology of the same configuration: Sentinels name other servers, or another
    /// server is the master. What stays watched keeps its history and its alerts.
    pub fn retarget(&mut self, settings: &Settings, topology: &Topology, now: Timestamp) {
        let interval = settings.poll.interval;
        let promoted = self.fleet.follow(topology, interval, now);
        self.explain_failovers(promoted.iter(), now);
        self.alerting
            .reconfigure(settings, topology, &promoted, now);
        self.claim_alerts();
    }

    /// The entries whose master is another server by what the servers report. The caller makes the
    /// topology that follows them and hands it to [`Monitor::retarget`]. To be called after events;
    /// cheap while no replica reports that it is a master.
    pub fn promotions(&mut self, now: Timestamp) -> Vec<Promotion> {
        self.fleet.promotions(now)
    }

    /// Replaces the state of the discovery sources.
    pub fn note_sources(&mut self, sources: Vec<SourceHealth>, now: Timestamp) {
        let keys = self.sources.update(sources, now);
        self.alerting.retire_source_alerts(&keys, now);
    }

    /// Sets both clocks. Only silences and maintenance windows follow the wall clock.
    pub fn update_clocks(&mut self, anchor: ClockAnchor) {
        self.observe_running(anchor.mono);
        self.anchor = anchor;
    }

    /// Records that this program runs at `now`. To be called before events that arrived meanwhile
    /// are handled: a time in which the program did not run proves nothing about servers and
    /// receivers.
    pub fn observe_running(&mut self, now: Timestamp) {
        let Some(pause) = self.awake.observe(now, self.fleet.interval()) else {
            return;
        };
        self.fleet.exporter_paused(pause);
        self.sources.note_pause(pause);
        self.receivers.exporter_paused(pause);
        self.sites.note_pause(pause);
        self.alerting.exporter_paused(pause);
        self.overload.exporter_paused();
    }

    /// Creates a silence.
    ///
    /// # Errors
    /// The silence is not valid; the error's text is a sentence with the reason.
    pub fn silence(
        &mut self,
        new: NewSilence,
        anchor: ClockAnchor,
    ) -> Result<SilenceId, SilenceError> {
        self.anchor = anchor;
        self.alerting.silences_mut().add(new, anchor.wall)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// There is no such silence, or it has expired.
    pub fn expire_silence(
        &mut self,
        id: &SilenceId,
        anchor: ClockAnchor,
    ) -> Result<(), SilenceError> {
        self.anchor = anchor;
        self.alerting.silences_mut().expire(id, anchor.wall)
    }

    /// Every silence.
    pub fn silences(&self) -> &Silences {
        &self.alerting.mutes().silences
    }

    /// Records that a reload was refused, and why; the old configuration stays in force.
    pub fn reload_failed(&mut self, why: &str, now: Timestamp) {
        let since = match &self.reload.failure {
            Some(earlier) => earlier.since,
            None => now,
        };
        self.reload.failure = Some(ReloadFailure::new(since, why));
    }

    /// Handles an event of polling.
    pub fn handle_poll(&mut self, event: PollEvent) {
        if let Some(at) = event.at() {
            self.observe_running(at);
        }
        let changed = self.fleet.handle(event);
        if let Some(index) = changed
            && let Some((server, facts)) = self.fleet.server(index)
        {
            self.alerting.begin_to_count(&server.addr, facts);
        }
    }

    /// Handles an event of delivery.
    pub fn handle_delivery(&mut self, event: &DeliveryEvent, now: Timestamp) {
        self.receivers.handle(event, now);
    }

    /// Replaces what is known of captures of lost writes.
    pub fn note_captures(&mut self, statuses: Vec<CaptureStatus>) {
        self.captures = statuses.into();
    }

    /// Replaces what is known of drills: when the last one of each pair passed, in Unix seconds.
    pub fn note_drills(&mut self, last: Arc<[(PairName, f64)]>) {
        self.drills = last;
    }

    /// Sets what is shown of deliveries.
    pub fn set_deliveries(&mut self, deliveries: Deliveries) {
        self.deliveries = Arc::new(deliveries);
    }

    /// Records what polling has done and lost since the start, as of `now`. The interval in force
    /// is the one by which pairs are judged.
    pub fn record_polls(&mut self, polls: PollCounts, now: Timestamp) {
        self.polls = polls;
        if polls.paced > Span::ZERO {
            self.fleet.set_interval(polls.paced);
        }
        self.overload.record(polls, now);
    }

    /// Makes what has changed of a snapshot since this was last called. The snapshots that follow
    /// share it; without this each makes its own.
    pub fn prepare_snapshot(&mut self, now: Timestamp) {
        self.fleet.prepare_snapshot(now);
        self.alerting.prepare_list(now);
    }

    /// The state of everything that is watched, at the anchor's instant.
    pub fn snapshot(&self, anchor: ClockAnchor) -> FleetSnapshot {
        let FleetParts { servers, pairs } = self.fleet.snapshot(anchor.mono);
        FleetSnapshot {
            anchor,
            pairs,
            servers,
            sources: self.sources.health(),
            failovers: self.fleet.failovers.list(),
            lag_distribution: self.fleet.distributions.lag.clone(),
            latency: self.fleet.distributions.latency.clone(),
            lateness: self.fleet.distributions.lateness.clone(),
            alerts: self.alerting.listed(anchor.mono),
            group_by: Arc::clone(&self.group_by),
            silences: self.silences().list(anchor.wall),
            maintenance: self.alerting.mutes().open_windows(),
            receivers: self.receivers.snapshot(anchor.mono),
            deliveries: Arc::clone(&self.deliveries),
            polls: self.polls,
            load: self.overload.load(),
            journal: self.journal.clone(),
            shard: self.shard,
            captures: Arc::clone(&self.captures),
            operations: self.operations.list(),
            drills: Arc::clone(&self.drills),
            doctor: self.doctor.snapshot(),
            active_active: self.sites.snapshot(anchor.mono),
            reload: self.reload.clone(),
            ready: self.fleet.all_polled() && self.sources.all_queried(),
        }
    }
}
