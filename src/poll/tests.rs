//! The whole poller against fake servers, in real time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::client::tests_support::{FakeServer, Script};
use crate::config::tests_support::settings_of;
use crate::model::{ServerAddr, Span};
use crate::monitor::PollEventKind;

/// How long a test waits for what must happen. Far above what it takes, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(20);

const HOUR: Span = Span::from_secs(3600);

async fn fakes<const N: usize>() -> [FakeServer; N] {
    let mut all = Vec::new();
    for _ in 0..N {
        all.push(FakeServer::listen(Script::version("7.0.15")).await);
    }
    all.try_into().unwrap_or_else(|_| unreachable!("as many as were made"))
}

/// A topology of entries: master, replicas.
fn topology(entries: &[(&FakeServer, &[&FakeServer])]) -> Topology {
    let text = |server: &&FakeServer| server.addr().to_string();
    let entries: Vec<_> =
        entries.iter().map(|(m, replicas)| (text(m), replicas.iter().map(text).collect::<Vec<_>>())).collect();
    let replicas: Vec<Vec<&str>> = entries.iter().map(|(_, r)| r.iter().map(String::as_str).collect()).collect();
    let pairs: Vec<_> =
        entries.iter().zip(&replicas).map(|((m, _), r)| (m.as_str(), m.as_str(), r.as_slice())).collect();
    Topology::from_settings(&settings_of(&pairs))
}

fn settings(interval: Span, min_interval: Span) -> PollSettings {
    PollSettings { interval, min_interval, ..settings_of(&[]).poll }
}

fn tree_of(server: &FakeServer) -> TreeId {
    TreeId::new(server.addr())
}

/// Counts answers until every server of `wanted` has as many.
async fn answers(
    events: &mut mpsc::Receiver<PollEvent>,
    wanted: &[(&FakeServer, usize)],
) -> BTreeMap<ServerAddr, usize> {
    let mut seen: BTreeMap<ServerAddr, usize> = BTreeMap::new();
    let counting = async {
        while wanted.iter().any(|(server, count)| seen.get(&server.addr()).is_none_or(|n| n < count)) {
            let event = events.recv().await.expect("a running poller");
            if matches!(event.kind, PollEventKind::Answered { .. }) {
                *seen.entry(event.server).or_default() += 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, counting).await.expect("answers in time");
    seen
}

async fn assert_ended(events: &mut mpsc::Receiver<PollEvent>) {
    let ended = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("every task lets the channel go");
}

#[tokio::test]
async fn every_server_is_polled_and_the_master_twice_a_round() {
    let [master, one, two] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(40), Span::from_millis(40));
    let poller = Poller::start(&topology(&[(&master, &[&one, &two])]), quick, events);
    let counts = answers(&mut seen, &[(&master, 20), (&one, 10), (&two, 10)]).await;
    let (masters, replicas) = (counts[&master.addr()], counts[&one.addr()]);
    assert!((2 * replicas - 2..=2 * replicas + 2).contains(&masters), "{counts:?}");
    assert_eq!(poller.dropped_events(), 0);
}

#[tokio::test]
async fn a_hung_server_holds_nobody_up() {
    let [master, hung, healthy] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(40), Span::from_millis(40));
    let _poller = Poller::start(&topology(&[(&master, &[&hung, &healthy])]), quick, events);
    let counts = answers(&mut seen, &[(&master, 20), (&healthy, 10)]).await;
    assert_eq!(counts.get(&hung.addr()), None);
}

#[tokio::test]
async fn a_refresh_polls_at_once_and_urgency_polls_often() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let poller = Poller::start(&topology(&[(&master, &[&replica])]), settings(HOUR, Span::from_millis(30)), events);
    poller.refresh(&tree_of(&master));
    answers(&mut seen, &[(&master, 2), (&replica, 1)]).await;
    poller.set_urgent(&tree_of(&master), clock::now() + HOUR);
    answers(&mut seen, &[(&master, 10), (&replica, 5)]).await;
    poller.refresh(&tree_of(&replica));
}

