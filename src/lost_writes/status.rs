//! What the running exporter has done about the lost writes of a pair: what every surface shows.

use std::fmt;
use std::path::PathBuf;

use super::header::LostWritesHeader;
use crate::model::{PairName, ServerAddr, closed_set, serde_as_label};

closed_set! {
    /// How far the capture of a deposed master's writes is.
    pub enum CaptureState {
        /// It is being read.
        Running => "running",
        /// Its writes are in a file, which a person has not dealt with.
        Saved => "saved",
        /// It has no write of a client alone.
        Nothing => "nothing",
        /// They could not be read yet; it is tried again.
        Failed => "failed",
        /// They cannot be had any more.
        Gone => "gone",
    }
}
serde_as_label!(CaptureState, else Failed);

/// The capture of one deposed master's writes.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureStatus {
    /// The pair's name.
    pub pair: PairName,
    /// The master that was deposed.
    pub deposed: ServerAddr,
    /// How far it is.
    pub state: CaptureState,
    /// The file with the commands; of `saved` only.
    pub file: Option<PathBuf>,
    /// What is in the file, or why there is none, as a sentence without its end.
    pub detail: String,
    /// When that was so, in Unix seconds.
    pub timestamp: f64,
}

impl CaptureStatus {
    /// The status of a file that is there.
    pub fn from_file(header: &LostWritesHeader, file: PathBuf) -> Option<Self> {
        Some(Self {
            pair: PairName::new(&header.pair),
            deposed: ServerAddr::parse(&header.deposed.server).ok()?,
            state: CaptureState::Saved,
            file: Some(file),
            detail: header.summary(),
            timestamp: header.captured_timestamp,
        })
    }
}

impl fmt::Display for CaptureStatus {
    /// One sentence without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deposed = &self.deposed;
        let detail = &self.detail;
        match (self.state, &self.file) {
            (CaptureState::Running, _) => {
                write!(f, "the writes that only {deposed} has are being saved")
            }
            (CaptureState::Saved, Some(file)) => write!(
                f,
                "the writes that only {deposed} had are saved in {}: {detail}",
                file.display()
            ),
            (CaptureState::Saved, None) => {
                write!(f, "the writes that only {deposed} had are saved: {detail}")
            }
            (CaptureState::Nothing, _) => write!(f, "no write of a client is only on {deposed}"),
            (CaptureState::Failed, _) => write!(
                f,
                "the writes that only {deposed} has are not saved yet: {detail}"
            ),
            (CaptureState::Gone, _) => write!(
                f,
                "the writes that only {deposed} had can no longer be had as commands: {detail}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::header;
    use super::*;

    #[test]
    fn a_file_says_where_it_is_and_what_is_in_it() {
        let status = CaptureStatus::from_file(&header(), "/d/orders.aof".into()).unwrap();
        assert_eq!(
            status.to_string(),
            "the writes that only 127.0.0.1:6379 had are saved in /d/orders.aof: 0 commands for 0 \
             keys, conflicts not known"
        );
    }
}
