//! DNS names as a source: what they resolve to are the servers of one pair, and which of them is
//! the master they say themselves.
//!
//! The reporters are the servers that were found. A resolution that fails changes nothing, and an
//! address that is missing from an answer is watched on for a while: a name may resolve to some of
//! its addresses only, and a server that just died leaves the answers first.

mod group;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use group::group;

pub use group::{NamesGroup, ResolvedName};

use super::entry::{DiscoveredMaster, EntryDefaults, SourceKind};
use crate::config::DnsSettings;
use crate::info::Role;
use crate::model::{PairName, ReplicationId, ServerAddr, Span, Timestamp};

/// The most addresses of one entry: a name that resolves to more is no name of a pair's servers.
pub const MAX_ADDRESSES: usize = 256;

/// How long an address is watched that no answer contains any more.
const KEPT: Span = Span::from_secs(30);

/// The answer of a name server about one name of one entry.
#[derive(Clone, Debug)]
pub struct NameEvent {
    /// The entry of the configuration.
    pub entry: PairName,
    /// The name that was resolved.
    pub name: String,
    /// The servers, or why there is no answer: a sentence whose subject is the name.
    pub result: Result<BTreeSet<ServerAddr>, Arc<str>>,
}

/// What a server says about its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleView {
    /// Master or replica; `None` if it does not say.
    pub role: Option<Role>,
    /// The replication history that it is in: a replica has that of its master.
    pub history: Option<ReplicationId>,
}

/// What is known of the servers of one entry.
#[derive(Clone, Debug)]
pub(super) struct NamesSource {
    settings: Arc<DnsSettings>,
    /// By name.
    names: BTreeMap<String, NameState>,
    /// When each address was in an answer the last time; `None` while it is in the latest.
    addresses: BTreeMap<ServerAddr, Option<Timestamp>>,
    master: Option<ServerAddr>,
}

/// One name, and what it resolved to.
#[derive(Clone, Debug, Default)]
struct NameState {
    /// Those of the last good answer.
    addresses: BTreeSet<ServerAddr>,
    /// Whether a resolution ended since the start.
    was_resolved: bool,
    /// Why the last resolution failed.
    failure: Option<Arc<str>>,
    failures: u64,
}

impl NamesSource {
    pub(super) fn new(settings: &DnsSettings) -> Self {
        let mut source = Self {
            settings: Arc::new(settings.clone()),
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            master: None,
        };
        source.reconfigure(settings);
        source
    }

    /// Replaces the settings. Names that stay keep their answers.
    pub(super) fn reconfigure(&mut self, settings: &DnsSettings) {
        self.settings = Arc::new(settings.clone());
        let mut old = std::mem::take(&mut self.names);
        for name in &settings.names {
            let state = old.remove(name).unwrap_or_default();
            self.names.insert(name.clone(), state);
        }
    }

    /// Applies the answer about one name. Returns whether it differs from the last one.
    pub(super) fn resolved(
        &mut self,
        name: &str,
        result: Result<BTreeSet<ServerAddr>, Arc<str>>,
        now: Timestamp,
    ) -> bool {
        let Some(state) = self.names.get_mut(name) else {
            return false;
        };
        let was_resolved = std::mem::replace(&mut state.was_resolved, true);
        let is_new = match result {
            Ok(addresses) => {
                let is_new = state.failure.take().is_some() || state.addresses != addresses;
                state.addresses = addresses;
                is_new
            }
            Err(sentence) => {
                state.failures += 1;
                let is_new = state.failure.as_ref() != Some(&sentence);
                state.failure = Some(sentence);
                is_new
            }
        };
        self.follow_answers(now);
        is_new || !was_resolved
    }

    /// Adds the addresses of the last good answers, and drops those that have been missing for
    /// long.
    fn follow_answers(&mut self, now: Timestamp) {
        let mut present = BTreeSet::new();
        for state in self.names.values() {
            present.extend(&state.addresses);
        }
        for (addr, missing_since) in &mut self.addresses {
            let is_present = present.remove(addr);
            *missing_since = match *missing_since {
                _ if is_present => None,
                None => Some(now),
                since => since,
            };
        }
        let has_left = |since: &Option<Timestamp>| since.is_some_and(|since| now - since >= KEPT);
        self.addresses.retain(|_, since| !has_left(since));
        for addr in present {
            if self.addresses.len() < MAX_ADDRESSES {
                self.addresses.insert(addr.clone(), None);
            }
        }
    }

    /// The master by what the servers say: of several the one that most others replicate from, then
    /// the one that was it before.
    fn find_master(&self, views: &BTreeMap<&ServerAddr, &RoleView>) -> Option<ServerAddr> {
        let mut best: Option<(usize, bool, &ServerAddr)> = None;
        for (addr, view) in views {
            if view.role != Some(Role::Master) {
                continue;
            }
            let follows = |other: &&&RoleView| {
                other.role == Some(Role::Replica)
                    && other.history.is_some()
                    && other.history == view.history
            };
            let followers = views.values().filter(follows).count();
            let was_master = self.master.as_ref() == Some(*addr);
            let rank = (followers, was_master);
            if best.is_none_or(|(followers, was_master, _)| rank > (followers, was_master)) {
                best = Some((followers, was_master, *addr));
            }
        }
        best.map(|(_, _, addr)| addr.clone())
    }
}

impl SourceKind for NamesSource {
    type View = RoleView;

    const REPORTERS: &'static str = "the servers that the names resolve to";

    fn update(&mut self, views: &BTreeMap<&ServerAddr, &RoleView>, now: Timestamp) {
        self.follow_answers(now);
        // While no server says that it is a master, the last one is still what its replicas lack.
        if let Some(master) = self.find_master(views) {
            self.master = Some(master);
        }
    }

    fn is_settled(&self) -> bool {
        self.addresses.values().all(Option::is_none)
    }

    fn retain_reporters(&mut self, _: &BTreeSet<ServerAddr>) {}

    fn learned_reporters(&self, _: &BTreeSet<ServerAddr>) -> BTreeSet<ServerAddr> {
        self.addresses.keys().cloned().collect()
    }

    fn masters(&self) -> Vec<DiscoveredMaster> {
        let Some(master) = &self.master else {
            return Vec::new();
        };
        let replicas = self.addresses.keys().filter(|addr| *addr != master);
        vec![DiscoveredMaster {
            pair: self.settings.name.clone(),
            shard: None,
            addr: master.clone(),
            replicas: replicas.cloned().collect(),
            labels: BTreeMap::new(),
        }]
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
