//! What a reload changes: unchanged trees go on as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Topology, Tree, TreeId};

/// The difference of two topologies, tree by tree and pair by pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopologyDiff {
    /// Trees that are new, or whose servers, root or logins changed: their rounds start anew.
    pub started: Vec<Arc<Tree>>,
    /// Trees that are gone, or start anew.
    pub stopped: Vec<TreeId>,
    /// How many pairs the new topology adds.
    pub pairs_added: usize,
    /// How many pairs are gone.
    pub pairs_removed: usize,
    /// How many pairs stay, with or without changed rules or labels.
    pub pairs_kept: usize,
}

impl TopologyDiff {
    /// What changes from `old` to `new`.
    pub fn between(old: &Topology, new: &Topology) -> Self {
        let before: BTreeMap<_, _> = old.trees.iter().map(|t| (&t.id, t)).collect();
        let after: BTreeMap<_, _> = new.trees.iter().map(|t| (&t.id, t)).collect();
        let same = |id: &TreeId| match (before.get(id), after.get(id)) {
            (Some(a), Some(b)) => {
                a == b
                    && a.servers()
                        .all(|s| old.servers.get(s) == new.servers.get(s))
            }
            _ => false,
        };
        let known: BTreeSet<_> = old.pairs.iter().map(|p| &p.key).collect();
        let kept = new.pairs.iter().filter(|p| known.contains(&p.key)).count();
        Self {
            started: new.trees.iter().filter(|t| !same(&t.id)).cloned().collect(),
            stopped: old
                .trees
                .iter()
                .filter(|t| !same(&t.id))
                .map(|t| t.id.clone())
                .collect(),
            pairs_added: new.pairs.len() - kept,
            pairs_removed: old.pairs.len().saturating_sub(kept),
            pairs_kept: kept,
        }
    }
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
    fn a_changed_login_starts_the_tree_anew() {
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
