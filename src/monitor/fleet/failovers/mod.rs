//! The master of each entry by what the servers report, and what every change of masters cost.
//!
//! A server takes over when it reports that it is a master and the one before it gives way: that
//! one reports that it is a replica, or it does not answer and the new one was promoted out of its
//! history. Two servers that report they are masters are no failover but two masters, until one of
//! them gives way.

mod loss_watch;
mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::histories::Histories;
use super::pairs::Pairs;
use super::servers::{ReportedMaster, ServerEntry, Servers};
use super::topology_change::EntryMaster;
use crate::info::{Observation, Role};
use crate::model::{PairName, ServerAddr, Span, Timestamp};
use crate::monitor::failover::{EntryFailovers, Failover, FailoverLoss, Promotion};
use crate::replication::{MasterHistory, MasterSample};
use crate::topology::{Pair, Topology};

use loss_watch::LossWatch;
use saved::SavedFailovers;

/// Failovers of one entry that are remembered for the alert's window; a threshold is at most as
/// high.
const MAX_RECENT_FAILOVERS: usize = 1000;

/// The master of each entry of the configuration, and its failovers.
#[derive(Debug, Default)]
pub(in crate::monitor) struct Failovers {
    entries: BTreeMap<PairName, EntryState>,
    /// The entries of which a replica reports that it is a master.
    suspected: BTreeSet<PairName>,
    /// The entries whose last failover may still turn out to have cost more, or less.
    open_losses: BTreeSet<PairName>,
    saved: SavedFailovers,
    /// [`Failovers::list`] as it was last made; `None` once anything of it has changed.
    listed: Option<Arc<[EntryFailovers]>>,
}

/// One entry's master, and its failovers so far.
#[derive(Debug)]
struct EntryState {
    master: ServerAddr,
    top: ServerAddr,
    replicas: Vec<ServerAddr>,
    past: PastFailovers,
}

/// The failovers of one entry so far.
#[derive(Debug, Default)]
struct PastFailovers {
    /// How many there were since the entry is watched.
    total: u64,
    /// When the most recent ones were, newest first.
    recent: VecDeque<Timestamp>,
    last: Option<(Failover, LossWatch)>,
}

/// The failovers of an entry within a window.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::monitor) struct RecentFailovers<'a> {
    /// How many there were.
    pub(in crate::monitor) count: u64,
    /// When the first of them was.
    pub(in crate::monitor) first: Option<Timestamp>,
    /// The last one, even if it was before the window.
    pub(in crate::monitor) last: Option<&'a Failover>,
}

