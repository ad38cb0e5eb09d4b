//! A small laboratory on loopback: real Redis servers, a simulated WAN between them, a writer and a
//! webhook receiver, for the `demo` command and the integration tests. Built only with the feature
//! `demo`.
//!
//! **Invariant:** everything the lab starts listens on the loopback network only, and ends with the
//! value that represents it (on drop); a `redis-server` ends even when the process that started it
//! is killed with SIGKILL.
//!
//! **Invariant:** the lab shares no protocol code with the product. It speaks its own minimal RESP
//! and HTTP, so that a bug in the product's clients cannot hide behind the same bug here.

mod error;
mod guard;
mod http;
mod lines;
mod loopback;
mod proxy;
mod receiver;
mod resp;
mod server;
mod wait;
mod writer;

pub mod ports;

pub use error::LabError;
pub use loopback::Loopback;
pub use proxy::{Direction, ProxyStats, WanConditions, WanProxy};
pub use receiver::{Answer, Received, Receiver, Response};
pub use resp::{Connection, Reply, read_reply};
pub use server::{RedisServer, RedisServerBuilder, ServerTls};
pub use wait::{Probed, eventually};
pub use writer::{SteadyWriter, WriteLoad};
