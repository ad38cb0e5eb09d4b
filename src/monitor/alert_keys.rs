//! The keys of all alerts that are possible under one configuration: evaluations, groups and
//! inhibitions refer to alerts by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inhibition::{self, PairInhibitors, ServerInhibitors};
use super::labels::{entry_labels, exporter_labels, pair_labels, receiver_labels, server_labels};
use super::site_alerts::SitesKeys;
use crate::alert::{AlertKey, AlertTarget, Inhibitor, Labels, Rule, TargetKind};
use crate::config::{CountRule, Settings};
use crate::model::{PairName, ServerAddr};
use crate::topology::{Pair, Server, Topology};

/// The keys of all alerts that follow from one configuration and topology.
#[derive(Debug)]
pub(super) struct AlertKeys {
    /// In the order of the topology's pairs.
    pub(super) pairs: Vec<PairKeys>,
    /// In the order of the topology's servers.
    pub(super) servers: Vec<Arc<ServerKeys>>,
    pub(super) failovers: BTreeMap<PairName, (AlertKey, CountRule)>,
    pub(super) receivers: BTreeMap<Arc<str>, AlertKey>,
    pub(super) sites: SitesKeys,
    pub(super) isolated: AlertKey,
    pub(super) reload_failed: AlertKey,
    pub(super) overloaded: AlertKey,
}

/// Every server of a topology with its labels, which all of its keys share.
type LabelledServers<'a> = Vec<(&'a Server, Arc<Labels>)>;

/// The keys of one server's alerts.
#[derive(Debug)]
pub(super) struct ServerKeys {
    addr: ServerAddr,
    pub(super) unreachable: AlertKey,
    pub(super) exporter_fault: AlertKey,
    pub(super) full_syncs: AlertKey,
    /// What inhibits the alerts about it; `None` for a server in the exporter's own datacenter.
    pub(super) inhibitors: Option<Arc<[Inhibitor]>>,
    /// What inhibits the alert about the full syncs that it gives.
    pub(super) inhibitors_of_full_syncs: Option<Arc<[Inhibitor]>>,
}

/// The keys of one pair's alerts.
#[derive(Debug)]
pub(super) struct PairKeys {
    pub(super) lag_seconds: AlertKey,
    pub(super) lag_bytes: AlertKey,
    pub(super) link_down: AlertKey,
    pub(super) unknown: AlertKey,
    pub(super) diverged: AlertKey,
    pub(super) history_lost: AlertKey,
    pub(super) backlog_headroom: AlertKey,
    pub(super) output_buffer: AlertKey,
    pub(super) inhibitors: PairInhibitors,
}

impl AlertKeys {
    pub(super) fn new(settings: &Settings, topology: &Topology) -> Self {
        let shard = settings.shard;
        let isolated = new_key(Rule::MonitorIsolated, exporter_labels(shard));
        let labelled = labelled_servers(topology);
        let unreachable = server_keys(&labelled, Rule::Unreachable);
        let exporter_faults = server_keys(&labelled, Rule::ExporterFault);
        let servers = ServerInhibitors {
            unreachable: &unreachable,
            faults: &exporter_faults,
            isolated: &isolated,
        };
        let mut pairs = Vec::with_capacity(topology.pairs.len());
        let mut history_lost = Vec::with_capacity(topology.pairs.len());
        for pair in &topology.pairs {
            let keys = PairKeys::new(pair, &servers, topology);
            history_lost.push((&pair.master, keys.history_lost.clone()));
            pairs.push(keys);
        }
        Self {
            pairs,
            servers: all_server_keys(&labelled, &isolated, &history_lost),
            failovers: failover_keys(topology),
            receivers: receiver_keys(settings),
            sites: SitesKeys::new(settings),
            reload_failed: new_key(Rule::ConfigReloadFailed, exporter_labels(shard)),
            overloaded: new_key(Rule::ExporterOverloaded, exporter_labels(shard)),
            isolated,
        }
    }

    /// Every target that `settings` and `topology`, from which the keys follow, make possible for
    /// an alert.
    pub(super) fn targets(&self, settings: &Settings, topology: &Topology) -> Vec<AlertTarget> {
        let mut targets = Vec::new();
        for (keys, pair) in self.pairs.iter().zip(&topology.pairs) {
            targets.push(AlertTarget {
                extra: Arc::clone(&pair.labels),
                ..target(TargetKind::Pair, &keys.link_down)
            });
        }
        for keys in &self.servers {
            targets.push(target(TargetKind::Server, &keys.unreachable));
        }
        for receiver in &settings.notify.receivers {
            if let Some(key) = self.receivers.get(receiver.name.as_str()) {
                targets.push(target(TargetKind::Receiver, key));
            }
        }
        for key in self.sites.unknown() {
            targets.push(target(TargetKind::Sites, key));
        }
        targets.push(target(TargetKind::Monitor, &self.isolated));
        targets
    }

    /// Every key of an alert about something that the configuration may drop.
    pub(super) fn removable(&self) -> impl Iterator<Item = &AlertKey> {
        self.pairs
            .iter()
            .flat_map(PairKeys::all)
            .chain(self.servers.iter().flat_map(|server| server.all()))
            .chain(self.receivers.values())
            .chain(self.failovers.values().map(|(key, _)| key))
            .chain(self.sites.all())
    }

