//! Predictions beside what happens: links are cut, lines throttled and output buffers filled on
//! real servers, and what the exporter had foreseen is compared with the outcome.
//!
//! A short set runs with the other tests on real servers. `make lab` also scores many cuts, drains
//! and overruns ([`scores`]) and prints the table of docs/foresight.md.

mod cut;
mod drain;
mod evidence;
mod lane;
mod load;
mod overrun;
mod rights;
mod scores;
mod short;
mod sync;
