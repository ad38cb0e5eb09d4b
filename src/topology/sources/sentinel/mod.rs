//! Sentinel as a source: the reporters are Sentinels, and the masters are those that they watch.

mod agreement;
mod group;
mod observation;
mod placement;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agreement::agreements;
use observation::MasterObservation;

pub(super) use group::groups;

pub use agreement::{MasterView, SentinelView};
pub use group::{SentinelGroup, SentinelState};
pub use placement::{PlacementHarm, PlacementRisk, placement_risks};

use super::entry::{DiscoveredMaster, EntryDefaults, SourceKind};
use crate::config::SentinelSettings;
use crate::model::{ServerAddr, Timestamp};

/// The most masters of one entry; a Sentinel that invents names must not fill the memory.
pub(super) const MAX_MASTERS: usize = 5000;

/// What the Sentinels of one entry have reported.
#[derive(Clone, Debug)]
pub(super) struct SentinelSource {
    settings: Arc<SentinelSettings>,
    /// By the name that the Sentinels gave them.
    masters: BTreeMap<String, MasterObservation>,
}

impl SentinelSource {
    pub(super) fn new(settings: &SentinelSettings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            masters: BTreeMap::new(),
        }
    }

    /// Replaces the settings and forgets the masters that they no longer select.
    pub(super) fn reconfigure(&mut self, settings: &SentinelSettings) {
        self.settings = Arc::new(settings.clone());
        self.masters
            .retain(|name, _| settings.masters.matches(name));
    }
}

impl SourceKind for SentinelSource {
    type View = SentinelView;

    const REPORTERS: &'static str = "the Sentinels";

    fn update(&mut self, views: &BTreeMap<&ServerAddr, &SentinelView>, now: Timestamp) {
        if views.is_empty() {
            // Without answers nobody has forgotten anything.
            for master in self.masters.values_mut() {
                master.set_present();
            }
            return;
        }
        let mut agreed = agreements(views);
        agreed.retain(|name, _| self.settings.masters.matches(name));
        self.masters.retain(|name, master| {
            let is_known = agreed.contains_key(name);
            is_known || !master.expires_absent(now)
        });
        for (name, agreement) in &agreed {
            if let Some(master) = self.masters.get_mut(name) {
                master.update(agreement, now);
            } else if self.masters.len() < MAX_MASTERS {
                let master = MasterObservation::new(agreement);
                self.masters.insert(name.clone(), master);
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.masters.values().all(MasterObservation::is_settled)
    }

    fn retain_reporters(&mut self, reporters: &BTreeSet<ServerAddr>) {
        for master in self.masters.values_mut() {
            master.retain_reporters(reporters);
        }
    }

    fn masters(&self) -> Vec<DiscoveredMaster> {
        let mut masters = Vec::with_capacity(self.masters.len());
        for (name, master) in &self.masters {
            if let Some(pair) = self.settings.pair_name(name) {
                masters.push(DiscoveredMaster {
                    pair,
                    shard: None,
                    addr: master.addr.clone(),
                    replicas: master.replicas().cloned().collect(),
                    labels: BTreeMap::new(),
                });
            }
        }
        masters
    }

    fn defaults(&self) -> EntryDefaults<'_> {
        let settings = &*self.settings;
        EntryDefaults {
            connection: &settings.servers,
            labels: &settings.labels,
            alerts: &settings.alerts,
            heartbeat: settings.heartbeat,
        }
    }
}
