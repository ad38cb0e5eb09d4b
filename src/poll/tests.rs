//! The whole poller against fake servers, in real time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::client::testing::{FakeServer, Script};
use crate::config::testing::settings_of;
use crate::model::{ServerAddr, Span};
use crate::monitor::PollEventKind;

/// How long a test waits for what must happen. Far above what it takes, so that a slow machine
/// fails no test.
const PATIENCE: Duration = Duration::from_secs(20);

const HOUR: Span = Span::from_secs(3600);

async fn fakes<const N: usize>() -> [FakeServer; N] {
    let mut all = Vec::new();
    for _ in 0..N {
        all.push(FakeServer::listen(Script::version("7.0.15")).await);
    }
    all.try_into()
        .unwrap_or_else(|_| unreachable!("as many as were made"))
}

/// A topology of entries: master, replicas.
fn topology(entries: &[(&FakeServer, &[&FakeServer])]) -> Topology {
    let text = |server: &&FakeServer| server.addr().to_string();
    let entries: Vec<_> = entries
        .iter()
        .map(|(m, replicas)| (text(m), replicas.iter().map(text).collect::<Vec<_>>()))
        .collect();
    let replicas: Vec<Vec<&str>> = entries
        .iter()
        .map(|(_, r)| r.iter().map(String::as_str).collect())
        .collect();
    let pairs: Vec<_> = entries
        .iter()
        .zip(&replicas)
        .map(|((m, _), r)| (m.as_str(), m.as_str(), r.as_slice()))
        .collect();
    Topology::from_settings(&settings_of(&pairs))
}

fn settings(interval: Span, min_interval: Span) -> PollSettings {
    PollSettings {
        interval,
        min_interval,
        ..settings_of(&[]).poll
    }
}

/// The tree of these servers, all of them.
fn tree_of(servers: &[&FakeServer]) -> TreeId {
    TreeId::new(
        servers
            .iter()
            .map(|server| server.addr())
            .min()
            .expect("a tree has servers"),
    )
}

fn no_tree() -> TreeId {
    TreeId::new(ServerAddr::new("elsewhere", 1))
}

/// Counts answers until every server of `wanted` has as many.
async fn answers(
    events: &mut mpsc::Receiver<PollEvent>,
    wanted: &[(&FakeServer, usize)],
) -> BTreeMap<ServerAddr, usize> {
    let mut seen: BTreeMap<ServerAddr, usize> = BTreeMap::new();
    let counting = async {
        while wanted
            .iter()
            .any(|(server, count)| seen.get(&server.addr()).is_none_or(|n| n < count))
        {
            let event = events.recv().await.expect("a running poller");
            if matches!(event.kind, PollEventKind::Answered { .. }) {
                *seen.entry(event.server).or_default() += 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, counting)
        .await
        .expect("answers in time");
    seen
}

async fn assert_ended(events: &mut mpsc::Receiver<PollEvent>) {
    let ended = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("every task drops its sender");
}

#[tokio::test]
async fn every_server_is_polled_twice_and_the_master_three_times_a_period() {
    let [master, one, two] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(40), Span::from_millis(40));
    let poller = Poller::start(&topology(&[(&master, &[&one, &two])]), quick, events);
    let counts = answers(&mut seen, &[(&master, 30), (&one, 20), (&two, 20)]).await;
    let (masters, replicas) = (counts[&master.addr()], counts[&one.addr()]);
    // Three of the master for two of a replica.
    assert!(
        (3 * replicas - 6..=3 * replicas + 6).contains(&(2 * masters)),
        "{counts:?}"
    );
    assert_eq!(poller.counts(clock::now()).dropped_events, 0);
}

#[tokio::test]
async fn a_hung_server_delays_no_other() {
    let [master, hung, healthy] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(40), Span::from_millis(40));
    let _poller = Poller::start(&topology(&[(&master, &[&hung, &healthy])]), quick, events);
    let counts = answers(&mut seen, &[(&master, 20), (&healthy, 10)]).await;
    assert_eq!(counts.get(&hung.addr()), None);
}

#[tokio::test]
async fn boosted_servers_are_polled_often() {
    let [master, boosted, other] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let fleet = topology(&[(&master, &[&boosted, &other])]);
    let poller = Poller::start(&fleet, settings(HOUR, Span::from_millis(30)), events);
    let tree = tree_of(&[&master, &boosted, &other]);
    poller.boost(&tree, &boosted.addr(), clock::now() + HOUR, false);
    poller.boost(&no_tree(), &boosted.addr(), clock::now() + HOUR, false);
    poller.boost(
        &tree,
        &ServerAddr::new("elsewhere", 1),
        clock::now() + HOUR,
        false,
    );
    let counts = answers(&mut seen, &[(&master, 20), (&boosted, 10)]).await;
    assert_eq!(counts.get(&other.addr()), Some(&1), "at the start");
}

