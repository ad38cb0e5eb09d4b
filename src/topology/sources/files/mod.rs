//! Pair files as a source: each lists pairs with all their settings, and comes and goes as it
//! likes.
//!
//! A file that cannot be used keeps the pairs that it had before; one that is gone takes them with
//! it.

mod group;
mod merge;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use merge::{Configured, Merged};

pub use group::{FilesGroup, PairFileState};

use super::DiscoveryChange;
use super::entry::DiscoveryUpdate;
use crate::config::{FilePair, FilePattern, PairSettings, Settings};
use crate::model::{PairName, closed_set};

/// What the pair files say, at one look at them.
#[derive(Clone, Debug, Default)]
pub struct FilesReport {
    /// Every file that the configuration's paths and globs stand for.
    pub files: BTreeMap<PathBuf, FileOutcome>,
    /// The paths and globs whose folder cannot be listed: what was known of their files stays.
    pub unlisted: BTreeMap<FilePattern, FileFailure>,
}

/// The pairs of one file, or why they are not known.
pub type FileOutcome = Result<Arc<[FilePair]>, FileFailure>;

/// Why a file, or a part of it, is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFailure {
    /// The kind of fault.
    pub fault: FileFault,
    /// What is wrong and what to do. Contains no secret.
    pub sentence: Arc<str>,
}

closed_set! {
    /// What can be wrong with a pair file.
    pub enum FileFault {
        /// It, or its folder, cannot be read.
        Unreadable => "unreadable",
        /// The configuration names it, and it does not exist.
        Missing => "missing",
        /// Its content is refused as a whole.
        Refused => "refused",
        /// Some of its pairs or servers are defined elsewhere as well.
        Duplicate => "duplicate",
        /// There are more files or pairs than the limits allow.
        TooMany => "too_many",
    }
}

/// What is known of all pair files.
#[derive(Clone, Debug, Default)]
pub(super) struct FileSource {
    patterns: Vec<FilePattern>,
    known: BTreeMap<PathBuf, KnownFile>,
    unlisted: BTreeMap<FilePattern, FileFailure>,
    /// Whether there was a report since the start.
    was_read: bool,
    configured: Configured,
    merged: Merged,
}

/// One file.
#[derive(Clone, Debug)]
struct KnownFile {
    outcome: FileOutcome,
    /// The pairs in force: those of the last content that could be used.
    good: Option<Arc<[FilePair]>>,
    /// How often its content turned out to be of no use.
    failures: u64,
}

impl FileSource {
    /// Follows other settings. What is known of the files stays until they are read again.
    pub(super) fn reconfigure(&mut self, settings: &Settings) {
        self.patterns.clone_from(&settings.discovery.files);
        self.configured = if self.is_empty() {
            Configured::default()
        } else {
            Configured::new(settings)
        };
        let patterns = &self.patterns;
        self.known
            .retain(|path, _| patterns.iter().any(|pattern| stands_for(pattern, path)));
        self.unlisted
            .retain(|pattern, _| patterns.contains(pattern));
        self.merge();
    }

    /// Applies what the files say now.
    pub(super) fn handle(&mut self, report: FilesReport) -> DiscoveryUpdate {
        let is_first = !std::mem::replace(&mut self.was_read, true);
        if !self.adopt(report) && !is_first {
            return DiscoveryUpdate::default();
        }
        let before = std::mem::take(&mut self.merged);
        self.merge();
        DiscoveryUpdate {
            changes: change(&before.entries, &self.merged.entries)
                .into_iter()
                .collect(),
            health_changed: true,
            reporters_changed: false,
            reporters: "the pair files",
        }
    }

    /// Returns whether anything is different from the last report.
    fn adopt(&mut self, report: FilesReport) -> bool {
        let FilesReport { files, unlisted } = report;
        let mut changed = self.unlisted != unlisted;
        self.unlisted = unlisted;
        let unlisted = &self.unlisted;
        let before = self.known.len();
        self.known.retain(|path, _| {
            let is_hidden = unlisted.keys().any(|pattern| stands_for(pattern, path));
            files.contains_key(path) || is_hidden
        });
        changed |= self.known.len() != before;
        for (path, outcome) in files {
            if let Some(file) = self.known.get_mut(&path) {
                changed |= file.update(outcome);
            } else {
                self.known.insert(path, KnownFile::new(outcome));
                changed = true;
            }
        }
        changed
    }

    fn merge(&mut self) {
        let good = self.known.iter().filter_map(|(path, file)| {
            let pairs = file.good.as_ref()?;
            Some((path, pairs))
        });
        self.merged = Merged::new(good, &self.configured);
    }

    /// The pairs of all files, by file and in its order.
    pub(super) fn entries(&self) -> &[PairSettings] {
        &self.merged.entries
    }

    /// Whether the configuration has no pair files.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

impl KnownFile {
    fn new(outcome: FileOutcome) -> Self {
        Self {
            good: outcome.as_ref().ok().cloned(),
            failures: u64::from(outcome.is_err()),
            outcome,
        }
    }

    /// Returns whether the outcome is another one.
    fn update(&mut self, outcome: FileOutcome) -> bool {
        if is_same(&self.outcome, &outcome) {
            return false;
        }
        match &outcome {
            Ok(pairs) => self.good = Some(Arc::clone(pairs)),
            Err(failure) => {
                self.failures += 1;
                if failure.fault == FileFault::Missing {
                    self.good = None;
                }
            }
        }
        self.outcome = outcome;
        true
    }
}

fn is_same(old: &FileOutcome, new: &FileOutcome) -> bool {
    match (old, new) {
        // A file that was not read again has the very same pairs, and comparing is not free.
        (Ok(old), Ok(new)) => Arc::ptr_eq(old, new) || old == new,
        (Err(old), Err(new)) => old == new,
        _ => false,
    }
}

fn stands_for(pattern: &FilePattern, path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent() == Some(&pattern.folder) && name.is_some_and(|name| pattern.matches(name))
}

/// What is different in `after`; `None` if nothing is.
fn change(before: &[PairSettings], after: &[PairSettings]) -> Option<DiscoveryChange> {
    let old: BTreeMap<&PairName, &PairSettings> =
        before.iter().map(|entry| (&entry.name, entry)).collect();
    let mut kept = 0;
    let mut changed = 0;
    for entry in after {
        if let Some(known) = old.get(&entry.name) {
            kept += 1;
            changed += usize::from(*known != entry);
        }
    }
    let added = after.len() - kept;
    let removed = before.len().saturating_sub(kept);
    if added + removed + changed == 0 {
        return None;
    }
    Some(DiscoveryChange::Entries {
        added,
        removed,
        changed,
    })
}
