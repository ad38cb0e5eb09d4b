//! Which rules a tick evaluates, and what snapshots share: both follow what has happened.

use super::*;
use crate::config::testing::settings_of;
use crate::info;
use crate::model::{Persisted, PollError, SavedDocuments, ServerAddr, WallTime};

const MASTERS: [&str; 2] = ["m:1", "n:1"];
const REPLICAS: [&str; 2] = ["r:1", "s:1"];

/// A monitor of two pairs in virtual time.
struct Stage {
    monitor: Monitor,
    second: i64,
    /// A server that refuses connections.
    refuses: &'static str,
}

fn anchor(second: i64) -> ClockAnchor {
    let nanos = second * 1_000_000_000;
    ClockAnchor {
        mono: Timestamp::from_nanos(nanos),
        wall: WallTime::from_nanos(nanos),
    }
}

impl Stage {
    /// Both pairs stream and have been watched for half a minute.
    fn healthy() -> Self {
        let [m, n] = MASTERS;
        let [r, s] = REPLICAS;
        let settings = settings_of(&[("p", m, &[r]), ("q", n, &[s])]);
        let topology = Topology::from_settings(&settings);
        let mut stage = Self {
            monitor: Monitor::new(&settings, &topology, anchor(0)),
            second: 0,
            refuses: "",
        };
        stage.pass(30);
        stage
    }

    /// Lets time pass: each second masters, replicas and masters again are polled.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.second += 1;
            let now = anchor(self.second).mono;
            let mut at = now - Span::from_millis(50);
            for server in [MASTERS, REPLICAS, MASTERS].concat() {
                at += Span::from_millis(5);
                self.poll(server, at);
            }
            self.monitor.tick(now);
        }
    }

    fn poll(&mut self, server: &str, at: Timestamp) {
        let (late, began) = (Span::ZERO, at - Span::from_millis(1));
        let kind = if server == self.refuses {
            PollEventKind::Failed {
                began,
                at,
                late,
                error: PollError::Refused.into(),
            }
        } else {
            PollEventKind::Answered {
                sent: began,
                received: at,
                observation: Box::new(info::parse(&self.reply(server)).unwrap()),
                late,
            }
        };
        self.monitor.handle_poll(PollEvent {
            server: ServerAddr::parse(server).unwrap(),
            kind,
        });
    }

    fn reply(&self, server: &str) -> String {
        let history = "a".repeat(40);
        let offset = 1_000 * self.second;
        let role = if MASTERS.contains(&server) {
            format!("role:master\r\nmaster_repl_offset:{offset}\r\nrepl_backlog_active:1\r\n")
        } else {
            format!(
                "role:slave\r\nmaster_link_status:up\r\nslave_read_repl_offset:{offset}\r\n\
                 slave_repl_offset:{offset}\r\n"
            )
        };
        format!("redis_version:7.2.4\r\nmaster_replid:{history}\r\n{role}")
    }

    /// Just after the present second.
    fn soon(&self) -> Timestamp {
        anchor(self.second).mono + EVALUATION_TICK
    }

    /// Makes the next tick, in which lag is counted, and returns when the one after it is.
    fn after_the_next_tick(&mut self) -> Timestamp {
        let soon = self.soon();
        self.monitor.tick(soon);
        soon + EVALUATION_TICK
    }

    fn wakes_at(&self, instant: Timestamp) -> bool {
        self.monitor.next_wakeup() <= instant
    }

    /// The places of the pairs whose rules the next tick evaluates.
    fn due_pairs(&self) -> Vec<usize> {
        let all = 0..self.monitor.fleet.pairs.len();
        let is_due = |pair: &usize| self.monitor.fleet.pairs.is_due(*pair, self.soon());
        all.filter(is_due).collect()
    }

    /// The servers whose rules the next tick evaluates.
    fn due_servers(&self) -> Vec<String> {
        let fleet = &self.monitor.fleet;
        let mut due = Vec::new();
        for index in fleet.server_indices() {
            if fleet.is_server_due(index, self.soon()) {
                let (server, _) = fleet.server(index).unwrap();
                due.push(server.addr.to_string());
            }
        }
        due
    }

    fn published(&mut self) -> FleetSnapshot {
        let now = anchor(self.second);
        self.monitor.prepare_snapshot(now.mono);
        self.monitor.snapshot(now)
    }
}

