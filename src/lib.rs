//! The truth about Redis replication across datacenters: a Prometheus exporter and alerter.
//!
//! The rooms, from the floor up; imports point down only (ARCHITECTURE.md has the map and the
//! invariants): [`model`], [`template`] - [`clock`], [`config`], [`info`] - [`topology`],
//! [`replication`], [`http_client`] - [`alert`], [`chart`], [`client`], [`doctor`] - [`delivery`], [`journal`],
//! [`operation`] -
//! [`monitor`], [`store`] - [`report`] - [`metrics`], [`poll`], [`notify`], [`discovery`] - [`admin`] -
//! [`web`], [`rules`] - [`app`] - [`lab`] - [`cli`].

#![cfg_attr(
    test,
    allow(clippy::too_many_lines, reason = "tables of cases are long")
)]

pub mod admin;
pub mod alert;
pub mod app;
pub mod chart;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod discovery;
pub mod doctor;
pub mod http_client;
pub mod info;
pub mod journal;
#[cfg(feature = "demo")]
pub mod lab;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod notify;
pub mod operation;
pub mod poll;
pub mod replication;
pub mod report;
pub mod rules;
pub mod store;
pub mod template;
pub mod topology;
pub mod web;
