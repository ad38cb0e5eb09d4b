//! What is watched: what the configuration names, and what Sentinels have found.

use std::collections::BTreeSet;

use super::log;
use crate::config::{PairSettings, Settings};
use crate::model::Timestamp;
use crate::monitor::Promotion;
use crate::replication::SavedState;
use crate::topology::{Discovered, Masters, SentinelEvent, SentinelGroup, Topology, TopologyDiff};

/// The configuration, what was discovered, who was seen to take over, and the topology that they
/// make.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) settings: Settings,
    pub(super) topology: Topology,
    discovered: Discovered,
    masters: Masters,
    /// What has been warned of, so that the log says it once.
    warned: BTreeSet<String>,
}

/// What a Sentinel's answer changes.
pub(super) struct Heard {
    /// The new topology is in force.
    pub(super) topology_changed: bool,
    /// The Sentinels as they are now, where anything about them changed.
    pub(super) sentinels: Option<Vec<SentinelGroup>>,
}

impl Watched {
    /// What `settings` name; nothing is discovered yet.
    fn new(settings: Settings) -> Self {
        let topology = Topology::from_settings(&settings);
        let discovered = Discovered::new(&settings);
        Self {
            settings,
            topology,
            discovered,
            masters: Masters::default(),
            warned: BTreeSet::new(),
        }
    }

    /// What `settings` name in the directions that were `kept`, and what these first answers of
    /// Sentinels tell, who know the directions of what they name.
    pub(super) fn discover(
        settings: Settings,
        kept: &SavedState,
        answers: Vec<SentinelEvent>,
        now: Timestamp,
    ) -> Self {
        let mut watched = Self::new(settings);
        watched.masters = Masters::remembered(
            &watched.settings.pairs,
            |server| kept.was_top(server),
            |name, server| kept.was_replica(name, server),
        );
        watched.rebuild();
        for answer in answers {
            watched.hear(answer, now);
        }
        watched
    }

    /// Goes over to other settings, and returns what that changes. What Sentinels told stays.
    pub(super) fn reconfigure(&mut self, settings: Settings) -> TopologyDiff {
        self.discovered.reconfigure(&settings);
        self.settings = settings;
        self.rebuild()
    }

    /// Takes in what a Sentinel answered.
    pub(super) fn hear(&mut self, event: SentinelEvent, now: Timestamp) -> Heard {
        let heard = self.discovered.handle(event, now);
        heard.changes.iter().for_each(log::discovered);
        let topology_changed = !heard.changes.is_empty() && {
            let before = self.topology.clone();
            self.rebuild();
            self.topology != before
        };
        Heard {
            topology_changed,
            sentinels: heard.is_news.then(|| self.sentinels()),
        }
    }

    /// Follows a server that took over from another one; whether that changes anything.
    pub(super) fn follow(&mut self, promotion: &Promotion) -> bool {
        self.masters
            .follow(&self.entries(), &promotion.pair, &promotion.to);
        let before = self.topology.clone();
        self.rebuild();
        let changed = self.topology != before;
        if changed {
            log::took_over(promotion);
        }
        changed
    }

    /// The Sentinels as they are now. A risk is logged when it is first seen.
    pub(super) fn sentinels(&mut self) -> Vec<SentinelGroup> {
        let groups = self.discovered.groups();
        let risks = groups.iter().flat_map(|group| {
            group
                .risks
                .iter()
                .map(move |risk| (&group.pair, risk.to_string()))
        });
        let risks: Vec<_> = risks.collect();
        self.warned.retain(|known| {
            risks
                .iter()
                .any(|(pair, risk)| *known == format!("{pair}: {risk}"))
        });
        for (pair, risk) in risks {
            if self.warned.insert(format!("{pair}: {risk}")) {
                log::placement_risk(pair, &risk);
            }
        }
        groups
    }

    fn rebuild(&mut self) -> TopologyDiff {
        let entries = self.entries();
        self.masters.retain_told(&entries);
        let topology = Topology::observed(&entries, &self.settings.datacenters, &self.masters);
        let diff = TopologyDiff::between(&self.topology, &topology);
        self.topology = topology;
        diff
    }

    fn entries(&self) -> Vec<PairSettings> {
        self.settings
            .pairs
            .iter()
            .cloned()
            .chain(self.discovered.entries())
            .collect()
    }
}
