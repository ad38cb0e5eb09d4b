//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::ListenAddress;

/// The truth about Redis replication across datacenters: a Prometheus exporter and alerter.
#[derive(Debug, Parser)]
#[command(name = "redis-cross-dc-exporter", version, about, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What every command understands.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The configuration file (.yml, .yaml, .toml or .json)
    #[arg(
        long = "config.file",
        global = true,
        value_name = "FILE",
        default_value = "./redis-cross-dc-exporter.yml"
    )]
    pub(super) config_file: PathBuf,
    /// Where the exporter listens, such as 0.0.0.0:10121, :10121 or localhost:10121; the default is
    /// `web.listen_address` of the configuration file, or else 0.0.0.0:10121
    #[arg(long = "web.listen-address", global = true, value_name = "ADDR")]
    pub(super) listen_address: Option<ListenAddress>,
    /// HTTPS, passwords and headers, in the format of Prometheus' exporter-toolkit (see
    /// docs/web.md)
    #[arg(long = "web.config.file", global = true, value_name = "FILE")]
    pub(super) web_config_file: Option<PathBuf>,
    /// Lets clients on this machine ask for a reload over HTTP without a password
    #[arg(long = "web.enable-admin-api", global = true)]
    pub(super) enable_admin_api: bool,
    /// How much is logged
    #[arg(
        long = "log.level",
        global = true,
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(super) log_level: LogLevel,
    /// How log lines look
    #[arg(
        long = "log.format",
        global = true,
        value_name = "FORMAT",
        default_value = "logfmt"
    )]
    pub(super) log_format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Logfmt,
    Json,
}

/// What to do; without one, `run`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the exporter and alerter (the default); SIGHUP reloads, SIGTERM drains
    Run,
    /// Shows every pair on one screen, worst first; exit code 0 ok, 1 warning, 2 critical, 3
    /// unknown
    Check(CheckArgs),
    /// Audits the servers of every pair for disaster recovery, and changes nothing; exit code 0 clean,
    /// 10 warnings, 20 critical, 1 something was not checked
    Doctor(DoctorArgs),
    /// Checks the configuration and the files of secrets and certificates that it names, and prints
    /// what is in effect, secrets hidden; asks no server
    CheckConfig(CheckConfigArgs),
    /// Asks a running exporter whether it is ready; exit code 0 or 1
    Healthcheck(ExporterArgs),
    /// Sends a marked test and its end to the receivers and prints each answer; exit code 0 when
    /// all took it, else 1
    TestNotify(TestNotifyArgs),
    /// Makes, lists and ends silences of a running exporter
    #[command(subcommand)]
    Silence(SilenceArgs),
    /// Prints the Prometheus rule file for the thresholds of the configuration
    Rules(RulesArgs),
    /// Starts real local servers with a simulated WAN between them and shows what happens when it
    /// breaks
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Prints the completion script of a shell, for packages
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Prints the manual page in roff, for packages
    #[command(hide = true)]
    Man,
}

/// Which running exporter to ask.
#[derive(Debug, Args)]
pub(super) struct ExporterArgs {
    /// The running exporter's address, such as `http://127.0.0.1:10121`; the default follows
    /// --web.listen-address, or else `web.listen_address` of the configuration file
    #[arg(long = "exporter.url", value_name = "URL")]
    pub(super) url: Option<String>,
    /// The user, where the exporter asks for one
    #[arg(
        long = "exporter.username",
        value_name = "NAME",
        requires = "password_file"
    )]
    pub(super) username: Option<String>,
    /// The file that holds the user's password
    #[arg(
        long = "exporter.password-file",
        value_name = "FILE",
        requires = "username"
    )]
    pub(super) password_file: Option<PathBuf>,
    /// The authorities (PEM) that sign the exporter's certificate; without it the system's
    #[arg(long = "exporter.ca-file", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// This client's certificate (PEM), where the exporter asks for one
    #[arg(
        long = "exporter.cert-file",
        value_name = "FILE",
        requires = "key_file"
    )]
    pub(super) cert_file: Option<PathBuf>,
    /// The private key (PEM) of this client's certificate
    #[arg(
        long = "exporter.key-file",
        value_name = "FILE",
        requires = "cert_file"
    )]
    pub(super) key_file: Option<PathBuf>,
    /// Believes any certificate of the exporter: for an exporter on this machine, whose certificate
    /// is for another name
    #[arg(long = "exporter.insecure-skip-verify", conflicts_with = "ca_file")]
    pub(super) insecure_skip_verify: bool,
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
    /// Only the pairs of this name
    #[arg(long, value_name = "NAME")]
    pub(super) pair: Option<String>,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
}

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Only the pairs of this name
    #[arg(long, value_name = "NAME")]
    pub(super) pair: Option<String>,
    /// The interruption between the datacenters that replication has to survive without a full
    /// sync, such as 10m; the default is `doctor.survive` of the configuration file
    #[arg(long, value_name = "DURATION")]
    pub(super) survive: Option<String>,
    /// How long the writes of each master are measured that a running exporter has no history of,
    /// from 1s to 1h; findings that rest on less than an hour say so
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    pub(super) measure: String,
    /// A directive of redis.conf, such as repl-compression: says which servers do not have it;
    /// repeatable
    #[arg(long = "directive", value_name = "NAME")]
    pub(super) directives: Vec<String>,
    /// A table for people, JSON for programs or Markdown for tickets
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: DoctorFormat,
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
}

