//! The command line of `doctor`.

use clap::{Args, ValueEnum};

use super::exporter::ExporterArgs;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Only the pairs of this name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) pair: Option<String>,
    /// The interruption between the datacenters that replication has to survive without a full
    /// sync, such as 10m; the default is `doctor.survive` of the configuration file
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) survive: Option<String>,
    /// How long to measure the writes of masters that no running exporter has a history of, from 1s
    /// to 1h; findings that rest on less than an hour say so
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    pub(in crate::cli) measure: String,
    /// A directive of redis.conf, such as repl-compression: lists the servers that do not have it;
    /// repeatable
    #[arg(long = "directive", value_name = "NAME")]
    pub(in crate::cli) directives: Vec<String>,
    /// A table for people, JSON for programs or Markdown for tickets
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: DoctorFormat,
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
}

/// How `doctor` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DoctorFormat {
    Table,
    Json,
    Markdown,
}
