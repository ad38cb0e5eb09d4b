//! Scrapes of a monitor that was given answers.

use super::catalogue::{ALL, Metric};
use super::servers::add_sentinels;
use super::switches::{SERIES_OF_A_PAIR, SERIES_OF_A_SERVER, SERIES_OF_AN_ENTRY, switch_of};
use super::*;
use crate::config::testing::settings_of;
use crate::config::{MetricsSettings, Settings, ShownStates, ShownThresholds};
use crate::info::QuorumCheck;
use crate::model::{ClockAnchor, Datacenter, PairName, PollError, ServerAddr, Span, WallTime};
use crate::monitor::{Monitor, PollCounts, PollEvent, PollEventKind, thresholds_of};
use crate::topology::{SentinelGroup, SentinelState, Topology};

const MASTER: &str = include_str!("../../tests/fixtures/info/redis-7.0/master_info_all.txt");
const REPLICA: &str = include_str!("../../tests/fixtures/info/redis-7.0/replica_info_all.txt");

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

fn anchor(millis: i64) -> ClockAnchor {
    ClockAnchor {
        mono: at(millis),
        wall: WallTime::from_nanos(1_700_000_000_000_000_000),
    }
}

fn monitor() -> Monitor {
    let settings = settings_of(&[("orders", "m:1", &["r:1"])]);
    Monitor::new(&settings, &Topology::from_settings(&settings), anchor(0))
}

fn answer(monitor: &mut Monitor, server: &str, text: &str, millis: i64) {
    let kind = PollEventKind::Answered {
        sent: at(millis),
        received: at(millis + 2),
        observation: Box::new(crate::info::parse(text).unwrap()),
        late: Span::ZERO,
    };
    monitor.handle_poll(PollEvent {
        server: ServerAddr::parse(server).unwrap(),
        kind,
    });
}

fn scrape(monitor: &Monitor, millis: i64) -> String {
    scrape_with(monitor, &Exposition::default(), millis)
}

fn scrape_with(monitor: &Monitor, exposition: &Exposition, millis: i64) -> String {
    let snapshot = monitor.snapshot(anchor(millis));
    collect(&snapshot, at(millis), exposition).to_text()
}

/// A monitor whose pair is healthy.
fn healthy(settings: &Settings) -> Monitor {
    let mut monitor = Monitor::new(settings, &Topology::from_settings(settings), anchor(0));
    for (server, text, millis) in [
        ("m:1", MASTER, 0),
        ("r:1", REPLICA, 10),
        ("m:1", MASTER, 20),
    ] {
        answer(&mut monitor, server, text, millis);
    }
    monitor
}

fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|l| {
        l.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn before_the_first_poll_no_value_is_shown() {
    let text = scrape(&monitor(), 0);
    assert!(text.contains("redis_cross_dc_link_state{pair=\"orders\",source_dc=\"unknown\",target_dc=\"unknown\",replica=\"r:1\",state=\"unknown\"} 1"));
    assert_eq!(value(&text, "redis_cross_dc_pair_info"), Some(1.0));
    assert_eq!(value(&text, "redis_cross_dc_link_up"), Some(0.0));
    for absent in [
        "replication_lag_seconds",
        "replication_lag_bytes",
        "server_up",
        "replication_bytes_total",
    ] {
        assert_eq!(
            value(&text, &format!("redis_cross_dc_{absent}")),
            None,
            "{absent}"
        );
    }
}

#[test]
fn a_healthy_pair_shows_its_lag_and_both_servers() {
    let mut monitor = monitor();
    for (server, text, millis) in [
        ("m:1", MASTER, 0),
        ("r:1", REPLICA, 10),
        ("m:1", MASTER, 20),
    ] {
        answer(&mut monitor, server, text, millis);
    }
    let text = scrape(&monitor, 30);
    assert_eq!(
        value(&text, "redis_cross_dc_replication_lag_seconds"),
        Some(0.0)
    );
    assert_eq!(
        value(&text, "redis_cross_dc_replication_lag_bytes"),
        Some(0.0)
    );
    assert_eq!(value(&text, "redis_cross_dc_link_up"), Some(1.0));
    assert!(text.contains(
        "redis_cross_dc_server_info{dc=\"unknown\",server=\"m:1\",engine=\"redis\",version=\"7.0.15\"} 1"
    ));
    assert!(text.contains("state=\"streaming\"} 1"));
}

#[test]
fn a_lost_master_leaves_the_last_known_lag_and_no_current_one() {
    let mut monitor = monitor();
    for (server, text, millis) in [
        ("m:1", MASTER, 0),
        ("r:1", REPLICA, 10),
        ("m:1", MASTER, 20),
    ] {
        answer(&mut monitor, server, text, millis);
    }
    for millis in [1000, 2000] {
        let (began, at) = (at(millis), at(millis + 1));
        let kind = PollEventKind::Failed {
            began,
            at,
            error: PollError::Refused.into(),
            late: Span::ZERO,
        };
        monitor.handle_poll(PollEvent {
            server: ServerAddr::parse("m:1").unwrap(),
            kind,
        });
        answer(&mut monitor, "r:1", REPLICA, millis + 10);
    }
    let text = scrape(&monitor, 2100);
    assert_eq!(value(&text, "redis_cross_dc_replication_lag_seconds"), None);
    assert_eq!(
        value(&text, "redis_cross_dc_last_known_lag_upper_seconds"),
        Some(0.0)
    );
    assert!(text.contains("state=\"master_unreachable\"} 1"));
    assert!(text.contains(
        "redis_cross_dc_poll_errors_total{dc=\"unknown\",server=\"m:1\",reason=\"refused\"} 2"
    ));
}

#[test]
fn every_series_has_its_declared_labels_and_no_value_is_negative_or_no_number() {
    let settings = with_everything();
    let monitor = healthy(&settings);
    let text = scrape_with(&monitor, &Exposition::new(&settings), 50);
    let mut declared: Option<&Metric> = None;
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("# TYPE ") {
            let (name, kind) = header.split_once(' ').unwrap();
            let metric = ALL.iter().find(|metric| metric.name == name);
            let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
            assert_eq!(kind, metric.kind.label(), "{line}");
            declared = Some(metric);
        }
        if line.starts_with('#') {
            continue;
        }
        let metric = declared.unwrap();
        let (series, value) = line.rsplit_once(' ').unwrap();
        let rest = series.strip_prefix(metric.name).unwrap();
        let expected: String = match metric.labels {
            [] => String::new(),
            [first, ..] => format!("{{{first}=\""),
        };
        assert!(
            rest.starts_with(&expected) || rest.starts_with('_'),
            "{line}"
        );
        for label in metric.labels {
            assert!(series.contains(&format!("{label}=\"")), "{line}");
        }
        assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
    }
}

#[test]
fn heartbeats_are_shown_where_configured_and_their_delay_while_they_arrive() {
    use crate::model::{HeartbeatError, RunId};
    use crate::monitor::HeartbeatEvent;
    use crate::replication::ReceivedHeartbeat;

    let mut settings = settings_of(&[("orders", "m:1", &["r:1"])]);
    assert!(!scrape(&monitor(), 0).contains("redis_cross_dc_heartbeat"));
    settings.pairs[0].heartbeat.enabled = true;
    let mut monitor = Monitor::new(&settings, &Topology::from_settings(&settings), anchor(0));
    let shown = |monitor: &Monitor, millis| {
        let text = scrape(monitor, millis);
        [
            "heartbeats_total",
            "heartbeat_up",
            "heartbeat_delay_seconds",
            "heartbeat_errors_total",
        ]
        .map(|name| value(&text, &format!("redis_cross_dc_{name}")))
    };
    assert_eq!(shown(&monitor, 0), [Some(0.0), Some(0.0), None, None]);
    let server = ServerAddr::parse("r:1").unwrap();
    let life = |name| RunId::parse(name).unwrap();
    let beat = ReceivedHeartbeat {
        sent: at(1000),
        received: at(1250),
        master: life("m"),
        replica: life("r"),
    };
    let top = ServerAddr::parse("m:1").unwrap();
    let error = HeartbeatError::ClusterMode;
    for event in [
        HeartbeatEvent::Arrived { top, beat },
        HeartbeatEvent::Failed { error },
    ] {
        monitor.handle_poll(PollEvent {
            server: server.clone(),
            kind: PollEventKind::Heartbeat(event),
        });
    }
    assert_eq!(
        shown(&monitor, 2000),
        [Some(1.0), Some(1.0), Some(0.25), Some(1.0)]
    );
    assert_eq!(
        shown(&monitor, 9000),
        [Some(1.0), Some(0.0), None, Some(1.0)]
    );
    assert!(scrape(&monitor, 0).contains("server=\"r:1\",reason=\"cluster_mode\"} 1"));
}

