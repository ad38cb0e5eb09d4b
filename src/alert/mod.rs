//! Alerts: which rule fires for which target at which level, what belongs together, and what is said about it.

mod types;

pub use types::*;
