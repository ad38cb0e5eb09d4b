//! The shards of a cluster: what each is called, and what stays the same of it while its master,
//! its nodes and its slots change.
//!
//! Redis reports no identity of a shard that every version has, so a shard is recognised by its
//! nodes: the master of the next view was the master or a replica of the shard before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::belief::Belief;
use super::view::Layout;
use crate::info::{NodeId, SlotRange};
use crate::model::{PairName, ServerAddr, ShardId, Span, Timestamp};

/// For how long no slot may have moved before shards get the names of their new slots. Slots move
/// one by one, often thousands of them; a name for each would be a series for each.
const SETTLED: Span = Span::from_secs(1);

/// Ranges of slots in the label of a shard; of more their number is given.
const MAX_SHOWN_RANGES: usize = 8;

/// A master with slots, and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// Identifies it.
    pub(super) key: ShardId,
    /// The name of its pairs, after the lowest of its slots.
    pub(super) name: PairName,
    /// Its slots, as a label.
    pub(super) slots: String,
    /// The master's address.
    pub(super) master: ServerAddr,
    /// Without the master.
    pub(super) replicas: BTreeSet<ServerAddr>,
}

/// Every shard of a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Shards {
    list: Vec<Shard>,
    /// The shard of each node.
    keys: BTreeMap<NodeId, ShardId>,
    names: BTreeMap<ShardId, ShardName>,
    /// The slots of each shard, by its key, and since when they have been so.
    slots: BTreeMap<ShardId, Vec<SlotRange>>,
    slots_since: Timestamp,
}

/// What a shard is called, and the slots that it had when it got the name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ShardName {
    pair: PairName,
    slots: Vec<SlotRange>,
}

/// The nodes of one shard.
struct ShardNodes<'a> {
    master: &'a NodeId,
    slots: &'a [SlotRange],
    replicas: BTreeSet<&'a NodeId>,
}

impl Shards {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Shard> {
        self.list.iter()
    }

    /// Whether every shard has the name of its slots.
    pub(super) fn is_settled(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.all(|(key, slots)| self.names.get(key).is_some_and(|name| name.slots == *slots))
    }

    /// Applies what is believed of the cluster called `cluster`.
    pub(super) fn update(&mut self, belief: &Belief, cluster: &PairName, now: Timestamp) {
        let mut found = nodes_by_shard(belief);
        let keys = self.choose_keys(&found);
        self.add_old_masters(belief, &keys, &mut found);
        self.note_slots(&keys, &found, now);
        self.name_shards(cluster, now);
        self.keys.clear();
        self.list.clear();
        for (key, nodes) in keys.into_iter().zip(found) {
            for node in nodes.all() {
                self.keys.insert(node.clone(), key.clone());
            }
            let shard = self.shard(key, &nodes, belief);
            self.list.extend(shard);
        }
    }

    /// `None` if nobody knows where the master is.
    fn shard(&self, key: ShardId, nodes: &ShardNodes<'_>, belief: &Belief) -> Option<Shard> {
        let name = self.names.get(&key)?;
        let master = belief.members.get(nodes.master)?;
        let mut replicas = BTreeSet::new();
        for node in &nodes.replicas {
            replicas.extend(belief.members.get(*node).map(|member| member.addr.clone()));
        }
        replicas.remove(&master.addr);
        Some(Shard {
            key,
            name: name.pair.clone(),
            slots: slots_text(&name.slots),
            master: master.addr.clone(),
            replicas,
        })
    }

