//! How a new topology differs from what is watched: which masters change within their trees.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Failovers;
use crate::model::{PairName, ServerAddr};
use crate::monitor::failover::Promotion;
use crate::monitor::fleet::pairs::Pairs;
use crate::topology::Topology;

/// What a new topology changes in the trees that are watched.
pub(in crate::monitor::fleet) struct TopologyChange {
    /// The top of a tree before, and the server of the same tree that is its top now.
    pub(in crate::monitor::fleet) moves: BTreeMap<ServerAddr, ServerAddr>,
    /// The entries whose master is another server of the same tree.
    pub(in crate::monitor::fleet) promotions: BTreeMap<PairName, Promotion>,
}

impl TopologyChange {
    /// What changes from the entries and pairs that are known to those of `topology`.
    pub(in crate::monitor::fleet) fn new(
        failovers: &Failovers,
        pairs: &Pairs,
        topology: &Topology,
    ) -> Self {
        let trees = trees(pairs);
        let mut change = Self {
            moves: BTreeMap::new(),
            promotions: BTreeMap::new(),
        };
        for pair in &topology.pairs {
            let name = &pair.key.name;
            let Some(old) = failovers.entries.get(name) else {
                continue;
            };
            let Some(tree) = trees.get(&old.top) else {
                continue;
            };
            if old.top != pair.top && tree.contains(&pair.top) {
                change
                    .moves
                    .entry(old.top.clone())
                    .or_insert_with(|| pair.top.clone());
            }
            if old.master != pair.master && tree.contains(&pair.master) {
                let promotion = Promotion {
                    pair: name.clone(),
                    from: old.master.clone(),
                    to: pair.master.clone(),
                };
                change.promotions.insert(name.clone(), promotion);
            }
        }
        change
    }

    /// Whether what is known of a pair that was measured against `old` also holds against `new`.
    pub(in crate::monitor::fleet) fn keeps(&self, old: &ServerAddr, new: &ServerAddr) -> bool {
        old == new || self.moves.get(old) == Some(new)
    }
}

/// The servers of each tree, by its top.
fn trees(pairs: &Pairs) -> HashMap<&ServerAddr, BTreeSet<&ServerAddr>> {
    let mut trees: HashMap<_, BTreeSet<_>> = HashMap::new();
    for pair in &pairs.entries {
        let meta = &pair.meta;
        let tree = trees.entry(&meta.top).or_default();
        tree.extend([&meta.top, &meta.master, &meta.key.replica]);
    }
    trees
}
