//! The monitor's alerts over a restart: nothing is notified twice, no alert ends without a reason,
//! and open alerts go on.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::alert::{AlertState, Quantity, Rule};
use crate::config::{Environment, Format, parse};
use crate::delivery::{DeliveryEventKind, DeliveryFailure, QueueState};
use crate::info::{self, Field, Observation, OutputBufferLimit, ReplicaConnection, Role};
use crate::model::{
    Bytes, ClockShift, DocumentTable, Persisted, PollError, SaveScope, SavedDocument,
    SavedDocuments, ServerAddr, WallTime,
};
use crate::replication::{BufferAnswer, StateReason};

pub(super) const YAML: &str = "
pairs:
  - {name: p, master: {address: 'm:1', dc: dc1}, replicas: [{address: 'r:1', dc: dc2}]}
  - {name: q, master: {address: 'n:1', dc: dc1}, replicas: [{address: 's:1', dc: dc2}]}
alerts:
  full_sync: {window: 60s}
  lag_seconds: {for: 20s}
notify: {group_wait: 0s, receivers: [{name: hook, webhook: {url_file: f}}]}
";

/// How long a poll takes.
const POLL_TAKES: Span = Span::from_millis(10);

/// A monitor in virtual time, and what is on its disk.
pub(super) struct Stage {
    yaml: String,
    pub(super) monitor: Monitor,
    pub(super) silent: Vec<&'static str>,
    /// Whether servers are polled at all.
    pub(super) polls: bool,
    pub(super) second: i64,
    full_syncs: u64,
    /// What the master of p buffers for its replica, of 1,000 bytes, where it is asked.
    buffered: Option<u64>,
    disk: BTreeMap<(DocumentTable, String), String>,
    notified: Vec<String>,
    /// What was logged: states and alerts that changed.
    pub(super) logged: Vec<String>,
    /// When each server last answered.
    answered: BTreeMap<String, i64>,
}

pub(super) fn anchor(second: i64) -> ClockAnchor {
    let nanos = |secs: i64| secs * 1_000_000_000;
    let wall = WallTime::from_nanos(nanos(1_700_000_000 + second));
    ClockAnchor {
        mono: Timestamp::from_nanos(nanos(second)),
        wall,
    }
}

fn scope(all: bool, second: i64) -> SaveScope {
    SaveScope {
        all,
        anchor: anchor(second),
    }
}

fn monitor(yaml: &str, second: i64) -> Monitor {
    let settings = parse(yaml, Format::Yaml, Path::new("/"), &Environment::default()).unwrap();
    Monitor::new(
        &settings,
        &Topology::from_settings(&settings),
        anchor(second),
    )
}

impl Stage {
    pub(super) fn new() -> Self {
        Self {
            yaml: YAML.to_owned(),
            monitor: monitor(YAML, 0),
            silent: Vec::new(),
            polls: true,
            second: 0,
            full_syncs: 7,
            buffered: None,
            disk: BTreeMap::new(),
            notified: Vec::new(),
            logged: Vec::new(),
            answered: BTreeMap::new(),
        }
    }

    /// Lets time pass; what changed is written each second.
    pub(super) fn until(&mut self, second: i64) -> &mut Self {
        while self.second < second {
            self.second += 1;
            let now = anchor(self.second);
            // Polls begin once the program knows that a pause is over.
            self.monitor.observe_running(now.mono - POLL_TAKES);
            for server in ["m:1", "r:1", "n:1", "s:1"] {
                if self.polls && self.yaml.contains(server) {
                    self.poll(server, now.mono);
                }
            }
            if let Some(bytes) = self.buffered {
                self.answer_buffered(bytes, now.mono);
            }
            self.monitor.update_clocks(now);
            for action in self.monitor.tick(now.mono) {
                self.log(&action);
                let Action::Notify(notification) = action else {
                    continue;
                };
                let name = notification.alerts[0]
                    .identity
                    .rule
                    .alert_name()
                    .trim_start_matches("RedisCrossDc")
                    .to_owned();
                self.notified.push(format!(
                    "{} {name} {}",
                    self.second,
                    notification.reason.label()
                ));
            }
            self.save(false);
        }
        self
    }

    fn is_judged(&self, server: &str) -> bool {
        let fleet = self.monitor.snapshot(anchor(self.second));
        let mut servers = fleet.servers.iter();
        let known = servers.find(|known| known.meta.addr.to_string() == server);
        known.is_some_and(|known| known.facts.is_judged())
    }

