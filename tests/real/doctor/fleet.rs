//! A hundred pairs: how long it takes is printed, and no test depends on it.

use std::time::Instant;

use tokio::task::JoinSet;

use super::terminal::doctor_on_a_terminal;
use super::{Pair, reference};
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
    let (report, screen) = doctor_on_a_terminal(&yaml).await;
    let took = began.elapsed();
    assert_eq!(report.pairs.len(), 100);
    let shown = screen.matches(" of 200 servers").count();
    assert!(shown >= 100, "{shown} lines of progress");
    println!(
        "doctor asked 200 servers of 100 pairs in {:.2} s, a measurement of 1 s included, and said \
         {shown} times how far it was: {}",
        took.as_secs_f64(),
        report.summary.sentence()
    );
}
