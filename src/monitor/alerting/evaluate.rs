//! The evaluation of every rule: one reading, one context for what the alert says.

use std::sync::Arc;

use super::{Alerting, PairLook};
use crate::alert::{AlertContext, Details, Evaluation, Inhibitor, Reading, RuleInput, ServedPair};
use crate::config::{LevelRule, LevelThreshold};
use crate::model::{PairName, ServerAddr, Span, Timestamp};
use crate::monitor::context;
use crate::monitor::faults::{RELOAD_RULE, ReloadFailure, fault_context};
use crate::monitor::fleet::RecentFailovers;
use crate::monitor::isolation::Isolation;
use crate::monitor::readings::{PairReading, history_lost_reading, pair_readings, with_syncs};
use crate::monitor::receivers::ReceiverProblem;
use crate::monitor::sentinels::Quorum;
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
pub(in crate::monitor) struct ServerLook<'a> {
    /// The server.
    pub(in crate::monitor) server: &'a Server,
    /// What is known of it.
    pub(in crate::monitor) facts: &'a ServerFacts,
    /// The pairs that it belongs to; asked for only when there is an alert.
    pub(in crate::monitor) services: &'a dyn Fn() -> Vec<ServedPair>,
}

impl Alerting {
    /// Evaluates the rules of the pair with this index.
    pub(in crate::monitor) fn evaluate_pair(
        &mut self,
        index: usize,
        look: PairLook<'_>,
        now: Timestamp,
    ) {
        let Some(keys) = self.keys.pairs.get(index) else {
            return;
        };
        let is_down = self.alerts.fires_at(&keys.link_down).is_some();
        for reading in pair_readings(keys, &look, is_down, now) {
            let PairReading {
                key,
                input,
                fault,
                inhibitors,
            } = reading;
            let evaluation = Evaluation {
                key,
                input,
                context: &|| context::pair_context(&look, fault, inhibitors, now),
            };
            self.alerts.evaluate(evaluation, now);
        }
    }

    /// Evaluates the rule that the master of the pair with this index keeps its history.
    pub(in crate::monitor) fn evaluate_history(
        &mut self,
        index: usize,
        look: PairLook<'_>,
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
            context: &|| context::lost_history_context(&look, loss, inhibitors, now),
        };
        self.alerts.evaluate(evaluation, now);
    }

    /// Evaluates the rules of one server. While it is not known how the server is, its alerts stay
    /// as they are: until the next poll has ended.
    pub(in crate::monitor) fn evaluate_server(&mut self, look: ServerLook<'_>, now: Timestamp) {
        if !look.facts.is_judged() {
            return;
        }
        let addr = &look.server.addr;
        let remote = (!look.server.local).then_some(&self.keys.inhibitors_of_remote);
        let unreachable_for = look.facts.unreachable_for(now);
        if let Some(key) = self.keys.unreachable.get(addr) {
            let evaluation = Evaluation {
                key,
                input: RuleInput::Seconds {
                    rule: &self.rules.unreachable,
                    reading: exact_if_known(unreachable_for),
                },
                context: &|| context::server_context(look.facts, (look.services)(), remote),
            };
            self.alerts.evaluate(evaluation, now);
        }
        if let Some(key) = self.keys.exporter_faults.get(addr) {
            let evaluation = Evaluation {
                key,
                input: RuleInput::Seconds {
                    rule: &self.rules.unreachable,
                    reading: exact_if_known(look.facts.fault_for(now)),
                },
                context: &|| fault_context(look.facts, (look.services)(), remote),
            };
            self.alerts.evaluate(evaluation, now);
        }
        self.evaluate_full_syncs(look, now);
    }

    /// Evaluates the rule about the full syncs that a server gives. Each one is notified of, even
    /// while the alert fires.
    fn evaluate_full_syncs(&mut self, look: ServerLook<'_>, now: Timestamp) {
        let addr = &look.server.addr;
        let Some(key) = self.keys.full_syncs.get(addr).cloned() else {
            return;
        };
        let window = self.rules.full_sync.window;
        let since_start = self.full_syncs.count(addr, look.facts, window, now);
        let before = self.counted_before(&key, window, now);
        let count = since_start.map(|count| count.saturating_add(before));
        let inhibitors = self.keys.inhibitors_of_full_syncs.get(addr);
        let evaluation = Evaluation {
            key: &key,
            input: RuleInput::Count {
                rule: &self.rules.full_sync.levels,
                reading: exact_if_known(count),
            },
            context: &|| full_sync_context(look, count, window, inhibitors),
        };
        let is_transition = self.alerts.evaluate(evaluation, now);
        let is_another = self.gave_another_full_sync(addr, look.facts);
        if is_another && !is_transition {
            self.alerts.notify_again(&key, now);
        }
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

    /// Evaluates the rule that some remote server answers.
    pub(in crate::monitor) fn evaluate_isolation(&mut self, isolation: Isolation, now: Timestamp) {
        // With fewer than two remote servers the rule has nothing to say, and its alert ends.
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

    /// Evaluates the rule about the failovers of one entry.
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
    }

    /// Evaluates the rule of one datacenter's Sentinels.
    pub(in crate::monitor) fn evaluate_quorum(&mut self, quorum: &Quorum<'_>, now: Timestamp) {
        let evaluation = Evaluation {
            key: quorum.key,
            input: RuleInput::Seconds {
                rule: &self.rules.sentinel_quorum,
                reading: quorum.reading,
            },
            context: &|| quorum_context(quorum, now),
        };
        self.alerts.evaluate(evaluation, now);
    }
}

