//! One tick: the rules that are due are evaluated, and what has to be done follows.

use super::alerting::{ObservedPair, ObservedServer};
use super::fleet::{Fleet, PairEntry};
use super::{Action, DISTRIBUTION_TICK, EVALUATION_TICK, Monitor, poll_boost};
use crate::alert::DueNotifications;
use crate::journal::JournalEvent;
use crate::lost_writes::CaptureStatus;
use crate::model::{ServerAddr, Span, Timestamp};
use crate::replication::{Assessment, Gap, PairState};

impl Monitor {
    /// Evaluates the rules that are due, if it is time to, and returns what has to be done.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Action> {
        self.observe_running(now);
        if now < self.next_wakeup() {
            self.skip_ticks(now);
            return Vec::new();
        }
        self.awake.begin_ticks();
        self.next_evaluation = now + EVALUATION_TICK;
        let counts_lag = self.is_distribution_tick(now);
        let mut actions = Vec::new();
        if let Some(pause) = self.awake.take_unreported() {
            actions.push(Action::Paused(pause));
        }
        if self.evaluates_all {
            self.evaluate_all();
        }
        for index in 0..self.fleet.pairs.len() {
            if self.fleet.pairs.is_due(index, now) {
                self.tick_pair(index, counts_lag, now, &mut actions);
            } else if counts_lag {
                self.fleet.record_steady_lag(index);
            }
        }
        self.fleet.end_tick(now);
        self.expire_operations(now);
        self.alerting
            .review_suppressions(now, self.anchor.wall(now));
        self.evaluate_servers(now);
        self.evaluate_exporter(now);
        self.evaluate_failovers(now);
        for quorum in self.sources.quorums(now) {
            self.alerting.evaluate_quorum(&quorum, now);
        }
        for cluster in self.sources.clusters(now) {
            self.alerting.evaluate_cluster(&cluster, now);
        }
        for entry in &*self.sites.snapshot(now) {
            self.alerting.evaluate_sites(entry, now);
        }
        self.forget_unclaimed(now);
        self.refresh_write_peaks(now);
        for transition in self.alerting.take_transitions() {
            actions.push(Action::AlertChanged(transition));
        }
        self.record_in_journal(&actions, now);
        self.add_due_notifications(&mut actions, now);
        actions
    }

    /// Adds the notifications that are due, and counts those that are suppressed.
    fn add_due_notifications(&mut self, actions: &mut Vec<Action>, now: Timestamp) {
        let DueNotifications {
            notifications,
            suppressed,
        } = self.alerting.due(now);
        for (receiver, why) in suppressed {
            self.receivers.count_suppressed(&receiver, why);
        }
        for notification in notifications {
            actions.push(Action::Notify(notification));
        }
    }

    /// Whether lag is observed for the distribution in this tick. Ticks keep to their plan, so that
    /// a minute has sixty of them; those that were missed are not made up for.
    fn is_distribution_tick(&mut self, now: Timestamp) -> bool {
        if now < self.next_distribution {
            return false;
        }
        let planned = self.next_distribution + DISTRIBUTION_TICK;
        self.next_distribution = planned.max(now + EVALUATION_TICK);
        true
    }

    /// Assesses one pair, records what is true of it, and evaluates its rules.
    fn tick_pair(
        &mut self,
        index: usize,
        counts_lag: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.fleet.record_steady(index);
        let Some(assessment) = self.fleet.assess(index, now) else {
            return;
        };
        if let Some(lag) = assessment.lag.estimate {
            self.fleet.record_lag(index, lag, counts_lag, now);
        }
        if let Some(change) = self.fleet.record_state(index, &assessment, now) {
            actions.push(Action::StateChanged(change));
        }
        self.fleet.record_streaming(index, &assessment, now);
        let awaits_polls = assessment.gap.is_some_and(Gap::awaits_polls);
        if !awaits_polls {
            self.evaluate_pair(index, &assessment, now);
        }
        self.report_link_delay(index, actions);
        let is_boosted = self.update_poll_boost(index, &assessment, now, actions);
        let until = now + self.fleet.interval();
        if !is_boosted && self.stays_steady(index, &assessment, until, now) {
            self.fleet.set_steady(index, assessment, until, now);
        } else {
            self.fleet.set_changing(index);
        }
    }

    /// Whether nothing changes at a pair until `until`, unless a poll shows something new: the same
    /// evidence shows the same then, and no rule begins an alert. `seen` is what is true `now`.
    fn stays_steady(
        &self,
        index: usize,
        seen: &Assessment,
        until: Timestamp,
        now: Timestamp,
    ) -> bool {
        if seen.state != PairState::Streaming || seen.gap.is_some() {
            return false;
        }
        let Some(entry) = self.fleet.pairs.get(index) else {
            return false;
        };
        let Some(later) = self.fleet.assess(index, until) else {
            return false;
        };
        if entry.loss().is_some() || !seen.only_ages_to(&later, until - now) {
            return false;
        }
        let observed = observed_pair(&self.fleet, &self.captures, entry, &later, until);
        self.alerting.has_no_alert(index, observed, until)
    }

    fn evaluate_pair(&mut self, index: usize, assessment: &Assessment, now: Timestamp) {
        let Some(entry) = self.fleet.pairs.get(index) else {
            return;
        };
        let observed = observed_pair(&self.fleet, &self.captures, entry, assessment, now);
        self.alerting.evaluate_pair(index, observed, now);
        self.alerting
            .evaluate_history(index, observed, entry.loss(), now);
        self.fleet.end_loss(index, now);
    }

    /// Reports the one-way delay of the pair's link, if it has changed.
    fn report_link_delay(&mut self, index: usize, actions: &mut Vec<Action>) {
        let Some(delay) = self.fleet.changed_link_delay(index) else {
            return;
        };
        if let Some(entry) = self.fleet.pairs.get(index) {
            actions.push(Action::LinkDelay {
                tree: entry.meta.tree.clone(),
                replica: entry.meta.key.replica.clone(),
                delay,
            });
        }
    }

    /// Polls the pair faster for a while, if that shows its lag sooner or more precisely. Returns
    /// whether it does.
    fn update_poll_boost(
        &mut self,
        index: usize,
        assessment: &Assessment,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(entry) = self.fleet.pairs.get(index) else {
            return false;
        };
        let has_open_lag_alert = self.alerting.has_open_lag_alert(index);
        let context = entry.boost_context(has_open_lag_alert);
        let Some(boost_for) = poll_boost::boost_for(assessment, context) else {
            return false;
        };
        let pair = &entry.meta;
        let boost = |server: &ServerAddr, is_back| Action::BoostPolling {
            tree: pair.tree.clone(),
            server: server.clone(),
            until: now + boost_for,
            is_back,
        };
        actions.push(boost(&pair.key.replica, context.facts.is_back()));
        let is_chained = pair.master != pair.top;
        if is_chained {
            // Only the direct master's answers show the link of a chained replica.
            actions.push(boost(&pair.master, false));
        }
        true
    }

    fn evaluate_servers(&mut self, now: Timestamp) {
        for index in self.fleet.server_indices() {
            if !self.fleet.is_server_due(index, now) {
                continue;
            }
            let Some((server, facts)) = self.fleet.server(index) else {
                continue;
            };
            let observed = ObservedServer {
                server,
                facts,
                services: &|| self.fleet.services_of(&server.addr, now),
            };
            if self.alerting.evaluate_server(index, observed, now) {
                self.fleet.let_server_wait(index);
            }
        }
    }

    /// Evaluates the rules about this exporter: its network, its configuration, its receivers.
    fn evaluate_exporter(&mut self, now: Timestamp) {
        let isolation = self.fleet.isolation(now);
        self.alerting.evaluate_isolation(isolation, now);
        self.alerting.evaluate_load(self.overload.load(), now);
        self.alerting
            .evaluate_reload(self.reload.failure.as_ref(), now);
        for problem in self.receivers.problems(now) {
            self.alerting.evaluate_receiver(&problem, now);
        }
    }

    fn evaluate_failovers(&mut self, now: Timestamp) {
        for entry in self.alerting.take_due_entries() {
            let window: Span = self.alerting.failover_window(&entry);
            let recent = self.fleet.failovers.recent(&entry, window, now);
            let has_lost_history = || self.fleet.has_lost_history(&entry, now);
            self.alerting
                .evaluate_failovers(&entry, recent, &has_lost_history, now);
        }
    }

    fn record_in_journal(&mut self, actions: &[Action], now: Timestamp) {
        for action in actions {
            let event = match action {
                Action::StateChanged(change) => change.to_record().map(JournalEvent::State),
                Action::AlertChanged(transition) => Some(JournalEvent::Alert(transition.clone())),
                _ => None,
            };
            if let Some(event) = event {
                self.journal.record(event, now);
            }
        }
    }
}

/// What the rules of a pair are evaluated on at `now`, when `seen` is true of it.
fn observed_pair<'a>(
    fleet: &'a Fleet,
    captures: &'a [CaptureStatus],
    entry: &'a PairEntry,
    seen: &'a Assessment,
    now: Timestamp,
) -> ObservedPair<'a> {
    ObservedPair {
        pair: &entry.meta,
        seen,
        since: entry.since(),
        link: entry.link(),
        history: fleet.history_of(&entry.meta),
        has_lost_history: entry.has_lost_history(now),
        captures,
        facts: entry.facts(),
        evidence: match seen.state {
            PairState::Diverged => fleet.evidence_left(entry, now),
            _ => None,
        },
    }
}