#[tokio::test]
async fn urgency_stays_within_the_budget() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let budget = PollSettings { max_polls_per_second: 100, ..settings(HOUR, Span::from_millis(5)) };
    let poller = Poller::start(&topology(&[(&master, &[&replica])]), budget, events);
    let began = clock::now();
    poller.set_urgent(&tree_of(&master), began + HOUR);
    answers(&mut seen, &[(&replica, 60)]).await;
    // 60 rounds of 3 polls, of which the full bucket paid 100 at once. Without a budget they take 0.3 s.
    assert!(clock::now() - began > Span::from_millis(700), "{}", clock::now() - began);
}

#[tokio::test]
async fn a_reload_keeps_the_connections_of_trees_that_stay_and_closes_the_others() {
    let [m1, r1, m2, r2, m3, r3] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let before = topology(&[(&m1, &[&r1]), (&m2, &[&r2])]);
    let after = topology(&[(&m1, &[&r1]), (&m3, &[&r3])]);
    let mut poller = Poller::start(&before, quick, events);
    answers(&mut seen, &[(&r1, 2), (&r2, 2)]).await;
    poller.reload(&after, quick);
    answers(&mut seen, &[(&r1, 20), (&r3, 2)]).await;
    let old = (m2.requests().len(), r2.requests().len());
    answers(&mut seen, &[(&r1, 20), (&r3, 20)]).await;
    assert_eq!((m2.requests().len(), r2.requests().len()), old, "nobody polls what is gone");
    assert_eq!([&m1, &r1, &m3, &r3].map(FakeServer::connections), [1; 4]);
}

#[tokio::test]
async fn new_settings_reach_trees_that_stay() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let fleet = topology(&[(&master, &[&replica])]);
    let mut poller = Poller::start(&fleet, settings(HOUR, HOUR), events);
    poller.reload(&fleet, settings(Span::from_millis(30), Span::from_millis(30)));
    answers(&mut seen, &[(&replica, 5)]).await;
    assert_eq!(replica.connections(), 1);
}

#[tokio::test]
async fn stopping_ends_every_task() {
    let [master, hung] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let poller = Poller::start(&topology(&[(&master, &[&hung])]), quick, events);
    answers(&mut seen, &[(&master, 3)]).await;
    tokio::time::timeout(PATIENCE, poller.stop()).await.expect("it stops");
    assert_ended(&mut seen).await;
}

#[tokio::test]
async fn dropping_it_ends_every_task() {
    let [master, hung] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    drop(Poller::start(&topology(&[(&master, &[&hung])]), quick, events));
    assert_ended(&mut seen).await;
}

#[tokio::test]
async fn a_monitor_that_does_not_listen_delays_no_poll() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(1);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let poller = Poller::start(&topology(&[(&master, &[&replica])]), quick, events);
    let going_on = async {
        while replica.requests().len() < 20 || poller.dropped_events() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, going_on).await.expect("polls go on");
    assert!(seen.recv().await.is_some());
}

#[test]
fn a_fleet_beyond_its_budget_is_polled_more_slowly() {
    let fleet = Topology::from_settings(&settings_of(&[("x", "a:1", &["b:1", "c:1"]), ("y", "d:1", &["e:1"])]));
    let tight = PollSettings { max_polls_per_second: 1, ..settings(Span::from_secs(1), Span::from_secs(1)) };
    assert_eq!(sustainable(&fleet, tight).interval, Span::from_secs(4 + 3));
    let wide = settings(Span::from_secs(1), Span::from_secs(1));
    assert_eq!(sustainable(&fleet, wide), wide);
}

#[test]
fn a_trees_seed_does_not_change_between_builds() {
    let seed = |host: &str| seed_of(&TreeId::new(ServerAddr::new(host, 6379)));
    // FNV-1a of "a:6379", computed by hand of its definition.
    assert_eq!(seed("a"), fnv("a:6379"));
    assert_ne!(seed("a"), seed("b"));
}

fn fnv(text: &str) -> u64 {
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in text.as_bytes() {
        hash ^= u64::from(*byte);
        hash = hash.wrapping_mul(1_099_511_628_211);
    }
    hash
}