/// The reading of a value that is exact where it is known.
fn exact_if_known<T: Copy + PartialOrd>(value: Option<T>) -> Reading<T> {
    value.map_or(Reading::NO_DATA, Reading::exact)
}

/// What an alert says about a fault that has lasted since then, or is over at `now`.
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

/// What an alert says about the full syncs that a server gave.
fn full_sync_context(
    look: ServerLook<'_>,
    count: Option<u64>,
    window: Span,
    inhibitors: Option<&Arc<[Inhibitor]>>,
) -> Arc<AlertContext> {
    let services = (look.services)();
    let reason = count.map(|count| {
        let syncs = if count == 1 {
            "full sync"
        } else {
            "full syncs"
        };
        let given = format!("the server gave {count} {syncs} within {window}");
        with_syncs(given, &services)
    });
    let context = context::server_context(look.facts, services, inhibitors);
    Arc::new(AlertContext {
        reason,
        fault_since: None,
        fault_until: None,
        error: None,
        details: Some(Details::FullSyncs { window }),
        ..Arc::unwrap_or_clone(context)
    })
}

/// What the alert says that this exporter is cut off.
fn isolation_context(isolation: Isolation, now: Timestamp) -> Arc<AlertContext> {
    let servers = isolation.remote;
    let lasts = isolation.lasts().filter(|lasts| *lasts > Span::ZERO);
    let reason = format!(
        "none of the {servers} servers outside this exporter's datacenter answers it: its own network is more likely \
         to be at fault than all of them"
    );
    let timed = timed_context(Some(reason), lasts.map(|lasts| now - lasts), now);
    Arc::new(AlertContext {
        details: Some(Details::Isolated { servers }),
        ..Arc::unwrap_or_clone(timed)
    })
}

/// What an alert says about the quorum of a datacenter's Sentinels.
fn quorum_context(quorum: &Quorum<'_>, now: Timestamp) -> Arc<AlertContext> {
    let lasts = quorum.reading.estimate;
    let lost_since = lasts
        .filter(|lasts| *lasts > Span::ZERO)
        .map(|lasts| now - lasts);
    Arc::new(AlertContext {
        reason: quorum.reason(),
        fault_since: lost_since,
        fault_until: (lasts == Some(Span::ZERO)).then_some(now),
        ..AlertContext::default()
    })
}
