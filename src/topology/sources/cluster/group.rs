//! How a cluster is: which of its nodes answer, what they say, and where the nodes of each shard
//! run.

use super::ClusterSource;
use super::belief::Belief;
use super::placement::{ShardRisk, shard_risk};
use super::view::ClusterView;
use crate::config::DatacenterRule;
use crate::info::CLUSTER_SLOTS;
use crate::model::{Datacenter, PairName, PollFailure, ServerAddr};
use crate::topology::datacenter_of;
use crate::topology::sources::entry::SourceEntry;

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterGroup {
    /// The entry's name, with which the names of its pairs begin.
    pub name: PairName,
    /// Every node that is asked, by address.
    pub nodes: Vec<ClusterNodeState>,
    /// How many shards have slots.
    pub shards: usize,
    /// Whether most of those that share the believed view serve queries; `None` if none of them
    /// answers or reports it.
    pub is_ok: Option<bool>,
    /// Slots that no living master serves; `None` if no node answers.
    pub slots_uncovered: Option<usize>,
    /// Risks in where the nodes of a shard run.
    pub risks: Vec<ShardRisk>,
}

/// One node of a cluster, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterNodeState {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: Datacenter,
    /// Whether the configuration names it; the others were learned.
    pub configured: bool,
    /// Whether the last query succeeded; `None` before the first.
    pub answer: Option<Result<(), PollFailure>>,
    /// Whether it serves queries by its own account; `None` if not reported.
    pub is_ok: Option<bool>,
    /// How its view differs from the one that is believed; `None` where it does not or is not
    /// known.
    pub dissent: Option<Dissent>,
}

/// How a node's view differs from the one that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dissent {
    /// It assigns slots to other masters.
    OtherSlots,
    /// Most of the others do not know it: it was forgotten, or never introduced.
    Forgotten,
}

/// The cluster of `source`.
pub(in crate::topology::sources) fn group(
    source: &SourceEntry<ClusterSource>,
    rules: &[DatacenterRule],
) -> ClusterGroup {
    let kind = &source.kind;
    let belief = kind.belief.as_ref();
    let mut nodes = Vec::new();
    for (addr, answer) in source.answers() {
        let mut state = ClusterNodeState {
            addr: addr.clone(),
            dc: datacenter_of(addr, rules),
            configured: source.is_configured(addr),
            answer: None,
            is_ok: None,
            dissent: None,
        };
        match answer {
            None => {}
            Some(Err(failure)) => state.answer = Some(Err(failure.clone())),
            Some(Ok(view)) => {
                state.answer = Some(Ok(()));
                state.is_ok = view.is_ok;
                state.dissent = belief.and_then(|belief| dissent(belief, view));
            }
        }
        nodes.push(state);
    }
    ClusterGroup {
        name: kind.settings.name.clone(),
        shards: belief.map_or(0, |belief| belief.layout.len()),
        is_ok: is_ok(&nodes),
        slots_uncovered: uncovered(&nodes, belief),
        risks: risks(kind, rules),
        nodes,
    }
}

impl ClusterGroup {
    /// Whether some node answers; `None` before the first answer.
    pub fn is_reachable(&self) -> Option<bool> {
        let mut answers = self.nodes.iter().filter_map(|node| node.answer.as_ref());
        let first = answers.next()?;
        Some(first.is_ok() || answers.any(Result::is_ok))
    }

    /// What is wrong with the cluster as a whole, a sentence each; empty where nothing is known to
    /// be wrong. Single nodes and risks are not among it.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if self.is_reachable() == Some(false) {
            troubles
                .push("no node answers: which master serves which slots is not known".to_owned());
        }
        if self.is_ok == Some(false) {
            troubles.push("it serves no queries (cluster_state:fail)".to_owned());
        }
        if let Some(uncovered) = self.slots_uncovered.filter(|count| *count > 0) {
            let slots = if uncovered == 1 {
                "slot is"
            } else {
                "slots are"
            };
            troubles.push(format!("{uncovered} {slots} served by no living master"));
        }
        troubles
    }

    /// How many nodes that answer have another view than the one that is believed; `None` if no
    /// node answers.
    pub fn dissenters(&self) -> Option<usize> {
        if self.is_reachable() != Some(true) {
            return None;
        }
        let nodes = self.nodes.iter().filter(|node| node.dissent.is_some());
        Some(nodes.count())
    }

    /// How many shards have a risk in where their nodes run; `None` before a node has answered.
    pub fn shards_at_risk(&self) -> Option<usize> {
        if self.shards == 0 {
            return None;
        }
        Some(self.risks.len())
    }
}

impl ClusterNodeState {
    /// Whether it shares the view that is believed; `None` if it does not answer.
    pub fn agrees(&self) -> Option<bool> {
        match self.answer {
            Some(Ok(())) => Some(self.dissent.is_none()),
            Some(Err(_)) | None => None,
        }
    }
}

fn dissent(belief: &Belief, view: &ClusterView) -> Option<Dissent> {
    if belief.is_shared_by(view) {
        None
    } else if belief.has_layout_of(view) {
        Some(Dissent::Forgotten)
    } else {
        Some(Dissent::OtherSlots)
    }
}

/// Whether most of the nodes that agree and report it serve queries.
fn is_ok(nodes: &[ClusterNodeState]) -> Option<bool> {
    let mut serving = 0;
    let mut refusing = 0;
    for node in nodes.iter().filter(|node| node.agrees() == Some(true)) {
        match node.is_ok {
            Some(true) => serving += 1,
            Some(false) => refusing += 1,
            None => {}
        }
    }
    if serving + refusing == 0 {
        None
    } else {
        Some(serving > refusing)
    }
}

fn uncovered(nodes: &[ClusterNodeState], belief: Option<&Belief>) -> Option<usize> {
    let answers = nodes.iter().any(|node| node.agrees().is_some());
    let belief = belief.filter(|_| answers)?;
    Some(CLUSTER_SLOTS.saturating_sub(belief.covered_slots()))
}

fn risks(kind: &ClusterSource, rules: &[DatacenterRule]) -> Vec<ShardRisk> {
    let mut risks = Vec::new();
    for shard in kind.shards.iter() {
        let master_dc = datacenter_of(&shard.master, rules);
        let mut replica_dcs = Vec::new();
        for replica in &shard.replicas {
            replica_dcs.push(datacenter_of(replica, rules));
        }
        risks.extend(shard_risk(&shard.name, &master_dc, &replica_dcs));
    }
    risks
}
