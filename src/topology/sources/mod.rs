//! Discovery sources: pairs that are found instead of configured.
//!
//! An entry of the configuration may name processes that know the servers instead of the servers
//! themselves. These are the source's *reporters*; the room `discovery` queries each of them, and
//! what a reporter answers is its *view*. The kinds of sources are Sentinel, Redis Cluster, and DNS
//! names, where the servers themselves report. Each kind implements `SourceKind`: a pure function
//! from the latest views to the masters and replicas that are to be watched, including what "the
//! reporters agree" means for it. [`Discovered`] turns the result into entries like those of the
//! configuration.
//!
//! Reporters come and go, so a silent one changes nothing: what is known stays until the reporters
//! that answer have reported otherwise for a while.
//!
//! Pair files have no reporters: they list whole pairs, and `files` merges them.

mod cluster;
mod entry;
mod files;
mod health;
mod names;
mod sentinel;
mod vote;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cluster::ClusterSource;
use entry::SourceEntry;
use files::FileSource;
use names::NamesSource;
use sentinel::SentinelSource;

pub use cluster::{ClusterGroup, ClusterNodeState, ClusterView, Dissent, ShardHarm, ShardRisk};
pub use entry::DiscoveryUpdate;
pub use files::{FileFailure, FileFault, FileOutcome, FilesGroup, FilesReport, PairFileState};
pub use health::{SourceHealth, SourceSubject};
pub use names::{MAX_ADDRESSES, NameEvent, NamesGroup, ResolvedName, RoleView};
pub use sentinel::{
    MasterView, PlacementHarm, PlacementRisk, SentinelGroup, SentinelState, SentinelView,
    placement_risks,
};

use crate::config::{
    ClusterSettings, DatacenterRule, DnsSettings, PairSettings, SentinelSettings, ServerSettings,
    Settings,
};
use crate::model::{PairName, PollFailure, ServerAddr, Timestamp};

/// What a source has to say.
#[derive(Clone, Debug)]
pub enum DiscoveryEvent {
    /// The answer of one reporter, or why there is none.
    Reporter {
        /// The reporter that was queried.
        source: SourceId,
        /// What it knows.
        result: Result<View, PollFailure>,
    },
    /// What one DNS name resolves to.
    Name(NameEvent),
    /// What the pair files say.
    Files(FilesReport),
}

/// One reporter of one entry. Two entries may name the same process: it is queried for each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId {
    /// The entry of the configuration on whose behalf the reporter is queried.
    pub entry: PairName,
    /// Where the reporter listens.
    pub reporter: ServerAddr,
}

impl SourceId {
    /// Not behind any reporter of `entry`, and behind those of all entries before it.
    pub fn first_of(entry: &PairName) -> Self {
        Self {
            entry: entry.clone(),
            reporter: ServerAddr::new("", 0),
        }
    }
}

/// What a reporter knows, by the kind of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The view of a Sentinel.
    Sentinel(SentinelView),
    /// The view of a node of a cluster.
    Cluster(ClusterView),
    /// What a server that a DNS name resolves to says about itself.
    Role(RoleView),
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
    /// The pair files list other pairs, or the same ones with other settings.
    Entries {
        /// How many entries are new.
        added: usize,
        /// How many are gone.
        removed: usize,
        /// How many have other servers or settings.
        changed: usize,
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
    files: FileSource,
    rules: Vec<DatacenterRule>,
}

