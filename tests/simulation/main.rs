//! The pure core in virtual time: a model of masters, links and replicas whose truth is known,
//! polled like the real thing, and an oracle that compares every answer of the monitor with that
//! truth.
//!
//! No socket, no clock. Every random choice comes from a seed; a failing test prints it:
//! `SIM_SEED=7 cargo test --test simulation <test>` replays it, `SIM_RUNS=500` tries that many
//! seeds a test.

#![allow(
    clippy::indexing_slicing,
    reason = "an index that is wrong has to fail the test"
)]

mod accuracy;
mod alerts;
mod cases;
mod driver;
mod fleet;
mod foresight;
mod heartbeat_path;
mod heartbeats;
mod loads;
mod losses;
mod oracle;
mod poll_boost;
mod random;
mod replies;
mod restarts;
mod seeds;
mod settings;
mod shifts;
mod states;
mod trees;
mod twins;
mod world;
