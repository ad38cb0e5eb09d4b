//! The charts of all pairs on the disk. The pairs take turns, so that no save is too large for the
//! disk or blocks the core for long.

use std::collections::{BTreeMap, BTreeSet};

use super::{PairEntry, Pairs};
use crate::chart::MAX_DOCUMENT;
use crate::model::{ClockShift, Document, DocumentTable, PairKey, SavedDocument, Span, Timestamp};

/// The charts of a pair are saved at most this often.
const SAVED_EVERY: Span = Span::from_secs(60);

/// Bytes of charts in one save, of which there is one every 10 s: of ten thousand pairs each has
/// its turn within half an hour.
const CHARTS_A_SAVE: usize = 1024 * 1024;

/// Bytes of charts in the last save of a process: the charts of a thousand pairs.
const CHARTS_AT_THE_END: usize = 16 * 1024 * 1024;

/// What is known of the charts on the disk.
#[derive(Debug, Default)]
pub(super) struct SavedCharts {
    /// The charts of pairs that are not watched yet, by key: a Sentinel may name them later.
    unclaimed: BTreeMap<String, (String, ClockShift)>,
    /// The keys of the documents on the disk.
    keys: BTreeSet<String>,
    /// Whether all pairs are known by now: then charts of others can be deleted.
    is_settled: bool,
}

impl Pairs {
    /// Restores saved charts. Returns a sentence for each that is not valid.
    pub(in crate::monitor::fleet) fn restore_charts(
        &mut self,
        documents: &[SavedDocument],
    ) -> Vec<String> {
        let saved = &mut self.saved_charts;
        for SavedDocument { key, body, shift } in documents {
            saved.keys.insert(key.clone());
            saved.unclaimed.insert(key.clone(), (body.clone(), *shift));
        }
        self.claim_charts()
    }

    /// Gives the restored charts to the pairs that are watched by now.
    pub(in crate::monitor::fleet) fn claim_charts(&mut self) -> Vec<String> {
        let mut refused = Vec::new();
        let unclaimed = &mut self.saved_charts.unclaimed;
        if unclaimed.is_empty() {
            return refused;
        }
        for pair in &mut self.entries {
            let Some((body, shift)) = unclaimed.remove(&document_key(&pair.meta.key)) else {
                continue;
            };
            match pair.chart.restored(&body, &shift) {
                Ok(chart) => pair.chart = chart,
                Err(why) => refused.push(format!("the charts of a pair: {why}")),
            }
        }
        refused
    }

    /// Drops the charts that no pair has claimed: all pairs are known by now.
    pub(in crate::monitor::fleet) fn forget_unclaimed_charts(&mut self) {
        self.saved_charts.unclaimed.clear();
        self.saved_charts.is_settled = true;
    }

    /// The charts that are due, as documents: as many as fit, those that have waited longest first.
    /// `last` when this is the last save of the process.
    pub(in crate::monitor) fn take_charts(&mut self, now: Timestamp, last: bool) -> Vec<Document> {
        let mut documents = self.delete_unwatched_charts();
        let mut due = Vec::new();
        for pair in &mut self.entries {
            if last || pair.is_chart_due(now) {
                due.push(pair);
            }
        }
        due.sort_by_key(|pair| pair.chart_saved_at);
        let budget = if last {
            CHARTS_AT_THE_END
        } else {
            CHARTS_A_SAVE
        };
        let mut bytes = 0;
        for pair in due {
            if bytes + MAX_DOCUMENT > budget {
                break;
            }
            let key = document_key(&pair.meta.key);
            let body = pair.chart.to_document_body(now);
            let document = Document::put(DocumentTable::Charts, &*key, body);
            bytes += document.size();
            pair.chart_saved_at = Some(now);
            self.saved_charts.keys.insert(key);
            documents.push(document);
        }
        documents
    }

