//! Who is observed to be the master of an entry instead of the one that is told of: by the
//! configuration, or by Sentinels.

use std::collections::BTreeMap;

use crate::config::PairSettings;
use crate::model::{PairName, ServerAddr};

/// The entries whose master is another server than the one that is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masters(BTreeMap<PairName, Observed>);

/// What was observed holds against one word only: a new word is believed until the servers say
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    /// Who was told to be the master.
    told: ServerAddr,
    /// Who is.
    master: ServerAddr,
}

impl Masters {
    /// Notes that `master` is the master of the entry of that name among `entries`, whatever they
    /// tell.
    pub fn follow(&mut self, entries: &[PairSettings], name: &PairName, master: &ServerAddr) {
        let Some(entry) = entries.iter().find(|entry| entry.name == *name) else {
            return;
        };
        let observed = Observed {
            told: entry.master.addr.clone(),
            master: master.clone(),
        };
        self.0.insert(name.clone(), observed);
        self.retain_told(entries);
    }

    /// Forgets what does not differ from what `entries` tell, or was observed against another word
    /// than theirs.
    pub fn retain_told(&mut self, entries: &[PairSettings]) {
        let told: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.name, entry)).collect();
        self.0.retain(|name, observed| {
            told.get(name)
                .is_some_and(|entry| observed.differs_from(entry))
        });
    }

    /// What was kept of an earlier life of this program: the masters that histories were kept of,
    /// and the replicas of each entry then. An entry whose told master was a replica then, and one
    /// of whose replicas was the master, was turned.
    pub fn remembered(
        entries: &[PairSettings],
        was_master: impl Fn(&ServerAddr) -> bool,
        was_replica: impl Fn(&PairName, &ServerAddr) -> bool,
    ) -> Self {
        let mut masters = Self::default();
        for entry in entries
            .iter()
            .filter(|entry| was_replica(&entry.name, &entry.master.addr))
        {
            if let Some(master) = entry
                .replicas
                .iter()
                .find(|replica| was_master(&replica.addr))
            {
                masters.follow(entries, &entry.name, &master.addr);
            }
        }
        masters
    }

    /// `entry` with its observed master as the master, and the one that it tells of in that one's
    /// place among the replicas.
    pub(super) fn turned(&self, entry: &PairSettings) -> PairSettings {
        let mut turned = entry.clone();
        let observed = self
            .0
            .get(&entry.name)
            .filter(|observed| observed.differs_from(entry));
        let promoted = observed.and_then(|observed| {
            turned
                .replicas
                .iter_mut()
                .find(|r| r.addr == observed.master)
        });
        if let Some(promoted) = promoted {
            std::mem::swap(promoted, &mut turned.master);
        }
        turned
    }
}

impl Observed {
    fn differs_from(&self, entry: &PairSettings) -> bool {
        entry.master.addr == self.told
            && entry
                .replicas
                .iter()
                .any(|replica| replica.addr == self.master)
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
        let mut masters = Masters::default();
        for master in seen {
            masters.follow(&entries, &entries[0].name, &addr(master));
        }
        assert_eq!(shown(&masters.turned(&entries[0])), expected);
    }

    #[test]
    fn a_promoted_replica_changes_places_with_its_master() {
        check(&["b:1"], "b:1<a:1,c:1");
        check(&["c:1"], "c:1<b:1,a:1");
        check(&["b:1", "c:1"], "c:1<b:1,a:1");
        check(&["b:1", "a:1"], "a:1<b:1,c:1");
    }

    #[test]
    fn who_is_no_replica_is_not_promoted() {
        check(&["a:1"], "a:1<b:1,c:1");
        check(&["z:1"], "a:1<b:1,c:1");
    }

    #[test]
    fn a_new_word_is_believed_until_it_is_observed_otherwise() {
        let before = settings_of(&[("orders", "a:1", &["b:1"])]).pairs;
        let mut masters = Masters::default();
        masters.follow(&before, &before[0].name, &addr("b:1"));
        let after = settings_of(&[("orders", "b:1", &["a:1"])]).pairs;
        assert_eq!(shown(&masters.turned(&after[0])), "b:1<a:1");
        masters.retain_told(&after);
        assert_eq!(masters, Masters::default());
        assert_eq!(
            shown(&masters.turned(&before[0])),
            "a:1<b:1",
            "it is forgotten, and not only set aside"
        );
    }

    #[test]
    fn what_was_turned_before_a_restart_is_turned_after_it() {
        let entries = settings_of(&[("orders", "a:1", &["b:1"]), ("carts", "c:1", &["d:1"])]).pairs;
        let masters = Masters::remembered(
            &entries,
            |master| [addr("b:1"), addr("c:1")].contains(master),
            |_, replica| [addr("a:1"), addr("d:1")].contains(replica),
        );
        let turned: Vec<_> = entries
            .iter()
            .map(|entry| shown(&masters.turned(entry)))
            .collect();
        assert_eq!(turned, ["b:1<a:1", "c:1<d:1"]);
    }
}
