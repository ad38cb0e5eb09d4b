//! The command line of `failover` and `failback`.

use std::path::PathBuf;

use clap::Args;

use super::OutputFormat;
use super::exporter::ExporterArgs;

/// The arguments of `failover`.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["pair", "resume", "rollback", "status"])))]
pub(in crate::cli) struct FailoverArgs {
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
    /// The pair
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) pair: Option<String>,
    /// The replica that becomes the master; the default is the only one of the pair, or in a
    /// disaster the one that has most
    #[arg(long, value_name = "HOST:PORT", requires = "pair")]
    pub(in crate::cli) to: Option<String>,
    /// The master is lost: promotes a replica without it
    #[arg(long, requires = "pair")]
    pub(in crate::cli) disaster: bool,
    /// Where no place reaches both servers, the first half, where the master is reached: stops its
    /// writes, makes it a replica, and prints the token for the second half
    #[arg(long, requires = "pair", conflicts_with_all = ["disaster", "token"])]
    pub(in crate::cli) hand_over: bool,
    /// The second half, where the replica is reached: promotes it if it has exactly what the token
    /// says
    #[arg(
        long,
        value_name = "REPLID:OFFSET",
        requires = "pair",
        conflicts_with = "disaster"
    )]
    pub(in crate::cli) token: Option<String>,
    /// Resumes an operation that was interrupted or is incomplete; without ID the newest
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(in crate::cli) resume: Option<String>,
    /// Rolls back an operation that was interrupted before the new master took writes
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(in crate::cli) rollback: Option<String>,
    /// Shows an operation, or all of them, and what is still open; exit code 30 if anything is
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub(in crate::cli) status: Option<String>,
    /// Practises the recovery on throwaway servers that it starts itself (it takes a redis-server):
    /// a switch-over, a lost site, its capture and its return
    #[arg(long, requires = "pair", conflicts_with_all = ["disaster", "hand_over", "token", "to"])]
    pub(in crate::cli) drill: bool,
    /// Practises on the pair itself instead: a switch-over there and back, with --execute and
    /// --plan
    #[arg(long, requires = "drill")]
    pub(in crate::cli) real: bool,
    /// The longest span of writes that may be lost in a disaster
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(in crate::cli) max_loss: String,
    /// The most bytes of the stream that may be lost in a disaster
    #[arg(long, value_name = "BYTES", default_value_t = 30_000_000)]
    pub(in crate::cli) max_loss_bytes: u64,
    #[command(flatten)]
    pub(in crate::cli) action: ActionArgs,
    /// Accepts that nobody knows how much is lost (unknown-lag)
    #[arg(long)]
    pub(in crate::cli) accept_unknown_loss: bool,
    /// Accepts that fewer than two vantage points see the master dead (no-proof)
    #[arg(long)]
    pub(in crate::cli) accept_single_view: bool,
    /// Promotes a replica although another one has more (another-is-ahead)
    #[arg(long)]
    pub(in crate::cli) accept_behind: bool,
    /// Fails over again within an hour (too-soon)
    #[arg(long)]
    pub(in crate::cli) again: bool,
    /// Says how the old master was fenced, although it is alive (master-alive); it is recorded
    #[arg(long, value_name = "HOW", requires = "disaster")]
    pub(in crate::cli) old_master_is_fenced: Option<String>,
}

/// The arguments of `failback`.
#[derive(Debug, Args)]
pub(in crate::cli) struct FailbackArgs {
    #[command(flatten)]
    pub(in crate::cli) exporter: ExporterArgs,
    /// The pair
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) pair: String,
    /// Stops once the returning server is a replica that is in sync
    #[arg(long)]
    pub(in crate::cli) only_rejoin: bool,
    /// Gives up what only the returning server has: exactly this many bytes, or `unknown` if that
    /// cannot be known (unsaved-writes)
    #[arg(long, value_name = "BYTES")]
    pub(in crate::cli) discard: Option<String>,
    /// Takes an RDB copy of the returning server first, where what only it has is not saved and
    /// lost-writes cannot have it; into this folder, or `recover.dir`
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "")]
    pub(in crate::cli) copy: Option<String>,
    /// A further folder with files of lost-writes --save, beside `recover.dir`: what a complete
    /// file holds may be overwritten; repeatable
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) saved: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) action: ActionArgs,
}

/// What operations have in common.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, Args)]
pub(in crate::cli) struct ActionArgs {
    /// Does it; without this flag nothing is changed
    #[arg(long)]
    pub(in crate::cli) execute: bool,
    /// The fingerprint of the plan that was read: refused if the servers have changed since
    #[arg(long, value_name = "FINGERPRINT")]
    pub(in crate::cli) plan: Option<String>,
    /// The longest time for which writes may wait before the switch-over is given up
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(in crate::cli) max_pause: String,
    /// How long the replica may take to come close before writes are paused
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(in crate::cli) drain: String,
    /// How long the old master may take to follow the new one before that takes writes; then
    /// everything goes back
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub(in crate::cli) verify: String,
    /// Lets the new master take writes before the old one follows it: a shorter pause over a slow
    /// link, and no way back
    #[arg(long)]
    pub(in crate::cli) open_at_once: bool,
    /// Accepts a promotion trap that doctor found on the replica, such as A1 (promotion-trap);
    /// repeatable
    #[arg(long, value_name = "CHECK")]
    pub(in crate::cli) accept: Vec<String>,
    /// Accepts a replica of an older version (version-skew)
    #[arg(long)]
    pub(in crate::cli) accept_version: bool,
    /// Switches over although writes cannot be paused (fence-unavailable)
    #[arg(long)]
    pub(in crate::cli) unfenced: bool,
    /// States that the Sentinels that watch the master are stopped (sentinel-would-undo)
    #[arg(long)]
    pub(in crate::cli) sentinels_are_stopped: bool,
    /// Text for people or JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(in crate::cli) output: OutputFormat,
}
