//! How many full syncs each server gave within a window of time. Servers report only a total since
//! their start, so its growth is recorded with the time at which it was seen.

mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::{ServerAddr, Span, Timestamp};
use crate::replication::ServerFacts;
use crate::topology::Topology;

/// How many moments are remembered for a server. A full sync takes seconds, and so does the time
/// between polls: more moments within a window are implausible, and are added to the last one.
const MAX_MOMENTS: usize = 256;

/// The full syncs of every server.
#[derive(Debug, Default)]
pub(super) struct FullSyncs {
    counted: BTreeMap<ServerAddr, ServerSyncs>,
    /// Servers whose full syncs changed since the last save.
    unsaved: BTreeSet<ServerAddr>,
    /// What was restored of servers that were not counted since.
    unclaimed: BTreeMap<ServerAddr, ServerSyncs>,
}

/// The full syncs that one server gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ServerSyncs {
    /// The total when it was last counted; full syncs before the first time do not count.
    total: Option<u64>,
    /// When it grew, and by how much.
    grown: VecDeque<(Timestamp, u64)>,
    /// After a restart, before the first count: when the process before it last counted.
    counted_before: Option<Timestamp>,
}

impl FullSyncs {
    /// Forgets the servers that are no longer watched.
    pub(super) fn reconfigure(&mut self, topology: &Topology) {
        let is_gone = |addr: &ServerAddr| !topology.servers.contains_key(addr);
        let gone = self.counted.extract_if(.., |addr, _| is_gone(addr));
        self.unsaved.extend(gone.map(|(addr, _)| addr));
    }

    /// Records a server's first answer, which later ones are compared with.
    pub(super) fn begin(&mut self, addr: &ServerAddr, facts: &ServerFacts) {
        if self.tracks(addr) {
            return;
        }
        let Some(total) = facts.full_syncs.total() else {
            return;
        };
        let syncs = ServerSyncs {
            total: Some(total),
            ..ServerSyncs::default()
        };
        self.counted.insert(addr.clone(), syncs);
        self.unsaved.insert(addr.clone());
    }

    /// How many full syncs the server gave within `window` before `now`. `None` while it does not
    /// answer.
    pub(super) fn count(
        &mut self,
        addr: &ServerAddr,
        facts: &ServerFacts,
        window: Span,
        now: Timestamp,
    ) -> Option<u64> {
        if !facts.is_up() {
            return None;
        }
        let total = facts.full_syncs.total()?;
        if let Some(restored) = self.unclaimed.remove(addr) {
            self.counted.entry(addr.clone()).or_insert(restored);
        }
        let Some(syncs) = self.counted.get_mut(addr) else {
            self.begin(addr, facts);
            return Some(0);
        };
        let before = syncs.total;
        let count = syncs.count(total, window, now);
        if syncs.total != before {
            self.unsaved.insert(addr.clone());
        }
        Some(count)
    }
}

impl ServerSyncs {
    /// Records the total at `now`. Returns by how much it grew within `window` before that.
    fn count(&mut self, total: u64, window: Span, now: Timestamp) -> u64 {
        let before = self.total.replace(total).unwrap_or(total);
        let new = total.saturating_sub(before);
        // Full syncs while the exporter did not run were given at an unknown time since it last
        // counted. They count from that time on, so that all of them are certainly in the window.
        let at = self.counted_before.take().unwrap_or(now);
        if new > 0 {
            self.grow(new, at);
        }
        self.forget_before(now - window);
        let mut sum: u64 = 0;
        for (_, count) in &self.grown {
            sum = sum.saturating_add(*count);
        }
        sum
    }

    /// Forgets the growth up to `start`, where the window begins.
    fn forget_before(&mut self, start: Timestamp) {
        while let Some((at, _)) = self.grown.front()
            && *at <= start
        {
            self.grown.pop_front();
        }
    }

    fn grow(&mut self, by: u64, at: Timestamp) {
        let is_full = self.grown.len() >= MAX_MOMENTS;
        match self.grown.back_mut() {
            Some((_, count)) if is_full => *count = count.saturating_add(by),
            _ => self.grown.push_back((at, by)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn full_syncs_count_from_the_first_answer_on_and_within_the_window() {
        let mut counted = ServerSyncs {
            total: Some(7),
            ..ServerSyncs::default()
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
    fn full_syncs_between_the_first_answer_and_the_first_count_count() {
        let addr = ServerAddr::new("a", 1);
        let mut facts = ServerFacts::default();
        facts.last_answer = Some((at(0), at(0)));
        let mut all = FullSyncs::default();
        facts.full_syncs.observe(5, None);
        all.begin(&addr, &facts);
        facts.full_syncs.observe(6, None);
        let counted = all.count(&addr, &facts, Span::from_secs(10), at(0));
        assert_eq!(counted, Some(1));
    }

    #[test]
    fn an_implausible_counter_takes_no_memory() {
        let mut counted = ServerSyncs {
            total: Some(0),
            ..ServerSyncs::default()
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
    fn the_count_is_unknown_while_a_server_does_not_answer() {
        let mut all = FullSyncs::default();
        let addr = ServerAddr::new("a", 1);
        let mut facts = ServerFacts::default();
        let mut count = |facts: &ServerFacts| all.count(&addr, facts, Span::from_secs(10), at(0));
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
