//! Who is the master of each entry by what the servers say, and what every change of masters cost.
//!
//! A server takes over when it says that it is a master, and the one before it gives way: it says
//! that it is a replica, or it does not answer and the other one was promoted out of its history.
//! Two that say they are masters are no failover but two masters, until one of them gives way.

mod saved;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::Fleet;
use crate::info::{Observation, Role};
use crate::model::{
    Bytes, PairName, ReplicationId, ReplicationOffset, RunId, ServerAddr, Span, Timestamp,
};
use crate::monitor::failover::{EntryFailovers, Failover, Loss, Succession};
use crate::replication::{Comparison, MasterHistory, MasterSample};
use crate::topology::Topology;

pub(super) use saved::FailoversKept;

/// Failovers of one entry that are remembered for the alert's window; a level is at most as high.
const MAX_RECENT_FAILOVERS: usize = 1000;

/// What a server showed when it last said that it is a master.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) sample: MasterSample,
    pub(super) run_id: Option<RunId>,
}

/// One entry's master, and the failovers so far.
#[derive(Debug)]
pub(super) struct Entry {
    master: ServerAddr,
    top: ServerAddr,
    replicas: Vec<ServerAddr>,
    total: u64,
    recent: VecDeque<Timestamp>,
    last: Option<(Failover, LossWatch)>,
}

/// The failovers of an entry within a window.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::monitor) struct RecentFailovers<'a> {
    /// How many.
    pub(in crate::monitor) count: u64,
    /// When the first of them was.
    pub(in crate::monitor) first: Option<Timestamp>,
    /// The last one ever.
    pub(in crate::monitor) last: Option<&'a Failover>,
}

/// What is needed to measure what a failover cost.
#[derive(Clone, Debug)]
struct LossWatch {
    /// The history that the old master wrote.
    replid: Option<ReplicationId>,
    /// The newest offset that it showed.
    shown: Option<ReplicationOffset>,
    /// The last offset that the new master shares.
    last_shared: Option<ReplicationOffset>,
    /// When the old master certainly had nothing beyond it.
    shared_at: Option<Timestamp>,
    /// Whether nothing more will come to light.
    settled: bool,
}

/// What a change of the topology does to the trees' histories.
pub(super) struct Turns {
    /// The top of a tree before and after.
    pub(super) moves: BTreeMap<ServerAddr, ServerAddr>,
    /// The entries that have another master.
    pub(super) turned: BTreeMap<PairName, Succession>,
}

impl Turns {
    /// What turns from the entries that are known to those of `topology`.
    pub(super) fn between(fleet: &Fleet, topology: &Topology) -> Self {
        let members = members(fleet);
        let mut turns = Self {
            moves: BTreeMap::new(),
            turned: BTreeMap::new(),
        };
        for pair in &topology.pairs {
            let name = &pair.key.name;
            let Some(old) = fleet.entries.get(name) else {
                continue;
            };
            let same_tree =
                |addr: &ServerAddr| members.get(&old.top).is_some_and(|all| all.contains(addr));
            if old.top != pair.top && same_tree(&pair.top) {
                turns
                    .moves
                    .entry(old.top.clone())
                    .or_insert_with(|| pair.top.clone());
            }
            if old.master != pair.master && same_tree(&pair.master) {
                let (pair, from, to) = (name.clone(), old.master.clone(), pair.master.clone());
                turns
                    .turned
                    .insert(pair.clone(), Succession { pair, from, to });
            }
        }
        turns
    }

    /// Whether what is known of a pair that was measured against `old` still counts against `new`.
    pub(super) fn keeps(&self, old: &ServerAddr, new: &ServerAddr) -> bool {
        old == new || self.moves.get(old) == Some(new)
    }
}

/// The servers that are measured against each top, and the top itself.
fn members(fleet: &Fleet) -> HashMap<&ServerAddr, BTreeSet<&ServerAddr>> {
    let mut members: HashMap<_, BTreeSet<_>> = HashMap::new();
    for pair in &fleet.pairs {
        let meta = &pair.meta;
        members
            .entry(&meta.top)
            .or_default()
            .extend([&meta.top, &meta.master, &meta.key.replica]);
    }
    members
}

