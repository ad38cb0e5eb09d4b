//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::place::Place;
use super::server_args::{InitArgs, LoginArgs};
use crate::config::{ListenAddress, TelemetryPath};
use crate::model::FleetShard;

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
    /// Lets clients on this machine reload the configuration, make and end silences, and send
    /// notifications again over HTTP without a password
    #[arg(long = "web.enable-admin-api", global = true)]
    pub(super) enable_admin_api: bool,
    /// Which share of the fleet this exporter watches, where several exporters with the same
    /// configuration divide it: INDEX/COUNT with the index counted from 0, such as 0/3, or
    /// hostname/COUNT for the number at the end of the host name (the pods of a `StatefulSet`)
    #[arg(long, global = true, value_name = "INDEX/COUNT", value_parser = super::shard::parse)]
    pub(super) shard: Option<FleetShard>,
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
    /// Writes a configuration with comments for the servers that are given, checks it, and names the
    /// next command; asks nothing and overwrites nothing
    Init(InitArgs),
    /// Saves the writes that only a deposed master has, as a file that can be replayed; exit code 0
    /// none, 10 found, 20 they cannot be had
    LostWrites(LostWritesArgs),
    /// Makes a replica the master: without --execute it prints the assessment and the plan. Exit code
    /// 0 done, 10 the plan is safe and nothing was done, 20 refused, 1 failed and everything is as
    /// before, 30 incomplete (the last line says who is master and what is open)
    Failover(Box<FailoverArgs>),
    /// Brings the configured master back after a failover: it rejoins as a replica, then takes over;
    /// exit codes as of failover
    Failback(Box<FailbackArgs>),
    /// Checks the configuration and the files of secrets and certificates that it names, and prints
    /// what is in effect, secrets hidden; asks no server unless --connect is given
    CheckConfig(CheckConfigArgs),
    /// Shows the alerts of a running exporter, and which receivers were notified
    Alerts(AlertsArgs),
    /// Shows the receivers of a running exporter and its notifications: what waits, what was
    /// accepted and what was given up
    Deliveries(DeliveriesArgs),
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
    /// Compares and repairs sites that applications write to side by side
    #[command(subcommand)]
    ActiveActive(ActiveActiveArgs),
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
#[command(next_help_heading = "The running exporter")]
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
    /// A master and its replicas, as HOST:PORT or DC=HOST:PORT: polls these, without a configuration
    /// file and without an exporter
    #[arg(value_name = "MASTER REPLICA")]
    pub(super) servers: Vec<Place>,
    /// Only the pairs of this name
    #[arg(long, value_name = "NAME", conflicts_with = "servers")]
    pub(super) pair: Option<String>,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
    /// Shows the table again and again, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
    /// How long --watch waits before it asks again
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub(super) every: u64,
    #[command(flatten)]
    pub(super) login: LoginArgs,
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
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

/// What to do about active-active sites.
#[derive(Debug, Subcommand)]
pub(super) enum ActiveActiveArgs {
    /// Compares the sites and changes nothing; exit code 0 when every key was compared and the sites
    /// agree, 10 when not
    Verify(VerifyArgs),
    /// Drains the queues, merges counters and repairs keys that differ for good; only shows what it
    /// would do without --execute; exit code 0 when the sites agree, 10 when not
    Sync(SyncArgs),
}

/// What both commands understand.
#[derive(Debug, Args)]
pub(super) struct SitesArgs {
    /// Only this entry of `active_active`
    #[arg(value_name = "NAME")]
    pub(super) name: Option<String>,
    /// At most so many keys a second are compared
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) keys_per_second: u32,
    /// How long a difference has to last to count, from 1s to 1h: longer than writes usually take
    /// to the other site
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(super) settle: String,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
}

/// The arguments of `active-active verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) sites: SitesArgs,
    /// Compares so many keys and states what that says about the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) sample: Option<u64>,
}

/// The arguments of `active-active sync`.
#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    pub(super) sites: SitesArgs,
    /// Changes the sites; without it nothing is changed
    #[arg(long)]
    pub(super) execute: bool,
    /// What to do about keys that one site lacks: they may have been deleted there without a
    /// tombstone, and copying brings them back
    #[arg(long, value_name = "WHAT", default_value = "report")]
    pub(super) missing: Missing,
    /// At most so many items of the queue a second are applied
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) items_per_second: u32,
}

/// What to do about keys that one site lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Missing {
    Copy,
    Report,
}

/// The arguments of `lost-writes`.
#[derive(Debug, Args)]
pub(super) struct LostWritesArgs {
    /// The pair
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "done",
        conflicts_with = "done"
    )]
    pub(super) pair: Option<String>,
    /// The folder of the file, made if it is missing; the default is `recover.dir` of the
    /// configuration file
    #[arg(long, value_name = "DIR", conflicts_with_all = ["summary", "done"])]
    pub(super) save: Option<PathBuf>,
    /// Reads the writes and says what they are; saves nothing
    #[arg(long, conflicts_with = "done")]
    pub(super) summary: bool,
    /// Also reads a server with min-replicas-to-write that cannot be fenced: writes may get through
    /// while it is read
    #[arg(long, conflicts_with = "done")]
    pub(super) unfenced: bool,
    /// Marks a file as dealt with: it is no longer shown by the exporter
    #[arg(long, value_name = "FILE")]
    pub(super) done: Option<PathBuf>,
    /// What was done about it
    #[arg(long, value_name = "TEXT", requires = "done", default_value = "")]
    pub(super) comment: String,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
}

