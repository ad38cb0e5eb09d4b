//! The charts of all pairs on the disk: each has its turn, and no save holds more than the disk and
//! the core can bear.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fleet, PairEntry};
use crate::model::{ClockShift, Document, DocumentTable, PairKey, SavedDocument, Span, Timestamp};
use crate::monitor::chart::MAX_DOCUMENT;

/// The charts of a pair are written at most this often.
const WRITTEN_EVERY: Span = Span::from_secs(60);

/// Bytes of charts in one save, which is made each 10 s: of ten thousand pairs each has its turn
/// within half an hour.
const CHARTS_A_SAVE: usize = 1024 * 1024;

/// Bytes of charts in the last save of a process: all that there is of a thousand pairs.
const CHARTS_AT_THE_END: usize = 16 * 1024 * 1024;

/// What is known of the charts on the disk.
#[derive(Debug, Default)]
pub(super) struct ChartsKept {
    /// Those of pairs that nobody watches yet: a Sentinel may name them later.
    unclaimed: BTreeMap<String, (String, ClockShift)>,
    /// The keys that the disk knows.
    keys: BTreeSet<String>,
    /// Whether it is known by now who is watched.
    is_settled: bool,
}

impl Fleet {
    /// Takes in what was kept. Returns sentences about what makes no sense.
    pub(in crate::monitor) fn restore_charts(
        &mut self,
        documents: &[SavedDocument],
    ) -> Vec<String> {
        for SavedDocument { key, body, shift } in documents {
            self.charts_kept.keys.insert(key.clone());
            self.charts_kept
                .unclaimed
                .insert(key.clone(), (body.clone(), *shift));
        }
        self.claim_charts()
    }

    /// Gives what waits to the pairs that are watched now.
    pub(super) fn claim_charts(&mut self) -> Vec<String> {
        let mut refused = Vec::new();
        if self.charts_kept.unclaimed.is_empty() {
            return refused;
        }
        for pair in &mut self.pairs {
            let Some((body, shift)) = self.charts_kept.unclaimed.remove(&key_of(&pair.meta.key))
            else {
                continue;
            };
            match pair.chart.restored(&body, &shift) {
                Ok(chart) => pair.chart = chart,
                Err(why) => refused.push(format!("the charts of a pair: {why}")),
            }
        }
        refused
    }

    /// Forgets the charts that nobody has claimed, once it is known who is watched.
    pub(in crate::monitor) fn forget_unclaimed_charts(&mut self) {
        self.charts_kept.unclaimed.clear();
        self.charts_kept.is_settled = true;
    }

    /// The charts whose turn it is, as documents: as many as fit.
    pub(in crate::monitor) fn take_charts(&mut self, now: Timestamp, last: bool) -> Vec<Document> {
        let mut documents = self.charts_of_the_gone();
        let is_due = |pair: &&mut PairEntry| {
            let saved = pair.chart_saved_at;
            last || saved.is_none_or(|at| now - at >= WRITTEN_EVERY)
        };
        let mut due: Vec<_> = self.pairs.iter_mut().filter(is_due).collect();
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
            let key = key_of(&pair.meta.key);
            let document = Document::put(DocumentTable::Charts, &*key, pair.chart.body(now));
            bytes += document.size();
            pair.chart_saved_at = Some(now);
            self.charts_kept.keys.insert(key);
            documents.push(document);
        }
        documents
    }

    /// What deletes the charts of pairs that nobody watches.
    fn charts_of_the_gone(&mut self) -> Vec<Document> {
        if !self.charts_kept.is_settled {
            return Vec::new();
        }
        let watched: BTreeSet<_> = self
            .pairs
            .iter()
            .map(|pair| key_of(&pair.meta.key))
            .collect();
        let gone = self
            .charts_kept
            .keys
            .extract_if(.., |key| !watched.contains(key));
        gone.map(|key| Document::delete(DocumentTable::Charts, key))
            .collect()
    }
}

fn key_of(pair: &PairKey) -> String {
    format!("{} {}", pair.saved_name(), pair.replica)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::monitor::chart::PastState;
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
    fn each_pair_has_its_turn_once_a_minute_and_all_at_the_end() {
        let mut fleet = fleet(&["a", "b"]);
        let both = [("a r:1", true), ("b r:1", true)];
        assert_eq!(keys(&fleet.take_charts(at(10), false)), both);
        assert!(fleet.take_charts(at(69), false).is_empty());
        assert_eq!(keys(&fleet.take_charts(at(70), false)), both);
        assert_eq!(keys(&fleet.take_charts(at(71), true)), both);
    }

    #[test]
    fn a_save_holds_no_more_charts_than_its_budget() {
        let names: Vec<String> = (0..2_000).map(|n| format!("pair-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut fleet = fleet(&names);
        for pair in &mut fleet.pairs {
            for n in 0..100 {
                let which = [PairState::Streaming, PairState::ReplicaUnreachable];
                pair.chart.note_state(PastState {
                    at: at(n),
                    state: which[usize::try_from(n % 2).unwrap()],
                    reason: "x".repeat(1000).as_str().into(),
                });
            }
        }
        let mut written = BTreeSet::new();
        for save in 0..100 {
            let documents = fleet.take_charts(at(save * 10), false);
            let bytes: usize = documents.iter().map(Document::size).sum();
            assert!(bytes <= CHARTS_A_SAVE, "{bytes}");
            written.extend(documents.into_iter().map(|document| document.key));
        }
        assert_eq!(written.len(), 2_000, "each has its turn");
        let last: usize = fleet
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
    fn the_charts_of_a_pair_that_is_gone_are_deleted_once_it_is_known_who_is_watched() {
        let saved = |key: &str| SavedDocument {
            key: key.to_owned(),
            body: "nonsense".to_owned(),
            shift: ClockShift::default(),
        };
        let mut fleet = fleet(&["a"]);
        let refused = fleet.restore_charts(&[saved("a r:1"), saved("z r:1")]);
        assert_eq!(refused.len(), 1);
        assert_eq!(keys(&fleet.take_charts(at(10), false)), [("a r:1", true)]);
        fleet.forget_unclaimed_charts();
        assert_eq!(keys(&fleet.take_charts(at(20), false)), [("z r:1", false)]);
    }
}
