//! The evaluation of every alert rule: what it reads, and the context that its notification needs.

use std::sync::Arc;

use super::{Alerting, ObservedPair};
use crate::alert::{
    AlertContext, AlertKey, Details, Evaluation, Inhibitor, Reading, RuleInput, ServedPair,
};
use crate::config::{LevelRule, LevelThreshold};
use crate::model::{PairName, ServerAddr, Span, Timestamp};
use crate::monitor::alert_keys::ServerKeys;
use crate::monitor::clusters::ClusterFault;
use crate::monitor::context;
use crate::monitor::faults::{RELOAD_RULE, ReloadFailure, fault_context};
use crate::monitor::fleet::{RecentFailovers, ServerIndex};
use crate::monitor::isolation::Isolation;
use crate::monitor::overload::{OVERLOAD_RULE, PollingLoad};
use crate::monitor::readings::{
    PairReading, exact_if_known, history_lost_reading, pair_readings, with_syncs,
};
use crate::monitor::receivers::ReceiverProblem;
use crate::monitor::sentinels::Quorum;
use crate::monitor::sites::ActiveActiveSnapshot;
use crate::replication::{HistoryLoss, ServerFacts};
use crate::topology::Server;

/// A history that is lost is critical at once, whatever else is configured.
const HISTORY_LOST_RULE: LevelRule<u64> = LevelRule {
    warning: None,
    critical: Some(LevelThreshold {
        at: 1,
        clear_below: 1,
    }),
    pending_for: Span::ZERO,
    keep_firing_for: Span::ZERO,
};

/// What the rules of a server are evaluated on.
#[derive(Clone, Copy)]
pub(in crate::monitor) struct ObservedServer<'a> {
    /// The server.
    pub(in crate::monitor) server: &'a Server,
    /// What is known of it.
    pub(in crate::monitor) facts: &'a ServerFacts,
    /// The pairs that it belongs to; computed only when there is an alert.
    pub(in crate::monitor) services: &'a dyn Fn() -> Vec<ServedPair>,
}

impl Alerting {
    /// Evaluates the rules of the pair with this index.
    pub(in crate::monitor) fn evaluate_pair(
        &mut self,
        index: usize,
        observed: ObservedPair<'_>,
        now: Timestamp,
    ) {
        let Some(keys) = self.keys.pairs.get(index) else {
            return;
        };
        let is_down = self.alerts.fires_at(&keys.link_down).is_some();
        for reading in pair_readings(keys, &observed, is_down, self.asks_buffers, now) {
            let PairReading {
                key,
                input,
                fault,
                inhibitors,
            } = reading;
            let evaluation = Evaluation {
                key,
                input,
                context: &|| context::pair_context(&observed, fault, inhibitors, now),
            };
            self.alerts.evaluate(evaluation, now);
        }
    }

    /// Whether the pair with this index has no alert, and none begins by what is `observed` of it
    /// at `now`.
    pub(in crate::monitor) fn has_no_alert(
        &self,
        index: usize,
        observed: ObservedPair<'_>,
        now: Timestamp,
    ) -> bool {
        let Some(keys) = self.keys.pairs.get(index) else {
            return true;
        };
        let readings = pair_readings(keys, &observed, false, self.asks_buffers, now);
        let none_begins = readings
            .iter()
            .all(|reading| self.alerts.begins_none(reading.key, reading.input));
        none_begins && !self.alerts.has(&keys.history_lost)
    }