impl Fleet {
    /// The entries whose master is another server by what the servers say. What is watched is to
    /// follow.
    pub(in crate::monitor) fn successions(&mut self, now: Timestamp) -> Vec<Succession> {
        let doubted = std::mem::take(&mut self.doubted);
        let found = doubted.iter().filter_map(|name| {
            let entry = self.entries.get(name)?;
            let to = self.successor(entry, now)?;
            Some(Succession {
                pair: name.clone(),
                from: entry.master.clone(),
                to,
            })
        });
        let found = found.collect();
        self.doubted = doubted
            .into_iter()
            .filter(|name| self.is_doubtful(name))
            .collect();
        found
    }

    /// Whether a replica of the entry says that it is a master.
    fn is_doubtful(&self, name: &PairName) -> bool {
        self.entries.get(name).is_some_and(|entry| {
            entry
                .replicas
                .iter()
                .any(|addr| self.claim_of(addr).is_some())
        })
    }

    /// Notes that a replica says that it is a master.
    pub(super) fn doubt_entries_of(&mut self, replica: &ServerAddr) {
        let Some(server) = self.servers.get(replica) else {
            return;
        };
        let names = server
            .as_replica
            .iter()
            .map(|index| &self.pairs[*index].meta.key.name);
        self.doubted.extend(names.cloned());
    }

    fn claim_of(&self, addr: &ServerAddr) -> Option<&Claim> {
        self.servers.get(addr)?.claim.as_ref()
    }

    /// The one server that took over from the entry's master, if one did.
    fn successor(&self, entry: &Entry, now: Timestamp) -> Option<ServerAddr> {
        if entry.master != entry.top {
            return None; // in the middle of a chain the top decides
        }
        let master = self.servers.get(&entry.master)?;
        let gave_way = master.facts.role == Some(Role::Replica);
        if !gave_way && !master.facts.is_silent(now, self.interval) {
            return None;
        }
        let history = self.histories.get(&entry.top);
        let took_over =
            |claim: &Claim| history.is_some_and(|history| history.was_taken_over_in(&claim.sample));
        let followed =
            |claim: &Claim| gave_way && master.replid.as_ref() == Some(&claim.sample.replid);
        let claims = entry.replicas.iter().filter_map(|addr| {
            let claim = self.claim_of(addr)?;
            let facts = &self.servers.get(addr)?.facts;
            facts.answers(now, self.interval).then_some((addr, claim))
        });
        let claims: Vec<_> = claims.collect();
        let mut candidates: Vec<_> = claims.iter().filter(|(_, claim)| followed(claim)).collect();
        if candidates.is_empty() {
            candidates = claims
                .iter()
                .filter(|(_, claim)| took_over(claim))
                .collect();
        }
        // Of two nobody knows who is right.
        let [(addr, _)] = candidates[..] else {
            return None;
        };
        Some((*addr).clone())
    }

    /// Notes the failovers among the turns, before anything is forgotten.
    pub(super) fn note_failovers(&mut self, turns: &Turns, now: Timestamp) {
        for succession in turns.turned.values() {
            let Some(failover) = self.failover(succession, now) else {
                continue;
            };
            if let Some(entry) = self.entries.get_mut(&succession.pair) {
                entry.total += 1;
                entry.recent.truncate(MAX_RECENT_FAILOVERS - 1);
                entry.recent.push_front(now);
                entry.last = Some(failover);
                self.failovers_kept.touched = true;
            }
        }
    }

    /// What is known of a failover at first. `None` where the old master was never seen as one:
    /// then it is not known when it was, and this program only learns who the master is.
    fn failover(&self, succession: &Succession, now: Timestamp) -> Option<(Failover, LossWatch)> {
        let Succession { pair, from, to } = succession;
        let entry = self.entries.get(pair)?;
        let (old, new) = (self.servers.get(from)?, self.servers.get(to)?);
        let history = self
            .histories
            .get(&entry.top)
            .filter(|history| history.replid().is_some());
        if history.is_none() && old.facts.role == Some(Role::Replica) {
            return None;
        }
        let known = self.pairs.iter().find(|known| {
            let key = &known.meta.key;
            key.name == *pair && key.replica == *to
        });
        let mut failover = Failover {
            succession: succession.clone(),
            from_dc: old.meta.dc.clone(),
            to_dc: new.meta.dc.clone(),
            at: now,
            loss: Loss::Unknown,
            last_known: known.and_then(|pair| pair.tracker.facts().last_known),
        };
        let mut watch = LossWatch {
            replid: history.and_then(MasterHistory::replid).cloned(),
            shown: history.and_then(MasterHistory::newest),
            last_shared: None,
            shared_at: None,
            settled: history.is_none(),
        };
        if let (Some(history), Some(claim)) = (history, &new.claim) {
            watch.new_master_answered(&claim.sample);
            let bracket = |shared| history.bracket(Comparison::Current, shared);
            watch.shared_at = watch.last_shared.and_then(|shared| bracket(shared).lo);
            failover.loss = watch.at_least();
        }
        Some((failover, watch))
    }

