//! The files of lost writes that are there already: a rejoin may overwrite what one of them holds
//! as a whole.

use std::path::PathBuf;

use crate::capture::{StoredCopy, StoredFile, stored_copies, stored_files};
use crate::model::PairName;
use crate::operation::{Copied, Said, SavedWrites};

/// What the folders of lost writes hold of a returning server.
#[derive(Debug, Default)]
pub(super) struct SavedFiles {
    /// The files that count.
    pub(super) usable: Vec<SavedWrites>,
    /// Whole copies of the returning server, of whatever it had when they were made.
    pub(super) copies: Vec<Copied>,
    /// Why others do not, a sentence each.
    pub(super) notes: Vec<String>,
}

impl SavedFiles {
    /// Looks through `folders` for files of the history that `returning` has.
    pub(super) async fn find(folders: &[PathBuf], pair: &PairName, returning: &Said) -> Self {
        let mut found = Self::default();
        for folder in folders {
            let shown = folder.display();
            let stored = match stored_files(folder).await {
                Ok(stored) => stored,
                Err(error) => {
                    let note = format!("files of lost writes in {shown} cannot be read: {error}");
                    found.notes.push(note);
                    continue;
                }
            };
            for file in &stored {
                let header = &file.header;
                let is_of_pair = header.pair == pair.as_str();
                if is_of_pair && header.replication_id == returning.replid.as_str() {
                    found.add(file, returning).await;
                }
            }
            for copy in stored_copies(folder).await.unwrap_or_default() {
                found.add_copy(&copy, pair, returning).await;
            }
        }
        found
    }

    async fn add_copy(&mut self, copy: &StoredCopy, pair: &PairName, returning: &Said) {
        let header = &copy.header;
        if header.pair != pair.as_str() || header.replication_id != returning.replid.as_str() {
            return;
        }
        let shown = copy.path.display();
        match copy.is_intact().await {
            Ok(true) if header.offset == returning.offset => self.copies.push(Copied {
                replid: returning.replid.clone(),
                offset: header.offset,
                file: copy.path.clone(),
            }),
            Ok(true) => {
                let since = returning.offset.saturating_sub(header.offset);
                self.notes.push(format!(
                    "{shown} does not count as saved: the server has written {since} bytes since it was \
                     copied"
                ));
            }
            Ok(false) => self.notes.push(format!(
                "{shown} does not count as saved: it is not what its description says (sha256)"
            )),
            Err(error) => self
                .notes
                .push(format!("{shown} does not count as saved: {error}")),
        }
    }

    async fn add(&mut self, file: &StoredFile, returning: &Said) {
        let header = &file.header;
        let shown = file.path.display();
        if !header.is_complete {
            let missing = header.missing.as_deref().unwrap_or("not all was read");
            self.notes
                .push(format!("{shown} does not count as saved: {missing}"));
            return;
        }
        match file.is_intact().await {
            Ok(true) => self.usable.push(SavedWrites {
                replid: returning.replid.clone(),
                from: header.first_offset,
                bytes: (header.last_offset + 1).saturating_sub(header.first_offset),
                file: file.path.clone(),
            }),
            Ok(false) => self.notes.push(format!(
                "{shown} does not count as saved: it is not what its description says (sha256)"
            )),
            Err(error) => self
                .notes
                .push(format!("{shown} does not count as saved: {error}")),
        }
    }
}
