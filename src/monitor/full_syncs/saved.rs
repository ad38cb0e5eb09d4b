//! Full syncs over a restart of the exporter: when they were, and not only how many.

use serde::{Deserialize, Serialize};

use super::{Counted, FullSyncs, MAX_MOMENTS};
use crate::model::{ClockShift, Document, DocumentTable, SavedDocument, ServerAddr, Timestamp};

/// What was counted of one server.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    total: Option<u64>,
    /// When it grew, and by how much.
    #[serde(default)]
    grown: Vec<(Timestamp, u64)>,
}

impl FullSyncs {
    /// Whether the disk knows less than this.
    pub(in crate::monitor) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// What the disk has to be told: what changed since this was last asked, or everything.
    pub(in crate::monitor) fn take_unsaved(&mut self, all: bool) -> Vec<Document> {
        let changed = std::mem::take(&mut self.unsaved);
        let gone = changed.iter().filter(|addr| !all && !self.knows(addr));
        let gone = gone.map(|addr| Document::delete(DocumentTable::FullSyncs, addr.to_string()));
        let kept = self.counted.iter().chain(&self.unclaimed);
        let kept = kept.filter(|(addr, _)| all || changed.contains(addr));
        kept.map(|(addr, counted)| counted.document(addr))
            .chain(gone)
            .collect()
    }

    /// Takes in what was kept, except where a server was looked at already. Returns sentences about
    /// what makes no sense.
    pub(in crate::monitor) fn restore(&mut self, documents: &[SavedDocument]) -> Vec<String> {
        let mut refused = Vec::new();
        for document in documents {
            let addr = ServerAddr::parse(&document.key);
            match (addr, serde_json::from_str::<Record>(&document.body)) {
                (Ok(addr), Ok(record)) => self.restore_one(addr, record, &document.shift),
                (Err(why), _) => refused.push(format!("the full syncs of a server: {why}")),
                (_, Err(why)) => refused.push(format!("the full syncs of a server: {why}")),
            }
        }
        refused
    }

    fn restore_one(&mut self, addr: ServerAddr, record: Record, shift: &ClockShift) {
        let restored = Counted::restored(record, shift);
        let Some(known) = self.counted.get_mut(&addr) else {
            self.unclaimed.insert(addr, restored);
            return;
        };
        // It was read late: what came since is known already.
        for moment in restored.grown.into_iter().rev() {
            if known.grown.len() < MAX_MOMENTS {
                known.grown.push_front(moment);
            }
        }
    }

    /// Forgets what an earlier life counted of servers that nobody watches.
    pub(in crate::monitor) fn forget_unwatched(
        &mut self,
        is_watched: impl Fn(&ServerAddr) -> bool,
    ) {
        let gone = self.unclaimed.extract_if(.., |addr, _| !is_watched(addr));
        self.unsaved.extend(gone.map(|(addr, _)| addr));
    }

    /// Whether an earlier life has counted this server's.
    pub(in crate::monitor) fn knows(&self, addr: &ServerAddr) -> bool {
        self.counted.contains_key(addr) || self.unclaimed.contains_key(addr)
    }
}

impl Counted {
    fn document(&self, addr: &ServerAddr) -> Document {
        let record = Record {
            total: self.total,
            grown: self.grown.iter().copied().collect(),
        };
        Document::record(DocumentTable::FullSyncs, addr.to_string(), &record)
    }

    fn restored(record: Record, shift: &ClockShift) -> Self {
        let grown = record.grown.into_iter().take(MAX_MOMENTS);
        Self {
            total: record.total,
            grown: grown.map(|(at, count)| (shift.past(at), count)).collect(),
            looked_before: Some(shift.now.mono - shift.ago),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Observation;
    use crate::model::{ClockAnchor, Span};
    use crate::replication::ServerFacts;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    const WINDOW: Span = Span::from_secs(100);

    fn facts(total: u64) -> ServerFacts {
        let mut facts = ServerFacts::default();
        facts.answered(&Observation::default(), at(0), at(0));
        facts.full_syncs.observe(total, None);
        facts
    }

    fn count(all: &mut FullSyncs, total: u64, second: i64) -> Option<u64> {
        let addr = ServerAddr::new("a", 1);
        all.count(&addr, &facts(total), WINDOW, at(second)).estimate
    }

    /// What is counted after a restart at `second`, `ago` seconds after the last look.
    fn restarted(all: &mut FullSyncs, second: i64, ago: i64) -> FullSyncs {
        let shift = ClockShift {
            by: Span::ZERO,
            ago: Span::from_secs(ago),
            now: ClockAnchor {
                mono: at(second),
                ..ClockAnchor::default()
            },
        };
        let documents = all.take_unsaved(true).into_iter();
        let documents: Vec<_> = documents
            .map(|document| SavedDocument {
                key: document.key,
                body: document.body.unwrap(),
                shift,
            })
            .collect();
        let mut after = FullSyncs::default();
        assert_eq!(after.restore(&documents), [""; 0]);
        after
    }

    #[test]
    fn full_syncs_keep_their_times_over_a_restart() {
        let mut all = FullSyncs::default();
        for (second, total) in [(0, 7), (10, 8), (60, 9)] {
            count(&mut all, total, second);
        }
        let mut after = restarted(&mut all, 70, 5);
        let seen = [(71, 2), (109, 2), (111, 1), (161, 0)];
        for (second, wanted) in seen {
            assert_eq!(count(&mut after, 9, second), Some(wanted), "at {second}");
        }
    }

    #[test]
    fn one_that_came_while_nothing_ran_counts_as_long_as_it_certainly_was_in_the_window() {
        for (ago, seen) in [
            (5, [(71, 1), (160, 1), (166, 0)]),
            (150, [(71, 0), (160, 0), (166, 0)]),
        ] {
            let mut all = FullSyncs::default();
            count(&mut all, 7, 0);
            let mut after = restarted(&mut all, 70, ago);
            for (second, wanted) in seen {
                assert_eq!(
                    count(&mut after, 8, second),
                    Some(wanted),
                    "{ago} at {second}"
                );
            }
        }
    }

    #[test]
    fn only_what_changed_is_written_and_who_is_not_watched_is_deleted() {
        let mut all = FullSyncs::default();
        count(&mut all, 7, 0);
        assert_eq!(all.take_unsaved(false).len(), 1);
        count(&mut all, 7, 1);
        assert!(!all.has_unsaved());
        let mut after = restarted(&mut all, 2, 1);
        after.forget_unwatched(|_| false);
        let gone = after.take_unsaved(false);
        assert_eq!((gone.len(), &gone[0].body), (1, &None));
    }
}
