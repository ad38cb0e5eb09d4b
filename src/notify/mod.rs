//! Telling people: a notification becomes a message, a receiver's payload, and a delivery that does
//! not give up.
//!
//! **Invariant:** everything here but [`delivery`] is pure: no clock, no randomness, no IO. `now`
//! and the jitter are arguments.

pub mod alertmanager;
mod answer;
#[cfg(test)]
mod contract;
pub mod delivery;
pub mod facts;
pub mod links;
pub mod message;
pub mod outbox;
pub mod pagerduty;
mod periodic;
pub mod queue;
mod rehearsal;
pub mod retry;
pub mod signature;
pub mod slack;
pub mod slack_bot;
#[cfg(test)]
mod testing;
mod text;
pub mod webhook;
mod words;

pub use delivery::Dispatcher;
pub use delivery::check;
pub use message::MessageContext;
pub use periodic::Heralds;
pub use queue::ReplayError;
pub use rehearsal::{Step, rehearse};
pub use retry::Timing;
