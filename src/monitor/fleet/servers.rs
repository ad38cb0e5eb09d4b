//! What is known of each server, and which pairs it belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Answer;
use super::evaluation_plan::EvaluationPlan;
use crate::info::Observation;
use crate::model::{
    Datacenter, HeartbeatError, PollError, PollFailure, ReplicationId, RunId, ServerAddr, Span,
    Timestamp,
};
use crate::monitor::snapshot::ServerSnapshot;
use crate::replication::{Footprint, MasterSample, ServerFacts};
use crate::topology::{Pair, Server, Topology};

/// For how long one process has to answer at an address until the address counts as having moved to
/// it. Before that, several servers may take turns there.
const ADDRESS_SETTLES_IN: Span = Span::from_secs(10);

/// Every server that is polled, ordered by address.
#[derive(Debug, Default)]
pub(super) struct Servers {
    entries: Vec<ServerEntry>,
    by_address: HashMap<ServerAddr, ServerIndex>,
    /// When the rules of each are evaluated.
    plan: EvaluationPlan,
    /// How many are outside the exporter's own datacenter.
    remote: usize,
}

/// The size of the offset history that is kept of a server at the top of a tree.
pub(super) type FootprintOf<'a> = dyn Fn(&ServerAddr) -> Option<Footprint> + 'a;

/// The place of a server among those of one topology, ordered by address. It means nothing in
/// another topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::monitor) struct ServerIndex(usize);

impl ServerIndex {
    /// What belongs to this server, in a list of all servers.
    pub(in crate::monitor) fn of<T>(self, all: &[T]) -> Option<&T> {
        all.get(self.0)
    }
}

/// The servers of one pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairServers {
    pub(super) top: ServerIndex,
    pub(super) master: ServerIndex,
    pub(super) replica: ServerIndex,
}

