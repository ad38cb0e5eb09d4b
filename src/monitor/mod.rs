//! The single owner of state: events in, actions and snapshots out.
//!
//! Sans-IO: no clock, no socket, no task. Whoever runs it reads the clock, hands in events and
//! carries out the actions; a test does the same in virtual time.

mod alert_keys;
#[cfg(test)]
mod alert_tests;
mod alerting;
mod awake;
mod chart;
mod context;
mod event;
mod failover;
mod faults;
mod fleet;
mod full_syncs;
mod inhibition;
mod isolation;
mod journal;
mod outage;
#[cfg(test)]
mod pause_tests;
mod poll_boost;
mod readings;
mod receivers;
#[cfg(test)]
mod restart_tests;
mod saved;
mod sentinels;
mod snapshot;
mod sources;

pub use chart::{ChartPoint, ChartTier, PairChart, PastState};
pub use event::*;
pub use failover::{EntryFailovers, Failover, Loss, Succession};
pub use faults::ReloadFailure;
pub use isolation::Isolation;
pub use journal::{Happening, Journal, NotedChange, What};
pub use snapshot::*;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::{
    DueNotifications, NewSilence, Notification, SilenceError, SilenceId, Silences, Transition,
};
use crate::config::Settings;
use crate::model::{ClockAnchor, PairKey, ServerAddr, Span, Timestamp};
use crate::replication::{Assessment, Gap, PairState, Pause, SavedState, StateReason, ToSave};
use crate::topology::{SourceHealth, Topology, TreeId};
use alerting::{Alerting, PairLook};
use awake::Awake;
use fleet::Fleet;
use receivers::Receivers;
use sources::Sources;

/// How often rules are evaluated. An alert fires at most this much later than its rule says.
pub const EVALUATION_TICK: Span = Span::from_millis(100);

/// How often lag is observed for the distribution: a fixed tick, so that the histogram shows time
/// and not polls.
const DISTRIBUTION_TICK: Span = Span::from_secs(1);

/// What the monitor wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell a receiver.
    Notify(Notification),
    /// Log that a pair's state changed.
    StateChanged(StateChange),
    /// Log that an alert began, changed its severity or ended.
    AlertChanged(Transition),
    /// Log that this program did not run for a time.
    Paused(Pause),
    /// Poll a server, and the roots of its tree, at `poll.min_interval` until then.
    BoostPolling {
        /// The tree.
        tree: TreeId,
        /// The server.
        server: ServerAddr,
        /// Until when.
        until: Timestamp,
        /// Whether its master says that it is there again: no reason to wait before the next
        /// connection.
        is_back: bool,
    },
    /// The link to a replica takes so long: its poll may trail its master's accordingly.
    LinkDelay {
        /// The tree.
        tree: TreeId,
        /// The replica.
        replica: ServerAddr,
        /// One way.
        delay: Span,
    },
}

/// A pair's state changed.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// The pair.
    pub pair: PairKey,
    /// Its state before; `None` for the first.
    pub from: Option<PairState>,
    /// Its state now.
    pub to: PairState,
    /// Why.
    pub reason: StateReason,
}

/// The state of everything that is watched.
#[derive(Debug)]
pub struct Monitor {
    fleet: Fleet,
    alerting: Alerting,
    sources: Sources,
    receivers: Receivers,
    reload: ReloadStatus,
    losses: PollLosses,
    deliveries: Arc<Deliveries>,
    past: saved::Past,
    journal: Journal,
    /// The last look at both clocks.
    anchor: ClockAnchor,
    next_evaluation: Timestamp,
    next_distribution: Timestamp,
    awake: Awake,
}

impl Monitor {
    /// Begins to watch what `settings` and `topology` say.
    pub fn new(settings: &Settings, topology: &Topology, anchor: ClockAnchor) -> Self {
        let now = anchor.mono;
        let mut receivers = Receivers::default();
        receivers.reconfigure(&settings.notify);
        Self {
            fleet: Fleet::new(topology, settings.poll.interval, now),
            alerting: Alerting::new(settings, topology),
            sources: Sources::default(),
            receivers,
            reload: ReloadStatus {
                failure: None,
                last_success: anchor.wall,
            },
            losses: PollLosses::default(),
            deliveries: Arc::default(),
            past: saved::Past::default(),
            journal: Journal::begin(anchor.wall),
            anchor,
            next_evaluation: now,
            next_distribution: now,
            awake: Awake::default(),
        }
    }

    /// The same monitor with what was kept before a restart. Nothing of it is shown as if it were
    /// fresh: the servers' next answers decide what of it still holds.
    #[must_use]
    pub fn with_restored(mut self, state: SavedState) -> Self {
        self.fleet.restore(state);
        self
    }

