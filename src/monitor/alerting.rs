//! From assessments to alerts: what each rule reads of a pair or a server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::causes::{self, PairCauses};
use super::failover::Failover;
use super::full_syncs::FullSyncs;
use super::isolation::Isolation;
use super::receivers::{FAILING_RULE, Trouble};
use super::sentinels::Quorum;
use crate::alert::{
    AlertContext, AlertEngine, AlertGroups, AlertKey, AlertSnapshot, Cause, Due, Evaluation,
    GroupKey, Labels, ListedAlert, Outlook, Quiet, Reading, ResolveReason, Rule, RuleInput, Target,
    TargetKind, Transition,
};
use crate::config::{AlertSettings, CountRule, LevelRule, NotifySettings, Settings};
use crate::model::{PairName, ServerAddr, Span, Timestamp, WallTime};
use crate::replication::{Assessment, PairState, ServerFacts};
use crate::topology::{Pair, Server, Topology};

/// The rules, the alerts and the groups of one configuration.
#[derive(Debug)]
pub(super) struct Alerting {
    pairs: Vec<PairKeys>,
    servers: BTreeMap<ServerAddr, AlertKey>,
    full_syncs: BTreeMap<ServerAddr, AlertKey>,
    entries: BTreeMap<PairName, (AlertKey, CountRule)>,
    receivers: BTreeMap<Arc<str>, AlertKey>,
    isolated: AlertKey,
    causes_of_remote: Arc<[Cause]>,
    quorums: BTreeSet<AlertKey>,
    unreachable: LevelRule<Span>,
    sentinel_quorum: LevelRule<Span>,
    full_sync: CountRule,
    counts: FullSyncs,
    engine: AlertEngine,
    groups: AlertGroups,
    quiet: Quiet,
    targets: Vec<Target>,
    /// What changed since it was last asked for.
    changes: Vec<Transition>,
    /// What alerts had counted before a restart, and when.
    carried: BTreeMap<AlertKey, (Timestamp, u64)>,
}

/// The keys of one pair's alerts.
#[derive(Debug)]
struct PairKeys {
    lag_seconds: AlertKey,
    lag_bytes: AlertKey,
    link_down: AlertKey,
    unknown: AlertKey,
    diverged: AlertKey,
    causes: PairCauses,
}

/// Since when a pair is as the rules of time look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// When there last was something to compare, or a full sync made progress; the beginning of
    /// watching before that.
    pub(super) known: Timestamp,
    /// Since when it has been diverged.
    pub(super) diverged: Option<Timestamp>,
}

impl Alerting {
    pub(super) fn new(settings: &Settings, topology: &Topology) -> Self {
        let servers = server_keys(topology, Rule::Unreachable);
        Self {
            pairs: pair_keys(topology, &servers),
            servers,
            full_syncs: server_keys(topology, Rule::FullSync),
            entries: entry_keys(topology),
            receivers: receiver_keys(&settings.notify),
            isolated: causes::isolated(),
            causes_of_remote: causes::of_remote_servers(),
            quorums: BTreeSet::new(),
            unreachable: settings.alerts.unreachable,
            sentinel_quorum: settings.alerts.sentinel_quorum,
            full_sync: settings.alerts.full_sync,
            counts: FullSyncs::default(),
            engine: AlertEngine::new(settings.notify.flapping),
            groups: AlertGroups::new(&settings.notify),
            quiet: Quiet::new(&settings.notify.maintenance),
            targets: causes::targets(topology, &settings.notify),
            changes: Vec::new(),
            carried: BTreeMap::new(),
        }
    }

