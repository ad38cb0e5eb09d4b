//! Redis Cluster as a source: the reporters are its nodes, and each master with slots is one.
//!
//! The configuration names some nodes. Every other node of the believed view is asked as well, so
//! that a partition, or the loss of the configured ones, hides nothing.

mod belief;
mod group;
mod placement;
mod shards;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use belief::Belief;
use shards::Shards;

pub(super) use group::group;

pub use group::{ClusterGroup, ClusterNodeState, Dissent};
pub use placement::{ShardHarm, ShardRisk};
pub use view::ClusterView;

use super::entry::{DiscoveredMaster, EntryDefaults, SourceKind};
use crate::config::{ClusterSettings, HeartbeatSettings};
use crate::info::NodeId;
use crate::model::{ServerAddr, Timestamp};

/// Nodes that are asked besides the configured ones, masters first. Each costs one connection, and
/// more would add nothing to what a majority of so many shows.
pub(super) const MAX_LEARNED_NODES: usize = 100;

/// The label that names a shard's slots.
const SLOTS_LABEL: &str = "slots";

/// What the nodes of one cluster have reported.
#[derive(Clone, Debug)]
pub(super) struct ClusterSource {
    settings: Arc<ClusterSettings>,
    /// The view that is believed; `None` before the first answer.
    belief: Option<Belief>,
    shards: Shards,
    /// Which node answered at each address.
    ids: BTreeMap<ServerAddr, NodeId>,
}

impl ClusterSource {
    pub(super) fn new(settings: &ClusterSettings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            belief: None,
            shards: Shards::default(),
            ids: BTreeMap::new(),
        }
    }

    pub(super) fn reconfigure(&mut self, settings: &ClusterSettings) {
        self.settings = Arc::new(settings.clone());
    }

    fn known_nodes(&self) -> BTreeSet<NodeId> {
        match &self.belief {
            Some(belief) => belief.members.keys().cloned().collect(),
            None => BTreeSet::new(),
        }
    }
}

impl SourceKind for ClusterSource {
    type View = ClusterView;

    const REPORTERS: &'static str = "the cluster's nodes";

    fn update(&mut self, views: &BTreeMap<&ServerAddr, &ClusterView>, now: Timestamp) {
        for (addr, view) in views {
            if let Some(node) = view.myself() {
                self.ids.insert(ServerAddr::clone(addr), node.id.clone());
            }
        }
        let Some(mut found) = Belief::from_views(views, &self.known_nodes()) else {
            return;
        };
        if let Some(old) = &self.belief {
            if !found.replaces(old) {
                return;
            }
            found.remember_votes(old);
        }
        self.shards.update(&found, &self.settings.name, now);
        self.belief = Some(found);
    }

    fn is_settled(&self) -> bool {
        self.shards.is_settled()
    }

    fn retain_reporters(&mut self, reporters: &BTreeSet<ServerAddr>) {
        self.ids.retain(|addr, _| reporters.contains(addr));
    }

    fn learned_reporters(&self, configured: &BTreeSet<ServerAddr>) -> BTreeSet<ServerAddr> {
        let Some(belief) = &self.belief else {
            return BTreeSet::new();
        };
        let asked = configured.iter().filter_map(|addr| self.ids.get(addr));
        let asked: BTreeSet<&NodeId> = asked.collect();
        let mut nodes = Vec::new();
        for (id, member) in &belief.members {
            if !asked.contains(id) && !configured.contains(&member.addr) {
                nodes.push((!belief.layout.contains_key(id), &member.addr));
            }
        }
        nodes.sort();
        let nodes = nodes.into_iter().take(MAX_LEARNED_NODES);
        nodes.map(|(_, addr)| addr.clone()).collect()
    }

    fn masters(&self) -> Vec<DiscoveredMaster> {
        let mut masters = Vec::new();
        for shard in self.shards.iter() {
            masters.push(DiscoveredMaster {
                pair: shard.name.clone(),
                shard: Some(shard.key.clone()),
                addr: shard.master.clone(),
                replicas: shard.replicas.clone(),
                labels: BTreeMap::from([(SLOTS_LABEL.to_owned(), shard.slots.clone())]),
            });
        }
        masters
    }

    fn defaults(&self) -> EntryDefaults<'_> {
        let settings = &*self.settings;
        EntryDefaults {
            connection: &settings.servers,
            labels: &settings.labels,
            alerts: &settings.alerts,
            // In a cluster a message travels over the cluster bus, past the replication stream.
            heartbeat: HeartbeatSettings::default(),
        }
    }
}