impl Failovers {
    /// The master of `entry`, if it is watched.
    pub(super) fn master_of(&self, entry: &PairName) -> Option<EntryMaster<'_>> {
        let entry = self.entries.get(entry)?;
        Some(EntryMaster {
            master: &entry.master,
            top: &entry.top,
        })
    }

    /// The entries whose master is another server by what the servers report. What is watched has
    /// to follow. Cheap while no replica reports that it is a master.
    pub(super) fn promotions(
        &mut self,
        servers: &Servers,
        histories: &Histories,
        interval: Span,
        now: Timestamp,
    ) -> Vec<Promotion> {
        let mut promotions = Vec::new();
        for name in &self.suspected {
            let Some(entry) = self.entries.get(name) else {
                continue;
            };
            if let Some(to) = entry.new_master(servers, histories, interval, now) {
                promotions.push(Promotion {
                    pair: name.clone(),
                    from: entry.master.clone(),
                    to,
                });
            }
        }
        let entries = &self.entries;
        self.suspected.retain(|name| match entries.get(name) {
            Some(entry) => entry.has_replica_as_master(servers),
            None => false,
        });
        promotions
    }

    /// Records that a replica of this entry reports that it is a master.
    pub(super) fn suspect(&mut self, entry: &PairName) {
        self.suspected.insert(entry.clone());
    }

    /// Records a failover, while everything is still known of the masters before and after. Nothing
    /// is recorded if the old master was never seen as a master: then this program only learns
    /// which server is the master, and not when it took over.
    pub(super) fn record(
        &mut self,
        promotion: &Promotion,
        servers: &Servers,
        pairs: &Pairs,
        histories: &Histories,
        now: Timestamp,
    ) {
        let Some(entry) = self.entries.get_mut(&promotion.pair) else {
            return;
        };
        let history = match histories.get(&entry.top) {
            Some(history) if history.replid().is_some() => Some(history),
            _ => None,
        };
        if let Some((failover, watch)) = new_failover(promotion, servers, pairs, history, now) {
            entry.past.add(failover, watch);
            self.saved.changed = true;
            self.listed = None;
        }
    }

    /// Whether the entry is watched.
    pub(in crate::monitor) fn knows(&self, entry: &PairName) -> bool {
        self.entries.contains_key(entry)
    }

    /// Notes that the last failover of the entry is the doing of the operation `id`, if it is. A
    /// planned one does not count for the alert.
    pub(in crate::monitor) fn explain(
        &mut self,
        entry: &PairName,
        id: &str,
        is_planned: bool,
        is_its_doing: impl Fn(&Promotion) -> bool,
    ) {
        let Some(entry) = self.entries.get_mut(entry) else {
            return;
        };
        let Some((failover, _)) = &mut entry.past.last else {
            return;
        };
        if failover.operation.is_some() || !is_its_doing(&failover.promotion) {
            return;
        }
        failover.operation = Some(id.into());
        if is_planned && entry.past.recent.front() == Some(&failover.at) {
            entry.past.recent.pop_front();
        }
        self.saved.changed = true;
        self.listed = None;
    }

    /// Adopts the entries of `topology`; those that stay keep what is known of their failovers.
    pub(super) fn reconfigure(&mut self, topology: &Topology) {
        let mut known = std::mem::take(&mut self.entries);
        for pair in &topology.pairs {
            let name = &pair.key.name;
            let saved = &mut self.saved;
            let entry = self.entries.entry(name.clone()).or_insert_with(|| {
                let past = match known.remove(name) {
                    Some(known) => known.past,
                    None => saved.claim(name),
                };
                EntryState::new(pair, past)
            });
            entry.replicas.push(pair.key.replica.clone());
        }
        let entries = &self.entries;
        self.suspected.retain(|name| entries.contains_key(name));
        self.open_losses.retain(|name| entries.contains_key(name));
        self.find_open_losses();
    }

    /// The entries or their failovers were replaced: adds those whose last failover may still turn
    /// out to have cost more, or less.
    fn find_open_losses(&mut self) {
        self.listed = None;
        for (name, entry) in &self.entries {
            if entry.past.has_open_loss() {
                self.open_losses.insert(name.clone());
            }
        }
    }

    /// Updates the failovers whose cost is not known yet by what the answer of `addr` proves.
    /// `sample` is its stream, if it is a master.
    pub(super) fn measure_losses(
        &mut self,
        addr: &ServerAddr,
        sample: Option<&MasterSample>,
        info: &Observation,
        received: Timestamp,
    ) {
        if self.open_losses.is_empty() {
            return;
        }
        for name in &self.open_losses {
            let Some(entry) = self.entries.get_mut(name) else {
                continue;
            };
            let Some((failover, watch)) = &mut entry.past.last else {
                continue;
            };
            let loss_before = failover.loss;
            let watch_before = watch.clone();
            if let Some(sample) = sample
                && failover.promotion.to == *addr
            {
                watch.new_master_answered(sample);
            } else if failover.promotion.from == *addr {
                watch.old_master_answered(info, received, &mut failover.loss);
            }
            if failover.loss.exactly().is_none() && !watch.is_settled() {
                failover.loss = watch.at_least();
            }
            if loss_before != failover.loss || watch_before != *watch {
                self.saved.changed = true;
                self.listed = None;
            }
        }
        self.drop_settled_losses();
    }

    /// Drops the entries whose last failover has a final cost by now.
    fn drop_settled_losses(&mut self) {
        let entries = &self.entries;
        self.open_losses.retain(|name| match entries.get(name) {
            Some(entry) => entry.past.has_open_loss(),
            None => false,
        });
    }

    /// Makes [`Failovers::list`], unless it is known.
    pub(super) fn prepare_list(&mut self) {
        if self.listed.is_none() {
            self.listed = Some(self.new_list());
        }
    }

    /// The failovers of every entry, by name.
    pub(in crate::monitor) fn list(&self) -> Arc<[EntryFailovers]> {
        match &self.listed {
            Some(listed) => Arc::clone(listed),
            None => self.new_list(),
        }
    }

    fn new_list(&self) -> Arc<[EntryFailovers]> {
        let entries = self.entries.iter();
        let failovers = entries.map(|(name, entry)| EntryFailovers {
            pair: name.clone(),
            total: entry.past.total,
            last: entry.past.last().cloned(),
        });
        failovers.collect()
    }

    /// The failovers of the entry in the `window` before `now`.
    pub(in crate::monitor) fn recent(
        &self,
        name: &PairName,
        window: Span,
        now: Timestamp,
    ) -> RecentFailovers<'_> {
        let Some(entry) = self.entries.get(name) else {
            return RecentFailovers::default();
        };
        let past = &entry.past;
        let mut recent = RecentFailovers {
            last: past.last(),
            ..RecentFailovers::default()
        };
        for at in &past.recent {
            if now - *at >= window {
                break;
            }
            recent.count += 1;
            recent.first = Some(*at);
        }
        recent
    }
}

