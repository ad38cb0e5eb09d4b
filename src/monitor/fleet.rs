//! What is known of every server and pair: polls in, evidence out.

mod charts;
mod entries;
mod losses;
mod pauses;
mod saved;
mod successions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::StateChange;
use super::chart::{PairChart, PastState};
use super::context::{at_risk, recent_writes};
use super::event::{HeartbeatEvent, PollEvent, PollEventKind};
use super::outage::{LinkLook, LinkWatch};
use super::poll_boost::{BoostContext, ReportedDelay};
use super::snapshot::{Operation, PairSnapshot, ServerSnapshot};
use crate::alert::{ServedPair, ServiceRole};
use crate::info::{Observation, Role};
use crate::model::{
    Datacenter, HeartbeatError, Histogram, PairKey, PairName, PollError, ReplicationId, RunId,
    ServerAddr, Span, Timestamp,
};
use crate::replication::{
    Assessment, Evidence, Footprint, Gap, HistoryLimits, Lineage, MasterHistory, MasterNews,
    MasterSample, MinuteMax, PairState, PairTracker, ReplicaIdentity, SavedState, ServerFacts,
    assess, find_ack,
};
use crate::topology::{Pair, Server, Topology};
use charts::ChartsKept;
use losses::LossesKept;
pub(super) use successions::RecentFailovers;
use successions::{Claim, Entry, FailoversKept, Turns};

/// Upper bounds of the lag histogram's buckets, in seconds: 1 ms to 10 min.
const LAG_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
];

/// Upper bounds of the latency histograms' buckets, in seconds: a loopback's round trip to the
/// longest timeout.
const LATENCY_BOUNDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Everything that is known of the servers and pairs of one topology.
#[derive(Debug)]
pub(super) struct Fleet {
    interval: Span,
    servers: HashMap<ServerAddr, ServerEntry>,
    /// One a tree, by the server at its top: it moves with the tree when another server takes over.
    histories: HashMap<ServerAddr, MasterHistory>,
    pub(super) pairs: Vec<PairEntry>,
    entries: BTreeMap<PairName, Entry>,
    /// The entries of which a replica says that it is a master.
    doubted: BTreeSet<PairName>,
    /// The entries whose last failover may still turn out to have cost more, or less.
    losses_open: BTreeSet<PairName>,
    failovers_kept: FailoversKept,
    charts_kept: ChartsKept,
    /// What each server at the top of a tree showed of its history when it last answered.
    lineages: HashMap<ServerAddr, Lineage>,
    losses_kept: LossesKept,
    /// What replicas had applied that are masters now: they may be replicas again.
    resting: HashMap<PairKey, Option<u64>>,
    /// What was kept before a restart of those whom nobody watches yet.
    unclaimed: SavedState,
    pub(super) lag_distribution: BTreeMap<(Datacenter, Datacenter), Histogram>,
    pub(super) latency: BTreeMap<(Operation, Datacenter), Histogram>,
    pub(super) lateness: BTreeMap<Datacenter, Histogram>,
}

/// One server.
#[derive(Debug)]
struct ServerEntry {
    meta: Arc<Server>,
    facts: ServerFacts,
    own_port: Option<u16>,
    /// The history that its last answer named.
    replid: Option<ReplicationId>,
    /// What it showed as a master; `None` where its last answer does not say that it is one.
    claim: Option<Claim>,
    polls: u64,
    skipped: u64,
    errors: BTreeMap<PollError, u64>,
    heartbeat_errors: BTreeMap<HeartbeatError, u64>,
    /// The pairs that measure against this server, by index.
    as_top: Vec<usize>,
    /// The pairs that name this server as their master.
    as_master: Vec<usize>,
    /// The pairs whose replica it is.
    as_replica: Vec<usize>,
}

/// One pair.
#[derive(Debug)]
pub(super) struct PairEntry {
    pub(super) meta: Arc<Pair>,
    tracker: PairTracker,
    lag_max: MinuteMax,
    chart: PairChart,
    /// When its charts were last handed over to be written.
    chart_saved_at: Option<Timestamp>,
    reported_delay: ReportedDelay,
    /// Whether its master has no other configured replica.
    only_replica: bool,
    /// The state that was last noted.
    noted: Option<PairState>,
    /// Since when it has been diverged, also while nobody can say.
    diverged_since: Option<Timestamp>,
    /// What is noted of its link.
    link: LinkWatch,
    /// Since when it is watched: the age of "unknown" where there never was a sample.
    pub(super) watched_since: Timestamp,
}

