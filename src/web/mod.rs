//! The HTTP server: metrics, health, JSON and pages. No other room speaks HTTP as a server.
//!
//! Requests read the latest snapshot and never block the core. Reloads, replays and silences are
//! sent to it as commands of [`crate::admin`]; `access` authorises them.

mod access;
mod admin;
mod connection;
mod connection_table;
mod encoding;
mod error;
mod events;
mod handler;
mod handshake;
mod health;
mod layers;
mod limits;
mod listeners;
mod memory;
mod not_found;
mod operations;
mod page;
mod probes;
mod pulse;
mod refusal;
mod renderer;
mod reply;
mod routes;
mod runbooks;
mod server;
mod silences;
mod since;
mod state;
mod streams;
mod write_deadline;

pub use access::{WebConfig, WebConfigStatus};
pub use error::WebError;
pub use limits::Limits;
pub use pulse::CorePulse;
pub use server::{BoundServer, Drained, Server};
pub use state::{Awaited, Awaiting, MetricsEncoder, WebState};
pub use streams::StreamServer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