    /// The identity of each shard: that of its master, or of a replica whose shard is without a
    /// master, or a new one.
    fn choose_keys(&self, found: &[ShardNodes<'_>]) -> Vec<ShardId> {
        let mut reserved = BTreeSet::new();
        for nodes in found {
            reserved.extend(self.keys.get(nodes.master));
        }
        let mut taken = BTreeSet::new();
        let mut keys = Vec::new();
        for nodes in found {
            let own = self
                .keys
                .get(nodes.master)
                .filter(|key| !taken.contains(*key));
            let is_free = |key: &&ShardId| !taken.contains(*key) && !reserved.contains(key);
            let mut inherited = nodes
                .replicas
                .iter()
                .filter_map(|node| self.keys.get(*node));
            let key = match own.or_else(|| inherited.find(is_free)) {
                Some(key) => key.clone(),
                None => nodes.new_key(|key| is_free(&key)),
            };
            taken.insert(key.clone());
            keys.push(key);
        }
        keys
    }

    /// An old master that was not yet seen as a replica of its successor belongs to the shard all
    /// the same: usually it has failed, and its pair is the place to see that.
    fn add_old_masters<'a>(
        &self,
        belief: &'a Belief,
        keys: &[ShardId],
        found: &mut [ShardNodes<'a>],
    ) {
        for (node, member) in &belief.members {
            let is_idle = member.master.is_none() && !belief.layout.contains_key(node);
            let Some(key) = self.keys.get(node).filter(|_| is_idle) else {
                continue;
            };
            let place = keys.iter().position(|other| other == key);
            if let Some(nodes) = place.and_then(|place| found.get_mut(place)) {
                nodes.replicas.insert(node);
            }
        }
    }

    fn note_slots(&mut self, keys: &[ShardId], found: &[ShardNodes<'_>], now: Timestamp) {
        let mut slots = BTreeMap::new();
        for (key, nodes) in keys.iter().zip(found) {
            slots.insert(key.clone(), nodes.slots.to_vec());
        }
        if slots != self.slots {
            self.slots = slots;
            self.slots_since = now;
        }
    }

    /// Names shards after their slots: all of them once no slot moves any more, and before that
    /// only those that have no name yet.
    fn name_shards(&mut self, cluster: &PairName, now: Timestamp) {
        self.names.retain(|key, _| self.slots.contains_key(key));
        if now - self.slots_since >= SETTLED {
            self.names.clear();
        }
        // Until slots have settled, another shard may still have the name of the lowest one.
        let names = self.names.values();
        let mut taken: BTreeSet<_> = names.map(|name| name.pair.clone()).collect();
        for (key, slots) in &self.slots {
            if self.names.contains_key(key) {
                continue;
            }
            if let Some(pair) = free_name(cluster, slots, &taken) {
                taken.insert(pair.clone());
                let slots = slots.clone();
                self.names.insert(key.clone(), ShardName { pair, slots });
            }
        }
    }
}

/// The name of the lowest of `slots` whose name is not taken.
fn free_name(
    cluster: &PairName,
    slots: &[SlotRange],
    taken: &BTreeSet<PairName>,
) -> Option<PairName> {
    for slot in slots.iter().flat_map(|range| range.first..=range.last) {
        let name = PairName::new(&format!("{cluster}/slot-{slot}"));
        if !taken.contains(&name) {
            return Some(name);
        }
    }
    None
}

impl<'a> ShardNodes<'a> {
    fn all(&self) -> impl Iterator<Item = &'a NodeId> {
        std::iter::once(self.master).chain(self.replicas.iter().copied())
    }

    /// An identity that is the same in every exporter, whichever of the nodes is the master: the
    /// lowest of their IDs that is free.
    fn new_key(&self, is_free: impl Fn(&ShardId) -> bool) -> ShardId {
        let nodes: BTreeSet<_> = self.all().collect();
        let mut keys = nodes.into_iter().map(|node| ShardId::new(node.as_str()));
        if let Some(key) = keys.find(is_free) {
            return key;
        }
        let lowest = self.slots.first().map_or(0, |range| range.first);
        ShardId::new(&format!("{}/{lowest}", self.master))
    }
}

/// The masters with slots and their replicas, by the lowest slot.
fn nodes_by_shard(belief: &Belief) -> Vec<ShardNodes<'_>> {
    let mut by_master: BTreeMap<&NodeId, BTreeSet<&NodeId>> = BTreeMap::new();
    for (node, member) in &belief.members {
        if let Some(master) = &member.master {
            by_master.entry(master).or_default().insert(node);
        }
    }
    let layout: &Layout = &belief.layout;
    let mut found = Vec::with_capacity(layout.len());
    for (master, slots) in layout {
        found.push(ShardNodes {
            master,
            slots,
            replicas: by_master.remove(master).unwrap_or_default(),
        });
    }
    found.sort_by_key(|nodes| nodes.slots.first().copied());
    found
}

/// `0-5460 7000`; of many ranges the first ones and the number of the others.
fn slots_text(slots: &[SlotRange]) -> String {
    let mut text = String::new();
    for range in slots.iter().take(MAX_SHOWN_RANGES) {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a text cannot fail.
        let _ = write!(text, "{range}");
    }
    let more = slots.len().saturating_sub(MAX_SHOWN_RANGES);
    if more > 0 {
        let _ = write!(text, " and {more} more ranges");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a_shard_with_many_ranges_is_bounded() {
        let ranges = |count: u16| {
            let range = |n| SlotRange {
                first: 2 * n,
                last: 2 * n,
            };
            (0..count).map(range).collect::<Vec<_>>()
        };
        assert_eq!(slots_text(&ranges(2)), "0 2");
        let bounded = slots_text(&ranges(8000));
        assert_eq!(bounded, "0 2 4 6 8 10 12 14 and 7992 more ranges");
    }
}
