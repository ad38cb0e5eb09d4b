//! One source of any kind: the latest answer of each reporter, and the entries that follow from
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::DiscoveryChange;
use crate::config::{AlertSettings, ConnectionSettings, HeartbeatSettings, PairSettings};
use crate::model::{PairName, PollFailure, ServerAddr, ShardId, Timestamp};

/// What distinguishes one kind of source from another. Pure: time is an argument.
pub(super) trait SourceKind: Clone + Debug {
    /// What one reporter answers.
    type View: Clone + Debug + PartialEq;

    /// How log lines refer to the reporters.
    const REPORTERS: &'static str;

    /// Derives the masters from the latest views of all reporters that answer.
    fn update(&mut self, views: &BTreeMap<&ServerAddr, &Self::View>, now: Timestamp);

    /// Whether the masters stay as they are, however much time passes, until a view changes.
    fn is_settled(&self) -> bool;

    /// Reporters that are asked besides the `configured` ones, because the views name them.
    fn learned_reporters(&self, configured: &BTreeSet<ServerAddr>) -> BTreeSet<ServerAddr> {
        let _ = configured;
        BTreeSet::new()
    }

    /// Forgets who reported what, except for these reporters.
    fn retain_reporters(&mut self, reporters: &BTreeSet<ServerAddr>);

    /// The masters that are to be watched.
    fn masters(&self) -> Vec<DiscoveredMaster>;

    /// What the configuration says about every pair of the source.
    fn defaults(&self) -> EntryDefaults<'_>;
}

/// A master and its replicas, as a source reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiscoveredMaster {
    /// The name of its pairs, unique in the fleet.
    pub(super) pair: PairName,
    /// Identifies the master if its name may change. `None` where the name identifies it.
    pub(super) shard: Option<ShardId>,
    pub(super) addr: ServerAddr,
    /// Without the master. May be empty: then there is nothing to watch yet.
    pub(super) replicas: BTreeSet<ServerAddr>,
    /// Labels that only the source can give, beside those of the configuration.
    pub(super) labels: BTreeMap<String, String>,
}

/// What the configuration of a source says about each of its pairs.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryDefaults<'a> {
    pub(super) connection: &'a ConnectionSettings,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) alerts: &'a AlertSettings,
    pub(super) heartbeat: HeartbeatSettings,
}

/// What the answer of a reporter changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryUpdate {
    /// What it changes in what is to be watched.
    pub changes: Vec<DiscoveryChange>,
    /// Whether the source's health may have changed: the answer differs from the reporter's last
    /// one.
    pub health_changed: bool,
    /// Whether other reporters are to be asked from now on.
    pub reporters_changed: bool,
    /// How log lines refer to the reporters, such as "the Sentinels".
    pub reporters: &'static str,
}

/// The answer of one reporter; `None` before the first.
pub(super) type Answer<V> = Option<Result<V, PollFailure>>;

/// One source of the configuration.
#[derive(Clone, Debug)]
pub(super) struct SourceEntry<K: SourceKind> {
    pub(super) kind: K,
    /// The reporters that the configuration names.
    configured: BTreeSet<ServerAddr>,
    /// The latest answer of each reporter, configured or learned.
    answers: BTreeMap<ServerAddr, Answer<K::View>>,
}

