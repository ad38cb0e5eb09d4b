//! What a message's templates can name, with made-up values: templates are tried on them when the
//! configuration is read, so that a mistake is found then and not when something breaks.
//!
//! A test of `notify` compares the names with those of real messages.

use serde_json::{Map, Value, json};

/// A name as it may be: a template that forgets to escape it makes no JSON.
const NAME: &str = "a \"quoted\" \\ name";

/// The facts that an alert may have.
const FACTS: [&str; 13] = [
    "summary",
    "value",
    "threshold",
    "peak",
    "since",
    "resolve_reason",
    "state",
    "master",
    "replica",
    "server",
    "last_data",
    "last_sample",
    "labels",
];

/// The values of a critical group of two pairs, of a server's alert that is resolved, and of a
/// group without any label.
pub fn sample_messages() -> [Value; 3] {
    let pairs = json!({"alertname": "RedisCrossDcLagHigh", "source_dc": "dc1", "target_dc": "dc2"});
    let server = json!({"alertname": "RedisCrossDcServerUnreachable", "dc": "dc1"});
    let affected = json!({"firing": 2, "of": 3, "kind": "pairs"});
    [
        message("firing", "CRITICAL", &pairs, &affected, 2),
        message("resolved", "RESOLVED", &server, &Value::Null, 1),
        message("firing", "WARNING", &json!({}), &Value::Null, 1),
    ]
}

fn message(status: &str, level: &str, group: &Value, affected: &Value, alerts: usize) -> Value {
    let label = |name: &str| group.get(name).and_then(Value::as_str).unwrap_or_default();
    let firing = if status == "firing" { alerts } else { 0 };
    let severity = if level == "WARNING" {
        "warning"
    } else {
        "critical"
    };
    json!({
        "title": format!("[{level}] {NAME}"),
        "summary": format!("{NAME}\nis behind."),
        "text": format!("[{level}] {NAME}\nis behind."),
        "key": format!("redis-cross-dc//pair=\"{NAME}\""),
        "id": "msg_sample",
        "receiver": NAME,
        "status": status,
        "severity": severity,
        "level": level,
        "reason": if status == "firing" { "first" } else { "resolved" },
        "alertname": label("alertname"),
        "source_dc": label("source_dc"),
        "target_dc": label("target_dc"),
        "group": group,
        "firing": firing,
        "resolved": alerts - firing,
        "affected": affected,
        "held": 0,
        "alerts": vec![alert(status, severity, level); alerts],
        "more": 0,
        "advice": ["Do something."],
        "runbook_url": "https://exporter.example.com/runbooks/x",
        "dashboard_url": "https://exporter.example.com/pairs/x",
        "silence": "a command",
        "as_of": "2026-01-01T00:00:00.000Z",
        "exporter": NAME,
    })
}

fn alert(status: &str, severity: &str, level: &str) -> Value {
    let mut facts = Map::new();
    for key in FACTS {
        facts.insert(key.to_owned(), json!(NAME));
    }
    json!({
        "status": status,
        "severity": severity,
        "level": level,
        "subject": NAME,
        "labels": {"pair": NAME, "source_dc": "dc1", "target_dc": "dc2", "replica": "r:6379"},
        "facts": facts,
    })
}