    /// What a restart must not forget.
    pub fn to_save(&self) -> ToSave<'_> {
        self.fleet.to_save()
    }

    /// Changes what is watched and who is told. What stays keeps its history and its alerts.
    pub fn reconfigure(&mut self, settings: &Settings, topology: &Topology, anchor: ClockAnchor) {
        self.fleet
            .reconfigure(topology, settings.poll.interval, anchor.mono);
        self.alerting
            .reconfigure(settings, topology, &BTreeSet::new(), anchor.mono);
        self.receivers.reconfigure(&settings.notify);
        self.reload = ReloadStatus {
            failure: None,
            last_success: anchor.wall,
        };
    }

    /// Changes what is watched, by the same configuration: Sentinels have found something else, or
    /// another server took over. What stays keeps its history and its alerts.
    pub fn retarget(&mut self, settings: &Settings, topology: &Topology, now: Timestamp) {
        let turned = self.fleet.turn(topology, settings.poll.interval, now);
        self.alerting.reconfigure(settings, topology, &turned, now);
        self.claim_alerts();
    }

    /// The entries whose master is another server by what the servers say. Whoever asks makes the
    /// topology that follows them and hands it to [`Monitor::retarget`]. To be asked after events;
    /// costs nothing while nobody claims to be a master.
    pub fn successions(&mut self, now: Timestamp) -> Vec<Succession> {
        self.fleet.successions(now)
    }

    /// Replaces what is known of the discovery sources.
    pub fn note_sources(&mut self, sources: Vec<SourceHealth>, now: Timestamp) {
        let keys = self.sources.update(sources, now);
        self.alerting.retire_quorums(&keys, now);
    }

    /// Takes in what both clocks say: silences and maintenance windows follow the wall clock, and
    /// nothing else does.
    pub fn note_clocks(&mut self, anchor: ClockAnchor) {
        self.note_awake(anchor.mono);
        self.anchor = anchor;
    }

    /// Takes in that this program runs at `now`. To be called before anything that came meanwhile
    /// is taken in: where it did not run for a time, nothing of that time says anything about
    /// servers or receivers.
    pub fn note_awake(&mut self, now: Timestamp) {
        let Some(pause) = self.awake.note(now, self.fleet.interval()) else {
            return;
        };
        self.fleet.note_pause(pause);
        self.sources.note_pause(pause);
        self.receivers.note_pause(pause);
        self.alerting.note_pause(pause);
    }

    /// Makes a silence.
    ///
    /// # Errors
    /// It is refused, with a sentence that says why.
    pub fn silence(
        &mut self,
        new: NewSilence,
        anchor: ClockAnchor,
    ) -> Result<SilenceId, SilenceError> {
        self.anchor = anchor;
        self.note_silences_changed();
        self.alerting.mutes_mut().silences.add(new, anchor.wall)
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// There is no such silence, or it is over.
    pub fn expire_silence(
        &mut self,
        id: &SilenceId,
        anchor: ClockAnchor,
    ) -> Result<(), SilenceError> {
        self.anchor = anchor;
        self.note_silences_changed();
        self.alerting.mutes_mut().silences.expire(id, anchor.wall)
    }

    /// Every silence.
    pub fn silences(&self) -> &Silences {
        &self.alerting.mutes().silences
    }

    /// Takes in that a reload was refused, and why; the old configuration goes on.
    pub fn reload_failed(&mut self, why: &str, now: Timestamp) {
        let before = self.reload.failure.as_ref();
        let since = before.map_or(now, |failure| failure.since);
        self.reload.failure = Some(ReloadFailure::new(since, why));
    }

    /// Takes in what polling has to say.
    pub fn handle_poll(&mut self, event: PollEvent) {
        if let Some(at) = event.at() {
            self.note_awake(at);
        }
        let server = event.server.clone();
        self.fleet.handle(event);
        if let Some(facts) = self.fleet.facts_of(&server) {
            self.alerting.begin_to_count(&server, facts);
        }
    }

    /// Takes in what delivery has to say.
    pub fn handle_delivery(&mut self, event: &DeliveryEvent, now: Timestamp) {
        self.receivers.handle(event, now);
    }

    /// Takes in what there is to show of deliveries.
    pub fn note_deliveries(&mut self, deliveries: Deliveries) {
        self.deliveries = Arc::new(deliveries);
    }

    /// Takes in what polling has lost so far.
    pub fn note_losses(&mut self, losses: PollLosses) {
        self.losses = losses;
    }

    /// When [`Monitor::tick`] wants to be called next.
    pub fn next_wakeup(&self) -> Timestamp {
        self.next_evaluation
    }

    /// Evaluates every rule, if it is time to, and says what is to be done.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Action> {
        self.note_awake(now);
        if now < self.next_evaluation {
            return Vec::new();
        }
        self.awake.tick();
        self.next_evaluation = now + EVALUATION_TICK;
        let count_lag = now >= self.next_distribution;
        if count_lag {
            // By the plan, so that a minute has sixty; what was slept through is not made up for.
            self.next_distribution =
                (self.next_distribution + DISTRIBUTION_TICK).max(now + EVALUATION_TICK);
        }
        let mut actions: Vec<_> = self.awake.take().map(Action::Paused).into_iter().collect();
        for index in 0..self.fleet.pairs.len() {
            self.look_at_pair(index, count_lag, now, &mut actions);
        }
        self.alerting.update_mutes(now, self.anchor.wall(now));
        for (server, facts) in self.fleet.servers() {
            let services = || self.fleet.services_of(&server.addr, now);
            self.alerting.evaluate_server(server, facts, &services, now);
        }
        let servers = self
            .fleet
            .servers()
            .map(|(server, facts)| (&**server, facts));
        self.alerting
            .evaluate_isolation(Isolation::of(servers, now), now);
        self.alerting
            .evaluate_reload(self.reload.failure.as_ref(), now);
        for trouble in self.receivers.troubles(now) {
            self.alerting.evaluate_receiver(&trouble, now);
        }
        for name in self.alerting.entries() {
            let window = self.alerting.failover_window(&name);
            let recent = self.fleet.recent_failovers(&name, window, now);
            self.alerting.evaluate_failovers(&name, recent, now);
        }
        for quorum in self.sources.quorums(now) {
            self.alerting.evaluate_quorum(&quorum, now);
        }
        self.end_unclaimed(now);
        let changes = self.alerting.changes();
        actions.extend(changes.into_iter().map(Action::AlertChanged));
        self.note_in_journal(&actions, now);
        let DueNotifications {
            notifications,
            suppressed,
        } = self.alerting.due(now);
        for (receiver, why) in suppressed {
            self.receivers.suppressed(&receiver, why);
        }
        actions.extend(notifications.into_iter().map(Action::Notify));
        actions
    }

    fn note_in_journal(&mut self, actions: &[Action], now: Timestamp) {
        for action in actions {
            match action {
                Action::StateChanged(change) => {
                    if let Some(change) = NotedChange::of(change) {
                        self.journal.note(What::State(change), now);
                    }
                }
                Action::AlertChanged(transition) => {
                    self.journal.note(What::Alert(transition.clone()), now);
                }
                _ => {}
            }
        }
    }

    fn look_at_pair(
        &mut self,
        index: usize,
        count_lag: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(seen) = self.fleet.assess(index, now) else {
            return;
        };
        if let Some(lag) = seen.lag.estimate {
            self.fleet.note_lag(index, lag, now);
            if count_lag {
                self.fleet.count_lag(index, lag);
            }
        }
        actions.extend(
            self.fleet
                .note_state(index, &seen, now)
                .map(Action::StateChanged),
        );
        self.fleet.note_streaming(index, &seen, now);
        let Some(entry) = self.fleet.pairs.get(index) else {
            return;
        };
        if !seen.gap.is_some_and(Gap::awaits_polls) {
            let look = PairLook {
                pair: &entry.meta,
                seen: &seen,
                since: entry.since(),
                link: entry.link(),
                history: self.fleet.history_of(&entry.meta),
            };
            let loss = entry.loss().cloned();
            self.alerting.evaluate_pair(index, look, now);
            self.alerting
                .evaluate_history(index, look, loss.as_ref(), now);
            self.fleet.end_loss(index, now);
        }
        self.update_poll_boost(index, &seen, now, actions);
    }

    /// Says whether the pair is to be polled faster, and what its link takes.
    fn update_poll_boost(
        &mut self,
        index: usize,
        seen: &Assessment,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let delay = self.fleet.changed_link_delay(index);
        let Some(entry) = self.fleet.pairs.get(index) else {
            return;
        };
        let pair = &entry.meta;
        if let Some(delay) = delay {
            actions.push(Action::LinkDelay {
                tree: pair.tree.clone(),
                replica: pair.key.replica.clone(),
                delay,
            });
        }
        let alert = self.alerting.has_open_lag_alert(index);
        let context = self.fleet.boost_context(index, alert);
        if let Some(boost_for) = context.and_then(|context| poll_boost::boost_for(seen, context)) {
            // A chained replica's own master tells of its link.
            let chained = (pair.master != pair.top).then_some(&pair.master);
            let replica_is_back = context.is_some_and(|context| context.facts.is_back());
            let boost = |server: &ServerAddr| {
                let is_back = replica_is_back && *server == pair.key.replica;
                let (tree, server) = (pair.tree.clone(), server.clone());
                Action::BoostPolling {
                    tree,
                    server,
                    until: now + boost_for,
                    is_back,
                }
            };
            actions.extend(std::iter::once(&pair.key.replica).chain(chained).map(boost));
        }
    }

    /// The fleet at the anchor's moment.
    pub fn snapshot(&self, anchor: ClockAnchor) -> FleetSnapshot {
        let (servers, pairs) = self.fleet.snapshot(anchor.mono);
        FleetSnapshot {
            anchor,
            pairs,
            servers,
            sources: self.sources.health(),
            failovers: self.fleet.failovers(),
            lag_distribution: self.fleet.lag_distribution.clone(),
            latency: self.fleet.latency.clone(),
            lateness: self.fleet.lateness.clone(),
            alerts: self.alerting.listed(anchor.mono),
            silences: self.silences().list(anchor.wall),
            maintenance: self.alerting.mutes().open_windows(),
            receivers: self.receivers.snapshot(anchor.mono),
            deliveries: Arc::clone(&self.deliveries),
            losses: self.losses,
            journal: self.journal.clone(),
            reload: self.reload.clone(),
            ready: self.fleet.all_polled() && self.sources.all_queried(),
        }
    }
}
