//! Which nodes of a cluster are believed.
//!
//! Nodes gossip, so two of them may have different views for a moment, or for as long as a
//! partition lasts. The view that most of the masters that answer share is believed, for a majority
//! of the masters decides failovers; of equally many the one with the highest configuration epoch,
//! which whoever takes over slots gets last (redis.io/docs, "Redis cluster specification:
//! configuration epoch"). Views are never relied on for roles and offsets: the nodes themselves are
//! polled.

use std::collections::{BTreeMap, BTreeSet};

use super::view::{ClusterView, Layout};
use crate::info::{ClusterNode, NodeId};
use crate::model::ServerAddr;
use crate::topology::sources::vote::most_named;

/// The view that is believed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Belief {
    /// Which master serves which slots.
    pub(super) layout: Layout,
    /// The nodes that belong to the cluster: those that more than half of the sharers know.
    pub(super) members: BTreeMap<NodeId, Member>,
    /// Its highest configuration epoch.
    epoch: u64,
    /// How many masters have shared it at the same time.
    votes: usize,
    /// Every node that shares it.
    sharers: BTreeSet<NodeId>,
}

/// A node of the cluster, as the sharers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Where clients connect to it.
    pub(super) addr: ServerAddr,
    /// The master that it replicates from; `None` for a master.
    pub(super) master: Option<NodeId>,
    /// Whether it is down for most of the sharers: they do not reach it, or the masters agree on
    /// it. In a minority no agreement is possible, and a suspicion is all there is.
    pub(super) has_failed: bool,
}

/// The nodes that share a layout.
#[derive(Default)]
struct Camp<'a> {
    views: BTreeMap<&'a NodeId, &'a ClusterView>,
    votes: usize,
    epoch: u64,
}

impl Belief {
    /// What the nodes behind `views` are believed to form together. Of nodes that half of the
    /// sharers know, those in `known` are members. `None` without a view.
    pub(super) fn from_views(
        views: &BTreeMap<&ServerAddr, &ClusterView>,
        known: &BTreeSet<NodeId>,
    ) -> Option<Self> {
        let mut camps: BTreeMap<Layout, Camp<'_>> = BTreeMap::new();
        for view in views.values() {
            if let Some(node) = view.myself() {
                camps.entry(view.layout()).or_default().add(node, view);
            }
        }
        let strength = |(layout, camp): &(Layout, Camp<'_>)| {
            // Nodes without slots are on their way into the cluster or out of it.
            (!layout.is_empty(), camp.votes, camp.epoch, camp.views.len())
        };
        let (layout, camp) = camps.into_iter().max_by_key(strength)?;
        Some(Self {
            layout,
            members: camp.members(known),
            epoch: camp.epoch,
            votes: camp.votes,
            sharers: camp.views.into_keys().cloned().collect(),
        })
    }

    /// Whether this replaces `old`. An older view comes from nodes that were cut off from the rest,
    /// unless more masters share it, one of those that shared the old one has gone back on it, or
    /// none of them was a member before: then the cluster was made again.
    pub(super) fn replaces(&self, old: &Self) -> bool {
        if self.layout.is_empty() {
            return old.layout.is_empty();
        }
        let is_newer = self.epoch >= old.epoch || self.votes > old.votes;
        let has_turned = !self.sharers.is_disjoint(&old.sharers);
        let mut sharers = self.sharers.iter();
        is_newer || has_turned || sharers.all(|node| !old.members.contains_key(node))
    }

    /// Keeps how many masters have shared the view, if it is that of `old`: those that fall silent
    /// do not make it weaker.
    pub(super) fn remember_votes(&mut self, old: &Self) {
        if self.layout == old.layout {
            self.votes = self.votes.max(old.votes);
        }
    }

    /// Whether the node that answered with `view` believes the same.
    pub(super) fn is_shared_by(&self, view: &ClusterView) -> bool {
        let is_member = |node: &ClusterNode| self.members.contains_key(&node.id);
        self.has_layout_of(view) && view.myself().is_some_and(is_member)
    }

    /// Whether `view` assigns the slots to the same masters.
    pub(super) fn has_layout_of(&self, view: &ClusterView) -> bool {
        view.layout() == self.layout
    }

    /// How many slots its masters serve, those that have failed not counted.
    pub(super) fn covered_slots(&self) -> usize {
        let mut covered = 0;
        for (master, ranges) in &self.layout {
            let has_failed = self.members.get(master).is_some_and(|node| node.has_failed);
            if !has_failed {
                covered += ranges.iter().map(|range| range.count()).sum::<usize>();
            }
        }
        covered
    }
}

impl<'a> Camp<'a> {
    /// Adds the view of `node`. One node may be asked at two addresses, and counts once.
    fn add(&mut self, node: &'a ClusterNode, view: &'a ClusterView) {
        if self.views.insert(&node.id, view).is_none() {
            self.votes += usize::from(node.serves());
            self.epoch = self.epoch.max(view.epoch());
        }
    }

    fn members(&self, known: &BTreeSet<NodeId>) -> BTreeMap<NodeId, Member> {
        let mut lines: BTreeMap<&NodeId, Vec<&ClusterNode>> = BTreeMap::new();
        for view in self.views.values() {
            for node in view.nodes.values() {
                if !node.flags.is_in_handshake {
                    lines.entry(&node.id).or_default().push(node);
                }
            }
        }
        let mut members = BTreeMap::new();
        for (id, lines) in lines {
            let twice = 2 * lines.len();
            let half = self.views.len();
            let is_member = twice > half || (twice == half && known.contains(id));
            if let Some(member) = Member::from_lines(&lines)
                && is_member
            {
                members.insert(id.clone(), member);
            }
        }
        without_predecessors(members)
    }
}

impl Member {
    /// What the sharers' lines say of one node; `None` if nobody knows its address.
    fn from_lines(lines: &[&ClusterNode]) -> Option<Self> {
        let addr = most_named(lines.iter().filter_map(|line| line.addr.as_ref()))?;
        // A node knows best whom it replicates from.
        let own = lines.iter().find(|line| line.flags.is_myself);
        let master = match own {
            Some(line) => &line.master,
            None => most_named(lines.iter().map(|line| &line.master))?,
        };
        let down = lines.iter().filter(|line| line.flags.is_down).count();
        Some(Self {
            addr: addr.clone(),
            master: master.clone(),
            has_failed: own.is_none() && 2 * down > lines.len(),
        })
    }
}

/// Drops nodes that have failed where another node listens at their address by now: a node that
/// starts without its nodes.conf is a new one.
fn without_predecessors(mut members: BTreeMap<NodeId, Member>) -> BTreeMap<NodeId, Member> {
    let mut living = BTreeSet::new();
    for member in members.values().filter(|member| !member.has_failed) {
        living.insert(member.addr.clone());
    }
    members.retain(|_, member| !member.has_failed || !living.contains(&member.addr));
    members
}
