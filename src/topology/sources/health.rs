//! The health of a discovery source, as far as all kinds have it in common.

use super::sentinel::SentinelGroup;
use crate::model::PairName;

/// How one source is, by its kind. A source with several masters has one for each.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceHealth {
    /// The Sentinels that watch one master.
    Sentinels(SentinelGroup),
}

impl SourceHealth {
    /// The name of the pairs that this is about; the entry's name while no master is known.
    pub const fn pair(&self) -> &PairName {
        match self {
            Self::Sentinels(group) => &group.pair,
        }
    }

    /// Whether every reporter has answered once, or failed to.
    pub fn was_queried(&self) -> bool {
        match self {
            Self::Sentinels(group) => {
                let mut sentinels = group.sentinels.iter();
                sentinels.all(|sentinel| sentinel.answer.is_some())
            }
        }
    }

    /// Risks in how the source is set up, one sentence each.
    pub fn risks(&self) -> Vec<String> {
        match self {
            Self::Sentinels(group) => group.risks.iter().map(ToString::to_string).collect(),
        }
    }
}
