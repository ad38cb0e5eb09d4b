//! Masters that differ from what the configuration or a discovery source reports, by what the
//! servers themselves answer.

use std::collections::BTreeMap;

use crate::config::PairSettings;
use crate::model::{PairName, ServerAddr};

/// The entries whose observed master is not the reported one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedMasters(BTreeMap<PairName, Observed>);

/// An observation holds against one report only: once another master is reported, that report
/// counts until the servers contradict it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    /// The master in the configuration or by the source at the time of the observation.
    reported: ServerAddr,
    /// The master by the servers' answers.
    master: ServerAddr,
}

impl ObservedMasters {
    /// Notes for each name among `seen` which server is the master of the entry with that name,
    /// whichever master `entries` report.
    pub fn follow<'a>(
        &mut self,
        entries: &[PairSettings],
        seen: impl IntoIterator<Item = (&'a PairName, &'a ServerAddr)>,
    ) {
        let reported: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.name, entry)).collect();
        for (name, master) in seen {
            if let Some(entry) = reported.get(name) {
                let observed = Observed {
                    reported: entry.master.addr.clone(),
                    master: master.clone(),
                };
                self.0.insert(name.clone(), observed);
            }
        }
        self.retain_among(&reported);
    }

    /// Whether another master of the entry was observed than in `other`.
    pub fn differs_in(&self, other: &Self, name: &PairName) -> bool {
        self.0.get(name) != other.0.get(name)
    }

    /// Drops observations that no longer differ from what `entries` report, or that were made
    /// against another report.
    pub fn retain_current(&mut self, entries: &[PairSettings]) {
        let reported: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.name, entry)).collect();
        self.retain_among(&reported);
    }

    fn retain_among(&mut self, reported: &BTreeMap<&PairName, &PairSettings>) {
        self.0.retain(|name, observed| match reported.get(name) {
            Some(entry) => observed.differs_from(entry),
            None => false,
        });
    }

    /// The observations of an earlier run, from what it saved: `was_master` for servers with a
    /// saved history, `was_replica` for the replicas of each entry. The roles of an entry were
    /// swapped if its reported master was a replica and one of its replicas the master.
    pub fn from_saved(
        entries: &[PairSettings],
        was_master: impl Fn(&ServerAddr) -> bool,
        was_replica: impl Fn(&PairName, &ServerAddr) -> bool,
    ) -> Self {
        let mut swapped = Vec::new();
        for entry in entries {
            if !was_replica(&entry.name, &entry.master.addr) {
                continue;
            }
            let mut replicas = entry.replicas.iter();
            if let Some(master) = replicas.find(|replica| was_master(&replica.addr)) {
                swapped.push((&entry.name, &master.addr));
            }
        }
        let mut masters = Self::default();
        masters.follow(entries, swapped);
        masters
    }

    /// `entry` with its observed master and its reported master in exchanged places.
    pub(super) fn apply(&self, entry: &PairSettings) -> PairSettings {
        let mut swapped = entry.clone();
        let Some(observed) = self.0.get(&entry.name) else {
            return swapped;
        };
        if !observed.differs_from(entry) {
            return swapped;
        }
        let mut replicas = swapped.replicas.iter_mut();
        if let Some(promoted) = replicas.find(|replica| replica.addr == observed.master) {
            std::mem::swap(promoted, &mut swapped.master);
        }
        swapped
    }
}

impl Observed {
    fn differs_from(&self, entry: &PairSettings) -> bool {
        let mut replicas = entry.replicas.iter();
        entry.master.addr == self.reported && replicas.any(|replica| replica.addr == self.master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;

    fn addr(text: &str) -> ServerAddr {
        ServerAddr::parse(text).unwrap()
    }

    fn shown(entry: &PairSettings) -> String {
        let replicas: Vec<_> = entry
            .replicas
            .iter()
            .map(|replica| replica.addr.to_string())
            .collect();
        format!("{}<{}", entry.master.addr, replicas.join(","))
    }

    /// `orders: a<b,c`, after these servers were seen as its master one after the other.
    fn check(seen: &[&str], expected: &str) {
        let entries = settings_of(&[("orders", "a:1", &["b:1", "c:1"])]).pairs;
        let mut masters = ObservedMasters::default();
        for master in seen {
            masters.follow(&entries, [(&entries[0].name, &addr(master))]);
        }
        assert_eq!(shown(&masters.apply(&entries[0])), expected);
    }

    #[test]
    fn a_promoted_replica_and_its_master_swap_roles() {
        check(&["b:1"], "b:1<a:1,c:1");
        check(&["c:1"], "c:1<b:1,a:1");
        check(&["b:1", "c:1"], "c:1<b:1,a:1");
        check(&["b:1", "a:1"], "a:1<b:1,c:1");
    }

    #[test]
    fn only_a_replica_of_the_entry_is_promoted() {
        check(&["a:1"], "a:1<b:1,c:1");
        check(&["z:1"], "a:1<b:1,c:1");
    }

    #[test]
    fn a_new_report_counts_until_another_master_is_observed() {
        let before = settings_of(&[("orders", "a:1", &["b:1"])]).pairs;
        let mut masters = ObservedMasters::default();
        masters.follow(&before, [(&before[0].name, &addr("b:1"))]);
        let after = settings_of(&[("orders", "b:1", &["a:1"])]).pairs;
        assert_eq!(shown(&masters.apply(&after[0])), "b:1<a:1");
        masters.retain_current(&after);
        assert_eq!(masters, ObservedMasters::default());
        assert_eq!(
            shown(&masters.apply(&before[0])),
            "a:1<b:1",
            "it is forgotten, and not only set aside"
        );
    }

    #[test]
    fn swapped_roles_survive_a_restart() {
        let entries = settings_of(&[("orders", "a:1", &["b:1"]), ("carts", "c:1", &["d:1"])]).pairs;
        let masters = ObservedMasters::from_saved(
            &entries,
            |master| [addr("b:1"), addr("c:1")].contains(master),
            |_, replica| [addr("a:1"), addr("d:1")].contains(replica),
        );
        let swapped: Vec<_> = entries
            .iter()
            .map(|entry| shown(&masters.apply(entry)))
            .collect();
        assert_eq!(swapped, ["b:1<a:1", "c:1<d:1"]);
    }
}
