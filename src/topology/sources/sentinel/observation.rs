//! What Sentinels have reported about one master, while they forget, restart and disagree.

use std::collections::{BTreeMap, BTreeSet};

use super::agreement::{Agreement, MAX_REPLICAS};
use crate::model::{ServerAddr, Span, Timestamp};

/// How long a server that every Sentinel has forgotten is still watched. A Sentinel that was reset
/// finds the replicas again within ten seconds, by asking the master.
const GRACE: Span = Span::from_secs(30);

/// One master and its replicas, as the newest view has them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MasterObservation {
    /// The master in the newest view.
    pub(super) addr: ServerAddr,
    /// The epoch of the newest view.
    epoch: u64,
    /// The Sentinels that reported it.
    observers: BTreeSet<ServerAddr>,
    /// The replicas, and since when the newest view has lacked them.
    replicas: BTreeMap<ServerAddr, Option<Timestamp>>,
    /// Since when no Sentinel that answers has known the master.
    absent_since: Option<Timestamp>,
}

impl MasterObservation {
    /// The master of the first agreement.
    pub(super) fn new(agreed: &Agreement) -> Self {
        let mut observation = Self {
            addr: agreed.master.clone(),
            epoch: agreed.epoch,
            observers: BTreeSet::new(),
            replicas: BTreeMap::new(),
            absent_since: None,
        };
        observation.update(agreed, Timestamp::default());
        observation
    }

    /// Applies what the Sentinels that answer agree on.
    pub(super) fn update(&mut self, agreed: &Agreement, now: Timestamp) {
        self.absent_since = None;
        if !self.is_newest(agreed) {
            return;
        }
        if agreed.master != self.addr {
            // Sentinel makes the old master a replica, though it may take a moment to report it.
            let old = std::mem::replace(&mut self.addr, agreed.master.clone());
            self.replicas.insert(old, Some(now));
        }
        self.epoch = agreed.epoch;
        let agreeing = agreed.reporters.iter().filter(|(_, agrees)| **agrees);
        self.observers = agreeing.map(|(reporter, _)| reporter.clone()).collect();
        self.update_replicas(&agreed.replicas, now);
    }

    fn update_replicas(&mut self, reported: &BTreeSet<ServerAddr>, now: Timestamp) {
        for (addr, missing_since) in &mut self.replicas {
            if !reported.contains(addr) {
                missing_since.get_or_insert(now);
            }
        }
        for addr in reported {
            self.replicas.insert(addr.clone(), None);
        }
        self.replicas.remove(&self.addr);
        self.drop_missing(now);
    }

    /// Whether an agreement is at least as new as the newest view. An older one comes from a
    /// Sentinel that was cut off, unless an observer of the newest view has gone back on it, which
    /// happens only after a reset.
    fn is_newest(&self, agreed: &Agreement) -> bool {
        let mut observers = self.observers.iter();
        agreed.epoch >= self.epoch
            || self.observers.is_empty()
            || observers.any(|observer| agreed.reporters.contains_key(observer))
    }

    /// Drops the replicas that have been missing for too long, and of too many those that have been
    /// missing longest.
    fn drop_missing(&mut self, now: Timestamp) {
        self.replicas
            .retain(|_, missing_since| missing_since.is_none_or(|since| now - since < GRACE));
        let excess = self.replicas.len().saturating_sub(MAX_REPLICAS);
        if excess == 0 {
            return;
        }
        let mut missing = Vec::new();
        for (addr, missing_since) in &self.replicas {
            if let Some(since) = missing_since {
                missing.push((*since, addr.clone()));
            }
        }
        missing.sort();
        for (_, addr) in missing.into_iter().take(excess) {
            self.replicas.remove(&addr);
        }
    }

    /// Notes that no Sentinel that answers knows the master at `now`; whether that has lasted long
    /// enough to stop watching it.
    pub(super) fn expires_absent(&mut self, now: Timestamp) -> bool {
        let since = *self.absent_since.get_or_insert(now);
        now - since >= GRACE
    }

    /// Notes that the master is not known to be absent.
    pub(super) const fn set_present(&mut self) {
        self.absent_since = None;
    }