impl<K: SourceKind> SourceEntry<K> {
    /// A source without reporters.
    pub(super) fn new(kind: K) -> Self {
        Self {
            kind,
            configured: BTreeSet::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Replaces the configured reporters. Those that stay keep their latest answer.
    pub(super) fn set_reporters(&mut self, configured: BTreeSet<ServerAddr>) {
        self.configured = configured;
        self.adopt_reporters();
    }

    /// Asks the configured reporters and those that were learned, and nobody else. Returns whether
    /// that changes who is asked.
    fn adopt_reporters(&mut self) -> bool {
        let mut reporters = self.kind.learned_reporters(&self.configured);
        reporters.extend(self.configured.iter().cloned());
        if reporters.iter().eq(self.answers.keys()) {
            return false;
        }
        self.kind.retain_reporters(&reporters);
        let mut old = std::mem::take(&mut self.answers);
        for reporter in reporters {
            let answer = old.remove(&reporter).flatten();
            self.answers.insert(reporter, answer);
        }
        true
    }

    /// Whether the configuration names this reporter.
    pub(super) fn is_configured(&self, reporter: &ServerAddr) -> bool {
        self.configured.contains(reporter)
    }

    /// The reporters that the configuration does not name.
    pub(super) fn learned(&self) -> impl Iterator<Item = &ServerAddr> {
        let reporters = self.answers.keys();
        reporters.filter(|reporter| !self.is_configured(reporter))
    }

    /// Applies the answer of `reporter`; that of an unknown one changes nothing.
    pub(super) fn handle(
        &mut self,
        reporter: &ServerAddr,
        result: Result<K::View, PollFailure>,
        now: Timestamp,
    ) -> DiscoveryUpdate {
        let Some(answer) = self.answers.get_mut(reporter) else {
            return DiscoveryUpdate::default();
        };
        let is_new = answer.as_ref() != Some(&result);
        *answer = Some(result);
        // Most answers repeat the one before, and a fleet may have a thousand masters.
        if !is_new && self.kind.is_settled() {
            return DiscoveryUpdate::default();
        }
        let before = self.kind.masters();
        self.update(now);
        let changes = changes(&before, &self.kind.masters());
        let reporters_changed = self.adopt_reporters();
        DiscoveryUpdate {
            health_changed: is_new || reporters_changed || !changes.is_empty(),
            reporters_changed,
            changes,
            reporters: K::REPORTERS,
        }
    }

    /// Applies what changes the source past its reporters; `change` returns whether anything is
    /// new.
    pub(super) fn note(
        &mut self,
        change: impl FnOnce(&mut K, Timestamp) -> bool,
        now: Timestamp,
    ) -> DiscoveryUpdate {
        let before = self.kind.masters();
        let is_new = change(&mut self.kind, now);
        let reporters_changed = self.adopt_reporters();
        self.update(now);
        let changes = changes(&before, &self.kind.masters());
        DiscoveryUpdate {
            health_changed: is_new || reporters_changed || !changes.is_empty(),
            reporters_changed,
            changes,
            reporters: K::REPORTERS,
        }
    }

    fn update(&mut self, now: Timestamp) {
        let mut views = BTreeMap::new();
        for (reporter, answer) in &self.answers {
            if let Some(Ok(view)) = answer {
                views.insert(reporter, view);
            }
        }
        self.kind.update(&views, now);
    }

    /// The reporters with their latest answers, by address.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&ServerAddr, &Answer<K::View>)> {
        self.answers.iter()
    }

    /// The latest views of the reporters that answer, by address.
    pub(super) fn views(&self) -> impl Iterator<Item = (&ServerAddr, &K::View)> {
        self.answers.iter().filter_map(|(reporter, answer)| {
            let view = answer.as_ref()?.as_ref().ok()?;
            Some((reporter, view))
        })
    }

    /// An entry for each master that has replicas. A master without replicas replicates to nobody:
    /// there is nothing to compare it with.
    pub(super) fn entries(&self) -> Vec<PairSettings> {
        let mut masters = self.kind.masters();
        masters.retain(|master| !master.replicas.is_empty());
        let defaults = self.kind.defaults();
        let entries = masters.into_iter().map(|master| defaults.entry(master));
        entries.collect()
    }
}

impl EntryDefaults<'_> {
    fn entry(&self, master: DiscoveredMaster) -> PairSettings {
        let replicas = master.replicas.into_iter();
        let mut labels = self.labels.clone();
        labels.extend(master.labels);
        PairSettings {
            name: master.pair,
            shard: master.shard,
            master: self.connection.server(master.addr),
            replicas: replicas.map(|addr| self.connection.server(addr)).collect(),
            labels,
            alerts: self.alerts.clone(),
            heartbeat: self.heartbeat,
        }
    }
}

/// What stays the same of a master while everything else about it changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MasterId<'a> {
    Shard(&'a ShardId),
    Name(&'a PairName),
}

impl DiscoveredMaster {
    fn id(&self) -> MasterId<'_> {
        match &self.shard {
            Some(shard) => MasterId::Shard(shard),
            None => MasterId::Name(&self.pair),
        }
    }

    fn found(&self) -> DiscoveryChange {
        DiscoveryChange::Found {
            pair: self.pair.clone(),
            master: self.addr.clone(),
        }
    }

    fn gone(&self) -> DiscoveryChange {
        DiscoveryChange::Gone {
            pair: self.pair.clone(),
        }
    }
}

/// What is different in `after`, sorted by the masters' identities.
fn changes(before: &[DiscoveredMaster], after: &[DiscoveredMaster]) -> Vec<DiscoveryChange> {
    let before: BTreeMap<_, _> = before.iter().map(|master| (master.id(), master)).collect();
    let after: BTreeMap<_, _> = after.iter().map(|master| (master.id(), master)).collect();
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    let mut changes = Vec::new();
    for id in ids {
        match (before.get(&id), after.get(&id)) {
            (Some(old), Some(new)) => changes_of_master(old, new, &mut changes),
            (None, Some(new)) => changes.push(new.found()),
            (Some(old), None) => changes.push(old.gone()),
            (None, None) => {}
        }
    }
    changes
}

