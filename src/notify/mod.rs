//! Telling people: a notification becomes a message, a receiver's payload, and a delivery that does not give up.
//!
//! **Invariant:** everything here but [`delivery`] is pure: no clock, no randomness, no IO. `now` and the jitter are
//! arguments.

mod facts;
mod message;
mod pagerduty;
mod retry;
mod slack;
#[cfg(test)]
mod testing;
mod text;
mod webhook;
