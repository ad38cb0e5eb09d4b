//! What the demo prints: each line with its time since the start, webhooks as they arrive.

use std::time::Instant;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::output::print_coloured;
use crate::lab::Received;

/// Prints the story. Cheap to clone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Narrator {
    began: Instant,
}

const PLAIN: Style = Style::new();

impl Narrator {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
        }
    }

    /// Announces what happens to the servers or the WAN.
    pub(super) fn act(&self, text: &str) {
        self.line(AnsiColor::Cyan.on_default().bold(), "==>", text);
    }

    /// Prints what the exporter reports.
    pub(super) fn see(&self, text: &str) {
        self.line(PLAIN, "   ", text);
    }

    /// Prints an expectation that was met.
    pub(super) fn holds(&self, text: &str) {
        self.line(AnsiColor::Green.on_default(), " ok", text);
    }

    /// Prints a webhook that arrived.
    pub(super) fn webhook(&self, received: &Received) {
        self.line(AnsiColor::Yellow.on_default(), "  >", &describe(received));
    }

    /// Prints a text without a time.
    pub(super) fn say(text: &str) {
        print_coloured(&format!("{text}\n"));
    }

    fn line(&self, style: Style, mark: &str, text: &str) {
        let secs = self.began.elapsed().as_secs_f64();
        print_coloured(&format!("{secs:6.1}s {style}{mark} {text}{style:#}\n"));
    }
}

/// A notification in one line.
fn describe(received: &Received) -> String {
    let body = received.json().unwrap_or(Value::Null);
    if received.path.starts_with("/slack") {
        let first_line = text(&body, "/text").lines().next().unwrap_or("");
        return format!("Slack     {first_line}");
    }
    if received.path.starts_with("/v2/enqueue") {
        let action = text(&body, "/event_action");
        let summary = text(&body, "/payload/summary");
        // A resolve has no payload.
        let about = if summary.is_empty() {
            text(&body, "/dedup_key")
        } else {
            summary
        };
        return format!("PagerDuty {action} {about}");
    }
    let status = text(&body, "/status");
    let alerts = body.pointer("/alerts").and_then(Value::as_array);
    let count = alerts.map_or(0, Vec::len);
    let noun = if count == 1 { "alert" } else { "alerts" };
    let name = text(&body, "/groupLabels/alertname");
    format!("webhook   {status} {name}: {count} {noun}")
}

/// The text at a JSON pointer; empty where there is none.
fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    let value = body.pointer(pointer);
    value.and_then(Value::as_str).unwrap_or("")
}
