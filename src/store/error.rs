//! The errors of the state's file, as sentences for the operator of the exporter.

use std::io;
use std::path::PathBuf;

use crate::model::closed_set;

closed_set! {
    /// What was being done when something went wrong. The label is the metric's `operation`.
    pub enum StoreOperation {
        /// Making the folder, opening, locking or migrating the file.
        Open => "open",
        /// Reading what was kept; each row that is not taken counts.
        Read => "read",
        /// Writing.
        Write => "write",
    }
}

/// Why the state cannot be kept, or what was kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be made or opened.
    #[error(
        "{path} cannot be made or opened for writing: {why}; make the folder of state.path writable to the user of this program, or give another one"
    )]
    Place {
        /// What could not be opened.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// Another process has the file open.
    #[error("{path} is in use by another exporter: give each its own state.path")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program wrote the file.
    #[error(
        "{path} was written by a newer version of this program (schema {found}; this one knows {known}) and is left as it is; run that version, or give another state.path"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The newest schema that this program supports.
        known: u64,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {why}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The damaged file cannot be moved out of the way.
    #[error("{path} is damaged ({damage}) and stays where it is, because {why}; move it away")]
    Stuck {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: String,
        /// Why it was not moved.
        why: String,
    },
    /// The disk refuses.
    #[error("{path} cannot be written: {why}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The thread that keeps the state has ended, which it never should.
    #[error("the thread that keeps the state has ended; this is a bug: please report it")]
    Ended,
}
