//! Alerting: the rules of one configuration, their alerts, and the notifications about them.

mod alerts;
mod evaluate;
mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert_keys::AlertKeys;
use super::full_syncs::FullSyncs;
use super::outage::LinkWatch;
use crate::alert::{
    AlertKey, AlertTarget, DueNotifications, GroupKey, ListedAlert, Mutes, PlannedWork,
    ResolveReason, RestoredAlert, Silences, TargetKind, Transition,
};
use crate::config::{AlertSettings, Settings};
use crate::lost_writes::CaptureStatus;
use crate::model::{PairName, ServerAddr, Span, Timestamp, WallTime};
use crate::replication::{Assessment, EvidenceLeft, MasterHistory, PairFacts, Pause};
use crate::topology::{Pair, Topology};
use alerts::Alerts;
pub(super) use evaluate::ObservedServer;

/// The rules of one configuration and their alerts.
#[derive(Debug)]
pub(super) struct Alerting {
    keys: AlertKeys,
    /// The keys of alerts about discovery sources: Sentinels and clusters.
    source_keys: BTreeSet<AlertKey>,
    /// The global rules: those of pairs are in [`Pair::alerts`].
    rules: AlertSettings,
    /// Whether masters are asked for their output buffers.
    asks_buffers: bool,
    full_syncs: FullSyncs,
    /// The entries whose rule about failovers is evaluated in the next tick.
    due_entries: BTreeSet<PairName>,
    /// How many full syncs each server had given when its rule was last evaluated.
    full_syncs_seen: BTreeMap<ServerAddr, u64>,
    targets: Vec<AlertTarget>,
    alerts: Alerts,
    /// Restored alerts of targets that are not watched yet: a Sentinel may name them later.
    restored: BTreeMap<AlertKey, RestoredAlert>,
    /// What alerts had counted before a restart, and when.
    counted_before: BTreeMap<AlertKey, (Timestamp, u64)>,
}

/// What the rules of a pair are evaluated on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ObservedPair<'a> {
    /// The pair.
    pub(super) pair: &'a Pair,
    /// What is true of it.
    pub(super) seen: &'a Assessment,
    /// Since when.
    pub(super) since: Since,
    /// The outages of its link.
    pub(super) link: &'a LinkWatch,
    /// The history of its master's stream.
    pub(super) history: Option<&'a MasterHistory>,
    /// Whether its master came back without its replication history, and that has not ended.
    pub(super) has_lost_history: bool,
    /// The captures of lost writes of every pair.
    pub(super) captures: &'a [CaptureStatus],
    /// What is known of it.
    pub(super) facts: &'a PairFacts,
    /// How long the writes of a deposed master can be saved, where there is one.
    pub(super) evidence: Option<EvidenceLeft>,
}

/// Since when a pair is in the conditions that its rules time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// When there last was something to compare, or a full sync made progress; before that, since
    /// when it is watched.
    pub(super) known: Timestamp,
    /// Since when it has been diverged.
    pub(super) diverged: Option<Timestamp>,
}

impl Alerting {
    /// The rules of `settings` for the targets of `topology`, without any alert.
    pub(super) fn new(settings: &Settings, topology: &Topology) -> Self {
        let keys = AlertKeys::new(settings, topology);
        let mut alerting = Self {
            targets: keys.targets(settings, topology),
            keys,
            source_keys: BTreeSet::new(),
            rules: settings.alerts.clone(),
            asks_buffers: settings.poll.output_buffers,
            due_entries: BTreeSet::new(),
            full_syncs: FullSyncs::default(),
            full_syncs_seen: BTreeMap::new(),
            alerts: Alerts::new(&settings.notify),
            restored: BTreeMap::new(),
            counted_before: BTreeMap::new(),
        };
        alerting.evaluate_all();
        alerting
    }

    /// The rules of all entries are evaluated in the next tick.
    pub(super) fn evaluate_all(&mut self) {
        self.due_entries = self.keys.failovers.keys().cloned().collect();
    }

    /// Changes rules, targets and receivers. Alerts of targets that stay go on; those of targets
    /// that are gone resolve: because of a failover, if their entry is one of the `promoted` ones.
    pub(super) fn reconfigure(
        &mut self,
        settings: &Settings,
        topology: &Topology,
        promoted: &BTreeSet<PairName>,
        now: Timestamp,
    ) {
        let keys = AlertKeys::new(settings, topology);
        let before = std::mem::replace(&mut self.keys, keys);
        self.rules = settings.alerts.clone();
        self.asks_buffers = settings.poll.output_buffers;
        self.evaluate_all();
        self.full_syncs.reconfigure(topology);
        self.full_syncs_seen
            .retain(|server, _| topology.servers.contains_key(server));
        self.targets = self.keys.targets(settings, topology);
        self.add_source_targets();
        self.alerts.reconfigure(&settings.notify);
        self.retire_removed(&before, promoted, now);
        self.alerts.reconfigure_groups(&settings.notify, now);
    }