    /// The server whose full syncs this alert is about.
    pub(super) fn full_syncs_of(&self, key: &AlertKey) -> Option<&ServerAddr> {
        let server = self
            .servers
            .iter()
            .find(|server| server.full_syncs == *key)?;
        Some(&server.addr)
    }

    /// Whether this server is watched.
    pub(super) fn has_server(&self, addr: &ServerAddr) -> bool {
        self.servers
            .binary_search_by(|server| server.addr.cmp(addr))
            .is_ok()
    }

    /// Whether this alert follows from the configuration.
    pub(super) fn contains(&self, key: &AlertKey) -> bool {
        *key == self.isolated
            || *key == self.reload_failed
            || *key == self.overloaded
            || self.removable().any(|known| known == key)
    }
}

impl PairKeys {
    fn new(pair: &Pair, servers: &ServerInhibitors<'_>, topology: &Topology) -> Self {
        let labels = Arc::new(pair_labels(pair));
        let key = |rule| AlertKey::new(rule, Arc::clone(&labels));
        let link_down = key(Rule::LinkDown);
        let history_lost = key(Rule::HistoryLost);
        Self {
            lag_seconds: key(Rule::LagSeconds),
            lag_bytes: key(Rule::LagBytes),
            unknown: key(Rule::Unknown),
            inhibitors: PairInhibitors::new(pair, &link_down, &history_lost, servers, topology),
            diverged: key(Rule::Diverged),
            backlog_headroom: key(Rule::BacklogHeadroom),
            output_buffer: key(Rule::OutputBuffer),
            link_down,
            history_lost,
        }
    }

    pub(super) fn all(&self) -> [&AlertKey; 8] {
        let Self {
            lag_seconds,
            lag_bytes,
            link_down,
            unknown,
            diverged,
            history_lost,
            backlog_headroom,
            output_buffer,
            inhibitors: _,
        } = self;
        [
            lag_seconds,
            lag_bytes,
            link_down,
            unknown,
            diverged,
            history_lost,
            backlog_headroom,
            output_buffer,
        ]
    }
}

impl ServerKeys {
    pub(super) fn all(&self) -> [&AlertKey; 3] {
        [&self.unreachable, &self.exporter_fault, &self.full_syncs]
    }
}

/// The keys of every server's alerts. `history_lost`: the master of each pair, and the alert about
/// the pair's lost history.
fn all_server_keys(
    labelled: &LabelledServers<'_>,
    isolated: &AlertKey,
    history_lost: &[(&ServerAddr, AlertKey)],
) -> Vec<Arc<ServerKeys>> {
    let of_remote = inhibition::inhibitors_of_remote_servers(isolated);
    let mut of_full_syncs = inhibition::inhibitors_of_full_syncs(history_lost);
    let mut all = Vec::with_capacity(labelled.len());
    for (server, labels) in labelled {
        let key = |rule| AlertKey::new(rule, Arc::clone(labels));
        all.push(Arc::new(ServerKeys {
            addr: server.addr.clone(),
            unreachable: key(Rule::Unreachable),
            exporter_fault: key(Rule::ExporterFault),
            full_syncs: key(Rule::FullSync),
            inhibitors: (!server.local).then(|| Arc::clone(&of_remote)),
            inhibitors_of_full_syncs: of_full_syncs.remove(&server.addr),
        }));
    }
    all
}

fn new_key(rule: Rule, labels: Labels) -> AlertKey {
    AlertKey::new(rule, Arc::new(labels))
}

fn labelled_servers(topology: &Topology) -> LabelledServers<'_> {
    let servers = topology.servers.values();
    servers
        .map(|server| (&**server, Arc::new(server_labels(server))))
        .collect()
}

fn server_keys(labelled: &LabelledServers<'_>, rule: Rule) -> BTreeMap<ServerAddr, AlertKey> {
    let mut keys = BTreeMap::new();
    for (server, labels) in labelled {
        let key = AlertKey::new(rule, Arc::clone(labels));
        keys.insert(server.addr.clone(), key);
    }
    keys
}

fn failover_keys(topology: &Topology) -> BTreeMap<PairName, (AlertKey, CountRule)> {
    let mut keys = BTreeMap::new();
    for pair in &topology.pairs {
        let name = &pair.key.name;
        let key = new_key(Rule::Failover, entry_labels(name));
        keys.insert(name.clone(), (key, pair.alerts.failover));
    }
    keys
}

/// The target of the alert with this key.
fn target(kind: TargetKind, key: &AlertKey) -> AlertTarget {
    AlertTarget {
        kind,
        labels: Arc::clone(&key.identity().labels),
        extra: Arc::default(),
    }
}

fn receiver_keys(settings: &Settings) -> BTreeMap<Arc<str>, AlertKey> {
    let mut keys = BTreeMap::new();
    for receiver in &settings.notify.receivers {
        let labels = receiver_labels(&receiver.name, settings.shard);
        let key = new_key(Rule::ReceiverFailing, labels);
        keys.insert(receiver.name.as_str().into(), key);
    }
    keys
}
