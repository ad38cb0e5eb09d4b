//! A look without a running exporter: polls everything for two rounds and says what it saw.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::{PollSettings, Settings};
use crate::model::{ServerAddr, Span};
use crate::monitor::{FleetSnapshot, Monitor, PollEvent, PollEventKind, Succession};
use crate::poll::{EVENT_QUEUE, Poller};
use crate::topology::{Discovered, Masters, Topology, Tree};
use crate::{clock, discovery};

/// Rounds that a look takes: one places every replica, the second shows what moves.
const ROUNDS: u64 = 2;

/// The longest period between the rounds: a person waits for the answer.
const LOOK_INTERVAL: Span = Span::from_secs(1);

/// How often a look begins anew because the servers' roles are not as told. Once is what a failover
/// before it takes.
const TURNS: u32 = 3;

/// Why a look came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// The polls ended by themselves, which they never should.
    #[error("polling ended before every server was asked; this is a bug: please report it")]
    Ended,
}

/// Polls every server of `settings` for two rounds, or until each has timed out as often.
pub async fn look(settings: &Settings) -> Result<FleetSnapshot, LookError> {
    let mut settings = settings.clone();
    let of_sentinels = settings
        .sentinels
        .iter_mut()
        .map(|entry| &mut entry.heartbeat);
    for heartbeat in settings
        .pairs
        .iter_mut()
        .map(|pair| &mut pair.heartbeat)
        .chain(of_sentinels)
    {
        heartbeat.enabled = false; // a look only asks
    }
    let of_sentinels = settings.sentinels.iter_mut().map(|entry| &mut entry.alerts);
    let of_pairs = settings.pairs.iter_mut().map(|pair| &mut pair.alerts);
    for rules in of_pairs.chain(of_sentinels).chain([&mut settings.alerts]) {
        rules.wait_for_nothing(); // nobody waits for as long as `for` says
    }
    settings.poll.interval = settings.poll.interval.min(LOOK_INTERVAL);
    settings.poll.min_interval = settings.poll.min_interval.min(settings.poll.interval);
    let discovered = discover(&settings).await;
    let entries: Vec<_> = settings
        .pairs
        .iter()
        .cloned()
        .chain(discovered.entries())
        .collect();
    let mut masters = Masters::default();
    let mut topology = Topology::observed(&entries, &settings.datacenters, &masters);
    let mut monitor = Monitor::new(&settings, &topology, clock::anchor());
    monitor.note_sentinels(discovered.groups(), clock::now());
    let (events, mut polls) = mpsc::channel(EVENT_QUEUE);
    let mut poller = Poller::start(&topology, settings.poll, events);
    let mut deadline = clock::now() + longest(settings.poll);
    let mut waiting = owed(&topology);
    let mut turns = 0;
    while !waiting.is_empty() && clock::now() < deadline {
        let left = (deadline - clock::now()).to_duration();
        let event = match tokio::time::timeout(left, polls.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => return Err(LookError::Ended),
            Err(_) => break,
        };
        note(&mut waiting, &event);
        monitor.handle_poll(event);
        for Succession { pair, to, .. } in monitor.successions(clock::now()) {
            masters.follow(&entries, &pair, &to);
        }
        let turned = Topology::observed(&entries, &settings.datacenters, &masters);
        if turned != topology && turns < TURNS {
            topology = turned;
            turns += 1;
            poller.reload(&topology, settings.poll);
            monitor.retarget(&settings, &topology, clock::now());
            (waiting, deadline) = (owed(&topology), clock::now() + longest(settings.poll));
        }
    }
    monitor.tick(clock::now()); // alerts on what was seen; nothing of it is sent
    let snapshot = monitor.snapshot(clock::anchor());
    poller.stop().await;
    Ok(snapshot)
}

/// What the Sentinels know, each asked once.
async fn discover(settings: &Settings) -> Discovered {
    let mut discovered = Discovered::new(settings);
    for event in discovery::ask_once(settings).await {
        discovered.handle(event, clock::now());
    }
    discovered
}

/// Every poll of the rounds, numbered for each server. A root is polled twice a round, before and
/// after its replicas, and once between two rounds.
fn owed(topology: &Topology) -> BTreeSet<(ServerAddr, u64)> {
    let of_tree = |tree: &Arc<Tree>| {
        let roots = tree
            .roots
            .iter()
            .map(|server| (server.clone(), 3 * ROUNDS - 1));
        let others = tree.others.iter().map(|server| (server.clone(), ROUNDS));
        roots.chain(others).collect::<Vec<_>>()
    };
    let polls = topology.trees.iter().flat_map(of_tree);
    polls
        .flat_map(|(server, count)| (1..=count).map(move |n| (server.clone(), n)))
        .collect()
}

/// A poll of the server is over: one less is owed.
fn note(waiting: &mut BTreeSet<(ServerAddr, u64)>, event: &PollEvent) {
    if matches!(
        event.kind,
        PollEventKind::Answered { .. } | PollEventKind::Failed { .. }
    ) {
        let owed = waiting
            .iter()
            .find(|(server, _)| *server == event.server)
            .cloned();
        owed.map(|owed| waiting.remove(&owed));
    }
}

/// Two rounds in which every server takes its whole timeout.
fn longest(poll: PollSettings) -> Span {
    (poll.timeout_local.max(poll.timeout_remote) + poll.interval).mul_f64(ROUNDS as f64 + 1.0)
}
