//! What is concluded of each pair: its tracker, its charts and what its rules count.

mod buffers;
mod saved_charts;
mod saved_losses;
mod snapshots;
mod steady;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Answer;
use super::evaluation_plan::EvaluationPlan;
use super::histories::Histories;
use super::servers::{PairServers, ServerEntry, Servers};
use super::topology_change::TopologyChange;
use crate::chart::{PairChart, PastState};
use crate::model::{
    Datacenter, PairKey, PairName, RunId, ServerAddr, Span, Timestamp, stable_hash,
};
use crate::monitor::StateChange;
use crate::monitor::alerting::Since;
use crate::monitor::outage::{LinkWatch, ObservedLink};
use crate::monitor::poll_boost::{BoostContext, ReportedDelay};
use crate::monitor::snapshot::PairSnapshot;
use crate::replication::{
    Assessment, Gap, HistoryLimits, HistoryLoss, Located, MasterHistory, MasterSample, MinuteMax,
    PairFacts, PairState, PairTracker, Pause, ReplicaIdentity, find_ack,
};
use crate::topology::{Pair, Topology};

use saved_charts::SavedCharts;
use saved_losses::SavedLosses;
use steady::Steady;

/// Every pair, in the configuration's order.
#[derive(Debug, Default)]
pub(in crate::monitor) struct Pairs {
    pub(in crate::monitor::fleet) entries: Vec<PairEntry>,
    /// When the rules of each are evaluated.
    plan: EvaluationPlan,
    /// What replicas had applied before they became masters: they may become replicas again.
    applied_before_promotion: HashMap<PairKey, Option<u64>>,
    saved_charts: SavedCharts,
    saved_losses: SavedLosses,
}

/// One pair.
#[derive(Debug)]
pub(in crate::monitor) struct PairEntry {
    pub(in crate::monitor) meta: Arc<Pair>,
    /// Its servers; `None` before it is linked to them.
    pub(in crate::monitor::fleet) servers: Option<PairServers>,
    pub(in crate::monitor::fleet) tracker: PairTracker,
    pub(in crate::monitor::fleet) lag_max: MinuteMax,
    pub(in crate::monitor::fleet) chart: PairChart,
    /// When its charts were last handed over to be saved.
    pub(in crate::monitor::fleet) chart_saved_at: Option<Timestamp>,
    reported_delay: ReportedDelay,
    /// Whether its master has no other configured replica.
    is_only_replica: bool,
    /// The state that was last reported.
    reported_state: Option<PairState>,
    /// Since when it has been diverged, even while that cannot be observed.
    pub(in crate::monitor::fleet) diverged_since: Option<Timestamp>,
    outages: LinkWatch,
    /// Since when it is watched: the age of "unknown" where there never was a sample.
    pub(in crate::monitor::fleet) watched_since: Timestamp,
    /// What stays true of it until its rules are next evaluated; `None` while that is not known.
    steady: Option<Steady>,
    /// The snapshot that was last prepared of it; `None` once it or one of its servers has changed
    /// since.
    snapshot: Option<Arc<PairSnapshot>>,
}

impl Pairs {
    /// The servers of each tree, by its top.
    pub(in crate::monitor::fleet) fn trees(&self) -> HashMap<&ServerAddr, BTreeSet<&ServerAddr>> {
        let mut trees: HashMap<_, BTreeSet<_>> = HashMap::new();
        for pair in &self.entries {
            let meta = &pair.meta;
            let tree = trees.entry(&meta.top).or_default();
            tree.extend([&meta.top, &meta.master, &meta.key.replica]);
        }
        trees
    }

    /// Adopts the pairs of `topology`; those that stay keep what is known of them, unless their
    /// replicas have to be measured against another history.
    pub(in crate::monitor::fleet) fn reconfigure(
        &mut self,
        topology: &Topology,
        change: &TopologyChange,
        interval: Span,
        now: Timestamp,
    ) {
        let mut known: HashMap<PairKey, PairEntry> = HashMap::new();
        for entry in self.entries.drain(..) {
            known.insert(entry.meta.key.without_changing_name(), entry);
        }
        let replicas = replicas_by_master(topology);
        for pair in &topology.pairs {
            let key = pair.key.without_changing_name();
            let mut entry = match known.remove(&key) {
                Some(entry) if change.keeps(&entry.meta.top, &pair.top) => entry,
                _ => PairEntry::new(pair, interval, now),
            };
            let is_only_replica = replicas.get(&pair.master) == Some(&1);
            entry.reconfigure(pair, is_only_replica, interval);
            if let Some(applied) = self.applied_before_promotion.remove(&key) {
                entry.tracker.resume_count(applied);
            }
            self.entries.push(entry);
        }
        self.remember_applied(known, topology);
        self.evaluate_all();
    }

