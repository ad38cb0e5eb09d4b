//! The command line of `rules` and `completions`.

use clap::{Args, ValueEnum};

/// The arguments of `rules`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RulesArgs {
    /// Where people reach the exporter, for links to runbooks and to the page; the default is the
    /// configuration's `notify.external_url`
    #[arg(long = "external-url", value_name = "URL")]
    pub(in crate::cli) external_url: Option<String>,
    /// Only the rules of this group
    #[arg(long, value_name = "GROUP")]
    pub(in crate::cli) group: Option<RulesGroup>,
    /// A rule file, or a resource of the Prometheus Operator
    #[arg(long, value_name = "FORMAT", default_value = "rules")]
    pub(in crate::cli) format: RulesFormat,
}

/// A group of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RulesGroup {
    Pairs,
    Servers,
    Sites,
    Exporter,
}

/// What rules are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RulesFormat {
    Rules,
    Prometheusrule,
}

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(in crate::cli) shell: clap_complete::Shell,
}
