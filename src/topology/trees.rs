//! Replication trees: the servers that replicate from one another, however many pairs connect them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::config::PairSettings;
use crate::model::ServerAddr;

/// A tree's identity: its first server, by address. A failover changes the root and not the
/// identity, so that history and connections stay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(ServerAddr);

/// Servers that are connected by pairs: polled together, with one replication history.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Who it is.
    pub id: TreeId,
    /// The servers that no pair names as a replica, sorted; polled first and last in each round.
    /// Never empty: in a ring, where every server is somebody's replica, all that are a master of
    /// somebody count.
    pub roots: Vec<ServerAddr>,
    /// All other servers, sorted.
    pub others: Vec<ServerAddr>,
}

impl Tree {
    /// Every server of the tree, roots first.
    pub fn servers(&self) -> impl Iterator<Item = &ServerAddr> {
        self.roots.iter().chain(&self.others)
    }
}

impl TreeId {
    /// The tree whose first server is `first`.
    pub fn new(first: ServerAddr) -> Self {
        Self(first)
    }
}

impl fmt::Display for TreeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The trees that the entries form, sorted by identity.
pub(super) fn build(entries: &[PairSettings]) -> Vec<Arc<Tree>> {
    let edges: Vec<_> = entries
        .iter()
        .flat_map(|entry| {
            entry
                .replicas
                .iter()
                .map(|replica| (entry.master.addr.clone(), replica.addr.clone()))
        })
        .collect();
    let masters: BTreeSet<_> = edges.iter().map(|(master, _)| master).collect();
    let replicas: BTreeSet<_> = edges.iter().map(|(_, replica)| replica).collect();
    let mut trees: Vec<_> = components(&edges)
        .into_iter()
        .filter_map(|members| {
            let top: Vec<_> = members
                .iter()
                .filter(|s| !replicas.contains(s))
                .cloned()
                .collect();
            let ring: Vec<_> = members
                .iter()
                .filter(|s| masters.contains(s))
                .cloned()
                .collect();
            let roots = if top.is_empty() { ring } else { top };
            let others = members
                .iter()
                .filter(|s| !roots.contains(s))
                .cloned()
                .collect();
            let id = TreeId(members.first()?.clone());
            Some(Arc::new(Tree { id, roots, others }))
        })
        .collect();
    trees.sort_by(|a, b| a.id.cmp(&b.id));
    trees
}

/// Which tree each server belongs to.
pub(super) fn membership(trees: &[Arc<Tree>]) -> BTreeMap<ServerAddr, TreeId> {
    trees
        .iter()
        .flat_map(|tree| {
            tree.servers()
                .map(|server| (server.clone(), tree.id.clone()))
        })
        .collect()
}

/// Whose replica each server is, by configuration; the first pair that says so counts.
pub(super) fn upstreams(entries: &[PairSettings]) -> BTreeMap<ServerAddr, ServerAddr> {
    let mut upstream = BTreeMap::new();
    for entry in entries {
        for replica in &entry.replicas {
            upstream
                .entry(replica.addr.clone())
                .or_insert_with(|| entry.master.addr.clone());
        }
    }
    upstream
}

/// The end of the chain above `server`; `server` itself where the chain runs in a circle.
pub(super) fn top<'a>(
    upstream: &'a BTreeMap<ServerAddr, ServerAddr>,
    server: &'a ServerAddr,
) -> &'a ServerAddr {
    let mut at = server;
    for _ in 0..upstream.len() {
        match upstream.get(at) {
            Some(next) => at = next,
            None => return at,
        }
    }
    upstream.get(at).map_or(at, |_| server)
}

/// The connected components of the graph, by union-find with path halving.
fn components(edges: &[(ServerAddr, ServerAddr)]) -> Vec<BTreeSet<ServerAddr>> {
    let names: Vec<_> = edges
        .iter()
        .flat_map(|(a, b)| [a, b])
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let index: BTreeMap<_, _> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (*name, i))
        .collect();
    let mut parent: Vec<usize> = (0..names.len()).collect();
    for (a, b) in edges {
        let (a, b) = (find(&mut parent, index[a]), find(&mut parent, index[b]));
        parent[a.max(b)] = a.min(b);
    }
    let mut groups: BTreeMap<usize, BTreeSet<ServerAddr>> = BTreeMap::new();
    for (i, name) in names.into_iter().enumerate() {
        groups
            .entry(find(&mut parent, i))
            .or_default()
            .insert(name.clone());
    }
    groups.into_values().collect()
}

fn find(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    fn check(pairs: &[(&str, &str, &[&str])], expected: &[&str]) {
        let shown: Vec<_> = build(&settings_of(pairs).pairs)
            .iter()
            .map(|t| {
                let list = |servers: &[ServerAddr]| {
                    servers
                        .iter()
                        .filter_map(ServerAddr::host)
                        .collect::<String>()
                };
                format!(
                    "{}:{}/{}",
                    t.id.0.host().unwrap(),
                    list(&t.roots),
                    list(&t.others)
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn pairs_that_share_servers_form_one_tree() {
        check(
            &[("x", "a:1", &["b:1"]), ("y", "c:1", &["d:1"])],
            &["a:a/b", "c:c/d"],
        );
        check(
            &[("x", "a:1", &["b:1"]), ("y", "a:1", &["c:1"])],
            &["a:a/bc"],
        );
        check(
            &[("x", "a:1", &["b:1"]), ("y", "b:1", &["c:1"])],
            &["a:a/bc"],
        );
    }

    #[test]
    fn a_ring_has_every_master_as_root() {
        check(
            &[("x", "a:1", &["b:1"]), ("y", "b:1", &["a:1"])],
            &["a:ab/"],
        );
    }

    #[test]
    fn a_replica_of_two_masters_joins_their_trees() {
        check(
            &[("x", "a:1", &["r:1"]), ("y", "b:1", &["r:1"])],
            &["a:ab/r"],
        );
    }
}
