//! The command line of `check` and `check-config`.

use clap::Args;

use super::OutputFormat;
use super::exporter::ExporterArgs;
use super::servers::LoginArgs;
use crate::cli::place::Place;

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// A master and its replicas, as HOST:PORT or DC=HOST:PORT: polls these, without a configuration
    /// file and without an exporter
    #[arg(value_name = "MASTER REPLICA")]
    pub(in crate::cli) servers: Vec<Place>,
    /// Only the pairs of this name
    #[arg(long, value_name = "NAME", conflicts_with = "servers")]
    pub(in crate::cli) pair: Option<String>,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
    /// Shows the table again and again, until Ctrl-C
    #[arg(long)]
    pub(in crate::cli) watch: bool,
    /// How long --watch waits before it asks again
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub(in crate::cli) every: u64,
    #[command(flatten)]
    pub(in crate::cli) login: LoginArgs,
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
}

/// The arguments of `check-config`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckConfigArgs {
    /// Reads none of the files of secrets and certificates: for pipelines that do not have them
    #[arg(long)]
    pub(in crate::cli) syntax_only: bool,
    /// Logs in to every server and Sentinel, and says which ACL rules are missing where; prints
    /// that instead of the configuration; exit code 1 when something is missing
    #[arg(long, conflicts_with = "syntax_only")]
    pub(in crate::cli) connect: bool,
}
