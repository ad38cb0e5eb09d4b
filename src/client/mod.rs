//! Connections to Redis servers: the only room with the `redis` crate, which packs commands and
//! parses whole replies.
//!
//! A [`Connection`] goes over TCP (with or without TLS) or a Unix socket. It trusts nothing that
//! comes: only as many replies are read as are due, their shape and size are checked before they
//! are parsed, and both ends of a request are stamped at the socket, so that INFO comes with the
//! two instants between which it was true. Requests have no limit in time: a late reply is evidence
//! too, so how long to wait is the caller's decision.
//!
//! Polling sends INFO alone. Heartbeats, which are off by default, also use
//! [`Connection::publish`] and a [`Subscription`]; a [`SentinelConnection`] queries the masters and
//! replicas that a Sentinel lists, a [`ClusterConnection`] the nodes that a node of a Redis Cluster
//! knows. Other commands, several of them on one connection or one that
//! starts a stream, go through [`Connection::request`], [`Connection::request_all`] and
//! [`Connection::into_stream`].

mod cluster;
mod connection;
mod error;
mod framing;
mod info_form;
mod login;
mod plain_probe;
mod raw_stream;
mod sentinel;
mod site;
mod subscription;
mod tcp;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod unix;
mod values;
mod wire;

pub use cluster::ClusterConnection;
pub use connection::{Connection, InfoAnswer, InfoReply, MAX_REPLY};
pub use raw_stream::RawStream;
pub use sentinel::{PromotionAnswer, SentinelConnection};
pub use site::ServerSite;
pub use subscription::{ChannelMessage, Subscription};
pub use tls::{SecureStream, secure};
pub use wire::RequestWatch;
// Public so that it can be fuzzed without a socket.
pub use framing::{Framing, ReplyShape};
// The words of a request and its reply: other rooms do not name the crate.
pub use redis::{Cmd as Command, Value};
