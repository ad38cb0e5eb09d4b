//! The body for a Slack incoming webhook.
//!
//! Limits: 50 blocks, 150 characters in a header, 3,000 in a section, 40,000 in `text`
//! (<https://docs.slack.dev/reference/block-kit/blocks>); about 13,000 in all blocks together, by
//! experience. `text` is what notifications show, and what is left where blocks are not.

use serde_json::{Value, json};

use crate::alert::AlertStatus;
use crate::config::Severity;

use super::message::{DescribedAlert, Message};
use super::text::slack_escape;

const MAX_HEADER: usize = 150;
pub(super) const MAX_SECTION: usize = 3_000;
const MAX_TEXT: usize = 40_000;

/// What all alerts' sections may hold together: with the header, the summary, the advice, the
/// links, the command and the footer that makes less than 13,000 characters.
const MAX_ALERTS: usize = 6_000;
const MAX_SUMMARY: usize = 1_000;
const MAX_ADVICE: usize = 1_500;
const MAX_FOOTER: usize = 500;
const MAX_TEMPLATE_ERROR: usize = 400;
const MAX_LINKS: usize = 2_000;

/// A command with its escapes; a longer one is left out, as half of it would silence something
/// else.
const MAX_COMMAND: usize = 1_200;

/// The body with blocks and a colour.
pub fn rich(message: &Message) -> Value {
    let header = plain_text(&slack_escape(&message.title, MAX_HEADER));
    let (title, summary) = (
        slack_escape(&message.title, MAX_SECTION),
        slack_escape(&message.summary, MAX_SECTION),
    );
    json!({
        "text": format!("{title}\n{summary}"),
        "blocks": [{"type": "header", "text": header}],
        "attachments": [{"color": colour(message), "blocks": details(message)}],
    })
}

/// The body without any layout, for when Slack refused the one with: the same words.
pub fn plain(message: &Message) -> Value {
    let mut parts = vec![message.title.clone(), message.summary.clone()];
    parts.extend(message.alerts.iter().map(|alert| {
        let facts = alert
            .facts
            .iter()
            .map(|fact| format!("  {}: {}", fact.name, fact.text));
        let lines: Vec<_> = std::iter::once(heading(alert)).chain(facts).collect();
        lines.join("\n")
    }));
    parts.extend(more(message));
    parts.extend(message.advice.iter().map(|&advice| advice.to_owned()));
    parts.extend(
        message
            .links
            .iter()
            .map(|link| format!("{}: {}", link.name, link.url)),
    );
    parts.extend(message.silence.as_ref().map(|command| silence(command)));
    parts.extend(failed_template(message));
    parts.push(footer(message));
    json!({"text": slack_escape(&parts.join("\n"), MAX_TEXT)})
}

fn details(message: &Message) -> Vec<Value> {
    let share = (MAX_ALERTS / message.alerts.len().max(1)).min(MAX_SECTION);
    let mut blocks = vec![section(&slack_escape(&message.summary, MAX_SUMMARY))];
    blocks.extend(
        message
            .alerts
            .iter()
            .map(|alert| section(&describe(alert, share))),
    );
    blocks.extend(more(message).map(|text| section(&text)));
    if !message.advice.is_empty() {
        blocks.push(section(&slack_escape(
            &message.advice.join("\n"),
            MAX_ADVICE,
        )));
    }
    blocks.extend(
        failed_template(message).map(|text| section(&slack_escape(&text, MAX_TEMPLATE_ERROR))),
    );
    let command = message
        .silence
        .as_ref()
        .map(|command| slack_escape(&silence(command), usize::MAX));
    blocks.extend(
        command
            .filter(|text| text.len() <= MAX_COMMAND)
            .map(|text| section(&text)),
    );
    blocks.extend(links(message).map(|text| section(&text)));
    blocks.push(json!({"type": "context", "elements": [markdown(&slack_escape(&footer(message), MAX_FOOTER))]}));
    blocks
}

/// The alert's heading and facts in at most `max` characters: facts that do not fit are left out
/// from the end, as they stand in the order in which they help.
fn describe(alert: &DescribedAlert, max: usize) -> String {
    // The two stars are what makes the heading bold.
    let mut text = format!("*{}*", slack_escape(&heading(alert), max / 3));
    for fact in &alert.facts {
        let line = format!("\n{}: {}", fact.name, slack_escape(&fact.text, max / 3));
        if text.encode_utf16().count() + line.encode_utf16().count() > max {
            break;
        }
        text.push_str(&line);
    }
    text
}

fn heading(alert: &DescribedAlert) -> String {
    format!("{} {}", alert.level(), alert.subject)
}

fn more(message: &Message) -> Option<String> {
    (message.more > 0).then(|| format!("and {} more", message.more))
}

