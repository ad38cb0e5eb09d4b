//! How soon a failure under half of a large fleet is notified, and in how many messages.

use std::time::Duration;

use redis_cross_dc_exporter::clock;
use redis_cross_dc_exporter::lab::eventually;

use super::clients::allow_many_connections;
use crate::exporter::Exporter;
use crate::fleet::{Fault, Fleet, Member, Side};
use crate::receiver::Receiver;
use crate::scrape::Scrape;

const PAIRS: usize = 4000;

/// What the offsets of the fleet grow by, in bytes a second.
const WRITTEN: u64 = 100_000;

/// How long everything but the figure may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// With [`FOR`] as the time that a server has to be unreachable.
const RULES: &str = "\
poll: {interval: 1s}
alerts: {unreachable: {warning: 2s, critical: null}}
";
const FOR: Duration = Duration::from_secs(2);

/// Longer than an interval, within which the servers are found to be unreachable one by one.
const GROUP_WAIT: Duration = Duration::from_secs(3);
const GROUP_INTERVAL: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a figure, of a release build: make wide-cut"]
async fn half_of_four_thousand_replicas_fail_and_are_one_message() {
    let _alone = super::ONE_AT_A_TIME.lock().await;
    allow_many_connections();
    let fleet = Fleet::start(PAIRS, WRITTEN).unwrap();
    let receiver = Receiver::start([]).await.unwrap();
    let url = receiver.url("/slack");
    let notify = format!(
        "notify: {{group_wait: {}s, group_interval: {}s, \
         receivers: [{{name: chat, slack: {{webhook_url: '{url}'}}}}]}}",
        GROUP_WAIT.as_secs(),
        GROUP_INTERVAL.as_secs(),
    );
    let exporter = Exporter::start(&format!("{RULES}{notify}\n{}", fleet.entries())).await;
    let up = || async {
        let scrape = Scrape::of(&exporter).await;
        let up = scrape.value("redis_cross_dc_link_up", &[]);
        let overloaded = scrape.value("redis_cross_dc_exporter_overloaded", &[]);
        if up == Some(PAIRS as f64) {
            Ok(())
        } else {
            Err(format!("{up:?} pairs up, overloaded: {overloaded:?}"))
        }
    };
    eventually("every pair to be up", PATIENCE, up)
        .await
        .unwrap();
    for pair in (0..PAIRS).step_by(2) {
        let replica = Member {
            pair,
            side: Side::Replica,
        };
        fleet.set_fault(replica, Some(Fault::Closes));
    }
    let failed = clock::now();
    let first = || async {
        let requests = receiver.requests();
        requests.first().cloned().ok_or("no message")
    };
    let first = eventually("a message", PATIENCE, first).await.unwrap();
    let took = (first.at - failed).to_duration();
    let scrape = Scrape::of(&exporter).await;
    let interval = scrape.value("redis_cross_dc_effective_interval_seconds", &[]);
    // A second one would come with the group's next interval.
    tokio::time::sleep(GROUP_INTERVAL + Duration::from_secs(2)).await;
    let messages = receiver.requests();
    let text = messages[0].json().unwrap()["text"].to_string();
    let late = took.saturating_sub(FOR + GROUP_WAIT);
    println!("the message: {took:?} after the failure, {late:?} after for and group_wait");
    println!("polled every {interval:?} s; {} message(s)", messages.len());
    println!("{}", text.chars().take(300).collect::<String>());
    assert!(text.contains(&(PAIRS / 2).to_string()), "{text}");
    assert_eq!(messages.len(), 1, "one message a receiver");
}
