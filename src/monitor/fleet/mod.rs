//! What is known of the servers and pairs of one topology: polls in, evidence out.
//!
//! Four parts side by side, each with its own state: [`Servers`] (what each server answered),
//! [`Pairs`] (what is concluded of each pair), [`Histories`] (the replication stream of each tree)
//! and [`Failovers`] (the master of each entry). [`Fleet`] leads each poll through them.

mod distributions;
mod due;
mod evaluation_plan;
mod failovers;
mod histories;
mod losses;
mod pairs;
mod saved;
mod servers;
mod topology_change;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::StateChange;
use super::context::at_risk;
use super::event::{HeartbeatEvent, PollEvent, PollEventKind};
use super::failover::Promotion;
use super::snapshot::{Operation, PairSnapshot, ServerSnapshot};
use crate::alert::{ServedPair, ServiceRole};
use crate::info::{Observation, Role};
use crate::model::{Document, HeartbeatError, PairName, ServerAddr, Span, Timestamp};
use crate::replication::{
    Assessment, BufferAnswer, Evidence, EvidenceLeft, Gap, MasterHistory, MasterSample,
    NoMasterAnswer, Pause, SavedState, assess, evidence_left,
};
use crate::topology::{Pair, Topology};
use distributions::Distributions;
use failovers::Failovers;
pub(super) use failovers::RecentFailovers;
use histories::Histories;
pub(super) use pairs::PairEntry;
use pairs::Pairs;
pub(super) use servers::ServerIndex;
use servers::Servers;
use topology_change::TopologyChange;

/// Everything that is known of the servers and pairs of one topology.
#[derive(Debug)]
pub(super) struct Fleet {
    /// The base period of polling.
    interval: Span,
    servers: Servers,
    pub(super) pairs: Pairs,
    histories: Histories,
    pub(super) failovers: Failovers,
    /// What was saved before a restart of servers and pairs that are not watched yet.
    pending_restore: SavedState,
    pub(super) distributions: Distributions,
    /// When the last tick was.
    last_tick: Timestamp,
}

/// The servers and pairs of a [`FleetSnapshot`](super::snapshot::FleetSnapshot).
pub(super) struct FleetParts {
    pub(super) servers: Vec<Arc<ServerSnapshot>>,
    pub(super) pairs: Vec<Arc<PairSnapshot>>,
}

/// An answer to INFO.
#[derive(Clone, Copy, Debug)]
struct Answer<'a> {
    info: &'a Observation,
    sent: Timestamp,
    received: Timestamp,
}

impl Fleet {
    /// A fleet of which nothing is known.
    pub(super) fn new(topology: &Topology, interval: Span, now: Timestamp) -> Self {
        let mut fleet = Self {
            interval,
            servers: Servers::default(),
            pairs: Pairs::default(),
            histories: Histories::default(),
            failovers: Failovers::default(),
            pending_restore: SavedState::default(),
            distributions: Distributions::default(),
            last_tick: now,
        };
        fleet.reconfigure(topology, interval, now);
        fleet
    }

    /// Changes what is watched. What stays keeps all that is known of it; what is gone is
    /// forgotten.
    pub(super) fn reconfigure(&mut self, topology: &Topology, interval: Span, now: Timestamp) {
        let change = self.change_to(topology);
        self.adopt(topology, &change, interval, now);
    }

    /// Changes what is watched because other servers are masters now: a failover, where the ones
    /// before were seen as masters. Returns the entries that have another master.
    pub(super) fn follow(
        &mut self,
        topology: &Topology,
        interval: Span,
        now: Timestamp,
    ) -> BTreeSet<PairName> {
        let change = self.change_to(topology);
        for promotion in change.promotions.values() {
            self.failovers
                .record(promotion, &self.servers, &self.pairs, &self.histories, now);
        }
        self.adopt(topology, &change, interval, now);
        change.promotions.into_keys().collect()
    }

    fn change_to(&self, topology: &Topology) -> TopologyChange {
        let master_of = |entry: &PairName| self.failovers.master_of(entry);
        TopologyChange::new(&self.pairs.trees(), master_of, topology)
    }

    fn adopt(
        &mut self,
        topology: &Topology,
        change: &TopologyChange,
        interval: Span,
        now: Timestamp,
    ) {
        self.interval = interval;
        self.servers.reconfigure(topology);
        self.pairs.reconfigure(topology, change, interval, now);
        for (index, pair) in topology.pairs.iter().enumerate() {
            let servers = self.servers.link(index, pair);
            if let Some(entry) = self.pairs.get_mut(index) {
                entry.servers = servers;
            }
        }
        self.failovers.reconfigure(topology);
        self.histories.follow(&change.moves, &self.servers);
        for top in change.moves.values() {
            self.begin_at(top);
        }
        self.claim_restored();
        // Invalid documents were reported when it was read.
        drop(self.pairs.claim_charts());
        self.pairs.claim_losses();
        self.distributions
            .retain_watched(&self.servers, &self.pairs);
    }