/// An exporter that is restarted during an outage has numbers at once, not a period later.
#[tokio::test]
async fn all_servers_are_polled_at_the_start_and_a_tight_budget_spreads_the_polls() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let fleet = topology(&[(&master, &[&replica])]);
    let _poller = Poller::start(&fleet, settings(HOUR, HOUR), events);
    let counts = answers(&mut seen, &[(&master, 2), (&replica, 1)]).await;
    assert_eq!((counts[&master.addr()], counts[&replica.addr()]), (2, 1));
}

#[tokio::test]
async fn a_boost_stays_within_the_budget_and_is_fair() {
    let [m1, r1, m2, r2, r3] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let budget = PollSettings {
        max_polls_per_second: 70,
        ..settings(HOUR, Span::from_millis(20))
    };
    let poller = Poller::start(
        &topology(&[(&m1, &[&r1]), (&m2, &[&r2, &r3])]),
        budget,
        events,
    );
    let began = clock::now();
    let (first, second) = (tree_of(&[&m1, &r1]), tree_of(&[&m2, &r2, &r3]));
    for (tree, replica) in [(&first, &r1), (&second, &r2), (&second, &r3)] {
        poller.boost(tree, &replica.addr(), began + HOUR, false);
    }
    let counts = answers(&mut seen, &[(&r1, 30), (&r2, 30), (&r3, 30)]).await;
    // 3 and 4 polls a round at 70 polls a second: ten rounds a second each, where 50 were wished
    // for.
    assert!(
        clock::now() - began > Span::from_millis(2500),
        "{}",
        clock::now() - began
    );
    let rounds = [&r1, &r2, &r3].map(|replica| counts[&replica.addr()]);
    assert!(
        rounds.iter().all(|count| *count < 45),
        "{rounds:?}: the larger tree has as many rounds"
    );
}

/// The servers whose answers have been reported.
fn reported(events: &mut mpsc::Receiver<PollEvent>) -> Vec<ServerAddr> {
    let answered = |event: &PollEvent| matches!(event.kind, PollEventKind::Answered { .. });
    std::iter::from_fn(|| events.try_recv().ok())
        .filter(answered)
        .map(|event| event.server)
        .collect()
}

fn refreshed(interval: Span) -> PollSettings {
    PollSettings {
        refresh_on_scrape: true,
        ..settings(interval, interval)
    }
}

#[tokio::test]
async fn concurrent_refreshes_share_one_round() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let poller = Poller::start(
        &topology(&[(&master, &[&replica])]),
        refreshed(HOUR),
        events,
    );
    let (refresher, tree, unknown) = (poller.refresher(), tree_of(&[&master, &replica]), no_tree());
    assert!(refresher.is_on());
    let began = clock::now();
    let asked = [&tree, &tree];
    let (one, two, none) = tokio::join!(
        refresher.refresh(asked),
        refresher.refresh([&tree]),
        refresher.refresh([&unknown])
    );
    assert!(
        one >= began && one == two && none == Timestamp::default(),
        "{one:?} {two:?} {none:?}"
    );
    assert_eq!(
        reported(&mut seen),
        [master.addr(), replica.addr(), master.addr()],
        "everything was reported before it was over"
    );
}

#[tokio::test]
async fn a_refresh_waits_for_a_silent_server_once_and_never_for_a_removed_tree() {
    let [master, hung, healthy] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let mut poller = Poller::start(
        &topology(&[(&master, &[&hung, &healthy])]),
        refreshed(HOUR),
        events,
    );
    let (refresher, tree) = (poller.refresher(), tree_of(&[&master, &hung, &healthy]));
    for _ in 0..5 {
        tokio::time::timeout(PATIENCE, refresher.refresh([&tree]))
            .await
            .expect("it has ended");
        assert_eq!(
            reported(&mut seen),
            [master.addr(), healthy.addr(), master.addr()]
        );
    }
    poller.reload(&topology(&[]), refreshed(HOUR));
    assert_eq!(refresher.refresh([&tree]).await, Timestamp::default());
    assert!(!refresher.is_on());
}

#[tokio::test]
async fn a_refresh_without_budget_ends_at_once() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let poor = PollSettings {
        max_polls_per_second: 1,
        ..refreshed(HOUR)
    };
    let poller = Poller::start(&topology(&[(&master, &[&replica])]), poor, events);
    let (refresher, tree) = (poller.refresher(), tree_of(&[&master, &replica]));
    let first = refresher.refresh([&tree]).await;
    let second = tokio::time::timeout(PATIENCE, refresher.refresh([&tree]))
        .await
        .expect("it has ended");
    assert_eq!(second, first, "no round ended since");
    assert_eq!(reported(&mut seen).len(), 3, "one round");
}

