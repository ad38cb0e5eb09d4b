//! The command line of the commands about alerts and notifications: `alerts`, `deliveries`,
//! `silence`, `test-notify`.

use clap::{Args, Subcommand};

use super::OutputFormat;
use super::exporter::ExporterArgs;

/// The arguments of `alerts`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AlertsArgs {
    /// Only alerts about the pairs of this name
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) pair: Option<String>,
    /// Also those that resolved recently
    #[arg(long)]
    pub(in crate::cli) resolved: bool,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
}

/// The arguments of `deliveries`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DeliveriesArgs {
    /// Only the notifications of this receiver
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) receiver: Option<String>,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
}

/// What to do about silences.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SilenceArgs {
    /// Suppresses notifications of alerts that fit all matchers, for a while; prints the silence's
    /// ID
    Add(SilenceAddArgs),
    /// Shows active and pending silences, and active maintenance windows
    List(SilenceListArgs),
    /// Ends a silence now
    Expire(SilenceExpireArgs),
}

/// The arguments of `silence add`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SilenceAddArgs {
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
    /// A label and a glob that it must match, such as pair=orders-* or severity=warning
    #[arg(value_name = "LABEL=GLOB", required = true)]
    pub(in crate::cli) matchers: Vec<String>,
    /// How long it lasts, such as 30m or 4h; at most 30d
    #[arg(long = "for", value_name = "DURATION")]
    pub(in crate::cli) lasts: String,
    /// When it begins, from now
    #[arg(long = "in", value_name = "DURATION")]
    pub(in crate::cli) starts_in: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) comment: String,
    /// Who creates it; the default is $USER, or oncall@HOST where that is not set
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) author: Option<String>,
}

/// The arguments of `silence list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SilenceListArgs {
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
    /// Also those that expired within the last day
    #[arg(long)]
    pub(in crate::cli) expired: bool,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
}

/// The arguments of `silence expire`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SilenceExpireArgs {
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
    /// The silence's ID, as printed by add and list
    #[arg(value_name = "ID")]
    pub(in crate::cli) id: String,
}

/// The arguments of `test-notify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct TestNotifyArgs {
    /// The receiver's name; without it, every receiver is tested
    #[arg(value_name = "RECEIVER")]
    pub(in crate::cli) receiver: Option<String>,
}
