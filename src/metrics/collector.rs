//! One scrape: everything in the catalogue that the snapshot knows.

use prometheus::proto::MetricFamily;

use super::catalogue as c;
use super::sentinels;
use super::sheet::{Labels, Sheet, label, with};
use crate::alert::AlertState;
use crate::info::Role;
use crate::model::{Bytes, ClockAnchor, Span, Timestamp, WallTime};
use crate::monitor::{
    EntryFailovers, FleetSnapshot, PairSnapshot, ReceiverSnapshot, ServerSnapshot,
};
use crate::replication::{Assessment, Diverged, PairState, RestartProofCounter};
use crate::store::{StoreOperation, StoreStatus};
use crate::topology::SourceHealth;

/// The families of `snapshot` at the instant `now`.
pub fn collect(snapshot: &FleetSnapshot, now: Timestamp) -> Vec<MetricFamily> {
    let mut sheet = Sheet::default();
    for pair in &snapshot.pairs {
        of_pair(&mut sheet, pair, snapshot.anchor, now);
    }
    for failovers in &snapshot.failovers {
        of_entry(&mut sheet, failovers);
    }
    for server in &snapshot.servers {
        of_server(&mut sheet, server, snapshot.anchor);
    }
    for source in &*snapshot.sources {
        match source {
            SourceHealth::Sentinels(group) => sentinels::of_group(&mut sheet, group),
        }
    }
    of_histograms(&mut sheet, snapshot);
    of_alerts(&mut sheet, snapshot);
    for receiver in &snapshot.receivers {
        of_receiver(&mut sheet, receiver, snapshot.anchor, now);
    }
    of_exporter(&mut sheet, snapshot);
    sheet.into_families()
}

fn of_pair(sheet: &mut Sheet, pair: &PairSnapshot, anchor: ClockAnchor, now: Timestamp) {
    let labels = pair_labels(pair);
    let seen = pair.assess(now);
    let configured = pair
        .meta
        .labels
        .iter()
        .map(|(name, value)| label(name, value));
    let info = with(&labels, "master", &pair.meta.master.to_string())
        .into_iter()
        .chain(configured)
        .collect();
    sheet.value(&c::PAIR_INFO, &info, Some(1.0));
    lag_of_pair(sheet, &labels, pair, &seen, anchor);
    link_of_pair(sheet, &labels, &seen);
    sync_of_pair(sheet, &labels, pair, now);
    let loss = pair.facts.loss.as_ref();
    let is_lost = loss.is_some_and(|loss| !loss.is_over(now));
    sheet.value(&c::HISTORY_LOST, &labels, is_lost.then_some(1.0));
    raw_signals_of_pair(sheet, &labels, pair);
    heartbeats_of_pair(sheet, &labels, pair, now);
    for threshold in pair.thresholds() {
        let head = vec![
            label("rule", threshold.rule.label()),
            label("severity", threshold.severity),
        ];
        let all = head.into_iter().chain(labels.iter().cloned()).collect();
        sheet.value(&c::ALERT_THRESHOLD, &all, Some(threshold.value));
    }
}

fn lag_of_pair(
    sheet: &mut Sheet,
    labels: &Labels,
    pair: &PairSnapshot,
    seen: &Assessment,
    anchor: ClockAnchor,
) {
    let at = |t: Timestamp| anchor.wall(t).as_secs_f64();
    let known = seen.last_known;
    let values = [
        (&c::LAG_SECONDS, seen.lag.estimate.map(Span::as_secs_f64)),
        (&c::LAG_LOWER_SECONDS, seen.lag.lower.map(Span::as_secs_f64)),
        (&c::LAG_UPPER_SECONDS, seen.lag.upper.map(Span::as_secs_f64)),
        (
            &c::LAG_MAX_SECONDS,
            pair.lag_max.max(seen.lag.estimate).map(Span::as_secs_f64),
        ),
        (&c::LAG_SAMPLE_TIMESTAMP, seen.sampled_at.map(at)),
        (&c::LAG_BYTES, seen.bytes.estimate.map(Bytes::as_f64)),
        (&c::LAG_LOWER_BYTES, seen.bytes.lower.map(Bytes::as_f64)),
        (&c::LAG_UPPER_BYTES, seen.bytes.upper.map(Bytes::as_f64)),
        (&c::LAST_KNOWN_SECONDS, known.map(|k| k.upper.as_secs_f64())),
        (
            &c::LAST_KNOWN_BYTES,
            known.and_then(|k| k.upper_bytes).map(Bytes::as_f64),
        ),
        (&c::LAST_KNOWN_TIMESTAMP, known.map(|k| at(k.at))),
        (
            &c::REPLICATION_BYTES,
            pair.facts.applied_total.map(|total| total as f64),
        ),
        (
            &c::BACKLOG_HEADROOM_BYTES,
            seen.backlog_headroom.map(Bytes::as_f64),
        ),
    ];
    for (metric, value) in values {
        sheet.value(metric, labels, value);
    }
}