    fn log(&mut self, action: &Action) {
        let second = self.second;
        match action {
            Action::StateChanged(change) => {
                self.logged
                    .push(format!("{second} {} {}", change.pair.name, change.to));
            }
            Action::AlertChanged(transition) => {
                let identity = &transition.alert.identity;
                let change = transition.change.label();
                let name = identity.rule.alert_name();
                self.logged.push(format!("{second} {name} {change}"));
            }
            Action::Paused(pause) => self.logged.push(format!("{second} {}", pause.length())),
            _ => {}
        }
    }

    /// The servers that are reported not to answer, and for how many seconds.
    pub(super) fn blamed(&self) -> Vec<(String, i64)> {
        let listed = self.monitor.snapshot(anchor(self.second)).alerts;
        let open = listed.iter().filter(|listed| {
            let is_server = listed.alert.identity.rule == Rule::Unreachable;
            is_server && listed.state != AlertState::Resolved
        });
        open.map(|listed| {
            let server = listed.alert.identity.labels["server"].clone();
            let value = listed.alert.value.best().map_or(0.0, Quantity::as_f64);
            #[allow(clippy::cast_possible_truncation)] // seconds of a test
            (server, value as i64)
        })
        .collect()
    }

    fn poll(&mut self, server: &str, now: Timestamp) {
        let (late, began) = (Span::ZERO, now - POLL_TAKES);
        let kind = if self.silent.iter().any(|silent| server.starts_with(silent)) {
            PollEventKind::Failed {
                began,
                at: now,
                late,
                error: PollError::Timeout.into(),
            }
        } else {
            self.answered.insert(server.to_owned(), self.second);
            let mut observation = Box::new(Observation::default());
            observation.replication.role = Field::Value(Role::Master);
            observation.stats.sync_full = Field::Value(self.full_syncs);
            PollEventKind::Answered {
                sent: began,
                received: now,
                observation,
                late,
            }
        };
        self.monitor.handle_poll(PollEvent {
            server: ServerAddr::parse(server).unwrap(),
            kind,
        });
    }

    fn answer_buffered(&mut self, bytes: u64, now: Timestamp) {
        let line = "slave0:ip=127.0.0.9,port=1,state=online,offset=5,lag=0";
        let text = format!("role:master\r\nconnected_slaves:1\r\n{line}\r\n");
        let connection = ReplicaConnection {
            ip: "127.0.0.9".to_owned(),
            buffered: Bytes::new(bytes),
        };
        let limit = OutputBufferLimit {
            hard: Bytes::new(1000),
            soft: Bytes::ZERO,
            soft_for: Span::ZERO,
        };
        let answer = BufferAnswer {
            info: info::parse(&text).unwrap(),
            connections: Ok(vec![connection]),
            limit: Ok(limit),
            backlog_ttl: None,
            received: now,
        };
        self.monitor.handle_poll(PollEvent {
            server: ServerAddr::parse("m:1").unwrap(),
            kind: PollEventKind::OutputBuffers(Box::new(answer)),
        });
    }

    fn save(&mut self, all: bool) {
        for document in self.monitor.take_unsaved(scope(all, self.second)) {
            let key = (document.table, document.key);
            match document.body {
                Some(body) => drop(self.disk.insert(key, body)),
                None => drop(self.disk.remove(&key)),
            }
        }
    }

    /// The program is killed, and starts again after `gap` seconds with this configuration.
    pub(super) fn restart(&mut self, gap: i64, yaml: &str) -> &mut Self {
        self.second += gap;
        self.yaml = yaml.to_owned();
        self.monitor = monitor(yaml, self.second);
        let shift = ClockShift {
            by: Span::ZERO,
            ago: Span::from_secs(gap),
            now: anchor(self.second),
        };
        let mut documents = SavedDocuments::new();
        for ((table, key), body) in self.disk.clone() {
            documents
                .entry(table)
                .or_default()
                .push(SavedDocument { key, body, shift });
        }
        assert_eq!(
            self.monitor.restore(&documents, anchor(self.second).mono),
            [""; 0]
        );
        self
    }

    pub(super) fn states(&self, rule: Rule) -> Vec<AlertState> {
        let listed = self.monitor.snapshot(anchor(self.second)).alerts;
        listed
            .iter()
            .filter(|listed| listed.alert.identity.rule == rule)
            .map(|listed| listed.state)
            .collect()
    }

    /// The notifications about this rule since the last call.
    fn notified_of(&mut self, name: &str) -> Vec<String> {
        let notified = std::mem::take(&mut self.notified);
        notified
            .into_iter()
            .filter(|line| line.contains(name))
            .collect()
    }
}

