//! Polling.

mod backoff;
mod budget;
mod pace;
mod rtt;
mod schedule;
