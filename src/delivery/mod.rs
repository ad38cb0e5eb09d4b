//! The vocabulary of delivery: the events, outcomes and queues of notifications on their way to
//! receivers.
//!
//! `notify` delivers, `monitor` keeps the counters and `report` shows them. The types that they
//! exchange are declared below all three, so that none of them imports another.

mod event;
mod reason;
mod status;

pub use event::{DeliveryEvent, DeliveryEventKind, QueueState};
pub use reason::{DeliveryFailure, SuppressReason};
pub use status::{DeadDelivery, Deliveries, DeliverySubject, PastDelivery, WaitingDelivery};