#[tokio::test]
async fn refreshes_follow_the_settings() {
    let [master, replica] = fakes().await;
    let (events, _seen) = mpsc::channel(EVENT_QUEUE);
    let fleet = topology(&[(&master, &[&replica])]);
    let mut poller = Poller::start(&fleet, settings(HOUR, HOUR), events);
    let refresher = poller.refresher();
    assert!(!refresher.is_on());
    assert_eq!(
        refresher.refresh([&tree_of(&[&master, &replica])]).await,
        Timestamp::default()
    );
    poller.reload(&fleet, refreshed(HOUR));
    assert!(refresher.is_on());
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
    assert_eq!(
        (m2.requests().len(), r2.requests().len()),
        old,
        "removed servers are not polled"
    );
    assert_eq!([&m1, &r1, &m3, &r3].map(FakeServer::connections), [1; 4]);
}

#[tokio::test]
async fn a_tree_whose_roles_swap_or_that_grows_keeps_its_connections() {
    let [a, b, c] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let mut poller = Poller::start(&topology(&[(&a, &[&b])]), quick, events);
    answers(&mut seen, &[(&b, 2)]).await;
    for servers in [
        &[(&b, &[&a][..])][..],
        &[(&b, &[&a, &c][..])],
        &[(&c, &[&a, &b][..])],
    ] {
        poller.reload(&topology(servers), quick);
        answers(&mut seen, &[(&a, 10), (&b, 10)]).await;
    }
    assert_eq!([&a, &b, &c].map(FakeServer::connections), [1; 3]);
    poller.reload(&topology(&[(&a, &[&b])]), quick);
    answers(&mut seen, &[(&a, 10)]).await;
    let old = c.requests().len();
    answers(&mut seen, &[(&a, 20), (&b, 20)]).await;
    assert_eq!(c.requests().len(), old, "removed servers are not polled");
    tokio::time::timeout(PATIENCE, poller.stop())
        .await
        .expect("it stops");
    drop(poller);
    assert_ended(&mut seen).await;
}

/// The answer to the old tree's order goes to its successor.
#[tokio::test]
async fn a_server_that_hangs_while_roles_swap_is_polled_on_the_same_connection() {
    let [a, b] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let mut poller = Poller::start(&topology(&[(&a, &[&b])]), quick, events);
    answers(&mut seen, &[(&b, 2)]).await;
    b.freeze();
    answers(&mut seen, &[(&a, 5)]).await;
    poller.reload(&topology(&[(&b, &[&a])]), quick);
    answers(&mut seen, &[(&a, 5)]).await;
    b.thaw();
    answers(&mut seen, &[(&b, 10)]).await;
    assert_eq!(b.connections(), 1);
}

#[tokio::test]
async fn new_settings_reach_trees_that_stay() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let fleet = topology(&[(&master, &[&replica])]);
    let mut poller = Poller::start(&fleet, settings(HOUR, HOUR), events);
    poller.reload(
        &fleet,
        settings(Span::from_millis(30), Span::from_millis(30)),
    );
    answers(&mut seen, &[(&replica, 5)]).await;
    assert_eq!(replica.connections(), 1);
}

#[tokio::test]
async fn stopping_ends_every_task() {
    let [master, hung] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let mut poller = Poller::start(&topology(&[(&master, &[&hung])]), quick, events);
    answers(&mut seen, &[(&master, 3)]).await;
    tokio::time::timeout(PATIENCE, poller.stop())
        .await
        .expect("it stops");
    drop(poller);
    assert_ended(&mut seen).await;
}

#[tokio::test]
async fn dropping_the_poller_ends_every_task() {
    let [master, hung] = fakes().await;
    hung.freeze();
    let (events, mut seen) = mpsc::channel(EVENT_QUEUE);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    drop(Poller::start(
        &topology(&[(&master, &[&hung])]),
        quick,
        events,
    ));
    assert_ended(&mut seen).await;
}

#[tokio::test]
async fn a_stuck_monitor_delays_no_poll() {
    let [master, replica] = fakes().await;
    let (events, mut seen) = mpsc::channel(1);
    let quick = settings(Span::from_millis(30), Span::from_millis(30));
    let poller = Poller::start(&topology(&[(&master, &[&replica])]), quick, events);
    let going_on = async {
        while replica.requests().len() < 20 || poller.counts(clock::now()).dropped_events == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, going_on)
        .await
        .expect("polls go on");
    assert!(seen.recv().await.is_some());
}

#[test]
fn a_fleet_beyond_its_budget_is_polled_more_slowly() {
    let fleet = Topology::from_settings(&settings_of(&[
        ("x", "a:1", &["b:1", "c:1"]),
        ("y", "d:1", &["e:1"]),
    ]));
    let tight = PollSettings {
        max_polls_per_second: 1,
        ..settings(Span::from_secs(1), Span::from_secs(1))
    };
    assert_eq!(sustainable(&fleet, tight).interval, Span::from_secs(4 + 3));
    let wide = settings(Span::from_secs(1), Span::from_secs(1));
    assert_eq!(sustainable(&fleet, wide), wide);
}

#[test]
fn a_trees_seed_depends_on_its_identity_alone() {
    let seed = |host: &str| seed(&TreeId::new(ServerAddr::new(host, 6379)));
    assert_eq!(seed("a"), stable_hash(["a:6379"]));
    assert_ne!(seed("a"), seed("b"));
}
