//! The owner of alerting: evaluates the rules of pairs, servers and this exporter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert_keys::{
    PairKeys, entry_keys, inhibitors_of_full_syncs, pair_keys, receiver_keys, server_keys,
};
use super::context;
use super::faults::{RELOAD_RULE, ReloadFailure, fault_context};
use super::fleet::RecentFailovers;
use super::full_syncs::FullSyncs;
use super::inhibition;
use super::isolation::Isolation;
use super::outage::LinkWatch;
use super::readings::{history_lost_reading, pair_inputs, with_syncs};
use super::receivers::Trouble;
use super::sentinels::Quorum;
use crate::alert::{
    AlertContext, AlertEngine, AlertGroups, AlertKey, AlertTarget, Details, DueNotifications,
    EvalContext, Evaluation, GroupKey, Inhibitor, ListedAlert, Mutes, Reading, ResolveReason, Rule,
    RuleInput, ServedPair, TargetKind, Transition,
};
use crate::config::{CountRule, LevelRule, LevelThreshold, NotifySettings, Settings};
use crate::model::{PairName, ServerAddr, Span, Timestamp, WallTime};
use crate::replication::{Assessment, HistoryLoss, MasterHistory, Pause, ServerFacts};
use crate::topology::{Pair, Server, Topology};

/// How long restored alerts may wait for the first polls of their targets: longer than any poll
/// takes, and no reason to keep silent about what fires for ever.
const CONFIRM_WITHIN: Span = Span::from_secs(10);

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

/// The rules, the alerts and the groups of one configuration.
#[derive(Debug)]
pub(super) struct Alerting {
    pairs: Vec<PairKeys>,
    servers: BTreeMap<ServerAddr, AlertKey>,
    full_syncs: BTreeMap<ServerAddr, AlertKey>,
    faults: BTreeMap<ServerAddr, AlertKey>,
    entries: BTreeMap<PairName, (AlertKey, CountRule)>,
    receivers: BTreeMap<Arc<str>, AlertKey>,
    isolated: AlertKey,
    reload_failed: AlertKey,
    inhibitors_of_remote: Arc<[Inhibitor]>,
    inhibitors_of_full_syncs: BTreeMap<ServerAddr, Arc<[Inhibitor]>>,
    quorums: BTreeSet<AlertKey>,
    unreachable: LevelRule<Span>,
    sentinel_quorum: LevelRule<Span>,
    full_sync: CountRule,
    counts: FullSyncs,
    /// How many full syncs each server had given when it was last looked at.
    full_syncs_seen: BTreeMap<ServerAddr, u64>,
    engine: AlertEngine,
    groups: AlertGroups,
    mutes: Mutes,
    targets: Vec<AlertTarget>,
    /// What changed since it was last asked for.
    changes: Vec<Transition>,
    /// What alerts had counted before a restart, and when.
    carried: BTreeMap<AlertKey, (Timestamp, u64)>,
    /// Until when nobody is notified, unless all restored alerts are confirmed before.
    confirm_by: Option<Timestamp>,
}

