//! The truth about Redis replication across datacenters: a Prometheus exporter and alerter.
//!
//! The rooms, floor by floor from the lowest. Imports point down only; ARCHITECTURE.md has
//! the map and the invariants.
//!
//! 1. [`active_active`], [`model`], [`template`]
//! 2. [`clock`], [`config`], [`info`], [`multi_site`]
//! 3. [`topology`], [`replication`], [`http_client`], [`lost_writes`]
//! 4. [`alert`], [`chart`], [`client`], [`doctor`]
//! 5. [`delivery`], [`journal`], [`operation`], [`sites`], [`smtp`]
//! 6. [`monitor`], [`store`]
//! 7. [`report`]
//! 8. [`metrics`], [`poll`], [`notify`], [`discovery`], [`capture`], [`site_watch`]
//! 9. [`admin`]
//! 10. [`web`], [`rules`]
//! 11. [`app`]
//! 12. [`lab`]
//! 13. [`cli`]

#![cfg_attr(
    test,
    allow(clippy::too_many_lines, reason = "tables of cases are long")
)]

#[cfg(feature = "active-active")]
pub mod active_active;
#[cfg(feature = "exporter")]
pub mod admin;
#[cfg(feature = "exporter")]
pub mod alert;
#[cfg(feature = "exporter")]
pub mod app;
#[cfg(feature = "exporter")]
pub mod capture;
#[cfg(feature = "exporter")]
pub mod chart;
#[cfg(feature = "exporter")]
pub mod cli;
#[cfg(feature = "exporter")]
pub mod client;
#[cfg(feature = "exporter")]
pub mod clock;
#[cfg(feature = "exporter")]
pub mod config;
#[cfg(feature = "exporter")]
pub mod delivery;
#[cfg(feature = "exporter")]
pub mod discovery;
#[cfg(feature = "exporter")]
pub mod doctor;
#[cfg(feature = "exporter")]
pub mod http_client;
#[cfg(feature = "exporter")]
pub mod info;
#[cfg(feature = "exporter")]
pub mod journal;
#[cfg(feature = "demo")]
pub mod lab;
#[cfg(feature = "exporter")]
pub mod lost_writes;
#[cfg(feature = "exporter")]
pub mod metrics;
#[cfg(feature = "exporter")]
pub mod model;
#[cfg(feature = "exporter")]
pub mod monitor;
#[cfg(feature = "active-active")]
pub mod multi_site;
#[cfg(feature = "exporter")]
pub mod notify;
#[cfg(feature = "exporter")]
pub mod operation;
#[cfg(feature = "exporter")]
pub mod poll;
#[cfg(feature = "exporter")]
pub mod replication;
#[cfg(feature = "exporter")]
pub mod report;
#[cfg(feature = "exporter")]
pub mod rules;
#[cfg(feature = "exporter")]
pub mod site_watch;
#[cfg(feature = "exporter")]
pub mod sites;
#[cfg(feature = "exporter")]
pub mod smtp;
#[cfg(feature = "exporter")]
pub mod store;
#[cfg(feature = "exporter")]
pub mod template;
#[cfg(feature = "exporter")]
pub mod topology;
#[cfg(feature = "exporter")]
pub mod web;