    /// Changes the period of polling by which all pairs are judged.
    pub(in crate::monitor::fleet) fn set_interval(&mut self, interval: Span) {
        for entry in &mut self.entries {
            entry.tracker.set_interval(interval);
        }
        self.evaluate_all();
    }

    /// The rules of all pairs are evaluated in the next tick.
    pub(in crate::monitor::fleet) fn evaluate_all(&mut self) {
        self.plan.evaluate_all(self.entries.len());
        for entry in &mut self.entries {
            entry.snapshot = None;
        }
    }

    /// Something has happened to these pairs or to a server of theirs: their rules are evaluated in
    /// the next tick.
    pub(in crate::monitor::fleet) fn evaluate(&mut self, indices: &[usize]) {
        for index in indices {
            self.plan.evaluate(*index);
            if let Some(entry) = self.entries.get_mut(*index) {
                entry.snapshot = None;
            }
        }
    }

    /// The rules of this pair need no evaluation before `until`, unless something happens to it.
    pub(in crate::monitor::fleet) fn wait_until(&mut self, index: usize, until: Timestamp) {
        self.plan.wait_until(index, until);
    }

    /// Whether the rules of this pair are evaluated at `now`.
    pub(in crate::monitor) fn is_due(&self, index: usize, now: Timestamp) -> bool {
        self.plan.is_due(index, now)
    }

    /// When the rules of the first pair are due.
    pub(in crate::monitor::fleet) fn next_due(&self) -> Timestamp {
        self.plan.next()
    }

    /// Remembers what replicas had applied before they became masters, for as long as they are.
    fn remember_applied(&mut self, gone: HashMap<PairKey, PairEntry>, topology: &Topology) {
        for (key, entry) in gone {
            let applied = entry.tracker.facts().applied_total;
            self.applied_before_promotion.insert(key, applied);
        }
        let mut masters = BTreeSet::new();
        for pair in &topology.pairs {
            masters.insert(PairKey {
                replica: pair.master.clone(),
                ..pair.key.without_changing_name()
            });
        }
        self.applied_before_promotion
            .retain(|key, _| masters.contains(key));
    }

    #[cfg(test)]
    pub(in crate::monitor::fleet) fn applied_before_promotion_len(&self) -> usize {
        self.applied_before_promotion.len()
    }

    /// How many pairs there are.
    pub(in crate::monitor) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The pair with this index.
    pub(in crate::monitor) fn get(&self, index: usize) -> Option<&PairEntry> {
        self.entries.get(index)
    }

    /// The same, to change it.
    pub(in crate::monitor::fleet) fn get_mut(&mut self, index: usize) -> Option<&mut PairEntry> {
        let entry = self.entries.get_mut(index)?;
        entry.snapshot = None;
        Some(entry)
    }

