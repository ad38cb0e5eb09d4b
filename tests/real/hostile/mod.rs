//! The hostile matrix: servers and clients that hang, babble, flood and refuse. Each is named for
//! what it does, and none costs a healthy pair a poll, a state or an alert: compared with a second
//! exporter that runs beside the attacked one and is spared.

mod clients;
mod fault_cases;
mod hostile_peers;
mod overload;
mod replicas;
mod secured;
pub(crate) mod server;
mod servers;
mod unauthorised_clients;
mod web;
mod wide_cut;
mod window;

/// Fast rounds, so that ten seconds are fifty of them; no faster ones in trouble, so that rates
/// compare.
const POLL: &str =
    "poll: {interval: 200ms, min_interval: 200ms, timeout: {local: 500ms, remote: 500ms}}";

/// The interval above, in seconds.
const INTERVAL: f64 = 0.2;

/// Each of these tests floods the machine: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What the whole exporter may take in memory: a flood is cut off, not collected.
const MEMORY: f64 = 200e6;

/// A configuration with these entries of `pairs`.
fn configuration(pairs: &[String]) -> String {
    format!("{POLL}\npairs: [{}]\n", pairs.join(", "))
}
