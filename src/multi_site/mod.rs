//! Writing in two datacenters on open-source Redis, without the losses that application-level
//! active-active usually has: registers of which the last write wins ([`LwwStore`]), counters
//! ([`PnCounter`]), and the comparison and repair of two sites ([`Comparison`], [`Drain`]).
//!
//! The rules are those of [`crate::active_active`]; docs/active-active.md says what they give and
//! what they do not. Everything is generic over [`Site`](crate::active_active::Site); [`RedisSite`]
//! is one over any connection of the `redis` crate.
//!
//! This needs the feature `active-active` alone:
//!
//! ```toml
//! [dependencies.redis-cross-dc-exporter]
//! version = "0.1"
//! default-features = false
//! features = ["active-active"]
//! ```
//!
//! **Every operation can be dropped at any point.** A write is in the local site with its entry in
//! the queue, or nowhere.

mod compare;
mod drain;
mod health;
mod names;
mod pair;
mod pn_counter;
mod redis_site;
mod repair;
mod store;

pub use compare::{
    Comparison, ComparisonReport, DirectionReport, Example, Pace, SiteView, counters_at, read_all,
};
pub use drain::{Drain, DrainReport, Stopped};
pub use names::BuildError;
pub use pn_counter::{Counted, CounterError, PnCounter, PnCounterBuilder};
pub use redis_site::{RedisSite, command_of, wire_reply};
pub use repair::{RepairReport, Repairs};
pub use store::{
    LwwStore, LwwStoreBuilder, Propagation, Read, Source, StoreError, Waiting, Written,
};
