//! The command line of `lost-writes`.

use std::path::PathBuf;

use clap::Args;

use super::OutputFormat;

/// The arguments of `lost-writes`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LostWritesArgs {
    /// The pair
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "done",
        conflicts_with = "done"
    )]
    pub(in crate::cli) pair: Option<String>,
    /// The folder of the file, created if it is missing; the default is `recover.dir` of the
    /// configuration file
    #[arg(long, value_name = "DIR", conflicts_with_all = ["summary", "done"])]
    pub(in crate::cli) save: Option<PathBuf>,
    /// Reads the writes and says what they are; saves nothing
    #[arg(long, conflicts_with = "done")]
    pub(in crate::cli) summary: bool,
    /// Also reads a server with min-replicas-to-write that cannot be fenced: writes may get through
    /// while it is read
    #[arg(long, conflicts_with = "done")]
    pub(in crate::cli) unfenced: bool,
    /// Marks a file as dealt with: it is no longer shown by the exporter
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) done: Option<PathBuf>,
    /// What was done about it
    #[arg(long, value_name = "TEXT", requires = "done", default_value = "")]
    pub(in crate::cli) comment: String,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
}