/// What is known of a failover at first, and what is needed to measure its cost. `None` if the old
/// master was never seen as a master.
fn new_failover(
    promotion: &Promotion,
    servers: &Servers,
    pairs: &Pairs,
    history: Option<&MasterHistory>,
    now: Timestamp,
) -> Option<(Failover, LossWatch)> {
    let old = servers.get(&promotion.from)?;
    let new = servers.get(&promotion.to)?;
    if history.is_none() && old.facts.role == Some(Role::Replica) {
        return None;
    }
    let mut watch = LossWatch::new(history);
    let mut loss = FailoverLoss::Unknown;
    if let Some(history) = history
        && let Some(reported) = &new.reported_master
    {
        watch.new_master_answered(&reported.sample);
        watch.date_last_shared(history);
        loss = watch.at_least();
    }
    let pair = pairs.with_replica(new, &promotion.pair);
    let failover = Failover {
        promotion: promotion.clone(),
        from_dc: old.meta.dc.clone(),
        to_dc: new.meta.dc.clone(),
        at: now,
        loss,
        last_known: pair.and_then(|pair| pair.facts().last_known),
        operation: None,
    };
    Some((failover, watch))
}

impl EntryState {
    /// The state of the entry that `pair` belongs to, without its replicas.
    fn new(pair: &Pair, past: PastFailovers) -> Self {
        Self {
            master: pair.master.clone(),
            top: pair.top.clone(),
            replicas: Vec::new(),
            past,
        }
    }

    /// Whether a replica of the entry reports that it is a master.
    fn has_replica_as_master(&self, servers: &Servers) -> bool {
        self.replicas
            .iter()
            .any(|addr| servers.reported_master(addr).is_some())
    }

    /// The one replica that took over from the entry's master, if one did: the one that the old
    /// master follows now or, if it follows none, the one that continues its history.
    fn new_master(
        &self,
        servers: &Servers,
        histories: &Histories,
        interval: Span,
        now: Timestamp,
    ) -> Option<ServerAddr> {
        if self.master != self.top {
            return None; // in the middle of a chain the top decides
        }
        let old = servers.get(&self.master)?;
        if old.facts.takes_turns(now) {
            return None; // it is not one server that gave way
        }
        let gave_way = old.facts.role == Some(Role::Replica);
        if !gave_way && !old.facts.is_silent(now, interval) {
            return None;
        }
        let mut reported = self.replicas_as_masters(servers, interval, now);
        reported.retain(|(addr, new)| !is_the_same_master(old, new, servers.get(addr), now));
        if gave_way {
            let is_followed =
                |new: &ReportedMaster| old.replid.as_ref() == Some(&new.sample.replid);
            let followed = addrs_where(&reported, is_followed);
            if !followed.is_empty() {
                return only_one(&followed);
            }
        }
        let history = histories.get(&self.top)?;
        let continues = |new: &ReportedMaster| history.was_taken_over_in(&new.sample);
        only_one(&addrs_where(&reported, continues))
    }