    /// Takes in the entries of `topology`; those that stay keep what is known of their failovers.
    pub(super) fn take_entries(&mut self, topology: &Topology) {
        let mut old = std::mem::take(&mut self.entries);
        for pair in &topology.pairs {
            let (known, kept) = (&mut old, &mut self.failovers_kept);
            let entry = self
                .entries
                .entry(pair.key.name.clone())
                .or_insert_with(|| {
                    let known = known
                        .remove(&pair.key.name)
                        .map(|known| (known.total, known.recent, known.last));
                    let known = known.or_else(|| kept.claim(&pair.key.name));
                    let (total, recent, last) = known.unwrap_or((0, VecDeque::new(), None));
                    let (master, top) = (pair.master.clone(), pair.top.clone());
                    Entry {
                        master,
                        top,
                        replicas: Vec::new(),
                        total,
                        recent,
                        last,
                    }
                });
            entry.replicas.push(pair.key.replica.clone());
        }
        let entries = &self.entries;
        self.doubted.retain(|name| entries.contains_key(name));
        self.losses_open.retain(|name| entries.contains_key(name));
        self.note_open_losses();
    }

    /// Notes the failovers whose cost may still come to light.
    fn note_open_losses(&mut self) {
        let open = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.last.as_ref().is_some_and(|(_, watch)| !watch.settled));
        self.losses_open.extend(open.map(|(name, _)| name.clone()));
    }

    /// What the answer of `addr` says of failovers whose cost is not known yet.
    pub(super) fn measure_losses(
        &mut self,
        addr: &ServerAddr,
        seen: &Observation,
        received: Timestamp,
    ) {
        if self.losses_open.is_empty() {
            return;
        }
        let sample = self.claim_of(addr).map(|claim| claim.sample.clone());
        for name in &self.losses_open {
            let Some((failover, watch)) = self
                .entries
                .get_mut(name)
                .and_then(|entry| entry.last.as_mut())
            else {
                continue;
            };
            let before = (failover.loss, watch.last_shared, watch.settled);
            if let (true, Some(sample)) = (failover.succession.to == *addr, &sample) {
                watch.new_master_answered(sample);
            } else if failover.succession.from == *addr {
                watch.old_master_answered(seen, received, &mut failover.loss);
            }
            if failover.loss.exactly().is_none() && !watch.settled {
                failover.loss = watch.at_least();
            }
            self.failovers_kept.touched |=
                before != (failover.loss, watch.last_shared, watch.settled);
        }
        let entries = &self.entries;
        self.losses_open.retain(|name| {
            entries
                .get(name)
                .and_then(|entry| entry.last.as_ref())
                .is_some_and(|(_, watch)| !watch.settled)
        });
    }

    /// The failovers of every entry, by name.
    pub(in crate::monitor) fn failovers(&self) -> Vec<EntryFailovers> {
        let of_entry = |(name, entry): (&PairName, &Entry)| EntryFailovers {
            pair: name.clone(),
            total: entry.total,
            last: entry.last.as_ref().map(|(failover, _)| failover.clone()),
        };
        self.entries.iter().map(of_entry).collect()
    }

    /// The failovers of the entry in the `window` before `now`.
    pub(in crate::monitor) fn recent_failovers(
        &self,
        name: &PairName,
        window: Span,
        now: Timestamp,
    ) -> RecentFailovers<'_> {
        let Some(entry) = self.entries.get(name) else {
            return RecentFailovers::default();
        };
        let within = entry.recent.iter().take_while(|at| now - **at < window);
        let count = within.clone().count();
        RecentFailovers {
            count: count as u64,
            first: within.last().copied(),
            last: entry.last.as_ref().map(|(failover, _)| failover),
        }
    }
}

