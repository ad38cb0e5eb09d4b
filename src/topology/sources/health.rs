//! The health of a discovery source, as far as all kinds have it in common.

use super::cluster::ClusterGroup;
use super::sentinel::SentinelGroup;
use crate::model::PairName;

/// How one source is, by its kind. A source with several masters has one for each.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceHealth {
    /// The Sentinels that watch one master.
    Sentinels(SentinelGroup),
    /// A Redis Cluster.
    Cluster(ClusterGroup),
}

impl SourceHealth {
    /// The name of the pairs that this is about; the entry's name while no master is known, and of a
    /// source that is one for all its masters.
    pub const fn pair(&self) -> &PairName {
        match self {
            Self::Sentinels(group) => &group.pair,
            Self::Cluster(group) => &group.name,
        }
    }

    /// Whether every configured reporter has answered once, or failed to.
    pub fn was_queried(&self) -> bool {
        match self {
            Self::Sentinels(group) => {
                let mut sentinels = group.sentinels.iter();
                sentinels.all(|sentinel| sentinel.answer.is_some())
            }
            Self::Cluster(group) => {
                let mut nodes = group.nodes.iter();
                nodes.all(|node| node.answer.is_some() || !node.configured)
            }
        }
    }

    /// Risks in how the source is set up, one sentence each.
    pub fn risks(&self) -> Vec<String> {
        match self {
            Self::Sentinels(group) => group.risks.iter().map(ToString::to_string).collect(),
            Self::Cluster(group) => group.risks.iter().map(ToString::to_string).collect(),
        }
    }
}
