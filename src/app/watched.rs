//! What is watched: the pairs of the configuration and those that discovery sources have found.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::log;
use crate::config::{PairSettings, Settings};
use crate::metrics::Exposition;
use crate::model::Timestamp;
use crate::monitor::Promotion;
use crate::replication::SavedState;
use crate::topology::{
    Discovered, DiscoveryEvent, ObservedMasters, SourceHealth, SourceId, Topology, TopologyDiff,
    configured_share, owns_discovered, owns_source,
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
        watched.masters = ObservedMasters::from_saved(
            &watched.settings.pairs,
            |server| saved.was_top(server),
            |name, server| saved.was_replica(name, server),
        );
        watched.rebuild();
        for answer in answers {
            watched.handle_discovery(answer, now);
        }
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

    /// Applies the answer of a discovery source's reporter.
    pub(super) fn handle_discovery(
        &mut self,
        event: DiscoveryEvent,
        now: Timestamp,
    ) -> WatchedChange {
        let update = self.discovered.handle(event, now);
        for change in &update.changes {
            log::discovered(update.reporters, change);
        }
        let topology_changed = !update.changes.is_empty() && self.rebuild_and_compare();
        let sources = if update.health_changed {
            Some(self.sources())
        } else {
            None
        };
        WatchedChange {
            topology_changed,
            reporters_changed: update.reporters_changed,
            sources,
        }
    }

    /// The reporters that are to be queried besides the configured ones.
    pub(super) fn learned_reporters(&self) -> BTreeSet<SourceId> {
        self.discovered.learned()
    }

    /// Follows a server that took over from another one. Returns whether that changes the topology.
    pub(super) fn follow(&mut self, promotion: &Promotion) -> bool {
        self.masters
            .follow(&self.entries(), &promotion.pair, &promotion.to);
        let changed = self.rebuild_and_compare();
        if changed {
            log::took_over(promotion);
        }
        changed
    }

    /// How the discovery sources are now. A risk is logged when it is first seen.
    pub(super) fn sources(&mut self) -> Vec<SourceHealth> {
        let sources = self.source_health();
        let mut risks = BTreeSet::new();
        for source in &sources {
            let pair = source.pair();
            for risk in source.risks() {
                let line = format!("{pair}: {risk}");
                if !self.logged_risks.contains(&line) {
                    log::placement_risk(pair, &risk);
                }
                risks.insert(line);
            }
        }
        self.logged_risks = risks;
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
            sources.retain(|source| owns_source(source.pair(), shard));
        }
        sources
    }

    /// Every entry of this exporter's share of the fleet in its configured roles: first the
    /// configuration's entries, then the discovered ones.
    pub(super) fn entries(&self) -> Vec<PairSettings> {
        let mut discovered = self.discovered.entries();
        let mut entries = match self.settings.shard {
            Some(shard) => {
                discovered.retain(|entry| owns_discovered(entry, shard));
                configured_share(&self.settings.pairs, shard)
            }
            None => self.settings.pairs.clone(),
        };
        entries.append(&mut discovered);
        entries
    }
}