    /// The pair of this entry whose replica `server` is.
    pub(in crate::monitor::fleet) fn with_replica<'a>(
        &'a self,
        server: &'a ServerEntry,
        entry: &PairName,
    ) -> Option<&'a PairEntry> {
        let mut pairs = self.at(&server.as_replica);
        pairs.find(|pair| pair.meta.key.name == *entry)
    }

    /// The pairs with these indices.
    pub(in crate::monitor::fleet) fn at<'a>(
        &'a self,
        indices: &'a [usize],
    ) -> impl Iterator<Item = &'a PairEntry> {
        indices.iter().filter_map(|index| self.entries.get(*index))
    }

    /// Changes each of the pairs with these indices.
    pub(in crate::monitor::fleet) fn change<'a>(
        &mut self,
        indices: impl IntoIterator<Item = &'a usize>,
        mut change: impl FnMut(&mut PairEntry),
    ) {
        for index in indices {
            if let Some(entry) = self.get_mut(*index) {
                change(entry);
                self.saved_losses.changed |= entry.tracker.take_loss_changed();
            }
        }
    }

    /// Whether the master of any pair of this entry came back without its replication history, and
    /// that has not ended.
    pub(in crate::monitor::fleet) fn has_lost_history(
        &self,
        entry: &PairName,
        now: Timestamp,
    ) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|pair| pair.meta.key.name == *entry && pair.has_lost_history(now))
    }

    /// Whether any pair leads from one of these datacenters to the other.
    pub(in crate::monitor::fleet) fn any_between(
        &self,
        source: &Datacenter,
        target: &Datacenter,
    ) -> bool {
        self.entries
            .iter()
            .any(|pair| pair.meta.source_dc == *source && pair.meta.target_dc == *target)
    }

    /// The server answered as the replica of its pairs.
    pub(in crate::monitor::fleet) fn replica_answered(
        &mut self,
        server: &ServerEntry,
        histories: &Histories,
        answer: Answer<'_>,
    ) {
        let Answer {
            info,
            sent,
            received,
        } = answer;
        let unknown = MasterHistory::new(HistoryLimits::default());
        let rtt = server.facts.min_rtt.get().unwrap_or(Span::ZERO);
        self.change(&server.as_replica, |pair| {
            let history = histories.get(&pair.meta.top).unwrap_or(&unknown);
            pair.tracker
                .replica_answered(info, sent, received, rtt, history);
        });
    }

    /// The server answered as the master of its pairs: what it reports of its own link to a master
    /// above it, and of its replicas.
    pub(in crate::monitor::fleet) fn master_answered(
        &mut self,
        server: &ServerEntry,
        servers: &Servers,
        answer: Answer<'_>,
    ) {
        let Answer {
            info,
            sent,
            received,
        } = answer;
        let above = self.at(&server.as_replica).next();
        let link_above = above.map(|pair| pair.facts().link.clone());
        self.change(&server.as_master, |pair| {
            let ack = find_ack(info, pair.replica_identity(servers));
            let tracker = &mut pair.tracker;
            tracker.parent_answered(link_above.as_ref());
            tracker.direct_master_answered(ack, info, sent, received);
            tracker.direct_master_synced(info.stats.sync_full.value(), received);
        });
    }

    /// The server at the top of the tree answered, and `history` holds the answer.
    pub(in crate::monitor::fleet) fn top_answered(
        &mut self,
        indices: &[usize],
        sample: &MasterSample,
        run_id: Option<&RunId>,
        history: &MasterHistory,
    ) {
        self.change(indices, |pair| {
            pair.tracker.master_answered(sample, history);
            pair.tracker.top_answered(run_id, history, sample.received);
        });
    }

    /// Records what has been true of steady pairs up to the last tick, which was at `last`.
    pub(in crate::monitor::fleet) fn record_steady(&mut self, last: Timestamp) {
        for pair in &mut self.entries {
            pair.record_steady(last);
        }
    }

    /// The exporter was paused: the pause does not add to the time for which a pair has been
    /// unknown.
    pub(in crate::monitor::fleet) fn exporter_paused(&mut self, pause: Pause) {
        let reason = format!("the exporter was paused for {}", pause.length());
        for pair in &mut self.entries {
            let known = pair.since().known;
            pair.chart.record_absence(pause.from, &reason);
            pair.watched_since = pair.watched_since.max(known + pause.after(known));
        }
        self.evaluate_all();
    }
}

/// How many replicas each master has by the configuration.
fn replicas_by_master(topology: &Topology) -> HashMap<&ServerAddr, usize> {
    let mut replicas = HashMap::new();
    for pair in &topology.pairs {
        *replicas.entry(&pair.master).or_default() += 1;
    }
    replicas
}

/// When the steps of a pair's chart begin: the pairs are spread over the shortest step, so that the
/// fleet's work is.
fn chart_phase(pair: &Pair) -> Span {
    let step = PairChart::finest_step().as_nanos();
    let hash = stable_hash([pair.key.name.as_str(), &pair.key.replica.to_string()]);
    Span::from_nanos(i64::try_from(hash >> 1).unwrap_or(0) % step)
}

impl PairEntry {
    fn new(meta: &Arc<Pair>, interval: Span, now: Timestamp) -> Self {
        Self {
            meta: Arc::clone(meta),
            servers: None,
            tracker: PairTracker::new(interval),
            lag_max: MinuteMax::default(),
            chart: PairChart::new(chart_phase(meta)),
            chart_saved_at: None,
            reported_delay: ReportedDelay::default(),
            is_only_replica: false,
            reported_state: None,
            diverged_since: None,
            outages: LinkWatch::default(),
            watched_since: now,
            steady: None,
            snapshot: None,
        }
    }

