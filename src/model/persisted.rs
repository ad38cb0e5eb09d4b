//! The trait of every part of the state that is saved as documents and outlives the process.

use serde::de::DeserializeOwned;

use super::{ClockAnchor, Document, DocumentTable, SavedDocument, SavedDocuments, Timestamp};

/// What one save covers.
#[derive(Clone, Copy, Debug)]
pub struct SaveScope {
    /// Everything, and not only what changed since the last save: the file is new, or a save was
    /// lost.
    pub all: bool,
    /// Both clocks: the keys of histories follow the wall clock.
    pub anchor: ClockAnchor,
}

/// A part of the state that is saved as documents and restored after a restart.
///
/// Its owner lists it in one place (the monitor in `monitor/saved.rs`), and the core saves and
/// restores whatever is listed there.
pub trait Persisted {
    /// Whether anything changed since the last [`Persisted::take_unsaved`].
    fn has_unsaved(&self) -> bool;

    /// The documents that bring the disk up to date: what changed since the last call, or
    /// everything. They count as saved from now on.
    fn take_unsaved(&mut self, scope: SaveScope) -> Vec<Document>;

    /// Restores what an earlier process saved; what this process has learned is newer and stays.
    /// Returns one sentence for each document that is not valid.
    fn restore(&mut self, documents: &SavedDocuments, now: Timestamp) -> Vec<String>;

    /// Drops what was restored of subjects that are not watched. Called once every Sentinel has
    /// answered or failed to: before that, one of them may still name the subject.
    fn forget_unclaimed(&mut self, _now: Timestamp) {}
}

/// The documents of one table, in the order in which they were read.
pub fn documents_of(documents: &SavedDocuments, table: DocumentTable) -> &[SavedDocument] {
    documents.get(&table).map_or(&[], Vec::as_slice)
}

/// Hands each document's record to `restore`. Returns one sentence for each document that is not
/// such a record or that `restore` refuses, beginning with `subject`.
pub fn restore_each<T: DeserializeOwned>(
    documents: &[SavedDocument],
    subject: &str,
    mut restore: impl FnMut(T, &SavedDocument) -> Result<(), String>,
) -> Vec<String> {
    let mut refused = Vec::new();
    for document in documents {
        let restored = match serde_json::from_str(&document.body) {
            Ok(record) => restore(record, document),
            Err(why) => Err(why.to_string()),
        };
        if let Err(why) = restored {
            refused.push(format!("{subject}: {why}"));
        }
    }
    refused
}