#[test]
fn a_healthy_pair_waits_for_its_next_poll_and_no_other() {
    let mut stage = Stage::healthy();
    assert_eq!(stage.due_pairs(), [0; 0]);
    assert_eq!(stage.due_servers(), [""; 0]);
    let soon = stage.soon();
    stage.poll("m:1", soon);
    assert_eq!(stage.due_pairs(), [0]);
    assert_eq!(stage.due_servers(), [""; 0], "it answers as before");
}

#[test]
fn a_calm_fleet_is_woken_by_its_polls_and_counts_the_ticks_that_are_left_out() {
    let mut stage = Stage::healthy();
    let next = stage.after_the_next_tick();
    assert!(!stage.wakes_at(next));
    assert_eq!(stage.monitor.tick(next), []);
    assert_eq!(stage.monitor.next_evaluation, next, "it was left out");
    let later = next + Span::from_millis(200);
    stage.monitor.skip_ticks(later);
    stage.poll("m:1", later);
    assert!(stage.wakes_at(later));
    stage.monitor.tick(later);
    assert_eq!(stage.monitor.next_evaluation, later + EVALUATION_TICK);
}

#[test]
fn a_fleet_in_which_anything_is_wrong_is_not_calm() {
    let mut stage = Stage::healthy();
    stage.monitor.reload_failed("why", stage.soon());
    let next = stage.after_the_next_tick();
    assert!(stage.wakes_at(next), "the reload");
    let mut stage = Stage::healthy();
    stage.refuses = "r:1";
    stage.pass(1);
    let next = stage.after_the_next_tick();
    assert!(stage.wakes_at(next), "a server");
    stage.pass(60);
    stage.refuses = "";
    stage.pass(30);
    let next = stage.after_the_next_tick();
    assert!(stage.wakes_at(next), "an alert that is recently resolved");
}

#[test]
fn what_is_in_trouble_is_due_in_every_tick() {
    let mut stage = Stage::healthy();
    stage.refuses = "r:1";
    stage.pass(60);
    assert_eq!(stage.due_pairs(), [0]);
    assert_eq!(stage.due_servers(), ["r:1"]);
}

#[test]
fn a_pause_and_a_restored_state_make_everything_due() {
    let mut stage = Stage::healthy();
    stage.monitor.observe_running(anchor(90).mono);
    assert_eq!((stage.due_pairs().len(), stage.due_servers().len()), (2, 4));
    let mut stage = Stage::healthy();
    let now = anchor(30).mono;
    stage.monitor.restore(&SavedDocuments::new(), now);
    assert_eq!((stage.due_pairs().len(), stage.due_servers().len()), (2, 4));
}

#[test]
fn a_snapshot_shares_what_has_not_changed() {
    let mut stage = Stage::healthy();
    let before = stage.published();
    let soon = stage.soon();
    stage.poll("m:1", soon);
    let after = stage.published();
    let same_pairs = before.pairs.iter().zip(&after.pairs);
    let same_pairs: Vec<_> = same_pairs.map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same_pairs, [false, true]);
    let servers = before.servers.iter().zip(&after.servers);
    let mut changed = Vec::new();
    for (before, after) in servers {
        if !Arc::ptr_eq(before, after) {
            changed.push(after.meta.addr.to_string());
        }
    }
    assert_eq!(changed, ["m:1"]);
    assert!(Arc::ptr_eq(&before.failovers, &after.failovers));
    assert!(Arc::ptr_eq(&before.alerts, &after.alerts));
}
