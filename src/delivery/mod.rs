//! The vocabulary of delivery: what becomes of a notification on its way to a receiver.
//!
//! `notify` delivers, `monitor` keeps the counters and `report` shows them. The types that they
//! exchange stand below all three, so that none of them has to know another one for a name.

mod event;
mod reason;
mod status;

pub use event::{DeliveryEvent, DeliveryEventKind, QueueState};
pub use reason::{DeliveryFailure, SuppressReason};
pub use status::{DeadDelivery, Deliveries, DeliverySubject, PastDelivery, WaitingDelivery};
