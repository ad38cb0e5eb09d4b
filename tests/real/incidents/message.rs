//! A request to a receiver as the person who is notified reads it.

use redis_cross_dc_exporter::lab::Received;
use serde_json::Value;

/// Which service a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Slack,
    PagerDuty,
}

impl Service {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::PagerDuty => "PagerDuty",
        }
    }
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something is wrong.
    Firing,
    /// It is resolved.
    Resolved,
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) receiver: Service,
    pub(super) kind: Kind,
    /// What finds the incident of a page again.
    pub(super) key: Option<String>,
    /// All of its words.
    pub(super) text: String,
}

impl Message {
    /// Reads a request; `None` where it is for none of the services.
    pub(super) fn read(request: &Received) -> Option<Self> {
        let body = request.json().ok()?;
        match request.path.as_str() {
            "/slack" => Some(slack(&body)),
            "/v2/enqueue" => Some(pagerduty(&body)),
            _ => None,
        }
    }
}

fn slack(body: &Value) -> Message {
    let preview = body["text"].as_str().unwrap_or_default();
    let mut rows = vec![preview.to_owned()];
    let mut texts = Vec::new();
    collect_texts(&body["blocks"], &mut texts);
    collect_texts(&body["attachments"], &mut texts);
    for text in texts.iter().flat_map(|text| text.lines()) {
        rows.push(format!("| {text}"));
    }
    let is_over = preview.contains("[RESOLVED]");
    Message {
        receiver: Service::Slack,
        kind: if is_over {
            Kind::Resolved
        } else {
            Kind::Firing
        },
        key: None,
        text: rows.join("\n"),
    }
}

/// Every `text` of blocks, however deep.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(fields) => {
            if let Some(text) = fields.get("text").and_then(Value::as_str) {
                texts.push(text.to_owned());
            }
            for (name, field) in fields {
                if name != "text" || field.is_object() {
                    collect_texts(field, texts);
                }
            }
        }
        _ => {}
    }
}

fn pagerduty(body: &Value) -> Message {
    let action = body["event_action"].as_str().unwrap_or_default();
    let key = body["dedup_key"].as_str().unwrap_or_default();
    let summary = body["payload"]["summary"].as_str().unwrap_or_default();
    let is_over = action == "resolve";
    Message {
        receiver: Service::PagerDuty,
        kind: if is_over {
            Kind::Resolved
        } else {
            Kind::Firing
        },
        key: Some(key.to_owned()),
        text: format!("{action} {summary}\n| incident {key}"),
    }
}
