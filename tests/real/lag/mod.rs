//! Lag, states and the alert path of the real program, while real links and servers break and heal.
//!
//! Each test records what the exporter reports ten times a second and judges the whole record
//! ([`sampler`]); what must hold in every one of them, whatever happens, is in [`invariants`].
//! Figures are printed: `cargo test --test real lag:: -- --nocapture`.

#![allow(clippy::print_stdout)] // the figures are for people who measure, and test output is where they look

mod chain;
mod cluster;
mod failover;
mod full_sync;
mod healthy;
mod heartbeat;
mod histories;
mod hooks;
mod invariants;
mod isolation;
mod link;
mod login;
mod sampler;
mod servers;
mod stage;
mod throttle;
mod truth;