impl Fleet {
    /// A fleet that nothing is known of.
    pub(super) fn new(topology: &Topology, interval: Span, now: Timestamp) -> Self {
        let mut fleet = Self {
            interval,
            servers: HashMap::new(),
            histories: HashMap::new(),
            pairs: Vec::new(),
            entries: BTreeMap::new(),
            doubted: BTreeSet::new(),
            losses_open: BTreeSet::new(),
            failovers_kept: FailoversKept::default(),
            charts_kept: ChartsKept::default(),
            lineages: HashMap::new(),
            losses_kept: LossesKept::default(),
            resting: HashMap::new(),
            unclaimed: SavedState::default(),
            lag_distribution: BTreeMap::new(),
            latency: BTreeMap::new(),
            lateness: BTreeMap::new(),
        };
        fleet.reconfigure(topology, interval, now);
        fleet
    }

    /// Changes what is watched. What stays keeps all that is known of it; what is gone takes its
    /// knowledge along.
    pub(super) fn reconfigure(&mut self, topology: &Topology, interval: Span, now: Timestamp) {
        let turns = Turns::between(self, topology);
        self.adopt(topology, &turns, interval, now);
    }

    /// Goes over to other masters, which is a failover where the ones before were seen as masters;
    /// the entries that have another one.
    pub(super) fn turn(
        &mut self,
        topology: &Topology,
        interval: Span,
        now: Timestamp,
    ) -> BTreeSet<PairName> {
        let turns = Turns::between(self, topology);
        self.note_failovers(&turns, now);
        self.adopt(topology, &turns, interval, now);
        turns.turned.into_keys().collect()
    }

    fn adopt(&mut self, topology: &Topology, turns: &Turns, interval: Span, now: Timestamp) {
        self.interval = interval;
        let mut old_pairs: HashMap<PairKey, PairEntry> = self
            .pairs
            .drain(..)
            .map(|entry| (entry.meta.key.clone(), entry))
            .collect();
        let mut old_servers = std::mem::take(&mut self.servers);
        for (addr, meta) in &topology.servers {
            self.servers.insert(
                addr.clone(),
                ServerEntry::anew(meta, old_servers.remove(addr)),
            );
        }
        let mut replicas: HashMap<&ServerAddr, usize> = HashMap::new();
        for pair in &topology.pairs {
            *replicas.entry(&pair.master).or_default() += 1;
        }
        for (index, pair) in topology.pairs.iter().enumerate() {
            let known = old_pairs
                .remove(&pair.key)
                .filter(|entry| turns.keeps(&entry.meta.top, &pair.top));
            let only_replica = replicas.get(&pair.master) == Some(&1);
            let mut entry = PairEntry::anew(pair, known, only_replica, interval, now);
            if let Some(applied) = self.resting.remove(&pair.key) {
                entry.tracker.resume_count(applied);
            }
            self.pairs.push(entry);
            self.link(index, pair);
        }
        self.rest(old_pairs, topology);
        self.take_entries(topology);
        self.move_histories(turns);
        self.retain_lineages();
        self.claim();
        // What makes no sense was said when it was read.
        drop(self.claim_charts());
        self.claim_losses();
        self.forget_vanished_labels();
    }

    /// What a replica that is a master now had applied stays known, as long as it is the master.
    fn rest(&mut self, gone: HashMap<PairKey, PairEntry>, topology: &Topology) {
        let resting = gone
            .into_iter()
            .map(|(key, entry)| (key, entry.tracker.facts().applied_total));
        self.resting.extend(resting);
        let masters: BTreeSet<_> = topology
            .pairs
            .iter()
            .map(|pair| (&pair.key.name, &pair.master))
            .collect();
        self.resting
            .retain(|key, _| masters.contains(&(&key.name, &key.replica)));
    }