    /// Evaluates the rule that the master of the pair with this index keeps its history.
    pub(in crate::monitor) fn evaluate_history(
        &mut self,
        index: usize,
        observed: ObservedPair<'_>,
        loss: Option<&Arc<HistoryLoss>>,
        now: Timestamp,
    ) {
        let Some(keys) = self.keys.pairs.get(index) else {
            return;
        };
        let inhibitors = &keys.inhibitors.history_lost;
        let evaluation = Evaluation {
            key: &keys.history_lost,
            input: RuleInput::Count {
                rule: &HISTORY_LOST_RULE,
                reading: history_lost_reading(loss, now),
            },
            context: &|| context::lost_history_context(&observed, loss, inhibitors, now),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rules of the server with this index. While it is not known how the server is,
    /// its alerts stay as they are: until the next poll has ended. Returns whether it has no alert.
    pub(in crate::monitor) fn evaluate_server(
        &mut self,
        index: ServerIndex,
        observed: ObservedServer<'_>,
        now: Timestamp,
    ) -> bool {
        let Some(keys) = index.of(&self.keys.servers).map(Arc::clone) else {
            return true;
        };
        if observed.facts.is_judged() {
            self.evaluate_unreachable(&keys, observed, now);
            self.evaluate_exporter_fault(&keys, observed, now);
            self.evaluate_full_syncs(&keys, observed, now);
        }
        !keys.all().iter().any(|key| self.alerts.has(key))
    }

    /// Evaluates the rule that a server answers.
    fn evaluate_unreachable(
        &mut self,
        keys: &ServerKeys,
        observed: ObservedServer<'_>,
        now: Timestamp,
    ) {
        let facts = observed.facts;
        let inhibitors = keys.inhibitors.as_ref();
        let evaluation = Evaluation {
            key: &keys.unreachable,
            input: RuleInput::Seconds {
                rule: &self.rules.unreachable,
                reading: exact_if_known(facts.unreachable_for(now)),
            },
            context: &|| context::server_context(facts, (observed.services)(), inhibitors),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule that no fault of this exporter keeps it from a server.
    fn evaluate_exporter_fault(
        &mut self,
        keys: &ServerKeys,
        observed: ObservedServer<'_>,
        now: Timestamp,
    ) {
        let facts = observed.facts;
        let inhibitors = keys.inhibitors.as_ref();
        let evaluation = Evaluation {
            key: &keys.exporter_fault,
            input: RuleInput::Seconds {
                rule: &self.rules.unreachable,
                reading: exact_if_known(facts.fault_for(now)),
            },
            context: &|| fault_context(facts, (observed.services)(), inhibitors),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule about the full syncs that a server gives. Each full sync is notified,
    /// even while the alert fires already.
    fn evaluate_full_syncs(
        &mut self,
        keys: &ServerKeys,
        observed: ObservedServer<'_>,
        now: Timestamp,
    ) {
        let key = &keys.full_syncs;
        let window = self.rules.full_sync.window;
        let count = self.count_full_syncs(key, observed, now);
        let inhibitors = keys.inhibitors_of_full_syncs.as_ref();
        let evaluation = Evaluation {
            key,
            input: RuleInput::Count {
                rule: &self.rules.full_sync.levels,
                reading: exact_if_known(count),
            },
            context: &|| full_sync_context(observed, count, window, inhibitors),
        };
        let is_transition = self.alerts.evaluate(evaluation, now);
        let is_another = self.gave_another_full_sync(&observed.server.addr, observed.facts);
        if is_another && !is_transition {
            self.alerts.notify_again(key, now);
        }
    }

    /// How many full syncs the server gave within the rule's window, those before a restart
    /// included.
    fn count_full_syncs(
        &mut self,
        key: &AlertKey,
        observed: ObservedServer<'_>,
        now: Timestamp,
    ) -> Option<u64> {
        let ObservedServer { server, facts, .. } = observed;
        let window = self.rules.full_sync.window;
        let since_start = self.full_syncs.count(&server.addr, facts, window, now)?;
        Some(since_start.saturating_add(self.counted_before(key, window, now)))
    }

    /// Records a server's first answer: full syncs after it count, even those before the rules are
    /// next evaluated.
    pub(in crate::monitor) fn begin_to_count(&mut self, server: &ServerAddr, facts: &ServerFacts) {
        self.full_syncs.begin(server, facts);
        if !self.full_syncs_seen.contains_key(server) {
            self.gave_another_full_sync(server, facts);
        }
    }

    /// Whether the server gave one more full sync since this was last called.
    fn gave_another_full_sync(&mut self, server: &ServerAddr, facts: &ServerFacts) -> bool {
        if !facts.is_up() {
            return false;
        }
        let Some(total) = facts.full_syncs.total() else {
            return false;
        };
        match self.full_syncs_seen.insert(server.clone(), total) {
            Some(seen) => total > seen,
            None => false,
        }
    }

    /// Evaluates the rule that the configuration could be loaded.
    pub(in crate::monitor) fn evaluate_reload(
        &mut self,
        failure: Option<&ReloadFailure>,
        now: Timestamp,
    ) {
        let lasts = failure.map_or(Span::ZERO, |failure| failure.lasts(now));
        let evaluation = Evaluation {
            key: &self.keys.reload_failed,
            input: RuleInput::Seconds {
                rule: &RELOAD_RULE,
                reading: Reading::exact(lasts),
            },
            context: &|| failure.map_or_else(Arc::default, ReloadFailure::context),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule that this exporter keeps its polling intervals.
    pub(in crate::monitor) fn evaluate_load(&mut self, load: Option<PollingLoad>, now: Timestamp) {
        let evaluation = Evaluation {
            key: &self.keys.overloaded,
            input: RuleInput::Seconds {
                rule: &OVERLOAD_RULE,
                reading: exact_if_known(load.map(|load| load.overloaded_for(now))),
            },
            context: &|| load.map_or_else(Arc::default, |load| load.context(now)),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule that some remote server answers.
    pub(in crate::monitor) fn evaluate_isolation(&mut self, isolation: Isolation, now: Timestamp) {
        // With fewer than two remote servers the rule does not apply, and its alert ends.
        let lasts = if isolation.remote < 2 {
            Some(Span::ZERO)
        } else {
            isolation.lasts()
        };
        let evaluation = Evaluation {
            key: &self.keys.isolated,
            input: RuleInput::Seconds {
                rule: &self.rules.unreachable,
                reading: exact_if_known(lasts),
            },
            context: &|| isolation_context(isolation, now),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule of one receiver.
    pub(in crate::monitor) fn evaluate_receiver(
        &mut self,
        problem: &ReceiverProblem,
        now: Timestamp,
    ) {
        let Some(key) = self.keys.receivers.get(&problem.receiver) else {
            return;
        };
        let since = problem.since();
        let evaluation = Evaluation {
            key,
            input: RuleInput::Seconds {
                rule: problem.rule(),
                reading: Reading::exact(problem.lasts(now)),
            },
            context: &|| timed_context(problem.reason(), since, now),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule about the failovers of one entry. Without a failover and without an alert
    /// it needs no other evaluation before the next failover.
    pub(in crate::monitor) fn evaluate_failovers(
        &mut self,
        entry: &PairName,
        recent: RecentFailovers<'_>,
        has_lost_history: &dyn Fn() -> bool,
        now: Timestamp,
    ) {
        let Some((key, rule)) = self.keys.failovers.get(entry) else {
            return;
        };
        let before = self.counted_before(key, rule.window, now);
        let count = recent.count.saturating_add(before);
        let evaluation = Evaluation {
            key,
            input: RuleInput::Count {
                rule: &rule.levels,
                reading: Reading::exact(count),
            },
            context: &|| {
                let history_lost = has_lost_history();
                context::failover_context(recent.last, recent.first, history_lost, rule.window)
            },
        };
        self.alerts.evaluate(evaluation, now);
        if count > 0 || self.alerts.has(key) {
            self.due_entries.insert(entry.clone());
        }
    }

    /// Evaluates the rules about the sites of one entry.
    pub(in crate::monitor) fn evaluate_sites(
        &mut self,
        entry: &ActiveActiveSnapshot,
        now: Timestamp,
    ) {
        for reading in self.keys.sites.readings(entry, &self.rules, now) {
            let evaluation = Evaluation {
                key: &reading.key,
                input: reading.input(),
                context: &|| reading.context(),
            };
            self.alerts.evaluate(evaluation, now);
        }
    }

    /// Evaluates the rule of one datacenter's Sentinels.
    pub(in crate::monitor) fn evaluate_quorum(&mut self, quorum: &Quorum<'_>, now: Timestamp) {
        let evaluation = Evaluation {
            key: quorum.key,
            input: RuleInput::Seconds {
                rule: &self.rules.sentinel_quorum,
                reading: quorum.reading,
            },
            context: &|| source_context(quorum.reading, quorum.reason(), now),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rule of one Redis Cluster.
    pub(in crate::monitor) fn evaluate_cluster(
        &mut self,
        cluster: &ClusterFault<'_>,
        now: Timestamp,
    ) {
        let evaluation = Evaluation {
            key: cluster.key,
            input: RuleInput::Seconds {
                rule: &self.rules.cluster_down,
                reading: cluster.reading,
            },
            context: &|| source_context(cluster.reading, cluster.reason(), now),
        };
        self.alerts.evaluate(evaluation, now);
    }
}

/// The context of a fault that has lasted since `since`, or has ended by `now`.
fn timed_context(
    reason: Option<String>,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Arc<AlertContext> {
    Arc::new(AlertContext {
        reason,
        fault_since: since,
        fault_until: since.is_none().then_some(now),
        ..AlertContext::default()
    })
}

/// The context of an alert about the full syncs that a server gave.
fn full_sync_context(
    observed: ObservedServer<'_>,
    count: Option<u64>,
    window: Span,
    inhibitors: Option<&Arc<[Inhibitor]>>,
) -> Arc<AlertContext> {
    let services = (observed.services)();
    let reason = match count {
        Some(1) => Some(format!("the server gave 1 full sync within {window}")),
        Some(count) => Some(format!(
            "the server gave {count} full syncs within {window}"
        )),
        None => None,
    };
    let reason = reason.map(|reason| with_syncs(reason, &services));
    let context = context::server_context(observed.facts, services, inhibitors);
    Arc::new(AlertContext {
        reason,
        fault_since: None,
        fault_until: None,
        error: None,
        details: Some(Details::FullSyncs { window }),
        ..Arc::unwrap_or_clone(context)
    })
}

/// The context of the alert that this exporter is cut off.
fn isolation_context(isolation: Isolation, now: Timestamp) -> Arc<AlertContext> {
    let servers = isolation.remote;
    let since = match isolation.lasts() {
        Some(lasts) if lasts > Span::ZERO => Some(now - lasts),
        _ => None,
    };
    let reason = format!(
        "none of the {servers} servers outside this exporter's datacenter answers it: its own network is more likely \
         to be at fault than all of them"
    );
    let timed = timed_context(Some(reason), since, now);
    Arc::new(AlertContext {
        details: Some(Details::Isolated { servers }),
        ..Arc::unwrap_or_clone(timed)
    })
}

/// The context of an alert about a discovery source whose fault has lasted for `reading`.
fn source_context(
    reading: Reading<Span>,
    reason: Option<String>,
    now: Timestamp,
) -> Arc<AlertContext> {
    let mut context = AlertContext {
        reason,
        ..AlertContext::default()
    };
    match reading.estimate {
        Some(Span::ZERO) => context.fault_until = Some(now),
        Some(lasts) => context.fault_since = Some(now - lasts),
        None => {}
    }
    Arc::new(context)
}
