//! HTTP: metrics, health, JSON and one page. The only room that speaks it as a server.
//!
//! Reads the last snapshot and nothing else: no request can make the core wait or change what it knows.

mod connection;
mod encoding;
mod error;
mod limits;
mod page;
mod reply;
mod routes;
mod server;
mod state;
mod streams;

pub use error::WebError;
pub use limits::Limits;
pub use server::{BoundServer, Drained, Server};
pub use state::{MetricsEncoder, WebState};
pub use streams::StreamServer;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
