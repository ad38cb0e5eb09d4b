//! Active-active: the rules in Rust against those in Lua, the library on real servers and in
//! simulated storms, and a client that behaves as the tutorial's, as control.
//!
//! Needs the feature `active-active` alone:
//! `cargo test --no-default-features --features active-active --test active_active`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what cannot be unwrapped has to fail the test; these tests read clocks of their own"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a test tells one story from its beginning to its end"
)]

mod clients;
mod differential;
mod exhaustive;
mod faults;
#[path = "../real/guard.rs"]
mod guard;
mod interop;
mod library;
mod model;
mod python;
mod random;
mod servers;
mod simulation;
mod small;
mod tutorial;
mod world;
