//! What is watched: the pairs of the configuration and those that discovery sources have found.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use super::log;
use crate::config::{PairSettings, Settings};
use crate::metrics::Exposition;
use crate::model::Timestamp;
use crate::monitor::Promotion;
use crate::replication::SavedState;
use crate::topology::{
    Discovered, DiscoveryEvent, DiscoveryUpdate, ObservedMasters, SourceHealth, SourceId,
    SourceSubject, Topology, TopologyDiff, configured_share, owns_discovered, owns_source,
};

/// The configuration, the discovered entries, the observed masters, and the topology that they
/// make.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) settings: Settings,
    pub(super) topology: Topology,
    discovered: Discovered,
    masters: ObservedMasters,
    /// The risks that were logged, so that each is logged once.
    logged_risks: BTreeSet<String>,
    /// The faults of pair files and DNS names that were logged.
    logged_troubles: BTreeMap<SourceSubject, String>,
    /// What scrapes show.
    exposition: watch::Sender<Exposition>,
}

/// What the answer of a discovery source's reporter changes.
pub(super) struct WatchedChange {
    /// Whether the topology has changed.
    pub(super) topology_changed: bool,
    /// Whether other reporters are to be queried from now on.
    pub(super) reporters_changed: bool,
    /// How the sources are now, if anything about them changed.
    pub(super) sources: Option<Vec<SourceHealth>>,
}

impl Watched {
    /// The pairs of `settings`, with nothing discovered yet.
    fn new(settings: Settings) -> Self {
        let discovered = Discovered::new(&settings);
        let (exposition, _) = watch::channel(Exposition::new(&settings));
        let mut watched = Self {
            settings,
            topology: Topology::default(),
            discovered,
            masters: ObservedMasters::default(),
            logged_risks: BTreeSet::new(),
            logged_troubles: BTreeMap::new(),
            exposition,
        };
        watched.rebuild();
        watched
    }

    /// The pairs of `settings` in the roles that were `saved`, and those that the first answers of
    /// the discovery sources add, which contain the roles.
    pub(super) fn discover(
        settings: Settings,
        saved: &SavedState,
        answers: Vec<DiscoveryEvent>,
        now: Timestamp,
    ) -> Self {
        let mut watched = Self::new(settings);
        for answer in answers {
            watched.note(answer, now);
        }
        watched.masters = ObservedMasters::from_saved(
            &watched.written(),
            |server| saved.was_top(server),
            |name, server| saved.was_replica(name, server),
        );
        watched.rebuild();
        watched
    }

    /// What scrapes show; follows the settings.
    pub(super) fn exposition(&self) -> watch::Receiver<Exposition> {
        self.exposition.subscribe()
    }

    /// Applies other settings, and returns what that changes. Discovered entries stay.
    pub(super) fn reconfigure(&mut self, settings: Settings) -> TopologyDiff {
        self.discovered.reconfigure(&settings);
        self.exposition.send_replace(Exposition::new(&settings));
        self.settings = settings;
        self.rebuild()
    }

    /// Applies what discovery sources say, one after the other, and builds the topology once.
    pub(super) fn handle_discoveries(
        &mut self,
        events: impl IntoIterator<Item = DiscoveryEvent>,
        now: Timestamp,
    ) -> WatchedChange {
        let mut has_changes = false;
        let mut health_changed = false;
        let mut reporters_changed = false;
        for event in events {
            let update = self.note(event, now);
            has_changes |= !update.changes.is_empty();
            health_changed |= update.health_changed;
            reporters_changed |= update.reporters_changed;
        }
        WatchedChange {
            topology_changed: has_changes && self.rebuild_and_compare(),
            reporters_changed,
            sources: health_changed.then(|| self.sources()),
        }
    }

    /// Notes what a discovery source says, and logs what it changes.
    fn note(&mut self, event: DiscoveryEvent, now: Timestamp) -> DiscoveryUpdate {
        let update = self.discovered.handle(event, now);
        for change in &update.changes {
            log::discovered(update.reporters, change);
        }
        update
    }

    /// The reporters that are to be queried besides the configured ones.
    pub(super) fn learned_reporters(&self) -> BTreeSet<SourceId> {
        self.discovered.learned()
    }

    /// Follows servers that took over from others. Returns whether that changes the topology.
    pub(super) fn follow(&mut self, promotions: &[Promotion]) -> bool {
        if promotions.is_empty() {
            return false;
        }
        let before = self.masters.clone();
        let taken = promotions.iter().map(|taken| (&taken.pair, &taken.to));
        self.masters.follow(&self.entries(), taken);
        for promotion in promotions {
            if self.masters.differs_in(&before, &promotion.pair) {
                log::took_over(promotion);
            }
        }
        self.rebuild_and_compare()
    }

    /// How the discovery sources are now. A risk is logged when it is first seen.
    pub(super) fn sources(&mut self) -> Vec<SourceHealth> {
        let sources = self.source_health();
        let mut risks = BTreeSet::new();
        for source in &sources {
            if let Some(pair) = source.pair() {
                for risk in source.risks() {
                    let line = format!("{pair}: {risk}");
                    if !self.logged_risks.contains(&line) {
                        log::placement_risk(pair, &risk);
                    }
                    risks.insert(line);
                }
            }
        }
        self.logged_risks = risks;
        self.logged_troubles = log::source_troubles(&sources, &self.logged_troubles);
        sources
    }

    /// Builds the topology again. Returns whether it has changed.
    fn rebuild_and_compare(&mut self) -> bool {
        let before = self.topology.clone();
        self.rebuild();
        self.topology != before
    }

    fn rebuild(&mut self) -> TopologyDiff {
        let entries = self.entries();
        self.masters.retain_current(&entries);
        let topology = Topology::observed(&entries, &self.settings.datacenters, &self.masters);
        let diff = TopologyDiff::between(&self.topology, &topology);
        self.topology = topology;
        diff
    }

    /// How the discovery sources of this exporter's share of the fleet are now.
    pub(super) fn source_health(&self) -> Vec<SourceHealth> {
        let mut sources = self.discovered.health();
        if let Some(shard) = self.settings.shard {
            // Every exporter of the fleet reads all pair files.
            sources.retain(|source| source.pair().is_none_or(|pair| owns_source(pair, shard)));
        }
        sources
    }

    /// The entries whose roles somebody has written down, in the configuration and then in pair
    /// files; the others have them from their sources.
    fn written(&self) -> Vec<PairSettings> {
        let mut entries = self.settings.pairs.clone();
        entries.extend_from_slice(self.discovered.file_entries());
        entries
    }

    /// Every entry of this exporter's share of the fleet in its configured roles: first the
    /// configuration's entries, then the discovered ones.
    pub(super) fn entries(&self) -> Vec<PairSettings> {
        let mut entries = self.written();
        let mut discovered = self.discovered.source_entries();
        if let Some(shard) = self.settings.shard {
            discovered.retain(|entry| owns_discovered(entry, shard));
            entries = configured_share(&entries, shard);
        }
        entries.append(&mut discovered);
        entries
    }
}
