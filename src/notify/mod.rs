//! Telling people: a notification becomes a message, a receiver's payload, and a delivery that does not give up.
//!
//! **Invariant:** everything here but [`delivery`] is pure: no clock, no randomness, no IO. `now` and the jitter are
//! arguments.

pub mod delivery;
pub mod facts;
pub mod message;
pub mod outbox;
pub mod pagerduty;
pub mod queue;
pub mod retry;
pub mod slack;
#[cfg(test)]
mod testing;
mod text;
pub mod webhook;

pub use delivery::Dispatcher;
pub use message::MessageContext;
pub use queue::ReplayError;
pub use retry::Timing;
