//! Silences on the disk: which documents to write and delete, so that a restart keeps them.

use std::collections::BTreeSet;

use crate::alert::{SilenceRecord, Silences};
use crate::model::{Document, DocumentTable, SavedDocument, restore_each};

/// What is known of the silences on the disk.
#[derive(Debug, Default)]
pub(super) struct SavedSilences {
    /// Whether any silence changed since the last save.
    changed: bool,
    /// The keys of the documents on the disk.
    keys: BTreeSet<String>,
}

impl SavedSilences {
    /// Records that silences changed.
    pub(super) fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Whether any silence changed since the last save.
    pub(super) const fn has_unsaved(&self) -> bool {
        self.changed
    }

    /// The documents of all silences, if any changed or `all` asks for them.
    pub(super) fn take_unsaved(&mut self, silences: &Silences, all: bool) -> Vec<Document> {
        let changed = std::mem::take(&mut self.changed);
        if !changed && !all {
            return Vec::new();
        }
        let mut documents = Vec::new();
        let mut keys = BTreeSet::new();
        for record in silences.records() {
            let key = record.id.to_string();
            documents.push(Document::record(DocumentTable::Silences, &*key, record));
            keys.insert(key);
        }
        for gone in self.keys.difference(&keys) {
            documents.push(Document::delete(DocumentTable::Silences, &**gone));
        }
        self.keys = keys;
        documents
    }

    /// Adds the saved silences to those that were made since the start. Returns a sentence for each
    /// document that is not valid.
    pub(super) fn restore(
        &mut self,
        silences: &mut Silences,
        documents: &[SavedDocument],
    ) -> Vec<String> {
        let mut records: Vec<SilenceRecord> = silences.records().cloned().collect();
        let refused = restore_each(documents, "a silence", |record, _| {
            records.push(record);
            Ok(())
        });
        for document in documents {
            self.keys.insert(document.key.clone());
        }
        *silences = Silences::restored(records);
        self.changed = true;
        refused
    }
}
