//! The short set, which runs with the other tests.

use redis_cross_dc_exporter::lab::{RedisServer, eventually};

use super::cut::{CameBack, until_full, until_part};
use super::drain::{CatchUp, drain};
use super::lane::{LanePlan, lanes, number, pause};
use super::load::Pattern;
use super::overrun::overrun;
use crate::scrape::Scrape;
use crate::stage::LIMIT;

const HEADROOM: &str = "redis_cross_dc_backlog_headroom_seconds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_ends_in_a_partial_or_in_a_full_resync_as_foreseen() {
    let plans = vec![LanePlan {
        pattern: Pattern::Steady,
        rate: 150_000.0,
        master: RedisServer::builder().config("repl-backlog-size 1mb"),
    }];
    let alerts = "backlog_headroom: {warning: 60s, for: 0s}";
    let mut lanes = lanes(plans, "", alerts).await;
    let lane = &mut lanes[0];
    lane.healthy().await;
    // The expected time rests on ten seconds at least.
    let known = || async { lane.forecast().await.backlog_headroom.expected_seconds };
    let expected = eventually("the expected headroom", LIMIT, known)
        .await
        .unwrap();
    assert!(
        (3.0..=12.0).contains(&expected),
        "{expected} s for 1 MiB at 150 kB/s"
    );
    let fires = || async {
        let alerts = lane.pair().await.alerts;
        let mut names = alerts.iter().map(|alert| alert.alertname.as_str());
        names.any(|name| name == "RedisCrossDcBacklogHeadroomLow")
    };
    eventually("the alert", LIMIT, fires).await.unwrap();
    let scrape = Scrape::of(&lane.exporter).await;
    for estimate in ["expected", "worst"] {
        let labels = [("pair", lane.name.as_str()), ("estimate", estimate)];
        assert!(scrape.value(HEADROOM, &labels).unwrap() > 0.0, "{estimate}");
    }

    let partial = until_part(lane, 0.8).await;
    assert_eq!(partial.came_back, CameBack::Partially, "{partial:?}");
    let full = until_full(lane).await;
    assert_eq!(full.came_back, CameBack::Fully, "{full:?}");
    assert!(!full.was_optimistic(), "{full:?}");
    let truth = full.truth.unwrap();
    let expected = full.expected.unwrap();
    assert!((0.4..=2.5).contains(&(expected / truth)), "{full:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnect_because_of_the_output_buffer_is_foreseen_and_alerted() {
    let limit = "client-output-buffer-limit replica 12mb 0 0";
    let plans = vec![LanePlan {
        pattern: Pattern::Steady,
        rate: 1_500_000.0,
        master: RedisServer::builder()
            .config("repl-backlog-size 1mb")
            .config(limit),
    }];
    let mut lanes = lanes(plans, ", output_buffers: true", "").await;
    let lane = &mut lanes[0];
    lane.healthy().await;
    let known = || async { lane.forecast().await.output_buffer.hard_limit_bytes };
    let hard = eventually("the limit", LIMIT, known).await.unwrap();
    assert_eq!(hard, 12 << 20);
    let seen = overrun(lane).await;
    assert!(
        seen.foreseen_before.is_some_and(|before| before >= 1.0),
        "{seen:?}"
    );
    let alerts = lane.exporter.alerts().await.alerts;
    let fired: Vec<_> = alerts
        .iter()
        .filter(|alert| alert.alertname == "RedisCrossDcOutputBufferHigh")
        .collect();
    assert_eq!(fired.len(), 1, "{alerts:?}");
    assert!(fired[0].peak.unwrap() >= 0.5, "{fired:?}");
    let full = number(&lane.master, "stats", "sync_full").await;
    assert!(full >= 2, "the overrun ended in a full resync");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_catches_up_says_when() {
    let plans = vec![LanePlan {
        pattern: Pattern::Steady,
        rate: 300_000.0,
        master: RedisServer::builder().config("repl-backlog-size 64mb"),
    }];
    let mut lanes = lanes(plans, "", "").await;
    let lane = &mut lanes[0];
    lane.healthy().await;
    // Half a minute of writes has to be known.
    pause(24.0).await;
    let seen = drain(lane, 10.0, 650_000, 2.0).await;
    let numbers: Vec<bool> = seen.iter().filter_map(CatchUp::is_close).collect();
    // A number is only given where it is certain enough, a range in any case.
    assert!(!seen.is_empty(), "nothing was foreseen");
    // How close is scored by `make lab`; here, beside other tests, every second one has to be.
    let close = numbers.iter().filter(|is_close| **is_close).count();
    assert!(close * 2 >= numbers.len(), "{seen:?}");
    // Once it has caught up there is nothing to foresee, and the reason says so.
    let after = lane.forecast().await.catch_up;
    assert_eq!(after.seconds, None);
    assert!(after.reason.is_some());
}