#[test]
fn what_polling_lost_is_counted_from_the_start() {
    let mut monitor = monitor();
    assert_eq!(
        value(
            &scrape(&monitor, 0),
            "redis_cross_dc_poll_events_dropped_total"
        ),
        Some(0.0)
    );
    let polls = PollCounts {
        dropped_events: 3,
        missed_rounds: 7,
        interval: Span::from_secs(1),
        paced: Span::from_secs(1),
        ..PollCounts::default()
    };
    monitor.record_polls(polls, at(0));
    let text = scrape(&monitor, 0);
    assert_eq!(
        value(&text, "redis_cross_dc_poll_events_dropped_total"),
        Some(3.0)
    );
    assert_eq!(
        value(&text, "redis_cross_dc_poll_rounds_missed_total"),
        Some(7.0)
    );
}

#[test]
fn label_values_are_escaped() {
    let mut settings = settings_of(&[("a\"b\\c\nd", "m:1", &["r:1"])]);
    settings.notify.receivers.clear();
    let monitor = Monitor::new(&settings, &Topology::from_settings(&settings), anchor(0));
    assert!(scrape(&monitor, 0).contains(r#"pair="a\"b\\c\nd""#));
}

fn check_sentinel(sentinel: SentinelState, expected: &[&str]) {
    let group = SentinelGroup {
        pair: PairName::new("p"),
        master: None,
        sentinels: vec![sentinel],
        risks: Vec::new(),
        placement_known: false,
    };
    let mut families = Families::default();
    add_sentinels(&mut families, &group);
    let text = families.to_text();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|one| {
            let (name, value) = one.split_once(' ').unwrap();
            format!(r#"redis_cross_dc_sentinel_{name}{{pair="p",dc="a",server="s:1"}} {value}"#)
        })
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn what_a_sentinel_does_not_report_is_absent() {
    let fresh = SentinelState {
        addr: ServerAddr::new("s", 1),
        dc: Datacenter::new("a"),
        answer: None,
        quorum: None,
        agrees: None,
        tilted: None,
    };
    check_sentinel(fresh.clone(), &[]);
    check_sentinel(
        SentinelState {
            answer: Some(Err(PollError::Timeout.into())),
            ..fresh.clone()
        },
        &["up 0"],
    );
    check_sentinel(
        SentinelState {
            answer: Some(Ok(())),
            tilted: Some(true),
            ..fresh.clone()
        },
        &["tilt 1", "up 1"],
    );
    check_sentinel(
        SentinelState {
            answer: Some(Ok(())),
            quorum: Some(QuorumCheck::NotReached),
            agrees: Some(true),
            ..fresh
        },
        &["agrees 1", "quorum_ok 0", "up 1"],
    );
}

/// The replica's answer during a full sync, `down` seconds after its link went down; -1 for a
/// replica whose link was never up.
fn syncing_replica(down: i64) -> String {
    let link = format!(
        "master_link_status:down\r\nmaster_link_down_since_seconds:{down}\r\n\
         master_sync_left_bytes:5\r\nmaster_sync_total_bytes:10\r\nmaster_sync_read_bytes:5"
    );
    REPLICA
        .replace("master_link_status:up", &link)
        .replace("master_sync_in_progress:0", "master_sync_in_progress:1")
}

#[test]
fn the_time_that_a_link_is_down_continues_during_a_full_sync() {
    for (down, expected) in [(42, Some(42.02)), (-1, None)] {
        let mut monitor = monitor();
        answer(&mut monitor, "m:1", MASTER, 0);
        answer(&mut monitor, "r:1", &syncing_replica(down), 10);
        answer(&mut monitor, "m:1", MASTER, 20);
        let text = scrape(&monitor, 30);
        assert!(text.contains("state=\"full_sync\"} 1"), "{text}");
        assert_eq!(
            value(&text, "redis_cross_dc_link_down_seconds"),
            expected,
            "down for {down}"
        );
    }
}

#[test]
fn the_build_has_a_version_a_revision_and_a_compiler() {
    let text = scrape(&monitor(), 0);
    let line = text
        .lines()
        .find(|line| line.starts_with("redis_cross_dc_exporter_build_info{"))
        .unwrap();
    let revision = env!("BUILD_REVISION");
    assert!(!revision.is_empty());
    assert!(line.contains(&format!("revision=\"{revision}\"")), "{line}");
}

/// Settings that show every series.
fn with_everything() -> Settings {
    let mut settings = settings_of(&[("orders", "m:1", &["r:1"])]);
    settings.metrics = MetricsSettings {
        raw_signals: true,
        states: ShownStates::All,
        thresholds: ShownThresholds::On,
        diagnostics: true,
    };
    settings
}

fn series(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.collect()
}

/// The lines of the series that a pair, its entry or one of its servers has.
fn series_of_pairs(text: &str) -> Vec<&str> {
    let mut found = series(text);
    found.retain(|line| line.contains("pair=\"") || line.contains("server=\""));
    found
}

#[test]
fn a_healthy_pair_has_as_many_series_as_the_documentation_says() {
    let settings = settings_of(&[("orders", "m:1", &["r:1"])]);
    let monitor = healthy(&settings);
    let text = scrape_with(&monitor, &Exposition::new(&settings), 30);
    let all = series_of_pairs(&text);
    let count = |label: &str| all.iter().filter(|line| line.contains(label)).count();
    assert_eq!(count("replica=\"r:1\""), SERIES_OF_A_PAIR, "{all:#?}");
    for server in ["server=\"m:1\"", "server=\"r:1\""] {
        assert_eq!(count(server), SERIES_OF_A_SERVER, "{all:#?}");
    }
    let expected = SERIES_OF_A_PAIR + SERIES_OF_AN_ENTRY + 2 * SERIES_OF_A_SERVER;
    assert_eq!(all.len(), expected, "{all:#?}");
    assert!(all.len() <= 35, "the most that a pair may have by default");
}

#[test]
fn every_switch_adds_what_the_documentation_says() {
    let by_default = settings_of(&[("orders", "m:1", &["r:1"])]);
    let monitor = healthy(&by_default);
    let count = |change: fn(&mut MetricsSettings)| {
        let mut settings = by_default.clone();
        change(&mut settings.metrics);
        let text = scrape_with(&monitor, &Exposition::new(&settings), 30);
        series(&text).len()
    };
    let base = count(|_| ());
    let defaults = thresholds_of(&by_default.alerts).len();
    assert_eq!(defaults, 12);
    assert_eq!(count(|shown| shown.raw_signals = true), base + 4);
    assert_eq!(
        count(|shown| shown.states = ShownStates::All),
        base + 10 + 2
    );
    assert_eq!(
        count(|shown| shown.thresholds = ShownThresholds::On),
        base + 12
    );
    assert_eq!(
        count(|shown| shown.thresholds = ShownThresholds::Off),
        base - 12
    );
    assert_eq!(count(|shown| shown.diagnostics = true), base + 2 + 2);
}

#[test]
fn the_metrics_behind_a_switch_are_absent_without_it() {
    let settings = with_everything();
    let monitor = healthy(&settings);
    let all = scrape_with(&monitor, &Exposition::new(&settings), 30);
    let by_default = scrape(&monitor, 30);
    let mut switched = 0;
    for metric in ALL.iter().filter(|metric| switch_of(metric).is_some()) {
        assert!(value(&all, metric.name).is_some(), "{}", metric.name);
        assert_eq!(value(&by_default, metric.name), None, "{}", metric.name);
        switched += 1;
    }
    assert_eq!(switched, 7);
}

#[test]
fn thresholds_are_exported_where_a_pair_differs_from_the_default() {
    let mut settings = settings_of(&[("orders", "m:1", &["r:1"])]);
    let rules = &mut settings.pairs[0].alerts;
    rules.lag_seconds.warning = rules.lag_seconds.warning.map(|mut level| {
        level.at = Span::from_secs(7);
        level
    });
    rules.link_down.critical = None;
    let monitor = healthy(&settings);
    let text = scrape_with(&monitor, &Exposition::new(&settings), 30);
    let mut own = series(&text);
    own.retain(|line| line.starts_with("redis_cross_dc_alert_threshold"));
    let pair = r#"pair="orders",source_dc="unknown",target_dc="unknown",replica="r:1""#;
    let line = |level: &str, value: &str| {
        format!("redis_cross_dc_alert_threshold{{{level},{pair}}} {value}")
    };
    let expected = [
        line(r#"rule="lag_seconds",severity="warning""#, "7"),
        line(r#"rule="link_down",severity="critical""#, "+Inf"),
    ];
    assert_eq!(own, expected);
    let default =
        r#"redis_cross_dc_alert_default_threshold{rule="lag_seconds",severity="warning"} 30"#;
    assert!(text.contains(default), "{text}");
}
