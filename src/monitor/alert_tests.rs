//! From polls and deliveries to notifications: isolation, failing receivers, silences, and clocks
//! that jump.

use std::path::Path;

use super::*;
use crate::alert::{AlertStatus, Rule};
use crate::config::{Environment, Format, parse};
use crate::delivery::{DeliveryEventKind, DeliveryFailure, QueueState, SuppressReason};
use crate::info::{Field, Observation, Role};
use crate::model::{PollError, ServerAddr, WallTime};

const DAY: i64 = 86_400;

/// A monitor in virtual time, every server of which answers or not.
struct Stage {
    monitor: Monitor,
    servers: Vec<ServerAddr>,
    silent: Vec<&'static str>,
    second: i64,
    /// How far the wall clock is off, in seconds.
    skew: i64,
    full_syncs: u64,
    actions: Vec<Action>,
}

const PAIRS: &str = "
datacenters: [{name: dc1, match: ['local*'], local: true}]
pairs:
  - {name: p, master: {address: 'local:1', dc: dc1}, replicas: [{address: 'far1:1', dc: dc2}, {address: 'far2:1', dc: dc3}]}
notify:
  group_wait: 1s
  receivers:
    - {name: chat, slack: {webhook_url_file: f}}
    - {name: hook, webhook: {url_file: f}}
";

impl Stage {
    fn new(yaml: &str) -> Self {
        let settings = parse(yaml, Format::Yaml, Path::new("/"), &Environment::default()).unwrap();
        let topology = Topology::from_settings(&settings);
        let servers = topology.servers.keys().cloned().collect();
        let monitor = Monitor::new(&settings, &topology, anchor(0, 0));
        Self {
            monitor,
            servers,
            silent: Vec::new(),
            second: 0,
            skew: 0,
            full_syncs: 7,
            actions: Vec::new(),
        }
    }

    fn until(&mut self, second: i64) {
        while self.second < second {
            self.second += 1;
            let now = anchor(self.second, self.skew);
            for server in self.servers.clone() {
                let kind = self.answer(&server, now.mono);
                self.monitor.handle_poll(PollEvent { server, kind });
            }
            self.monitor.update_clocks(now);
            self.actions.extend(self.monitor.tick(now.mono));
        }
    }

    fn answer(&self, server: &ServerAddr, now: Timestamp) -> PollEventKind {
        let (late, began) = (Span::ZERO, now - Span::from_millis(10));
        if self
            .silent
            .iter()
            .any(|silent| server.host() == Some(silent))
        {
            return PollEventKind::Failed {
                began,
                at: now,
                late,
                error: PollError::Timeout.into(),
            };
        }
        let mut observation = Box::new(Observation::default());
        observation.replication.role = Field::Value(Role::Master);
        observation.stats.sync_full = Field::Value(self.full_syncs);
        PollEventKind::Answered {
            sent: began,
            received: now,
            observation,
            late,
        }
    }

    /// The notifications since the last call: receiver, rule and reason.
    fn notified(&mut self) -> Vec<String> {
        let line = |action: Action| {
            let Action::Notify(notification) = action else {
                return None;
            };
            let name = notification.alerts[0]
                .identity
                .rule
                .alert_name()
                .trim_start_matches("RedisCrossDc")
                .to_owned();
            Some(format!(
                "{} {name} {}",
                notification.receiver,
                notification.reason.label()
            ))
        };
        std::mem::take(&mut self.actions)
            .into_iter()
            .filter_map(line)
            .collect()
    }

    fn fail(&mut self, receiver: &str, dead: bool) {
        let kind = DeliveryEventKind::Failed {
            reason: DeliveryFailure::Server,
            dead,
        };
        let queue = QueueState {
            depth: usize::from(!dead),
            ..QueueState::default()
        };
        let event = DeliveryEvent {
            receiver: receiver.into(),
            kind,
            queue,
            answer: None,
        };
        self.monitor
            .handle_delivery(&event, anchor(self.second, 0).mono);
    }

    fn suppressed(&self, reason: SuppressReason) -> u64 {
        let fleet = self.monitor.snapshot(anchor(self.second, self.skew));
        fleet
            .receivers
            .iter()
            .map(|receiver| receiver.suppressed[&reason])
            .sum()
    }
}

