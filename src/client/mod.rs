//! Connections to Redis servers: the only room with the `redis` crate.
//!
//! A [`Connection`] is one connection, over TCP (with or without TLS) or a Unix socket, that asks
//! one thing, INFO, and hands the text back with the two instants that bound when it was true. It
//! trusts nothing that comes: replies are bounded, framed strictly and only read while one is due.
//! It has no response timeout: a late reply is evidence too, so how long to wait is the caller's
//! decision.
//!
//! Only heartbeats, which are off by default, ask for more: [`Connection::publish`] sends a message
//! on a channel, and a [`Subscription`] hears what comes out of one. A [`SentinelConnection`] asks
//! a Sentinel which masters and replicas there are.

mod connection;
mod error;
mod framing;
mod lent;
mod login;
mod plain_probe;
mod push;
#[cfg(test)]
mod real_tests;
mod sentinel;
mod subscription;
mod tcp;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod transport;
mod unix;
mod wire;

pub use connection::{Connection, InfoReply, MAX_INFO_REPLY, RequestWatch};
pub use sentinel::SentinelConnection;
pub use subscription::{ChannelMessage, Subscription};
// So that the guard can be fuzzed without a socket.
pub use framing::ReplyFrames;