/// How `doctor` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DoctorFormat {
    Table,
    Json,
    Markdown,
}

/// The arguments of `check-config`.
#[derive(Debug, Args)]
pub(super) struct CheckConfigArgs {
    /// Reads none of the files of secrets and certificates: for pipelines that do not have them
    #[arg(long)]
    pub(super) syntax_only: bool,
}

/// What to do about silences.
#[derive(Debug, Subcommand)]
pub(super) enum SilenceArgs {
    /// Holds back what fits all matchers, for a while; prints the silence's name
    Add(SilenceAddArgs),
    /// Shows the silences in force and to come, and the open maintenance windows
    List(SilenceListArgs),
    /// Ends a silence now
    Expire(SilenceExpireArgs),
}

/// The arguments of `silence add`.
#[derive(Debug, Args)]
pub(super) struct SilenceAddArgs {
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
    /// A label and a glob that it has to fit, such as pair=orders-* or severity=warning
    #[arg(value_name = "LABEL=GLOB", required = true)]
    pub(super) matchers: Vec<String>,
    /// How long it lasts, such as 30m or 4h; at most 30d
    #[arg(long = "for", value_name = "DURATION")]
    pub(super) lasts: String,
    /// When it begins, from now
    #[arg(long = "in", value_name = "DURATION")]
    pub(super) starts_in: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(super) comment: String,
    /// Who wants it; the default is $USER, or oncall@HOST where that is not set
    #[arg(long, value_name = "NAME")]
    pub(super) author: Option<String>,
}

/// The arguments of `silence list`.
#[derive(Debug, Args)]
pub(super) struct SilenceListArgs {
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
    /// Also those that ended within a day
    #[arg(long)]
    pub(super) expired: bool,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
}

/// The arguments of `silence expire`.
#[derive(Debug, Args)]
pub(super) struct SilenceExpireArgs {
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
    /// The silence's name, as add and list print it
    #[arg(value_name = "ID")]
    pub(super) id: String,
}

/// How `check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Table,
    Json,
}

/// The arguments of `test-notify`.
#[derive(Debug, Args)]
pub(super) struct TestNotifyArgs {
    /// The receiver's name; without it, every receiver is tested
    #[arg(value_name = "RECEIVER")]
    pub(super) receiver: Option<String>,
}

/// The arguments of `rules`.
#[derive(Debug, Args)]
pub(super) struct RulesArgs {
    /// Where people reach the exporter, for links to runbooks and to the page; the default is the
    /// configuration's `notify.external_url`
    #[arg(long = "external-url", value_name = "URL")]
    pub(super) external_url: Option<String>,
    /// Only the rules of this group
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<RulesGroup>,
    /// A rule file, or a resource of the Prometheus Operator
    #[arg(long, value_name = "FORMAT", default_value = "rules")]
    pub(super) format: RulesFormat,
}

/// A group of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RulesGroup {
    Pairs,
    Servers,
    Exporter,
}

/// What rules are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RulesFormat {
    Rules,
    Prometheusrule,
}

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

/// The arguments of `demo`.
#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Tell the story once, check it, and end with a summary
    #[arg(long)]
    pub(super) once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_may_be_before_or_after_the_command() {
        for line in [
            ["x", "--config.file", "a.yml", "check"],
            ["x", "check", "--config.file", "a.yml"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.global.config_file, PathBuf::from("a.yml"));
            assert!(matches!(cli.command, Some(Command::Check(_))));
        }
    }
}
