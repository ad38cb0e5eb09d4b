//! The lag laboratory: how near the exporter's lag is to the truth, in every situation that replication gets into.
//!
//! `make lab` runs it all and prints the table of docs/lag.md with a verdict on each number; a short set runs with the
//! other tests on real servers. The exporter is the real program and is scraped ten times a second; the truth
//! comes from numbered writes that are read on the replica ([`truth`], [`witness`]).

#![allow(clippy::print_stdout)] // the figures are for people who measure

mod alarm;
mod peer;
mod report;
mod run;
mod scenarios;
mod score;
mod scraper;
mod stage;
mod take;
mod truth;
mod witness;

use std::sync::Arc;

use peer::Peer;
use run::Orders;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes long, and it wants the machine for itself: `make lab`"]
async fn everything() {
    let orders = Orders::from_environment();
    let peer = Peer::start().await.map(Arc::new);
    let outcomes = run::run(&orders, peer.clone()).await;
    report::publish(&outcomes, orders.phases, peer.is_some());
}