    /// Begins the stream of a tree with what its new top last showed as a master.
    fn begin_at(&mut self, top: &ServerAddr) {
        let Some(server) = self.servers.get(top) else {
            return;
        };
        let Some(reported) = &server.reported_master else {
            return;
        };
        if let Some(history) = self.histories.observe(top, &reported.sample) {
            self.pairs.top_answered(
                &server.as_top,
                &reported.sample,
                reported.run_id.as_ref(),
                history,
            );
        }
    }

    /// Changes the base period of polling.
    pub(super) fn set_interval(&mut self, interval: Span) {
        if interval == self.interval {
            return;
        }
        self.interval = interval;
        self.pairs.set_interval(interval);
    }

    /// The base period of polling.
    pub(super) const fn interval(&self) -> Span {
        self.interval
    }

    /// Handles what happened to a poll. Returns the server if what its rules judge has changed.
    /// Servers that are no longer watched are ignored.
    pub(super) fn handle(&mut self, event: PollEvent) -> Option<ServerIndex> {
        let index = self.servers.index_of(&event.server)?;
        let before = self.servers.at(index)?.judged();
        let is_evidence = self.take_in(index, event);
        let server = self.servers.at(index)?;
        if is_evidence {
            for pairs in server.roles() {
                self.pairs.evaluate(pairs);
            }
        }
        if server.judged() == before {
            return None;
        }
        self.servers.evaluate(index);
        Some(index)
    }

    /// Takes in what happened to a poll. Returns whether it is evidence of the server's pairs.
    fn take_in(&mut self, index: ServerIndex, event: PollEvent) -> bool {
        let Some(server) = self.servers.at_mut(index) else {
            return false;
        };
        let dc = server.meta.dc.clone();
        match event.kind {
            PollEventKind::Connected { took } => {
                self.distributions
                    .observe_latency(Operation::Connect, dc, took);
                return false;
            }
            PollEventKind::Skipped => server.skipped(),
            PollEventKind::Heartbeat(heartbeat) => self.handle_heartbeat(&event.server, heartbeat),
            PollEventKind::OutputBuffers(answer) => {
                server.facts.backlog.set_ttl(answer.backlog_ttl);
                self.place_buffers(&event.server, &answer);
            }
            PollEventKind::Overdue { sent } => server.facts.overdue(sent),
            PollEventKind::Failed {
                began, error, late, ..
            } => {
                server.failed(error, began);
                self.distributions.observe_lateness(dc, late);
            }
            PollEventKind::Answered {
                sent,
                received,
                observation,
                late,
            } => {
                let answer = Answer {
                    info: &observation,
                    sent,
                    received,
                };
                let is_newest = server.answered(answer);
                self.distributions
                    .observe_latency(Operation::Info, dc.clone(), received - sent);
                self.distributions.observe_lateness(dc, late);
                if is_newest {
                    self.place_answer(index, answer);
                }
            }
        }
        true
    }

    /// Hands what a master buffers for its replicas to its pairs.
    fn place_buffers(&mut self, addr: &ServerAddr, answer: &BufferAnswer) {
        if let Some(server) = self.servers.get(addr) {
            self.pairs
                .buffers_answered(server, &self.servers, answer, self.interval);
        }
    }

    fn handle_heartbeat(&mut self, addr: &ServerAddr, event: HeartbeatEvent) {
        let error = match event {
            HeartbeatEvent::Arrived { top, beat } => {
                self.change_heartbeat_pairs(addr, &top, |pair| {
                    pair.tracker.heartbeat_arrived(&beat);
                });
                return;
            }
            HeartbeatEvent::Repeated { top, replica } => {
                self.change_heartbeat_pairs(addr, &top, |pair| {
                    pair.tracker.heartbeat_repeated(replica.clone());
                });
                HeartbeatError::Repeated
            }
            HeartbeatEvent::Failed { error } => error,
        };
        if let Some(server) = self.servers.get_mut(addr) {
            server.heartbeat_failed(error);
        }
    }

    /// Changes the pairs of this replica whose heartbeats are sent to `top`.
    fn change_heartbeat_pairs(
        &mut self,
        replica: &ServerAddr,
        top: &ServerAddr,
        change: impl Fn(&mut PairEntry),
    ) {
        let Some(server) = self.servers.get(replica) else {
            return;
        };
        self.pairs.change(&server.as_replica, |pair| {
            if pair.meta.heartbeat.is_some() && pair.meta.top == *top {
                change(pair);
            }
        });
    }

