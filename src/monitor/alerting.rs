//! From assessments to alerts: what each rule reads of a pair or a server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::sentinels::{QUORUM_RULE, Quorum};
use crate::alert::{
    AlertContext, AlertEngine, AlertGroups, AlertKey, Evaluation, GroupKey, Labels, ListedAlert, Notification, Reading,
    Rule, RuleInput, Transition,
};
use crate::config::{AlertSettings, LevelRule, NotifySettings, Settings};
use crate::model::{ServerAddr, Span, Timestamp};
use crate::replication::{Assessment, PairState, ServerFacts};
use crate::topology::{Pair, Server, Topology};

/// The rules, the alerts and the groups of one configuration.
#[derive(Debug)]
pub(super) struct Alerting {
    pairs: Vec<PairKeys>,
    servers: BTreeMap<ServerAddr, AlertKey>,
    quorums: BTreeSet<AlertKey>,
    unreachable: LevelRule<Span>,
    engine: AlertEngine,
    groups: AlertGroups,
    /// What changed since it was last asked for.
    changes: Vec<Transition>,
}

/// The keys of one pair's alerts.
#[derive(Debug)]
struct PairKeys {
    lag_seconds: AlertKey,
    lag_bytes: AlertKey,
    link_down: AlertKey,
    unknown: AlertKey,
}

impl Alerting {
    pub(super) fn new(settings: &Settings, topology: &Topology) -> Self {
        Self {
            pairs: topology.pairs.iter().map(|pair| PairKeys::of(pair)).collect(),
            servers: server_keys(topology),
            quorums: BTreeSet::new(),
            unreachable: settings.alerts.unreachable,
            engine: AlertEngine::default(),
            groups: AlertGroups::new(&settings.notify),
            changes: Vec::new(),
        }
    }

    /// Changes rules, targets and receivers. Alerts of targets that stay go on; those of targets that are gone resolve.
    pub(super) fn reconfigure(&mut self, settings: &Settings, topology: &Topology, now: Timestamp) {
        let before: BTreeSet<AlertKey> = self.keys().cloned().collect();
        self.pairs = topology.pairs.iter().map(|pair| PairKeys::of(pair)).collect();
        self.servers = server_keys(topology);
        self.unreachable = settings.alerts.unreachable;
        let after: BTreeSet<AlertKey> = self.keys().cloned().collect();
        for gone in before.difference(&after) {
            if let Some(transition) = self.engine.retire(now, gone) {
                self.tell(transition, now);
            }
        }
        self.regroup(&settings.notify, now);
    }

    fn regroup(&mut self, settings: &NotifySettings, now: Timestamp) {
        use crate::alert::AlertStatus;
        let mut firing = self.engine.snapshots();
        firing.retain(|alert| alert.status == AlertStatus::Firing);
        self.groups.reconfigure(now, settings, &firing);
    }

    fn keys(&self) -> impl Iterator<Item = &AlertKey> {
        let of_pairs = self.pairs.iter().flat_map(|p| [&p.lag_seconds, &p.lag_bytes, &p.link_down, &p.unknown]);
        of_pairs.chain(self.servers.values())
    }

    /// Looks at every rule of the pair with this index. `known_at` is when there last was something to compare.
    pub(super) fn evaluate_pair(
        &mut self,
        index: usize,
        pair: &Pair,
        seen: &Assessment,
        known_at: Timestamp,
        now: Timestamp,
    ) {
        let Some(keys) = self.pairs.get(index) else { return };
        let rules: &AlertSettings = &pair.alerts;
        let context = || pair_context(pair, seen);
        let lag = Reading { estimate: seen.lag.estimate, lower: seen.lag.lower, upper: seen.lag.upper };
        let bytes = Reading { estimate: seen.bytes.estimate, lower: seen.bytes.lower, upper: seen.bytes.upper };
        let inputs = [
            (&keys.lag_seconds, RuleInput::Seconds { rule: &rules.lag_seconds, reading: lag }),
            (&keys.lag_bytes, RuleInput::Bytes { rule: &rules.lag_bytes, reading: bytes }),
            (&keys.link_down, RuleInput::Seconds { rule: &rules.link_down, reading: link_reading(seen) }),
            (
                &keys.unknown,
                RuleInput::Seconds { rule: &rules.unknown, reading: Reading::exact((now - known_at).or_zero()) },
            ),
        ];
        let transitions =
            inputs.map(|(key, input)| self.engine.evaluate(now, Evaluation { key, input, context: &context }));
        for transition in transitions.into_iter().flatten() {
            self.tell(transition, now);
        }
    }

    /// Whether an alert on the lag of the pair with this index is pending or firing.
    pub(super) fn has_open_lag_alert(&self, index: usize) -> bool {
        let keys = self.pairs.get(index);
        keys.is_some_and(|keys| [&keys.lag_seconds, &keys.lag_bytes].into_iter().any(|key| self.engine.is_open(key)))
    }

    /// Looks at the rule of one server.
    pub(super) fn evaluate_server(&mut self, server: &Server, facts: &ServerFacts, now: Timestamp) {
        let Some(key) = self.servers.get(&server.addr) else { return };
        let reading = facts.unreachable_for(now).map_or(Reading::NO_DATA, Reading::exact);
        let input = RuleInput::Seconds { rule: &self.unreachable, reading };
        let context = || server_context(facts);
        if let Some(transition) = self.engine.evaluate(now, Evaluation { key, input, context: &context }) {
            self.tell(transition, now);
        }
    }

