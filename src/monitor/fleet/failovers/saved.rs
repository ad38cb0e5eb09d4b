//! Failovers on the disk: after a restart it is still shown which server took over and what that
//! cost, and an old master that returns only then still reveals what was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{EntryState, Failovers, LossWatch, MAX_RECENT_FAILOVERS, PastFailovers};
use crate::model::{
    Bytes, ClockShift, Datacenter, Document, DocumentTable, PairName, Persisted, ReplicationId,
    ReplicationOffset, SaveScope, SavedDocuments, ServerAddr, Span, Timestamp, documents_of,
    restore_each,
};
use crate::monitor::failover::{Failover, FailoverLoss, Promotion};
use crate::replication::LastKnown;

/// What is known of the failovers on the disk.
#[derive(Debug, Default)]
pub(super) struct SavedFailovers {
    /// Whether anything changed since the last save.
    pub(super) changed: bool,
    /// The keys of the documents on the disk.
    keys: BTreeSet<String>,
    /// The failovers of entries that are not watched yet: a Sentinel may name them later.
    unclaimed: BTreeMap<PairName, PastFailovers>,
}

/// The failovers of one entry.
#[derive(Debug, Serialize, Deserialize)]
struct EntryRecord {
    pair: String,
    total: u64,
    recent: Vec<Timestamp>,
    last: Option<FailoverRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FailoverRecord {
    from: String,
    to: String,
    from_dc: String,
    to_dc: String,
    at: Timestamp,
    loss: LossRecord,
    last_known: Option<LastKnownRecord>,
    watch: WatchRecord,
    #[serde(default)]
    operation: Option<String>,
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
struct LastKnownRecord {
    upper: Span,
    upper_bytes: Option<Bytes>,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct WatchRecord {
    replid: Option<String>,
    #[serde(rename = "shown")]
    newest_shown: Option<u64>,
    last_shared: Option<u64>,
    shared_at: Option<Timestamp>,
    settled: bool,
}

impl SavedFailovers {
    /// The restored failovers of an entry that is watched from now on.
    pub(super) fn claim(&mut self, name: &PairName) -> PastFailovers {
        self.unclaimed.remove(name).unwrap_or_default()
    }
}

impl Persisted for Failovers {
    fn has_unsaved(&self) -> bool {
        self.saved.changed
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let changed = std::mem::take(&mut self.saved.changed);
        if !changed && !scope.all {
            return Vec::new();
        }
        let mut documents = Vec::new();
        let mut keys = BTreeSet::new();
        for (name, entry) in &self.entries {
            if entry.past.total > 0 {
                documents.push(entry.past.document(name));
                keys.insert(name.as_str().to_owned());
            }
        }
        for name in self.saved.unclaimed.keys() {
            keys.insert(name.as_str().to_owned());
        }
        for gone in self.saved.keys.difference(&keys) {
            documents.push(Document::delete(DocumentTable::Failovers, &**gone));
        }
        self.saved.keys = keys;
        documents
    }

    fn restore(&mut self, documents: &SavedDocuments, _: Timestamp) -> Vec<String> {
        let documents = documents_of(documents, DocumentTable::Failovers);
        let keys = documents.iter().map(|document| document.key.clone());
        self.saved.keys.extend(keys);
        let subject = "the failovers of an entry";
        let refused = restore_each(documents, subject, |record: EntryRecord, document| {
            let (name, past) = record.into_parts(&document.shift)?;
            self.restore_one(name, past);
            Ok(())
        });
        self.find_open_losses();
        refused
    }

    fn forget_unclaimed(&mut self, _: Timestamp) {
        self.saved.changed |= !self.saved.unclaimed.is_empty();
        self.saved.unclaimed.clear();
    }
}

impl PastFailovers {
    fn document(&self, name: &PairName) -> Document {
        let record = EntryRecord::new(name, self);
        Document::record(DocumentTable::Failovers, name.as_str(), &record)
    }
}

impl Failovers {
    /// Restores the failovers of one entry. If there were any since the restart, those count and
    /// the ones before it are forgotten.
    fn restore_one(&mut self, name: PairName, past: PastFailovers) {
        let Some(EntryState { past: known, .. }) = self.entries.get_mut(&name) else {
            self.saved.unclaimed.insert(name, past);
            return;
        };
        if known.total == 0 {
            *known = past;
        }
    }
}

impl EntryRecord {
    fn new(name: &PairName, past: &PastFailovers) -> Self {
        let last = past.last.as_ref();
        Self {
            pair: name.as_str().to_owned(),
            total: past.total,
            recent: past.recent.iter().copied().collect(),
            last: last.map(|(failover, watch)| FailoverRecord::new(failover, watch)),
        }
    }

    fn into_parts(self, shift: &ClockShift) -> Result<(PairName, PastFailovers), String> {
        let name = PairName::new(&self.pair);
        let recent = self.recent.into_iter().take(MAX_RECENT_FAILOVERS);
        let last = match self.last {
            Some(last) => Some(last.into_parts(&name, shift)?),
            None => None,
        };
        let past = PastFailovers {
            total: self.total,
            recent: recent.map(|at| shift.past(at)).collect(),
            last,
        };
        Ok((name, past))
    }
}

impl FailoverRecord {
    fn new(failover: &Failover, watch: &LossWatch) -> Self {
        Self {
            from: failover.promotion.from.to_string(),
            to: failover.promotion.to.to_string(),
            from_dc: failover.from_dc.to_string(),
            to_dc: failover.to_dc.to_string(),
            at: failover.at,
            loss: failover.loss.into(),
            last_known: failover.last_known.map(LastKnownRecord::from),
            watch: WatchRecord::new(watch),
            operation: failover.operation.as_deref().map(str::to_owned),
        }
    }

    fn into_parts(
        self,
        pair: &PairName,
        shift: &ClockShift,
    ) -> Result<(Failover, LossWatch), String> {
        let parse_addr = |text: &str| ServerAddr::parse(text).map_err(|why| why.to_string());
        let promotion = Promotion {
            pair: pair.clone(),
            from: parse_addr(&self.from)?,
            to: parse_addr(&self.to)?,
        };
        let failover = Failover {
            promotion,
            from_dc: Datacenter::new(&self.from_dc),
            to_dc: Datacenter::new(&self.to_dc),
            at: shift.past(self.at),
            loss: self.loss.into(),
            last_known: self.last_known.map(|known| known.restored(shift)),
            operation: self.operation.map(Arc::from),
        };
        Ok((failover, self.watch.restored(shift)))
    }
}

impl From<FailoverLoss> for LossRecord {
    fn from(loss: FailoverLoss) -> Self {
        match loss {
            FailoverLoss::Exactly(bytes) => Self::Exactly(bytes),
            FailoverLoss::AtLeast(bytes) => Self::AtLeast(bytes),
            FailoverLoss::Unseen { at_least, within } => Self::Unseen { at_least, within },
            FailoverLoss::Unknown => Self::Unknown,
        }
    }
}

impl From<LossRecord> for FailoverLoss {
    fn from(record: LossRecord) -> Self {
        match record {
            LossRecord::Exactly(bytes) => Self::Exactly(bytes),
            LossRecord::AtLeast(bytes) => Self::AtLeast(bytes),
            LossRecord::Unseen { at_least, within } => Self::Unseen { at_least, within },
            LossRecord::Unknown => Self::Unknown,
        }
    }
}

impl From<LastKnown> for LastKnownRecord {
    fn from(known: LastKnown) -> Self {
        Self {
            upper: known.upper,
            upper_bytes: known.upper_bytes,
            at: known.at,
        }
    }
}

impl LastKnownRecord {
    fn restored(self, shift: &ClockShift) -> LastKnown {
        LastKnown {
            upper: self.upper,
            upper_bytes: self.upper_bytes,
            at: shift.past(self.at),
        }
    }
}

impl WatchRecord {
    fn new(watch: &LossWatch) -> Self {
        Self {
            replid: watch.replid.as_ref().map(ToString::to_string),
            newest_shown: watch.newest_shown.map(ReplicationOffset::get),
            last_shared: watch.last_shared.map(ReplicationOffset::get),
            shared_at: watch.shared_at,
            settled: watch.settled,
        }
    }

    fn restored(self, shift: &ClockShift) -> LossWatch {
        LossWatch {
            replid: self.replid.as_deref().and_then(ReplicationId::parse),
            newest_shown: self.newest_shown.map(ReplicationOffset::new),
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
    use crate::model::{ClockAnchor, SavedDocument, WallTime};
    use crate::monitor::fleet::Fleet;
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
    fn after_failover(loss: FailoverLoss) -> Fleet {
        let mut fleet = fleet("orders", "a:1", "b:1");
        let [from, to] = ["a", "b"].map(|host| ServerAddr::new(host, 1));
        let failover = Failover {
            promotion: Promotion {
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
            operation: Some("x".into()),
        };
        let watch = LossWatch {
            replid: ReplicationId::parse(&"a1".repeat(20)),
            newest_shown: Some(ReplicationOffset::new(100)),
            last_shared: Some(ReplicationOffset::new(90)),
            shared_at: Some(at(88)),
            settled: false,
        };
        *past_of(&mut fleet, "orders") = PastFailovers {
            total: 3,
            recent: [at(90), at(50)].into(),
            last: Some((failover, watch)),
        };
        fleet.failovers.saved.changed = true;
        fleet
    }

    fn past_of<'a>(fleet: &'a mut Fleet, entry: &str) -> &'a mut PastFailovers {
        let entries = &mut fleet.failovers.entries;
        &mut entries.get_mut(&PairName::new(entry)).unwrap().past
    }

    fn save(fleet: &mut Fleet, all: bool) -> Vec<Document> {
        let anchor = ClockAnchor::default();
        fleet.failovers.take_unsaved(SaveScope { all, anchor })
    }

    fn restore(fleet: &mut Fleet, documents: &SavedDocuments) -> Vec<String> {
        fleet.failovers.restore(documents, at(100))
    }

    /// What another process reads, 100 s after a reboot.
    fn read(documents: Vec<Document>) -> SavedDocuments {
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
        let documents = documents.into_iter().map(saved).collect();
        [(DocumentTable::Failovers, documents)].into()
    }

    #[test]
    fn a_failover_and_what_is_needed_to_measure_it_outlive_the_process() {
        let losses = [
            FailoverLoss::Exactly(Bytes::new(1)),
            FailoverLoss::AtLeast(Bytes::new(10)),
            FailoverLoss::Unseen {
                at_least: Bytes::ZERO,
                within: Some(Span::from_secs(1)),
            },
            FailoverLoss::Unknown,
        ];
        for loss in losses {
            let mut old = after_failover(loss);
            assert!(old.failovers.has_unsaved());
            let documents = read(save(&mut old, false));
            assert!(!old.failovers.has_unsaved());
            assert!(save(&mut old, false).is_empty());
            let mut new = fleet("orders", "a:1", "b:1");
            assert_eq!(restore(&mut new, &documents), [""; 0]);
            let mut expected = old.failovers.list().to_vec();
            let last = expected[0].last.as_mut().unwrap();
            last.at = at(95);
            last.last_known.as_mut().unwrap().at = at(94);
            assert_eq!(*new.failovers.list(), expected);
            let name = PairName::new("orders");
            let recent = new.failovers.recent(&name, Span::from_secs(10), at(100));
            assert_eq!(recent.count, 1);
            assert!(
                new.failovers.open_losses.contains(&name),
                "the old master may still show what was lost"
            );
            let (_, watch) = past_of(&mut new, "orders").last.as_ref().unwrap();
            assert_eq!((watch.shared_at, watch.settled), (Some(at(93)), false));
        }
    }

    #[test]
    fn restored_failovers_wait_until_their_entry_is_named() {
        let documents = read(save(&mut after_failover(FailoverLoss::Unknown), true));
        let mut fleet = fleet("carts", "c:1", "d:1");
        assert_eq!(restore(&mut fleet, &documents), [""; 0]);
        assert!(save(&mut fleet, true).is_empty(), "it stays on the disk");
        let named = Topology::from_settings(&settings_of(&[("orders", "a:1", &["b:1"])]));
        fleet.reconfigure(&named, Span::from_secs(1), at(101));
        assert_eq!(fleet.failovers.list()[0].total, 3);
        assert_eq!(save(&mut fleet, true).len(), 1);
        let other = Topology::from_settings(&settings_of(&[("carts", "c:1", &["d:1"])]));
        fleet.reconfigure(&other, Span::from_secs(1), at(102));
        let gone = save(&mut fleet, true);
        assert!(gone.len() == 1 && gone[0].body.is_none(), "{gone:?}");
    }

    #[test]
    fn the_failovers_of_a_removed_entry_are_deleted() {
        let documents = read(save(&mut after_failover(FailoverLoss::Unknown), true));
        let mut fleet = fleet("carts", "c:1", "d:1");
        assert_eq!(restore(&mut fleet, &documents), [""; 0]);
        fleet.failovers.forget_unclaimed(at(100));
        let gone = save(&mut fleet, false);
        assert!(gone.len() == 1 && gone[0].body.is_none(), "{gone:?}");
        fleet.failovers.forget_unclaimed(at(100));
        assert!(!fleet.failovers.has_unsaved());
    }

    #[test]
    fn failovers_since_the_restart_are_kept_and_invalid_records_refused() {
        let mut documents = read(save(&mut after_failover(FailoverLoss::Unknown), true));
        let mut fleet = after_failover(FailoverLoss::Unknown);
        past_of(&mut fleet, "orders").total = 1;
        assert_eq!(restore(&mut fleet, &documents), [""; 0]);
        assert_eq!(fleet.failovers.list()[0].total, 1);
        let first = &mut documents.get_mut(&DocumentTable::Failovers).unwrap()[0];
        "{}".clone_into(&mut first.body);
        assert_eq!(restore(&mut fleet, &documents).len(), 1);
    }
}