/// What the rules of a server judge. Zero seconds of silence stay zero until a poll fails.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    up: Option<bool>,
    silent_since: Option<Timestamp>,
    fault_since: Option<Timestamp>,
    full_syncs: Option<u64>,
}

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
    /// The process that last answered here as a master, whatever has answered since.
    pub(super) last_master: Option<RunId>,
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
    /// The snapshot that was last prepared of it; `None` once it has changed since.
    snapshot: Option<Arc<ServerSnapshot>>,
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
        let mut known: HashMap<ServerAddr, ServerEntry> = HashMap::new();
        for entry in self.entries.drain(..) {
            known.insert(entry.meta.addr.clone(), entry);
        }
        self.by_address.clear();
        self.remote = 0;
        for (addr, meta) in &topology.servers {
            let entry = match known.remove(addr) {
                Some(known) => known.with_meta(meta),
                None => ServerEntry::new(meta),
            };
            self.remote += usize::from(!meta.local);
            let index = ServerIndex(self.entries.len());
            self.by_address.insert(addr.clone(), index);
            self.entries.push(entry);
        }
        self.evaluate_all();
    }

    /// Stores the index of `pair` with its servers. Returns theirs.
    pub(super) fn link(&mut self, index: usize, pair: &Pair) -> Option<PairServers> {
        let servers = PairServers {
            top: self.index_of(&pair.top)?,
            master: self.index_of(&pair.master)?,
            replica: self.index_of(&pair.key.replica)?,
        };
        self.at_mut(servers.top)?.as_top.push(index);
        self.at_mut(servers.master)?.as_master.push(index);
        self.at_mut(servers.replica)?.as_replica.push(index);
        Some(servers)
    }

    /// The place of the server at this address, if it is watched.
    pub(super) fn index_of(&self, addr: &ServerAddr) -> Option<ServerIndex> {
        self.by_address.get(addr).copied()
    }

    /// The server with this index.
    pub(super) fn at(&self, index: ServerIndex) -> Option<&ServerEntry> {
        self.entries.get(index.0)
    }

    /// The same, to change it.
    pub(super) fn at_mut(&mut self, index: ServerIndex) -> Option<&mut ServerEntry> {
        let entry = self.entries.get_mut(index.0)?;
        entry.snapshot = None;
        Some(entry)
    }

    /// The server at this address, if it is watched.
    pub(super) fn get(&self, addr: &ServerAddr) -> Option<&ServerEntry> {
        self.at(self.index_of(addr)?)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, addr: &ServerAddr) -> Option<&mut ServerEntry> {
        self.at_mut(self.index_of(addr)?)
    }

    /// Every server, ordered by address.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ServerEntry> {
        self.entries.iter()
    }

    /// Every server, to change it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ServerEntry> {
        for entry in &mut self.entries {
            entry.snapshot = None;
        }
        self.entries.iter_mut()
    }

    /// Prepares the snapshot of each server that has changed since the last one.
    pub(super) fn prepare_snapshots(&mut self, footprint: &FootprintOf<'_>) {
        for entry in &mut self.entries {
            entry.prepare_snapshot(footprint);
        }
    }

    /// The index of every server, ordered by address.
    pub(super) fn indices(&self) -> impl Iterator<Item = ServerIndex> + use<> {
        (0..self.entries.len()).map(ServerIndex)
    }

    /// The rules of all servers are evaluated in the next tick.
    pub(super) fn evaluate_all(&mut self) {
        self.plan.evaluate_all(self.entries.len());
    }

    /// The rules of this server are evaluated in the next tick.
    pub(super) fn evaluate(&mut self, index: ServerIndex) {
        self.plan.evaluate(index.0);
    }

    /// The rules of this server need no evaluation before what they judge changes.
    pub(super) fn wait(&mut self, index: ServerIndex) {
        self.plan.wait(index.0);
    }

    /// Whether the rules of this server are evaluated at `now`.
    pub(super) fn is_due(&self, index: ServerIndex, now: Timestamp) -> bool {
        self.plan.is_due(index.0, now)
    }

    /// When the rules of the first server are due.
    pub(super) fn next_due(&self) -> Timestamp {
        self.plan.next()
    }

    /// How many servers are outside the exporter's own datacenter.
    pub(super) fn remote(&self) -> usize {
        self.remote
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
        self.entries.iter().any(|server| server.meta.dc == *dc)
    }

    /// Whether every server was polled once, with whatever result.
    pub(super) fn all_polled(&self) -> bool {
        self.entries.iter().all(|server| server.facts.was_polled())
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
            last_master: None,
            polls: 0,
            skipped: 0,
            errors: BTreeMap::new(),
            heartbeat_errors: BTreeMap::new(),
            as_top: Vec::new(),
            as_master: Vec::new(),
            as_replica: Vec::new(),
            snapshot: None,
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
            snapshot: None,
            ..self
        }
    }

    /// What its rules judge.
    pub(super) fn judged(&self) -> Judged {
        Judged {
            up: self.facts.up(),
            silent_since: self.facts.silent_since(),
            fault_since: self.facts.fault_since(),
            full_syncs: self.facts.full_syncs.total(),
        }
    }

    /// Whether it answers: then no time passes that its rules judge.
    pub(super) fn answers(&self) -> bool {
        let facts = &self.facts;
        facts.is_up() && facts.silent_since().is_none() && facts.fault_since().is_none()
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
        if let Some(master) = &self.reported_master {
            self.last_master.clone_from(&master.run_id);
        }
    }

    /// Forgets which role it reported: its answers prove none.
    pub(super) fn forget_role(&mut self) {
        self.replid = None;
        self.reported_master = None;
    }

    /// Whether the process that answers here has answered for a while.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        let since = self.facts.lives_since();
        since.is_some_and(|since| now - since >= ADDRESS_SETTLES_IN)
    }

    /// Its snapshot: the last one that was prepared, unless it has changed since. `footprint` is of
    /// the history that is kept of it.
    pub(super) fn snapshot(&self, footprint: &FootprintOf<'_>) -> Arc<ServerSnapshot> {
        if let Some(prepared) = &self.snapshot {
            return Arc::clone(prepared);
        }
        Arc::new(ServerSnapshot {
            meta: Arc::clone(&self.meta),
            facts: self.facts.clone(),
            polls: self.polls,
            skipped: self.skipped,
            errors: self.errors.clone(),
            history: footprint(&self.meta.addr),
            heartbeat_errors: self.heartbeat_errors.clone(),
        })
    }

    /// Prepares its snapshot, unless it has not changed since the last one.
    fn prepare_snapshot(&mut self, footprint: &FootprintOf<'_>) {
        if self.snapshot.is_none() {
            self.snapshot = Some(self.snapshot(footprint));
        }
    }
}