    fn reconfigure(&mut self, meta: &Arc<Pair>, is_only_replica: bool, interval: Span) {
        self.meta = Arc::clone(meta);
        self.is_only_replica = is_only_replica;
        self.tracker.set_interval(interval);
        // The task that polls the tree may be a new one, which does not know the delay.
        self.reported_delay.reset();
    }

    /// What its replica is found by in the answers of its master.
    fn replica_identity(&self, servers: &Servers) -> ReplicaIdentity<'_> {
        let replica = self.servers.and_then(|own| servers.at(own.replica));
        let own_port = replica.and_then(|replica| replica.own_port);
        ReplicaIdentity {
            addr: &self.meta.key.replica,
            own_port,
            only_one: self.is_only_replica,
        }
    }

    /// What is known of it.
    pub(in crate::monitor) fn facts(&self) -> &PairFacts {
        self.tracker.facts()
    }

    /// The outages of its link.
    pub(in crate::monitor) fn link(&self) -> &LinkWatch {
        &self.outages
    }

    /// The history that its master lost.
    pub(in crate::monitor) fn loss(&self) -> Option<&Arc<HistoryLoss>> {
        self.facts().loss.as_ref()
    }

    /// Whether its master came back without its replication history, and that has not ended.
    pub(in crate::monitor) fn has_lost_history(&self, now: Timestamp) -> bool {
        self.loss().is_some_and(|loss| !loss.is_over(now))
    }

    /// What decides about boosting its polls besides its assessment.
    pub(in crate::monitor) fn boost_context(&self, has_open_lag_alert: bool) -> BoostContext<'_> {
        BoostContext {
            facts: self.facts(),
            rules: &self.meta.alerts,
            alert: has_open_lag_alert,
        }
    }

    /// The one-way delay of its link, when it has changed since this was last called.
    pub(in crate::monitor::fleet) fn changed_link_delay(&mut self) -> Option<Span> {
        self.reported_delay.changed(self.tracker.facts())
    }

    /// Since when the pair is in the conditions that its rules time.
    pub(in crate::monitor) fn since(&self) -> Since {
        let facts = self.facts();
        let sampled = facts.located.as_ref().map(Located::received);
        let progress = facts.link.sync_progress_at;
        let known = sampled.max(progress); // `None` is before every time
        Since {
            known: known.unwrap_or(self.watched_since).max(self.watched_since),
            diverged: self.diverged_since,
        }
    }

    /// Records a point of its charts, and the state where that is a change.
    pub(in crate::monitor::fleet) fn record_chart(
        &mut self,
        assessment: &Assessment,
        now: Timestamp,
    ) {
        self.chart.record(assessment, now);
        let is_known = !assessment.gap.is_some_and(Gap::awaits_polls);
        if is_known && self.chart.last_state() != Some(assessment.state) {
            self.chart.record_state(PastState {
                at: now,
                state: assessment.state,
                reason: assessment.reason.to_string().into(),
            });
        }
    }

    /// Times its divergence. States in which that cannot be observed leave it as it is.
    pub(in crate::monitor::fleet) fn time_divergence(&mut self, state: PairState, now: Timestamp) {
        match state {
            PairState::Diverged => {
                self.diverged_since.get_or_insert(now);
            }
            PairState::Unsupported
            | PairState::MasterUnreachable
            | PairState::ReplicaUnreachable
            | PairState::Unknown => {}
            _ => self.diverged_since = None,
        }
    }

    /// Records the state of its link, from which its outages follow.
    pub(in crate::monitor::fleet) fn record_link(
        &mut self,
        assessment: &Assessment,
        servers: &Servers,
        histories: &Histories,
        now: Timestamp,
    ) {
        let Some(own) = self.servers else {
            return;
        };
        let (Some(master), Some(replica)) = (servers.at(own.master), servers.at(own.replica))
        else {
            return;
        };
        let observed = ObservedLink {
            seen: assessment,
            link: &self.tracker.facts().link,
            master: &master.facts,
            replica: &replica.facts,
            history: histories.get(&self.meta.top),
        };
        self.outages.record(observed, now);
    }

    /// The change of its state since this was last called, if there is one.
    pub(in crate::monitor::fleet) fn take_state_change(
        &mut self,
        assessment: &Assessment,
    ) -> Option<StateChange> {
        let from = self.reported_state.replace(assessment.state);
        if from == Some(assessment.state) {
            return None;
        }
        Some(StateChange {
            pair: self.meta.key.clone(),
            from,
            to: assessment.state,
            reason: assessment.reason.clone(),
        })
    }
}