/// The source behind one entry of the configuration.
#[derive(Clone, Debug)]
enum Source {
    Sentinel(SourceEntry<SentinelSource>),
    Cluster(SourceEntry<ClusterSource>),
    Names(SourceEntry<NamesSource>),
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
        for entry in &settings.discovery.dns {
            let known = old.remove(&entry.name);
            let source = Source::from_names(entry, known);
            self.sources.insert(entry.name.clone(), source);
        }
        self.files.reconfigure(settings);
    }

    /// Applies what a source says. Answers of reporters and names that are no longer configured are
    /// ignored.
    pub fn handle(&mut self, event: DiscoveryEvent, now: Timestamp) -> DiscoveryUpdate {
        match event {
            DiscoveryEvent::Reporter { source, result } => {
                let SourceId { entry, reporter } = source;
                match self.sources.get_mut(&entry) {
                    Some(source) => source.handle(&reporter, result, now),
                    None => DiscoveryUpdate::default(),
                }
            }
            DiscoveryEvent::Name(event) => match self.sources.get_mut(&event.entry) {
                Some(Source::Names(source)) => source.note(
                    |kind, now| kind.resolved(&event.name, event.result, now),
                    now,
                ),
                _ => DiscoveryUpdate::default(),
            },
            DiscoveryEvent::Files(report) => self.files.handle(report),
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
        let mut entries = self.files.entries().to_vec();
        entries.extend(self.source_entries());
        entries
    }

    /// Those that have their roles from a source: all but those of pair files.
    pub fn source_entries(&self) -> Vec<PairSettings> {
        self.sources.values().flat_map(Source::entries).collect()
    }

    /// The entries of pair files: like those of the configuration, in roles that someone wrote
    /// down.
    pub fn file_entries(&self) -> &[PairSettings] {
        self.files.entries()
    }

    /// How the pair files are.
    pub fn files(&self) -> FilesGroup {
        self.files.group()
    }

    /// How the sources are, by the name of their entry.
    pub fn health(&self) -> Vec<SourceHealth> {
        let mut health = Vec::new();
        for source in self.sources.values() {
            source.collect_health(&self.rules, &mut health);
        }
        if !self.files.is_empty() {
            health.push(SourceHealth::Files(self.files.group()));
        }
        health
    }
}

impl Source {
    fn from_sentinels(settings: &SentinelSettings, known: Option<Self>) -> Self {
        let mut source = match known {
            Some(Self::Sentinel(source)) => source,
            _ => SourceEntry::new(SentinelSource::new(settings)),
        };
        source.kind.reconfigure(settings);
        source.set_reporters(addresses(&settings.sentinels));
        Self::Sentinel(source)
    }

    fn from_cluster(settings: &ClusterSettings, known: Option<Self>) -> Self {
        let mut source = match known {
            Some(Self::Cluster(source)) => source,
            _ => SourceEntry::new(ClusterSource::new(settings)),
        };
        source.kind.reconfigure(settings);
        source.set_reporters(addresses(&settings.nodes));
        Self::Cluster(source)
    }

    fn from_names(settings: &DnsSettings, known: Option<Self>) -> Self {
        let mut source = match known {
            Some(Self::Names(source)) => source,
            _ => SourceEntry::new(NamesSource::new(settings)),
        };
        source.kind.reconfigure(settings);
        source.set_reporters(BTreeSet::new());
        Self::Names(source)
    }

    /// Applies the answer of a reporter. A view of another kind, which an entry that has changed
    /// its kind may still get, changes nothing.
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
            (Self::Names(source), Ok(View::Role(view))) => source.handle(reporter, Ok(view), now),
            (Self::Names(source), Err(failure)) => source.handle(reporter, Err(failure), now),
            (Self::Sentinel(_) | Self::Cluster(_) | Self::Names(_), Ok(_)) => {
                DiscoveryUpdate::default()
            }
        }
    }

    fn entries(&self) -> Vec<PairSettings> {
        match self {
            Self::Sentinel(source) => source.entries(),
            Self::Cluster(source) => source.entries(),
            Self::Names(source) => source.entries(),
        }
    }

    fn learned(&self) -> Vec<&ServerAddr> {
        match self {
            Self::Sentinel(source) => source.learned().collect(),
            Self::Cluster(source) => source.learned().collect(),
            Self::Names(source) => source.learned().collect(),
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
            Self::Names(source) => health.push(SourceHealth::Names(names::group(source))),
        }
    }
}

fn addresses(reporters: &[ServerSettings]) -> BTreeSet<ServerAddr> {
    reporters.iter().map(|server| server.addr.clone()).collect()
}
