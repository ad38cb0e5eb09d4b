//! What one node of a cluster knows.

use std::collections::BTreeMap;

use crate::info::{ClusterNode, NodeId, SlotRange};

/// Which master serves which slots. Two nodes with the same layout agree on where every key is.
pub(super) type Layout = BTreeMap<NodeId, Vec<SlotRange>>;

/// The latest answer of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Every node that it knows, itself included.
    pub nodes: BTreeMap<NodeId, ClusterNode>,
    /// Whether it serves queries (`cluster_state`); `None` if not reported.
    pub is_ok: Option<bool>,
}

impl ClusterView {
    /// The node that answered.
    pub(super) fn myself(&self) -> Option<&ClusterNode> {
        self.nodes.values().find(|node| node.flags.is_myself)
    }

    /// Which master serves which slots.
    pub(super) fn layout(&self) -> Layout {
        let mut layout = Layout::new();
        for node in self.nodes.values().filter(|node| node.serves()) {
            layout.insert(node.id.clone(), node.slots.clone());
        }
        layout
    }

    /// The highest configuration epoch among the masters that serve slots.
    pub(super) fn epoch(&self) -> u64 {
        let masters = self.nodes.values().filter(|node| node.serves());
        let epochs = masters.map(|node| node.config_epoch);
        epochs.max().unwrap_or(0)
    }
}
