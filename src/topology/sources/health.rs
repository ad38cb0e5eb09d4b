//! The health of a discovery source, as far as all kinds have it in common.

use std::path::PathBuf;

use super::cluster::ClusterGroup;
use super::files::FilesGroup;
use super::names::NamesGroup;
use super::sentinel::SentinelGroup;
use crate::model::PairName;

/// How one source is, by its kind. A source with several masters has one for each.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceHealth {
    /// The Sentinels that watch one master.
    Sentinels(SentinelGroup),
    /// A Redis Cluster.
    Cluster(ClusterGroup),
    /// The DNS names of one pair's servers.
    Names(NamesGroup),
    /// All pair files.
    Files(FilesGroup),
}

/// What a sentence about a source is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceSubject {
    /// A pair file.
    File(PathBuf),
    /// One of the DNS names of a pair's servers.
    Name {
        /// The pair.
        pair: PairName,
        /// The name.
        name: String,
    },
    /// All DNS names of a pair's servers.
    Pair(PairName),
}

impl SourceHealth {
    /// The name of the pairs that this is about; the entry's name while no master is known, and of
    /// a source that is one for all its masters. `None` for the pair files, which are about many.
    pub const fn pair(&self) -> Option<&PairName> {
        match self {
            Self::Sentinels(group) => Some(&group.pair),
            Self::Cluster(group) => Some(&group.name),
            Self::Names(group) => Some(&group.pair),
            Self::Files(_) => None,
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
            Self::Names(group) => {
                let mut names = group.names.iter();
                names.all(|name| name.is_ok.is_some())
            }
            Self::Files(group) => group.was_read,
        }
    }

    /// Risks in how the source is set up, one sentence each.
    pub fn risks(&self) -> Vec<String> {
        match self {
            Self::Sentinels(group) => group.risks.iter().map(ToString::to_string).collect(),
            Self::Cluster(group) => group.risks.iter().map(ToString::to_string).collect(),
            Self::Names(_) | Self::Files(_) => Vec::new(),
        }
    }

    /// What is wrong with pair files and DNS names, a sentence each. Empty for the sources that
    /// have alerts.
    pub fn troubles(&self) -> Vec<(SourceSubject, String)> {
        let mut troubles = Vec::new();
        match self {
            Self::Sentinels(_) | Self::Cluster(_) => {}
            Self::Names(group) => {
                for name in &group.names {
                    if let Some(trouble) = name.trouble() {
                        let subject = SourceSubject::Name {
                            pair: group.pair.clone(),
                            name: name.name.clone(),
                        };
                        troubles.push((subject, trouble));
                    }
                }
                if let Some(trouble) = group.trouble() {
                    let subject = SourceSubject::Pair(group.pair.clone());
                    troubles.push((subject, trouble.to_owned()));
                }
            }
            Self::Files(group) => {
                for file in &group.files {
                    if let Some(trouble) = file.trouble() {
                        troubles.push((SourceSubject::File(file.path.clone()), trouble));
                    }
                }
            }
        }
        troubles
    }
}
