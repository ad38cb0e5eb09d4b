//! All that is needed to start a server, and to start it again.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::model::{Secret, ServerAddr};

/// A program, where it listens, and the directory that has its configuration file.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) port: u16,
    pub(super) addr: ServerAddr,
    pub(super) tls_addr: Option<ServerAddr>,
    pub(super) password: Option<Secret>,
    pub(super) directory: TempDir,
}
