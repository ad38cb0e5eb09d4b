//! The keys of all that may be alerted on: what evaluations, groups and look-ups name alerts by.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inhibition::{self, PairInhibitors, ServerInhibitors};
use crate::alert::{AlertKey, Inhibitor, Labels, Rule};
use crate::config::{CountRule, NotifySettings};
use crate::model::{PairName, ServerAddr};
use crate::topology::{Pair, Server, Topology};

/// The keys of one pair's alerts.
#[derive(Debug)]
pub(super) struct PairKeys {
    pub(super) lag_seconds: AlertKey,
    pub(super) lag_bytes: AlertKey,
    pub(super) link_down: AlertKey,
    pub(super) unknown: AlertKey,
    pub(super) diverged: AlertKey,
    pub(super) history_lost: AlertKey,
    pub(super) inhibitors: PairInhibitors,
}

pub(super) fn pair_keys(
    topology: &Topology,
    unreachable: &BTreeMap<ServerAddr, AlertKey>,
    faults: &BTreeMap<ServerAddr, AlertKey>,
) -> Vec<PairKeys> {
    let servers = ServerInhibitors {
        unreachable,
        faults,
    };
    topology
        .pairs
        .iter()
        .map(|pair| PairKeys::of(pair, &servers, topology))
        .collect()
}

pub(super) fn inhibitors_of_full_syncs(
    topology: &Topology,
    keys: &[PairKeys],
) -> BTreeMap<ServerAddr, Arc<[Inhibitor]>> {
    let masters = topology.pairs.iter().map(|pair| &pair.master);
    let lost = keys.iter().map(|keys| &keys.history_lost);
    inhibition::of_full_syncs(masters.zip(lost))
}

pub(super) fn receiver_keys(settings: &NotifySettings) -> BTreeMap<Arc<str>, AlertKey> {
    let key = |name: &str| {
        AlertKey::new(
            Rule::ReceiverFailing,
            Arc::new(labels([("receiver", name.to_owned())])),
        )
    };
    settings
        .receivers
        .iter()
        .map(|receiver| (receiver.name.as_str().into(), key(&receiver.name)))
        .collect()
}

impl PairKeys {
    fn of(pair: &Pair, servers: &ServerInhibitors<'_>, topology: &Topology) -> Self {
        let labels = Arc::new(pair_labels(pair));
        let key = |rule| AlertKey::new(rule, Arc::clone(&labels));
        let link_down = key(Rule::LinkDown);
        let history_lost = key(Rule::HistoryLost);
        Self {
            lag_seconds: key(Rule::LagSeconds),
            lag_bytes: key(Rule::LagBytes),
            unknown: key(Rule::Unknown),
            inhibitors: PairInhibitors::of(pair, &link_down, &history_lost, servers, topology),
            diverged: key(Rule::Diverged),
            link_down,
            history_lost,
        }
    }

    pub(super) fn all(&self) -> [&AlertKey; 6] {
        let Self {
            lag_seconds,
            lag_bytes,
            link_down,
            unknown,
            diverged,
            history_lost,
            ..
        } = self;
        [
            lag_seconds,
            lag_bytes,
            link_down,
            unknown,
            diverged,
            history_lost,
        ]
    }
}

pub(super) fn pair_labels(pair: &Pair) -> Labels {
    labels([
        ("pair", pair.key.name.to_string()),
        ("source_dc", pair.source_dc.to_string()),
        ("target_dc", pair.target_dc.to_string()),
        ("replica", pair.key.replica.to_string()),
    ])
}

fn labels<const N: usize>(pairs: [(&str, String); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

pub(super) fn server_labels(server: &Server) -> Labels {
    labels([
        ("dc", server.dc.to_string()),
        ("server", server.addr.to_string()),
    ])
}

pub(super) fn server_keys(topology: &Topology, rule: Rule) -> BTreeMap<ServerAddr, AlertKey> {
    let key = |server: &Server| AlertKey::new(rule, Arc::new(server_labels(server)));
    topology
        .servers
        .iter()
        .map(|(addr, server)| (addr.clone(), key(server)))
        .collect()
}

pub(super) fn entry_keys(topology: &Topology) -> BTreeMap<PairName, (AlertKey, CountRule)> {
    let entry = |pair: &Arc<Pair>| {
        let key = AlertKey::new(
            Rule::Failover,
            Arc::new(labels([("pair", pair.key.name.to_string())])),
        );
        (pair.key.name.clone(), (key, pair.alerts.failover))
    };
    topology.pairs.iter().map(entry).collect()
}