    /// Hands an answer to every pair that the server belongs to: as the replica, as the direct
    /// master, as the top of a chain.
    fn place_answer(&mut self, index: ServerIndex, answer: Answer<'_>) {
        let info = answer.info;
        let Some(server) = self.servers.at_mut(index) else {
            return;
        };
        if server.facts.is_unsupported() || server.facts.takes_turns(answer.received) {
            server.forget_role();
            for pairs in server.roles() {
                self.pairs
                    .change(pairs, |pair| pair.tracker.shows_no_position());
            }
            return;
        }
        let sample = MasterSample::from_info(
            &info.replication,
            &server.facts,
            answer.sent,
            answer.received,
        );
        server.record_role(info, sample.as_ref());
        let Some(server) = self.servers.at(index) else {
            return;
        };
        self.pairs.replica_answered(server, &self.histories, answer);
        self.pairs.master_answered(server, &self.servers, answer);
        let addr = &server.meta.addr;
        self.failovers
            .measure_losses(addr, sample.as_ref(), info, answer.received);
        match &sample {
            Some(sample) => self.place_top_answer(index, info, sample),
            None => self.top_is_no_master(index, info),
        }
    }

    /// A server answered, but not as a master. The pairs below it learn that their top is none.
    fn top_is_no_master(&mut self, index: ServerIndex, info: &Observation) {
        let Some(server) = self.servers.at(index) else {
            return;
        };
        let is_replica = info.replication.role.value() == Some(Role::Replica);
        let upstream = info.replication.upstream.as_ref();
        let follows = upstream.and_then(|link| Some((link.host.get()?, link.port.value()?)));
        let follows = follows.map(|(host, port)| ServerAddr::new(host, port));
        self.pairs.change(&server.as_top, |pair| {
            let follows_replica = follows.as_ref() == Some(&pair.meta.key.replica);
            pair.tracker.master_is_no_master(match is_replica {
                true if follows_replica => NoMasterAnswer::FollowsReplica,
                true => NoMasterAnswer::Replica,
                false => NoMasterAnswer::Incomplete,
            });
        });
        if is_replica {
            self.histories.forget_lineage(&server.meta.addr);
        }
    }

    /// A server answered as a master. If it is at the top of a tree, updates its stream and the
    /// pairs below it; if it is the replica of an entry, that entry may have another master.
    fn place_top_answer(&mut self, index: ServerIndex, info: &Observation, sample: &MasterSample) {
        let Some(server) = self.servers.at(index) else {
            return;
        };
        let addr = &server.meta.addr;
        if !server.as_top.is_empty() {
            if !info.persistence.is_loading() {
                let loss = self.histories.observe_lineage(addr, info, sample);
                self.pairs
                    .record_loss(&server.as_top, loss.as_ref(), sample);
            }
            if let Some(history) = self.histories.observe(addr, sample) {
                let run_id = info.server.run_id.get();
                self.pairs
                    .top_answered(&server.as_top, sample, run_id, history);
            }
        }
        for pair in self.pairs.at(&server.as_replica) {
            self.failovers.suspect(&pair.meta.key.name);
        }
    }

    /// The entries whose master is another server by what the servers report. What is watched has
    /// to follow.
    pub(super) fn promotions(&mut self, now: Timestamp) -> Vec<Promotion> {
        self.failovers
            .promotions(&self.servers, &self.histories, self.interval, now)
    }

    /// What is true of the pair with this index at `now`.
    pub(super) fn assess(&self, index: usize, now: Timestamp) -> Option<Assessment> {
        let evidence = self.evidence(self.pairs.get(index)?)?;
        Some(assess(evidence, now))
    }

    /// How long the writes that only a deposed master of the pair has can be saved.
    pub(super) fn evidence_left(&self, pair: &PairEntry, now: Timestamp) -> Option<EvidenceLeft> {
        evidence_left(self.evidence(pair)?, now).ok()
    }

    fn evidence<'a>(&'a self, pair: &'a PairEntry) -> Option<Evidence<'a>> {
        let servers = pair.servers?;
        Some(Evidence {
            master: &self.servers.at(servers.top)?.facts,
            replica: &self.servers.at(servers.replica)?.facts,
            pair: pair.facts(),
        })
    }

    /// Records a pair's lag for the maximum of the last minute and, if `counts`, in the
    /// distribution.
    pub(super) fn record_lag(&mut self, index: usize, lag: Span, counts: bool, now: Timestamp) {
        let Some(entry) = self.pairs.get_mut(index) else {
            return;
        };
        entry.lag_max.observe(lag, now);
        if counts {
            self.distributions.observe_lag(&entry.meta, lag);
        }
    }

