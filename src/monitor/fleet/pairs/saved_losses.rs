//! Lost histories on the disk: they are still shown after a restart of the exporter.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Pairs;
use crate::model::{
    ClockShift, Document, DocumentTable, PairKey, Persisted, SaveScope, SavedDocuments, ServerAddr,
    Timestamp, documents_of, restore_each,
};
use crate::replication::HistoryLoss;

/// What is known of the losses on the disk.
#[derive(Debug, Default)]
pub(in crate::monitor::fleet) struct SavedLosses {
    /// Whether any loss changed since the last save.
    pub(in crate::monitor::fleet) changed: bool,
    /// The keys of the documents on the disk.
    keys: BTreeSet<String>,
    /// The losses of pairs that are not watched yet: a Sentinel may name them later.
    unclaimed: BTreeMap<PairKey, HistoryLoss>,
}

/// The loss of one pair.
#[derive(Debug, Serialize, Deserialize)]
struct LossRecord {
    pair: String,
    replica: String,
    loss: HistoryLoss,
}

/// The losses of all pairs, and their charts as far as those are restored. Charts are saved at a
/// pace of their own, by [`Pairs::take_charts`].
impl Persisted for Pairs {
    fn has_unsaved(&self) -> bool {
        self.saved_losses.changed
    }

    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document> {
        let changed = std::mem::take(&mut self.saved_losses.changed);
        if !changed && !scope.all {
            return Vec::new();
        }
        let mut losses: Vec<(&PairKey, &HistoryLoss)> = Vec::new();
        for pair in &self.entries {
            if let Some(loss) = pair.loss() {
                losses.push((&pair.meta.key, loss));
            }
        }
        losses.extend(&self.saved_losses.unclaimed);
        let mut documents = Vec::new();
        let mut keys = BTreeSet::new();
        for (pair, loss) in losses {
            let key = document_key(pair);
            let record = LossRecord::new(pair, loss);
            documents.push(Document::record(DocumentTable::Losses, &*key, &record));
            keys.insert(key);
        }
        for gone in self.saved_losses.keys.difference(&keys) {
            documents.push(Document::delete(DocumentTable::Losses, &**gone));
        }
        self.saved_losses.keys = keys;
        documents
    }

    fn restore(&mut self, documents: &SavedDocuments, _: Timestamp) -> Vec<String> {
        let losses = documents_of(documents, DocumentTable::Losses);
        let saved = &mut self.saved_losses;
        for document in losses {
            saved.keys.insert(document.key.clone());
        }
        let mut refused = restore_each(losses, "a lost history", |record: LossRecord, document| {
            let (pair, loss) = record.into_parts(&document.shift)?;
            saved.unclaimed.insert(pair, loss);
            Ok(())
        });
        self.claim_losses();
        refused.extend(self.restore_charts(documents_of(documents, DocumentTable::Charts)));
        refused
    }

    fn forget_unclaimed(&mut self, _: Timestamp) {
        let saved = &mut self.saved_losses;
        saved.changed |= !saved.unclaimed.is_empty();
        saved.unclaimed.clear();
        self.forget_unclaimed_charts();
    }
}

impl Pairs {
    /// Gives the restored losses to the pairs that are watched by now, except where a pair has a
    /// newer one.
    pub(in crate::monitor::fleet) fn claim_losses(&mut self) {
        if self.saved_losses.unclaimed.is_empty() {
            return;
        }
        for pair in &mut self.entries {
            let Some(loss) = self.saved_losses.unclaimed.remove(&pair.meta.key) else {
                continue;
            };
            if pair.loss().is_none() {
                pair.tracker.restore_loss(loss);
            }
        }
    }
}

impl LossRecord {
    fn new(pair: &PairKey, loss: &HistoryLoss) -> Self {
        Self {
            pair: pair.saved_name(),
            replica: pair.replica.to_string(),
            loss: loss.clone(),
        }
    }

    fn into_parts(self, shift: &ClockShift) -> Result<(PairKey, HistoryLoss), String> {
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
