//! HTTP: metrics, health, JSON and one page. The only room that speaks it as a server.
//!
//! Answers come from the last snapshot: no request can make the core wait. The only request that
//! changes something asks for a reload, and `access` says who may.

mod access;
mod connection;
mod connection_table;
mod encoding;
mod error;
mod events;
mod handshake;
mod limits;
mod lost;
mod memory;
mod page;
mod renderer;
mod reply;
mod routes;
mod runbooks;
mod server;
mod silences;
mod since;
mod state;
mod streams;

pub use access::{WebConfig, WebConfigStatus};
pub use error::WebError;
pub use limits::Limits;
pub use server::{BoundServer, Drained, Server};
pub use state::{
    MetricsEncoder, Refresh, Refreshing, Reloader, Reloading, Replayer, Replaying, Silencer,
    Silencing, WebState,
};
pub use streams::StreamServer;

#[cfg(test)]
mod openapi_tests;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod secure_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
