//! The keys of all alerts that are possible under one configuration: evaluations, groups and
//! inhibitions refer to alerts by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inhibition::{self, PairInhibitors, ServerInhibitors};
use super::labels::{entry_labels, exporter_labels, pair_labels, receiver_labels, server_labels};
use crate::alert::{AlertKey, Inhibitor, Labels, Rule};
use crate::config::{CountRule, Settings};
use crate::model::{PairName, ServerAddr};
use crate::topology::{Pair, Server, Topology};

/// The keys of all alerts that follow from one configuration and topology.
#[derive(Debug)]
pub(super) struct AlertKeys {
    /// In the order of the topology's pairs.
    pub(super) pairs: Vec<PairKeys>,
    pub(super) unreachable: BTreeMap<ServerAddr, AlertKey>,
    pub(super) exporter_faults: BTreeMap<ServerAddr, AlertKey>,
    pub(super) full_syncs: BTreeMap<ServerAddr, AlertKey>,
    pub(super) failovers: BTreeMap<PairName, (AlertKey, CountRule)>,
    pub(super) receivers: BTreeMap<Arc<str>, AlertKey>,
    pub(super) isolated: AlertKey,
    pub(super) reload_failed: AlertKey,
    pub(super) overloaded: AlertKey,
    /// What inhibits alerts about servers outside the exporter's own datacenter.
    pub(super) inhibitors_of_remote: Arc<[Inhibitor]>,
    /// What inhibits alerts about the full syncs that each master gives.
    pub(super) inhibitors_of_full_syncs: BTreeMap<ServerAddr, Arc<[Inhibitor]>>,
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
        let unreachable = server_keys(topology, Rule::Unreachable);
        let exporter_faults = server_keys(topology, Rule::ExporterFault);
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
            unreachable,
            exporter_faults,
            full_syncs: server_keys(topology, Rule::FullSync),
            failovers: failover_keys(topology),
            receivers: receiver_keys(settings),
            reload_failed: new_key(Rule::ConfigReloadFailed, exporter_labels(shard)),
            overloaded: new_key(Rule::ExporterOverloaded, exporter_labels(shard)),
            inhibitors_of_remote: inhibition::inhibitors_of_remote_servers(&isolated),
            isolated,
            inhibitors_of_full_syncs: inhibition::inhibitors_of_full_syncs(&history_lost),
        }
    }

    /// What inhibits the alerts about this server; `None` for a server in the exporter's own
    /// datacenter.
    pub(super) fn inhibitors_of(&self, server: &Server) -> Option<&Arc<[Inhibitor]>> {
        if server.local {
            None
        } else {
            Some(&self.inhibitors_of_remote)
        }
    }

    /// Every key of an alert about something that the configuration may drop.
    pub(super) fn removable(&self) -> impl Iterator<Item = &AlertKey> {
        let servers = self
            .unreachable
            .values()
            .chain(self.full_syncs.values())
            .chain(self.exporter_faults.values());
        self.pairs
            .iter()
            .flat_map(PairKeys::all)
            .chain(servers)
            .chain(self.receivers.values())
            .chain(self.failovers.values().map(|(key, _)| key))
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

    fn all(&self) -> [&AlertKey; 8] {
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

fn new_key(rule: Rule, labels: Labels) -> AlertKey {
    AlertKey::new(rule, Arc::new(labels))
}

fn server_keys(topology: &Topology, rule: Rule) -> BTreeMap<ServerAddr, AlertKey> {
    let servers = topology.servers.iter();
    servers
        .map(|(addr, server)| (addr.clone(), new_key(rule, server_labels(server))))
        .collect()
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

fn receiver_keys(settings: &Settings) -> BTreeMap<Arc<str>, AlertKey> {
    let mut keys = BTreeMap::new();
    for receiver in &settings.notify.receivers {
        let labels = receiver_labels(&receiver.name, settings.shard);
        let key = new_key(Rule::ReceiverFailing, labels);
        keys.insert(receiver.name.as_str().into(), key);
    }
    keys
}
