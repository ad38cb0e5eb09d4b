//! How many full syncs each server gave within a window.

mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::alert::Reading;
use crate::model::{ServerAddr, Span, Timestamp};
use crate::replication::ServerFacts;
use crate::topology::Topology;

/// How many moments are remembered for a server. A full sync takes seconds, and polls are as far
/// apart: more of them within a window come from a server that counts nonsense, and are taken
/// together.
const MAX_MOMENTS: usize = 256;

/// The full syncs of every server.
#[derive(Debug, Default)]
pub(super) struct FullSyncs {
    counted: BTreeMap<ServerAddr, Counted>,
    /// Servers of which the disk knows otherwise.
    unsaved: BTreeSet<ServerAddr>,
    /// What an earlier life counted of servers that nobody has looked at since.
    unclaimed: BTreeMap<ServerAddr, Counted>,
}

/// What one server counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    /// The last total; those before the first look are nobody's business.
    total: Option<u64>,
    /// When it grew, and by how much.
    grown: VecDeque<(Timestamp, u64)>,
    /// After a restart, before the first look: when the life before it last looked.
    looked_before: Option<Timestamp>,
}

impl FullSyncs {
    /// Forgets the servers that are watched no more.
    pub(super) fn reconfigure(&mut self, topology: &Topology) {
        let is_watched = |addr: &ServerAddr| topology.servers.contains_key(addr);
        self.unsaved.extend(
            self.counted
                .keys()
                .filter(|addr| !is_watched(addr))
                .cloned(),
        );
        self.counted.retain(|addr, _| is_watched(addr));
    }

    /// Takes in a server's first answer, which later ones are compared with.
    pub(super) fn begin(&mut self, addr: &ServerAddr, facts: &ServerFacts) {
        let is_known = self.counted.contains_key(addr) || self.unclaimed.contains_key(addr);
        let Some(total) = facts.full_syncs.total().filter(|_| !is_known) else {
            return;
        };
        let begin = Counted {
            total: Some(total),
            ..Counted::default()
        };
        self.counted.insert(addr.clone(), begin);
        self.unsaved.insert(addr.clone());
    }

    /// How many full syncs the server gave within `window` before `now`. There is no telling while
    /// it does not answer.
    pub(super) fn count(
        &mut self,
        addr: &ServerAddr,
        facts: &ServerFacts,
        window: Span,
        now: Timestamp,
    ) -> Reading<u64> {
        let Some(total) = facts.full_syncs.total().filter(|_| facts.is_up()) else {
            return Reading::NO_DATA;
        };
        if let Some(kept) = self.unclaimed.remove(addr) {
            self.counted.entry(addr.clone()).or_insert(kept);
        }
        if let Some(counted) = self.counted.get_mut(addr) {
            let before = counted.total;
            let count = counted.count(total, window, now);
            if counted.total != before {
                self.unsaved.insert(addr.clone());
            }
            return Reading::exact(count);
        }
        self.begin(addr, facts);
        Reading::exact(0)
    }
}

impl Counted {
    fn count(&mut self, total: u64, window: Span, now: Timestamp) -> u64 {
        let new = total.saturating_sub(self.total.unwrap_or(total));
        self.total = Some(total);
        // What came while nothing ran came at some time since the last look: it certainly was within
        // the window as long as all of that time is.
        let at = self.looked_before.take().unwrap_or(now);
        let is_full = self.grown.len() == MAX_MOMENTS;
        match self.grown.back_mut().filter(|_| is_full) {
            _ if new == 0 => {}
            Some((_, count)) => *count = count.saturating_add(new),
            None => self.grown.push_back((at, new)),
        }
        while self
            .grown
            .front()
            .is_some_and(|(at, _)| now - *at >= window)
        {
            self.grown.pop_front();
        }
        self.grown
            .iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn what_was_before_does_not_count_and_what_is_long_ago_no_more() {
        let mut counted = Counted {
            total: Some(7),
            ..Counted::default()
        };
        let steps = [
            (0, 7, 0),
            (1, 8, 1),
            (5, 10, 3),
            (9, 10, 3),
            (11, 10, 2),
            (15, 10, 0),
            (16, 11, 1),
        ];
        for (second, total, count) in steps {
            assert_eq!(
                counted.count(total, Span::from_secs(10), at(second)),
                count,
                "at {second}"
            );
        }
    }

    #[test]
    fn what_comes_between_the_first_answer_and_the_first_look_counts() {
        let addr = ServerAddr::new("a", 1);
        let mut facts = ServerFacts::default();
        facts.last_answer = Some((at(0), at(0)));
        let mut all = FullSyncs::default();
        facts.full_syncs.observe(5, None);
        all.begin(&addr, &facts);
        facts.full_syncs.observe(6, None);
        let counted = all.count(&addr, &facts, Span::from_secs(10), at(0));
        assert_eq!(counted.estimate, Some(1));
    }

    #[test]
    fn a_server_that_counts_nonsense_takes_no_memory() {
        let mut counted = Counted {
            total: Some(0),
            ..Counted::default()
        };
        for n in 1..10_000 {
            assert_eq!(counted.count(n, Span::from_secs(1_000_000), at(0)), n);
        }
        assert_eq!(counted.grown.len(), MAX_MOMENTS);
        assert_eq!(
            counted.count(u64::MAX, Span::from_secs(10), at(0)),
            u64::MAX
        );
        assert_eq!(
            counted.count(3, Span::from_secs(10), at(0)),
            u64::MAX,
            "a total that falls is no full sync"
        );
    }

    #[test]
    fn there_is_no_telling_while_a_server_does_not_answer() {
        let (mut all, addr, mut facts) = (
            FullSyncs::default(),
            ServerAddr::new("a", 1),
            ServerFacts::default(),
        );
        let mut count =
            |facts: &ServerFacts| all.count(&addr, facts, Span::from_secs(10), at(0)).estimate;
        assert_eq!(count(&facts), None);
        facts.last_answer = Some((at(0), at(0)));
        facts.full_syncs.observe(5, None);
        assert_eq!(count(&facts), Some(0));
        facts.full_syncs.observe(6, None);
        assert_eq!(count(&facts), Some(1));
        facts.failures = 1;
        assert_eq!(count(&facts), None);
    }
}