fn link_of_pair(sheet: &mut Sheet, labels: &Labels, seen: &Assessment) {
    let up = seen.state == PairState::Streaming;
    sheet.value(&c::LINK_UP, labels, Some(f64::from(u8::from(up))));
    let states = PairState::ALL.map(|state| (state.label(), state == seen.state));
    sheet.state_set(&c::LINK_STATE, labels, "state", states);
    sheet.value(
        &c::LINK_DOWN_SECONDS,
        labels,
        seen.link_down_for.map(Span::as_secs_f64),
    );
    let diverged = seen.diverged;
    sheet.value(
        &c::DIVERGED_BYTES,
        labels,
        diverged.map(|diverged| diverged.older().as_f64()),
    );
    for (side, bytes) in [
        ("master", diverged.and_then(Diverged::master)),
        ("replica", diverged.map(Diverged::replica)),
    ] {
        sheet.value(
            &c::DIVERGED_SIDE_BYTES,
            &with(labels, "side", side),
            bytes.map(Bytes::as_f64),
        );
    }
}

/// How long a full sync that is under way has made no progress.
fn sync_of_pair(sheet: &mut Sheet, labels: &Labels, pair: &PairSnapshot, now: Timestamp) {
    let link = &pair.facts.link;
    let progress = link.sync_progress_at.filter(|_| link.syncing);
    let age = progress.map(|at| (now - at).or_zero().as_secs_f64());
    sheet.value(&c::SYNC_PROGRESS_AGE, labels, age);
}

/// The raw signals, as the servers told them last; a server that is silent tells nothing.
fn raw_signals_of_pair(sheet: &mut Sheet, labels: &Labels, pair: &PairSnapshot) {
    if pair.replica.facts.is_up() {
        sheet.value(
            &c::LAST_IO_SECONDS,
            labels,
            pair.facts.link.last_io.map(Span::as_secs_f64),
        );
        sheet.value(
            &c::UNAPPLIED_BYTES,
            labels,
            pair.facts.link.unapplied.map(Bytes::as_f64),
        );
    }
    if pair.master.facts.is_up() {
        let age = pair.facts.ack.last.and_then(|ack| ack.age);
        sheet.value(&c::ACK_AGE_SECONDS, labels, age.map(Span::as_secs_f64));
        sheet.value(
            &c::ACK_LAG_BYTES,
            labels,
            pair.facts.ack.lag.map(Bytes::as_f64),
        );
    }
}

/// What the newest heartbeats say; nothing for a pair without any.
fn heartbeats_of_pair(sheet: &mut Sheet, labels: &Labels, pair: &PairSnapshot, now: Timestamp) {
    let Some(interval) = pair.meta.heartbeat else {
        return;
    };
    let beats = &pair.facts.heartbeats;
    let delay = beats.delay(interval, now);
    sheet.value(&c::HEARTBEATS, labels, Some(beats.arrived as f64));
    sheet.value(
        &c::HEARTBEAT_UP,
        labels,
        Some(f64::from(u8::from(delay.is_some()))),
    );
    sheet.value(&c::HEARTBEAT_DELAY, labels, delay.map(Span::as_secs_f64));
}

fn of_entry(sheet: &mut Sheet, failovers: &EntryFailovers) {
    let labels = vec![label("pair", failovers.pair.as_str())];
    sheet.value(&c::FAILOVERS, &labels, Some(failovers.total as f64));
    let lost = failovers
        .last
        .as_ref()
        .and_then(|failover| failover.loss.exactly());
    sheet.value(&c::FAILOVER_LOST_BYTES, &labels, lost.map(Bytes::as_f64));
}

