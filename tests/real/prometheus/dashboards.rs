//! The queries of the dashboards.

use std::collections::BTreeSet;

use redis_cross_dc_exporter::metrics::catalogue;
use serde_json::{Value, json};

use super::servers::{Prometheus, dashboards};

/// A query, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// The dashboard and the panel, for a person.
    pub(super) place: String,
    /// The dashboard's file, without its ending.
    dashboard: String,
    /// The panel's number; 0 for an annotation.
    panel: i64,
    /// The query's name in its panel.
    ref_id: String,
    /// Whether it asks for one instant.
    instant: bool,
    /// The expression, with every variable replaced by what stands for "all".
    pub(super) expr: String,
}

/// What is in queries that may have no result.
const MAY_BE_EMPTY: [&str; 15] = [
    "and on ()",
    "unless on ()",
    "web_config",
    "redis_cross_dc_doctor_",
    "redis_cross_dc_drill_",
    "redis_cross_dc_operation_info",
    "redis_cross_dc_catch_up_seconds",
    "redis_cross_dc_sync_left_seconds",
    "redis_cross_dc_output_buffer_disconnect_seconds",
    "redis_cross_dc_evidence_expires_seconds",
    "redis_cross_dc_exporter_fault",
    "redis_cross_dc_link_flaps_total",
    "redis_cross_dc_lost_writes",
    "redis_cross_dc_sync_attempts",
    "redis_cross_dc_notification_",
];

/// Metrics that no panel shows, and why.
const IN_NO_PANEL: [(&str, &str); 31] = [
    (
        "redis_cross_dc_discovery_file_ok",
        "few fleets have pair files; the page lists them, and a rule of one's own needs no panel",
    ),
    (
        "redis_cross_dc_discovery_file_fault",
        "as redis_cross_dc_discovery_file_ok",
    ),
    (
        "redis_cross_dc_discovery_file_pairs",
        "as redis_cross_dc_discovery_file_ok",
    ),
    (
        "redis_cross_dc_discovery_file_failures_total",
        "as redis_cross_dc_discovery_file_ok",
    ),
    (
        "redis_cross_dc_discovery_name_ok",
        "few fleets have DNS names; the page lists them",
    ),
    (
        "redis_cross_dc_discovery_name_addresses",
        "as redis_cross_dc_discovery_name_ok",
    ),
    (
        "redis_cross_dc_discovery_name_failures_total",
        "as redis_cross_dc_discovery_name_ok",
    ),
    (
        "redis_cross_dc_active_active_divergent_keys",
        "its bounds are shown, which are the same once it is known",
    ),
    (
        "redis_cross_dc_active_active_clock_skew_lower_seconds",
        "the estimate is shown; the alert says how certain it is",
    ),
    (
        "redis_cross_dc_active_active_clock_skew_upper_seconds",
        "the estimate is shown; the alert says how certain it is",
    ),
    (
        "redis_cross_dc_active_active_errors_total",
        "sites that do not answer are an alert, with the reason; this says how often it was which",
    ),
    (
        "redis_cross_dc_active_active_in_flight_keys",
        "what differs for good is shown; this differs for seconds on healthy sites",
    ),
    (
        "redis_cross_dc_active_active_keys_checked_total",
        "the looks of a scan, for those who tune its rate",
    ),
    (
        "redis_cross_dc_active_active_pass_last_success_timestamp_seconds",
        "without a pass nothing is known, which is an alert",
    ),
    (
        "redis_cross_dc_active_active_pass_seconds",
        "the time of a scan, for those who tune its rate",
    ),
    (
        "redis_cross_dc_active_active_probe_writes_total",
        "a probe that cannot be written is on the page, with the reason",
    ),
    (
        "redis_cross_dc_active_active_queue_overflow",
        "an overflow is an alert, and lasts until somebody ends it",
    ),
    (
        "redis_cross_dc_active_active_up",
        "sites that do not answer are an alert, and their panels are empty",
    ),
    (
        "redis_cross_dc_exporter_config_last_reload_success_timestamp_seconds",
        "whether the configuration is in force is shown, and since when is in the log",
    ),
    (
        "redis_cross_dc_exporter_tasks",
        "for the developers of the exporter: a leak would be seen in it",
    ),
    (
        "redis_cross_dc_heartbeat_errors_total",
        "a server that takes no part is seen in the heartbeats that come out of the replica",
    ),
    (
        "redis_cross_dc_notification_last_success_timestamp_seconds",
        "a receiver that fails is an alert, and the notifications that wait are shown",
    ),
    (
        "redis_cross_dc_notifications_suppressed_total",
        "what is not sent on purpose is no trouble; the page of the exporter names the silences",
    ),
    (
        "redis_cross_dc_offset_history_epsilon",
        "the precision of a table of the exporter, for its developers",
    ),
    (
        "redis_cross_dc_offset_history_records",
        "the size of a table of the exporter, for its developers",
    ),
    (
        "redis_cross_dc_polls_skipped_total",
        "the polling interval that is kept shows the same in seconds",
    ),
    (
        "redis_cross_dc_polls_total",
        "failed polls are shown; how many succeed is what the configuration asks for",
    ),
    (
        "redis_cross_dc_shard_info",
        "a fact of the configuration, for joins",
    ),
    (
        "redis_cross_dc_state_store_errors_total",
        "whether the state is kept is shown",
    ),
    (
        "redis_cross_dc_state_store_last_commit_timestamp_seconds",
        "whether the state is kept is shown",
    ),
    (
        "redis_cross_dc_state_store_written_bytes_total",
        "how much the exporter writes to its disk, for those who size it",
    ),
];

