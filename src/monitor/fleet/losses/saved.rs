//! Losses on the disk: what was lost is asked in the morning, and this program may have been
//! restarted since.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{ClockShift, Document, DocumentTable, PairKey, SavedDocument, ServerAddr};
use crate::monitor::fleet::Fleet;
use crate::replication::HistoryLoss;

/// What the disk knows of losses.
#[derive(Debug, Default)]
pub(in crate::monitor::fleet) struct LossesKept {
    /// Whether anything changed since it was last written.
    pub(in crate::monitor::fleet) touched: bool,
    keys: BTreeSet<String>,
    /// Those of pairs that nobody watches yet: a Sentinel may name them later.
    unclaimed: BTreeMap<PairKey, HistoryLoss>,
}

/// The loss of one pair.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pair: String,
    replica: String,
    loss: HistoryLoss,
}

impl Fleet {
    /// Whether the disk may know less than this of losses.
    pub(in crate::monitor) const fn has_unsaved_losses(&self) -> bool {
        self.losses_kept.touched
    }

    /// What the disk has to be told of losses, if anything changed or everything is asked for.
    pub(in crate::monitor) fn take_unsaved_losses(&mut self, all: bool) -> Vec<Document> {
        if !std::mem::take(&mut self.losses_kept.touched) && !all {
            return Vec::new();
        }
        let watched = self.pairs.iter().filter_map(|pair| {
            let loss = pair.tracker.facts().loss.as_deref()?;
            Some((&pair.meta.key, loss))
        });
        let records: Vec<_> = watched.chain(&self.losses_kept.unclaimed).collect();
        let mut documents = Vec::new();
        let mut keys = BTreeSet::new();
        for (pair, loss) in records {
            let key = document_key(pair);
            let record = Record::of(pair, loss);
            documents.push(Document::record(DocumentTable::Losses, &*key, &record));
            keys.insert(key);
        }
        let before = std::mem::replace(&mut self.losses_kept.keys, keys);
        let gone = before.difference(&self.losses_kept.keys);
        documents.extend(gone.map(|key| Document::delete(DocumentTable::Losses, &**key)));
        documents
    }

    /// Takes in the losses of an earlier life. Returns sentences about what makes no sense.
    pub(in crate::monitor) fn restore_losses(
        &mut self,
        documents: &[SavedDocument],
    ) -> Vec<String> {
        let mut refused = Vec::new();
        for document in documents {
            self.losses_kept.keys.insert(document.key.clone());
            let record =
                serde_json::from_str::<Record>(&document.body).map_err(|why| why.to_string());
            match record.and_then(|record| record.read(&document.shift)) {
                Ok((pair, loss)) => drop(self.losses_kept.unclaimed.insert(pair, loss)),
                Err(why) => refused.push(format!("a lost history: {why}")),
            }
        }
        self.claim_losses();
        refused
    }

    /// Gives the losses of an earlier life to the pairs that are watched by now.
    pub(in crate::monitor::fleet) fn claim_losses(&mut self) {
        if self.losses_kept.unclaimed.is_empty() {
            return;
        }
        for pair in &mut self.pairs {
            let kept = self.losses_kept.unclaimed.remove(&pair.meta.key);
            if let Some(loss) = kept.filter(|_| pair.tracker.facts().loss.is_none()) {
                pair.tracker.restore_loss(loss);
            }
        }
    }

    /// Forgets the losses of pairs that nobody watches.
    pub(in crate::monitor) fn forget_unclaimed_losses(&mut self) {
        let kept = &mut self.losses_kept;
        kept.touched |= !kept.unclaimed.is_empty();
        kept.unclaimed.clear();
    }
}

impl Record {
    fn of(pair: &PairKey, loss: &HistoryLoss) -> Self {
        Self {
            pair: pair.saved_name(),
            replica: pair.replica.to_string(),
            loss: loss.clone(),
        }
    }

    fn read(self, shift: &ClockShift) -> Result<(PairKey, HistoryLoss), String> {
        let replica = ServerAddr::parse(&self.replica).map_err(|why| why.to_string())?;
        let pair = PairKey::from_saved(&self.pair, replica);
        let mut loss = self.loss;
        loss.shift(shift);
        Ok((pair, loss))
    }
}

fn document_key(pair: &PairKey) -> String {
    format!("{:?} {}", pair.saved_name(), pair.replica)
}