fn of_server(sheet: &mut Sheet, server: &ServerSnapshot, anchor: ClockAnchor) {
    let labels = vec![
        label("dc", server.meta.dc.as_str()),
        label("server", &server.meta.addr.to_string()),
    ];
    let facts = &server.facts;
    sheet.value(
        &c::SERVER_UP,
        &labels,
        facts.up().map(|up| f64::from(u8::from(up))),
    );
    if let Some(claimed) = facts.role {
        let roles = [Role::Master, Role::Replica].map(|role| (role.label(), role == claimed));
        sheet.state_set(&c::SERVER_ROLE, &labels, "role", roles);
    }
    if let Some(engine) = facts.engine {
        let named = with(&labels, "engine", engine.label());
        let version = facts.version.as_deref().unwrap_or("unknown");
        sheet.value(
            &c::SERVER_INFO,
            &with(&named, "version", version),
            Some(1.0),
        );
    }
    let total = |counter: &RestartProofCounter| counter.total().map(|total| total as f64);
    sheet.value(&c::FULL_SYNCS, &labels, total(&facts.full_syncs));
    for (result, counter) in [
        ("ok", &facts.partial_syncs_ok),
        ("denied", &facts.partial_syncs_denied),
    ] {
        sheet.value(
            &c::PARTIAL_SYNCS,
            &with(&labels, "result", result),
            total(counter),
        );
    }
    for (reason, count) in &server.errors {
        sheet.value(
            &c::POLL_ERRORS,
            &with(&labels, "reason", reason.label()),
            Some(*count as f64),
        );
    }
    if let Some(fault) = facts.fault() {
        sheet.value(
            &c::EXPORTER_FAULT,
            &with(&labels, "reason", fault.reason.label()),
            Some(1.0),
        );
    }
    for (reason, count) in &server.heartbeat_errors {
        sheet.value(
            &c::HEARTBEAT_ERRORS,
            &with(&labels, "reason", reason.label()),
            Some(*count as f64),
        );
    }
    sheet.value(&c::POLLS, &labels, Some(server.polls as f64));
    sheet.value(&c::POLLS_SKIPPED, &labels, Some(server.skipped as f64));
    let last = facts
        .last_answer
        .map(|(_, received)| anchor.wall(received).as_secs_f64());
    sheet.value(&c::POLL_LAST_SUCCESS, &labels, last);
    sheet.value(
        &c::HISTORY_RECORDS,
        &labels,
        server.history.map(|history| history.records as f64),
    );
    sheet.value(
        &c::HISTORY_EPSILON,
        &labels,
        server.history.map(|history| history.epsilon),
    );
}

fn of_histograms(sheet: &mut Sheet, snapshot: &FleetSnapshot) {
    for ((source, target), histogram) in &snapshot.lag_distribution {
        let labels = vec![
            label("source_dc", source.as_str()),
            label("target_dc", target.as_str()),
        ];
        sheet.histogram(&c::LAG_DISTRIBUTION, &labels, histogram);
    }
    for ((operation, dc), histogram) in &snapshot.latency {
        let labels = vec![
            label("operation", operation.label()),
            label("dc", dc.as_str()),
        ];
        sheet.histogram(&c::LATENCY, &labels, histogram);
    }
    for (dc, histogram) in &snapshot.lateness {
        sheet.histogram(
            &c::POLL_LATENESS,
            &vec![label("dc", dc.as_str())],
            histogram,
        );
    }
}

fn of_alerts(sheet: &mut Sheet, snapshot: &FleetSnapshot) {
    for listed in &snapshot.alerts {
        let state = match listed.state {
            AlertState::Pending => "pending",
            AlertState::Firing | AlertState::Recovering => "firing",
            AlertState::Resolved => continue,
        };
        let identity = &listed.alert.identity;
        let head = [
            label("alertname", identity.rule.alert_name()),
            label("severity", listed.alert.severity.label()),
            label("state", state),
        ];
        let target = identity
            .labels
            .iter()
            .map(|(name, value)| label(name, value));
        sheet.value(
            &c::ALERTS,
            &head.into_iter().chain(target).collect(),
            Some(1.0),
        );
    }
}

fn of_receiver(
    sheet: &mut Sheet,
    receiver: &ReceiverSnapshot,
    anchor: ClockAnchor,
    now: Timestamp,
) {
    let labels = vec![label("receiver", &receiver.name)];
    sheet.value(&c::NOTIFICATIONS, &labels, Some(receiver.attempts() as f64));
    for (reason, count) in &receiver.failed {
        sheet.value(
            &c::NOTIFICATIONS_FAILED,
            &with(&labels, "reason", reason.label()),
            Some(*count as f64),
        );
    }
    for (reason, count) in &receiver.suppressed {
        sheet.value(
            &c::NOTIFICATIONS_SUPPRESSED,
            &with(&labels, "reason", reason.label()),
            Some(*count as f64),
        );
    }
    sheet.histogram(&c::NOTIFICATION_LATENCY, &labels, &receiver.latency);
    let last = receiver
        .last_success
        .map(|at| anchor.wall(at).as_secs_f64());
    sheet.value(&c::NOTIFICATION_LAST_SUCCESS, &labels, last);
    sheet.value(&c::OUTBOX_DEPTH, &labels, Some(receiver.queue.depth as f64));
    sheet.value(
        &c::OUTBOX_OLDEST,
        &labels,
        receiver
            .queue
            .oldest
            .map(|at| (now - at).or_zero().as_secs_f64()),
    );
    let open = receiver
        .queue
        .circuit_until
        .is_some_and(|until| until > now);
    sheet.value(&c::CIRCUIT_OPEN, &labels, Some(f64::from(u8::from(open))));
    sheet.value(&c::DEAD_LETTERS, &labels, Some(receiver.queue.dead as f64));
}

