//! Failovers on the disk: who took over and what it cost is asked in the morning, and an old master
//! may come back, and tell what was lost, only after a restart of this program.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Entry, LossWatch, MAX_RECENT_FAILOVERS};
use crate::model::{
    Bytes, ClockShift, Datacenter, Document, DocumentTable, PairName, ReplicationId,
    ReplicationOffset, SavedDocument, ServerAddr, Span, Timestamp,
};
use crate::monitor::failover::{Failover, Loss, Succession};
use crate::monitor::fleet::Fleet;
use crate::replication::LastKnown;

/// What the disk knows of failovers.
#[derive(Debug, Default)]
pub(in crate::monitor::fleet) struct FailoversKept {
    /// Whether anything changed since it was last written.
    pub(in crate::monitor::fleet) touched: bool,
    keys: BTreeSet<String>,
    /// Those of entries that nobody watches yet: a Sentinel may name them later.
    unclaimed: BTreeMap<PairName, Past>,
}

/// The failovers of an entry in an earlier life.
pub(in crate::monitor::fleet) type Past = (u64, VecDeque<Timestamp>, Option<(Failover, LossWatch)>);

/// The failovers of one entry.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pair: String,
    total: u64,
    recent: Vec<Timestamp>,
    last: Option<LastRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LastRecord {
    from: String,
    to: String,
    from_dc: String,
    to_dc: String,
    at: Timestamp,
    loss: LossRecord,
    last_known: Option<KnownRecord>,
    watch: WatchRecord,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LossRecord {
    Exactly(Bytes),
    AtLeast(Bytes),
    Unseen {
        at_least: Bytes,
        within: Option<Span>,
    },
    Unknown,
}

#[derive(Debug, Serialize, Deserialize)]
struct KnownRecord {
    upper: Span,
    upper_bytes: Option<Bytes>,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct WatchRecord {
    replid: Option<String>,
    shown: Option<u64>,
    last_shared: Option<u64>,
    shared_at: Option<Timestamp>,
    settled: bool,
}

impl FailoversKept {
    /// What is known of an entry that is watched from now on.
    pub(super) fn claim(&mut self, name: &PairName) -> Option<Past> {
        self.unclaimed.remove(name)
    }
}

impl Fleet {
    /// Whether the disk may know less than this of failovers.
    pub(in crate::monitor) const fn has_unsaved_failovers(&self) -> bool {
        self.failovers_kept.touched
    }

    /// What the disk has to be told of failovers, if anything changed or everything is asked for.
    pub(in crate::monitor) fn take_unsaved_failovers(&mut self, all: bool) -> Vec<Document> {
        if !std::mem::take(&mut self.failovers_kept.touched) && !all {
            return Vec::new();
        }
        let mut gone = std::mem::take(&mut self.failovers_kept.keys);
        let mut documents = Vec::new();
        for (name, entry) in self.entries.iter().filter(|(_, entry)| entry.total > 0) {
            gone.remove(name.as_str());
            documents.push(Document::record(
                DocumentTable::Failovers,
                name.as_str(),
                &Record::of(name, entry),
            ));
            self.failovers_kept.keys.insert(name.as_str().to_owned());
        }
        for name in self.failovers_kept.unclaimed.keys() {
            gone.remove(name.as_str());
            self.failovers_kept.keys.insert(name.as_str().to_owned());
        }
        documents.extend(
            gone.into_iter()
                .map(|name| Document::delete(DocumentTable::Failovers, name)),
        );
        documents
    }

    /// Takes in the failovers of an earlier life, except where there was one since. Returns
    /// sentences about what makes no sense.
    pub(in crate::monitor) fn restore_failovers(
        &mut self,
        documents: &[SavedDocument],
    ) -> Vec<String> {
        let mut refused = Vec::new();
        for document in documents {
            self.failovers_kept.keys.insert(document.key.clone());
            let record =
                serde_json::from_str::<Record>(&document.body).map_err(|why| why.to_string());
            match record.and_then(|record| record.past(&document.shift)) {
                Ok((name, past)) => self.restore_one(name, past),
                Err(why) => refused.push(format!("the failovers of an entry: {why}")),
            }
        }
        self.note_open_losses();
        refused
    }

    /// Forgets the failovers of entries that nobody watches.
    pub(in crate::monitor) fn forget_unclaimed_failovers(&mut self) {
        let kept = &mut self.failovers_kept;
        kept.touched |= !kept.unclaimed.is_empty();
        kept.unclaimed.clear();
    }

    fn restore_one(&mut self, name: PairName, past: Past) {
        match self.entries.get_mut(&name) {
            Some(entry) if entry.total == 0 => (entry.total, entry.recent, entry.last) = past,
            Some(_) => {}
            None => drop(self.failovers_kept.unclaimed.insert(name, past)),
        }
    }
}

impl Record {
    fn of(name: &PairName, entry: &Entry) -> Self {
        let last = entry
            .last
            .as_ref()
            .map(|(failover, watch)| LastRecord::of(failover, watch));
        let recent = entry.recent.iter().copied().collect();
        Self {
            pair: name.as_str().to_owned(),
            total: entry.total,
            recent,
            last,
        }
    }

    fn past(self, shift: &ClockShift) -> Result<(PairName, Past), String> {
        let name = PairName::new(&self.pair);
        let recent = self
            .recent
            .into_iter()
            .take(MAX_RECENT_FAILOVERS)
            .map(|at| shift.past(at))
            .collect();
        let last = self.last.map(|last| last.past(&name, shift)).transpose()?;
        Ok((name, (self.total, recent, last)))
    }
}

impl LastRecord {
    fn of(failover: &Failover, watch: &LossWatch) -> Self {
        let Failover {
            succession: Succession { pair: _, from, to },
            from_dc,
            to_dc,
            at,
            loss,
            last_known,
        } = failover;
        Self {
            from: from.to_string(),
            to: to.to_string(),
            from_dc: from_dc.to_string(),
            to_dc: to_dc.to_string(),
            at: *at,
            loss: LossRecord::of(*loss),
            last_known: last_known.map(
                |LastKnown {
                     upper,
                     upper_bytes,
                     at,
                 }| KnownRecord {
                    upper,
                    upper_bytes,
                    at,
                },
            ),
            watch: WatchRecord::of(watch),
        }
    }

    fn past(self, pair: &PairName, shift: &ClockShift) -> Result<(Failover, LossWatch), String> {
        let addr = |text: &str| ServerAddr::parse(text).map_err(|why| why.to_string());
        let succession = Succession {
            pair: pair.clone(),
            from: addr(&self.from)?,
            to: addr(&self.to)?,
        };
        let known = self.last_known.map(
            |KnownRecord {
                 upper,
                 upper_bytes,
                 at,
             }| {
                let at = shift.past(at);
                LastKnown {
                    upper,
                    upper_bytes,
                    at,
                }
            },
        );
        let failover = Failover {
            succession,
            from_dc: Datacenter::new(&self.from_dc),
            to_dc: Datacenter::new(&self.to_dc),
            at: shift.past(self.at),
            loss: self.loss.loss(),
            last_known: known,
        };
        Ok((failover, self.watch.watch(shift)))
    }
}

impl LossRecord {
    const fn of(loss: Loss) -> Self {
        match loss {
            Loss::Exactly(bytes) => Self::Exactly(bytes),
            Loss::AtLeast(bytes) => Self::AtLeast(bytes),
            Loss::Unseen { at_least, within } => Self::Unseen { at_least, within },
            Loss::Unknown => Self::Unknown,
        }
    }

    const fn loss(self) -> Loss {
        match self {
            Self::Exactly(bytes) => Loss::Exactly(bytes),
            Self::AtLeast(bytes) => Loss::AtLeast(bytes),
            Self::Unseen { at_least, within } => Loss::Unseen { at_least, within },
            Self::Unknown => Loss::Unknown,
        }
    }
}

impl WatchRecord {
    fn of(watch: &LossWatch) -> Self {
        let LossWatch {
            replid,
            shown,
            last_shared,
            shared_at,
            settled,
        } = watch;
        Self {
            replid: replid.as_ref().map(ToString::to_string),
            shown: shown.map(ReplicationOffset::get),
            last_shared: last_shared.map(ReplicationOffset::get),
            shared_at: *shared_at,
            settled: *settled,
        }
    }

    fn watch(self, shift: &ClockShift) -> LossWatch {
        LossWatch {
            replid: self.replid.as_deref().and_then(ReplicationId::parse),
            shown: self.shown.map(ReplicationOffset::new),
            last_shared: self.last_shared.map(ReplicationOffset::new),
            shared_at: self.shared_at.map(|at| shift.past(at)),
            settled: self.settled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::model::{ClockAnchor, WallTime};
    use crate::topology::Topology;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    fn fleet(name: &str, master: &str, replica: &str) -> Fleet {
        Fleet::new(
            &Topology::from_settings(&settings_of(&[(name, master, &[replica])])),
            Span::from_secs(1),
            at(0),
        )
    }

    /// A fleet in which `b` took over from `a`, with this cost.
    fn turned(loss: Loss) -> Fleet {
        let mut fleet = fleet("orders", "a:1", "b:1");
        let [from, to] = ["a", "b"].map(|host| ServerAddr::new(host, 1));
        let failover = Failover {
            succession: Succession {
                pair: PairName::new("orders"),
                from,
                to,
            },
            from_dc: Datacenter::new("dc1"),
            to_dc: Datacenter::new("dc2"),
            at: at(90),
            loss,
            last_known: Some(LastKnown {
                upper: Span::from_secs(2),
                upper_bytes: Some(Bytes::new(7)),
                at: at(89),
            }),
        };
        let watch = LossWatch {
            replid: ReplicationId::parse(&"a1".repeat(20)),
            shown: Some(ReplicationOffset::new(100)),
            last_shared: Some(ReplicationOffset::new(90)),
            shared_at: Some(at(88)),
            settled: false,
        };
        let entry = fleet.entries.get_mut(&PairName::new("orders")).unwrap();
        (entry.total, entry.recent, entry.last) =
            (3, [at(90), at(50)].into(), Some((failover, watch)));
        fleet.failovers_kept.touched = true;
        fleet
    }

    /// What another life reads, 100 s after the clock began anew.
    fn read(documents: Vec<Document>) -> Vec<SavedDocument> {
        let now = ClockAnchor {
            mono: at(100),
            wall: WallTime::from_nanos(0),
        };
        let shift = ClockShift {
            by: Span::from_secs(5),
            ago: Span::ZERO,
            now,
        };
        let saved = |Document { key, body, .. }: Document| SavedDocument {
            key,
            body: body.unwrap(),
            shift,
        };
        documents.into_iter().map(saved).collect()
    }

    #[test]
    fn a_failover_and_what_is_needed_to_measure_it_outlive_the_process() {
        let losses = [
            Loss::Exactly(Bytes::new(1)),
            Loss::AtLeast(Bytes::new(10)),
            Loss::Unseen {
                at_least: Bytes::ZERO,
                within: Some(Span::from_secs(1)),
            },
            Loss::Unknown,
        ];
        for loss in losses {
            let mut old = turned(loss);
            assert!(old.has_unsaved_failovers());
            let documents = read(old.take_unsaved_failovers(false));
            assert!(!old.has_unsaved_failovers() && old.take_unsaved_failovers(false).is_empty());
            let mut new = fleet("orders", "a:1", "b:1");
            assert_eq!(new.restore_failovers(&documents), [""; 0]);
            let (mut expected, told) = (old.failovers(), new.failovers());
            let last = expected[0].last.as_mut().unwrap();
            (last.at, last.last_known.as_mut().unwrap().at) = (at(95), at(94));
            assert_eq!(told, expected);
            let name = PairName::new("orders");
            assert_eq!(
                new.recent_failovers(&name, Span::from_secs(10), at(100))
                    .count,
                1
            );
            assert!(
                new.losses_open.contains(&name),
                "the old master may still tell"
            );
            let (_, watch) = new.entries[&name].last.as_ref().unwrap();
            assert_eq!((watch.shared_at, watch.settled), (Some(at(93)), false));
        }
    }

    #[test]
    fn what_was_kept_of_an_entry_waits_until_it_is_named() {
        let documents = read(turned(Loss::Unknown).take_unsaved_failovers(true));
        let mut fleet = fleet("carts", "c:1", "d:1");
        fleet.restore_failovers(&documents);
        assert!(
            fleet.take_unsaved_failovers(true).is_empty(),
            "it stays on the disk"
        );
        let named = Topology::from_settings(&settings_of(&[("orders", "a:1", &["b:1"])]));
        fleet.reconfigure(&named, Span::from_secs(1), at(101));
        assert_eq!(fleet.failovers()[0].total, 3);
        assert_eq!(fleet.take_unsaved_failovers(true).len(), 1);
        let other = Topology::from_settings(&settings_of(&[("carts", "c:1", &["d:1"])]));
        fleet.reconfigure(&other, Span::from_secs(1), at(102));
        let gone = fleet.take_unsaved_failovers(true);
        assert!(gone.len() == 1 && gone[0].body.is_none(), "{gone:?}");
    }

    #[test]
    fn what_was_kept_of_an_entry_that_is_gone_leaves_the_disk() {
        let documents = read(turned(Loss::Unknown).take_unsaved_failovers(true));
        let mut fleet = fleet("carts", "c:1", "d:1");
        fleet.restore_failovers(&documents);
        fleet.forget_unclaimed_failovers();
        let gone = fleet.take_unsaved_failovers(false);
        assert!(gone.len() == 1 && gone[0].body.is_none(), "{gone:?}");
        fleet.forget_unclaimed_failovers();
        assert!(!fleet.has_unsaved_failovers());
    }

    #[test]
    fn what_happened_since_counts_and_nonsense_is_said() {
        let mut documents = read(turned(Loss::Unknown).take_unsaved_failovers(true));
        let mut fleet = turned(Loss::Unknown);
        fleet
            .entries
            .get_mut(&PairName::new("orders"))
            .unwrap()
            .total = 1;
        fleet.restore_failovers(&documents);
        assert_eq!(fleet.failovers()[0].total, 1);
        "{}".clone_into(&mut documents[0].body);
        assert_eq!(fleet.restore_failovers(&documents).len(), 1);
    }
}