    /// Looks at the rule of one datacenter's Sentinels.
    pub(super) fn evaluate_quorum(&mut self, quorum: &Quorum<'_>, now: Timestamp) {
        let input = RuleInput::Seconds { rule: &QUORUM_RULE, reading: quorum.reading };
        let context = || Arc::new(AlertContext { reason: quorum.reason(), ..AlertContext::default() });
        let evaluation = Evaluation { key: quorum.key, input, context: &context };
        if let Some(transition) = self.engine.evaluate(now, evaluation) {
            self.tell(transition, now);
        }
    }

    /// Only these alerts about Sentinels go on; the others resolve.
    pub(super) fn retire_quorums(&mut self, keys: &BTreeSet<AlertKey>, now: Timestamp) {
        let gone: Vec<_> = self.quorums.difference(keys).cloned().collect();
        self.quorums.clone_from(keys);
        for key in gone {
            if let Some(transition) = self.engine.retire(now, &key) {
                self.tell(transition, now);
            }
        }
    }

    fn tell(&mut self, transition: Transition, now: Timestamp) {
        self.groups.record(now, &transition.alert);
        self.changes.push(transition);
    }

    /// What of it outlives the process.
    pub(super) fn parts(&mut self) -> (&mut AlertEngine, &mut AlertGroups) {
        (&mut self.engine, &mut self.groups)
    }

    /// Whether the disk may know less than this.
    pub(super) fn has_unsaved(&self) -> bool {
        self.engine.has_unsaved() || self.groups.has_unsaved()
    }

    /// Whether a receiver is told of this group, also when it is no longer configured.
    pub(super) fn knows_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.groups.knows(receiver, group)
    }

    /// Whether somebody evaluates this alert.
    pub(super) fn watches(&self, key: &AlertKey) -> bool {
        self.keys().chain(&self.quorums).any(|watched| watched == key)
    }

    /// Ends an alert whose target nobody watches any more.
    pub(super) fn retire(&mut self, key: &AlertKey, now: Timestamp) {
        if let Some(transition) = self.engine.retire(now, key) {
            self.tell(transition, now);
        }
    }

    /// The alerts that began, changed or ended since this was last asked.
    pub(super) fn changes(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.changes)
    }

    /// The notifications that are due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Notification> {
        self.engine.expire(now);
        let engine = &self.engine;
        self.groups.due(now, &|key| engine.snapshot(key))
    }

    /// Every alert that is pending, firing or recently resolved.
    pub(super) fn listed(&self) -> Vec<ListedAlert> {
        self.engine.listed()
    }
}

impl PairKeys {
    fn of(pair: &Pair) -> Self {
        let labels = Arc::new(pair_labels(pair));
        let key = |rule| AlertKey::new(rule, Arc::clone(&labels));
        Self {
            lag_seconds: key(Rule::LagSeconds),
            lag_bytes: key(Rule::LagBytes),
            link_down: key(Rule::LinkDown),
            unknown: key(Rule::Unknown),
        }
    }
}

fn pair_labels(pair: &Pair) -> Labels {
    labels([
        ("pair", pair.key.name.to_string()),
        ("source_dc", pair.source_dc.to_string()),
        ("target_dc", pair.target_dc.to_string()),
        ("replica", pair.key.replica.to_string()),
    ])
}

fn labels<const N: usize>(pairs: [(&str, String); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn server_keys(topology: &Topology) -> BTreeMap<ServerAddr, AlertKey> {
    let key = |server: &Server| {
        let labels = labels([("dc", server.dc.to_string()), ("server", server.addr.to_string())]);
        AlertKey::new(Rule::Unreachable, Arc::new(labels))
    };
    topology.servers.iter().map(|(addr, server)| (addr.clone(), key(server))).collect()
}

/// How long the link has been down or stalled. Streaming is zero; every other state has its own rule or none, and
/// leaves an alert as it is.
fn link_reading(seen: &Assessment) -> Reading<Span> {
    match (seen.state, seen.link_down_for) {
        (PairState::LinkDown | PairState::Stalled, Some(down)) => Reading::exact(down),
        (PairState::Streaming, _) => Reading::exact(Span::ZERO),
        _ => Reading::NO_DATA,
    }
}

fn pair_context(pair: &Pair, seen: &Assessment) -> Arc<AlertContext> {
    Arc::new(AlertContext {
        extra_labels: Arc::clone(&pair.labels),
        master: Some(pair.master.to_string()),
        state: Some(seen.state.label()),
        reason: Some(seen.reason.to_string()),
        last_sample: seen.sampled_at.or(seen.last_known.map(|known| known.at)),
    })
}

fn server_context(facts: &ServerFacts) -> Arc<AlertContext> {
    let reason = facts.last_error.map(|error| format!("the server {}", error.sentence()));
    Arc::new(AlertContext {
        reason,
        last_sample: facts.last_answer.map(|(_, received)| received),
        ..AlertContext::default()
    })
}
