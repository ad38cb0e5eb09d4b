//! Exit codes, which scripts and Nagios rely on.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is well.
    Ok,
    /// The command failed; `healthcheck`: the exporter is not ready; `check`: a warning; `doctor`:
    /// nothing was found, but not everything was checked.
    Failed,
    /// `check`: critical.
    Critical,
    /// `check`: unknown. A usage error of `check` is this, too, because Nagios has no code above 3.
    Unknown,
    /// `doctor`: warnings, nothing critical; `lost-writes`: there are some.
    FoundWarnings,
    /// `active-active`: the sites differ, or not every key is known to agree.
    NotConverged,
    /// `doctor`: something critical; `lost-writes`: they cannot be had.
    FoundCritical,
    /// The command line or the configuration is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Critical => 2,
            Exit::Unknown => 3,
            Exit::FoundWarnings | Exit::NotConverged => 10,
            Exit::FoundCritical => 20,
            Exit::Usage => 64,
        })
    }
}
