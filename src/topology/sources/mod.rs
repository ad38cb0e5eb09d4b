//! Discovery sources: pairs that are found instead of configured.
//!
//! An entry of the configuration may name processes that know the servers instead of the servers
//! themselves. These are the source's *reporters*; the room `discovery` queries each of them, and
//! what a reporter answers is its *view*. The kinds of sources are Sentinel and Redis Cluster. Each
//! kind implements `SourceKind`: a pure function from the latest views to the masters and replicas
//! that are to be watched, including what "the reporters agree" means for it. [`Discovered`] turns
//! the result into entries like those of the configuration.
//!
//! Reporters come and go, so a silent one changes nothing: what is known stays until the reporters
//! that answer have reported otherwise for a while.

mod cluster;
mod entry;
mod health;
mod sentinel;
mod vote;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cluster::ClusterSource;
use entry::SourceEntry;
use sentinel::SentinelSource;

pub use cluster::{ClusterGroup, ClusterNodeState, ClusterView, Dissent, ShardHarm, ShardRisk};
pub use entry::DiscoveryUpdate;
pub use health::SourceHealth;
pub use sentinel::{
    MasterView, PlacementHarm, PlacementRisk, SentinelGroup, SentinelState, SentinelView,
    placement_risks,
};

use crate::config::{
    ClusterSettings, DatacenterRule, PairSettings, SentinelSettings, ServerSettings, Settings,
};
use crate::model::{PairName, PollFailure, ServerAddr, Timestamp};

/// The answer of one reporter, or why there is none.
#[derive(Clone, Debug)]
pub struct DiscoveryEvent {
    /// The reporter that was queried.
    pub source: SourceId,
    /// What it knows.
    pub result: Result<View, PollFailure>,
}

/// One reporter of one entry. Two entries may name the same process: it is queried for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId {
    /// The entry of the configuration on whose behalf the reporter is queried.
    pub entry: PairName,
    /// Where the reporter listens.
    pub reporter: ServerAddr,
}

/// What a reporter knows, by the kind of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The view of a Sentinel.
    Sentinel(SentinelView),
    /// The view of a node of a cluster.
    Cluster(ClusterView),
}

/// How the masters of a source changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryChange {
    /// A master was found.
    Found {
        /// The name of its pairs.
        pair: PairName,
        /// Where it listens.
        master: ServerAddr,
    },
    /// The reporters name another master: a failover.
    Switched {
        /// The name of its pairs.
        pair: PairName,
        /// The master before.
        from: ServerAddr,
        /// The master now.
        to: ServerAddr,
    },
    /// Replicas came or went.
    Replicas {
        /// The name of the pairs.
        pair: PairName,
    },
    /// A shard serves other slots.
    Labels {
        /// The name of its pairs.
        pair: PairName,
    },
    /// The same shard has another name. Never happens in sources without shards.
    Renamed {
        /// The name of its pairs before.
        from: PairName,
        /// The name now.
        to: PairName,
    },
    /// No reporter that answers knows the master any more.
    Gone {
        /// The name of its pairs.
        pair: PairName,
    },
}

/// What all sources have reported.
#[derive(Clone, Debug, Default)]
pub struct Discovered {
    sources: BTreeMap<PairName, Source>,
    rules: Vec<DatacenterRule>,
}

/// The source behind one entry of the configuration.
#[derive(Clone, Debug)]
enum Source {
    Sentinel(SourceEntry<SentinelSource>),
    Cluster(SourceEntry<ClusterSource>),
}

impl Discovered {
    /// The sources of `settings`, with nothing reported yet.
    pub fn new(settings: &Settings) -> Self {
        let mut discovered = Self::default();
        discovered.reconfigure(settings);
        discovered
    }

