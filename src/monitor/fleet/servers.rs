//! What is known of each server, and which pairs it belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Answer;
use crate::info::Observation;
use crate::model::{
    Datacenter, HeartbeatError, PollError, PollFailure, ReplicationId, RunId, ServerAddr, Timestamp,
};
use crate::monitor::snapshot::ServerSnapshot;
use crate::replication::{Footprint, MasterSample, ServerFacts};
use crate::topology::{Pair, Server, Topology};

/// Every server that is polled, by address.
#[derive(Debug, Default)]
pub(super) struct Servers(HashMap<ServerAddr, ServerEntry>);

/// One server.
#[derive(Debug)]
pub(super) struct ServerEntry {
    pub(super) meta: Arc<Server>,
    pub(super) facts: ServerFacts,
    /// The port that it listens on by its own account: masters list their replicas by it.
    pub(super) own_port: Option<u16>,
    /// The history that its last answer named.
    pub(super) replid: Option<ReplicationId>,
    /// What it showed as a master; `None` if its last answer did not report that role.
    pub(super) reported_master: Option<ReportedMaster>,
    polls: u64,
    skipped: u64,
    errors: BTreeMap<PollError, u64>,
    heartbeat_errors: BTreeMap<HeartbeatError, u64>,
    /// The indices of the pairs whose lag is measured against this server.
    pub(super) as_top: Vec<usize>,
    /// The indices of the pairs whose replica replicates from this server.
    pub(super) as_master: Vec<usize>,
    /// The indices of the pairs whose replica it is.
    pub(super) as_replica: Vec<usize>,
}

/// What a server showed when it last reported that it is a master.
#[derive(Clone, Debug)]
pub(super) struct ReportedMaster {
    pub(super) sample: MasterSample,
    pub(super) run_id: Option<RunId>,
}

impl Servers {
    /// Adopts the servers of `topology`; those that stay keep what is known of them. No pair is
    /// linked to any of them afterwards.
    pub(super) fn reconfigure(&mut self, topology: &Topology) {
        let mut known = std::mem::take(&mut self.0);
        for (addr, meta) in &topology.servers {
            let entry = match known.remove(addr) {
                Some(known) => known.with_meta(meta),
                None => ServerEntry::new(meta),
            };
            self.0.insert(addr.clone(), entry);
        }
    }

    /// Stores the index of `pair` with its servers.
    pub(super) fn link(&mut self, index: usize, pair: &Pair) {
        if let Some(top) = self.0.get_mut(&pair.top) {
            top.as_top.push(index);
        }
        if let Some(master) = self.0.get_mut(&pair.master) {
            master.as_master.push(index);
        }
        if let Some(replica) = self.0.get_mut(&pair.key.replica) {
            replica.as_replica.push(index);
        }
    }

    /// The server at this address, if it is watched.
    pub(super) fn get(&self, addr: &ServerAddr) -> Option<&ServerEntry> {
        self.0.get(addr)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, addr: &ServerAddr) -> Option<&mut ServerEntry> {
        self.0.get_mut(addr)
    }

    /// Every server with its address, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServerAddr, &ServerEntry)> {
        self.0.iter()
    }

    /// Every server with its address, to change it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&ServerAddr, &mut ServerEntry)> {
        self.0.iter_mut()
    }

    /// Whether the lag of any pair is measured against this server.
    pub(super) fn is_top(&self, addr: &ServerAddr) -> bool {
        self.get(addr)
            .is_some_and(|server| !server.as_top.is_empty())
    }

    /// What the server at this address showed when it last reported that it is a master, unless it
    /// has reported otherwise since.
    pub(super) fn reported_master(&self, addr: &ServerAddr) -> Option<&ReportedMaster> {
        self.get(addr)?.reported_master.as_ref()
    }

    /// Whether any server is in this datacenter.
    pub(super) fn any_in(&self, dc: &Datacenter) -> bool {
        self.0.values().any(|server| server.meta.dc == *dc)
    }

    /// Whether every server was polled once, with whatever result.
    pub(super) fn all_polled(&self) -> bool {
        self.0.values().all(|server| server.facts.was_polled())
    }
}

impl ServerEntry {
    fn new(meta: &Arc<Server>) -> Self {
        Self {
            meta: Arc::clone(meta),
            facts: ServerFacts::default(),
            own_port: None,
            replid: None,
            reported_master: None,
            polls: 0,
            skipped: 0,
            errors: BTreeMap::new(),
            heartbeat_errors: BTreeMap::new(),
            as_top: Vec::new(),
            as_master: Vec::new(),
            as_replica: Vec::new(),
        }
    }

    /// The indices of its pairs, by the role that it has in them.
    pub(super) const fn roles(&self) -> [&Vec<usize>; 3] {
        [&self.as_replica, &self.as_master, &self.as_top]
    }

    /// The same server under another configuration, without its pairs.
    fn with_meta(self, meta: &Arc<Server>) -> Self {
        Self {
            meta: Arc::clone(meta),
            as_top: Vec::new(),
            as_master: Vec::new(),
            as_replica: Vec::new(),
            ..self
        }
    }

    /// Records an answer. Returns whether it is the newest: one that a later poll overtook counts
    /// as a poll, but does not describe the present.
    pub(super) fn answered(&mut self, answer: Answer<'_>) -> bool {
        let Answer {
            info,
            sent,
            received,
        } = answer;
        self.polls += 1;
        if let Some(port) = info.server.tcp_port.value() {
            self.own_port = Some(port);
        }
        let is_overtaken = self.facts.is_overtaken(sent);
        self.facts.answered(info, sent, received);
        !is_overtaken
    }

    /// Records a poll that failed.
    pub(super) fn failed(&mut self, error: PollFailure, began: Timestamp) {
        self.polls += 1;
        *self.errors.entry(error.reason).or_default() += 1;
        self.facts.failed(error, began);
    }

    /// Counts a poll that was not sent because the one before it was still unanswered.
    pub(super) fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// Counts that it takes no part in heartbeats.
    pub(super) fn heartbeat_failed(&mut self, error: HeartbeatError) {
        *self.heartbeat_errors.entry(error).or_default() += 1;
    }

    /// Records which history the answer names, and whether it reports a master: `sample` is its
    /// stream then.
    pub(super) fn record_role(&mut self, info: &Observation, sample: Option<&MasterSample>) {
        self.replid = info.replication.replid.get().cloned();
        self.reported_master = sample.map(|sample| ReportedMaster {
            sample: sample.clone(),
            run_id: info.server.run_id.get().cloned(),
        });
    }

    pub(super) fn snapshot(&self, history: Option<Footprint>) -> ServerSnapshot {
        ServerSnapshot {
            meta: Arc::clone(&self.meta),
            facts: self.facts.clone(),
            polls: self.polls,
            skipped: self.skipped,
            errors: self.errors.clone(),
            history,
            heartbeat_errors: self.heartbeat_errors.clone(),
        }
    }
}
