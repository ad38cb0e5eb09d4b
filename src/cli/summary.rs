//! How much a configuration names, in one line.

use std::collections::BTreeSet;

use crate::config::Settings;

/// How much the configuration names: `3 entries, 5 servers, 2 receivers`.
pub(super) fn summary(settings: &Settings) -> String {
    let dns = &settings.discovery.dns;
    let sources = settings.sentinels.len() + settings.clusters.len() + dns.len();
    let entries = settings.pairs.len() + sources;
    let mut addresses = BTreeSet::new();
    for pair in &settings.pairs {
        addresses.insert(&pair.master.addr);
        addresses.extend(pair.replicas.iter().map(|replica| &replica.addr));
    }
    let sentinels: usize = settings.sentinels.iter().map(|e| e.sentinels.len()).sum();
    let mut parts = vec![counted(entries, "entry", "entries")];
    if !addresses.is_empty() {
        parts.push(counted(addresses.len(), "server", "servers"));
    }
    if sentinels > 0 {
        parts.push(counted(sentinels, "Sentinel", "Sentinels"));
    }
    let nodes: usize = settings.clusters.iter().map(|e| e.nodes.len()).sum();
    if nodes > 0 {
        parts.push(counted(nodes, "cluster node", "cluster nodes"));
    }
    let receivers = settings.notify.receivers.len();
    parts.push(counted(receivers, "receiver", "receivers"));
    parts.join(", ")
}

/// `1 server`, `2 servers`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{count} {noun}")
}
