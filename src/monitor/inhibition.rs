//! What explains what: one cause, one page.
//!
//! In order: this exporter is cut off, a server does not answer or gives this exporter no access, a
//! master came back without its history, a link is down or stalled, and then the lag of that pair
//! and that nobody knows it. An unreachable replica is no reason for a
//! critical lag: its master's ACKs prove that one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::{AlertKey, AlertTarget, Inhibitor, Labels, Rule, TargetKind};
use crate::config::{NotifySettings, Severity};
use crate::model::ServerAddr;
use crate::topology::{Pair, Topology};

/// The causes of one pair's alerts.
#[derive(Debug, Default)]
pub(super) struct PairInhibitors {
    /// Of a lag, in seconds or bytes.
    pub(super) lag: Arc<[Inhibitor]>,
    /// Of a link that is down or stalled.
    pub(super) link: Arc<[Inhibitor]>,
    /// Of a lag that nobody knows.
    pub(super) unknown: Arc<[Inhibitor]>,
    /// Of two histories.
    pub(super) diverged: Arc<[Inhibitor]>,
    /// Of a history that the master lost.
    pub(super) history_lost: Arc<[Inhibitor]>,
}

/// The alerts about servers that explain those about pairs.
#[derive(Debug)]
pub(super) struct ServerInhibitors<'a> {
    /// That a server does not answer.
    pub(super) unreachable: &'a BTreeMap<ServerAddr, AlertKey>,
    /// That this exporter has no access to it.
    pub(super) faults: &'a BTreeMap<ServerAddr, AlertKey>,
}

impl ServerInhibitors<'_> {
    /// The alerts about the server at `addr`.
    fn keys(&self, addr: &ServerAddr) -> impl Iterator<Item = AlertKey> + use<> {
        let both = [self.unreachable.get(addr), self.faults.get(addr)];
        both.map(Option::<&AlertKey>::cloned).into_iter().flatten()
    }
}

impl PairInhibitors {
    /// The causes of the alerts of `pair`, whose link has the alert `link_down` and whose master's
    /// history the alert `history_lost`.
    pub(super) fn of(
        pair: &Pair,
        link_down: &AlertKey,
        history_lost: &AlertKey,
        servers: &ServerInhibitors<'_>,
        topology: &Topology,
    ) -> Self {
        let replica = &pair.key.replica;
        let is_remote = |addr: &&ServerAddr| {
            topology
                .servers
                .get(*addr)
                .is_some_and(|server| !server.local)
        };
        let cut_off = [&pair.top, &pair.master, replica]
            .iter()
            .any(is_remote)
            .then(isolated);
        let masters = [&pair.top, &pair.master]
            .into_iter()
            .flat_map(|addr| servers.keys(addr));
        let certainly = |key| inhibitor(key, Severity::Critical);
        let lost = certainly(history_lost.clone());
        let cut_off = cut_off.map(certainly);
        let above: Vec<Inhibitor> = cut_off
            .clone()
            .into_iter()
            .chain(masters.map(certainly))
            .chain([lost.clone()])
            .collect();
        let replica = |up_to| {
            let keys = servers.keys(replica);
            keys.map(move |key| inhibitor(key, up_to))
                .collect::<Vec<_>>()
        };
        let down = || inhibitor(link_down.clone(), Severity::Critical);
        let all = |replica: Vec<Inhibitor>, link: Option<Inhibitor>| {
            above.iter().cloned().chain(replica).chain(link).collect()
        };
        Self {
            lag: all(replica(Severity::Warning), Some(down())),
            link: all(replica(Severity::Critical), None),
            unknown: all(replica(Severity::Critical), Some(down())),
            diverged: [lost].into(),
            history_lost: cut_off.into_iter().collect(),
        }
    }
}

/// The alert that this exporter is cut off.
pub(super) fn isolated() -> AlertKey {
    AlertKey::new(Rule::MonitorIsolated, Arc::default())
}

/// The causes of the full syncs that each master gives: that it lost the history of its pairs.
pub(super) fn of_full_syncs<'a>(
    pairs: impl Iterator<Item = (&'a ServerAddr, &'a AlertKey)>,
) -> BTreeMap<ServerAddr, Arc<[Inhibitor]>> {
    let mut inhibitors: BTreeMap<ServerAddr, Vec<Inhibitor>> = BTreeMap::new();
    for (master, history_lost) in pairs {
        let lost = inhibitor(history_lost.clone(), Severity::Critical);
        inhibitors.entry(master.clone()).or_default().push(lost);
    }
    inhibitors
        .into_iter()
        .map(|(master, inhibitors)| (master, inhibitors.into()))
        .collect()
}

/// The causes of each remote server's alert; those of local ones have none.
pub(super) fn of_remote_servers() -> Arc<[Inhibitor]> {
    [inhibitor(isolated(), Severity::Critical)].into()
}

const fn inhibitor(key: AlertKey, up_to: Severity) -> Inhibitor {
    Inhibitor { key, up_to }
}

/// Everything that there could be an alert about, as far as the configuration says.
pub(super) fn targets(topology: &Topology, notify: &NotifySettings) -> Vec<AlertTarget> {
    let of_alert = |kind, labels: Labels, extra: Arc<Labels>| AlertTarget {
        kind,
        labels: Arc::new(labels),
        extra,
    };
    let pairs = topology.pairs.iter().map(|pair| {
        of_alert(
            TargetKind::Pair,
            super::alert_keys::pair_labels(pair),
            Arc::clone(&pair.labels),
        )
    });
    let servers = topology.servers.values().map(|server| {
        of_alert(
            TargetKind::Server,
            super::alert_keys::server_labels(server),
            Arc::default(),
        )
    });
    let receivers = notify.receivers.iter().map(|receiver| {
        let labels = Labels::from([("receiver".to_owned(), receiver.name.clone())]);
        of_alert(TargetKind::Receiver, labels, Arc::default())
    });
    let monitor = of_alert(TargetKind::Monitor, Labels::default(), Arc::default());
    pairs
        .chain(servers)
        .chain(receivers)
        .chain([monitor])
        .collect()
}
