//! Tests of the whole room: evaluations go in, notifications come out.

mod flapping;
mod properties;
mod restarts;
mod suppression;