    /// The replicas that answer and report that they are masters.
    fn replicas_as_masters<'a>(
        &'a self,
        servers: &'a Servers,
        interval: Span,
        now: Timestamp,
    ) -> Vec<(&'a ServerAddr, &'a ReportedMaster)> {
        let mut found = Vec::new();
        for addr in &self.replicas {
            if let Some(server) = servers.get(addr)
                && let Some(reported) = &server.reported_master
                && server.facts.answers(now, interval)
            {
                found.push((addr, reported));
            }
        }
        found
    }
}

/// Whether `new` is no other master than `old`: the same process answers at another address now.
/// That is no promotion, until both addresses have led to the same processes for a while.
fn is_the_same_master(
    old: &ServerEntry,
    new: &ReportedMaster,
    new_at: Option<&ServerEntry>,
    now: Timestamp,
) -> bool {
    if new.run_id.is_none() || new.run_id != old.last_master {
        return false;
    }
    let is_settled = new_at.is_some_and(|server| server.is_settled(now));
    !(is_settled && old.is_settled(now))
}

/// The addresses of the masters that fulfil a condition.
fn addrs_where<'a>(
    masters: &[(&'a ServerAddr, &ReportedMaster)],
    condition: impl Fn(&ReportedMaster) -> bool,
) -> Vec<&'a ServerAddr> {
    let mut addrs = Vec::new();
    for (addr, reported) in masters {
        if condition(reported) {
            addrs.push(*addr);
        }
    }
    addrs
}

/// The only address of `addrs`: of two masters it is not known which one is right.
fn only_one(addrs: &[&ServerAddr]) -> Option<ServerAddr> {
    match addrs {
        [addr] => Some((*addr).clone()),
        _ => None,
    }
}

impl PastFailovers {
    /// Adds a failover, which is the last one now.
    fn add(&mut self, failover: Failover, watch: LossWatch) {
        self.total += 1;
        self.recent.truncate(MAX_RECENT_FAILOVERS - 1);
        self.recent.push_front(failover.at);
        self.last = Some((failover, watch));
    }

    /// The last failover.
    fn last(&self) -> Option<&Failover> {
        self.last.as_ref().map(|(failover, _)| failover)
    }

    /// Whether the last failover may still turn out to have cost more, or less.
    fn has_open_loss(&self) -> bool {
        match &self.last {
            Some((_, watch)) => !watch.is_settled(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::monitor::fleet::Fleet;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn endless_failovers_are_remembered_up_to_a_limit() {
        let directions = [("a:1", "b:1"), ("b:1", "a:1")];
        let topologies = directions.map(|(master, replica)| {
            Topology::from_settings(&settings_of(&[("orders", master, &[replica])]))
        });
        let mut fleet = Fleet::new(&topologies[0], Span::from_secs(1), at(0));
        for second in 1..=3000 {
            fleet.follow(
                &topologies[usize::from(second % 2 == 1)],
                Span::from_secs(1),
                at(second),
            );
        }
        let name = PairName::new("orders");
        assert_eq!(
            fleet.failovers.entries[&name].past.recent.len(),
            MAX_RECENT_FAILOVERS
        );
        assert_eq!(fleet.failovers.list()[0].total, 3000);
        assert_eq!(
            fleet
                .failovers
                .recent(&name, Span::from_secs(600), at(3000))
                .count,
            600
        );
        assert_eq!(
            fleet
                .failovers
                .recent(&name, Span::from_secs(600), at(9000))
                .count,
            0
        );
        assert!(fleet.pairs.applied_before_promotion_len() <= 1 && fleet.histories.is_empty());
    }

    /// A change of the file is no failover, whatever it changes.
    #[test]
    fn a_reload_that_swaps_master_and_replica_is_no_failover() {
        let [before, after] = [("a:1", "b:1"), ("b:1", "a:1")].map(|(master, replica)| {
            Topology::from_settings(&settings_of(&[("orders", master, &[replica])]))
        });
        let mut fleet = Fleet::new(&before, Span::from_secs(1), at(0));
        fleet.reconfigure(&after, Span::from_secs(1), at(1));
        assert_eq!(
            (
                fleet.failovers.list()[0].total,
                &fleet.failovers.list()[0].last
            ),
            (0, &None)
        );
    }
}
