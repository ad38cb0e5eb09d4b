//! The rows of Redis Clusters.

use super::NOT_KNOWN;
use crate::report::{ClusterReport, Level};

/// A cluster.
pub(in crate::web::page) struct ClusterRow {
    pub(in crate::web::page) name: String,
    pub(in crate::web::page) state: &'static str,
    pub(in crate::web::page) shards: usize,
    pub(in crate::web::page) uncovered: String,
    pub(in crate::web::page) answering: String,
    pub(in crate::web::page) disagreeing: String,
    pub(in crate::web::page) level: &'static str,
    pub(in crate::web::page) trouble: String,
}

impl ClusterRow {
    pub(in crate::web::page) fn new(cluster: &ClusterReport) -> Self {
        let level = level(cluster);
        let mut problems = cluster.troubles.clone();
        for node in &cluster.nodes {
            if let Some(reason) = &node.reason {
                problems.push(format!("{}: {reason}", node.server));
            }
        }
        problems.extend(cluster.risks.iter().cloned());
        let trouble = if problems.is_empty() {
            NOT_KNOWN.to_owned()
        } else {
            problems.join("; ")
        };
        let answering = cluster.nodes.iter().filter(|node| node.up == Some(true));
        Self {
            name: cluster.cluster.clone(),
            state: match cluster.state_ok {
                Some(true) => "ok",
                Some(false) => "fail",
                None => NOT_KNOWN,
            },
            shards: cluster.shards,
            uncovered: number(cluster.slots_uncovered),
            answering: format!("{} of {}", answering.count(), cluster.nodes.len()),
            disagreeing: number(cluster.nodes_disagreeing),
            level: level.label(),
            trouble,
        }
    }
}

fn level(cluster: &ClusterReport) -> Level {
    let has_odd_node = cluster.nodes.iter().any(|node| node.reason.is_some());
    if !cluster.troubles.is_empty() {
        Level::Critical
    } else if has_odd_node || !cluster.risks.is_empty() {
        Level::Warning
    } else {
        Level::Ok
    }
}

fn number(count: Option<usize>) -> String {
    count.map_or_else(|| NOT_KNOWN.to_owned(), |count| count.to_string())
}
