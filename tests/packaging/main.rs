//! What packages and the people who make them rely on: the protocol with systemd, what an image is
//! built from, the list of dependencies, their licences.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be unwrapped has to fail the test"
)]

mod dependencies;
mod image;
mod licences;
mod systemd;