#[test]
fn a_restored_firing_alert_is_neither_notified_again_nor_resolved_before_the_first_polls() {
    let mut stage = Stage::new();
    stage.until(5).silent = vec!["r"];
    assert_eq!(
        stage.until(40).notified_of("Unreachable"),
        ["21 ServerUnreachable first"]
    );
    stage.polls = false;
    stage.restart(7, YAML).until(60);
    assert_eq!(
        (
            stage.states(Rule::Unreachable),
            stage.notified_of("Unreachable")
        ),
        (vec![AlertState::Firing], vec![])
    );
    stage.polls = true;
    stage.until(64);
    assert_eq!(
        (
            stage.states(Rule::Unreachable),
            stage.notified_of("Unreachable")
        ),
        (vec![AlertState::Firing], vec![])
    );
    // Silent since second 6 and not since the restart: critical is at a minute.
    assert_eq!(
        stage.until(80).notified_of("Unreachable"),
        ["66 ServerUnreachable escalated"]
    );
    stage.silent.clear();
    assert_eq!(
        stage.until(90).notified_of("Unreachable"),
        ["81 ServerUnreachable resolved"]
    );
}

#[test]
fn an_unknown_lag_stays_unknown_over_a_restart() {
    let mut stage = Stage::new();
    stage.until(100);
    let before = stage.states(Rule::Unknown);
    assert_eq!(before, [AlertState::Firing; 2], "two masters are no pair");
    stage.notified.clear();
    stage.restart(5, YAML).until(130);
    assert_eq!(
        (stage.states(Rule::Unknown), stage.notified_of("Unknown")),
        (before, vec![])
    );
}

#[test]
fn an_alert_whose_target_was_removed_during_the_restart_is_notified_as_resolved() {
    let mut stage = Stage::new();
    stage.until(5).silent = vec!["s"];
    stage.until(40).notified.clear();
    let without = YAML
        .lines()
        .filter(|line| !line.contains("name: q"))
        .collect::<Vec<_>>()
        .join("\n");
    stage.restart(1, &without).until(45);
    assert_eq!(
        stage.notified_of("Unreachable"),
        ["42 ServerUnreachable resolved"]
    );
}

#[test]
fn events_before_a_restart_count_until_their_window_has_passed() {
    let mut stage = Stage::new();
    stage.until(10).full_syncs += 1;
    // Once for each of the two datacenters.
    assert_eq!(
        stage.until(20).notified_of("FullSync"),
        ["11 FullSync first"; 2]
    );
    stage.restart(5, YAML).until(60);
    assert_eq!(stage.notified_of("FullSync"), [""; 0]);
    assert_eq!(
        stage.until(90).notified_of("FullSync").len(),
        2,
        "ended, at most a window after the restart"
    );
}

#[test]
fn a_failing_receiver_and_silences_are_remembered() {
    let mut stage = Stage::new();
    let new = crate::alert::NewSilence {
        matchers: [("pair".to_owned(), "p".to_owned())].into(),
        ends: anchor(1000).wall,
        author: "me".to_owned(),
        comment: "why".to_owned(),
        ..Default::default()
    };
    let id = stage.monitor.silence(new, anchor(1)).unwrap();
    let (kind, queue) = (
        DeliveryEventKind::Failed {
            reason: DeliveryFailure::Auth,
            dead: true,
        },
        QueueState::default(),
    );
    stage.until(3).monitor.handle_delivery(
        &DeliveryEvent {
            receiver: "hook".into(),
            kind,
            queue,
            answer: None,
        },
        anchor(3).mono,
    );
    stage.until(6);
    assert_eq!(stage.states(Rule::ReceiverFailing), [AlertState::Firing]);
    stage.restart(2, YAML).until(30);
    assert_eq!(stage.states(Rule::ReceiverFailing), [AlertState::Firing]);
    assert_eq!(
        stage
            .monitor
            .silences()
            .records()
            .map(|record| record.id.clone())
            .collect::<Vec<_>>(),
        std::slice::from_ref(&id)
    );
    stage.monitor.expire_silence(&id, anchor(31)).unwrap();
    stage.until(40).restart(1, YAML);
    assert!(stage.monitor.silences().active(anchor(41).wall).is_empty());
}

