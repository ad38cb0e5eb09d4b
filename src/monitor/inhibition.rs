//! Which alert inhibits which: one fault, one page.
//!
//! In order: this exporter is cut off; a server does not answer or gives this exporter no access; a
//! master came back without its history; a link is down or stalled; and then the lag of that pair,
//! and that the lag is unknown. An unreachable replica does not inhibit a critical lag: its
//! master's ACKs prove that one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::labels::{pair_labels, receiver_labels, server_labels};
use crate::alert::{AlertKey, AlertTarget, Inhibitor, Labels, Rule, TargetKind};
use crate::config::{NotifySettings, Severity};
use crate::model::ServerAddr;
use crate::topology::{Pair, Topology};

/// What inhibits each of one pair's alerts.
#[derive(Debug, Default)]
pub(super) struct PairInhibitors {
    /// A lag, in seconds or bytes.
    pub(super) lag: Arc<[Inhibitor]>,
    /// A link that is down or stalled.
    pub(super) link: Arc<[Inhibitor]>,
    /// An unknown lag.
    pub(super) unknown: Arc<[Inhibitor]>,
    /// Two histories.
    pub(super) diverged: Arc<[Inhibitor]>,
    /// A history that the master lost.
    pub(super) history_lost: Arc<[Inhibitor]>,
}

/// The alerts about servers that inhibit those about pairs.
#[derive(Debug)]
pub(super) struct ServerInhibitors<'a> {
    /// The server does not answer.
    pub(super) unreachable: &'a BTreeMap<ServerAddr, AlertKey>,
    /// This exporter has no access to the server.
    pub(super) faults: &'a BTreeMap<ServerAddr, AlertKey>,
}

impl ServerInhibitors<'_> {
    /// The alerts about the server at `addr`, each inhibiting alerts up to that severity.
    fn of_server(&self, addr: &ServerAddr, up_to: Severity) -> Vec<Inhibitor> {
        let keys = [self.unreachable.get(addr), self.faults.get(addr)];
        keys.into_iter()
            .flatten()
            .map(|key| inhibitor(key.clone(), up_to))
            .collect()
    }
}

impl PairInhibitors {
    /// The inhibitors of the alerts of `pair`, whose link has the alert `link_down` and whose master's
    /// history the alert `history_lost`.
    pub(super) fn new(
        pair: &Pair,
        link_down: &AlertKey,
        history_lost: &AlertKey,
        servers: &ServerInhibitors<'_>,
        topology: &Topology,
    ) -> Self {
        let replica = &pair.key.replica;
        let mut isolation = Vec::new();
        if [&pair.top, &pair.master, replica]
            .iter()
            .any(|addr| is_remote(topology, addr))
        {
            isolation.push(inhibitor(isolated(), Severity::Critical));
        }
        let history_lost = inhibitor(history_lost.clone(), Severity::Critical);
        let mut masters = isolation.clone();
        masters.extend(servers.of_server(&pair.top, Severity::Critical));
        masters.extend(servers.of_server(&pair.master, Severity::Critical));
        masters.push(history_lost.clone());
        let with_replica = |up_to| {
            let mut inhibitors = masters.clone();
            inhibitors.extend(servers.of_server(replica, up_to));
            inhibitors
        };
        let link_down = inhibitor(link_down.clone(), Severity::Critical);
        let mut lag = with_replica(Severity::Warning);
        lag.push(link_down.clone());
        let link = with_replica(Severity::Critical);
        let mut unknown = link.clone();
        unknown.push(link_down);
        Self {
            lag: lag.into(),
            link: link.into(),
            unknown: unknown.into(),
            diverged: [history_lost].into(),
            history_lost: isolation.into(),
        }
    }
}

/// Whether the server is outside the exporter's own datacenter.
fn is_remote(topology: &Topology, addr: &ServerAddr) -> bool {
    topology
        .servers
        .get(addr)
        .is_some_and(|server| !server.local)
}

/// The alert that this exporter is cut off.
pub(super) fn isolated() -> AlertKey {
    AlertKey::new(Rule::MonitorIsolated, Arc::default())
}

/// What inhibits the alert about full syncs of each master: that it lost the history of its pairs.
pub(super) fn inhibitors_of_full_syncs<'a>(
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

/// What inhibits alerts about remote servers; those about local ones have no cause.
pub(super) fn inhibitors_of_remote_servers() -> Arc<[Inhibitor]> {
    [inhibitor(isolated(), Severity::Critical)].into()
}

const fn inhibitor(key: AlertKey, up_to: Severity) -> Inhibitor {
    Inhibitor { key, up_to }
}

/// Everything that there could be an alert about, as far as the configuration says.
pub(super) fn targets(topology: &Topology, notify: &NotifySettings) -> Vec<AlertTarget> {
    let mut targets = Vec::new();
    for pair in &topology.pairs {
        targets.push(AlertTarget {
            kind: TargetKind::Pair,
            labels: Arc::new(pair_labels(pair)),
            extra: Arc::clone(&pair.labels),
        });
    }
    for server in topology.servers.values() {
        targets.push(target(TargetKind::Server, server_labels(server)));
    }
    for receiver in &notify.receivers {
        let labels = receiver_labels(&receiver.name);
        targets.push(target(TargetKind::Receiver, labels));
    }
    targets.push(target(TargetKind::Monitor, Labels::default()));
    targets
}

fn target(kind: TargetKind, labels: Labels) -> AlertTarget {
    AlertTarget {
        kind,
        labels: Arc::new(labels),
        extra: Arc::default(),
    }
}