fn anchor(second: i64, skew: i64) -> ClockAnchor {
    let nanos = |secs: i64| secs * 1_000_000_000;
    let wall = WallTime::from_nanos(nanos(1_700_000_000 + second + skew));
    ClockAnchor {
        mono: Timestamp::from_nanos(nanos(second)),
        wall,
    }
}

/// Only what is about servers and this exporter: a pair of masters has alerts of its own.
fn about_servers(lines: Vec<String>) -> Vec<String> {
    let about = |line: &String| {
        ["Unreachable", "Isolated", "FullSync", "Receiver"]
            .iter()
            .any(|part| line.contains(part))
    };
    lines.into_iter().filter(about).collect()
}

#[test]
fn when_all_remote_servers_are_silent_this_exporter_is_reported_as_isolated() {
    let mut stage = Stage::new(PAIRS);
    stage.until(5);
    stage.silent = vec!["far1", "far2"];
    stage.until(30);
    let isolated = ["chat MonitorIsolated first", "hook MonitorIsolated first"];
    assert_eq!(about_servers(stage.notified()), isolated);
    let fleet = stage.monitor.snapshot(anchor(30, 0));
    let held = fleet.alerts.iter().filter(|listed| {
        listed
            .inhibited_by
            .as_ref()
            .is_some_and(|cause| cause.identity().rule == Rule::MonitorIsolated)
    });
    assert!(
        held.filter(|listed| listed.alert.identity.rule == Rule::Unreachable)
            .count()
            == 2,
        "{:?}",
        fleet.alerts
    );
    assert!(
        stage.suppressed(SuppressReason::Inhibited) >= 4,
        "two servers for two receivers"
    );
    stage.silent.clear();
    stage.until(40);
    assert_eq!(
        about_servers(stage.notified()),
        [
            "chat MonitorIsolated resolved",
            "hook MonitorIsolated resolved"
        ]
    );
}

#[test]
fn a_single_silent_remote_server_has_its_own_alert() {
    let mut stage = Stage::new(PAIRS);
    stage.until(5);
    stage.silent = vec!["far1"];
    stage.until(30);
    assert_eq!(
        about_servers(stage.notified()),
        [
            "chat ServerUnreachable first",
            "hook ServerUnreachable first"
        ]
    );
}

#[test]
fn full_syncs_are_an_alert_until_the_window_has_passed() {
    let mut stage =
        Stage::new(&PAIRS.replace("notify:", "alerts: {full_sync: {window: 60s}}\nnotify:"));
    stage.until(10);
    assert_eq!(
        about_servers(stage.notified()),
        [""; 0],
        "full syncs before the first answer do not count"
    );
    stage.full_syncs += 1;
    stage.until(20);
    assert_eq!(
        about_servers(stage.notified()),
        [["chat FullSync first"; 3], ["hook FullSync first"; 3]].concat(),
        "once for each datacenter"
    );
    stage.until(80);
    assert_eq!(
        about_servers(stage.notified()),
        [["chat FullSync resolved"; 3], ["hook FullSync resolved"; 3]].concat()
    );
}

#[test]
fn a_failing_receiver_is_reported_to_the_others() {
    let mut stage = Stage::new(PAIRS);
    stage.until(5);
    stage.fail("chat", false);
    stage.until(60);
    assert_eq!(
        about_servers(stage.notified()),
        [""; 0],
        "for a minute it may be a restart"
    );
    stage.until(70);
    assert_eq!(
        about_servers(stage.notified()),
        ["hook ReceiverFailing first"]
    );
    stage.fail("hook", true);
    stage.until(75);
    assert_eq!(
        about_servers(stage.notified()),
        ["chat ReceiverFailing first"],
        "a notification that was given up is reported at once"
    );
}