    /// Forgets all observers but these.
    pub(super) fn retain_reporters(&mut self, reporters: &BTreeSet<ServerAddr>) {
        self.observers
            .retain(|observer| reporters.contains(observer));
    }

    /// Whether it stays as it is, however much time passes, while the Sentinels repeat themselves.
    pub(super) fn is_settled(&self) -> bool {
        self.absent_since.is_none() && self.replicas.values().all(Option::is_none)
    }

    /// The replicas, sorted.
    pub(super) fn replicas(&self) -> impl Iterator<Item = &ServerAddr> {
        self.replicas.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(name: &str) -> ServerAddr {
        ServerAddr::new(name, 1)
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// An agreement: epoch, master, replicas, reporters.
    fn agreement(epoch: u64, master: &str, replicas: &str, reporters: &str) -> Agreement {
        let list = |names: &str| {
            names
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(addr)
                .collect::<BTreeSet<_>>()
        };
        let reporters = list(reporters).into_iter().map(|who| (who, true)).collect();
        Agreement {
            master: addr(master),
            replicas: list(replicas),
            epoch,
            reporters,
        }
    }

    fn shown(known: &MasterObservation) -> String {
        let replicas: Vec<_> = known.replicas().filter_map(ServerAddr::host).collect();
        format!("{}<{}", known.addr.host().unwrap(), replicas.join(","))
    }

    fn check(agreements: &[(i64, Agreement)], expected: &str) {
        let mut known = MasterObservation::new(&agreements[0].1);
        for (secs, agreed) in agreements {
            known.update(agreed, at(*secs));
        }
        assert_eq!(shown(&known), expected);
    }

    #[test]
    fn the_old_master_stays_as_a_replica() {
        check(
            &[
                (0, agreement(0, "a", "b c", "s")),
                (1, agreement(1, "b", "c", "s")),
            ],
            "b<a,c",
        );
        check(
            &[
                (0, agreement(0, "a", "b", "s")),
                (1, agreement(1, "b", "a", "s")),
                (99, agreement(1, "b", "a", "s")),
            ],
            "b<a",
        );
    }

    #[test]
    fn a_missing_replica_is_dropped_after_a_while() {
        let (both, one) = (agreement(0, "a", "b c", "s"), agreement(0, "a", "b", "s"));
        check(
            &[(0, both.clone()), (10, one.clone()), (39, one.clone())],
            "a<b,c",
        );
        check(
            &[(0, both.clone()), (10, one.clone()), (40, one.clone())],
            "a<b",
        );
        check(
            &[
                (0, both.clone()),
                (10, one.clone()),
                (39, both.clone()),
                (41, one),
            ],
            "a<b,c",
        );
    }

    #[test]
    fn an_older_view_of_another_sentinel_is_ignored() {
        check(
            &[
                (0, agreement(1, "b", "a", "s t")),
                (1, agreement(0, "a", "b x", "u")),
            ],
            "b<a",
        );
        check(
            &[
                (0, agreement(1, "b", "a", "s t")),
                (1, agreement(0, "a", "b", "t u")),
            ],
            "a<b",
        );
    }

    #[test]
    fn it_expires_absent_once_everybody_has_for_long_enough() {
        let mut known = MasterObservation::new(&agreement(0, "a", "b", "s"));
        assert!(!known.expires_absent(at(0)) && !known.expires_absent(at(29)));
        assert!(!known.is_settled());
        known.set_present();
        assert!(
            known.is_settled() && !known.expires_absent(at(40)),
            "nobody answered in between"
        );
        assert!(known.expires_absent(at(70)));
        known.update(&agreement(0, "a", "b", "s"), at(70));
        assert!(!known.expires_absent(at(71)));
    }

    #[test]
    fn replica_addresses_that_keep_changing_do_not_accumulate() {
        let mut known = MasterObservation::new(&agreement(0, "a", "b", "s"));
        for n in 0..3000 {
            known.update(&agreement(0, "a", &format!("r{n}"), "s"), at(0));
        }
        assert!(known.replicas().count() <= MAX_REPLICAS);
        assert!(
            known.replicas().any(|replica| *replica == addr("r2999")),
            "the living one stays"
        );
    }
}
