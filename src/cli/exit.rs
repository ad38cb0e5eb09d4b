//! Exit codes: what scripts and Nagios hold on to.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is well.
    Ok,
    /// It failed at runtime; of `healthcheck`, the exporter is not ready; of `check`, a warning.
    Failed,
    /// Of `check`: critical.
    Critical,
    /// Of `check`: unknown, which includes a usage error, because 2 means critical to Nagios.
    Unknown,
    /// Usage or bad configuration.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Critical => 2,
            Exit::Unknown => 3,
            Exit::Usage => 64,
        })
    }
}
