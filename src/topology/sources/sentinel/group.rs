//! How the Sentinels of an entry are, grouped by the master that they watch.

use std::collections::BTreeSet;

use super::SentinelSource;
use super::agreement::{MasterView, SentinelView};
use super::observation::MasterObservation;
use super::placement::{PlacementRisk, placement_risks};
use crate::config::DatacenterRule;
use crate::info::{KnownSentinel, QuorumCheck};
use crate::model::{Datacenter, PairName, PollFailure, ServerAddr};
use crate::topology::datacenter_of;
use crate::topology::sources::entry::SourceEntry;

/// The Sentinels that watch one master.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelGroup {
    /// The name of the master's pairs; the entry's name while no master is known.
    pub pair: PairName,
    /// The master that the Sentinels agree on.
    pub master: Option<ServerAddr>,
    /// Every Sentinel of the entry, by address.
    pub sentinels: Vec<SentinelState>,
    /// Risks in where the Sentinels run, as far as that is known.
    pub risks: Vec<PlacementRisk>,
    /// Whether it is known: some Sentinel has listed the others and reported the quorum.
    pub placement_known: bool,
}

/// One Sentinel, and its view of one master.
#[derive(Clone, Debug, PartialEq)]
pub struct SentinelState {
    /// Where it listens.
    pub addr: ServerAddr,
    /// Its datacenter.
    pub dc: Datacenter,
    /// Whether the last query succeeded; `None` before the first.
    pub answer: Option<Result<(), PollFailure>>,
    /// Whether enough Sentinels are reachable for a failover; `None` if not reported.
    pub quorum: Option<QuorumCheck>,
    /// Whether it names the agreed master; `None` if it does not know the master.
    pub agrees: Option<bool>,
    /// Whether it is in TILT; `None` if not reported.
    pub tilted: Option<bool>,
}

/// The Sentinels of `source`, one group for each master; one without a master while none is known.
pub(in crate::topology::sources) fn groups(
    source: &SourceEntry<SentinelSource>,
    rules: &[DatacenterRule],
) -> Vec<SentinelGroup> {
    let settings = &source.kind.settings;
    let mut groups = Vec::new();
    for (name, master) in &source.kind.masters {
        let Some(pair) = settings.pair_name(name) else {
            continue;
        };
        let risks = risks(source, name, master, rules);
        groups.push(SentinelGroup {
            pair,
            master: Some(master.addr.clone()),
            sentinels: states(source, Some((name.as_str(), &master.addr)), rules),
            placement_known: risks.is_some(),
            risks: risks.unwrap_or_default(),
        });
    }
    if groups.is_empty() {
        groups.push(SentinelGroup {
            pair: settings.name.clone(),
            master: None,
            sentinels: states(source, None, rules),
            risks: Vec::new(),
            placement_known: false,
        });
    }
    groups
}

/// Every Sentinel of `source`, with its view of the master with this name and agreed address.
fn states(
    source: &SourceEntry<SentinelSource>,
    master: Option<(&str, &ServerAddr)>,
    rules: &[DatacenterRule],
) -> Vec<SentinelState> {
    let mut states = Vec::new();
    for (addr, answer) in source.answers() {
        let mut state = SentinelState {
            addr: addr.clone(),
            dc: datacenter_of(addr, rules),
            answer: None,
            quorum: None,
            agrees: None,
            tilted: None,
        };
        match answer {
            None => {}
            Some(Err(failure)) => state.answer = Some(Err(failure.clone())),
            Some(Ok(view)) => state.apply(view, master),
        }
        states.push(state);
    }
    states
}

impl SentinelState {
    /// Adds what `view` reports of the Sentinel itself, and of the master if it knows it.
    fn apply(&mut self, view: &SentinelView, master: Option<(&str, &ServerAddr)>) {
        self.answer = Some(Ok(()));
        self.tilted = view.tilted;
        if let Some((name, agreed)) = master
            && let Some(seen) = view.masters.get(name)
        {
            self.quorum = seen.quorum;
            self.agrees = Some(seen.master.addr == *agreed);
        }
    }
}

/// Risks in where the Sentinels of a master run; `None` while no Sentinel that names the agreed
/// master has listed the others and reported the quorum.
fn risks(
    source: &SourceEntry<SentinelSource>,
    name: &str,
    master: &MasterObservation,
    rules: &[DatacenterRule],
) -> Option<Vec<PlacementRisk>> {
    let (reporter, view, others) = best_informed(source, name, &master.addr)?;
    let quorum = usize::try_from(view.master.quorum?).ok()?;
    let mut sentinel_dcs = vec![datacenter_of(reporter, rules)];
    for other in others {
        sentinel_dcs.push(datacenter_of(&other.addr, rules));
    }
    let master_dc = datacenter_of(&master.addr, rules);
    let replicas = master.replicas();
    let replica_dcs: BTreeSet<_> = replicas
        .map(|replica| datacenter_of(replica, rules))
        .collect();
    let risks = placement_risks(quorum, &sentinel_dcs, &master_dc, &replica_dcs);
    Some(risks)
}

/// The Sentinel that names the agreed master and lists the most other Sentinels.
fn best_informed<'a>(
    source: &'a SourceEntry<SentinelSource>,
    name: &str,
    agreed: &ServerAddr,
) -> Option<(&'a ServerAddr, &'a MasterView, &'a [KnownSentinel])> {
    let mut best: Option<(_, _, &[KnownSentinel])> = None;
    for (reporter, view) in source.views() {
        let Some(view) = view.masters.get(name) else {
            continue;
        };
        let Some(others) = &view.sentinels else {
            continue;
        };
        let is_better = best.is_none_or(|(_, _, most)| others.len() >= most.len());
        if view.master.addr == *agreed && is_better {
            best = Some((reporter, view, others));
        }
    }
    best
}