#[test]
fn without_saved_state_alerts_start_empty_and_invalid_documents_are_left_out() {
    let mut stage = Stage::new();
    stage.until(5).silent = vec!["r"];
    stage.until(30).notified.clear();
    stage.disk.clear();
    assert_eq!(
        stage
            .restart(1, YAML)
            .until(60)
            .notified_of("Unreachable")
            .len(),
        1
    );
    let shift = ClockShift {
        now: anchor(61),
        ..ClockShift::default()
    };
    let nonsense = |table| {
        (
            table,
            vec![SavedDocument {
                key: "x".to_owned(),
                body: "[7]".to_owned(),
                shift,
            }],
        )
    };
    let documents = [
        DocumentTable::Alerts,
        DocumentTable::Groups,
        DocumentTable::Silences,
    ]
    .map(nonsense)
    .into();
    assert_eq!(
        monitor(YAML, 61).restore(&documents, anchor(61).mono).len(),
        3
    );
}

#[test]
fn events_before_a_restart_are_listed_after_it() {
    let mut stage = Stage::new();
    stage.until(5).silent = vec!["r"];
    stage.until(30);
    let journal = |stage: &Stage| stage.monitor.snapshot(anchor(stage.second)).journal;
    let before: Vec<_> = journal(&stage)
        .after(0)
        .map(|happening| (happening.at, happening.number))
        .collect();
    assert!(!before.is_empty());
    stage.restart(1, YAML);
    let after: Vec<_> = journal(&stage)
        .after(0)
        .map(|happening| (happening.at, happening.number))
        .collect();
    assert_eq!(after, before);
    // The first save of a life holds all there is, and the wall clock runs on a bit differently
    // than the other one.
    let off = |second| ClockAnchor {
        wall: WallTime::from_nanos(anchor(second).wall.as_nanos() + 7),
        ..anchor(second)
    };
    let scope = SaveScope {
        all: true,
        anchor: off(stage.second),
    };
    let saved = stage.monitor.take_unsaved(scope);
    assert!(
        saved
            .iter()
            .all(|document| document.table != DocumentTable::Journal),
        "what is on the disk is not written twice"
    );
    stage.silent.clear();
    stage.until(120);
    assert!(
        journal(&stage).last() > before.last().unwrap().1,
        "numbers go on rising"
    );
    assert_eq!(
        stage
            .disk
            .keys()
            .filter(|(table, _)| *table == DocumentTable::Journal)
            .count(),
        journal(&stage).after(0).len()
    );
}

/// F1: what recovered before a restart "had not answered" since its recovery.
#[test]
fn an_alert_that_ended_before_a_restart_does_not_fire_again() {
    let mut stage = Stage::new();
    stage.until(5).silent = vec!["m", "r", "n", "s"];
    stage.until(80).silent.clear();
    stage.until(90);
    for rule in [Rule::Unreachable, Rule::MonitorIsolated] {
        assert!(
            stage.states(rule).contains(&AlertState::Resolved),
            "{rule:?}"
        );
    }
    stage.restart(200, YAML).logged.clear();
    stage.polls = false;
    stage.until(300);
    assert_eq!((&stage.logged, stage.blamed()), (&vec![], vec![]));
    let seen = stage.monitor.snapshot(anchor(300));
    for pair in &seen.pairs {
        let assessment = pair.assess(anchor(300).mono);
        assert_eq!(assessment.reason, StateReason::Starting);
    }
    stage.polls = true;
    stage.until(400);
    assert_eq!(stage.blamed(), []);
    let of_servers =
        |line: &&String| line.contains("Unreachable") || line.contains("MonitorIsolated");
    assert_eq!(stage.logged.iter().find(of_servers), None);
}

/// While nothing has answered and nothing has failed, whatever fires fires as it did.
#[test]
fn before_the_first_polls_have_ended_no_alert_changes() {
    let mut stage = Stage::new();
    stage.until(5).silent = vec!["m", "r"];
    stage.until(40);
    let open = |stage: &Stage| {
        let listed = stage.monitor.snapshot(anchor(stage.second)).alerts;
        let open = listed.iter().filter(|l| l.state != AlertState::Resolved);
        open.map(|listed| (listed.alert.fingerprint, listed.state, listed.alert.value))
            .collect::<Vec<_>>()
    };
    let before = open(&stage);
    stage.restart(400, YAML).logged.clear();
    stage.polls = false;
    stage.until(500).notified.clear();
    let identities = |alerts: &[(_, AlertState, _)]| {
        alerts
            .iter()
            .map(|(id, state, _)| (*id, *state))
            .collect::<Vec<_>>()
    };
    assert_eq!(identities(&open(&stage)), identities(&before));
    assert_eq!(stage.logged, [""; 0]);
}

