//! The single owner of state: events in, actions and snapshots out. No clock, no IO.

mod event;

pub use event::*;
