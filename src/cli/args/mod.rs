//! The command line, as typed: one file for each family of commands.

mod active_active;
mod alerting;
mod check;
mod demo;
mod doctor;
mod exporter;
mod lost_writes;
mod operation;
mod packaging;
mod servers;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{ListenAddress, TelemetryPath};
use crate::model::FleetShard;

pub(super) use active_active::{ActiveActiveArgs, Missing, SitesArgs, SyncArgs, VerifyArgs};
pub(super) use alerting::{
    AlertsArgs, DeliveriesArgs, SilenceAddArgs, SilenceArgs, SilenceExpireArgs, SilenceListArgs,
    TestNotifyArgs,
};
pub(super) use check::{CheckArgs, CheckConfigArgs};
pub(super) use demo::DemoArgs;
pub(super) use doctor::{DoctorArgs, DoctorFormat};
pub(super) use exporter::ExporterArgs;
pub(super) use lost_writes::LostWritesArgs;
pub(super) use operation::{ActionArgs, FailbackArgs, FailoverArgs};
pub(super) use packaging::{CompletionsArgs, RulesArgs, RulesFormat, RulesGroup};
pub(super) use servers::{InitArgs, LoginArgs};

/// The configuration file where none is given.
pub(super) const DEFAULT_CONFIG_FILE: &str = "./redis-cross-dc-exporter.yml";

/// The truth about Redis replication across datacenters: a Prometheus exporter and alerter.
#[derive(Debug, Parser)]
#[command(
    name = "redis-cross-dc-exporter",
    version,
    long_version = super::version::LONG,
    about,
    max_term_width = 100
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What is understood before and after every command. `help` has the commands that use an option;
/// the help of the others does not show it.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The configuration file (.yml, .yaml, .toml or .json)
    #[arg(
        long = "config.file",
        global = true,
        value_name = "FILE",
        default_value = DEFAULT_CONFIG_FILE
    )]
    pub(super) config_file: PathBuf,
    /// Where the exporter listens, such as 0.0.0.0:10121, :10121 or localhost:10121; may be given
    /// several times; the default is `web.listen_address` of the configuration file, or else
    /// 0.0.0.0:10121
    #[arg(long = "web.listen-address", global = true, value_name = "ADDR")]
    pub(super) listen_addresses: Vec<ListenAddress>,
    /// Accepts connections on the sockets that systemd passes, instead of listening on an address
    #[arg(
        long = "web.systemd-socket",
        global = true,
        conflicts_with = "listen_addresses"
    )]
    pub(super) systemd_socket: bool,
    /// The path of the metrics; /metrics redirects to another one
    #[arg(
        long = "web.telemetry-path",
        global = true,
        value_name = "PATH",
        default_value = "/metrics"
    )]
    pub(super) telemetry_path: TelemetryPath,
    /// HTTPS, passwords and headers, in the format of Prometheus' exporter-toolkit (see
    /// docs/web.md)
    #[arg(long = "web.config.file", global = true, value_name = "FILE")]
    pub(super) web_config_file: Option<PathBuf>,
    /// Lets clients on this machine change things over HTTP without a password: reload, silences,
    /// notifications that are sent again, audits, reported operations
    #[arg(long = "web.enable-admin-api", global = true)]
    pub(super) enable_admin_api: bool,
    /// The share of the fleet that this exporter watches, if several exporters with the same
    /// configuration divide it: INDEX/COUNT with the index counted from 0, such as 0/3, or
    /// hostname/COUNT for the number at the end of the host name (the pods of a `StatefulSet`)
    #[arg(long, global = true, value_name = "INDEX/COUNT", value_parser = super::shard::parse)]
    pub(super) shard: Option<FleetShard>,
    /// Log level
    #[arg(
        long = "log.level",
        global = true,
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(super) log_level: LogLevel,
    /// Log format
    #[arg(
        long = "log.format",
        global = true,
        value_name = "FORMAT",
        default_value = "logfmt"
    )]
    pub(super) log_format: LogFormat,
}

/// The log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The log format.
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
    /// Audits the servers of every pair for disaster recovery, and changes nothing; exit code 0
    /// clean, 10 warnings, 20 critical, 1 nothing found but something was not checked
    Doctor(DoctorArgs),
    /// Writes a commented configuration for the given servers, checks it, and names the next
    /// command; asks no questions and overwrites nothing
    Init(InitArgs),
    /// Saves the writes that only a deposed master has, as a file that can be replayed; exit code 0
    /// none, 10 found, 20 they cannot be saved
    LostWrites(LostWritesArgs),
    /// Makes a replica the master: without --execute it prints the assessment and the plan. Exit
    /// code 0 done, 10 the plan is safe and nothing was done, 20 refused, 1 failed and everything
    /// is as before, 30 incomplete (the last line says who is master and what is open)
    Failover(Box<FailoverArgs>),
    /// Brings the configured master back after a failover: it rejoins as a replica, then takes
    /// over; exit codes as of failover
    Failback(Box<FailbackArgs>),
    /// Checks the configuration and the secret and certificate files that it names, and prints what
    /// is in effect, secrets hidden; contacts no server unless --connect is given
    CheckConfig(CheckConfigArgs),
    /// Shows the alerts of a running exporter, and which receivers were notified
    Alerts(AlertsArgs),
    /// Shows the receivers of a running exporter and its notifications: waiting, accepted and given
    /// up
    Deliveries(DeliveriesArgs),
    /// Asks a running exporter whether it is ready; exit code 0 or 1
    Healthcheck(ExporterArgs),
    /// Sends a marked test alert and its resolve to the receivers and prints each answer; exit code
    /// 0 if all accepted it, else 1
    TestNotify(TestNotifyArgs),
    /// Creates, lists and expires silences of a running exporter
    #[command(subcommand)]
    Silence(SilenceArgs),
    /// Prints the Prometheus rule file for the thresholds of the configuration
    Rules(RulesArgs),
    /// Compares and repairs sites that applications write to side by side
    #[command(subcommand)]
    ActiveActive(ActiveActiveArgs),
    /// Starts real local servers with a simulated WAN between them, and shows what happens when it
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

/// How `check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Table,
    Json,
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