    /// Resolves the alerts whose targets were watched before and are not any more.
    fn retire_removed(
        &mut self,
        before: &AlertKeys,
        promoted: &BTreeSet<PairName>,
        now: Timestamp,
    ) {
        let before: BTreeSet<&AlertKey> = before.removable().collect();
        let after: BTreeSet<&AlertKey> = self.keys.removable().collect();
        for gone in before.difference(&after) {
            let reason = match gone.identity().labels.get("pair") {
                Some(pair) if promoted.contains(&PairName::new(pair)) => ResolveReason::Failover,
                _ => ResolveReason::Removed,
            };
            self.alerts.retire(gone, reason, now);
        }
    }

    /// Only these alerts about discovery sources go on; the others resolve.
    pub(super) fn retire_source_alerts(&mut self, keys: &BTreeSet<AlertKey>, now: Timestamp) {
        for gone in self.source_keys.difference(keys) {
            self.alerts.retire(gone, ResolveReason::Removed, now);
        }
        self.source_keys.clone_from(keys);
        self.add_source_targets();
    }

    fn add_source_targets(&mut self) {
        self.targets
            .retain(|target| !matches!(target.kind, TargetKind::Sentinels | TargetKind::Cluster));
        for key in &self.source_keys {
            self.targets.push(AlertTarget {
                kind: key.identity().rule.target(),
                labels: Arc::clone(&key.identity().labels),
                extra: Arc::default(),
            });
        }
    }

    /// Whether the rule of this alert is evaluated for a watched target.
    fn watches(&self, key: &AlertKey) -> bool {
        self.source_keys.contains(key) || self.keys.contains(key)
    }

    /// Takes the entries whose rule about failovers is to be evaluated now.
    pub(super) fn take_due_entries(&mut self) -> BTreeSet<PairName> {
        std::mem::take(&mut self.due_entries)
    }

    /// Over how long the failovers of an entry are counted.
    pub(super) fn failover_window(&self, entry: &PairName) -> Span {
        match self.keys.failovers.get(entry) {
            Some((_, rule)) => rule.window,
            None => Span::ZERO,
        }
    }

    /// Whether an alert on the lag of the pair with this index is pending or firing.
    pub(super) fn has_open_lag_alert(&self, index: usize) -> bool {
        let Some(keys) = self.keys.pairs.get(index) else {
            return false;
        };
        self.alerts.is_open(&keys.lag_seconds) || self.alerts.is_open(&keys.lag_bytes)
    }

    /// The silences and maintenance windows.
    pub(super) fn set_planned(&mut self, planned: Vec<PlannedWork>) {
        self.alerts.mutes.set_planned(planned);
    }

    pub(super) fn mutes(&self) -> &Mutes {
        &self.alerts.mutes
    }

    /// The silences, to change them.
    pub(super) fn silences_mut(&mut self) -> &mut Silences {
        self.alerts.silences_mut()
    }

    /// Reviews what is suppressed, if a silence or a maintenance window began or ended.
    pub(super) fn review_suppressions(&mut self, now: Timestamp, wall: WallTime) {
        self.alerts.review_suppressions(now, wall);
    }

    /// Whether there is no alert, and no rule to evaluate but those of pairs, servers and the
    /// exporter.
    pub(super) fn is_calm(&self) -> bool {
        self.alerts.are_calm() && self.due_entries.is_empty() && self.restored.is_empty()
    }

    /// The alerts that began, changed or ended since this was last called.
    pub(super) fn take_transitions(&mut self) -> Vec<Transition> {
        self.alerts.take_transitions()
    }

    /// Alerts were restored at `now`: no receiver is notified of them before their targets were
    /// polled again.
    pub(super) fn await_confirmation(&mut self, now: Timestamp) {
        self.alerts.await_confirmation(now);
    }

    /// The exporter was paused: no alert counts that time.
    pub(super) fn exporter_paused(&mut self, pause: Pause) {
        self.alerts.exporter_paused(pause);
    }

    /// The notifications that are due, and those that are suppressed.
    pub(super) fn due(&mut self, now: Timestamp) -> DueNotifications {
        self.alerts.due(&self.targets, now)
    }

    /// Makes the list of alerts, unless it is known since the last tick.
    pub(super) fn prepare_list(&mut self, now: Timestamp) {
        self.alerts.prepare_list(now);
    }

    /// Every alert that is pending, firing or recently resolved.
    pub(super) fn listed(&self, now: Timestamp) -> Arc<[ListedAlert]> {
        self.alerts.listed(now)
    }

    /// Whether the receiver has such a group, even if it is no longer configured.
    pub(super) fn knows_group(&self, receiver: &str, group: &GroupKey) -> bool {
        self.alerts.knows_group(receiver, group)
    }
}
