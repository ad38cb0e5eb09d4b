//! A hundred pairs: how long it takes is printed, and no test depends on it.

use std::time::Instant;

use tokio::task::JoinSet;

use super::{Pair, read, reference};
use crate::command::configuration;

/// `make doctor-bench`: a hundred masters, each with a replica, on this machine.
#[tokio::test]
#[ignore = "it starts 200 servers, and its result is a time: make doctor-bench"]
async fn a_hundred_pairs() {
    let mut starting = JoinSet::new();
    let mut pairs = Vec::new();
    for index in 0..100 {
        starting.spawn(async move { (index, Pair::start(reference(), reference()).await) });
        if starting.len() >= 8 {
            pairs.push(starting.join_next().await.unwrap().unwrap());
        }
    }
    pairs.extend(starting.join_all().await);
    let entries = pairs
        .iter()
        .map(|(index, pair)| pair.entry_called(&format!("pair-{index}")));
    let yaml = configuration(&entries.collect::<Vec<_>>());
    let began = Instant::now();
    let outcome = super::doctor(&yaml, &["--output", "json"]).await;
    let took = began.elapsed();
    let report = read(outcome);
    assert_eq!(report.pairs.len(), 100);
    println!(
        "doctor asked 200 servers of 100 pairs in {:.2} s, a measurement of 1 s included: {}",
        took.as_secs_f64(),
        report.summary.sentence()
    );
}