    /// Changes rules, targets and receivers. Alerts of targets that stay go on; those of targets
    /// that are gone resolve, because of a failover where their entry is one of the `turned` ones.
    pub(super) fn reconfigure(
        &mut self,
        settings: &Settings,
        topology: &Topology,
        turned: &BTreeSet<PairName>,
        now: Timestamp,
    ) {
        let before: BTreeSet<AlertKey> = self.keys().cloned().collect();
        self.servers = server_keys(topology, Rule::Unreachable);
        self.pairs = pair_keys(topology, &self.servers);
        self.full_syncs = server_keys(topology, Rule::FullSync);
        self.entries = entry_keys(topology);
        self.receivers = receiver_keys(&settings.notify);
        self.unreachable = settings.alerts.unreachable;
        self.sentinel_quorum = settings.alerts.sentinel_quorum;
        self.full_sync = settings.alerts.full_sync;
        self.counts.reconfigure(topology);
        self.engine.reconfigure(settings.notify.flapping);
        self.quiet.reconfigure(&settings.notify.maintenance);
        self.targets = causes::targets(topology, &settings.notify);
        self.note_quorum_targets();
        let after: BTreeSet<AlertKey> = self.keys().cloned().collect();
        for gone in before.difference(&after) {
            let pair = gone
                .identity()
                .labels
                .get("pair")
                .map(|pair| PairName::new(pair));
            let is_turned = pair.is_some_and(|pair| turned.contains(&pair));
            let reason = if is_turned {
                ResolveReason::Failover
            } else {
                ResolveReason::Removed
            };
            if let Some(transition) = self.engine.retire(now, gone, reason) {
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
        let of_entries = self.entries.values().map(|(key, _)| key);
        let of_servers = self.servers.values().chain(self.full_syncs.values());
        let others = of_servers.chain(self.receivers.values()).chain(of_entries);
        self.pairs.iter().flat_map(PairKeys::all).chain(others)
    }

    /// Looks at every rule of the pair with this index.
    pub(super) fn evaluate_pair(
        &mut self,
        index: usize,
        pair: &Pair,
        seen: &Assessment,
        since: Since,
        now: Timestamp,
    ) {
        let Some(keys) = self.pairs.get(index) else {
            return;
        };
        let rules: &AlertSettings = &pair.alerts;
        let lag = Reading {
            estimate: seen.lag.estimate,
            lower: seen.lag.lower,
            upper: seen.lag.upper,
        };
        let bytes = Reading {
            estimate: seen.bytes.estimate,
            lower: seen.bytes.lower,
            upper: seen.bytes.upper,
        };
        let none: Arc<[Cause]> = Arc::default();
        let inputs = [
            (
                &keys.lag_seconds,
                RuleInput::Seconds {
                    rule: &rules.lag_seconds,
                    reading: lag,
                },
                &keys.causes.lag,
            ),
            (
                &keys.lag_bytes,
                RuleInput::Bytes {
                    rule: &rules.lag_bytes,
                    reading: bytes,
                },
                &keys.causes.lag,
            ),
            (
                &keys.link_down,
                RuleInput::Seconds {
                    rule: &rules.link_down,
                    reading: link_reading(seen),
                },
                &keys.causes.link,
            ),
            (
                &keys.unknown,
                RuleInput::Seconds {
                    rule: &rules.unknown,
                    reading: Reading::exact((now - since.known).or_zero()),
                },
                &keys.causes.unknown,
            ),
            (
                &keys.diverged,
                RuleInput::Seconds {
                    rule: &rules.diverged,
                    reading: diverged_reading(seen, since, now),
                },
                &none,
            ),
        ];
        let transitions = inputs.map(|(key, input, causes)| {
            let context = || pair_context(pair, seen, causes);
            self.engine.evaluate(
                now,
                Evaluation {
                    key,
                    input,
                    context: &context,
                },
            )
        });
        for transition in transitions.into_iter().flatten() {
            self.tell(transition, now);
        }
    }

    /// Whether an alert on the lag of the pair with this index is pending or firing.
    pub(super) fn has_open_lag_alert(&self, index: usize) -> bool {
        let keys = self.pairs.get(index);
        keys.is_some_and(|keys| {
            [&keys.lag_seconds, &keys.lag_bytes]
                .into_iter()
                .any(|key| self.engine.is_open(key))
        })
    }

    /// Looks at the rule of one server.
    pub(super) fn evaluate_server(&mut self, server: &Server, facts: &ServerFacts, now: Timestamp) {
        let Some(key) = self.servers.get(&server.addr) else {
            return;
        };
        let reading = facts
            .unreachable_for(now)
            .map_or(Reading::NO_DATA, Reading::exact);
        let input = RuleInput::Seconds {
            rule: &self.unreachable,
            reading,
        };
        let remote = (!server.local).then_some(&self.causes_of_remote);
        let context = || server_context(facts, remote);
        if let Some(transition) = self.engine.evaluate(
            now,
            Evaluation {
                key,
                input,
                context: &context,
            },
        ) {
            self.tell(transition, now);
        }
        self.evaluate_full_syncs(server, facts, now);
    }

    fn evaluate_full_syncs(&mut self, server: &Server, facts: &ServerFacts, now: Timestamp) {
        let Some(key) = self.full_syncs.get(&server.addr) else {
            return;
        };
        let CountRule { levels, window } = &self.full_sync;
        let Reading { estimate, .. } = self.counts.count(&server.addr, facts, *window, now);
        let before = self.carried_count(key, *window, now);
        let reading = estimate.map_or(Reading::NO_DATA, |count| {
            Reading::exact(count.saturating_add(before))
        });
        let context = || {
            let reason = reading
                .estimate
                .map(|count| format!("the server gave {count} full syncs within {window}"));
            let last_sample = facts.last_answer.map(|(_, received)| received);
            Arc::new(AlertContext {
                reason,
                last_sample,
                ..AlertContext::default()
            })
        };
        let input = RuleInput::Count {
            rule: levels,
            reading,
        };
        if let Some(transition) = self.engine.evaluate(
            now,
            Evaluation {
                key,
                input,
                context: &context,
            },
        ) {
            self.tell(transition, now);
        }
    }

    /// Looks at the rule that no remote server answers.
    pub(super) fn evaluate_isolation(&mut self, isolation: Isolation, now: Timestamp) {
        let remote = isolation.remote;
        // Where servers were taken out of the configuration until one was left, the rule has
        // nothing to say any more.
        let lasts = if remote < 2 {
            Some(Span::ZERO)
        } else {
            isolation.lasts()
        };
        let reading = lasts.map_or(Reading::NO_DATA, Reading::exact);
        let input = RuleInput::Seconds {
            rule: &self.unreachable,
            reading,
        };
        let reason = || {
            format!(
                "none of the {remote} servers outside this exporter's datacenter answers it: its own network is more likely \
                 to be at fault than all of them"
            )
        };
        let context = || {
            Arc::new(AlertContext {
                reason: Some(reason()),
                ..AlertContext::default()
            })
        };
        let evaluation = Evaluation {
            key: &self.isolated,
            input,
            context: &context,
        };
        if let Some(transition) = self.engine.evaluate(now, evaluation) {
            self.tell(transition, now);
        }
    }

    /// Looks at the rule of one receiver.
    pub(super) fn evaluate_receiver(&mut self, trouble: &Trouble, now: Timestamp) {
        let Some(key) = self.receivers.get(&trouble.receiver) else {
            return;
        };
        let input = RuleInput::Seconds {
            rule: &FAILING_RULE,
            reading: Reading::exact(trouble.lasts),
        };
        let context = || {
            Arc::new(AlertContext {
                reason: trouble.reason(),
                ..AlertContext::default()
            })
        };
        if let Some(transition) = self.engine.evaluate(
            now,
            Evaluation {
                key,
                input,
                context: &context,
            },
        ) {
            self.tell(transition, now);
        }
    }

    /// The entries that have a rule about failovers.
    pub(super) fn entries(&self) -> Vec<PairName> {
        self.entries.keys().cloned().collect()
    }

    /// Over how long the failovers of an entry are counted.
    pub(super) fn failover_window(&self, name: &PairName) -> Span {
        self.entries
            .get(name)
            .map_or(Span::ZERO, |(_, rule)| rule.window)
    }

    /// Looks at the rule about the failovers of one entry.
    pub(super) fn evaluate_failovers(
        &mut self,
        name: &PairName,
        count: u64,
        last: Option<&Failover>,
        now: Timestamp,
    ) {
        let Some((key, rule)) = self.entries.get(name) else {
            return;
        };
        let count = count.saturating_add(self.carried_count(key, rule.window, now));
        let input = RuleInput::Count {
            rule: &rule.levels,
            reading: Reading::exact(count),
        };
        let context = || failover_context(last);
        if let Some(transition) = self.engine.evaluate(
            now,
            Evaluation {
                key,
                input,
                context: &context,
            },
        ) {
            self.tell(transition, now);
        }
    }

    /// Looks at the rule of one datacenter's Sentinels.
    pub(super) fn evaluate_quorum(&mut self, quorum: &Quorum<'_>, now: Timestamp) {
        let input = RuleInput::Seconds {
            rule: &self.sentinel_quorum,
            reading: quorum.reading,
        };
        let context = || {
            Arc::new(AlertContext {
                reason: quorum.reason(),
                ..AlertContext::default()
            })
        };
        let evaluation = Evaluation {
            key: quorum.key,
            input,
            context: &context,
        };
        if let Some(transition) = self.engine.evaluate(now, evaluation) {
            self.tell(transition, now);
        }
    }

    /// Only these alerts about Sentinels go on; the others resolve.
    pub(super) fn retire_quorums(&mut self, keys: &BTreeSet<AlertKey>, now: Timestamp) {
        let gone: Vec<_> = self.quorums.difference(keys).cloned().collect();
        self.quorums.clone_from(keys);
        self.note_quorum_targets();
        for key in gone {
            if let Some(transition) = self.engine.retire(now, &key, ResolveReason::Removed) {
                self.tell(transition, now);
            }
        }
    }

    fn note_quorum_targets(&mut self) {
        let of_quorum = |key: &AlertKey| Target {
            kind: TargetKind::Sentinels,
            labels: Arc::clone(&key.identity().labels),
            extra: Arc::default(),
        };
        self.targets
            .retain(|target| target.kind != TargetKind::Sentinels);
        self.targets.extend(self.quorums.iter().map(of_quorum));
    }

    fn tell(&mut self, mut transition: Transition, now: Timestamp) {
        let hold = self.quiet.hold_of(&transition.alert);
        if hold != transition.alert.hold {
            self.engine.note_hold(&transition.alert.key(), hold.clone());
            Arc::make_mut(&mut transition.alert).hold = hold;
        }
        self.groups.record(now, &transition.alert);
        self.changes.push(transition);
    }

    /// The alert had counted this much before a restart.
    pub(super) fn carry_on(&mut self, key: &AlertKey, at: Timestamp, count: u64) {
        self.carried.insert(key.clone(), (at, count));
    }

    /// What the alert had counted before a restart, within `window` before `now`.
    fn carried_count(&self, key: &AlertKey, window: Span, now: Timestamp) -> u64 {
        self.carried
            .get(key)
            .filter(|(at, _)| now - *at < window)
            .map_or(0, |(_, count)| *count)
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
        self.keys()
            .chain(&self.quorums)
            .chain([&self.isolated])
            .any(|watched| watched == key)
    }

    /// Ends an alert whose target nobody watches any more.
    pub(super) fn retire(&mut self, key: &AlertKey, now: Timestamp) {
        if let Some(transition) = self.engine.retire(now, key, ResolveReason::Removed) {
            self.tell(transition, now);
        }
    }

    /// Looks whether silences or maintenance windows began or ended.
    pub(super) fn look_at_quiet(&mut self, now: Timestamp, wall: WallTime) {
        if self.quiet.turn(wall) {
            let (quiet, engine) = (&self.quiet, &mut self.engine);
            engine.review_holds(|alert| quiet.hold_of(alert));
            let engine = &self.engine;
            self.groups.review(now, &|key| engine.snapshot(key));
        }
    }

    /// The silences and maintenance windows.
    pub(super) fn quiet(&self) -> &Quiet {
        &self.quiet
    }

    /// The silences and maintenance windows, to change them.
    pub(super) fn quiet_mut(&mut self) -> &mut Quiet {
        &mut self.quiet
    }

    /// The alerts that began, changed or ended since this was last asked.
    pub(super) fn changes(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.changes)
    }

    /// The notifications that are due, and what was held back.
    pub(super) fn due(&mut self, now: Timestamp) -> Due {
        self.engine.expire(now);
        for alert in self.engine.take_quieted() {
            self.groups.note_flapping(&alert);
        }
        let engine = &self.engine;
        self.groups.due(
            now,
            &Outlook {
                current: &|key| engine.snapshot(key),
                targets: &self.targets,
            },
        )
    }

    /// Every alert that is pending, firing or recently resolved.
    pub(super) fn listed(&self) -> Vec<ListedAlert> {
        let mut listed = self.engine.listed();
        for entry in &mut listed {
            entry.caused_by = self.explained_by(&entry.alert);
        }
        listed
    }

    /// The first alert in the order of causes that explains `alert` now.
    fn explained_by(&self, alert: &AlertSnapshot) -> Option<AlertKey> {
        let mut causes = alert
            .context
            .causes
            .iter()
            .filter(|cause| alert.severity <= cause.up_to);
        let explains = |cause: &&Cause| {
            self.engine
                .fires_at(&cause.key)
                .is_some_and(|at| at >= alert.severity)
        };
        causes.find(explains).map(|cause| cause.key.clone())
    }
}

fn pair_keys(topology: &Topology, servers: &BTreeMap<ServerAddr, AlertKey>) -> Vec<PairKeys> {
    topology
        .pairs
        .iter()
        .map(|pair| PairKeys::of(pair, servers, topology))
        .collect()
}

fn receiver_keys(settings: &NotifySettings) -> BTreeMap<Arc<str>, AlertKey> {
    let key = |name: &str| {
        AlertKey::new(
            Rule::ReceiverFailing,
            Arc::new(labels([("receiver", name.to_owned())])),
        )
    };
    settings
        .receivers
        .iter()
        .map(|receiver| (receiver.name.as_str().into(), key(&receiver.name)))
        .collect()
}

impl PairKeys {
    fn of(pair: &Pair, servers: &BTreeMap<ServerAddr, AlertKey>, topology: &Topology) -> Self {
        let labels = Arc::new(pair_labels(pair));
        let key = |rule| AlertKey::new(rule, Arc::clone(&labels));
        let link_down = key(Rule::LinkDown);
        Self {
            lag_seconds: key(Rule::LagSeconds),
            lag_bytes: key(Rule::LagBytes),
            unknown: key(Rule::Unknown),
            causes: PairCauses::of(pair, &link_down, servers, topology),
            diverged: key(Rule::Diverged),
            link_down,
        }
    }