fn changes_of_master(
    old: &DiscoveredMaster,
    new: &DiscoveredMaster,
    changes: &mut Vec<DiscoveryChange>,
) {
    let pair = new.pair.clone();
    if old.pair != new.pair {
        changes.push(DiscoveryChange::Renamed {
            from: old.pair.clone(),
            to: pair.clone(),
        });
    }
    if old.addr != new.addr {
        changes.push(DiscoveryChange::Switched {
            pair,
            from: old.addr.clone(),
            to: new.addr.clone(),
        });
    } else if old.replicas != new.replicas {
        changes.push(DiscoveryChange::Replicas { pair });
    } else if old.labels != new.labels && old.pair == new.pair {
        changes.push(DiscoveryChange::Labels { pair });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::model::PollError;
    use crate::topology::{ObservedMasters, Topology};

    /// A second kind of source: its reporters know shards with a lasting ID, and the view of the
    /// first reporter that answers is adopted.
    #[derive(Clone, Debug)]
    struct ShardedSource {
        defaults: PairSettings,
        connection: ConnectionSettings,
        masters: Vec<DiscoveredMaster>,
    }

    impl SourceKind for ShardedSource {
        type View = Vec<DiscoveredMaster>;

        const REPORTERS: &'static str = "the nodes";

        fn update(&mut self, views: &BTreeMap<&ServerAddr, &Self::View>, _: Timestamp) {
            if let Some(view) = views.values().next() {
                self.masters = (*view).clone();
            }
        }

        fn is_settled(&self) -> bool {
            true
        }

        fn retain_reporters(&mut self, _: &BTreeSet<ServerAddr>) {}

        fn masters(&self) -> Vec<DiscoveredMaster> {
            self.masters.clone()
        }

        fn defaults(&self) -> EntryDefaults<'_> {
            EntryDefaults {
                connection: &self.connection,
                labels: &self.defaults.labels,
                alerts: &self.defaults.alerts,
                heartbeat: self.defaults.heartbeat,
            }
        }
    }

    fn addr(host: &str) -> ServerAddr {
        ServerAddr::new(host, 1)
    }

    /// Shards, each as `id=name:master<replica`.
    fn view(shards: &str) -> Vec<DiscoveredMaster> {
        let shard = |text: &str| {
            let (id, rest) = text.split_once('=').unwrap();
            let (name, rest) = rest.split_once(':').unwrap();
            let (master, replica) = rest.split_once('<').unwrap();
            DiscoveredMaster {
                pair: PairName::new(name),
                shard: Some(ShardId::new(id)),
                addr: addr(master),
                replicas: BTreeSet::from([addr(replica)]),
                labels: BTreeMap::new(),
            }
        };
        shards.split(' ').map(shard).collect()
    }

    fn source() -> SourceEntry<ShardedSource> {
        let mut source = SourceEntry::new(ShardedSource {
            defaults: settings_of(&[("any", "any:1", &["any:2"])]).pairs.remove(0),
            connection: ConnectionSettings::default(),
            masters: Vec::new(),
        });
        source.set_reporters([addr("n1"), addr("n2")].into());
        source
    }

    fn report(source: &mut SourceEntry<ShardedSource>, shards: &str) -> Vec<DiscoveryChange> {
        let result = Ok(view(shards));
        let update = source.handle(&addr("n1"), result, Timestamp::default());
        assert!(update.health_changed);
        update.changes
    }

    #[test]
    fn one_entry_has_many_masters_with_their_shards_in_the_pairs_keys() {
        let mut source = source();
        let changes = report(&mut source, "A=c/slot-0:m1<r1 B=c/slot-8192:m2<r2");
        assert_eq!(changes.len(), 2);
        let masters = ObservedMasters::default();
        let topology = Topology::observed(&source.entries(), &[], &masters);
        let mut keys = Vec::new();
        for pair in &topology.pairs {
            let shard = pair.key.shard.as_ref().unwrap();
            keys.push(format!("{} {}", shard.as_str(), pair.key));
        }
        assert_eq!(keys, ["A c/slot-0/r1:1", "B c/slot-8192/r2:1"]);
    }

    #[test]
    fn a_name_that_moves_to_another_shard_is_no_failover() {
        let mut source = source();
        report(&mut source, "A=c/slot-0:m1<r1 B=c/slot-8192:m2<r2");
        let moved = report(&mut source, "A=c/slot-1:m1<r1 B=c/slot-0:m2<r2");
        let renamed = |from: &str, to: &str| DiscoveryChange::Renamed {
            from: PairName::new(from),
            to: PairName::new(to),
        };
        let expected = [
            renamed("c/slot-0", "c/slot-1"),
            renamed("c/slot-8192", "c/slot-0"),
        ];
        assert_eq!(moved, expected);
        let failover = report(&mut source, "A=c/slot-1:r1<m1 B=c/slot-0:m2<r2");
        let expected = DiscoveryChange::Switched {
            pair: PairName::new("c/slot-1"),
            from: addr("m1"),
            to: addr("r1"),
        };
        assert_eq!(failover, [expected]);
    }

    #[test]
    fn a_reporter_that_fails_or_is_unknown_changes_nothing() {
        let mut source = source();
        report(&mut source, "A=c/slot-0:m1<r1");
        let now = Timestamp::default();
        let failed = source.handle(&addr("n1"), Err(PollError::Timeout.into()), now);
        assert!(failed.health_changed && failed.changes.is_empty());
        let stranger = source.handle(&addr("n9"), Ok(Vec::new()), now);
        assert_eq!(stranger, DiscoveryUpdate::default());
        assert_eq!(source.entries().len(), 1);
    }
}
