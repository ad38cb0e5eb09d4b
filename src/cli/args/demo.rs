//! The command line of `demo`.

use clap::Args;

/// The arguments of `demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// Runs through once without a pause, checks what happens, and ends with a summary
    #[arg(long)]
    pub(in crate::cli) once: bool,
    /// Does not wait for Enter between the acts, as without a terminal
    #[arg(long)]
    pub(in crate::cli) no_wait: bool,
}
