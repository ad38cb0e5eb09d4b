//! Replication trees: the servers that replicate from one another, however many pairs connect them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::config::PairSettings;
use crate::model::ServerAddr;

/// A tree's identity: its first server, by address. A failover changes the root but not the
/// identity, so history and connections stay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(ServerAddr);

/// Servers that are connected by pairs: polled together, with one replication history.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The tree's identity.
    pub id: TreeId,
    /// The servers that no pair names as a replica, sorted; polled first and last in each round.
    /// Never empty: in a ring, where every server is a replica, these are all servers that are a
    /// master.
    pub roots: Vec<ServerAddr>,
    /// All other servers, sorted.
    pub others: Vec<ServerAddr>,
}

impl Tree {
    /// The tree of these members, those that fit `is_root` as its roots; `None` without members.
    fn split(
        members: &BTreeSet<&ServerAddr>,
        is_root: impl Fn(&ServerAddr) -> bool,
    ) -> Option<Self> {
        let first = members.first()?;
        let mut tree = Self {
            id: TreeId(ServerAddr::clone(first)),
            roots: Vec::new(),
            others: Vec::new(),
        };
        for &server in members {
            let group = if is_root(server) {
                &mut tree.roots
            } else {
                &mut tree.others
            };
            group.push(server.clone());
        }
        Some(tree)
    }

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
    let mut edges = Vec::new();
    for entry in entries {
        for replica in &entry.replicas {
            edges.push((&entry.master.addr, &replica.addr));
        }
    }
    let masters: BTreeSet<_> = edges.iter().map(|(master, _)| *master).collect();
    let replicas: BTreeSet<_> = edges.iter().map(|(_, replica)| *replica).collect();
    let mut trees = Vec::new();
    for members in components(&edges) {
        let mut tree = Tree::split(&members, |server| !replicas.contains(server));
        if matches!(&tree, Some(tree) if tree.roots.is_empty()) {
            tree = Tree::split(&members, |server| masters.contains(server));
        }
        trees.extend(tree.map(Arc::new));
    }
    trees.sort_by(|a, b| a.id.cmp(&b.id));
    trees
}

/// Which tree each server belongs to.
pub(super) fn membership(trees: &[Arc<Tree>]) -> BTreeMap<ServerAddr, TreeId> {
    let mut tree_of = BTreeMap::new();
    for tree in trees {
        for server in tree.servers() {
            tree_of.insert(server.clone(), tree.id.clone());
        }
    }
    tree_of
}

/// The master of each replica. Of several entries that name the same replica, the first counts.
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

/// The end of the chain above `server`; `server` itself if the chain is a ring.
pub(super) fn top<'a>(
    upstream: &'a BTreeMap<ServerAddr, ServerAddr>,
    server: &'a ServerAddr,
) -> &'a ServerAddr {
    let mut at = server;
    // A chain that visits more servers than there are has visited one twice.
    for _ in 0..=upstream.len() {
        match upstream.get(at) {
            Some(next) => at = next,
            None => return at,
        }
    }
    server
}

/// The connected components of the graph, each sorted.
fn components<'a>(edges: &[(&'a ServerAddr, &'a ServerAddr)]) -> Vec<BTreeSet<&'a ServerAddr>> {
    let mut neighbours: BTreeMap<&ServerAddr, Vec<&ServerAddr>> = BTreeMap::new();
    for &(master, replica) in edges {
        neighbours.entry(master).or_default().push(replica);
        neighbours.entry(replica).or_default().push(master);
    }
    let mut components = Vec::new();
    while let Some((start, next)) = neighbours.pop_first() {
        let mut component = BTreeSet::from([start]);
        let mut to_visit = next;
        while let Some(server) = to_visit.pop() {
            component.insert(server);
            to_visit.extend(neighbours.remove(server).unwrap_or_default());
        }
        components.push(component);
    }
    components
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
