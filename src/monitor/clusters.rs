//! How long each Redis Cluster has been down: no node answers, it serves no queries, or slots have
//! no living master.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::labels::cluster_labels;
use crate::alert::{AlertKey, Reading, Rule};
use crate::model::{PairName, Span, Timestamp};
use crate::replication::Pause;
use crate::topology::ClusterGroup;

/// Every cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterFaults {
    watches: BTreeMap<PairName, ClusterWatch>,
}

/// One cluster.
#[derive(Debug)]
struct ClusterWatch {
    key: AlertKey,
    /// What is wrong, a sentence each; `None` while nothing is known.
    troubles: Option<Vec<String>>,
    /// When it was last well, or not known to be down.
    fine_at: Timestamp,
    /// Since when it has been down according to the saved state, until this process knows more.
    restored: Option<Timestamp>,
}

/// A cluster as its alert rule sees it.
#[derive(Debug)]
pub(super) struct ClusterFault<'a> {
    /// The cluster.
    pub(super) key: &'a AlertKey,
    /// For how long it has been down.
    pub(super) reading: Reading<Span>,
    troubles: &'a [String],
}

impl ClusterFaults {
    /// Replaces what is known of the clusters. Returns the keys of their alerts.
    pub(super) fn update(
        &mut self,
        groups: &[&ClusterGroup],
        now: Timestamp,
    ) -> BTreeSet<AlertKey> {
        let mut old = std::mem::take(&mut self.watches);
        let mut keys = BTreeSet::new();
        for group in groups {
            let known = old.remove(&group.name);
            let mut watch = known.unwrap_or_else(|| ClusterWatch::new(&group.name, now));
            let troubles = group.is_reachable().map(|_| group.troubles());
            watch.update(troubles, now);
            keys.insert(watch.key.clone());
            self.watches.insert(group.name.clone(), watch);
        }
        keys
    }

    /// The cluster of this alert has been down since before a restart.
    pub(super) fn resume(&mut self, key: &AlertKey, since: Timestamp) {
        let mut watches = self.watches.values_mut();
        if let Some(watch) = watches.find(|watch| watch.key == *key) {
            watch.restored = Some(since);
            if watch.is_down() {
                watch.fine_at = since;
            }
        }
    }

    /// Notes that the exporter was paused: that time counts towards no fault.
    pub(super) fn note_pause(&mut self, pause: Pause) {
        for watch in self.watches.values_mut() {
            watch.fine_at += pause.after(watch.fine_at);
        }
    }

    /// Every cluster at `now`.
    pub(super) fn faults(&self, now: Timestamp) -> impl Iterator<Item = ClusterFault<'_>> {
        self.watches.values().map(move |watch| watch.at(now))
    }
}

impl ClusterWatch {
    fn new(cluster: &PairName, now: Timestamp) -> Self {
        Self {
            key: AlertKey::new(Rule::ClusterDown, Arc::new(cluster_labels(cluster))),
            troubles: None,
            fine_at: now,
            restored: None,
        }
    }

    fn is_down(&self) -> bool {
        let troubles = self.troubles.as_ref();
        troubles.is_some_and(|troubles| !troubles.is_empty())
    }

    fn update(&mut self, troubles: Option<Vec<String>>, now: Timestamp) {
        if !self.is_down() {
            self.fine_at = now;
        }
        self.troubles = troubles;
        if self.is_down() {
            self.fine_at = self.restored.take().unwrap_or(self.fine_at);
        } else if self.troubles.is_some() {
            self.restored = None;
        }
    }

    fn at(&self, now: Timestamp) -> ClusterFault<'_> {
        let reading = match &self.troubles {
            None => Reading::NO_DATA,
            Some(troubles) if troubles.is_empty() => Reading::exact(Span::ZERO),
            Some(_) => Reading::exact((now - self.fine_at).or_zero()),
        };
        ClusterFault {
            key: &self.key,
            reading,
            troubles: self.troubles.as_deref().unwrap_or_default(),
        }
    }
}

impl ClusterFault<'_> {
    /// What is wrong, as the end of a sentence.
    pub(super) fn reason(&self) -> Option<String> {
        if self.troubles.is_empty() {
            return None;
        }
        Some(self.troubles.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Datacenter, PollError, ServerAddr};
    use crate::topology::ClusterNodeState;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    /// A cluster `c` with one node: `o`k, `f`ailing, `s`ilent, `?` not asked yet, or as many slots
    /// without a master as the number.
    fn group(text: &str) -> ClusterGroup {
        let answer = match text {
            "?" => None,
            "s" => Some(Err(PollError::Timeout.into())),
            _ => Some(Ok(())),
        };
        let answers = matches!(answer, Some(Ok(())));
        let node = ClusterNodeState {
            addr: ServerAddr::new("n", 1),
            dc: Datacenter::new("a"),
            configured: true,
            answer,
            is_ok: None,
            dissent: None,
        };
        ClusterGroup {
            name: PairName::new("c"),
            nodes: vec![node],
            shards: 1,
            is_ok: answers.then_some(text != "f"),
            slots_uncovered: answers.then(|| text.parse().unwrap_or(0)),
            risks: Vec::new(),
        }
    }

    /// The reading in seconds at 100 s, after these states from each of these seconds on; a dash
    /// for none.
    fn check(states: &[(i64, &str)], expected: &str) {
        let mut faults = ClusterFaults::default();
        for (secs, state) in states {
            faults.update(&[&group(state)], at(*secs));
        }
        assert_eq!(shown(&faults), expected, "{states:?}");
    }

    fn shown(faults: &ClusterFaults) -> String {
        let fault = faults.faults(at(100)).next().unwrap();
        match fault.reading.estimate {
            Some(lasts) => lasts.as_secs_f64().to_string(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn every_kind_of_fault_is_timed_from_its_beginning() {
        check(&[(0, "o")], "0");
        check(&[(0, "?")], "-");
        for fault in ["s", "f", "1"] {
            check(&[(0, "o"), (90, fault)], "10");
        }
        check(&[(0, "o"), (80, "f"), (90, "s"), (95, "5461")], "20");
        check(&[(0, "f"), (90, "o")], "0");
        check(&[(0, "f"), (90, "o"), (99, "f")], "1");
    }

    #[test]
    fn a_fault_goes_on_over_a_restart() {
        for first in ["?", "f"] {
            let mut faults = ClusterFaults::default();
            let keys = faults.update(&[&group(first)], at(50));
            faults.resume(keys.first().unwrap(), at(20));
            faults.update(&[&group("f")], at(60));
            assert_eq!(shown(&faults), "80", "{first}");
        }
        let mut faults = ClusterFaults::default();
        let keys = faults.update(&[&group("?")], at(50));
        faults.resume(keys.first().unwrap(), at(20));
        faults.update(&[&group("o")], at(60));
        faults.update(&[&group("f")], at(70));
        assert_eq!(shown(&faults), "30", "it was well in between");
    }
}
