//! Which servers, replication trees and pairs exist, and in which datacenters.
//!
//! Pure: a function of the [`Settings`], of what discovery sources report and of the masters that
//! were observed.

mod diff;
mod observed_masters;
mod sharding;
mod sources;
mod trees;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use diff::TopologyDiff;
pub use observed_masters::ObservedMasters;
pub use sharding::{configured_share, monitored_sites, owned_sites, owns_discovered, owns_source};
pub use sources::{
    ClusterGroup, ClusterNodeState, ClusterView, Discovered, DiscoveryChange, DiscoveryEvent,
    DiscoveryUpdate, Dissent, FileFailure, FileFault, FileOutcome, FilesGroup, FilesReport,
    MAX_ADDRESSES, MasterView, NameEvent, NamesGroup, PairFileState, PlacementHarm, PlacementRisk,
    ResolvedName, RoleView, SentinelGroup, SentinelState, SentinelView, ShardHarm, ShardRisk,
    SourceHealth, SourceId, SourceSubject, View, placement_risks,
};
pub use trees::{Tree, TreeId};

use crate::config::{
    AlertSettings, Credentials, DatacenterRule, PairSettings, ServerSettings, Settings, TlsSettings,
};
use crate::model::{Datacenter, PairKey, ServerAddr, Span};

/// Everything that is watched.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Its datacenter; `unknown` if neither the configuration nor a rule names one.
    pub dc: Datacenter,
    /// Whether it is in the exporter's own datacenter.
    pub local: bool,
    /// How to log in.
    pub credentials: Credentials,
    /// How to secure the connection; `None` for plain text.
    pub tls: Option<TlsSettings>,
}

/// A master and one of its replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Identifies the pair.
    pub key: PairKey,
    /// The entry's master: configured, reported by a source or observed.
    pub master: ServerAddr,
    /// The server at the top of the replication chain: the lag is measured against its stream. The
    /// master itself, unless another pair names it as its replica.
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
    /// The alert rules that apply.
    pub alerts: Arc<AlertSettings>,
    /// Time between two heartbeats; `None` where none are sent.
    pub heartbeat: Option<Span>,
}

impl Topology {
    /// What `settings` name, in the roles that they give, without discovered pairs.
    pub fn from_settings(settings: &Settings) -> Self {
        Self::from_entries(&settings.pairs, &settings.datacenters)
    }

    /// The topology of `entries` (first those of the settings, then discovered ones) in the roles
    /// that were observed. If several entries name a server, the first says how to connect to it.
    pub fn observed(
        entries: &[PairSettings],
        rules: &[DatacenterRule],
        masters: &ObservedMasters,
    ) -> Self {
        let entries: Vec<_> = entries.iter().map(|entry| masters.apply(entry)).collect();
        Self::from_entries(&entries, rules)
    }

    /// The server of these settings, in the datacenter that they or the rules name.
    pub fn server(settings: &ServerSettings, rules: &[DatacenterRule]) -> Server {
        let dc = match &settings.dc {
            Some(configured) => configured.clone(),
            None => datacenter_of(&settings.addr, rules),
        };
        let local = rules.iter().any(|rule| rule.local && rule.name == dc);
        Server {
            addr: settings.addr.clone(),
            dc,
            local,
            credentials: settings.credentials.clone(),
            tls: settings.tls.clone(),
        }
    }

    fn from_entries(entries: &[PairSettings], rules: &[DatacenterRule]) -> Self {
        let servers = collect_servers(entries, rules);
        let trees = trees::build(entries);
        let mut pairs = Vec::new();
        let builder = PairBuilder {
            servers: &servers,
            tree_of: &trees::membership(&trees),
            upstream: &trees::upstreams(entries),
        };
        for entry in entries {
            builder.add_pairs(entry, &mut pairs);
        }
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
        for settings in std::iter::once(&entry.master).chain(&entry.replicas) {
            // Several entries may name an address, and only one of them has to name the datacenter.
            if settings.dc.is_some() || !servers.contains_key(&settings.addr) {
                let server = Topology::server(settings, rules);
                servers.insert(settings.addr.clone(), Arc::new(server));
            }
        }
    }
    servers
}

/// The datacenter that the rules give to the server at `addr`.
fn datacenter_of(addr: &ServerAddr, rules: &[DatacenterRule]) -> Datacenter {
    // A Unix socket has no host that a pattern could match.
    let Some(host) = addr.host() else {
        return Datacenter::unknown();
    };
    for rule in rules {
        if rule.patterns.iter().any(|pattern| pattern.matches(host)) {
            return rule.name.clone();
        }
    }
    Datacenter::unknown()
}

/// Makes pairs of entries, with what is known of all servers.
struct PairBuilder<'a> {
    servers: &'a BTreeMap<ServerAddr, Arc<Server>>,
    tree_of: &'a BTreeMap<ServerAddr, TreeId>,
    upstream: &'a BTreeMap<ServerAddr, ServerAddr>,
}

impl PairBuilder<'_> {
    fn add_pairs(&self, entry: &PairSettings, pairs: &mut Vec<Arc<Pair>>) {
        let labels = Arc::new(entry.labels.clone());
        let alerts = Arc::new(entry.alerts.clone());
        let heartbeat = if entry.heartbeat.enabled {
            Some(entry.heartbeat.interval)
        } else {
            None
        };
        let master = &entry.master.addr;
        let (Some(source), Some(tree)) = (self.servers.get(master), self.tree_of.get(master))
        else {
            return; // it has no replicas
        };
        for replica in &entry.replicas {
            let Some(target) = self.servers.get(&replica.addr) else {
                continue; // every replica is among the servers
            };
            pairs.push(Arc::new(Pair {
                key: PairKey {
                    name: entry.name.clone(),
                    shard: entry.shard.clone(),
                    replica: replica.addr.clone(),
                },
                master: master.clone(),
                top: trees::top(self.upstream, master).clone(),
                tree: tree.clone(),
                source_dc: source.dc.clone(),
                target_dc: target.dc.clone(),
                shares_dc: self.shares_dc(target, entry),
                labels: Arc::clone(&labels),
                alerts: Arc::clone(&alerts),
                heartbeat,
            }));
        }
    }

    /// Whether another replica of the entry is in the datacenter of `replica`.
    fn shares_dc(&self, replica: &Server, entry: &PairSettings) -> bool {
        entry.replicas.iter().any(|other| {
            let Some(server) = self.servers.get(&other.addr) else {
                return false;
            };
            other.addr != replica.addr && server.dc == replica.dc
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    #[test]
    fn every_server_occurs_once_and_every_replica_is_a_pair() {
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
    fn a_failover_swaps_the_roles_and_keeps_the_tree() {
        let mut settings = settings_of(&[("orders", "z:1", &["a:1"])]);
        settings.datacenters = vec![rule("dc1", "z", true), rule("dc2", "a", false)];
        let before = Topology::from_settings(&settings);
        let mut masters = ObservedMasters::default();
        masters.follow(
            &settings.pairs,
            [(&settings.pairs[0].name, &ServerAddr::parse("a:1").unwrap())],
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
            "no server is in dc1"
        );
    }

    #[test]
    fn a_unix_socket_is_placed_only_by_the_file() {
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
