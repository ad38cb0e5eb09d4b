//! The command line of `check` and `check-config`.

use clap::Args;

use super::OutputFormat;
use super::exporter::ExporterArgs;
use super::servers::LoginArgs;
use crate::cli::place::Place;

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// A master and its replicas, as HOST:PORT or DC=HOST:PORT: polls these servers, without a
    /// configuration file and without an exporter
    #[arg(value_name = "MASTER REPLICA")]
    pub(in crate::cli) servers: Vec<Place>,
    /// Only the pairs of this name
    #[arg(long, value_name = "NAME", conflicts_with = "servers")]
    pub(in crate::cli) pair: Option<String>,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
    /// Refreshes the table until Ctrl-C
    #[arg(long)]
    pub(in crate::cli) watch: bool,
    /// How often --watch refreshes the table
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
    /// Does not read secret and certificate files: for pipelines that do not have them
    #[arg(long)]
    pub(in crate::cli) syntax_only: bool,
    /// Logs in to every server and Sentinel and reports missing ACL rules, instead of printing the
    /// configuration; exit code 1 if anything is missing
    #[arg(long, conflicts_with = "syntax_only")]
    pub(in crate::cli) connect: bool,
}
