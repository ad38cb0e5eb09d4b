//! The metrics of Redis Clusters.

use super::catalogue as c;
use super::families::Families;
use super::labels::{SeriesLabels, label};
use super::servers::server_labels;
use crate::topology::ClusterGroup;

/// All metrics of one cluster. What is not known is absent.
pub(super) fn add_cluster(families: &mut Families, group: &ClusterGroup) {
    let cluster = || SeriesLabels::new([label("cluster", group.name.as_str())]);
    let labels = cluster();
    families.add(&c::CLUSTER_REACHABLE, &labels, group.is_reachable());
    families.add(&c::CLUSTER_STATE_OK, &labels, group.is_ok);
    families.add(&c::CLUSTER_SLOTS_UNCOVERED, &labels, group.slots_uncovered);
    families.add(&c::CLUSTER_NODES_DISAGREEING, &labels, group.dissenters());
    families.add(&c::CLUSTER_SHARDS_AT_RISK, &labels, group.shards_at_risk());
    for node in &group.nodes {
        let labels = cluster().followed_by(&server_labels(&node.dc, &node.addr));
        if let Some(answer) = &node.answer {
            families.add(&c::CLUSTER_NODE_UP, &labels, answer.is_ok());
        }
        families.add(&c::CLUSTER_NODE_AGREES, &labels, node.agrees());
    }
}