    /// A history belongs to a tree and not to a server: it moves to the server that goes on with
    /// it.
    fn move_histories(&mut self, turns: &Turns) {
        for (from, to) in &turns.moves {
            let is_used = self
                .servers
                .get(from)
                .is_some_and(|server| !server.as_top.is_empty());
            let history = if is_used {
                self.histories.get(from).cloned()
            } else {
                self.histories.remove(from)
            };
            if let Some(history) = history {
                self.histories.entry(to.clone()).or_insert(history);
            }
        }
        let servers = &self.servers;
        self.histories.retain(|addr, _| {
            servers
                .get(addr)
                .is_some_and(|server| !server.as_top.is_empty())
        });
        for to in turns.moves.values() {
            // What it showed last is the first that is known of it as the top.
            let Some(server) = self.servers.get(to) else {
                continue;
            };
            if let Some(Claim { sample, run_id }) = server.claim.clone() {
                let pairs = server.as_top.clone();
                self.take_in(to, &sample, run_id.as_ref(), &pairs);
            }
        }
    }

    fn link(&mut self, index: usize, pair: &Pair) {
        let mut note = |addr: &ServerAddr, list: fn(&mut ServerEntry) -> &mut Vec<usize>| {
            if let Some(server) = self.servers.get_mut(addr) {
                list(server).push(index);
            }
        };
        note(&pair.top, |s| &mut s.as_top);
        note(&pair.master, |s| &mut s.as_master);
        note(&pair.key.replica, |s| &mut s.as_replica);
    }

    /// Series of datacenters that nobody watches any more vanish.
    fn forget_vanished_labels(&mut self) {
        let servers = &self.servers;
        let known = |dc: &Datacenter| servers.values().any(|server| server.meta.dc == *dc);
        self.lateness.retain(|dc, _| known(dc));
        self.latency.retain(|(_, dc), _| known(dc));
        let pairs = &self.pairs;
        let linked = |(source, target): &(Datacenter, Datacenter)| {
            pairs
                .iter()
                .any(|pair| pair.meta.source_dc == *source && pair.meta.target_dc == *target)
        };
        self.lag_distribution.retain(|key, _| linked(key));
    }

    /// The period of polling.
    pub(super) const fn interval(&self) -> Span {
        self.interval
    }

    /// Takes in what polling has to say. Servers that are no longer watched are ignored.
    pub(super) fn handle(&mut self, event: PollEvent) {
        let Some(server) = self.servers.get_mut(&event.server) else {
            return;
        };
        let dc = server.meta.dc.clone();
        match event.kind {
            PollEventKind::Connected { took } => self.observe_latency(Operation::Connect, dc, took),
            PollEventKind::Skipped => server.skipped += 1,
            PollEventKind::Heartbeat(beat) => self.handle_heartbeat(&event.server, beat),
            PollEventKind::Overdue { sent } => server.facts.overdue(sent),
            PollEventKind::Failed {
                began, error, late, ..
            } => {
                server.polls += 1;
                *server.errors.entry(error.reason).or_default() += 1;
                server.facts.failed(error, began);
                self.observe_lateness(dc, late);
            }
            PollEventKind::Answered {
                sent,
                received,
                observation,
                late,
            } => {
                server.polls += 1;
                server.own_port = observation.server.tcp_port.value().or(server.own_port);
                let overtaken = server.facts.is_overtaken(sent);
                server.facts.answered(&observation, sent, received);
                self.observe_latency(Operation::Info, dc.clone(), received - sent);
                self.observe_lateness(dc, late);
                if !overtaken {
                    self.place_answer(&event.server, &observation, sent, received);
                }
            }
        }
    }

    fn handle_heartbeat(&mut self, addr: &ServerAddr, event: HeartbeatEvent) {
        match event {
            HeartbeatEvent::Arrived { top, beat } => {
                self.heartbeat_pairs(addr, &top, |pair| pair.tracker.heartbeat_arrived(&beat));
            }
            HeartbeatEvent::Repeated { top, replica } => {
                self.heartbeat_pairs(addr, &top, |pair| {
                    pair.tracker.heartbeat_repeated(replica.clone());
                });
                self.count_heartbeat_error(addr, HeartbeatError::Repeated);
            }
            HeartbeatEvent::Failed { error } => self.count_heartbeat_error(addr, error),
        }
    }