/// The arguments of `failover`.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["pair", "resume", "rollback", "status"])))]
pub(super) struct FailoverArgs {
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
    /// The pair
    #[arg(long, value_name = "NAME")]
    pub(super) pair: Option<String>,
    /// The replica that becomes the master; not needed where the pair has only one, and in a
    /// disaster the one that has most
    #[arg(long, value_name = "HOST:PORT", requires = "pair")]
    pub(super) to: Option<String>,
    /// The master is lost: promotes a replica without it
    #[arg(long, requires = "pair")]
    pub(super) disaster: bool,
    /// Goes on with an operation that was interrupted or is incomplete; without ID the newest
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(super) resume: Option<String>,
    /// Takes an operation back that was interrupted before the new master was open
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(super) rollback: Option<String>,
    /// Shows an operation, or all of them, and what is open; exit code 30 where something is
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(super) status: Option<String>,
    /// The most time whose writes may be lost in a disaster
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(super) max_loss: String,
    /// The most bytes of the stream that may be lost in a disaster
    #[arg(long, value_name = "BYTES", default_value_t = 30_000_000)]
    pub(super) max_loss_bytes: u64,
    #[command(flatten)]
    pub(super) action: ActionArgs,
    /// Accepts that nobody knows how much is lost (unknown-lag)
    #[arg(long)]
    pub(super) accept_unknown_loss: bool,
    /// Accepts that fewer than two vantage points see the master dead (no-proof)
    #[arg(long)]
    pub(super) accept_single_view: bool,
    /// Promotes a replica although another one has more (another-is-ahead)
    #[arg(long)]
    pub(super) accept_behind: bool,
    /// Fails over again within an hour (too-soon)
    #[arg(long)]
    pub(super) again: bool,
    /// Says how the old master was fenced, although it is alive (master-alive); it is recorded
    #[arg(long, value_name = "HOW", requires = "disaster")]
    pub(super) old_master_is_fenced: Option<String>,
}

/// The arguments of `failback`.
#[derive(Debug, Args)]
pub(super) struct FailbackArgs {
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
    /// The pair
    #[arg(long, value_name = "NAME")]
    pub(super) pair: String,
    /// Stops once the returning server is a replica that is in sync
    #[arg(long)]
    pub(super) only_rejoin: bool,
    /// Gives up what only the returning server has: exactly this many bytes, or `unknown` where that
    /// cannot be known (unsaved-writes)
    #[arg(long, value_name = "BYTES")]
    pub(super) discard: Option<String>,
    #[command(flatten)]
    pub(super) action: ActionArgs,
}

/// What operations have in common.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, Args)]
pub(super) struct ActionArgs {
    /// Does it; without this flag nothing is changed
    #[arg(long)]
    pub(super) execute: bool,
    /// The fingerprint of the plan that was read: refused if the servers have changed since
    #[arg(long, value_name = "FINGERPRINT")]
    pub(super) plan: Option<String>,
    /// The longest time for which writes may wait before the switch-over is given up
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(super) max_pause: String,
    /// How long the replica may take to come close before writes are paused
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) drain: String,
    /// How long the old master may take to follow the new one before that takes writes; then
    /// everything goes back
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub(super) verify: String,
    /// Lets the new master take writes before the old one follows it: a shorter pause over a slow
    /// link, and no way back
    #[arg(long)]
    pub(super) open_at_once: bool,
    /// Accepts a promotion trap that doctor found on the replica, such as A1 (promotion-trap);
    /// repeatable
    #[arg(long, value_name = "CHECK")]
    pub(super) accept: Vec<String>,
    /// Accepts a replica of an older version (version-skew)
    #[arg(long)]
    pub(super) accept_version: bool,
    /// Switches over although writes cannot be paused (fence-unavailable)
    #[arg(long)]
    pub(super) unfenced: bool,
    /// States that the Sentinels that watch the master are stopped (sentinel-would-undo)
    #[arg(long)]
    pub(super) sentinels_are_stopped: bool,
    /// Text for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
}

/// The arguments of `check-config`.
#[derive(Debug, Args)]
pub(super) struct CheckConfigArgs {
    /// Reads none of the files of secrets and certificates: for pipelines that do not have them
    #[arg(long)]
    pub(super) syntax_only: bool,
    /// Logs in to every server and Sentinel, and says which ACL rules are missing where; prints
    /// that instead of the configuration; exit code 1 when something is missing
    #[arg(long, conflicts_with = "syntax_only")]
    pub(super) connect: bool,
}

/// The arguments of `alerts`.
#[derive(Debug, Args)]
pub(super) struct AlertsArgs {
    /// Only alerts about the pairs of this name
    #[arg(long, value_name = "NAME")]
    pub(super) pair: Option<String>,
    /// Also those that resolved recently
    #[arg(long)]
    pub(super) resolved: bool,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
}

/// The arguments of `deliveries`.
#[derive(Debug, Args)]
pub(super) struct DeliveriesArgs {
    /// Only the notifications of this receiver
    #[arg(long, value_name = "NAME")]
    pub(super) receiver: Option<String>,
    /// A table for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: OutputFormat,
    #[command(flatten)]
    pub(super) exporter: ExporterArgs,
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
    /// Tells the story once without a pause, checks it, and ends with a summary
    #[arg(long)]
    pub(super) once: bool,
    /// Does not wait for Enter between the acts, as if no terminal were there
    #[arg(long)]
    pub(super) no_wait: bool,
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
