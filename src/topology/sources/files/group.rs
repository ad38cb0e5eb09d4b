//! How the pair files are: which are in force, and what is wrong with the others.

use std::path::PathBuf;

use super::{FileFailure, FileFault, FileSource};

/// All pair files.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesGroup {
    /// Every file, by path, and every path or glob that stands for none because of a fault.
    pub files: Vec<PairFileState>,
    /// Whether they have been read since the start.
    pub was_read: bool,
}

/// One pair file.
#[derive(Clone, Debug, PartialEq)]
pub struct PairFileState {
    /// The file, or a path or glob of the configuration whose folder cannot be listed.
    pub path: PathBuf,
    /// Whether it stands for files that cannot be listed: what is known of them stays.
    pub is_unlisted: bool,
    /// Why its present content is not in force as a whole; `None` where it is.
    pub failure: Option<FileFailure>,
    /// How many of its pairs are watched: of a file with a failure those of its last good content.
    pub pairs: usize,
    /// How often its content turned out to be of no use since the start.
    pub failures: u64,
}

impl PairFileState {
    /// What is wrong and what is watched instead, as a sentence; `None` where nothing is wrong.
    pub fn trouble(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let sentence = &failure.sentence;
        let pairs = self.pairs;
        if self.is_unlisted {
            return Some(format!("{sentence}; what was known of its files stays"));
        }
        Some(match failure.fault {
            FileFault::Missing => format!("{sentence}; none of its pairs is watched"),
            FileFault::Duplicate | FileFault::TooMany => sentence.to_string(),
            FileFault::Unreadable | FileFault::Refused if pairs == 0 => {
                format!("{sentence}; none of its pairs is watched")
            }
            FileFault::Unreadable | FileFault::Refused => {
                let noun = if pairs == 1 { "pair" } else { "pairs" };
                format!("{sentence}; its last good content stays: {pairs} {noun}")
            }
        })
    }
}

impl FileSource {
    /// How the files are.
    pub(in crate::topology::sources) fn group(&self) -> FilesGroup {
        let mut files = Vec::new();
        for (pattern, failure) in &self.unlisted {
            files.push(PairFileState {
                path: pattern.path(),
                is_unlisted: true,
                failure: Some(failure.clone()),
                pairs: 0,
                failures: 1,
            });
        }
        for (path, file) in &self.known {
            let left_out = self.merged.left_out.get(path);
            let failure = file.outcome.as_ref().err().or(left_out);
            files.push(PairFileState {
                path: path.clone(),
                is_unlisted: false,
                failure: failure.cloned(),
                pairs: self.merged.counts.get(path).copied().unwrap_or(0),
                failures: file.failures,
            });
        }
        FilesGroup {
            files,
            was_read: self.was_read,
        }
    }
}
