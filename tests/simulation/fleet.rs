//! A thousand pairs for more than a minute: nothing grows with time, and nothing is done for pairs
//! that nothing happened to.

use redis_cross_dc_exporter::info::{self, Observation};
use redis_cross_dc_exporter::model::{Histogram, ServerAddr, Span, Timestamp};
use redis_cross_dc_exporter::monitor::{Action, Monitor, PollEvent, PollEventKind};
use redis_cross_dc_exporter::replication::PairState;
use redis_cross_dc_exporter::topology::Topology;

use crate::driver::anchor;
use crate::replies::replid;
use crate::settings::settings_of;
use crate::world::{MS, Nanos, SEC};

const PAIRS: usize = 1_000;
const SECONDS: i64 = 75;

fn address(dc: u8, pair: usize) -> String {
    format!("10.{dc}.{}.{}:6379", pair / 250, pair % 250 + 1)
}

fn reply(role: &str, offset: u64) -> Observation {
    let text = format!(
        "redis_version:7.2.4\r\nrole:{role}\r\nmaster_link_status:up\r\nslave_read_repl_offset:{offset}\r\n\
         slave_repl_offset:{offset}\r\nmaster_replid:{}\r\nmaster_repl_offset:{offset}\r\nrepl_backlog_active:1\r\n",
        replid('a')
    );
    info::parse(&text).expect("an INFO text")
}

fn poll(monitor: &mut Monitor, addr: &ServerAddr, seen: &Observation, at: Nanos) {
    let observation = Box::new(seen.clone());
    let (sent, received) = (Timestamp::from_nanos(at), Timestamp::from_nanos(at + MS));
    let kind = PollEventKind::Answered {
        sent,
        received,
        observation,
        late: Span::ZERO,
    };
    monitor.handle_poll(PollEvent {
        server: addr.clone(),
        kind,
    });
}

/// One pair in a hundred is stuck; only it asks for a closer look, once a tick, and only it has
/// alerts.
#[test]
fn the_work_for_a_thousand_pairs_follows_their_events() {
    let pairs: Vec<_> = (0..PAIRS)
        .map(|i| (format!("pair{i}"), address(1, i), vec![address(2, i)]))
        .collect();
    let settings = settings_of(&pairs);
    let topology = Topology::from_settings(&settings);
    let mut monitor = Monitor::new(&settings, &topology, anchor(Timestamp::from_nanos(0)));
    let parse = |text: &String| ServerAddr::parse(text).expect("an address");
    let addresses: Vec<_> = pairs
        .iter()
        .map(|(_, master, replicas)| (parse(master), parse(&replicas[0])))
        .collect();
    let mut ticks: u64 = 0;
    let mut boosts: u64 = 0;
    let mut notified = 0;
    for second in 0..SECONDS {
        let at = second * SEC;
        let offset = 1_000 + u64::try_from(second).expect("not negative") * 100;
        let (master, healthy, stuck) = (
            reply("master", offset),
            reply("slave", offset),
            reply("slave", 1_000),
        );
        for (i, (top, replica)) in addresses.iter().enumerate() {
            poll(&mut monitor, top, &master, at);
            poll(
                &mut monitor,
                replica,
                if i % 100 == 0 { &stuck } else { &healthy },
                at + 2 * MS,
            );
            poll(&mut monitor, top, &master, at + 4 * MS);
        }
        ticks += 1;
        for action in monitor.tick(Timestamp::from_nanos(at + 6 * MS)) {
            match action {
                Action::BoostPolling { .. } => boosts += 1,
                Action::Notify(_) => notified += 1,
                // For the log, which a simulation does not keep.
                Action::StateChanged(_)
                | Action::AlertChanged(_)
                | Action::Paused(_)
                | Action::LinkDelay { .. } => {}
            }
        }
    }
    let end = Timestamp::from_nanos((SECONDS - 1) * SEC + 6 * MS);
    let fleet = monitor.snapshot(anchor(end));
    let stuck: Vec<_> = fleet
        .pairs
        .iter()
        .filter(|p| p.assess(end).state == PairState::Stalled)
        .collect();
    assert_eq!(stuck.len(), PAIRS / 100);
    assert!(
        fleet
            .pairs
            .iter()
            .filter(|p| p.assess(end).state == PairState::Streaming)
            .count()
            == PAIRS - stuck.len()
    );
    assert!(
        boosts <= ticks * (PAIRS as u64) / 100,
        "{boosts} boosts: healthy pairs need none"
    );
    assert!(boosts >= ticks, "the stuck ones do");
    assert_eq!(
        fleet.alerts.len(),
        2 * stuck.len(),
        "lag and link of each stuck pair"
    );
    assert!(
        notified <= 12,
        "{notified} notifications: ten pairs are one group a rule"
    );
    assert_eq!(fleet.servers.len(), 2 * PAIRS);
    let polls: u64 = fleet.servers.iter().map(|s| s.polls).sum();
    assert_eq!(
        polls,
        ticks * 3 * PAIRS as u64,
        "each poll was taken in once"
    );
    assert!(
        fleet
            .lag_distribution
            .values()
            .map(Histogram::count)
            .sum::<u64>()
            <= ticks * PAIRS as u64
    );
}