    /// The pairs of this replica whose heartbeats go out from `top`.
    fn heartbeat_pairs(
        &mut self,
        replica: &ServerAddr,
        top: &ServerAddr,
        tell: impl Fn(&mut PairEntry),
    ) {
        let Some(server) = self.servers.get(replica) else {
            return;
        };
        for &index in &server.as_replica {
            let pair = &mut self.pairs[index];
            if pair.meta.heartbeat.is_some() && pair.meta.top == *top {
                tell(pair);
            }
        }
    }

    fn count_heartbeat_error(&mut self, addr: &ServerAddr, error: HeartbeatError) {
        if let Some(server) = self.servers.get_mut(addr) {
            *server.heartbeat_errors.entry(error).or_default() += 1;
        }
    }

    fn observe_latency(&mut self, operation: Operation, dc: Datacenter, took: Span) {
        let histogram = self
            .latency
            .entry((operation, dc))
            .or_insert_with(|| Histogram::new(LATENCY_BOUNDS));
        histogram.observe(took);
    }

    fn observe_lateness(&mut self, dc: Datacenter, late: Span) {
        self.lateness
            .entry(dc)
            .or_insert_with(|| Histogram::new(LATENCY_BOUNDS))
            .observe(late.or_zero());
    }

    /// Tells every pair that the server belongs to what it answered: as the replica, as the direct
    /// master, as the top of a chain.
    fn place_answer(
        &mut self,
        addr: &ServerAddr,
        seen: &Observation,
        sent: Timestamp,
        received: Timestamp,
    ) {
        let Some(server) = self.servers.get(addr) else {
            return;
        };
        if server.facts.is_unsupported() {
            let concerned = server
                .as_replica
                .iter()
                .chain(&server.as_master)
                .chain(&server.as_top);
            concerned.for_each(|index| self.pairs[*index].tracker.unsupported());
            return;
        }
        let unknown = MasterHistory::new(HistoryLimits::default());
        for &index in &server.as_replica {
            let entry = &mut self.pairs[index];
            let history = self.histories.get(&entry.meta.top).unwrap_or(&unknown);
            let rtt = server.facts.min_rtt.get().unwrap_or(Span::ZERO);
            entry
                .tracker
                .replica_answered(seen, sent, received, rtt, history);
        }
        let as_replica = server.as_replica.clone();
        self.change_losses(&as_replica, |_| {});
        let Some(server) = self.servers.get(addr) else {
            return;
        };
        let link_above = server
            .as_replica
            .first()
            .map(|index| self.pairs[*index].tracker.facts().link.clone());
        for &index in &server.as_master {
            self.pairs[index]
                .tracker
                .parent_answered(link_above.as_ref());
        }
        let as_master = server.as_master.clone();
        self.place_acks(&as_master, seen, sent, received);
        let Some(server) = self.servers.get(addr) else {
            return;
        };
        let sample = MasterSample::from_info(&seen.replication, &server.facts, sent, received);
        self.note_claim(addr, seen, sample.as_ref());
        let Some(server) = self.servers.get(addr) else {
            return;
        };
        match sample {
            None => {
                let is_replica = seen.replication.role.value() == Some(Role::Replica);
                server
                    .as_top
                    .iter()
                    .for_each(|index| self.pairs[*index].tracker.master_is_no_master(is_replica));
                self.forget_lineage(addr, seen);
            }
            Some(sample) => {
                let as_top = server.as_top.clone();
                if !as_top.is_empty() {
                    self.watch_lineage(addr, seen, &sample, &as_top);
                    self.take_in(addr, &sample, seen.server.run_id.get(), &as_top);
                }
                self.doubt_entries_of(addr);
            }
        }
        self.measure_losses(addr, seen, received);
    }

    /// Notes which history the server names, and whether it says that it is a master.
    fn note_claim(&mut self, addr: &ServerAddr, seen: &Observation, sample: Option<&MasterSample>) {
        let Some(server) = self.servers.get_mut(addr) else {
            return;
        };
        server.replid = seen.replication.replid.get().cloned();
        server.claim = sample.map(|sample| Claim {
            sample: sample.clone(),
            run_id: seen.server.run_id.get().cloned(),
        });
    }

