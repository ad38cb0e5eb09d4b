//! Which entries one shard of the fleet watches.

use std::collections::BTreeMap;

use crate::config::{ActiveActiveSettings, PairSettings, Settings};
use crate::model::{FleetShard, PairName, ServerAddr};

/// The entries of the configuration that `shard` watches, in their order.
///
/// Entries that share a server replicate from one another and stay together: they have the owner of
/// the one whose name is first. Only the configuration decides, which is the same for every
/// exporter of the fleet, and never what one of them has observed.
pub fn configured_share(entries: &[PairSettings], shard: FleetShard) -> Vec<PairSettings> {
    let groups = Groups::new(entries);
    let mut watched = Vec::new();
    for entry in entries {
        if shard.owns(groups.first_name(entry).as_str()) {
            watched.push(entry.clone());
        }
    }
    watched
}

/// Whether `shard` watches this discovered entry: by what identifies its master for as long as the
/// master lives.
pub fn owns_discovered(entry: &PairSettings, shard: FleetShard) -> bool {
    match &entry.shard {
        Some(lasting) => shard.owns(lasting.as_str()),
        None => shard.owns(entry.name.as_str()),
    }
}

/// Whether `shard` reports the health of what discovers the pairs of this name.
pub fn owns_source(pair: &PairName, shard: FleetShard) -> bool {
    shard.owns(pair.as_str())
}

/// The active-active sites that this exporter is responsible for.
pub fn owned_sites(settings: &Settings) -> impl Iterator<Item = &ActiveActiveSettings> {
    let shard = settings.shard;
    let entries = settings.active_active.iter();
    entries.filter(move |entry| shard.is_none_or(|shard| owns_source(&entry.name, shard)))
}

/// Those of them that it monitors.
pub fn monitored_sites(settings: &Settings) -> impl Iterator<Item = &ActiveActiveSettings> {
    owned_sites(settings).filter(|entry| entry.monitor.enabled)
}

/// The first name among the entries that share servers, directly or through others.
struct Groups<'a> {
    /// For each server, the first name of the entries that were merged at it.
    first: BTreeMap<&'a ServerAddr, &'a PairName>,
}

impl<'a> Groups<'a> {
    fn new(entries: &'a [PairSettings]) -> Self {
        let mut groups = Self {
            first: BTreeMap::new(),
        };
        // A name travels one entry further in each pass, and chains are short.
        while groups.spread(entries) {}
        groups
    }

    /// Gives every server of each entry the first name among them. Returns whether that changed
    /// any.
    fn spread(&mut self, entries: &'a [PairSettings]) -> bool {
        let mut changed = false;
        for entry in entries {
            let first = self.first_name(entry);
            for server in servers(entry) {
                changed |= self.first.insert(server, first) != Some(first);
            }
        }
        changed
    }

    fn first_name(&self, entry: &'a PairSettings) -> &'a PairName {
        let mut first = &entry.name;
        for server in servers(entry) {
            if let Some(name) = self.first.get(server) {
                first = first.min(*name);
            }
        }
        first
    }
}

fn servers(entry: &PairSettings) -> impl Iterator<Item = &ServerAddr> {
    let replicas = entry.replicas.iter().map(|replica| &replica.addr);
    std::iter::once(&entry.master.addr).chain(replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    fn shares(pairs: &[(&str, &str, &[&str])], count: u32) -> Vec<Vec<String>> {
        let settings = settings_of(pairs);
        let mut shares = Vec::new();
        for index in 0..count {
            let shard = FleetShard::new(index, count).unwrap();
            let entries = configured_share(&settings.pairs, shard);
            shares.push(entries.iter().map(|entry| entry.name.to_string()).collect());
        }
        shares
    }

    #[test]
    fn no_pair_is_watched_twice_or_never() {
        let names: Vec<String> = (0..200).map(|n| format!("pair-{n}")).collect();
        let masters: Vec<String> = (0..200).map(|n| format!("m{n}:1")).collect();
        let replicas: Vec<String> = (0..200).map(|n| format!("r{n}:1")).collect();
        let replicas: Vec<[&str; 1]> = replicas.iter().map(|r| [r.as_str()]).collect();
        let mut pairs: Vec<(&str, &str, &[&str])> = Vec::new();
        for n in 0..200 {
            pairs.push((&names[n], &masters[n], &replicas[n]));
        }
        let mut watched: Vec<String> = shares(&pairs, 3).into_iter().flatten().collect();
        watched.sort();
        let mut all = names.clone();
        all.sort();
        assert_eq!(watched, all);
    }

    #[test]
    fn entries_that_share_a_server_stay_together_through_any_chain() {
        let pairs: [(&str, &str, &[&str]); 5] = [
            ("e-last", "d:1", &["e:1"]),
            ("c", "c:1", &["d:1"]),
            ("b", "b:1", &["c:1"]),
            ("a-first", "a:1", &["b:1"]),
            ("alone", "x:1", &["y:1"]),
        ];
        for count in [2, 3, 4, 7, 31] {
            let shares = shares(&pairs, count);
            let together: Vec<_> = shares
                .iter()
                .filter(|share| share.iter().any(|name| name != "alone"))
                .collect();
            assert_eq!(together.len(), 1, "{count} shards: {shares:?}");
            let of_tree = together[0].iter().filter(|name| *name != "alone");
            assert_eq!(of_tree.count(), 4, "{count} shards: {shares:?}");
        }
    }
}
