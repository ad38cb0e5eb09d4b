//! How a new topology differs from what is watched: which masters change within their trees.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{PairName, ServerAddr};
use crate::monitor::failover::Promotion;
use crate::topology::Topology;

/// The master of an entry, and the top of its tree.
#[derive(Clone, Copy)]
pub(super) struct EntryMaster<'a> {
    pub(super) master: &'a ServerAddr,
    pub(super) top: &'a ServerAddr,
}

/// What a new topology changes in the trees that are watched.
pub(super) struct TopologyChange {
    /// The top of a tree before, and the server of the same tree that is its top now.
    pub(super) moves: BTreeMap<ServerAddr, ServerAddr>,
    /// The entries whose master is another server of the same tree.
    pub(super) promotions: BTreeMap<PairName, Promotion>,
}

impl TopologyChange {
    /// What changes to `topology`, from the servers of each tree that is watched (by its top) and
    /// from the master of each entry.
    pub(super) fn new<'a>(
        trees: &HashMap<&ServerAddr, BTreeSet<&ServerAddr>>,
        master_of: impl Fn(&PairName) -> Option<EntryMaster<'a>>,
        topology: &Topology,
    ) -> Self {
        let mut change = Self {
            moves: BTreeMap::new(),
            promotions: BTreeMap::new(),
        };
        for pair in &topology.pairs {
            let name = &pair.key.name;
            let Some(old) = master_of(name) else {
                continue;
            };
            let Some(tree) = trees.get(old.top) else {
                continue;
            };
            if *old.top != pair.top && tree.contains(&pair.top) {
                change.add_move(old.top, &pair.top);
            }
            if *old.master != pair.master && tree.contains(&pair.master) {
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

    /// Adds that a tree has another top. Where its pairs name several new ones, the first counts.
    fn add_move(&mut self, from: &ServerAddr, to: &ServerAddr) {
        self.moves.entry(from.clone()).or_insert_with(|| to.clone());
    }

    /// Whether what is known of a pair that was measured against `old` also holds against `new`.
    pub(super) fn keeps(&self, old: &ServerAddr, new: &ServerAddr) -> bool {
        old == new || self.moves.get(old) == Some(new)
    }
}
