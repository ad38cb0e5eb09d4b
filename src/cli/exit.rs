//! Exit codes, which scripts and Nagios rely on.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is well.
    Ok,
    /// The command failed, and an operation left everything as before; `healthcheck`: the exporter
    /// is not ready; `check`: a warning; `doctor`: nothing was found, but not everything was
    /// checked.
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
    /// An operation: the plan is safe, and nothing was done.
    PlanIsSafe,
    /// An operation was refused.
    Refused,
    /// An operation is incomplete: things are not as before, and something is open.
    Incomplete,
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
            Exit::FoundWarnings | Exit::NotConverged | Exit::PlanIsSafe => 10,
            Exit::FoundCritical | Exit::Refused => 20,
            Exit::Incomplete => 30,
            Exit::Usage => 64,
        })
    }
}
