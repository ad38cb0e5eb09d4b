//! Which servers, replication trees and pairs exist, and where they stand.
//!
//! Pure: a function of the [`Settings`] (later also of what Sentinels and Cluster nodes answer).
//! Roles are not decided here; they are observed.

mod diff;
mod discovered;
mod known_master;
mod masters;
mod placement;
mod sentinels;
mod trees;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use diff::TopologyDiff;
pub use discovered::{
    Discovered, DiscoveryChange, Heard, SentinelEvent, SentinelGroup, SentinelState,
};
pub use masters::Masters;
pub use placement::{PlacementHarm, PlacementRisk, placement_risks};
pub use sentinels::{Agreement, MasterView, SentinelView, agreements};
pub use trees::{Tree, TreeId};

use crate::config::{
    AlertSettings, Credentials, DatacenterRule, PairSettings, ServerSettings, Settings, TlsSettings,
};
use crate::model::{Datacenter, PairKey, ServerAddr, Span};

/// Everything that is to be watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Every server, once, however many pairs name it.
    pub servers: BTreeMap<ServerAddr, Arc<Server>>,
    /// The groups of servers that replicate from one another, sorted by identity.
    pub trees: Vec<Arc<Tree>>,
    /// Every master/replica pair, in the configuration's order.
    pub pairs: Vec<Arc<Pair>>,
}

/// One Redis process and how to reach it.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Where it stands.
    pub dc: Datacenter,
    /// Whether it stands in the exporter's own datacenter.
    pub local: bool,
    /// How to log in.
    pub credentials: Credentials,
    /// How to secure the connection; `None` for plain text.
    pub tls: Option<TlsSettings>,
}

/// A master and one of its replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The entry's name and the replica.
    pub key: PairKey,
    /// The configured master.
    pub master: ServerAddr,
    /// The server at the top of the chain that the configuration describes: whose stream the lag is
    /// measured against. The master itself, unless another pair names it as its replica.
    pub top: ServerAddr,
    /// The tree that both belong to.
    pub tree: TreeId,
    /// The master's datacenter.
    pub source_dc: Datacenter,
    /// The replica's datacenter.
    pub target_dc: Datacenter,
    /// Whether another replica of the entry runs in the same datacenter.
    pub shares_dc: bool,
    /// Labels from the configuration.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The rules that apply.
    pub alerts: Arc<AlertSettings>,
    /// Time between two heartbeats; `None` where none are sent.
    pub heartbeat: Option<Span>,
}

impl Topology {
    /// What `settings` ask to watch, with the roles that the configuration gives. What Sentinels
    /// know is not in it.
    pub fn from_settings(settings: &Settings) -> Self {
        Self::of(&settings.pairs, &settings.datacenters)
    }

    /// What `entries` ask to watch: those of the settings, then those that Sentinels have found, in
    /// the directions that `masters` tells of. Where several name a server, the first says how to
    /// connect to it.
    pub fn observed(entries: &[PairSettings], rules: &[DatacenterRule], masters: &Masters) -> Self {
        let turned: Vec<PairSettings> = entries.iter().map(|entry| masters.turned(entry)).collect();
        Self::of(&turned, rules)
    }

    /// The server of these settings, where the rules place it.
    pub fn server(settings: &ServerSettings, rules: &[DatacenterRule]) -> Server {
        place(settings, rules)
    }

    fn of(entries: &[PairSettings], rules: &[DatacenterRule]) -> Self {
        let servers = collect_servers(entries, rules);
        let trees = trees::build(entries);
        let tree_of = trees::membership(&trees);
        let upstream = trees::upstreams(entries);
        let place = Placement {
            servers: &servers,
            tree_of: &tree_of,
            upstream: &upstream,
        };
        let pairs = entries
            .iter()
            .flat_map(|entry| place.pairs_of(entry))
            .collect();
        Self {
            servers,
            trees,
            pairs,
        }
    }
}

fn collect_servers(
    entries: &[PairSettings],
    rules: &[DatacenterRule],
) -> BTreeMap<ServerAddr, Arc<Server>> {
    let mut servers: BTreeMap<ServerAddr, Arc<Server>> = BTreeMap::new();
    for entry in entries {
        for server in std::iter::once(&entry.master).chain(&entry.replicas) {
            // An address may stand in several entries, and only one of them need name the
            // datacenter.
            let known = servers.get(&server.addr);
            if known.is_none() || server.dc.is_some() {
                servers.insert(server.addr.clone(), Arc::new(place(server, rules)));
            }
        }
    }
    servers
}

/// The datacenter that the rules give the server at `addr`.
fn datacenter_of(addr: &ServerAddr, rules: &[DatacenterRule]) -> Datacenter {
    // A Unix socket has no host that a pattern could fit.
    let fits = |host: &str| {
        rules
            .iter()
            .find(|rule| rule.patterns.iter().any(|p| p.matches(host)))
    };
    addr.host()
        .and_then(fits)
        .map_or_else(Datacenter::unknown, |rule| rule.name.clone())
}

fn place(server: &ServerSettings, rules: &[DatacenterRule]) -> Server {
    let dc = server
        .dc
        .clone()
        .unwrap_or_else(|| datacenter_of(&server.addr, rules));
    let local = rules.iter().any(|rule| rule.local && rule.name == dc);
    let ServerSettings {
        addr,
        credentials,
        tls,
        ..
    } = server.clone();
    Server {
        addr,
        dc,
        local,
        credentials,
        tls,
    }
}

/// What is known of every server when pairs are made.
struct Placement<'a> {
    servers: &'a BTreeMap<ServerAddr, Arc<Server>>,
    tree_of: &'a BTreeMap<ServerAddr, TreeId>,
    upstream: &'a BTreeMap<ServerAddr, ServerAddr>,
}

