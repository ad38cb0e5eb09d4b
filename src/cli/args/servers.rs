//! The command line of `init`, and how servers that are named on a command line are reached.

use std::path::PathBuf;

use clap::Args;

use crate::cli::place::{DatacenterArg, Place};

/// How to log in to servers that are named on the command line: `servers`, which is an argument of
/// `check` and a group of arguments of `init`.
#[allow(
    clippy::struct_field_names,
    reason = "clap takes the names as identifiers, and those of ExporterArgs must be others"
)]
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers on the command line")]
pub(in crate::cli) struct LoginArgs {
    /// The user on the servers; without it, the default user
    #[arg(
        long = "redis.username",
        value_name = "NAME",
        requires = "redis_password_file"
    )]
    pub(in crate::cli) redis_username: Option<String>,
    /// The file that holds the user's password
    #[arg(
        long = "redis.password-file",
        value_name = "FILE",
        requires = "servers"
    )]
    pub(in crate::cli) redis_password_file: Option<PathBuf>,
    /// Connects over TLS, and trusts the system's certificate authorities
    #[arg(long = "redis.tls", requires = "servers")]
    pub(in crate::cli) redis_tls: bool,
    /// Connects over TLS, and trusts the certificate authorities in this file (PEM)
    #[arg(long = "redis.ca-file", value_name = "FILE", requires = "servers")]
    pub(in crate::cli) redis_ca_file: Option<PathBuf>,
}

/// The arguments of `init`.
#[derive(Debug, Args)]
#[command(group(
    clap::ArgGroup::new("servers").args(["master", "sentinels"]).required(true)
))]
pub(in crate::cli) struct InitArgs {
    /// The master, as HOST:PORT or DC=HOST:PORT
    #[arg(long, value_name = "MASTER", requires = "replicas")]
    pub(in crate::cli) master: Option<Place>,
    /// A replica, as HOST:PORT or DC=HOST:PORT; may be given several times
    #[arg(long = "replica", value_name = "REPLICA", requires = "master")]
    pub(in crate::cli) replicas: Vec<Place>,
    /// A Sentinel that finds masters and replicas, as HOST:PORT; may be given several times: name
    /// all of them, in every datacenter
    #[arg(long = "sentinel", value_name = "SENTINEL", conflicts_with = "master")]
    pub(in crate::cli) sentinels: Vec<Place>,
    /// The master's name on the Sentinels; without it, every master that they know
    #[arg(
        long,
        value_name = "NAME",
        requires = "sentinels",
        conflicts_with = "master"
    )]
    pub(in crate::cli) master_name: Option<String>,
    /// The name of the pair or of the Sentinels' entry
    #[arg(long, value_name = "NAME", default_value = "orders")]
    pub(in crate::cli) pair: String,
    /// A datacenter and the hosts in it, as `NAME=PATTERN[,PATTERN]`, such as dc1=10.1.0.0/16 or
    /// dc1=*.dc1.example.com; may be given several times
    #[arg(long = "datacenter", value_name = "DATACENTER")]
    pub(in crate::cli) datacenters: Vec<DatacenterArg>,
    /// The datacenter in which the exporter runs
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) local: Option<String>,
    /// The URL of a webhook that is notified of alerts
    #[arg(long = "webhook-url", value_name = "URL")]
    pub(in crate::cli) webhook_url: Option<String>,
    /// The file that holds the URL of a Slack webhook that is notified of alerts
    #[arg(long = "slack-webhook-url-file", value_name = "FILE")]
    pub(in crate::cli) slack_webhook_url_file: Option<PathBuf>,
    /// The file that holds the routing key of PagerDuty, which is notified of critical alerts
    #[arg(long = "pagerduty-routing-key-file", value_name = "FILE")]
    pub(in crate::cli) pagerduty_routing_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) login: LoginArgs,
}
