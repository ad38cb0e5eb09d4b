//! The command line of `demo`.

use clap::Args;

/// The arguments of `demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(in crate::cli) struct DemoArgs {
    /// Tells the story once without a pause, checks it, and ends with a summary
    #[arg(long)]
    pub(in crate::cli) once: bool,
    /// Does not wait for Enter between the acts, as if no terminal were there
    #[arg(long)]
    pub(in crate::cli) no_wait: bool,
}
