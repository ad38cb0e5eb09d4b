//! What packages and the people who make them rely on: the protocol with systemd, the list of
//! dependencies, their licences.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be unwrapped has to fail the test"
)]

mod dependencies;
mod licences;
mod systemd;
