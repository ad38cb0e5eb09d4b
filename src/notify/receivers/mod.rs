//! The kinds of receivers, one file each: their requests, their keys, and what their answers mean.
//!
//! **Invariant:** nothing here sends. A group receiver prepares an `Exchange`, which names one
//! request after the other; `dispatch` sends them. The only IO is the read of secrets, which may
//! lie in files: `protocol::GroupProtocol::prepare` runs where it may block.

pub mod alertmanager;
mod check;
mod config;
pub(super) mod dead_mans_switch;
pub mod email;
mod email_html;
mod kinds;
pub mod msteams;
mod own_body;
pub mod pagerduty;
mod protocol;
#[cfg(test)]
mod recipes;
mod secrets;
pub mod signature;
pub mod slack;
pub mod slack_bot;
pub mod slack_webhook;
pub mod webhook;

pub use check::check;
pub(super) use check::readable_secrets;
pub(super) use config::{GroupConfig, PeriodicConfig};
pub(super) use protocol::{Delivery, Exchange, Outgoing, OutgoingRequest};
pub(super) use secrets::{blocking, client_for, read_headers};
