//! Notifications: alert groups become messages, payloads and deliveries that are retried; the
//! present state is resent to periodic receivers.
//!
//! Pure: messages, payloads, retry rules and queues. IO: `dispatch`, `periodic` and
//! `test_delivery` send; `receivers` reads secrets. **Invariant:** `now` and the jitter are
//! arguments of everything that is pure.

mod answer_text;
pub mod attempt;
mod context;
#[cfg(test)]
mod contract;
mod dispatch;
pub mod facts;
mod fields;
pub mod incident;
pub mod links;
pub mod message;
pub mod outbox;
mod periodic;
pub mod queue;
pub mod receivers;
pub mod retry;
pub mod templates;
mod test_delivery;
#[cfg(test)]
mod testing;
mod text;

pub use context::MessageContext;
pub use dispatch::Dispatcher;
pub use periodic::PeriodicSenders;
pub use queue::ReplayError;
pub use receivers::check;
pub use retry::Timing;
pub use test_delivery::{TestStep, test_receiver};