    /// The one-way delay of a pair's link, when it has changed.
    pub(super) fn changed_link_delay(&mut self, index: usize) -> Option<Span> {
        self.pairs.get_mut(index)?.changed_link_delay()
    }

    /// Records a pair's state, for its charts and its rules. Returns the change, if it is one.
    pub(super) fn record_state(
        &mut self,
        index: usize,
        assessment: &Assessment,
        now: Timestamp,
    ) -> Option<StateChange> {
        let entry = self.pairs.get_mut(index)?;
        entry.record_chart(assessment, now);
        if assessment.gap.is_some_and(Gap::awaits_polls) {
            return None; // the next polls show its state
        }
        entry.time_divergence(assessment.state, now);
        entry.record_link(assessment, &self.servers, &self.histories, now);
        entry.take_state_change(assessment)
    }

    /// The stream that the pair's lag is measured against.
    pub(super) fn history_of(&self, pair: &Pair) -> Option<&MasterHistory> {
        self.histories.get(&pair.top)
    }

    /// Every stream with the server at the top of its tree.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&ServerAddr, &MasterHistory)> {
        self.histories.streams()
    }

    /// The pairs that the server belongs to: those whose master it is first, then by name.
    pub(super) fn services_of(&self, addr: &ServerAddr, now: Timestamp) -> Vec<ServedPair> {
        let Some(server) = self.servers.get(addr) else {
            return Vec::new();
        };
        let mut services = Vec::new();
        for index in &server.as_master {
            services.extend(self.service(ServiceRole::Master, *index, now));
        }
        for index in &server.as_replica {
            services.extend(self.service(ServiceRole::Replica, *index, now));
        }
        services.sort_by(|a, b| (a.role, &a.pair, &a.peer).cmp(&(b.role, &b.pair, &b.peer)));
        services
    }

    /// Whether the master of any pair with this name came back without its replication history, and
    /// that has not ended.
    pub(super) fn has_lost_history(&self, name: &PairName, now: Timestamp) -> bool {
        self.pairs.has_lost_history(name, now)
    }

    fn service(&self, role: ServiceRole, index: usize, now: Timestamp) -> Option<ServedPair> {
        let entry = self.pairs.get(index)?;
        let pair = &entry.meta;
        let (peer_dc, peer) = match role {
            ServiceRole::Master => (&pair.target_dc, &pair.key.replica),
            ServiceRole::Replica => (&pair.source_dc, &pair.master),
        };
        let link = &entry.facts().link;
        let assessment = self.assess(index, now);
        Some(ServedPair {
            role,
            sync: link.syncing.then(|| link.sync_progress(now)),
            pair: pair.key.name.to_string(),
            peer_dc: peer_dc.to_string(),
            peer: peer.to_string(),
            at_risk: assessment.as_ref().and_then(at_risk),
            history_lost: entry.has_lost_history(now),
        })
    }

    /// Whether every server was polled once, with whatever result.
    pub(super) fn all_polled(&self) -> bool {
        self.servers.all_polled()
    }

    /// The exporter was paused: nothing is known until the next polls, and no time of the pause
    /// counts for anything.
    pub(super) fn exporter_paused(&mut self, pause: Pause) {
        self.pairs.record_steady(self.last_tick);
        for server in self.servers.iter_mut() {
            server.facts.note_pause(pause);
        }
        self.servers.evaluate_all();
        self.pairs.exporter_paused(pause);
    }

    /// The charts that are due, as documents.
    pub(super) fn take_charts(&mut self, now: Timestamp, last: bool) -> Vec<Document> {
        self.pairs.record_steady(self.last_tick);
        self.pairs.take_charts(now, last)
    }

    /// Makes what has changed of a snapshot since this was last called.
    pub(super) fn prepare_snapshot(&mut self, now: Timestamp) {
        let Self {
            servers,
            pairs,
            histories,
            failovers,
            ..
        } = self;
        servers.prepare_snapshots(&|addr| histories.footprint(addr));
        pairs.prepare_snapshots(servers, histories, now);
        failovers.prepare_list();
    }

    /// Every server, by address, and every pair, in the configuration's order.
    pub(super) fn snapshot(&self, now: Timestamp) -> FleetParts {
        let histories = &self.histories;
        let servers = self.servers.iter();
        let footprint = |addr: &ServerAddr| histories.footprint(addr);
        let servers: Vec<_> = servers.map(|server| server.snapshot(&footprint)).collect();
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for entry in &self.pairs.entries {
            let server = |index: ServerIndex| index.of(&servers).map(Arc::clone);
            pairs.extend(entry.snapshot(server, histories, now));
        }
        FleetParts { servers, pairs }
    }
}
