//! The difference between two topologies. Trees that do not change keep running.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Topology, Tree, TreeId};

/// The difference between two topologies, by trees and by pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopologyDiff {
    /// Trees that are new, or whose servers, roots or logins changed: their rounds start again.
    pub started: Vec<Arc<Tree>>,
    /// Trees that are gone, or are restarted.
    pub stopped: Vec<TreeId>,
    /// Pairs that only the new topology has.
    pub pairs_added: usize,
    /// Pairs that only the old topology has.
    pub pairs_removed: usize,
    /// Pairs that both have, even if their rules or labels differ.
    pub pairs_kept: usize,
}

impl TopologyDiff {
    /// What changes from `old` to `new`.
    pub fn between(old: &Topology, new: &Topology) -> Self {
        let known: BTreeSet<_> = old.pairs.iter().map(|pair| &pair.key).collect();
        let kept = new.pairs.iter().filter(|pair| known.contains(&pair.key));
        let pairs_kept = kept.count();
        let mut diff = Self {
            started: Vec::new(),
            stopped: Vec::new(),
            pairs_added: new.pairs.len() - pairs_kept,
            pairs_removed: old.pairs.len().saturating_sub(pairs_kept),
            pairs_kept,
        };
        let unchanged = unchanged_trees(old, new);
        for tree in &new.trees {
            if !unchanged.contains(&tree.id) {
                diff.started.push(Arc::clone(tree));
            }
        }
        for tree in &old.trees {
            if !unchanged.contains(&tree.id) {
                diff.stopped.push(tree.id.clone());
            }
        }
        diff
    }
}

/// The trees with the same members, roots and connection settings in both topologies.
fn unchanged_trees<'a>(old: &'a Topology, new: &Topology) -> BTreeSet<&'a TreeId> {
    let after: BTreeMap<_, _> = new.trees.iter().map(|tree| (&tree.id, tree)).collect();
    let mut unchanged = BTreeSet::new();
    for tree in &old.trees {
        if after.get(&tree.id) != Some(&tree) {
            continue;
        }
        let mut servers = tree.servers();
        if servers.all(|addr| old.servers.get(addr) == new.servers.get(addr)) {
            unchanged.insert(&tree.id);
        }
    }
    unchanged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    fn topology(pairs: &[(&str, &str, &[&str])]) -> Topology {
        Topology::from_settings(&settings_of(pairs))
    }

    #[test]
    fn a_tree_that_does_not_change_is_neither_started_nor_stopped() {
        let old = topology(&[("x", "a:1", &["b:1"]), ("y", "c:1", &["d:1"])]);
        let new = topology(&[("x", "a:1", &["b:1"]), ("y", "c:1", &["d:1", "e:1"])]);
        let diff = TopologyDiff::between(&old, &new);
        assert_eq!(diff.started.len(), 1);
        assert_eq!(diff.stopped.len(), 1);
        assert_eq!(
            (diff.pairs_added, diff.pairs_removed, diff.pairs_kept),
            (1, 0, 2)
        );
        assert_eq!(TopologyDiff::between(&new, &new).started, []);
    }

    #[test]
    fn a_changed_login_restarts_the_tree() {
        let old = topology(&[("x", "a:1", &["b:1"])]);
        let mut settings = settings_of(&[("x", "a:1", &["b:1"])]);
        settings.pairs[0].replicas[0].credentials.username = Some("monitor".into());
        let diff = TopologyDiff::between(&old, &Topology::from_settings(&settings));
        assert_eq!(
            (diff.started.len(), diff.stopped.len(), diff.pairs_kept),
            (1, 1, 1)
        );
        let before = Topology::from_settings(&settings);
        settings.pairs[0].master.tls = Some(crate::config::TlsSettings::default());
        let diff = TopologyDiff::between(&before, &Topology::from_settings(&settings));
        assert_eq!(
            (diff.started.len(), diff.stopped.len(), diff.pairs_kept),
            (1, 1, 1)
        );
    }
}