impl LossWatch {
    fn new_master_answered(&mut self, sample: &MasterSample) {
        let shared = sample
            .continues
            .as_ref()
            .filter(|(id, _)| Some(id) == self.replid.as_ref())
            .map(|(_, last_shared)| *last_shared);
        self.last_shared = self.last_shared.or(shared);
    }

    /// As long as the old master shows the history that it wrote, what it has of it beyond the last
    /// shared offset is the loss. Once it follows another one: a replica that was given a partial
    /// resync names the history that it came from (`slaveTryPartialResynchronization` in
    /// replication.c), and only one that has nothing beyond is given one.
    fn old_master_answered(&mut self, seen: &Observation, received: Timestamp, loss: &mut Loss) {
        let info = &seen.replication;
        let is_master = info.role.value() == Some(Role::Master);
        let applied = info
            .upstream
            .as_ref()
            .and_then(|upstream| upstream.applied_offset.value());
        let own = info.replid.get().is_some() && info.replid.get() == self.replid.as_ref();
        let offset = if is_master {
            info.master_offset.value()
        } else {
            applied
        };
        match (own, offset, self.last_shared) {
            // Redis shows 1 for "none".
            (true, Some(offset), Some(last_shared)) if offset > ReplicationOffset::new(1) => {
                let newest = self.shown.map_or(offset, |shown| shown.max(offset));
                self.shown = Some(newest);
                *loss = Loss::Exactly(newest.since(last_shared));
                self.settled = !is_master;
            }
            (true, ..) => {}
            (false, ..) => {
                let partly = self.replid.is_some() && info.replid2.get() == self.replid.as_ref();
                if loss.exactly().is_none() && !is_master && partly {
                    *loss = Loss::Exactly(Bytes::ZERO);
                } else if let (None, Some(at_least)) = (loss.exactly(), self.at_least().at_least())
                {
                    *loss = Loss::Unseen {
                        at_least,
                        within: self.shared_at.map(|since| received - since),
                    };
                }
                self.settled = true;
            }
        }
    }

    fn at_least(&self) -> Loss {
        match (self.shown, self.last_shared) {
            (Some(shown), Some(last_shared)) => Loss::AtLeast(shown.since(last_shared)),
            _ => Loss::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn failovers_that_never_end_do_not_pile_up() {
        let directions = [("a:1", "b:1"), ("b:1", "a:1")];
        let topologies = directions.map(|(master, replica)| {
            Topology::from_settings(&settings_of(&[("orders", master, &[replica])]))
        });
        let mut fleet = Fleet::new(&topologies[0], Span::from_secs(1), at(0));
        for second in 1..=3000 {
            fleet.turn(
                &topologies[usize::from(second % 2 == 1)],
                Span::from_secs(1),
                at(second),
            );
        }
        let name = PairName::new("orders");
        assert_eq!(fleet.entries[&name].recent.len(), MAX_RECENT_FAILOVERS);
        assert_eq!(fleet.failovers()[0].total, 3000);
        assert_eq!(
            fleet
                .recent_failovers(&name, Span::from_secs(600), at(3000))
                .count,
            600
        );
        assert_eq!(
            fleet
                .recent_failovers(&name, Span::from_secs(600), at(9000))
                .count,
            0
        );
        assert!(fleet.resting.len() <= 1 && fleet.histories.is_empty());
    }

    /// A change of the file is no failover, whatever it changes.
    #[test]
    fn a_reload_that_swaps_master_and_replica_counts_nothing() {
        let [before, after] = [("a:1", "b:1"), ("b:1", "a:1")].map(|(master, replica)| {
            Topology::from_settings(&settings_of(&[("orders", master, &[replica])]))
        });
        let mut fleet = Fleet::new(&before, Span::from_secs(1), at(0));
        fleet.reconfigure(&after, Span::from_secs(1), at(1));
        assert_eq!(
            (fleet.failovers()[0].total, &fleet.failovers()[0].last),
            (0, &None)
        );
    }
}
