//! Full syncs on the disk, so that a restart of the exporter does not empty the window.

use serde::{Deserialize, Serialize};

use super::{FullSyncs, MAX_MOMENTS, ServerSyncs};
use crate::model::{
    ClockShift, Document, DocumentTable, Persisted, SaveScope, SavedDocuments, ServerAddr,
    Timestamp, documents_of, restore_each,
};

/// What one server had counted.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SyncsRecord {
    #[serde(default)]
    total: Option<u64>,
    /// When the total grew, and by how much.
    #[serde(default)]
    grown: Vec<(Timestamp, u64)>,
}

impl Persisted for FullSyncs {
    fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let changed = std::mem::take(&mut self.unsaved);
        let mut documents = Vec::new();
        for (addr, syncs) in self.counted.iter().chain(&self.unclaimed) {
            if scope.all || changed.contains(addr) {
                documents.push(syncs.document(addr));
            }
        }
        for addr in changed {
            if !scope.all && !self.tracks(&addr) {
                documents.push(Document::delete(DocumentTable::FullSyncs, addr.to_string()));
            }
        }
        documents
    }

    fn restore(&mut self, documents: &SavedDocuments, _: Timestamp) -> Vec<String> {
        let documents = documents_of(documents, DocumentTable::FullSyncs);
        restore_each(
            documents,
            "the full syncs of a server",
            |record, document| {
                let addr = ServerAddr::parse(&document.key).map_err(|why| why.to_string())?;
                self.restore_one(addr, record, &document.shift);
                Ok(())
            },
        )
    }
}

impl FullSyncs {
    fn restore_one(&mut self, addr: ServerAddr, record: SyncsRecord, shift: &ClockShift) {
        let restored = ServerSyncs::restored(record, shift);
        let Some(known) = self.counted.get_mut(&addr) else {
            self.unclaimed.insert(addr, restored);
            return;
        };
        // The file was read late: full syncs since the start have been counted.
        for moment in restored.grown.into_iter().rev() {
            if known.grown.len() < MAX_MOMENTS {
                known.grown.push_front(moment);
            }
        }
    }

    /// Forgets what was restored of servers that are not watched.
    pub(in crate::monitor) fn forget_unwatched(
        &mut self,
        is_watched: impl Fn(&ServerAddr) -> bool,
    ) {
        let gone = self.unclaimed.extract_if(.., |addr, _| !is_watched(addr));
        self.unsaved.extend(gone.map(|(addr, _)| addr));
    }

    /// Whether the full syncs of this server are counted, or were before the restart.
    pub(in crate::monitor) fn tracks(&self, addr: &ServerAddr) -> bool {
        self.counted.contains_key(addr) || self.unclaimed.contains_key(addr)
    }
}

impl ServerSyncs {
    fn document(&self, addr: &ServerAddr) -> Document {
        let record = SyncsRecord {
            total: self.total,
            grown: self.grown.iter().copied().collect(),
        };
        Document::record(DocumentTable::FullSyncs, addr.to_string(), &record)
    }

    fn restored(record: SyncsRecord, shift: &ClockShift) -> Self {
        let grown = record.grown.into_iter().take(MAX_MOMENTS);
        Self {
            total: record.total,
            grown: grown.map(|(at, count)| (shift.past(at), count)).collect(),
            counted_before: Some(shift.now.mono - shift.ago),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Observation;
    use crate::model::{ClockAnchor, SavedDocument, Span};
    use crate::replication::ServerFacts;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    const fn scope(all: bool) -> SaveScope {
        SaveScope {
            all,
            anchor: ClockAnchor {
                mono: at(0),
                wall: crate::model::WallTime::from_nanos(0),
            },
        }
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
        all.count(&addr, &facts(total), WINDOW, at(second))
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
        let documents = all.take_unsaved(scope(true)).into_iter();
        let documents: Vec<_> = documents
            .map(|document| SavedDocument {
                key: document.key,
                body: document.body.unwrap(),
                shift,
            })
            .collect();
        let mut after = FullSyncs::default();
        let documents = [(DocumentTable::FullSyncs, documents)].into();
        assert_eq!(after.restore(&documents, at(second)), [""; 0]);
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
    fn a_full_sync_while_the_exporter_was_down_counts_while_it_is_certainly_in_the_window() {
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
    fn only_changed_counters_are_written_and_those_of_unwatched_servers_deleted() {
        let mut all = FullSyncs::default();
        count(&mut all, 7, 0);
        assert_eq!(all.take_unsaved(scope(false)).len(), 1);
        count(&mut all, 7, 1);
        assert!(!all.has_unsaved());
        let mut after = restarted(&mut all, 2, 1);
        after.forget_unwatched(|_| false);
        let gone = after.take_unsaved(scope(false));
        assert_eq!((gone.len(), &gone[0].body), (1, &None));
    }
}