fn of_exporter(sheet: &mut Sheet, snapshot: &FleetSnapshot) {
    let build = vec![
        label("version", env!("CARGO_PKG_VERSION")),
        label("rustc", env!("RUSTC_VERSION")),
    ];
    sheet.value(&c::BUILD_INFO, &build, Some(1.0));
    let none = Vec::new();
    let isolated = snapshot
        .isolation()
        .lasts()
        .map(|lasts| f64::from(u8::from(lasts > Span::ZERO)));
    sheet.value(&c::MONITOR_ISOLATED, &none, isolated);
    sheet.value(
        &c::POLL_EVENTS_DROPPED,
        &none,
        Some(snapshot.losses.dropped_events as f64),
    );
    sheet.value(
        &c::POLL_ROUNDS_MISSED,
        &none,
        Some(snapshot.losses.missed_rounds as f64),
    );
    sheet.value(
        &c::RELOAD_SUCCESSFUL,
        &none,
        Some(f64::from(u8::from(snapshot.reload.failure.is_none()))),
    );
    sheet.value(
        &c::RELOAD_TIMESTAMP,
        &none,
        Some(snapshot.reload.last_success.as_secs_f64()),
    );
}

/// The family about the web configuration, which is not the fleet's.
pub fn web_config(successful: bool) -> Vec<MetricFamily> {
    let mut sheet = Sheet::default();
    sheet.value(
        &c::WEB_CONFIG_SUCCESSFUL,
        &Vec::new(),
        Some(f64::from(u8::from(successful))),
    );
    sheet.into_families()
}

/// The family about the program's own tasks, where they are known.
pub fn tasks(alive: Option<usize>) -> Vec<MetricFamily> {
    let mut sheet = Sheet::default();
    sheet.value(&c::TASKS, &Vec::new(), alive.map(|alive| alive as f64));
    sheet.into_families()
}

/// The families about the durable state, which are not the fleet's either.
pub fn state_store(status: StoreStatus) -> Vec<MetricFamily> {
    let mut sheet = Sheet::default();
    let none = Vec::new();
    sheet.value(
        &c::STATE_STORE_UP,
        &none,
        Some(f64::from(u8::from(status.up))),
    );
    for operation in StoreOperation::ALL {
        let labels = vec![label("operation", operation.label())];
        sheet.value(
            &c::STATE_STORE_ERRORS,
            &labels,
            Some(status.errors(operation) as f64),
        );
    }
    sheet.value(
        &c::STATE_STORE_LAST_COMMIT,
        &none,
        status.last_commit.map(WallTime::as_secs_f64),
    );
    sheet.value(&c::STATE_STORE_WRITTEN, &none, Some(status.written as f64));
    sheet.into_families()
}

fn pair_labels(pair: &PairSnapshot) -> Labels {
    let meta = &pair.meta;
    vec![
        label("pair", meta.key.name.as_str()),
        label("source_dc", meta.source_dc.as_str()),
        label("target_dc", meta.target_dc.as_str()),
        label("replica", &meta.key.replica.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::settings_of;
    use crate::metrics::catalogue::ALL;
    use crate::model::{PollError, ServerAddr};
    use crate::monitor::{Monitor, PollEvent, PollEventKind, PollLosses};
    use crate::topology::Topology;

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
        super::super::encode(&collect(&monitor.snapshot(anchor(millis)), at(millis))).unwrap()
    }

    fn value(text: &str, name: &str) -> Option<f64> {
        let line = text.lines().find(|l| {
            l.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        })?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    #[test]
    fn nothing_is_known_before_the_first_poll_and_no_number_is_shown() {
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
    fn a_lost_master_leaves_the_last_statement_and_no_lag() {
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
    fn every_family_is_declared_and_no_value_is_negative_or_no_number() {
        let mut monitor = monitor();
        answer(&mut monitor, "m:1", MASTER, 0);
        for family in collect(&monitor.snapshot(anchor(50)), at(50)) {
            let declared = ALL.iter().find(|m| m.name == family.name());
            let declared =
                declared.unwrap_or_else(|| panic!("{} is not in the catalogue", family.name()));
            for series in family.get_metric() {
                let names: Vec<_> = series
                    .get_label()
                    .iter()
                    .map(prometheus::proto::LabelPair::name)
                    .collect();
                assert!(
                    names.starts_with(declared.labels),
                    "{}: {names:?}",
                    family.name()
                );
                assert!(series.get_gauge().get_value() >= 0.0);
            }
        }
    }

    #[test]
    fn heartbeats_are_shown_where_they_are_asked_for_and_their_delay_while_they_come() {
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
        monitor.record_poll_losses(PollLosses {
            dropped_events: 3,
            missed_rounds: 7,
        });
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
}