    /// Tells the pairs with these indices what the server that they replicate from says of their
    /// replicas.
    fn place_acks(
        &mut self,
        pairs: &[usize],
        seen: &Observation,
        sent: Timestamp,
        received: Timestamp,
    ) {
        for &index in pairs {
            let entry = &mut self.pairs[index];
            let replica = &entry.meta.key.replica;
            let own_port = self
                .servers
                .get(replica)
                .and_then(|replica| replica.own_port);
            let who = ReplicaIdentity {
                addr: replica,
                own_port,
                only_one: entry.only_replica,
            };
            entry
                .tracker
                .direct_master_answered(find_ack(seen, who), seen, sent, received);
            entry
                .tracker
                .direct_master_synced(seen.stats.sync_full.value(), received);
        }
    }

    /// The history of `top` has a new sample, and so have the pairs with these indices.
    fn take_in(
        &mut self,
        top: &ServerAddr,
        sample: &MasterSample,
        run_id: Option<&RunId>,
        pairs: &[usize],
    ) {
        let unknown = || MasterHistory::new(HistoryLimits::default());
        let history = self.histories.entry(top.clone()).or_insert_with(unknown);
        if history.observe(sample) == MasterNews::Reordered {
            return; // it overlaps the poll before it: the history does not hold it, so nothing may be concluded from it
        }
        for &index in pairs {
            let tracker = &mut self.pairs[index].tracker;
            tracker.master_answered(sample, history);
            tracker.top_answered(run_id, history, sample.received);
        }
    }

    /// The server against which the pair is measured.
    fn top_of(&self, pair: &Pair) -> Option<&ServerEntry> {
        self.servers.get(&pair.top)
    }

    /// What is true of the pair with this index at `now`.
    pub(super) fn assess(&self, index: usize, now: Timestamp) -> Option<Assessment> {
        let entry = self.pairs.get(index)?;
        let master = &self.top_of(&entry.meta)?.facts;
        let replica = &self.servers.get(&entry.meta.key.replica)?.facts;
        Some(assess(
            Evidence {
                master,
                replica,
                pair: entry.tracker.facts(),
            },
            now,
        ))
    }

    /// Notes a pair's lag for the maximum of the last minute.
    pub(super) fn note_lag(&mut self, index: usize, lag: Span, now: Timestamp) {
        if let Some(entry) = self.pairs.get_mut(index) {
            entry.lag_max.observe(lag, now);
        }
    }

    /// What a pair's link takes one way, when that is news.
    pub(super) fn changed_link_delay(&mut self, index: usize) -> Option<Span> {
        let entry = self.pairs.get_mut(index)?;
        entry.reported_delay.changed(entry.tracker.facts())
    }

