//! Which alert inhibits which: one fault, one page.
//!
//! In order: this exporter is cut off; a server does not answer or gives this exporter no access; a
//! master came back without its history; a link is down or stalled; and then the lag of that pair,
//! and that the lag is unknown. An unreachable replica does not inhibit a critical lag: its
//! master's ACKs prove that one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::{AlertKey, Inhibitor};
use crate::config::Severity;
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

/// The alerts about servers, and about this exporter, that inhibit those about pairs.
#[derive(Debug)]
pub(super) struct ServerInhibitors<'a> {
    /// The server does not answer.
    pub(super) unreachable: &'a BTreeMap<ServerAddr, AlertKey>,
    /// This exporter has no access to the server.
    pub(super) faults: &'a BTreeMap<ServerAddr, AlertKey>,
    /// This exporter is cut off.
    pub(super) isolated: &'a AlertKey,
}

impl ServerInhibitors<'_> {
    /// The alerts about the server at `addr`, each inhibiting alerts up to that severity.
    fn of_server(&self, addr: &ServerAddr, up_to: Severity) -> Vec<Inhibitor> {
        let mut inhibitors = Vec::new();
        for keys in [self.unreachable, self.faults] {
            if let Some(key) = keys.get(addr) {
                inhibitors.push(inhibitor(key.clone(), up_to));
            }
        }
        inhibitors
    }
}

impl PairInhibitors {
    /// The inhibitors of the alerts of `pair`, whose link has the alert `link_down` and whose
    /// master's history the alert `history_lost`.
    pub(super) fn new(
        pair: &Pair,
        link_down: &AlertKey,
        history_lost: &AlertKey,
        servers: &ServerInhibitors<'_>,
        topology: &Topology,
    ) -> Self {
        let isolation = isolation_inhibitors(pair, servers.isolated, topology);
        let history_lost = inhibitor(history_lost.clone(), Severity::Critical);
        let mut of_masters = isolation.clone();
        of_masters.extend(servers.of_server(&pair.top, Severity::Critical));
        of_masters.extend(servers.of_server(&pair.master, Severity::Critical));
        of_masters.push(history_lost.clone());

        let replica = &pair.key.replica;
        let link_down = inhibitor(link_down.clone(), Severity::Critical);
        let mut lag = of_masters.clone();
        lag.extend(servers.of_server(replica, Severity::Warning));
        lag.push(link_down.clone());
        let mut link = of_masters;
        link.extend(servers.of_server(replica, Severity::Critical));
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

/// What inhibits the alerts of a pair with a remote server: that this exporter is cut off.
fn isolation_inhibitors(pair: &Pair, isolated: &AlertKey, topology: &Topology) -> Vec<Inhibitor> {
    let servers = [&pair.top, &pair.master, &pair.key.replica];
    if servers.iter().any(|addr| is_remote(topology, addr)) {
        vec![inhibitor(isolated.clone(), Severity::Critical)]
    } else {
        Vec::new()
    }
}

/// Whether the server is outside the exporter's own datacenter.
fn is_remote(topology: &Topology, addr: &ServerAddr) -> bool {
    topology
        .servers
        .get(addr)
        .is_some_and(|server| !server.local)
}

/// What inhibits the alert about full syncs of each master: that it lost the history of its pairs.
/// `history_lost`: the master of each pair, and the alert about the pair's lost history.
pub(super) fn inhibitors_of_full_syncs(
    history_lost: &[(&ServerAddr, AlertKey)],
) -> BTreeMap<ServerAddr, Arc<[Inhibitor]>> {
    let mut by_master: BTreeMap<&ServerAddr, Vec<Inhibitor>> = BTreeMap::new();
    for (master, key) in history_lost {
        let lost = inhibitor(key.clone(), Severity::Critical);
        by_master.entry(master).or_default().push(lost);
    }
    let mut inhibitors = BTreeMap::new();
    for (master, of_master) in by_master {
        inhibitors.insert(master.clone(), of_master.into());
    }
    inhibitors
}

/// What inhibits alerts about remote servers: `isolated`, that this exporter is cut off. Nothing
/// inhibits alerts about local ones.
pub(super) fn inhibitors_of_remote_servers(isolated: &AlertKey) -> Arc<[Inhibitor]> {
    [inhibitor(isolated.clone(), Severity::Critical)].into()
}

const fn inhibitor(key: AlertKey, up_to: Severity) -> Inhibitor {
    Inhibitor { key, up_to }
}
