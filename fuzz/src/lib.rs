//! What is fed with hostile bytes, and what must hold whatever they are.
//!
//! One module for each way in. `run` panics where something does not hold. The fuzz targets feed
//! these functions from libFuzzer; the product's own test `hostile` includes this file and feeds
//! them from proptest and the captured replies.

pub mod config;
pub mod exposition;
pub mod framing;
pub mod http;
pub mod info;
pub mod info_to_metrics;
pub mod lost_writes;
pub mod web_config;
