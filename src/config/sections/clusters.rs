//! `clusters`: Redis Clusters, whose nodes are queried for masters and replicas.

use super::address_list::AddressList;
use super::pairs::{Inherited, labels, name};
use super::servers::ConnectionKeys;
use super::{UniqueNames, check_prefix};
use crate::config::cursor::{Cursor, Section};
use crate::config::table::CLUSTER;
use crate::config::{ClusterSettings, ConnectionSettings, ServerSettings};
use crate::model::PairName;

/// The most nodes of a cluster that a configuration names. A few in each datacenter are enough:
/// they know all the others, which are asked as well.
const MAX_NODES: usize = 64;

pub(super) fn read(
    root: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Vec<ClusterSettings> {
    let items = root.items("clusters");
    let entry = |item: &Cursor<'_>| cluster(&item.section(&CLUSTER)?, outer, names);
    items.iter().filter_map(entry).collect()
}

/// Refuses names that a discovered pair could have too: an entry's pairs are called
/// `name/slot-NUMBER`.
pub(super) fn check_prefixes(root: &Section<'_>, entries: &[ClusterSettings], names: &[&PairName]) {
    for entry in entries {
        for taken in names {
            check_prefix(root, "clusters", (&entry.name, "slot- and a number"), taken);
        }
    }
}

fn cluster(
    section: &Section<'_>,
    outer: &Inherited,
    names: &mut UniqueNames,
) -> Option<ClusterSettings> {
    let connection = ConnectionKeys::read(section, &outer.connection);
    let name = name(section, names, "what the names of its pairs begin with");
    let labels = labels(section);
    if labels.contains_key("slots") {
        section.refuse("the exporter gives every pair of a cluster the label slots itself; choose another name");
    }
    let alerts = outer.alerts.for_pair(section);
    let nodes = nodes(section, connection);
    Some(ClusterSettings {
        name: name?,
        servers: connection_of(&nodes),
        nodes,
        labels,
        alerts,
    })
}

fn nodes(section: &Section<'_>, keys: ConnectionKeys) -> Vec<ServerSettings> {
    let list = AddressList {
        meaning: "some nodes in each datacenter, such as [\"dc1-node:6379\", \"dc2-node:6379\"]",
        what: "nodes",
        most: MAX_NODES,
    };
    let nodes = keys.servers_at(section, list.read(section));
    if nodes.iter().any(|node| node.addr.tcp().is_none()) {
        section.refuse("it names a Unix socket: the nodes of a cluster are reached over TCP");
    }
    let has_tls = |node: &ServerSettings| node.tls.is_some();
    if nodes.iter().any(has_tls) && !nodes.iter().all(has_tls) {
        section.refuse(
            "some of its addresses say rediss:// and others do not: its nodes are all connected to \
             in the same way, also those that are found",
        );
    }
    nodes
}

/// How to connect to the nodes that are found: as to the configured ones.
fn connection_of(nodes: &[ServerSettings]) -> ConnectionSettings {
    match nodes.first() {
        Some(node) => ConnectionSettings {
            credentials: node.credentials.clone(),
            tls: node.tls.clone(),
        },
        None => ConnectionSettings::default(),
    }
}