    fn delete_unwatched_charts(&mut self) -> Vec<Document> {
        if !self.saved_charts.is_settled {
            return Vec::new();
        }
        let mut watched = BTreeSet::new();
        for pair in &self.entries {
            watched.insert(document_key(&pair.meta.key));
        }
        let keys = &mut self.saved_charts.keys;
        let gone = keys.extract_if(.., |key| !watched.contains(key));
        gone.map(|key| Document::delete(DocumentTable::Charts, key))
            .collect()
    }
}

impl PairEntry {
    fn is_chart_due(&self, now: Timestamp) -> bool {
        match self.chart_saved_at {
            Some(at) => now - at >= SAVED_EVERY,
            None => true,
        }
    }
}

fn document_key(pair: &PairKey) -> String {
    format!("{} {}", pair.saved_name(), pair.replica)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::PastState;
    use crate::config::testing::settings_of;
    use crate::monitor::fleet::Fleet;
    use crate::replication::PairState;
    use crate::topology::Topology;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn fleet(pairs: &[&str]) -> Fleet {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|name| (*name, "m:1", &["r:1"][..]))
            .collect();
        let topology = Topology::from_settings(&settings_of(&pairs));
        Fleet::new(&topology, Span::from_secs(1), at(0))
    }

    fn keys(documents: &[Document]) -> Vec<(&str, bool)> {
        let key = |document: &'_ Document| document.body.is_some();
        documents
            .iter()
            .map(|document| (document.key.as_str(), key(document)))
            .collect()
    }

    #[test]
    fn each_pair_is_saved_once_a_minute_and_all_at_the_end() {
        let mut fleet = fleet(&["a", "b"]);
        let both = [("a r:1", true), ("b r:1", true)];
        assert_eq!(keys(&fleet.pairs.take_charts(at(10), false)), both);
        assert!(fleet.pairs.take_charts(at(69), false).is_empty());
        assert_eq!(keys(&fleet.pairs.take_charts(at(70), false)), both);
        assert_eq!(keys(&fleet.pairs.take_charts(at(71), true)), both);
    }

    #[test]
    fn a_save_holds_no_more_charts_than_its_budget() {
        let names: Vec<String> = (0..2_000).map(|n| format!("pair-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut fleet = fleet(&names);
        for pair in &mut fleet.pairs.entries {
            for n in 0..100 {
                let which = [PairState::Streaming, PairState::ReplicaUnreachable];
                pair.chart.record_state(PastState {
                    at: at(n),
                    state: which[usize::try_from(n % 2).unwrap()],
                    reason: "x".repeat(1000).as_str().into(),
                });
            }
        }
        let mut written = BTreeSet::new();
        for save in 0..40 {
            let documents = fleet.pairs.take_charts(at(save * 10), false);
            let bytes: usize = documents.iter().map(Document::size).sum();
            assert!(bytes <= CHARTS_A_SAVE, "{bytes}");
            written.extend(documents.into_iter().map(|document| document.key));
        }
        assert_eq!(written.len(), 2_000, "each has its turn");
        let last: usize = fleet
            .pairs
            .take_charts(at(10_000), true)
            .iter()
            .map(Document::size)
            .sum();
        assert!(
            last <= CHARTS_AT_THE_END && last > CHARTS_AT_THE_END / 2,
            "{last}"
        );
    }

    #[test]
    fn the_charts_of_a_removed_pair_are_deleted_once_all_pairs_are_known() {
        let saved = |key: &str| SavedDocument {
            key: key.to_owned(),
            body: "nonsense".to_owned(),
            shift: ClockShift::default(),
        };
        let mut fleet = fleet(&["a"]);
        let refused = fleet
            .pairs
            .restore_charts(&[saved("a r:1"), saved("z r:1")]);
        assert_eq!(refused.len(), 1);
        assert_eq!(
            keys(&fleet.pairs.take_charts(at(10), false)),
            [("a r:1", true)]
        );
        fleet.pairs.forget_unclaimed_charts();
        assert_eq!(
            keys(&fleet.pairs.take_charts(at(20), false)),
            [("z r:1", false)]
        );
    }
}
