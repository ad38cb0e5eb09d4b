//! The task that watches the pair files.
//!
//! It looks at them every second instead of subscribing to the kernel's events: those do not arrive
//! from network file systems and some containers, follow no symbolic links (which is how a
//! `ConfigMap` changes), and can be lost when there are many, so that looking would be needed all
//! the same. A look costs one stat a file.

mod listing;
mod settling;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use listing::{Listing, Stamp};
use settling::Settling;

use crate::clock;
use crate::config::{ConfigErrors, FilePattern, Format, PairFileReader, Settings, read_small_file};
use crate::model::stable_hash;
use crate::topology::{DiscoveryEvent, FileFailure, FileFault, FileOutcome, FilesReport};

/// The longest pair file: as a configuration, of which ten thousand pairs take a quarter.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The problems of one file that are shown.
const SHOWN_PROBLEMS: usize = 3;

/// How long the first look may take: a file system that hangs must not hold up the start.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Which files to watch, and how to read them.
#[derive(Clone, Debug)]
pub(super) struct FilesPlan {
    pub(super) patterns: Vec<FilePattern>,
    pub(super) reader: PairFileReader,
}

impl PartialEq for FilesPlan {
    fn eq(&self, other: &Self) -> bool {
        // What pairs inherit changes with the configuration, so every reload reads the files again.
        self.patterns == other.patterns && self.reader.is_same(&other.reader)
    }
}

impl FilesPlan {
    pub(super) fn new(settings: &Settings) -> Self {
        let discovery = &settings.discovery;
        Self {
            patterns: discovery.files.clone(),
            reader: discovery.reader.clone(),
        }
    }

    /// Watches the files until the receiver of the reports is dropped.
    pub(super) async fn run(self, events: mpsc::Sender<DiscoveryEvent>) {
        let mut watch = FileWatch::new(self.clone());
        loop {
            let report;
            (watch, report) = match spawn_blocking(move || watch.looked()).await {
                Ok(looked) => looked,
                Err(error) if error.is_panic() => (FileWatch::new(self.clone()), None),
                Err(_) => return, // the program is stopping
            };
            if let Some(report) = report
                && events.send(DiscoveryEvent::Files(report)).await.is_err()
            {
                return; // the program is stopping
            }
            sleep(watch.settling.wait().to_duration()).await;
        }
    }

    /// Reads the files once. Where that hangs, the report says so.
    pub(super) async fn query_once(self) -> Option<DiscoveryEvent> {
        let patterns = self.patterns.clone();
        let look = spawn_blocking(move || self.read_once());
        let report = match timeout(FIRST_LOOK, look).await {
            Ok(look) => look.ok()??,
            Err(_) => hung(patterns),
        };
        Some(DiscoveryEvent::Files(report))
    }

    /// Reads the files once. Blocks.
    pub(super) fn read_once(self) -> Option<FilesReport> {
        FileWatch::new(self).looked().1
    }
}

/// The report of a look that does not end.
fn hung(patterns: Vec<FilePattern>) -> FilesReport {
    let sentence = "the files were not read within 5 s: does their file system hang?";
    let failure = failure(FileFault::Unreadable, sentence.to_owned());
    let unlisted = patterns
        .into_iter()
        .map(|pattern| (pattern, failure.clone()));
    FilesReport {
        files: BTreeMap::new(),
        unlisted: unlisted.collect(),
    }
}

/// The files as they were when they were read.
struct FileWatch {
    plan: FilesPlan,
    settling: Settling,
    read: BTreeMap<PathBuf, ReadFile>,
}

/// One file as it was read.
struct ReadFile {
    stamp: Stamp,
    /// Identifies its text; `None` where there was none.
    hash: Option<u64>,
    outcome: FileOutcome,
    /// Whether it may have changed since without a sign of it: it was read within the grain of its
    /// time of modification.
    is_fresh: bool,
}

impl FileWatch {
    fn new(plan: FilesPlan) -> Self {
        Self {
            plan,
            settling: Settling::default(),
            read: BTreeMap::new(),
        }
    }

    /// Looks at the files, and reads those that have changed once they have settled. Blocks.
    fn looked(mut self) -> (Self, Option<FilesReport>) {
        let listing = Listing::take(&self.plan.patterns);
        let has_fresh = self.read.values().any(|file| file.is_fresh);
        if !self.settling.is_due(&listing, has_fresh, clock::now()) {
            return (self, None);
        }
        let report = self.read_changed(listing);
        (self, Some(report))
    }

    fn read_changed(&mut self, listing: Listing) -> FilesReport {
        let mut before = std::mem::take(&mut self.read);
        let mut report = FilesReport {
            files: BTreeMap::new(),
            unlisted: listing.unlisted,
        };
        for (path, stamp) in listing.files {
            let stamp = match stamp {
                Ok(stamp) => stamp,
                Err(failure) => {
                    report.files.insert(path, Err(failure));
                    continue;
                }
            };
            let file = match before.remove(&path) {
                Some(known) if known.stamp == stamp && !known.is_fresh => known,
                known => self.read_file(&path, stamp, known),
            };
            report.files.insert(path.clone(), file.outcome.clone());
            self.read.insert(path, file);
        }
        report
    }

    /// Reads the file; one with the text that is `known` keeps its outcome.
    fn read_file(&self, path: &Path, stamp: Stamp, known: Option<ReadFile>) -> ReadFile {
        let text = read_text(path);
        let hash = text.as_ref().ok().map(|text| stable_hash([text.as_str()]));
        let outcome = match known {
            Some(known) if hash.is_some() && known.hash == hash => known.outcome,
            _ => text.and_then(|text| self.parse(path, &text)),
        };
        ReadFile {
            is_fresh: stamp.is_fresh(),
            stamp,
            hash,
            outcome,
        }
    }

    fn parse(&self, path: &Path, text: &str) -> FileOutcome {
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        // The configuration takes only paths with an ending that is one.
        let format = Format::from_path(path).unwrap_or(Format::Yaml);
        let pairs = self.plan.reader.parse(text, format, folder);
        match pairs {
            Ok(pairs) => Ok(Arc::from(pairs)),
            Err(errors) => Err(failure(FileFault::Refused, refusal(&errors))),
        }
    }
}

fn read_text(path: &Path) -> Result<String, FileFailure> {
    let bytes = read_small_file(path, MAX_FILE_BYTES)
        .map_err(|error| failure(FileFault::Unreadable, format!("the file {error}")))?;
    String::from_utf8(bytes)
        .map_err(|_| failure(FileFault::Refused, "the file is not UTF-8 text".to_owned()))
}

fn failure(fault: FileFault, sentence: String) -> FileFailure {
    FileFailure {
        fault,
        sentence: sentence.into(),
    }
}

/// The first problems, in one line.
fn refusal(errors: &ConfigErrors) -> String {
    let problems = errors.problems();
    let mut text = String::new();
    for (index, problem) in problems.iter().take(SHOWN_PROBLEMS).enumerate() {
        if index > 0 {
            text += "; ";
        }
        text += &problem.to_string();
    }
    match problems.len().saturating_sub(SHOWN_PROBLEMS) {
        0 => text,
        more => format!("{text}; and {more} more problems"),
    }
}