/// Whatever the wall clock does in either direction: no alert begins, ends or is notified because
/// of it.
#[test]
fn a_wall_clock_that_jumps_a_day_fires_and_resolves_nothing() {
    for jump in [DAY, -DAY] {
        let mut stage = Stage::new(PAIRS);
        stage.until(5);
        stage.silent = vec!["far1"];
        stage.until(14);
        stage.skew = jump;
        stage.until(18);
        assert_eq!(
            about_servers(stage.notified()),
            [""; 0],
            "not earlier than 15 s"
        );
        stage.until(30);
        assert_eq!(
            about_servers(stage.notified()),
            [
                "chat ServerUnreachable first",
                "hook ServerUnreachable first"
            ]
        );
        stage.skew = -jump;
        stage.until(60);
        let changed = |action: &Action| match action {
            Action::AlertChanged(transition) => transition.alert.identity.rule == Rule::Unreachable,
            Action::Notify(notification) => {
                notification.alerts[0].identity.rule == Rule::Unreachable
            }
            _ => false,
        };
        assert!(!stage.actions.iter().any(changed), "{:?}", stage.actions);
    }
}

#[test]
fn after_a_silence_has_ended_by_the_wall_clock_firing_alerts_are_notified() {
    let mut stage = Stage::new(PAIRS);
    stage.until(5);
    let silence = NewSilence {
        matchers: [("server".to_owned(), "far1:1".to_owned())].into(),
        starts: None,
        ends: anchor(3600, 0).wall,
        author: "me".to_owned(),
        comment: "why".to_owned(),
    };
    let id = stage.monitor.silence(silence, anchor(5, 0)).unwrap();
    stage.silent = vec!["far1"];
    stage.until(40);
    assert_eq!(about_servers(stage.notified()), [""; 0]);
    let fleet = stage.monitor.snapshot(anchor(40, 0));
    let alert = fleet
        .alerts
        .iter()
        .find(|listed| listed.alert.identity.rule == Rule::Unreachable)
        .unwrap();
    assert_eq!(
        alert.alert.muted_by,
        Some(crate::alert::MutedBy::Silence(id))
    );
    assert_eq!(
        (
            alert.alert.status,
            stage.suppressed(SuppressReason::Silenced)
        ),
        (AlertStatus::Firing, 2)
    );
    stage.skew = DAY;
    stage.until(42);
    assert_eq!(
        about_servers(stage.notified()),
        [
            "chat ServerUnreachable first",
            "hook ServerUnreachable first"
        ]
    );
}

#[test]
fn an_open_maintenance_window_suppresses_notifications() {
    // The virtual world begins on Tuesday, 14 November 2023, at 22:13:20 UTC.
    let window = "{name: patching, every: [tuesday], start: '22:00', duration: 15m, timezone: UTC}";
    let mut stage =
        Stage::new(&PAIRS.replace("notify:", &format!("notify:\n  maintenance: [{window}]")));
    stage.until(5);
    assert_eq!(
        stage.monitor.snapshot(anchor(5, 0)).maintenance.as_slice(),
        [std::sync::Arc::<str>::from("patching")]
    );
    stage.silent = vec!["far1"];
    stage.until(90);
    assert_eq!(about_servers(stage.notified()), [""; 0]);
    stage.until(110);
    assert_eq!(
        about_servers(stage.notified()),
        [
            "chat ServerUnreachable first",
            "hook ServerUnreachable first"
        ]
    );
    assert_eq!(stage.monitor.snapshot(anchor(110, 0)).maintenance.len(), 0);
}

/// A second full sync, while the alert about the first one fired, was not notified.
#[test]
fn each_full_sync_is_notified() {
    let mut stage = Stage::new(PAIRS);
    stage.until(5);
    stage.notified();
    stage.full_syncs += 1;
    stage.until(10);
    let first = stage.notified();
    assert!(!first.is_empty(), "the first one was not notified");
    assert!(
        first.iter().all(|line| line.ends_with("FullSync first")),
        "{first:?}"
    );
    stage.full_syncs += 1;
    stage.until(100);
    let about_syncs = |stage: &mut Stage| {
        let mut lines = stage.notified();
        lines.retain(|line| line.contains(" FullSync "));
        lines
    };
    let again = about_syncs(&mut stage);
    assert_eq!(again.len(), first.len(), "{again:?}");
    assert!(
        again
            .iter()
            .all(|line| line.ends_with("FullSync happened_again")),
        "{again:?}"
    );
    stage.until(400);
    assert_eq!(about_syncs(&mut stage), [""; 0], "once each");
}