impl Placement<'_> {
    fn pairs_of(&self, entry: &PairSettings) -> Vec<Arc<Pair>> {
        let labels = Arc::new(entry.labels.clone());
        let alerts = Arc::new(entry.alerts.clone());
        let master = &entry.master.addr;
        let dc_of = |addr: &ServerAddr| self.servers.get(addr).map(|server| &server.dc);
        let pair = |replica: &ServerAddr| {
            let others = entry.replicas.iter().map(|other| &other.addr);
            let shares_dc = others
                .filter(|other| *other != replica)
                .any(|other| dc_of(other) == dc_of(replica));
            Some(Arc::new(Pair {
                shares_dc,
                key: PairKey {
                    name: entry.name.clone(),
                    shard: entry.shard.clone(),
                    replica: replica.clone(),
                },
                master: master.clone(),
                top: trees::top(self.upstream, master).clone(),
                tree: self.tree_of.get(master)?.clone(),
                source_dc: self.servers.get(master)?.dc.clone(),
                target_dc: self.servers.get(replica)?.dc.clone(),
                labels: Arc::clone(&labels),
                alerts: Arc::clone(&alerts),
                heartbeat: entry.heartbeat.enabled.then_some(entry.heartbeat.interval),
            }))
        };
        entry
            .replicas
            .iter()
            .filter_map(|replica| pair(&replica.addr))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    #[test]
    fn every_server_stands_once_and_every_replica_is_a_pair() {
        let topology = Topology::from_settings(&settings_of(&[
            ("a", "m:1", &["r:1", "r:2"]),
            ("b", "m:1", &["r:3"]),
        ]));
        assert_eq!(topology.servers.len(), 4);
        let keys: Vec<_> = topology.pairs.iter().map(|p| p.key.to_string()).collect();
        assert_eq!(keys, ["a/r:1", "a/r:2", "b/r:3"]);
        assert_eq!(
            topology.trees.len(),
            1,
            "two entries share a master: one tree"
        );
    }

    #[test]
    fn a_chained_replica_is_measured_against_the_top_of_its_chain() {
        let chain = [("a", "m:1", &["r:1"][..]), ("b", "r:1", &["leaf:1"][..])];
        let topology = Topology::from_settings(&settings_of(&chain));
        let tops: Vec<_> = topology.pairs.iter().map(|p| p.top.to_string()).collect();
        assert_eq!(tops, ["m:1", "m:1"]);
        let ring = [("a", "x:1", &["y:1"][..]), ("b", "y:1", &["x:1"][..])];
        let topology = Topology::from_settings(&settings_of(&ring));
        let tops: Vec<_> = topology.pairs.iter().map(|p| p.top.to_string()).collect();
        assert_eq!(
            tops,
            ["x:1", "y:1"],
            "a ring has no top: each master is measured against itself"
        );
    }

    #[test]
    fn a_failover_turns_the_pair_and_keeps_the_tree() {
        let mut settings = settings_of(&[("orders", "z:1", &["a:1"])]);
        settings.datacenters = vec![rule("dc1", "z", true), rule("dc2", "a", false)];
        let before = Topology::from_settings(&settings);
        let mut masters = Masters::default();
        masters.follow(
            &settings.pairs,
            &settings.pairs[0].name,
            &ServerAddr::parse("a:1").unwrap(),
        );
        let after = Topology::observed(&settings.pairs, &settings.datacenters, &masters);
        assert_eq!(before.trees[0].id, after.trees[0].id);
        let shown = |t: &Topology| {
            format!(
                "{} {}>{}",
                t.pairs[0].key, t.pairs[0].source_dc, t.pairs[0].target_dc
            )
        };
        assert_eq!(
            (shown(&before), shown(&after)),
            ("orders/a:1 dc1>dc2".into(), "orders/z:1 dc2>dc1".into())
        );
        assert_eq!(after.pairs[0].top.to_string(), "a:1");
    }

    #[test]
    fn datacenters_come_from_the_file_then_from_the_rules_then_are_unknown() {
        let mut settings = settings_of(&[("a", "m.dc1:1", &["10.2.3.4:1", "elsewhere:1"])]);
        settings.pairs[0].master.dc = Some(Datacenter::new("named"));
        settings.datacenters = vec![
            rule("dc1", "*.dc1", true),
            DatacenterRule {
                name: Datacenter::new("dc2"),
                patterns: vec![crate::config::HostPattern::Network(
                    "10.2.0.0/16".parse().unwrap(),
                )],
                local: false,
            },
        ];
        let topology = Topology::from_settings(&settings);
        let pairs: Vec<_> = topology
            .pairs
            .iter()
            .map(|p| format!("{}>{}", p.source_dc, p.target_dc))
            .collect();
        assert_eq!(pairs, ["named>dc2", "named>unknown"]);
        assert!(
            topology.servers.values().all(|s| !s.local),
            "no server stands in dc1"
        );
    }

    #[test]
    fn a_unix_socket_stands_only_where_the_file_says() {
        let mut settings = settings_of(&[("a", "unix:///run/a.sock", &["unix:///run/b.sock"])]);
        settings.datacenters = vec![rule("dc1", "*", false)];
        settings.pairs[0].replicas[0].dc = Some(Datacenter::new("dc2"));
        let pair = Topology::from_settings(&settings).pairs.remove(0);
        assert_eq!(
            (pair.source_dc.as_str(), pair.target_dc.as_str()),
            ("unknown", "dc2")
        );
    }

    fn rule(name: &str, glob: &str, local: bool) -> DatacenterRule {
        DatacenterRule {
            name: Datacenter::new(name),
            patterns: vec![crate::config::HostPattern::Glob(wildmatch::WildMatch::new(
                glob,
            ))],
            local,
        }
    }
}
