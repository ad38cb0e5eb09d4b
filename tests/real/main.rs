//! Tests of the real program on real servers: the binary as a user starts it, `redis-server` as
//! Debian ships it.
//!
//! Each test starts what it needs on loopback and ends it; none depends on another's leftovers. A
//! program that is missing makes the test fail with the command that installs it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be unwrapped has to fail the test"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a test tells one story from its beginning to its end"
)]

mod acl;
mod active_active;
mod browser;
mod certificates;
mod check;
mod cluster;
mod command;
mod commands;
mod connect;
mod crash;
mod cut;
mod demo;
mod doctor;
mod durable;
mod exporter;
mod failover;
mod findings;
mod first_run;
mod flapping;
#[path = "../fleet/mod.rs"]
mod fleet;
mod fleets;
mod foresight;
mod guard;
mod heartbeat;
mod hostile;
mod incidents;
mod laboratory;
mod lag;
mod logline;
mod lost_writes;
mod mail;
mod mail_server;
mod managed;
mod metrics;
mod operation;
mod planted;
mod poll_boost;
mod prometheus;
mod receiver;
mod receivers;
mod reload;
mod scrape;
mod secrets;
mod senders;
mod sentinel;
mod shard;
mod site_monitoring;
mod site_probes;
mod smoke;
mod soak;
mod stage;
mod state;
mod story;
mod stuck;
mod tls;
mod webconfig;