/// What the rules of a pair look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairLook<'a> {
    /// The pair.
    pub(super) pair: &'a Pair,
    /// What is true of it.
    pub(super) seen: &'a Assessment,
    /// Since when.
    pub(super) since: Since,
    /// What is noted of its link.
    pub(super) link: &'a LinkWatch,
    /// The history of its master's stream.
    pub(super) history: Option<&'a MasterHistory>,
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
        let faults = server_keys(topology, Rule::ExporterFault);
        let pairs = pair_keys(topology, &servers, &faults);
        Self {
            inhibitors_of_full_syncs: inhibitors_of_full_syncs(topology, &pairs),
            pairs,
            servers,
            faults,
            full_syncs: server_keys(topology, Rule::FullSync),
            entries: entry_keys(topology),
            receivers: receiver_keys(&settings.notify),
            isolated: inhibition::isolated(),
            reload_failed: AlertKey::new(Rule::ConfigReloadFailed, Arc::default()),
            inhibitors_of_remote: inhibition::of_remote_servers(),
            quorums: BTreeSet::new(),
            unreachable: settings.alerts.unreachable,
            sentinel_quorum: settings.alerts.sentinel_quorum,
            full_sync: settings.alerts.full_sync,
            counts: FullSyncs::default(),
            full_syncs_seen: BTreeMap::new(),
            engine: AlertEngine::new(&settings.notify),
            groups: AlertGroups::new(&settings.notify),
            mutes: Mutes::new(&settings.notify.maintenance),
            targets: inhibition::targets(topology, &settings.notify),
            changes: Vec::new(),
            carried: BTreeMap::new(),
            confirm_by: None,
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
        self.faults = server_keys(topology, Rule::ExporterFault);
        self.pairs = pair_keys(topology, &self.servers, &self.faults);
        self.inhibitors_of_full_syncs = inhibitors_of_full_syncs(topology, &self.pairs);
        self.full_syncs = server_keys(topology, Rule::FullSync);
        self.entries = entry_keys(topology);
        self.receivers = receiver_keys(&settings.notify);
        self.unreachable = settings.alerts.unreachable;
        self.sentinel_quorum = settings.alerts.sentinel_quorum;
        self.full_sync = settings.alerts.full_sync;
        self.counts.reconfigure(topology);
        self.full_syncs_seen
            .retain(|server, _| topology.servers.contains_key(server));
        self.engine.reconfigure(&settings.notify);
        self.mutes.reconfigure(&settings.notify.maintenance);
        self.targets = inhibition::targets(topology, &settings.notify);
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
        let of_servers = of_servers.chain(self.faults.values());
        let others = of_servers.chain(self.receivers.values()).chain(of_entries);
        self.pairs.iter().flat_map(PairKeys::all).chain(others)
    }

    /// Looks at every rule of the pair with this index.
    pub(super) fn evaluate_pair(&mut self, index: usize, look: PairLook<'_>, now: Timestamp) {
        let Some(keys) = self.pairs.get(index) else {
            return;
        };
        let is_down = self.engine.fires_at(&keys.link_down).is_some();
        let inputs = pair_inputs(keys, &look, is_down, now);
        let transitions = inputs.map(|(key, input, fault, inhibitors)| {
            let context = || context::of_pair(&look, fault, inhibitors, now);
            let evaluation = Evaluation {
                key,
                input,
                context: &context,
            };
            self.engine.evaluate(now, evaluation)
        });
        for transition in transitions.into_iter().flatten() {
            self.tell(transition, now);
        }
    }

    /// Looks whether the master of the pair with this index lost its history.
    pub(super) fn evaluate_history(
        &mut self,
        index: usize,
        look: PairLook<'_>,
        loss: Option<&Arc<HistoryLoss>>,
        now: Timestamp,
    ) {
        let Some(keys) = self.pairs.get(index) else {
            return;
        };
        let context = || {
            let inhibitors = &keys.inhibitors.history_lost;
            context::of_lost_history(&look, loss, inhibitors, now)
        };
        let evaluation = Evaluation {
            key: &keys.history_lost,
            input: RuleInput::Count {
                rule: &HISTORY_LOST_RULE,
                reading: history_lost_reading(loss, now),
            },
            context: &context,
        };
        if let Some(transition) = self.engine.evaluate(now, evaluation) {
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
    pub(super) fn evaluate_server(
        &mut self,
        server: &Server,
        facts: &ServerFacts,
        services: &dyn Fn() -> Vec<ServedPair>,
        now: Timestamp,
    ) {
        let Some(key) = self.servers.get(&server.addr) else {
            return;
        };
        if !facts.is_judged() {
            return; // an alert stays as it is until the next poll has ended
        }
        let reading = facts
            .unreachable_for(now)
            .map_or(Reading::NO_DATA, Reading::exact);
        let input = RuleInput::Seconds {
            rule: &self.unreachable,
            reading,
        };
        let remote = (!server.local).then_some(&self.inhibitors_of_remote);
        let context = || context::of_server(facts, services(), remote);
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
        self.evaluate_fault(server, facts, services, now);
        self.evaluate_full_syncs(server, facts, services, now);
    }

    /// Looks at the rule that this exporter has access to the server.
    fn evaluate_fault(
        &mut self,
        server: &Server,
        facts: &ServerFacts,
        services: &dyn Fn() -> Vec<ServedPair>,
        now: Timestamp,
    ) {
        let Some(key) = self.faults.get(&server.addr) else {
            return;
        };
        let lasts = facts.fault_for(now);
        let input = RuleInput::Seconds {
            rule: &self.unreachable,
            reading: lasts.map_or(Reading::NO_DATA, Reading::exact),
        };
        let remote = (!server.local).then_some(&self.inhibitors_of_remote);
        let context = || fault_context(facts, services(), remote);
        let evaluation = Evaluation {
            key,
            input,
            context: &context,
        };
        if let Some(transition) = self.engine.evaluate(now, evaluation) {
            self.tell(transition, now);
        }
    }

    /// Looks at the rule that the configuration was loaded.
    pub(super) fn evaluate_reload(&mut self, failure: Option<&ReloadFailure>, now: Timestamp) {
        let lasts = failure.map_or(Span::ZERO, |failure| failure.lasts(now));
        let input = RuleInput::Seconds {
            rule: &RELOAD_RULE,
            reading: Reading::exact(lasts),
        };
        let context = || failure.map_or_else(Arc::default, ReloadFailure::context);
        let evaluation = Evaluation {
            key: &self.reload_failed,
            input,
            context: &context,
        };
        if let Some(transition) = self.engine.evaluate(now, evaluation) {
            self.tell(transition, now);
        }
    }

    fn evaluate_full_syncs(
        &mut self,
        server: &Server,
        facts: &ServerFacts,
        services: &dyn Fn() -> Vec<ServedPair>,
        now: Timestamp,
    ) {
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
            let reason = reading.estimate.map(|count| {
                let syncs = if count == 1 {
                    "full sync"
                } else {
                    "full syncs"
                };
                format!("the server gave {count} {syncs} within {window}")
            });
            let services = services();
            let reason = reason.map(|reason| with_syncs(reason, &services));
            let inhibitors = self.inhibitors_of_full_syncs.get(&server.addr);
            let mut context = context::of_server(facts, services, inhibitors);
            let own = Arc::make_mut(&mut context);
            own.reason = reason;
            own.fault_since = None;
            own.fault_until = None;
            own.error = None;
            own.details = Some(Details::FullSyncs { window: *window });
            context
        };
        let input = RuleInput::Count {
            rule: levels,
            reading,
        };
        let transition = self.engine.evaluate(
            now,
            Evaluation {
                key,
                input,
                context: &context,
            },
        );
        let is_another = self.counts_another(&server.addr, facts);
        match transition {
            Some(transition) => self.tell(transition, now),
            None if is_another => self.note_again(&server.addr, now),
            None => {}
        }
    }

    /// Takes in a server's first answer: full syncs after it count, also those before the rules are
    /// next evaluated.
    pub(super) fn begin_to_count(&mut self, server: &ServerAddr, facts: &ServerFacts) {
        self.counts.begin(server, facts);
        if !self.full_syncs_seen.contains_key(server) {
            self.counts_another(server, facts);
        }
    }

    /// Whether the server gave one more full sync since this was last asked.
    fn counts_another(&mut self, server: &ServerAddr, facts: &ServerFacts) -> bool {
        let Some(total) = facts.full_syncs.total().filter(|_| facts.is_up()) else {
            return false;
        };
        let Some(seen) = self.full_syncs_seen.get_mut(server) else {
            self.full_syncs_seen.insert(server.clone(), total);
            return false;
        };
        let is_another = total > *seen;
        *seen = total;
        is_another
    }

    /// Lets everybody be notified of one more full sync, although the alert fires already.
    fn note_again(&mut self, server: &ServerAddr, now: Timestamp) {
        if let Some(key) = self.full_syncs.get(server) {
            self.groups.note_again(now, key);
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
            let lasts = isolation.lasts().filter(|lasts| *lasts > Span::ZERO);
            Arc::new(AlertContext {
                reason: Some(reason()),
                fault_since: lasts.map(|lasts| now - lasts),
                fault_until: lasts.is_none().then_some(now),
                details: Some(Details::Isolated { servers: remote }),
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
            rule: trouble.rule(),
            reading: Reading::exact(trouble.lasts(now)),
        };
        let context = || {
            let since = trouble.since();
            Arc::new(AlertContext {
                reason: trouble.reason(),
                fault_since: since,
                fault_until: since.is_none().then_some(now),
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
        recent: RecentFailovers<'_>,
        now: Timestamp,
    ) {
        let RecentFailovers { count, first, last } = recent;
        let Some((key, rule)) = self.entries.get(name) else {
            return;
        };
        let count = count.saturating_add(self.carried_count(key, rule.window, now));
        let input = RuleInput::Count {
            rule: &rule.levels,
            reading: Reading::exact(count),
        };
        let context = || context::of_failovers(last, first, rule.window);
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
            let lost = quorum.reading.estimate.filter(|lasts| *lasts > Span::ZERO);
            let is_back = quorum.reading.estimate == Some(Span::ZERO);
            Arc::new(AlertContext {
                reason: quorum.reason(),
                fault_since: lost.map(|lasts| now - lasts),
                fault_until: is_back.then_some(now),
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
        let of_quorum = |key: &AlertKey| AlertTarget {
            kind: TargetKind::Sentinels,
            labels: Arc::clone(&key.identity().labels),
            extra: Arc::default(),
        };
        self.targets
            .retain(|target| target.kind != TargetKind::Sentinels);
        self.targets.extend(self.quorums.iter().map(of_quorum));
    }

    fn tell(&mut self, mut transition: Transition, now: Timestamp) {
        // What ends keeps the reason that it had: a silence made since is none.
        let is_open = transition.alert.resolved.is_none();
        let muted_by = self.mutes.mute_for(&transition.alert);
        if is_open && muted_by != transition.alert.muted_by {
            self.engine
                .set_muted_by(&transition.alert.key(), muted_by.clone());
            Arc::make_mut(&mut transition.alert).muted_by = muted_by;
        }
        self.groups.record(now, &transition.alert);
        self.changes.push(transition);
    }

    /// The alert had counted this much before a restart, by a state that does not say when.
    pub(super) fn carry_on(&mut self, key: &AlertKey, at: Timestamp, count: u64) {
        let mut of_server = self.full_syncs.iter().filter(|(_, known)| *known == key);
        if of_server.any(|(addr, _)| self.counts.knows(addr)) {
            return;
        }
        self.carried.insert(key.clone(), (at, count));
    }

    /// What the alert had counted before a restart, within `window` before `now`.
    fn carried_count(&self, key: &AlertKey, window: Span, now: Timestamp) -> u64 {
        self.carried
            .get(key)
            .filter(|(at, _)| now - *at < window)
            .map_or(0, |(_, count)| *count)
    }

    /// When servers gave full syncs.
    pub(super) fn full_syncs(&mut self) -> &mut FullSyncs {
        &mut self.counts
    }

    /// Forgets what an earlier life counted of servers that nobody watches.
    pub(super) fn forget_unwatched(&mut self) {
        let watched = &self.full_syncs;
        self.counts
            .forget_unwatched(|addr| watched.contains_key(addr));
    }

    /// What of it outlives the process.
    pub(super) fn parts(&mut self) -> (&mut AlertEngine, &mut AlertGroups) {
        (&mut self.engine, &mut self.groups)
    }

    /// Whether the disk may know less than this.
    pub(super) fn has_unsaved(&self) -> bool {
        self.engine.has_unsaved() || self.groups.has_unsaved() || self.counts.has_unsaved()
    }

    /// Whether a receiver is told of this group, also when it is no longer configured.
    pub(super) fn knows_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.groups.knows(receiver, group)
    }

    /// Whether somebody evaluates this alert.
    pub(super) fn watches(&self, key: &AlertKey) -> bool {
        self.keys()
            .chain(&self.quorums)
            .chain([&self.isolated, &self.reload_failed])
            .any(|watched| watched == key)
    }

    /// Ends an alert whose target nobody watches any more.
    pub(super) fn retire(&mut self, key: &AlertKey, now: Timestamp) {
        if let Some(transition) = self.engine.retire(now, key, ResolveReason::Removed) {
            self.tell(transition, now);
        }
    }

    /// Looks whether silences or maintenance windows began or ended.
    pub(super) fn update_mutes(&mut self, now: Timestamp, wall: WallTime) {
        if self.mutes.turn(wall) {
            let (mutes, engine) = (&self.mutes, &mut self.engine);
            engine.update_mutes(|alert| mutes.mute_for(alert));
            let engine = &self.engine;
            self.groups.review(now, &|key| engine.snapshot(key));
        }
    }

    /// The silences and maintenance windows.
    pub(super) fn mutes(&self) -> &Mutes {
        &self.mutes
    }

    /// The silences and maintenance windows, to change them.
    pub(super) fn mutes_mut(&mut self) -> &mut Mutes {
        &mut self.mutes
    }

    /// The alerts that began, changed or ended since this was last asked.
    pub(super) fn changes(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.changes)
    }

    /// Takes in that alerts were restored at `now`: nobody is notified of them before their targets
    /// were polled again.
    pub(super) fn await_confirmation(&mut self, now: Timestamp) {
        self.confirm_by = Some(now + CONFIRM_WITHIN);
    }

    /// Whether restored alerts still wait for the first polls of their targets.
    fn awaits_confirmation(&mut self, now: Timestamp) -> bool {
        let waits = self.confirm_by.is_some_and(|by| now < by) && self.engine.awaits_confirmation();
        if !waits {
            self.confirm_by = None;
        }
        waits
    }

    /// Takes in that the exporter was paused.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        self.engine.note_pause(pause);
    }

    /// The notifications that are due, and what was held back.
    pub(super) fn due(&mut self, now: Timestamp) -> DueNotifications {
        self.engine.expire(now);
        if self.awaits_confirmation(now) {
            return DueNotifications::default();
        }
        self.engine.update_inhibition(now);
        for alert in self.engine.take_turned() {
            self.groups.record(now, &alert);
        }
        let engine = &self.engine;
        let due = self.groups.due(
            now,
            &EvalContext {
                current: &|key| engine.snapshot(key),
                targets: &self.targets,
            },
        );
        for notification in &due.notifications {
            for alert in &notification.alerts {
                self.engine.note_notified(&alert.key());
            }
        }
        due
    }

    /// Every alert that is pending, firing or recently resolved.
    pub(super) fn listed(&self, now: Timestamp) -> Vec<ListedAlert> {
        let mut listed = self.engine.listed();
        for entry in &mut listed {
            entry.inhibited_by = self.engine.inhibitor_of(&entry.alert.key(), now);
        }
        listed
    }
}