    fn all(&self) -> [&AlertKey; 5] {
        let Self {
            lag_seconds,
            lag_bytes,
            link_down,
            unknown,
            diverged,
            ..
        } = self;
        [lag_seconds, lag_bytes, link_down, unknown, diverged]
    }
}

pub(super) fn pair_labels(pair: &Pair) -> Labels {
    labels([
        ("pair", pair.key.name.to_string()),
        ("source_dc", pair.source_dc.to_string()),
        ("target_dc", pair.target_dc.to_string()),
        ("replica", pair.key.replica.to_string()),
    ])
}

fn labels<const N: usize>(pairs: [(&str, String); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(super) fn server_labels(server: &Server) -> Labels {
    labels([
        ("dc", server.dc.to_string()),
        ("server", server.addr.to_string()),
    ])
}

fn server_keys(topology: &Topology, rule: Rule) -> BTreeMap<ServerAddr, AlertKey> {
    let key = |server: &Server| AlertKey::new(rule, Arc::new(server_labels(server)));
    topology
        .servers
        .iter()
        .map(|(addr, server)| (addr.clone(), key(server)))
        .collect()
}

fn entry_keys(topology: &Topology) -> BTreeMap<PairName, (AlertKey, CountRule)> {
    let entry = |pair: &Arc<Pair>| {
        let key = AlertKey::new(
            Rule::Failover,
            Arc::new(labels([("pair", pair.key.name.to_string())])),
        );
        (pair.key.name.clone(), (key, pair.alerts.failover))
    };
    topology.pairs.iter().map(entry).collect()
}

/// How long the pair has been diverged: from its first moment on at least the smallest level. While
/// a server is silent, nobody knows.
fn diverged_reading(seen: &Assessment, since: Since, now: Timestamp) -> Reading<Span> {
    match (seen.state, since.diverged) {
        (PairState::Diverged, Some(since)) => {
            Reading::exact((now - since).max(Span::from_millis(1)))
        }
        (_, Some(_)) => Reading::NO_DATA,
        (_, None) => Reading::exact(Span::ZERO),
    }
}

/// How long the link has been down or stalled. Streaming is zero; every other state has its own
/// rule or none, and leaves an alert as it is.
fn link_reading(seen: &Assessment) -> Reading<Span> {
    match (seen.state, seen.link_down_for) {
        (PairState::LinkDown | PairState::Stalled, Some(down)) => Reading::exact(down),
        (PairState::Streaming, _) => Reading::exact(Span::ZERO),
        _ => Reading::NO_DATA,
    }
}

fn pair_context(pair: &Pair, seen: &Assessment, causes: &Arc<[Cause]>) -> Arc<AlertContext> {
    Arc::new(AlertContext {
        extra_labels: Arc::clone(&pair.labels),
        master: Some(pair.master.to_string()),
        state: Some(seen.state.label()),
        reason: Some(seen.reason.to_string()),
        last_sample: seen.sampled_at.or(seen.last_known.map(|known| known.at)),
        causes: Arc::clone(causes),
    })
}

fn failover_context(last: Option<&Failover>) -> Arc<AlertContext> {
    Arc::new(AlertContext {
        master: last.map(|failover| failover.succession.to.to_string()),
        reason: last.map(ToString::to_string),
        last_sample: last
            .and_then(|failover| failover.last_known)
            .map(|known| known.at),
        ..AlertContext::default()
    })
}

fn server_context(facts: &ServerFacts, causes: Option<&Arc<[Cause]>>) -> Arc<AlertContext> {
    let reason = facts
        .last_error
        .map(|error| format!("the server {}", error.sentence()));
    Arc::new(AlertContext {
        reason,
        last_sample: facts.last_answer.map(|(_, received)| received),
        causes: causes.cloned().unwrap_or_default(),
        ..AlertContext::default()
    })
}
