//! One master of which Sentinels have told, over the time in which they forget, restart and
//! disagree.

use std::collections::{BTreeMap, BTreeSet};

use super::sentinels::{Agreement, MAX_REPLICAS};
use crate::model::{ServerAddr, Span, Timestamp};

/// How long what every Sentinel has forgotten is still watched. A Sentinel that was reset finds the
/// replicas again within ten seconds, by asking the master.
pub(super) const GRACE: Span = Span::from_secs(30);

/// What is known of one master and its replicas.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownMaster {
    /// Whom the newest story names.
    pub(super) addr: ServerAddr,
    /// The epoch of the newest story.
    epoch: u64,
    /// The Sentinels that told it.
    witnesses: BTreeSet<ServerAddr>,
    /// Its replicas, and since when the newest story lacks them.
    replicas: BTreeMap<ServerAddr, Option<Timestamp>>,
    /// Since when no Sentinel that answers tells of it.
    forgotten: Option<Timestamp>,
}

impl KnownMaster {
    /// What the first story says.
    pub(super) fn new(agreed: &Agreement) -> Self {
        let mut known = Self {
            addr: agreed.master.clone(),
            epoch: agreed.epoch,
            witnesses: BTreeSet::new(),
            replicas: BTreeMap::new(),
            forgotten: None,
        };
        known.learn(agreed, Timestamp::default());
        known
    }

    /// Takes in what the Sentinels that answer agree on.
    pub(super) fn learn(&mut self, agreed: &Agreement, now: Timestamp) {
        self.forgotten = None;
        if !self.is_newest(agreed) {
            return;
        }
        if agreed.master != self.addr {
            // Sentinel makes the old master a replica, too, though it may take a moment to say so.
            let old = std::mem::replace(&mut self.addr, agreed.master.clone());
            self.replicas.insert(old, Some(now));
        }
        self.epoch = agreed.epoch;
        self.witnesses = agreed
            .told_by
            .iter()
            .filter(|(_, agrees)| **agrees)
            .map(|(who, _)| who.clone())
            .collect();
        for (addr, missing) in &mut self.replicas {
            *missing = if agreed.replicas.contains(addr) {
                None
            } else {
                missing.or(Some(now))
            };
        }
        self.replicas
            .extend(agreed.replicas.iter().map(|addr| (addr.clone(), None)));
        self.replicas.remove(&self.addr);
        self.drop_missing(now);
    }

    /// Whether a story is at least as new as the one that is known. An older one is what a Sentinel
    /// tells that was cut off; unless one that told the newer story has gone back on it, which only
    /// a reset makes it do.
    fn is_newest(&self, agreed: &Agreement) -> bool {
        agreed.epoch >= self.epoch
            || self.witnesses.is_empty()
            || self
                .witnesses
                .iter()
                .any(|witness| agreed.told_by.contains_key(witness))
    }

    fn drop_missing(&mut self, now: Timestamp) {
        self.replicas
            .retain(|_, missing| missing.is_none_or(|since| now - since < GRACE));
        let mut missing: Vec<_> = self
            .replicas
            .iter()
            .filter_map(|(addr, since)| since.map(|since| (since, addr.clone())))
            .collect();
        missing.sort();
        let too_many = self
            .replicas
            .len()
            .saturating_sub(MAX_REPLICAS)
            .min(missing.len());
        for (_, addr) in missing.drain(..too_many) {
            self.replicas.remove(&addr);
        }
    }

    /// No Sentinel that answers tells of it; whether that has been so for long enough to forget it,
    /// too.
    pub(super) fn is_forgotten(&mut self, now: Timestamp) -> bool {
        now - *self.forgotten.get_or_insert(now) >= GRACE
    }

    /// No Sentinel answers: nothing is known anew.
    pub(super) fn keep(&mut self) {
        self.forgotten = None;
    }

    /// Only these Sentinels are asked from now on.
    pub(super) fn retain_witnesses(&mut self, asked: &BTreeSet<ServerAddr>) {
        self.witnesses.retain(|witness| asked.contains(witness));
    }

    /// Whether time alone may change it.
    pub(super) fn is_settled(&self) -> bool {
        self.forgotten.is_none() && self.replicas.values().all(Option::is_none)
    }

    /// Its replicas, sorted.
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

    /// A story: epoch, master, replicas, who tells it.
    fn story(epoch: u64, master: &str, replicas: &str, told_by: &str) -> Agreement {
        let list = |names: &str| {
            names
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(addr)
                .collect::<BTreeSet<_>>()
        };
        let told_by = list(told_by).into_iter().map(|who| (who, true)).collect();
        Agreement {
            master: addr(master),
            replicas: list(replicas),
            epoch,
            told_by,
        }
    }

    fn shown(known: &KnownMaster) -> String {
        let replicas: Vec<_> = known.replicas().filter_map(ServerAddr::host).collect();
        format!("{}<{}", known.addr.host().unwrap(), replicas.join(","))
    }

    fn check(stories: &[(i64, Agreement)], expected: &str) {
        let mut known = KnownMaster::new(&stories[0].1);
        for (secs, story) in stories {
            known.learn(story, at(*secs));
        }
        assert_eq!(shown(&known), expected);
    }

    #[test]
    fn the_old_master_stays_as_a_replica() {
        check(
            &[(0, story(0, "a", "b c", "s")), (1, story(1, "b", "c", "s"))],
            "b<a,c",
        );
        check(
            &[
                (0, story(0, "a", "b", "s")),
                (1, story(1, "b", "a", "s")),
                (99, story(1, "b", "a", "s")),
            ],
            "b<a",
        );
    }

    #[test]
    fn a_replica_that_is_missing_goes_after_a_while() {
        let (both, one) = (story(0, "a", "b c", "s"), story(0, "a", "b", "s"));
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
    fn an_older_story_of_somebody_else_is_not_believed() {
        check(
            &[
                (0, story(1, "b", "a", "s t")),
                (1, story(0, "a", "b x", "u")),
            ],
            "b<a",
        );
        check(
            &[
                (0, story(1, "b", "a", "s t")),
                (1, story(0, "a", "b", "t u")),
            ],
            "a<b",
        );
    }

    #[test]
    fn it_is_forgotten_once_everybody_has_for_long_enough() {
        let mut known = KnownMaster::new(&story(0, "a", "b", "s"));
        assert!(!known.is_forgotten(at(0)) && !known.is_forgotten(at(29)));
        assert!(!known.is_settled());
        known.keep();
        assert!(
            known.is_settled() && !known.is_forgotten(at(40)),
            "nobody answered in between"
        );
        assert!(known.is_forgotten(at(70)));
        known.learn(&story(0, "a", "b", "s"), at(70));
        assert!(!known.is_forgotten(at(71)));
    }

    #[test]
    fn addresses_that_change_for_ever_do_not_pile_up() {
        let mut known = KnownMaster::new(&story(0, "a", "b", "s"));
        for n in 0..3000 {
            known.learn(&story(0, "a", &format!("r{n}"), "s"), at(0));
        }
        assert!(known.replicas().count() <= MAX_REPLICAS);
        assert!(
            known.replicas().any(|replica| *replica == addr("r2999")),
            "the living one stays"
        );
    }
}
