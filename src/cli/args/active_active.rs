//! The command line of `active-active`.

use clap::{Args, Subcommand, ValueEnum};

use super::OutputFormat;

/// What to do about active-active sites.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ActiveActiveArgs {
    /// Compares the sites and changes nothing; exit code 0 if every key was compared and the sites
    /// agree, else 10
    Verify(VerifyArgs),
    /// Drains the queues, merges counters and repairs settled differences; without --execute it
    /// only shows what it would do; exit code 0 if the sites agree, else 10
    Sync(SyncArgs),
}

/// What both commands understand.
#[derive(Debug, Args)]
pub(in crate::cli) struct SitesArgs {
    /// Only this entry of `active_active`
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Compares at most this many keys a second
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) keys_per_second: u32,
    /// How long a difference has to last to be settled, from 1s to 1h: longer than writes usually
    /// take to the other site
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(in crate::cli) settle: String,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
}

/// The arguments of `active-active verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    pub(in crate::cli) sites: SitesArgs,
    /// Compares only this many keys, and states what that says about the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) sample: Option<u64>,
}

/// The arguments of `active-active sync`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SyncArgs {
    #[command(flatten)]
    pub(in crate::cli) sites: SitesArgs,
    /// Changes the sites; without it nothing is changed
    #[arg(long)]
    pub(in crate::cli) execute: bool,
    /// What to do about keys that one site lacks: they may have been deleted there without a
    /// tombstone, and copying brings them back
    #[arg(long, value_name = "WHAT", default_value = "report")]
    pub(in crate::cli) missing: Missing,
    /// Applies at most this many items of the queue a second
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) items_per_second: u32,
}

/// What to do about keys that one site lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Missing {
    Copy,
    Report,
}
