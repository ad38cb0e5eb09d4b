//! Redis Clusters in a report: whether they answer and serve, which nodes disagree, and where the
//! nodes of their shards run.

use serde::{Deserialize, Serialize};

use crate::monitor::FleetSnapshot;
use crate::topology::{ClusterGroup, ClusterNodeState, Dissent, SourceHealth};

/// One cluster. What is not known is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// The entry's name, with which the names of its pairs begin.
    pub cluster: String,
    /// Whether at least one node answers; `null` before the first answer.
    pub reachable: Option<bool>,
    /// Whether most of the nodes that share the believed view serve queries.
    pub state_ok: Option<bool>,
    /// How many shards have slots.
    pub shards: usize,
    /// Slots that no living master serves.
    pub slots_uncovered: Option<usize>,
    /// Nodes that answer and have another view than the one that is believed.
    pub nodes_disagreeing: Option<usize>,
    /// What is wrong with the cluster as a whole, a sentence each; empty where nothing is known to
    /// be wrong.
    pub troubles: Vec<String>,
    /// Every node that is asked, by address.
    pub nodes: Vec<ClusterNodeReport>,
    /// The risks of where the nodes of the shards run, a sentence each.
    pub risks: Vec<String>,
}

/// One node of a cluster, and what it says. What it does not report is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterNodeReport {
    /// Its datacenter.
    pub dc: String,
    /// Its address, `host:port`.
    pub server: String,
    /// Whether the configuration names it; the others were learned.
    pub configured: bool,
    /// Whether it answered the last query; `null` before the first.
    pub up: Option<bool>,
    /// What is wrong with it, as a sentence: why it did not answer, or how its view differs.
    pub reason: Option<String>,
    /// Whether it serves queries by its own account.
    pub state_ok: Option<bool>,
    /// Whether it shares the view that is believed.
    pub agrees: Option<bool>,
}

impl ClusterReport {
    /// Every cluster.
    pub(super) fn all(fleet: &FleetSnapshot) -> Vec<Self> {
        let mut reports = Vec::new();
        for source in &*fleet.sources {
            if let SourceHealth::Cluster(group) = source {
                reports.push(Self::new(group));
            }
        }
        reports
    }

    fn new(group: &ClusterGroup) -> Self {
        Self {
            cluster: group.name.to_string(),
            reachable: group.is_reachable(),
            state_ok: group.is_ok,
            shards: group.shards,
            slots_uncovered: group.slots_uncovered,
            nodes_disagreeing: group.dissenters(),
            troubles: group.troubles(),
            nodes: group.nodes.iter().map(ClusterNodeReport::new).collect(),
            risks: group.risks.iter().map(ToString::to_string).collect(),
        }
    }
}

impl ClusterNodeReport {
    fn new(node: &ClusterNodeState) -> Self {
        Self {
            dc: node.dc.to_string(),
            server: node.addr.to_string(),
            configured: node.configured,
            up: node.answer.as_ref().map(Result::is_ok),
            reason: reason(node),
            state_ok: node.is_ok,
            agrees: node.agrees(),
        }
    }
}

fn reason(node: &ClusterNodeState) -> Option<String> {
    if let Some(Err(failure)) = &node.answer {
        return Some(failure.sentence("the node"));
    }
    let sentence = match node.dissent? {
        Dissent::OtherSlots => {
            "it assigns slots to other masters than most of the others: it was cut off, or the news \
             has not reached it yet"
        }
        Dissent::Forgotten => {
            "most of the others do not know it: it was forgotten (CLUSTER FORGET), or was never \
             introduced (CLUSTER MEET)"
        }
    };
    Some(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Datacenter, PairName, PollError, ServerAddr};

    fn node(answer: Result<(), PollError>, dissent: Option<Dissent>) -> ClusterNodeState {
        ClusterNodeState {
            addr: ServerAddr::new("n", 1),
            dc: Datacenter::new("dc1"),
            configured: true,
            answer: Some(answer.map_err(Into::into)),
            is_ok: Some(true),
            dissent,
        }
    }

    fn group(nodes: Vec<ClusterNodeState>) -> ClusterGroup {
        ClusterGroup {
            name: PairName::new("c"),
            nodes,
            shards: 3,
            is_ok: Some(true),
            slots_uncovered: Some(0),
            risks: Vec::new(),
        }
    }

    #[test]
    fn a_healthy_cluster_has_no_trouble() {
        let report = ClusterReport::new(&group(vec![node(Ok(()), None)]));
        assert_eq!(report.troubles, [] as [&str; 0]);
        assert_eq!(
            (report.reachable, report.nodes_disagreeing),
            (Some(true), Some(0))
        );
        assert_eq!(report.nodes[0].reason, None);
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let unasked = ClusterNodeState {
            answer: None,
            is_ok: None,
            ..node(Ok(()), None)
        };
        let report = ClusterReport::new(&group(vec![unasked]));
        assert_eq!((report.reachable, report.nodes_disagreeing), (None, None));
        let silent = node(Err(PollError::Timeout), None);
        let report = ClusterReport::new(&group(vec![silent]));
        assert_eq!(
            (report.reachable, report.nodes_disagreeing),
            (Some(false), None)
        );
        assert!(report.troubles[0].starts_with("no node answers"));
        assert!(
            report.nodes[0]
                .reason
                .as_ref()
                .unwrap()
                .starts_with("the node ")
        );
    }

    #[test]
    fn every_trouble_is_named() {
        let mut failing = group(vec![
            node(Ok(()), Some(Dissent::OtherSlots)),
            node(Ok(()), Some(Dissent::Forgotten)),
        ]);
        failing.is_ok = Some(false);
        failing.slots_uncovered = Some(5461);
        let report = ClusterReport::new(&failing);
        assert_eq!(
            report.troubles,
            [
                "it serves no queries (cluster_state:fail)",
                "5461 slots are served by no living master"
            ]
        );
        assert_eq!(report.nodes_disagreeing, Some(2));
        let reasons: Vec<_> = report
            .nodes
            .iter()
            .filter_map(|node| node.reason.as_ref())
            .collect();
        assert!(
            reasons[0].starts_with("it assigns slots") && reasons[1].contains("CLUSTER FORGET")
        );
    }
}