impl Query {
    /// Whether it is one of several of its panel that are never true together, or shows what this
    /// fleet does not have: a web configuration, audits, operations, drills, and trouble that lasts
    /// for seconds.
    pub(super) fn may_be_empty(&self) -> bool {
        MAY_BE_EMPTY.iter().any(|part| self.expr.contains(part))
    }
}

/// Where the test in tests/dashboards finds what Prometheus answered.
pub(super) const ANSWERS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/dashboard-answers.json");

/// What Prometheus answers to every query now: for the test that gives the answers to Grafana's own
/// code.
pub(super) async fn answers(prometheus: &Prometheus) -> Value {
    let mut answers = Vec::new();
    for query in queries() {
        let result = if query.instant {
            prometheus.query(&query.expr).await
        } else {
            prometheus.last_minutes(&query.expr).await
        };
        answers.push(json!({
            "dashboard": query.dashboard, "panel": query.panel, "refId": query.ref_id, "result": result,
        }));
    }
    Value::Array(answers)
}

/// Every query of every panel and annotation.
pub(super) fn queries() -> Vec<Query> {
    let files = std::fs::read_dir(dashboards())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .flat_map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(path).unwrap();
            of_dashboard(&name, &serde_json::from_str(&text).unwrap())
        })
        .collect()
}

fn of_dashboard(name: &str, dashboard: &Value) -> Vec<Query> {
    let title = dashboard["title"].as_str().unwrap();
    let query = |place: &str, panel: i64, target: &Value| {
        Some(Query {
            place: format!("{title}: {place}"),
            dashboard: name.to_owned(),
            panel,
            ref_id: target["refId"].as_str().unwrap_or_default().to_owned(),
            instant: target["instant"] == true,
            expr: filled_in(target["expr"].as_str()?),
        })
    };
    let mut queries = Vec::new();
    for panel in panels(&dashboard["panels"]) {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let place = panel["title"].as_str().unwrap();
        let number = panel["id"].as_i64().unwrap();
        queries.extend(
            targets
                .iter()
                .filter_map(|target| query(place, number, target)),
        );
    }
    for note in dashboard["annotations"]["list"].as_array().unwrap() {
        queries.extend(query(note["name"].as_str().unwrap(), 0, note));
    }
    queries
}

/// The panels, those of collapsed rows included.
fn panels(list: &Value) -> Vec<Value> {
    let panels = list.as_array().cloned().unwrap_or_default();
    panels
        .into_iter()
        .flat_map(|panel| {
            let inner = panels_of_row(&panel);
            std::iter::once(panel).chain(inner)
        })
        .collect()
}

fn panels_of_row(panel: &Value) -> Vec<Value> {
    panel["panels"].as_array().cloned().unwrap_or_default()
}

fn filled_in(expr: &str) -> String {
    let variables = [
        "$environment",
        "$job",
        "$instance",
        "$source_dc",
        "$target_dc",
        "$pair",
        "$replica",
    ];
    let expr = variables.iter().fold(expr.to_owned(), |expr, variable| {
        expr.replace(variable, ".*")
    });
    expr.replace("$__rate_interval", "1m")
}

/// The metrics that a query names; those of a histogram by the histogram's name.
fn named_in(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut named = BTreeSet::new();
    for word in words {
        named.insert(word.to_owned());
        for part in ["_bucket", "_sum", "_count"] {
            named.extend(word.strip_suffix(part).map(str::to_owned));
        }
    }
    named
}

#[test]
fn every_metric_is_in_a_panel_or_left_out_for_a_reason() {
    let mut shown = BTreeSet::new();
    for query in queries() {
        shown.extend(named_in(&query.expr));
    }
    let left_out: BTreeSet<&str> = IN_NO_PANEL.iter().map(|(name, _)| *name).collect();
    assert_eq!(left_out.len(), IN_NO_PANEL.len());
    for metric in catalogue::ALL {
        let is_shown = shown.contains(metric.name);
        let is_left_out = left_out.contains(metric.name);
        assert!(
            is_shown != is_left_out,
            "{}: in a panel: {is_shown}, in IN_NO_PANEL: {is_left_out}",
            metric.name
        );
    }
    for (name, reason) in IN_NO_PANEL {
        let mut known = catalogue::ALL.iter();
        assert!(known.any(|metric| metric.name == name), "{name}");
        assert!(reason.len() > 20, "{name}");
    }
}

#[test]
fn the_queries_name_only_metrics_that_are_exported() {
    let known: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    let all = queries();
    assert!(all.len() > 60, "{}", all.len());
    for query in all {
        assert!(
            // "$1" is what label_replace found.
            !query.expr.replace("\"$1\"", "").contains('$'),
            "{}: a variable is not known: {}",
            query.place,
            query.expr
        );
        for word in query
            .expr
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(
                !word.starts_with("redis_cross_dc_") || known.contains(name),
                "{}: {word}",
                query.place
            );
        }
    }
}

/// Metrics of pairs that no panel shows: counts that exist only in rare trouble, which the pair's
/// page and its messages tell.
const WITHOUT_A_PANEL: [&str; 2] = [
    "redis_cross_dc_sync_attempts",
    "redis_cross_dc_link_flaps_total",
];

/// Every metric of pairs that a person may look for is in some panel.
#[test]
fn no_metric_of_a_pair_is_missing() {
    let used: String = queries()
        .into_iter()
        .map(|query| query.expr + " ")
        .collect();
    let of_pairs = catalogue::ALL
        .iter()
        .filter(|metric| metric.labels.starts_with(catalogue::PAIR));
    let missing: Vec<&str> = of_pairs
        .map(|metric| metric.name)
        .filter(|name| !used.contains(name) && !WITHOUT_A_PANEL.contains(name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