fn failed_template(message: &Message) -> Option<String> {
    let why = message.failed_template.as_ref()?;
    Some(format!(
        "The template of this receiver failed, so these are the built-in words: {why}"
    ))
}

fn silence(command: &str) -> String {
    format!("To silence it for two hours: `{command}`")
}

/// The links, as far as there is room. Their URLs are percent-encoded: nothing gets out of them.
fn links(message: &Message) -> Option<String> {
    let mut text = String::new();
    for link in &message.links {
        let link = format!("<{}|{}>", link.url, link.name);
        if text.len() + link.len() + 3 > MAX_LINKS {
            break;
        }
        text = if text.is_empty() {
            link
        } else {
            format!("{text} · {link}")
        };
    }
    (!text.is_empty()).then_some(text)
}

fn footer(message: &Message) -> String {
    format!(
        "reason: {} · as of {} · sent by {}",
        message.reason.label(),
        message.as_of,
        message.exporter
    )
}

fn colour(message: &Message) -> &'static str {
    match (message.status, message.severity) {
        (AlertStatus::Resolved, _) => "#2e7d32",
        (AlertStatus::Firing, Severity::Critical) => "#d32f2f",
        (AlertStatus::Firing, Severity::Warning) => "#f2a600",
    }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": markdown(text)})
}

fn markdown(text: &str) -> Value {
    // Verbatim: host names and ports are no links, and a label cannot call a channel together.
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        anchor, context, golden, hostile_names, notification, pair_alert, resolved,
    };
    use super::*;
    use crate::alert::{AlertSnapshot, NotifyReason};
    use std::sync::Arc;

    fn message(reason: NotifyReason, alerts: Vec<Arc<AlertSnapshot>>) -> Message {
        Message::new(&notification(reason, alerts), &anchor(), &context())
    }

    #[test]
    fn the_bodies_are_as_agreed() {
        let firing = message(NotifyReason::First, vec![pair_alert("orders <&>", 0)]);
        golden("slack_firing.json", &rich(&firing));
        golden("slack_plain.json", &plain(&firing));
        let over = message(
            NotifyReason::Resolved,
            vec![resolved(pair_alert("orders", 0))],
        );
        golden("slack_resolved.json", &rich(&over));
    }

    /// Every text of every block.
    fn texts(body: &Value) -> Vec<(String, String)> {
        let blocks = body["blocks"].as_array().unwrap().iter();
        let blocks = blocks.chain(body["attachments"][0]["blocks"].as_array().unwrap());
        let texts = blocks.map(|block| {
            let holder = if block["type"] == "context" {
                &block["elements"][0]
            } else {
                &block["text"]
            };
            (
                block["type"].as_str().unwrap().to_owned(),
                holder["text"].as_str().unwrap().to_owned(),
            )
        });
        texts.collect()
    }

    #[test]
    fn no_name_breaks_a_limit() {
        for name in hostile_names() {
            for count in [1, 2, 10, 500] {
                let alerts = (0..count).map(|n| pair_alert(&name, n)).collect();
                let body = rich(&message(NotifyReason::First, alerts));
                let texts = texts(&body);
                assert!(texts.len() <= 50);
                let length = |text: &str| text.encode_utf16().count();
                for (kind, text) in &texts {
                    let limit = if kind == "header" { 150 } else { 3_000 };
                    assert!((1..=limit).contains(&length(text)), "{kind}: {text}");
                    let is_links =
                        text.starts_with("<https://redis-lag.example.com/") && !text.contains("<!");
                    assert!(is_links || !text.contains(['<', '>']), "{text}");
                }
                assert!(texts.iter().map(|(_, text)| length(text)).sum::<usize>() <= 13_000);
                assert!(length(body["text"].as_str().unwrap()) <= MAX_TEXT);
            }
        }
    }

    #[test]
    fn plain_text_keeps_its_limit_and_calls_nobody() {
        for name in hostile_names() {
            let alerts = (0..10).map(|n| pair_alert(&name, n)).collect();
            let body = plain(&message(NotifyReason::First, alerts));
            let text = body["text"].as_str().unwrap();
            assert!(text.encode_utf16().count() <= MAX_TEXT);
            assert!(!text.contains("<!channel>"));
        }
    }

    #[test]
    fn ten_ordinary_alerts_lose_nothing() {
        let alerts = (0..11).map(|n| pair_alert("orders", n)).collect();
        let texts = texts(&rich(&message(NotifyReason::First, alerts)));
        assert_eq!(
            texts
                .iter()
                .filter(|(_, text)| text.contains("Labels: team=payments"))
                .count(),
            10
        );
        assert!(texts.iter().any(|(_, text)| text == "and 1 more"));
    }
}