    /// What decides about boosting a pair's polls besides its assessment.
    pub(super) fn boost_context(&self, index: usize, alert: bool) -> Option<BoostContext<'_>> {
        let entry = self.pairs.get(index)?;
        Some(BoostContext {
            facts: entry.tracker.facts(),
            rules: &entry.meta.alerts,
            alert,
        })
    }

    /// Notes a pair's state, and all for its charts; what changed, if anything did.
    pub(super) fn note_state(
        &mut self,
        index: usize,
        seen: &Assessment,
        now: Timestamp,
    ) -> Option<StateChange> {
        let entry = self.pairs.get_mut(index)?;
        entry.chart.note(seen, now);
        if seen.gap.is_some_and(Gap::awaits_polls) {
            return None; // what it has come to shows with the next polls
        }
        if entry.chart.last_state() != Some(seen.state) {
            entry.chart.note_state(PastState {
                at: now,
                state: seen.state,
                reason: seen.reason.to_string().into(),
            });
        }
        match seen.state {
            PairState::Diverged => {
                entry.diverged_since.get_or_insert(now);
            }
            PairState::Unsupported
            | PairState::MasterUnreachable
            | PairState::ReplicaUnreachable
            | PairState::Unknown => {}
            _ => entry.diverged_since = None,
        }
        let servers = &self.servers;
        let master = servers.get(&entry.meta.master).map(|master| &master.facts);
        let replica = servers
            .get(&entry.meta.key.replica)
            .map(|replica| &replica.facts);
        if let (Some(master), Some(replica)) = (master, replica) {
            let look = LinkLook {
                seen,
                link: &entry.tracker.facts().link,
                master,
                replica,
                history: self.histories.get(&entry.meta.top),
            };
            entry.link.note(look, now);
        }
        let from = entry.noted.replace(seen.state);
        let change = || StateChange {
            pair: entry.meta.key.clone(),
            from,
            to: seen.state,
            reason: seen.reason.clone(),
        };
        (from != Some(seen.state)).then(change)
    }

    /// Notes a pair's lag in the distribution.
    pub(super) fn count_lag(&mut self, index: usize, lag: Span) {
        if let Some(entry) = self.pairs.get(index) {
            let key = (entry.meta.source_dc.clone(), entry.meta.target_dc.clone());
            self.lag_distribution
                .entry(key)
                .or_insert_with(|| Histogram::new(LAG_BOUNDS))
                .observe(lag);
        }
    }

    /// The history of the master's stream that the pair is measured against.
    pub(super) fn history_of(&self, pair: &Pair) -> Option<&MasterHistory> {
        self.histories.get(&pair.top)
    }

    /// Whose master or replica the server is: as master first, then by name.
    pub(super) fn services_of(&self, addr: &ServerAddr, now: Timestamp) -> Vec<ServedPair> {
        let Some(server) = self.servers.get(addr) else {
            return Vec::new();
        };
        let master = server
            .as_master
            .iter()
            .map(|index| (ServiceRole::Master, *index));
        let replica = server
            .as_replica
            .iter()
            .map(|index| (ServiceRole::Replica, *index));
        let mut services: Vec<_> = master
            .chain(replica)
            .filter_map(|(role, index)| self.service(role, index, now))
            .collect();
        services.sort_by(|a, b| (a.role, &a.pair, &a.peer).cmp(&(b.role, &b.pair, &b.peer)));
        services
    }

    fn service(&self, role: ServiceRole, index: usize, now: Timestamp) -> Option<ServedPair> {
        let pair = &self.pairs.get(index)?.meta;
        let (peer_dc, peer) = match role {
            ServiceRole::Master => (&pair.target_dc, &pair.key.replica),
            ServiceRole::Replica => (&pair.source_dc, &pair.master),
        };
        let link = &self.pairs.get(index)?.tracker.facts().link;
        Some(ServedPair {
            role,
            sync: link.syncing.then(|| link.sync_progress(now)),
            pair: pair.key.name.to_string(),
            peer_dc: peer_dc.to_string(),
            peer: peer.to_string(),
            at_risk: self.assess(index, now).and_then(|seen| at_risk(&seen)),
        })
    }

    /// Every server with what is known of it.
    pub(super) fn servers(&self) -> impl Iterator<Item = (&Arc<Server>, &ServerFacts)> {
        self.servers
            .values()
            .map(|server| (&server.meta, &server.facts))
    }

    /// What is known of one server, if it is watched.
    pub(super) fn facts_of(&self, addr: &ServerAddr) -> Option<&ServerFacts> {
        self.servers.get(addr).map(|server| &server.facts)
    }

    /// Whether every server was polled once, with whatever result.
    pub(super) fn all_polled(&self) -> bool {
        self.servers
            .values()
            .all(|server| server.facts.was_polled())
    }

    fn footprint(&self, top: &ServerAddr) -> Option<Footprint> {
        self.histories.get(top).and_then(MasterHistory::footprint)
    }

    /// Every server, by address, and every pair, in the configuration's order.
    pub(super) fn snapshot(&self, now: Timestamp) -> (Vec<Arc<ServerSnapshot>>, Vec<PairSnapshot>) {
        let servers: BTreeMap<&ServerAddr, Arc<ServerSnapshot>> = self
            .servers
            .iter()
            .map(|(addr, server)| (addr, Arc::new(server.snapshot(self.footprint(addr)))))
            .collect();
        let pair = |entry: &PairEntry| {
            Some(PairSnapshot {
                meta: Arc::clone(&entry.meta),
                facts: entry.tracker.facts().clone(),
                master: Arc::clone(servers.get(&self.top_of(&entry.meta)?.meta.addr)?),
                replica: Arc::clone(servers.get(&entry.meta.key.replica)?),
                lag_max: entry.lag_max.get(now),
                recent_writes: self.history_of(&entry.meta).and_then(recent_writes),
                chart: entry.chart.clone(),
            })
        };
        let pairs = self.pairs.iter().filter_map(pair).collect();
        (servers.into_values().collect(), pairs)
    }
}