/// Nobody is notified of an alert that was not seen in this process.
#[test]
fn an_alert_not_yet_notified_before_a_restart_is_notified_once_confirmed() {
    let yaml = YAML.replace("group_wait: 0s", "group_wait: 5s");
    let mut stage = Stage::new();
    stage.restart(0, &yaml).until(5).silent = vec!["r"];
    stage.until(22);
    assert_eq!(stage.states(Rule::Unreachable), [AlertState::Firing]);
    assert_eq!(stage.notified_of("Unreachable"), [""; 0], "group_wait");
    stage.silent.clear();
    stage.polls = false;
    stage.restart(60, &yaml).until(85);
    assert_eq!(stage.notified_of("Unreachable"), [""; 0]);
    stage.polls = true;
    stage.until(120);
    assert_eq!(
        stage.notified_of("Unreachable"),
        [""; 0],
        "it had recovered"
    );
}

/// Found by the property below: two pauses, and a kill in the second after the first answer.
#[test]
fn a_server_that_answered_right_after_a_pause_is_not_reported_after_a_restart() {
    let mut stage = Stage::new();
    stage.silent = vec!["m", "n"];
    stage.until(10).second += 1;
    stage.until(17).second += 1;
    stage.silent = vec!["r"];
    stage.until(19).restart(1, YAML);
    stage.silent = vec!["m"];
    stage.until(21);
    for (server, seconds) in stage.blamed() {
        let since = stage.answered.get(&server).copied().unwrap_or(0);
        assert!(
            seconds <= stage.second - since + 1,
            "{server} {seconds} {since}"
        );
    }
}

/// While the masters have not been asked in this process, nothing is known of their buffers: an
/// alert that fires is not over.
#[test]
fn an_alert_about_an_output_buffer_waits_for_the_first_answer_after_a_restart() {
    let yaml = format!("poll: {{output_buffers: true}}\n{YAML}");
    let mut stage = Stage::new();
    stage.restart(1, &yaml).until(5).buffered = Some(900);
    stage.until(7);
    assert_eq!(stage.states(Rule::OutputBuffer), [AlertState::Firing]);
    stage.notified.clear();
    stage.buffered = None;
    stage.restart(3, &yaml).until(14).buffered = Some(0);
    assert_eq!(stage.states(Rule::OutputBuffer), [AlertState::Firing]);
    stage.until(16);
    assert_eq!(
        stage.notified_of("OutputBuffer"),
        ["15 OutputBufferHigh resolved"]
    );
}

/// Once masters are no longer asked, there is nothing left to judge.
#[test]
fn an_alert_about_an_output_buffer_ends_when_buffers_are_no_longer_asked_for() {
    let yaml = format!("poll: {{output_buffers: true}}\n{YAML}");
    let mut stage = Stage::new();
    stage.restart(1, &yaml).buffered = Some(900);
    stage.until(7).buffered = None;
    assert_eq!(stage.states(Rule::OutputBuffer), [AlertState::Firing]);
    stage.restart(1, YAML).until(14);
    let states = stage.states(Rule::OutputBuffer);
    assert!(!states.contains(&AlertState::Firing), "{states:?}");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    const SERVERS: [&str; 4] = ["m", "r", "n", "s"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever happens to servers and to the exporter, no server is reported as silent for
        /// longer than it was, nor one that has answered.
        #[test]
        fn no_server_is_reported_as_silent_for_longer_than_it_was(
            steps in proptest::collection::vec((1_i64..40, 0_usize..16, 0_u8..4, 1_i64..90), 1..8)
        ) {
            let mut stage = Stage::new();
            for (seconds, silent, end, gap) in steps {
                let is_silent = |(n, _): &(usize, &&str)| silent & (1 << n) != 0;
                let silent = SERVERS.iter().enumerate().filter(is_silent);
                stage.silent = silent.map(|(_, server)| *server).collect();
                for _ in 0..seconds {
                    stage.until(stage.second + 1);
                    for (server, seconds) in stage.blamed() {
                        if !stage.is_judged(&server) {
                            continue; // it stays as it was
                        }
                        let since = stage.answered.get(&server).copied().unwrap_or(0);
                        prop_assert!(seconds <= stage.second - since + 1, "{server} {seconds} {since}");
                        let silent = stage.silent.iter().any(|silent| server.starts_with(silent));
                        prop_assert!(silent, "{server} answers");
                    }
                }
                match end {
                    0 => {
                        stage.restart(gap, YAML);
                    }
                    1 => stage.second += gap,
                    _ => {}
                }
            }
        }
    }
}