    /// Replaces the settings. Entries that stay keep what was reported.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.rules.clone_from(&settings.datacenters);
        let mut old = std::mem::take(&mut self.sources);
        for entry in &settings.sentinels {
            let known = old.remove(&entry.name);
            let source = Source::from_sentinels(entry, known);
            self.sources.insert(entry.name.clone(), source);
        }
        for entry in &settings.clusters {
            let known = old.remove(&entry.name);
            let source = Source::from_cluster(entry, known);
            self.sources.insert(entry.name.clone(), source);
        }
    }

    /// Applies the answer of a reporter. Answers of reporters that are no longer configured are
    /// ignored.
    pub fn handle(&mut self, event: DiscoveryEvent, now: Timestamp) -> DiscoveryUpdate {
        let SourceId { entry, reporter } = event.source;
        match self.sources.get_mut(&entry) {
            Some(source) => source.handle(&reporter, event.result, now),
            None => DiscoveryUpdate::default(),
        }
    }

    /// The reporters that are to be queried besides the configured ones.
    pub fn learned(&self) -> BTreeSet<SourceId> {
        let mut learned = BTreeSet::new();
        for (entry, source) in &self.sources {
            for reporter in source.learned() {
                learned.insert(SourceId {
                    entry: entry.clone(),
                    reporter: reporter.clone(),
                });
            }
        }
        learned
    }

    /// What is to be watched: an entry for each master that has replicas.
    pub fn entries(&self) -> Vec<PairSettings> {
        self.sources.values().flat_map(Source::entries).collect()
    }

    /// How the sources are, by the name of their entry.
    pub fn health(&self) -> Vec<SourceHealth> {
        let mut health = Vec::new();
        for source in self.sources.values() {
            source.collect_health(&self.rules, &mut health);
        }
        health
    }
}

impl Source {
    fn from_sentinels(settings: &SentinelSettings, known: Option<Self>) -> Self {
        let mut source = match known {
            Some(Self::Sentinel(source)) => source,
            Some(Self::Cluster(_)) | None => SourceEntry::new(SentinelSource::new(settings)),
        };
        source.kind.reconfigure(settings);
        source.set_reporters(addresses(&settings.sentinels));
        Self::Sentinel(source)
    }

    fn from_cluster(settings: &ClusterSettings, known: Option<Self>) -> Self {
        let mut source = match known {
            Some(Self::Cluster(source)) => source,
            Some(Self::Sentinel(_)) | None => SourceEntry::new(ClusterSource::new(settings)),
        };
        source.kind.reconfigure(settings);
        source.set_reporters(addresses(&settings.nodes));
        Self::Cluster(source)
    }

    /// Applies the answer of a reporter. A view of another kind, which an entry that has changed its
    /// kind may still get, changes nothing.
    fn handle(
        &mut self,
        reporter: &ServerAddr,
        result: Result<View, PollFailure>,
        now: Timestamp,
    ) -> DiscoveryUpdate {
        match (self, result) {
            (Self::Sentinel(source), Ok(View::Sentinel(view))) => {
                source.handle(reporter, Ok(view), now)
            }
            (Self::Sentinel(source), Err(failure)) => source.handle(reporter, Err(failure), now),
            (Self::Cluster(source), Ok(View::Cluster(view))) => {
                source.handle(reporter, Ok(view), now)
            }
            (Self::Cluster(source), Err(failure)) => source.handle(reporter, Err(failure), now),
            (Self::Sentinel(_), Ok(View::Cluster(_)))
            | (Self::Cluster(_), Ok(View::Sentinel(_))) => DiscoveryUpdate::default(),
        }
    }

    fn entries(&self) -> Vec<PairSettings> {
        match self {
            Self::Sentinel(source) => source.entries(),
            Self::Cluster(source) => source.entries(),
        }
    }

    fn learned(&self) -> Vec<&ServerAddr> {
        match self {
            Self::Sentinel(source) => source.learned().collect(),
            Self::Cluster(source) => source.learned().collect(),
        }
    }

    fn collect_health(&self, rules: &[DatacenterRule], health: &mut Vec<SourceHealth>) {
        match self {
            Self::Sentinel(source) => {
                let groups = sentinel::groups(source, rules);
                health.extend(groups.into_iter().map(SourceHealth::Sentinels));
            }
            Self::Cluster(source) => {
                health.push(SourceHealth::Cluster(cluster::group(source, rules)));
            }
        }
    }
}

fn addresses(reporters: &[ServerSettings]) -> BTreeSet<ServerAddr> {
    reporters.iter().map(|server| server.addr.clone()).collect()
}
